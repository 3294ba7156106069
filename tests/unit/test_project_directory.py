"""What dbkit keeps in `.dbkit`, such as the rows of a rollback, does not get into the project's repository."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dbkit.files import make_project_directory
from dbkit.settings import Settings
from dbkit.stash import store

Git = Callable[..., str]


def test_a_stash_is_ignored_by_git(tmp_path: Path, local_settings: Settings, git: Git) -> None:
    git(tmp_path, "init", "--quiet")
    with store.write_stash(replace(local_settings, root=tmp_path), "stash") as directory:
        (directory / "customers").write_text("ada")
    assert list(tmp_path.rglob("customers"))
    assert git(tmp_path, "status", "--porcelain", "--untracked-files=all") == ""


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    directory = tmp_path / ".dbkit"
    make_project_directory(directory)
    make_project_directory(directory)
    (directory / ".gitignore").write_text("stash\n")
    make_project_directory(directory)
    assert (directory / ".gitignore").read_text() == "stash\n"


def test_a_directory_that_takes_no_file_is_used(tmp_path: Path) -> None:
    (tmp_path / ".dbkit/.gitignore").mkdir(parents=True)
    make_project_directory(tmp_path / ".dbkit")
