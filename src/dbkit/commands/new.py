"""`dbkit new`: make a project with migrations, in the kit's own layout."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from dbkit.adoption.new_project import SPEC, make_project


@dataclass(frozen=True)
class NewOptions:
    """Options of `dbkit new`."""

    path: Path
    ci: str


def new(options: NewOptions) -> None:
    """Write the files of a new project. Raises InputError for a directory that is not empty."""
    path = options.path.absolute()
    has_local_source = make_project(path, "" if options.ci == "none" else options.ci)
    print(f"Made a project in {options.path}.")
    if has_local_source:
        print(
            f"dbkit was installed from a directory, which {SPEC} names; git ignores that file.\n"
            "On other machines it comes from requirements.txt, or from DBKIT_SPEC=PATH-OR-URL ./venv-setup.sh."
        )
    print(f"next:\n  cd {shlex.quote(str(options.path))}\n  make migrate")
