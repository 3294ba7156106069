"""Real PostgreSQL, real processes: a throw-away cluster for what takes a connection, a checkout for what people type."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

import pair as pair_module
from dbkit import redact, scratch, settings
from dbkit.connect import connect
from dbkit.own_statements import OwnConnection, Session
from dbkit.server.account import Account
from dbkit.server.cluster import Cluster, development_cluster
from dbkit.settings import Settings, Target

REPOSITORY = Path(__file__).resolve().parents[1]
NOT_IN_GIT = shutil.ignore_patterns("venv", ".git", ".env", ".dbkit", ".nox", ".*_cache", "__pycache__", "upgrade.sql")
# What a machine may need to reach its package registry, and nothing else of ours
PASSED_ON = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy", "LD_LIBRARY_PATH")


# Some machines set it; then each of the thousand processes that the tests start would compile the kit for itself
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
SHOP_HEAD = "c96d09ae7993"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where a team has replaced the example shop, leave out the tests that are written against it."""
    if list((REPOSITORY / "backend/alembic/versions").glob(f"*_{SHOP_HEAD}_*.py")):
        return
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & {"kit", "fresh_clone"} or item.get_closest_marker("shop"):
            item.add_marker(pytest.mark.skip(reason="the example shop, which this test is about, was replaced"))


def pytest_runtest_logstart() -> None:
    """Say that there may be something to put in order (scripts/interruptible.sh)."""
    if begun := os.environ.get("DBKIT_BEGUN"):
        (REPOSITORY / begun).touch()


def plain_environment(home: Path) -> dict[str, str]:
    """What `env -i PATH=… HOME=…` leaves, and the way to the package registry."""
    path = os.pathsep.join([str(Path(sys.base_prefix) / "bin"), "/usr/local/bin", "/usr/bin", "/bin"])
    kept = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("PIP_")}
    return kept | {"PATH": path, "HOME": str(home)}


def copy_checkout(to: Path) -> Path:
    """A copy of this checkout as a clone would be: no venv, no .env, no database."""
    shutil.copytree(REPOSITORY, to, ignore=NOT_IN_GIT)
    return to


@dataclass
class Kit:
    """A checkout of the kit, and a person in front of it."""

    path: Path
    environment: Mapping[str, str]
    options: dict[str, object] = field(default_factory=dict)
    """Keywords for subprocess, such as the user to run as."""

    def run(
        self, *arguments: str | bytes, cwd: str = ".", env: Mapping[str, str] = {}, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the checkout. Output is text, stderr apart."""
        return subprocess.run(
            arguments,
            cwd=self.path / cwd,
            env={**self.environment, **env},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            **self.options,
        )

    def make(self, *arguments: str | bytes, env: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
        return self.run("make", *arguments, env=env)

    def dbkit(self, *arguments: str, env: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
        return self.run("venv/bin/python", "-m", "dbkit", *arguments, env=env)

    def alembic(
        self, *arguments: str, cwd: str = "backend", env: Mapping[str, str] = {}
    ) -> subprocess.CompletedProcess[str]:
        return self.run(str(self.path / "venv/bin/alembic"), *arguments, cwd=cwd, env=env)

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as a person types it into one bash, stopping at the first line that fails."""
        return self.run("bash", "-ec", script)

    @property
    def settings(self) -> Settings:
        return settings.load(self.path, environ={})

    @property
    def cluster(self) -> Cluster:
        return development_cluster(self.settings)

    @property
    def versions(self) -> list[Path]:
        return sorted((self.path / "backend/alembic/versions").glob("*.py"))

    @property
    def newest(self) -> Path:
        """The revision file that was written last, whatever the clock says."""
        return max(self.versions, key=lambda path: path.stat().st_mtime_ns)

    def query(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement in the development database; committed."""
        with psycopg.connect(**self.cluster.target().parameters(), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def restore(self) -> None:
        """Put the tree and the database back to where the first `make migrate` left them."""
        shutil.rmtree(self.path / "backend")
        shutil.copytree(REPOSITORY / "backend", self.path / "backend", ignore=NOT_IN_GIT)
        (self.path / "upgrade.sql").unlink(missing_ok=True)
        stashes = self.path / ".dbkit/stash"
        if stashes.exists():
            shutil.rmtree(stashes)
        (self.path / ".env").write_bytes((self.path / ".env.example").read_bytes())
        self.set_database("at_head")

    def set_database(self, template: str) -> None:
        """Replace the development database by a copy of `at_head` or of `template0`, which is empty."""
        self.cluster.ensure_running()
        parameters = self.cluster.target("postgres").parameters()
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS app WITH (FORCE)")
            connection.execute(f"CREATE DATABASE app TEMPLATE {template}")


HOSTILE_SETTINGS = {
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "quote_all_identifiers": "on",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "xmlbinary": "hex",
    "statement_timeout": "50ms",
    "idle_in_transaction_session_timeout": "300ms",
}
"""What a role or a database may have set, and what must not change what this package does: `nox -s hostile`."""


def make_hostile(target: Target) -> None:
    """Give the sessions of a server HOSTILE_SETTINGS; those of the tests themselves have the usual ones."""
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        for name, value in HOSTILE_SETTINGS.items():
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), value))
        connection.execute("SELECT pg_reload_conf()")


def make_usual(target: Target) -> None:
    """Give the sessions of one database of such a server what they have by default."""
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        defaults = "SELECT name, boot_val FROM pg_settings WHERE lower(name) = ANY (%s)"
        for name, value in connection.execute(defaults, [[name.lower() for name in HOSTILE_SETTINGS]]).fetchall():
            alter = sql.SQL("ALTER DATABASE {} SET {} = {}")
            connection.execute(alter.format(sql.Identifier(target.dbname), sql.Identifier(name), value))


def usual_settings(connect: Callable[..., Any]) -> Callable[..., Any]:
    """psycopg.connect for the tests themselves, whatever the server's settings are."""
    usual = "-c DateStyle=ISO,MDY -c TimeZone=UTC -c statement_timeout=0 -c idle_in_transaction_session_timeout=0"

    def connected(*arguments: Any, **keywords: Any) -> Any:
        options = (
            f"{usual} -c standard_conforming_strings=on -c quote_all_identifiers=off {keywords.pop('options', '')}"
        )
        return connect(*arguments, options=options, **keywords)

    return connected


IS_HOSTILE = bool(os.environ.get("HOSTILE_SETTINGS"))
if IS_HOSTILE:
    psycopg.connect = usual_settings(psycopg.connect)


def connect_as_project(target: Target, **options: Any) -> OwnConnection:
    """A session with the settings that migrations have, for the SQL of a test."""
    return connect(target, session=Session.PROJECT, **options)


@pytest.fixture(autouse=True)
def nothing_learned() -> Iterator[None]:
    """What one test has shown to be a secret is none in the next."""
    yield
    redact.forget()


def others_slow(kept: int, cases: Sequence[Any]) -> list[Any]:
    """Cases of one kind for parametrize: some in every run, the others only in `nox -s slow`."""
    slow = (each if isinstance(each, tuple) else (each,) for each in cases[kept:])
    return [*cases[:kept], *(pytest.param(*each, marks=pytest.mark.slow) for each in slow)]


def until(condition: Callable[[], object]) -> None:
    """Wait for something that must come; for a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


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


def link_or_copy(source: str, to: str) -> None:
    """One file of a copy that nobody changes in place."""
    try:
        os.link(source, to)
    except OSError:
        shutil.copy2(source, to)


def move_venv(venv: Path, former: Path, now: Path) -> None:
    """Let a copied venv belong to the checkout `now`: its scripts, its settings and its stamp name their place."""
    for path in (*(venv / "bin").iterdir(), venv / "pyvenv.cfg", venv / ".dbkit-stamp"):
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        if bytes(former) in content:
            mode = path.stat().st_mode
            path.unlink()  # it may be a hard link
            path.write_bytes(content.replace(bytes(former), bytes(now)))
            path.chmod(mode)


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
    yield kit, typed or kit.make("migrate")
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
    with scratch.cluster(local_settings) as cluster:
        if IS_HOSTILE:
            make_hostile(cluster.target("postgres"))
        yield cluster


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


def python_for_everyone() -> str:
    """A Python with venv that another account may run; root's own may be below /root."""
    nobody = Account("nobody", 65534, 65534)
    for name in ("python3", "/usr/bin/python3", "/usr/local/bin/python3"):
        python = shutil.which(name)
        if python and nobody.can(os.X_OK, Path(python).resolve()):
            enough = subprocess.run(
                [python, "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"], check=False
            )
            if enough.returncode == 0:
                return python
    pytest.skip("no Python 3.11 with venv that another account may run")


def foreground() -> None:
    """For a child: take Ctrl-C as a program in the foreground does, also where the tests run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def free_port() -> int:
    """A TCP port on loopback that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


HOSTILE_PASSWORD = "@ : / % # $ ' \" \\ ü"
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))


@contextmanager
def listening(local_settings: Settings, port: int) -> Iterator[Target]:
    """A new server as others run it: on TCP, with passwords. The target is a role that owns its database."""
    with scratch.cluster(local_settings) as cluster:
        with psycopg.connect(**cluster.target("postgres").parameters(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET listen_addresses = '127.0.0.1'")
            connection.execute(f"ALTER SYSTEM SET port = {port}")
            connection.execute("CREATE DATABASE shop")
            connection.execute("SET password_encryption = 'scram-sha-256'")
            role = sql.SQL("CREATE ROLE shop LOGIN CREATEDB PASSWORD {}").format(HOSTILE_PASSWORD)
            connection.execute(role)
            connection.execute("ALTER DATABASE shop OWNER TO shop")
        (cluster.data / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
        cluster.stop()
        cluster._spawn()
        target = Target("shop", user="shop", password=HOSTILE_PASSWORD, host="127.0.0.1", port=port)
        connect(target, wait=20).close()
        yield target


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
