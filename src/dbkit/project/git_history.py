"""Read from git by whom the files of a directory were added, and when."""

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LOG = ("log", "--no-renames", "--diff-filter=A", "--name-only", "-z", "--format=%x01%H%x02%aN%x02%aI")
SHALLOW = "the clone is shallow: fetch the whole history to see it"


@dataclass(frozen=True)
class Authorship:
    """The commit that added a file; empty where that is not known."""

    author: str = ""
    date: str = ""
    """In ISO 8601, with the time and the zone of the author."""
    commit: str = ""
    problem: str = ""
    """Why it is not known."""


class FileHistory:
    """The commits that added the files of some directories, as `git log` has them."""

    def __init__(self, directories: Iterable[Path]) -> None:
        self._known: dict[Path, Authorship] = {}
        self._problem = ""
        for directory in sorted({each.resolve() for each in directories}):
            self._read(directory)

    def find(self, path: Path) -> Authorship:
        """Return who added a file; where that is not known, why."""
        return self._known.get(path.resolve(), Authorship(problem=self._problem or "not committed yet"))

    def _read(self, directory: Path) -> None:
        found = _git(directory, "rev-parse", "--show-toplevel", "--git-path", "shallow")
        if not found:
            self._problem = "not in a git repository"
            return
        top, shallow = (Path(directory, each) for each in found.splitlines()[:2])
        # a shallow clone attributes all files of its oldest commits to these
        cut = set(shallow.read_text().split()) if shallow.is_file() else set()
        for entry in _git(directory, *LOG, "--", ".").split("\x01")[1:]:
            head, _, names = entry.partition("\0")
            commit, author, date = head.split("\x02")
            known = Authorship(problem=SHALLOW) if commit in cut else Authorship(author, date, commit[:12])
            for name in filter(None, names.lstrip("\n").split("\0")):
                # the newest one: the file may have been removed before
                self._known.setdefault((top / name).resolve(), known)


def describe_head(directory: Path) -> str:
    """Return the commit that is checked out, shortened, and whether files differ from it; "" without git."""
    return _git(directory, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").strip()


def _git(directory: Path, *arguments: str) -> str:
    """Return what git prints; "" where it fails, since no report needs it."""
    command = ["git", "-c", "core.quotePath=off", *arguments]
    try:
        result = subprocess.run(
            command, cwd=directory, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except OSError:
        return ""
    return "" if result.returncode else result.stdout
