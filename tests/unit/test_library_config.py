"""The Config that advanced-alchemy makes, for its env.py: which object of the project it is made of."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from alembic.config import Config

from dbkit.errors import InputError
from dbkit.project import library_config

MODULE = """
from types import SimpleNamespace

class SQLAlchemyAsyncConfig(SimpleNamespace):
    pass

{code}
"""
MAKES = "SQLAlchemyAsyncConfig(alembic_config=SimpleNamespace(script_location='{location}'), number={number})"


class Commands:
    """As the library's AlembicCommands."""

    def __init__(self, given: SimpleNamespace) -> None:
        self.config = Config("alembic.ini")
        self.config.set_main_option("script_location", given.alembic_config.script_location)
        self.config.db_url = f"postgresql://x/{given.number}"  # type: ignore[attr-defined]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of the library, which is not installed here."""
    (tmp_path / "migrations").mkdir()
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = migrations\nprepend_sys_path = src:.\n")
    (tmp_path / "migrations/env.py").write_text("# advanced_alchemy\nurl = config.db_url\n")
    library = ModuleType("advanced_alchemy.alembic.commands")
    library.AlembicCommands = Commands  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "advanced_alchemy.alembic.commands", library)
    monkeypatch.setattr(library_config, "find_spec", lambda _name: None)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    for name in [each for each in sys.modules if each.startswith("theirs")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def write(path: Path, *assigned: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(MODULE.format(code="\n".join(assigned)))


def made(project: Path, named: str | None = None) -> str:
    ini = project / "alembic.ini"
    assert library_config.needs_library(project / "migrations")
    return library_config.make_config(named, Config(str(ini)), project).db_url  # type: ignore[attr-defined,no-any-return]


def configuration(number: int, location: str = "migrations") -> str:
    return MAKES.format(number=number, location=location)


@pytest.mark.parametrize(
    "path", ["theirs_a/config.py", "src/theirs_b/config.py", "theirs_c/db/__init__.py", "theirs_d.py"]
)
def test_the_one_that_a_module_has_is_found(project: Path, path: str) -> None:
    write(project / path, f"alchemy: SQLAlchemyAsyncConfig = {configuration(1)}")
    write(project / "venv/lib/other.py", f"alchemy = {configuration(2)}")
    (project / "venv/pyvenv.cfg").touch()
    write(project / "node_modules/other.py", f"alchemy = {configuration(3)}")
    write(project / "theirs_elsewhere.py", f"alchemy = {configuration(4, 'other/migrations')}")
    (project / "broken.py").write_text("SQLAlchemyAsyncConfig(")
    assert made(project) == "postgresql://x/1"


def test_a_directory_that_modules_name_is_a_package(project: Path) -> None:
    write(project / "src/theirs_i/config.py", "import src.theirs_i.number", f"alchemy = {configuration(1)}")
    (project / "src/theirs_i/number.py").touch()
    env = project / "migrations/env.py"
    env.write_text(f"from src.theirs_i import config as ours\n{env.read_text()}")
    assert made(project) == "postgresql://x/1"
    assert "src.theirs_i.config" in sys.modules
    assert "theirs_i.config" not in sys.modules


def test_the_settings_file_may_be_beside_env_py(project: Path) -> None:
    """Then the modules are not below it, but below the directory in which the commands are typed."""
    write(project / "theirs_j/config.py", f"alchemy = {configuration(1)}")
    (project / "alembic.ini").rename(project / "migrations/alembic.ini")
    config = Config(str(project / "migrations/alembic.ini"))
    assert library_config.make_config(None, config, project / "migrations").db_url == "postgresql://x/1"  # type: ignore[attr-defined]


def test_one_that_two_modules_have_is_one(project: Path) -> None:
    write(project / "theirs_e.py", f"first = second = {configuration(1)}")
    assert made(project) == "postgresql://x/1"


def test_two_are_a_question(project: Path) -> None:
    write(project / "theirs_f.py", f"first = {configuration(1)}", f"second = {configuration(2)}")
    with pytest.raises(InputError, match="2 configurations of advanced-alchemy for it were found") as caught:
        made(project)
    assert "config = package.module:alchemy_config" in caught.value.hint
    assert made(project, "theirs_f:second") == "postgresql://x/2"
    assert made(project, "theirs_f.first") == "postgresql://x/1"


def test_none_is_a_question(project: Path) -> None:
    with pytest.raises(InputError, match="the configuration of advanced-alchemy was not found in"):
        made(project)


def test_of_a_named_list_or_a_function_the_first_is_taken(project: Path) -> None:
    write(
        project / "theirs_g.py",
        f"several = [{configuration(1, 'elsewhere')}, {configuration(2)}]",
        "def make(): return several",
    )
    assert made(project, "theirs_g:several") == "postgresql://x/2"
    assert made(project, "theirs_g:make") == "postgresql://x/2"


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("theirs_none:config", "that cannot be loaded: ModuleNotFoundError"),
        ("theirs_h:nothing", "that cannot be loaded: AttributeError"),
        ("theirs_h:number", "of a int, no Config of Alembic can be made"),
        ("config", "that cannot be loaded: ValueError"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(project: Path, named: str, words: str) -> None:
    write(project / "theirs_h.py", "number = 1")
    with pytest.raises(InputError, match=words):
        made(project, named)


def test_other_projects_do_not_need_it(tmp_path: Path) -> None:
    (tmp_path / "env.py").write_text("from advanced_alchemy.base import orm_registry\nconfig = context.config\n")
    assert not library_config.needs_library(tmp_path)
    assert not library_config.needs_library(tmp_path / "nothing")
