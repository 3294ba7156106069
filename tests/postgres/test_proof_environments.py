"""What an env.py keeps open between its runs: pooled engines, sessions, threads; and URLs that need no escaping."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from dbkit.errors import InputError
from dbkit.postgres import scratch_cluster
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.access import Access
from dbkit.roundtrip.outcome import Outcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings, Target
from support.battery import NOTHING
from support.plain import Revision, write_project

# proven in its transaction, by a copy of the database, and with a fault: each needs further runs of env.py
REVISIONS: list[Revision] = [
    ("aaaa", None, "CREATE TABLE t (id int PRIMARY KEY)", "DROP TABLE t"),
    ("bbbb", "aaaa", "python:with op.get_context().autocommit_block():\n        op.execute('CREATE INDEX CONCURRENTLY ic ON t (id)')", "DROP INDEX ic"),
    ("cccc", "bbbb", "CREATE INDEX IF NOT EXISTS ix ON t (id)", NOTHING),
]  # fmt: skip
EXPECTED = {"aaaa": "proven", "bbbb": "proven", "cccc": "dirty"}
# Alembic's autocommit_block() fails in a transaction that env.py has begun
IN_A_TRANSACTION = {"aaaa": "proven", "bbbb": "broken", "cccc": "unproven"}

ENV = """
from alembic import context

import storage

with storage.connected() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
ASYNC_ENV = """
import asyncio

from alembic import context

import storage

def migrate(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

async def main():
    async with storage.connected() as connection:
        await connection.run_sync(migrate)

asyncio.run(main())
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """A project whose application has a module `storage`, imported once. Returns its alembic.ini."""

    def make(storage: str, env: str = ENV, revisions: list[Revision] = REVISIONS) -> Path:
        (tmp_path / "storage.py").write_text(storage)
        return write_project(tmp_path, revisions, env)

    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("storage", None)
    yield make
    sys.modules.pop("storage", None)


def verdicts(outcome: Outcome) -> dict[str, str]:
    return {each.revision: each.verdict.value for each in outcome.revisions}


STORAGES = {
    "the default pool": """
engine = create_engine(URL)
connected = engine.connect
""",
    "a pool that checks": """
engine = create_engine(URL, pool_pre_ping=True, pool_size=1, max_overflow=0)
connected = engine.connect
""",
    "a pool for each thread": """
engine = create_engine(URL, poolclass=pool.SingletonThreadPool)
connected = engine.connect
""",
    "one connection for all": """
engine = create_engine(URL, poolclass=pool.StaticPool)
connected = engine.connect
""",
    "one connection, asserted": """
engine = create_engine(URL, poolclass=pool.AssertionPool)
connected = engine.connect
""",
    "a connection that is opened once and stays open": """
import contextlib
connection = None

@contextlib.contextmanager
def connected():
    global connection
    connection = connection or create_engine(URL).connect()
    yield connection
""",
    "a connection that stays open in a transaction": """
import contextlib
engine = create_engine(URL)
kept = []

@contextlib.contextmanager
def connected():
    kept[:] = kept or [engine.connect()]
    kept[0].execute(text("SELECT 1"))
    with engine.connect() as connection:
        yield connection
""",
    "a scoped session in a transaction": """
import contextlib
from sqlalchemy.orm import scoped_session, sessionmaker
engine = create_engine(URL, pool_size=2, max_overflow=0)
session = scoped_session(sessionmaker(engine))

@contextlib.contextmanager
def connected():
    session.execute(text("SELECT 1"))
    with engine.connect() as connection:
        yield connection
""",
    "the connection of a scoped session": """
import contextlib
from sqlalchemy.orm import scoped_session, sessionmaker
session = scoped_session(sessionmaker(create_engine(URL)))

@contextlib.contextmanager
def connected():
    yield session.connection()
    session.commit()
""",
    "a connection of the driver's, out of the pool": """
import contextlib
engine = create_engine(URL)
raw = []

@contextlib.contextmanager
def connected():
    raw.append(engine.raw_connection())
    raw[-1].cursor().execute("LISTEN news")
    with engine.connect() as connection:
        yield connection
    raw.pop()
""",
    "a thread that uses the engine": """
import contextlib, queue, threading
engine = create_engine(URL)
asked, answered = queue.Queue(), queue.Queue()

def work():
    while asked.get():
        with engine.connect() as connection:
            answered.put(connection.execute(text("SELECT 1")).scalar())

threading.Thread(target=work, daemon=True).start()

@contextlib.contextmanager
def connected():
    asked.put(True)
    assert answered.get(timeout=180) == 1
    with engine.connect() as connection:
        yield connection
""",
    "a connection past SQLAlchemy that listens": """
import contextlib
import psycopg
engine = create_engine(URL)
listening = []

@contextlib.contextmanager
def connected():
    if not listening:
        listening.append(psycopg.connect(URL.replace("+psycopg", ""), autocommit=True))
        listening[0].execute("LISTEN news")
    with engine.connect() as connection:
        yield connection
""",
}  # fmt: skip
ASYNC_STORAGES = {
    "the default pool": """
engine = create_async_engine(URL)
connected = engine.connect
""",
    "an engine for each event loop": """
import asyncio
engines = {}

def connected():
    loop = asyncio.get_running_loop()
    if loop not in engines:
        engines[loop] = create_async_engine(URL)
    return engines[loop].connect()
""",
    "a session in a transaction": """
import contextlib
from sqlalchemy.ext.asyncio import async_sessionmaker
engine = create_async_engine(URL)
session = async_sessionmaker(engine)()

@contextlib.asynccontextmanager
async def connected():
    await session.execute(text("SELECT 1"))
    async with engine.connect() as connection:
        yield connection
""",
}
STORAGE = "import os\nfrom sqlalchemy import create_engine, pool, text\n\nURL = os.environ['DATABASE_URL']\n"
ASYNC = STORAGE + "from sqlalchemy.ext.asyncio import create_async_engine\n"
IN_EVERY_RUN = {
    *("the default pool", "a pool for each thread", "the connection of a scoped session"),
    *("a connection that stays open in a transaction", "a thread that uses the engine"),
    *("a connection past SQLAlchemy that listens", "async, a session in a transaction"),
}
KINDS = [
    *((name, STORAGE + text, ENV) for name, text in STORAGES.items()),
    *((f"async, {name}", ASYNC + text, ASYNC_ENV) for name, text in ASYNC_STORAGES.items()),
]


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("storage", "env"),
    [
        pytest.param(storage, env, id=name, marks=() if name in IN_EVERY_RUN else pytest.mark.slow)
        for name, storage, env in KINDS
    ],
)
def test_what_an_application_keeps_open_is_in_nobodys_way(
    project: Callable[..., Path], local_settings: Settings, server: Cluster, storage: str, env: str
) -> None:
    """As in a process for each `alembic` command: no run of env.py meets a connection that the one before has left."""
    outcome = prove(local_settings, project(storage, env), Request(server=server.target("postgres")))
    assert verdicts(outcome) == (IN_A_TRANSACTION if "session.connection()" in storage else EXPECTED)


# URLs

SETS_URL = """
import os

from alembic import context
from sqlalchemy import engine_from_config, pool

config = context.config
config.set_main_option("sqlalchemy.url", os.environ["DATABASE_URL"])
with engine_from_config(config.get_section("alembic"), poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


@pytest.mark.slow
def test_env_py_may_set_the_url_as_most_do(
    project: Callable[..., Path], local_settings: Settings, server: Cluster
) -> None:
    """configparser takes a % for the beginning of an interpolation."""
    outcome = prove(local_settings, project("", SETS_URL), Request(server=server.target("postgres")))
    assert verdicts(outcome) == EXPECTED


def test_env_py_may_set_the_url_of_a_server_with_a_hostile_password(
    project: Callable[..., Path], local_settings: Settings, password_server: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    outcome = prove(local_settings, project("", SETS_URL), Request(server=password_server))
    assert verdicts(outcome) == EXPECTED
    assert "PGPASSWORD" not in os.environ


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg", "pg8000"])
def test_the_url_of_a_throw_away_server_needs_no_escaping(
    local_settings: Settings, workspace: Path, monkeypatch: pytest.MonkeyPatch, driver: str
) -> None:
    """Also where the directory for temporary files has a name with a space, a comma and an umlaut."""
    monkeypatch.setattr(scratch_cluster, "_parent_directory", lambda: workspace)
    with scratch_cluster.future_cluster(local_settings) as cluster:
        target = cluster.target("proof")
        url = Access(driver=driver).url(target)
        assert "%" not in url
        assert sa.make_url(url).query["unix_sock" if driver == "pg8000" else "host"].startswith(target.host)


def test_asyncpg_has_another_name_for_sslmode() -> None:
    target = Target("shop", host="127.0.0.1", port=5432, query=(("sslmode", "disable"),))
    assert sa.make_url(Access(driver="asyncpg").url(target)).query == {"ssl": "disable"}
    assert sa.make_url(Access(driver="psycopg2").url(target)).query == {"sslmode": "disable"}


def test_a_url_without_escapes_is_libpqs_own(server: Cluster) -> None:
    url = Access().url(server.target("postgres")).replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        assert connection.info.host == str(server.socket_directory)


PARTS = """
import os

e = os.environ
url = f"postgresql+psycopg://{e['DB_USER']}:{e.get('DB_PASS', '')}@{e['DB_HOST']}:{e['DB_PORT']}/{os.getenv('DB_NAME')}"
mode = os.environ["APP_MODE"]
"""


def test_the_hint_names_the_variables_that_env_py_reads(
    project: Callable[..., Path], local_settings: Settings, server: Cluster
) -> None:
    with pytest.raises(InputError) as error:
        prove(local_settings, project("", PARTS), Request(server=server.target("postgres")))
    options = "DB_USER={user} DB_PASS={password} DB_HOST={host} DB_PORT={port} DB_NAME={dbname}"
    assert " ".join(f"--set-env {option}" for option in options.split()) in error.value.hint
    assert "APP_MODE" not in error.value.hint


@pytest.mark.slow
def test_parts_on_a_server_on_tcp(
    project: Callable[..., Path], local_settings: Settings, password_server: Target
) -> None:
    """As the hint says it."""
    names = (("DB_USER", "{user}"), ("PGPASSWORD", "{password}"), ("DB_HOST", "{host}"), ("DB_PORT", "{port}"))
    url = "f\"postgresql+psycopg://{e['DB_USER']}@{e['DB_HOST']}:{e['DB_PORT']}/{e['DB_NAME']}\""
    env = ENV.replace("storage.connected()", f"create_engine({url}, poolclass=pool.NullPool).connect()").replace(
        "import storage", "import os\nfrom sqlalchemy import create_engine, pool\ne = os.environ"
    )
    access = Access((*names, ("DB_NAME", "{dbname}")))
    outcome = prove(local_settings, project("", env), Request(server=password_server, access=access))
    assert verdicts(outcome) == EXPECTED


def test_a_migration_that_takes_an_idle_connection_out_of_the_pool_leaves_its_transaction(
    project: Callable[..., Path], local_settings: Settings, server: Cluster
) -> None:
    """It is seen, although nothing is opened for it: what it does there cannot be rolled back with the migration."""
    env = ENV.replace("with storage", "storage.engine.connect().close()\nwith storage")
    storage = STORAGE + "engine = create_engine(URL)\nconnected = create_engine(URL, poolclass=pool.NullPool).connect\n"
    own = "python:import storage\n    with storage.engine.begin() as own:\n        own.exec_driver_sql('{}')"
    revisions: list[Revision] = [
        ("aaaa", None, own.format("CREATE TABLE t (id int)"), own.format("DROP TABLE t")),
        ("bbbb", "aaaa", "CREATE TABLE u (id int)", "DROP TABLE u"),
    ]
    ini = project(storage, env, revisions)
    outcome = prove(local_settings, ini, Request(server=server.target("postgres"), rows=0))
    assert [(each.verdict.value, each.transactional) for each in outcome.revisions] == [
        ("proven", False),
        ("proven", True),
    ]
