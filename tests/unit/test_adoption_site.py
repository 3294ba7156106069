"""What `dbkit adopt` finds around a project: the repository, its CI service, and the settings file."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit.adoption.site import find_ci, find_repository, find_site
from dbkit.errors import InputError

URLS = {
    "https://github.com/team/shop.git": "github",
    "git@github.com:team/shop.git": "github",
    "ssh://git@github.example.com:2222/team/shop": "github",
    "https://user:secret@gitlab.com/team/shop.git": "gitlab",
    "git@gitlab.example.com:team/shop.git": "gitlab",
    "https://bitbucket.org/team/github.git": "",
    "git@git.example.com:github/gitlab.git": "",
    "/srv/git/github.com/shop.git": "",
    "../shop.git": "",
}


@pytest.mark.parametrize("url", URLS)
def test_the_service_by_the_url_of_origin(url: str, tmp_path: Path, git: Callable[..., str]) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "remote", "add", "upstream", "https://gitlab.com/upstream/shop.git")
    git(tmp_path, "remote", "add", "origin", url)
    assert find_ci(tmp_path) == URLS[url]


def test_the_service_by_its_files(tmp_path: Path) -> None:
    assert find_ci(tmp_path) == ""
    (tmp_path / ".gitlab-ci.yml").touch()
    assert find_ci(tmp_path) == "gitlab"
    (tmp_path / ".github").mkdir()
    assert find_ci(tmp_path) == "github"


def test_a_second_work_tree(tmp_path: Path, git: Callable[..., str]) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    git(first, "init", "-q")
    git(first, "remote", "add", "origin", "https://gitlab.com/team/shop.git")
    git(first, "commit", "-q", "--allow-empty", "-m", "one")
    git(first, "worktree", "add", "-q", str(second))
    (second / "services/shop").mkdir(parents=True)
    assert find_repository(second / "services/shop") == second
    assert find_ci(second) == "gitlab"


def test_without_git_the_repository_is_the_directory(tmp_path: Path) -> None:
    assert find_repository(tmp_path) == tmp_path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with an env.py in `migrations`, which is the working directory."""
    (tmp_path / "migrations/versions").mkdir(parents=True)
    (tmp_path / "migrations/env.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_env_py_beside_a_script_location_that_is_not_there(project: Path) -> None:
    """With advanced-alchemy the program sets it, and in an image it may be another one."""
    (project / "migrations/alembic.ini").write_text("[alembic]\nscript_location = /usr/src/app/migrations\n")
    assert find_site("migrations/alembic.ini", "alembic", (), None).script_directory == project / "migrations"


def test_a_package_that_cannot_be_imported(project: Path) -> None:
    (project / "alembic.ini").write_text("[alembic]\nscript_location = no_such_package:migrations\n")
    with pytest.raises(InputError, match="No module named 'no_such_package'"):
        find_site(None, "alembic", (), None)


def test_a_section_without_a_script_location(project: Path) -> None:
    (project / "alembic.ini").write_text("[alembic]\n[one]\nscript_location = migrations\n[two]\nscript_location = x\n")
    with pytest.raises(InputError, match="No 'script_location'") as caught:
        find_site(None, "alembic", (), None)
    assert re.search("one, two.*-n", caught.value.hint)
    assert find_site(None, "one", (), None).script_directory == project / "migrations"
