"""The head file: HEAD beside the revisions, one line with the newest revision, tracked by git.

Two branches that each add a revision both change that line, so that git reports a conflict, where it would otherwise
merge two heads silently. Alembic runs `python -m dbkit.project.head_file FILE` after it has written a revision
(`post_write_hooks` in alembic.ini), for `make revision` and the bare `alembic revision` alike.
"""

import re
import sys
from pathlib import Path

from alembic.script import Script

from dbkit import files
from dbkit.project import revision_files

NAME = "HEAD"
CONFLICT = re.compile(r"^(<{7}|\|{7}|={7}|>{7})(?: .*)?$")
HINT = "Write it: `make rebase-migration`."


def path_in(script_directory: Path) -> Path:
    """The path of the head file."""
    return script_directory / NAME


def write(script_directory: Path) -> None:
    """Write the head file: a line for each head."""
    files.write_file(path_in(script_directory), render(script_directory))


def render(script_directory: Path) -> str:
    """Return the content of the head file: a line for each head."""
    known = [file for file in revision_files.read_revision_files(script_directory / "versions") if file]
    parents = {parent for file in known for parent in file.down_revisions}
    lines = sorted(f"{file.revision} {_message(file.path)}\n" for file in known if file.revision not in parents)
    return "".join(lines)


def _message(path: Path) -> str:
    """The first line of a revision's docstring."""
    text = path.read_text(encoding="utf-8")
    found = re.search(r'"""(.*?)(?:"""|\n)', text)
    return found[1].strip() if found else ""


def find_problem(script_directory: Path, head: Script) -> str:
    """Describe what is wrong with the head file; "" when it names this head only."""
    path = path_in(script_directory)
    if not path.exists():
        return f"{path} is missing: with it, git reports a conflict where two branches each add a migration. {HINT}"
    if read_conflict(script_directory):
        return f"{path} has git's conflict markers: two branches each added a migration. {HINT}"
    words = path.read_text(encoding="utf-8").split()
    if words[:1] != [head.revision]:
        return f"{path} names {' '.join(words[:1]) or 'nothing'}, but the head is {head.revision}. {HINT}"
    return ""


def read_conflict(script_directory: Path) -> tuple[list[str], list[str]] | None:
    """The revisions on both sides of a merge conflict: git's HEAD, and the merged branch. None without a conflict."""
    path = path_in(script_directory)
    sides: dict[str, list[str]] = {"<<<<<<<": [], ">>>>>>>": [], "": []}
    side = ""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        mark = CONFLICT.match(line)
        if mark:
            # between ||||||| and ======= is the common ancestor
            side = {"<<<<<<<": "<<<<<<<", "=======": ">>>>>>>"}.get(mark[1], "")
        elif line.split():
            sides[side].append(line.split()[0])
    return (sides["<<<<<<<"], sides[">>>>>>>"]) if sides["<<<<<<<"] and sides[">>>>>>>"] else None


def main() -> None:
    """Write the head file after `alembic revision`: the entry point of the post-write hook."""
    write(Path(sys.argv[1]).resolve().parents[1])


if __name__ == "__main__":
    main()
