"""The head file: HEAD in the script directory, one line for each head, tracked by git.

Two branches that each add a revision both change that line, so that git reports a conflict, where it would otherwise
merge two heads silently. Alembic runs `python -m dbkit.project.head_file FILE` after it has written a revision
(`post_write_hooks` in alembic.ini); `make revision` does the same without another process.
"""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit import files

if TYPE_CHECKING:
    from alembic.script import Script

NAME = "HEAD"
MODULES = ("dbkit.project.head_file", "dbkit.headfile")
"""The modules that a hook of Alembic may name: this one, and its alias."""
SCRIPT = "dbkit-head"
"""The console script that a hook may name."""
CONFLICT = re.compile(r"^(<{7}|\|{7}|={7}|>{7})(?: .*)?$")
HINT = "Write it: `make rebase-migration`."


def path_in(script_directory: Path) -> Path:
    """The path of the head file."""
    return script_directory / NAME


def docs_of(heads: "Iterable[Script]") -> dict[str, str]:
    """Return what `render` needs of loaded revisions: their ids and docstrings."""
    return {head.revision: head.longdoc for head in heads}


def write(script_directory: Path, heads: Mapping[str, str]) -> None:
    """Write the head file; `heads` are their ids and docstrings."""
    files.write_file(path_in(script_directory), render(heads))


def render(heads: Mapping[str, str]) -> bytes:
    """Return the content of the head file: a line for each head, with the first line of its docstring."""
    lines = sorted(f"{head} {_first_line(doc)}".rstrip() for head, doc in heads.items())
    return "".join(f"{line}\n" for line in lines).encode(errors="replace")


def _first_line(doc: str) -> str:
    return (doc.strip().splitlines() or [""])[0]


def find_problem(script_directory: Path, heads: Iterable[str]) -> str:
    """Describe what is wrong with the head file; "" when it names these heads."""
    path = path_in(script_directory)
    if not path.exists():
        return f"{path} is missing: with it, git reports a conflict where two branches each add a migration. {HINT}"
    if read_conflict(script_directory):
        return f"{path} has git's conflict markers: two branches each added a migration. {HINT}"
    named = [line.split()[0] for line in _read_lines(path) if line.strip()]
    expected = sorted(heads)
    if sorted(named) != expected:
        is_or_are = "head is" if len(expected) == 1 else "heads are"
        return f"{path} names {' '.join(named) or 'nothing'}, but the {is_or_are} {' '.join(expected)}. {HINT}"
    return ""


def read_conflict(script_directory: Path) -> tuple[list[str], list[str]] | None:
    """The revisions on both sides of a merge conflict: git's HEAD, and the merged branch. None without a conflict."""
    path = path_in(script_directory)
    sides: dict[str, list[str]] = {"<<<<<<<": [], ">>>>>>>": [], "": []}
    side = ""
    for line in _read_lines(path) if path.exists() else ():
        mark = CONFLICT.match(line)
        if mark:
            # between ||||||| and ======= is the common ancestor
            side = {"<<<<<<<": "<<<<<<<", "=======": ">>>>>>>"}.get(mark[1], "")
        elif line.split():
            sides[side].append(line.split()[0])
    return (sides["<<<<<<<"], sides[">>>>>>>"]) if sides["<<<<<<<"] and sides[">>>>>>>"] else None


def _read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def is_written_by(module: str | None, script: str | None) -> bool:
    """Whether a hook of Alembic writes the head file, by the module or the console script that it names."""
    return module in MODULES or script == SCRIPT


def main() -> None:
    """Write the head file after `alembic revision`: the entry point of the post-write hook."""
    from dbkit.project import written_revision

    file = Path(os.path.abspath(sys.argv[1]))  # noqa: PTH100  # a symbolic link stays as it is
    found = written_revision.read_project(file)
    if found is None:
        sys.exit(f"{NAME} was not written: the project of {file} was not found, or cannot be loaded. {HINT}")
    write(*found)


if __name__ == "__main__":
    main()
