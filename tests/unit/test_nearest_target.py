"""A Make target that does not exist: the nearest one is named, make ends with 2, and nothing that was typed is run."""

import shutil
import subprocess
from pathlib import Path

import pytest

from support.kit import REPOSITORY


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with the kit's Makefile, and a path that needs quoting."""
    found = tmp_path / "a b, ü"
    (found / "scripts").mkdir(parents=True)
    shutil.copy(REPOSITORY / "Makefile", found)
    shutil.copy(REPOSITORY / "scripts/nearest-target.sh", found / "scripts")
    (found / ".env").touch()
    return found


def make(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["make", *arguments], cwd=directory, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("migrat", "migrate"),
        ("stauts", "status"),
        ("roundtripp", "roundtrip"),
        ("lint-migration", "lint-migrations"),
        ("xyzzy", None),
        ("a", None),
    ],
)
@pytest.mark.parametrize("options", [(), ("-n",), ("-s", "to=head")])
def test_the_nearest_target_is_named(
    directory: Path, typed: str, nearest: str | None, options: tuple[str, ...]
) -> None:
    made = make(directory, *options, typed)
    hint = f"Did you mean `make {nearest}`?" if nearest else "`make` lists the targets."
    assert made.returncode == 2
    assert made.stderr.startswith(f'make: there is no target "{typed}".\n  {hint}\n')


@pytest.mark.parametrize(
    "typed", ["a'b", "a;touch pwned", "`touch pwned`", "$(shell touch pwned)", "$$(touch pwned)", '"']
)
def test_what_was_typed_is_not_run(directory: Path, typed: str) -> None:
    assert make(directory, typed).returncode == 2
    assert not (directory / "pwned").exists()


def test_files_and_targets_that_are_there_are_as_before(directory: Path) -> None:
    made = make(directory, "scripts/nearest-target.sh", "Makefile")
    assert (made.returncode, "no target" in made.stderr) == (0, False)
    assert "dbkit status" in make(directory, "-n", "status").stdout
    assert make(directory).stdout.count("make migrate ") == 1
