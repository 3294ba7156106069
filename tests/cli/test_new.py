"""`dbkit new`: a project in the kit's own layout, in which what the guide says can be typed."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbkit.__main__ import _find_ini
from dbkit.adoption.new_project import SPEC, make_project, render_files
from dbkit.commands.adopt import AdoptOptions, adopt
from dbkit.commands.new import NewOptions, new
from dbkit.errors import InputError
from dbkit.settings import Target
from support.adoption_sites import contents
from support.kit import REPOSITORY, Kit, plain_environment
from support.pair import url_of

MODEL = """\
from sqlalchemy.orm import Mapped

from app.models.base import Base, Id


class User(Base):
    __tablename__ = "users"

    id: Mapped[Id]
    name: Mapped[str]
"""
PACKAGE = """\
from app.models.base import Base
from app.models.users import User

__all__ = ["Base", "User"]
"""
# up to where venv-setup.sh begins to do something
FUNCTIONS = "sed '/^# with PYTHON/,$d' venv-setup.sh > functions.sh && . ./functions.sh && rm functions.sh"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "some where/my project"
    new(NewOptions(path, "none"))
    return path


def add_model(project: Path) -> None:
    (project / "backend/app/models/users.py").write_text(MODEL)
    (project / "backend/app/models/__init__.py").write_text(PACKAGE)


def test_what_is_written(project: Path) -> None:
    assert set(contents(project)) == {
        *(".env.example", ".gitignore", "Makefile", "README.md", "alembic.ini", "migrations.mk", "noxfile.py"),
        *("requirements.txt", "venv-setup.sh", ".dbkit/spec"),
        *("backend/alembic.ini", "backend/alembic/env.py", "backend/alembic/script.py.mako", "backend/alembic/HEAD"),
        *("backend/alembic/versions/.gitkeep", "backend/app/__init__.py"),
        *("backend/app/models/__init__.py", "backend/app/models/base.py"),
    }
    assert os.access(project / "venv-setup.sh", os.X_OK)
    assert not any(re.search(r"@[A-Z]+@", content.decode()) for content in contents(project).values())
    assert not re.search("shop|customer", "".join(content.decode().lower() for content in contents(project).values()))


def test_the_next_command_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new(NewOptions(tmp_path / "a b", "none"))
    assert capsys.readouterr().out.endswith(f"next:\n  cd '{tmp_path / 'a b'}'\n  make migrate\n")


def test_git_gets_no_path_of_this_machine(project: Path, git: Callable[..., str]) -> None:
    assert (project / SPEC).read_text() == f"{REPOSITORY}\n"
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    tracked = git(project, "ls-files").splitlines()
    assert SPEC not in tracked
    assert "backend/alembic/versions/.gitkeep" in tracked
    for name in tracked:
        text = (project / name).read_text()
        assert str(REPOSITORY) not in text, name
        assert str(project.parent) not in text, name


def test_the_parts_are_those_of_adopt(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    before = contents(project)
    options = AdoptOptions(None, "alembic", (), True, False, False, False, None, 0)
    assert adopt(options) == 0
    assert contents(project) == before


@pytest.mark.parametrize(("ci", "name"), [("github", ".github/workflows/migrations.yml"), ("gitlab", ".gitlab-ci.yml")])
def test_a_job_for_ci_where_it_is_asked_for(tmp_path: Path, ci: str, name: str) -> None:
    new(NewOptions(tmp_path / "x", ci))
    assert (tmp_path / "x" / name).is_file()


@pytest.mark.parametrize(
    ("name", "kit"),
    [
        (".env.example", ".env.example"),
        ("backend/alembic/env.py", "backend/alembic/env.py"),
        ("backend/alembic/script.py.mako", "backend/alembic/script.py.mako"),
        ("backend/app/models/base.py", "backend/app/models/base.py"),
        ("alembic.ini", "alembic.ini"),
        ("backend/alembic.ini", "backend/alembic.ini"),
        ("venv-setup.sh", "venv-setup.sh"),
    ],
)
def test_files_are_those_of_the_kit(name: str, kit: str) -> None:
    """The settings lack the directory of the kit's scripts, and the set-up what has to do with its lock files."""
    ours = dict(render_files("x"))[name]
    kits = (REPOSITORY / kit).read_text()
    if name.endswith(".ini"):
        kits = re.sub(r".*/scripts\n", "", kits).replace("as `make lint` wants it, and", "and")
    if name == "venv-setup.sh":
        ours, kits = (shared_functions(text) for text in (ours, kits))
    assert ours == kits


def shared_functions(script: str) -> str:
    """The functions of venv-setup.sh that do not depend on what is installed."""
    names = ("fail", "is_current", "same_interpreter", "check_python", "take_lock", "make_venv", "is_reusable")
    found = [re.search(rf"^{name}\(\) {{\n.*?^}}\n", script, re.M | re.S) for name in names]
    text = "".join(each[0] for each in found if each)
    assert text.count("() {") == len(names)
    return text.replace("3.11", "3.10").replace("3, 11", "3, 10")


def refuse(path: Path) -> str:
    with pytest.raises(InputError) as raised:
        make_project(path)
    return str(raised.value)


def test_a_directory_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    assert "is not empty: it has mine." in refuse(tmp_path)
    assert "is not a directory" in refuse(tmp_path / "mine")
    assert "cannot make" in refuse(tmp_path / "mine/below")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert refuse(tmp_path / "dangling")
    assert "with % in its name" in refuse(tmp_path / "50%")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "mine"]


def test_a_directory_that_cannot_be_looked_at_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="File name too long"):
        make_project(tmp_path / ("long" * 100))


def test_an_empty_directory_and_an_empty_clone_are_filled(
    tmp_path: Path, git: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet", "clone")
    monkeypatch.chdir(tmp_path / "clone")
    new(NewOptions(Path(), "none"))
    assert Path("Makefile").is_file()
    assert Path("README.md").read_text().startswith("# clone\n")


def test_a_failure_in_between_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise InputError("no")

    monkeypatch.setattr("dbkit.adoption.new_project.local_source", fail)
    refuse(tmp_path / "a/b")
    assert not list(tmp_path.iterdir())


def test_the_shell_script_is_clean(project: Path) -> None:
    program = Path(sys.executable).with_name("shellcheck")
    checked = subprocess.run([program, "venv-setup.sh"], cwd=project, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.fixture
def set_up(project: Path, home: Path) -> Kit:
    """A project whose ./venv leads to the present environment."""
    binaries = project / "venv/bin"
    binaries.mkdir(parents=True)
    for name in ("python", "alembic", "dbkit"):
        program = shlex.quote(str(Path(sys.executable).with_name(name)))
        (binaries / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (binaries / name).chmod(0o755)
    (binaries / "activate").write_text(f'PATH="{binaries}:$PATH"\n')
    kit = Kit(project, plain_environment(home))
    typed = kit.shell(f'{FUNCTIONS} && wanted_stamp > "$stamp"')
    assert typed.returncode == 0, typed.stderr
    return kit


def test_a_revision_is_written_and_applied(set_up: Kit, database: Target) -> None:
    environment = {"DATABASE_URL": url_of(database)}
    add_model(set_up.path)
    typed = set_up.make("revision", "m=T-1 add $(touch canary) `touch canary` users", env=environment)
    assert typed.returncode == 0, typed.stderr
    (made,) = set_up.versions
    assert made.read_text().startswith('"""T-1 add $(touch canary) `touch canary` users"""')
    assert "migrated" not in typed.stderr
    assert "making ./venv" not in typed.stderr
    applied = set_up.make("migrate", env=environment)
    assert "1 migration applied" in applied.stdout, applied.stderr
    assert not list(set_up.path.rglob("canary"))
    assert (set_up.path / ".env").stat().st_mode & 0o777 == 0o600


def test_the_settings_file_of_the_project_is_found(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the working directory comes before that of the checkout in which an editable dbkit is."""
    monkeypatch.chdir(project)
    assert _find_ini() == project / "alembic.ini"
    monkeypatch.chdir(project / "backend")
    assert _find_ini() == project / "alembic.ini"
    monkeypatch.chdir(tmp_path)
    assert _find_ini() == REPOSITORY / "alembic.ini"
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = alembic\n")
    (tmp_path / "below").mkdir()
    shutil.copy("alembic.ini", "below")
    monkeypatch.chdir("below")
    assert _find_ini() == tmp_path / "below/alembic.ini"
    monkeypatch.chdir(REPOSITORY / "backend")
    assert _find_ini() == REPOSITORY / "alembic.ini"


def test_help_lists_the_targets_of_both_files(set_up: Kit) -> None:
    shown = set(re.findall(r"^  make ([a-z-]+) ", set_up.make().stdout, re.M))
    assert {"migrate", "revision", "roundtrip", "setup", "reset", "db-stop", "clean"} <= shown


@pytest.fixture(scope="module")
def installed(workspace: Path, home: Path) -> Iterator[Kit]:
    """A new project after the first `make migrate`, which has made a real ./venv from this checkout."""
    path = workspace / "new project"
    new(NewOptions(path, "none"))
    kit = Kit(path, plain_environment(home))
    typed = kit.make("migrate")
    assert typed.returncode == 0, typed.stderr
    yield kit
    kit.make("db-stop")
    shutil.rmtree(path)


def bash_blocks(page: str) -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```$", page, re.M | re.S)


@pytest.mark.slow
def test_what_the_readme_says_can_be_typed(installed: Kit) -> None:
    add_model(installed.path)
    for block in bash_blocks((installed.path / "README.md").read_text()):
        typed = installed.shell(block)
        assert typed.returncode == 0, typed.stdout + typed.stderr
    assert len(installed.versions) == 1
    again = installed.shell("make migrate restore redo schema check roundtrip lint-migrations drift preflight status")
    assert again.returncode == 0, again.stdout + again.stderr
    quiet = installed.run("./venv-setup.sh")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("session", ["migrations_roundtrip", "migrations_lint", "migrations_check"])
def test_the_nox_sessions(installed: Kit, session: str) -> None:
    if not installed.versions:
        add_model(installed.path)
        assert installed.shell('make revision m="T-1 add users" && make migrate schema').returncode == 0
    typed = installed.run("venv/bin/nox", "-s", session)
    assert typed.returncode == 0, typed.stdout + typed.stderr


@pytest.mark.slow
def test_another_source_of_dbkit_is_remembered(installed: Kit, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", str(REPOSITORY)]
    subprocess.run([*command, "--wheel-dir", str(tmp_path)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    typed = installed.run("./venv-setup.sh", env={"DBKIT_SPEC": str(wheel)})
    assert typed.returncode == 0, typed.stderr
    assert (installed.path / SPEC).read_text() == f"{wheel}\n"
    assert installed.run("./venv-setup.sh").stderr == ""
