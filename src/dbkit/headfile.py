"""The former name of dbkit.project.head_file, which an alembic.ini may still name as a hook."""

from dbkit.project.head_file import main

if __name__ == "__main__":
    main()
