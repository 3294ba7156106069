"""Real PostgreSQL, real processes: a throw-away cluster for what takes a connection, a checkout for what people type."""

import fcntl
import gc
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from dbkit import hints
from dbkit.postgres import scratch_cluster
from dbkit.postgres.cluster import Cluster
from dbkit.redaction import redact
from dbkit.settings import Settings, Target
from support import pair as pair_module
from support.forked import ForkServer
from support.kit import REPOSITORY, SHOP_HEAD, Kit, copy_checkout, plain_environment
from support.matrix import mark_chosen
from support.running import spread
from support.servers import DEBIAN, QuickCluster, free_port, listening
from support.sessions import IS_HOSTILE, make_hostile, make_usual, usual_settings
from support.venv_copies import link_or_copy, move_venv

pytest_plugins = ["support.alembic_templates", "support.lint_runs", "support.source_findings"]

# Some machines set it; then each of the thousand processes that the tests start would compile the kit for itself
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# The tests are nobody's CI: what a person sees is tested there, too
for name in ("CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
    os.environ.pop(name, None)
os.environ["TERM"] = "xterm"


@pytest.hookimpl(tryfirst=True)  # before -m selects by the marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the matrix and slow ones; without the example shop, leave out those written against it."""
    spread(items)
    mark_chosen(items)
    if list((REPOSITORY / "backend/alembic/versions").glob(f"*_{SHOP_HEAD}_*.py")):
        return
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & {"kit", "fresh_clone"} or item.get_closest_marker("shop"):
            item.add_marker(pytest.mark.skip(reason="the example shop, which this test is about, was replaced"))


def pytest_collection_finish() -> None:
    """Leave what the collection has made, for the whole run, out of each later search for garbage."""
    gc.collect()
    gc.freeze()


def pytest_runtest_logstart() -> None:
    """Say that there may be something to put in order (scripts/interruptible.sh)."""
    if begun := os.environ.get("DBKIT_BEGUN"):
        (REPOSITORY / begun).touch()


if IS_HOSTILE:
    psycopg.connect = usual_settings(psycopg.connect)


@pytest.fixture(autouse=True)
def nothing_learned() -> Iterator[None]:
    """What one test has shown to be a secret is none in the next, and its project is not the next one's."""
    yield
    redact.forget()
    hints.for_kit()


@pytest.fixture(scope="session")
def workspace() -> Iterator[Path]:
    """A directory that every account may enter, with a space, a comma and an umlaut in its name."""
    directory = Path(tempfile.mkdtemp(prefix="dbkit a b, ü "))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def home(workspace: Path) -> Path:
    """An empty home."""
    path = workspace / "home"
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def fresh_clone(
    workspace: Path, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Kit, subprocess.CompletedProcess[str]]]:
    """A clone in which nothing but `make migrate` has been typed, and what that printed.

    The first process of a run installs the packages; the others take a copy of its venv.
    """
    kit = Kit(copy_checkout(workspace / "kit"), plain_environment(home))
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "venv"
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = shared.with_suffix(".place")
        if place.exists():
            shutil.copytree(shared, kit.path / "venv", symlinks=True, copy_function=link_or_copy)
            move_venv(kit.path / "venv", Path(place.read_text()), kit.path)
        typed = kit.make("migrate") if not place.exists() else None
        if typed and typed.returncode == 0:
            shutil.copytree(kit.path / "venv", shared, symlinks=True, copy_function=link_or_copy)
            place.write_text(str(kit.path))
    typed = typed or kit.make("migrate")
    if typed.returncode == 0:
        kit.server = ForkServer(str(kit.path / "venv/bin/python"), kit.environment)
    yield kit, typed
    kit.cluster.remove()


@pytest.fixture
def kit(fresh_clone: tuple[Kit, subprocess.CompletedProcess[str]]) -> Iterator[Kit]:
    """The fresh clone, at head; whatever a test does to its tree and database is undone afterwards."""
    kit, typed = fresh_clone
    assert typed.returncode == 0, typed.stderr
    parameters = kit.cluster.target("postgres").parameters()
    with psycopg.connect(**parameters, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'at_head'").fetchone():
            connection.execute("CREATE DATABASE at_head TEMPLATE app")
            # each test gets a copy of it, and waiting for a disk proves nothing
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        if IS_HOSTILE:
            make_hostile(kit.cluster.target("postgres"))
    yield kit
    kit.restore()


@pytest.fixture(scope="session")
def local_settings() -> Settings:
    """Settings of a project that has no .env, in this checkout. PG_BINDIR: the servers are of that one."""
    return Settings(
        root=REPOSITORY,
        ini=REPOSITORY / "alembic.ini",
        target=None,
        app_env="test",
        lock_timeout=5.0,
        lock_budget=0.0,
        statement_timeout=0.0,
        wait=0.0,
        pg_bindir=Path(os.environ["PG_BINDIR"]) if "PG_BINDIR" in os.environ else None,
        confirm=None,
    )


@pytest.fixture(scope="session")
def server(local_settings: Settings) -> Iterator[Cluster]:
    """One throw-away cluster for the whole run."""
    with scratch_cluster.cluster(local_settings) as cluster:
        if IS_HOSTILE:
            make_hostile(cluster.target("postgres"))
        yield QuickCluster.of(cluster)


@pytest.fixture
def database(server: Cluster, request: pytest.FixtureRequest) -> Target:
    """An empty database of this test's own."""
    return server.create_database(f"test_{abs(hash(request.node.nodeid)):x}")


@pytest.fixture
def git() -> Callable[..., str]:
    """Run git as somebody, in a directory; returns what it printed."""

    def run(directory: Path, *arguments: str) -> str:
        identity = ("-c", "user.name=Kit", "-c", "user.email=kit@example.org", "-c", "commit.gpgsign=false")
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True).stdout

    return run


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(None, id="wheel"),
        pytest.param(
            DEBIAN[-1].parent if DEBIAN else None,
            id="system",
            # the same on another major: for the slow run
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(not DEBIAN, reason="no PostgreSQL in /usr/lib/postgresql"),
            ],
        ),
    ],
)
def password_server(local_settings: Settings, request: pytest.FixtureRequest) -> Iterator[Target]:
    """One for the whole run; see `listening`."""
    with listening(replace(local_settings, pg_bindir=request.param or local_settings.pg_bindir), free_port()) as target:
        yield target


@pytest.fixture
def pair(server: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> pair_module.Pair:
    """A project as Alembic makes it and one behind the gate, with a database each."""
    name = f"{abs(hash(request.node.nodeid)):x}"
    bare, gated = (server.create_database(f"{kind}_{name}") for kind in ("bare", "gated"))
    if IS_HOSTILE:
        make_usual(bare)  # what is shown with it is a fault of Alembic's, and none of the settings'
    return pair_module.make(tmp_path, bare, gated)
