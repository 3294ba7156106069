"""The file HEAD beside the revisions: one line with the newest of them, tracked by git.

Two branches that each add a revision both change that line, so that git stops at once, where it would else merge two
heads in silence. Alembic runs `python -m dbkit.project.head_file FILE` after it has written a revision
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
MEND = "Write it: `make rebase-migration`."


def path_in(script_directory: Path) -> Path:
    """Where it is."""
    return script_directory / NAME


def write(script_directory: Path) -> None:
    """Write the line of the newest revision; one line for each where there are several."""
    known = [file for file in revision_files.read_all(script_directory / "versions") if file]
    parents = {parent for file in known for parent in file.down_revisions}
    lines = sorted(f"{file.revision} {_message(file.path)}\n" for file in known if file.revision not in parents)
    path = path_in(script_directory)
    files.write(path, "".join(lines))


def _message(path: Path) -> str:
    """The first line of a revision's docstring."""
    text = path.read_text(encoding="utf-8")
    found = re.search(r'"""(.*?)(?:"""|\n)', text)
    return found[1].strip() if found else ""


def problem(script_directory: Path, head: Script) -> str:
    """What is wrong with the file, in words; empty when it names this one head."""
    path = path_in(script_directory)
    if not path.exists():
        return f"{path} is missing: with it, git stops where two branches each add a migration. {MEND}"
    if conflict(script_directory):
        return f"{path} has git's conflict markers: two branches each added a migration. {MEND}"
    words = path.read_text(encoding="utf-8").split()
    if words[:1] != [head.revision]:
        return f"{path} names {' '.join(words[:1]) or 'nothing'}, and the head is {head.revision}. {MEND}"
    return ""


def conflict(script_directory: Path) -> tuple[list[str], list[str]] | None:
    """The revisions of the two sides of a conflict: of git's HEAD, and of what is merged into it. None without one."""
    path = path_in(script_directory)
    sides: dict[str, list[str]] = {"<<<<<<<": [], ">>>>>>>": [], "": []}
    side = ""
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        mark = CONFLICT.match(line)
        if mark:
            # what is between ||||||| and ======= was before both
            side = {"<<<<<<<": "<<<<<<<", "=======": ">>>>>>>"}.get(mark[1], "")
        elif line.split():
            sides[side].append(line.split()[0])
    return (sides["<<<<<<<"], sides[">>>>>>>"]) if sides["<<<<<<<"] and sides[">>>>>>>"] else None


def main() -> None:
    """Write the file beside the revision that Alembic has just written: a hook after `alembic revision`."""
    write(Path(sys.argv[1]).resolve().parents[1])


if __name__ == "__main__":
    main()
