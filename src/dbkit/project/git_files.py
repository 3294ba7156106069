"""The files of directories that a commit of git does not have."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

from dbkit.errors import InputError


def new_files(directories: Iterable[Path], reference: str) -> set[Path]:
    """Return the files that the commit `reference` does not have: committed since then, or not committed yet.

    Raises InputError without git, and for an unknown reference.
    """
    found: set[Path] = set()
    for directory in directories:
        top = Path(_git(directory, reference, "rev-parse", "--show-toplevel").rstrip("\n"))
        commit = _git(
            directory, reference, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}"
        )
        listings = (
            (
                "diff",
                "--no-relative",
                "--name-only",
                "--no-renames",
                "--diff-filter=A",
                "-z",
                commit.strip(),
                "--",
                ".",
            ),
            ("ls-files", "--others", "--exclude-standard", "--full-name", "-z", "--", "."),
        )
        for listing in listings:
            found |= {top / name for name in _git(directory, reference, *listing).split("\0") if name}
    return found


def _git(directory: Path, reference: str, *arguments: str) -> str:
    try:
        command = ["git", *arguments]
        result = subprocess.run(
            command, cwd=directory, capture_output=True, encoding="utf-8", errors="surrogateescape", check=False
        )
    except OSError:  # not FileNotFoundError alone: a directory of PATH may be forbidden
        raise InputError("--since needs git, and there is none on PATH.", "Name the revisions with --only.") from None
    if result.returncode:
        words = result.stderr.strip().splitlines()
        reason = words[-1] if words else f"there is no commit {reference!r}"
        raise InputError(f"--since {reference}: {reason}.", "Name a commit, branch or tag of the project's repository.")
    return result.stdout
