"""An alias of dbkit.project.head_file for an alembic.ini that names it as a hook."""

from dbkit.project.head_file import main

if __name__ == "__main__":
    main()
