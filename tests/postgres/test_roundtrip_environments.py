"""Any Alembic project's own env.py, unchanged: Alembic's templates, and what people make of them."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from dbkit.errors import InputError
from dbkit.postgres import scratch_database
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.access import Access
from dbkit.roundtrip.outcome import Outcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings, Target
from support.alembic_templates import ENGINE, plain
from support.battery import NOTHING
from support.sessions import connect_as_project as connect

EXPECTED = {"aaaa": "proven", "bbbb": "proven", "cccc": "dirty", "dddd": "proven"}


@pytest.fixture
def proven(local_settings: Settings, server: Cluster) -> Callable[..., dict[str, str]]:
    """The verdicts on a project, proven in databases of the run's server."""

    def run(ini: Path, **request: object) -> dict[str, str]:
        outcome: Outcome = prove(local_settings, ini, Request(server=server.target("postgres"), **request))  # type: ignore[arg-type]
        return {each.revision: each.verdict.value for each in outcome.revisions}

    return run


@pytest.mark.spread(2)
@pytest.mark.parametrize("template", ["generic", "async", "pyproject", "pyproject_async"])
def test_alembics_templates(init: Callable[..., Path], proven: Callable[..., dict[str, str]], template: str) -> None:
    assert proven(init(template)) == EXPECTED


@pytest.mark.slow
def test_alembics_template_in_a_pyproject_named_by_its_path(
    init: Callable[..., Path], proven: Callable[..., dict[str, str]]
) -> None:
    assert proven(init("pyproject").with_name("pyproject.toml")) == EXPECTED


@pytest.mark.slow
def test_several_databases_by_name(init: Callable[..., Path], proven: Callable[..., dict[str, str]]) -> None:
    """Each revision has an upgrade and a downgrade for each; a fault in one of them is the revision's."""
    ini = init("multidb", revisions=[])
    ini.write_text(re.sub(r"(?m)^databases =.*", "databases = engine1, engine2", ini.read_text()))
    header = "from alembic import op\n\nrevision = {0!r}\ndown_revision = {1!r}\n\n\ndef upgrade(engine_name):\n    globals()[f'upgrade_{{engine_name}}']()\n\n\ndef downgrade(engine_name):\n    globals()[f'downgrade_{{engine_name}}']()\n"
    function = "\n\ndef {}():\n    op.execute({!r})\n"
    for revision, parent, last in (("aaaa", None, "DROP TABLE two"), ("bbbb", "aaaa", "SELECT 1")):
        text = header.format(revision, parent)
        name = "two" if revision == "aaaa" else "three"
        text += function.format("upgrade_engine1", f"CREATE TABLE one_{revision} (x int)")
        text += function.format("downgrade_engine1", f"DROP TABLE one_{revision}")
        text += function.format("upgrade_engine2", f"CREATE TABLE IF NOT EXISTS {name} (x int)")
        text += function.format("downgrade_engine2", last)
        (ini.parent / f"migrations/versions/{revision}.py").write_text(text)
    assert proven(ini) == {"aaaa": "proven", "bbbb": "dirty"}


SHAPES = {
    "DATABASE_URL": plain(),
    "a transaction for each migration": plain(options=", transaction_per_migration=True"),
    "one transaction for all": plain(options=", transaction_per_migration=False"),
    "the version table in a schema that is there": plain(options=', version_table_schema="meta", version_table="v", include_schemas=True'),
    "the version table in a schema that env.py makes": """
with {engine}.connect() as connection:
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS meta"))
    connection.commit()
    context.configure(connection=connection, version_table_schema="meta", include_schemas=True)
    with context.begin_transaction():
        context.run_migrations()
""",
    "a lock of its own, in a transaction that env.py commits": """
with {engine}.connect() as connection:
    connection.execute(text("SELECT pg_advisory_xact_lock(1)"))
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
""",
    "a transaction object of its own": """
with {engine}.begin() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
""",
    "a lock and time-outs within Alembic's transaction": """
with {engine}.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.execute("SET LOCAL lock_timeout = '4s'")
        context.execute("SELECT pg_advisory_xact_lock(1)")
        context.run_migrations()
""",
    "a search path for the first transaction": """
with {engine}.connect() as connection:
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS tenant"))
    connection.commit()
    context.configure(connection=connection, version_table_schema="tenant")
    with context.begin_transaction():
        context.execute("SET LOCAL search_path TO tenant")
        context.run_migrations()
""",
    "a connection that is never closed": """
global connection
connection = {engine}.connect()
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
""",
    "each statement committed": plain(f'{ENGINE}.execution_options(isolation_level="AUTOCOMMIT")'),
    "migrations run twice": plain() + plain(options=', version_table="second"').replace("context.run_migrations()", "pass"),
    "errors swallowed and logged": """
import logging
try:
    with {engine}.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
except Exception:
    logging.exception("migration failed")
    raise RuntimeError("see the log") from None
""",
}  # fmt: skip


# Alembic's autocommit_block() fails, or loses what was set, in a transaction that env.py has begun
WITHOUT_AUTOCOMMIT_BLOCK = {
    "a lock of its own, in a transaction that env.py commits",
    "a transaction object of its own",
    "a search path for the first transaction",
}


@pytest.mark.spread(5)
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_env_py(init: Callable[..., Path], proven: Callable[..., dict[str, str]], shape: str) -> None:
    expected = EXPECTED | ({"dddd": "broken"} if shape in WITHOUT_AUTOCOMMIT_BLOCK else {})
    assert proven(init(online=SHAPES[shape].replace("{engine}", ENGINE))) == expected


CONNECTED = """
connection = config.attributes.get("connection")
if connection is None:
    raise SystemExit("no connection")
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
"""
ENGINED = """
with config.attributes["connection"].connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


@pytest.mark.slow
@pytest.mark.parametrize("online", [CONNECTED, ENGINED], ids=["connection", "engine"])
def test_a_connection_in_attributes(
    init: Callable[..., Path], proven: Callable[..., dict[str, str]], online: str
) -> None:
    assert proven(init(online=online)) == EXPECTED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "variables"),
    [
        ('create_engine(os.environ["MY_URL"], poolclass=NullPool)', (("MY_URL", "{url}"),)),
        (
            'create_engine("postgresql+psycopg://", connect_args=dict(host=os.environ["H"], port=os.environ["P"],'
            ' user=os.environ["U"], dbname=os.environ["D"]), poolclass=NullPool)',
            (("H", "{host}"), ("P", "{port}"), ("U", "{user}"), ("D", "{dbname}")),
        ),
    ],
    ids=["url", "parts"],
)
def test_other_variables(
    init: Callable[..., Path],
    proven: Callable[..., dict[str, str]],
    engine: str,
    variables: tuple[tuple[str, str], ...],
) -> None:
    assert proven(init(online=plain(engine)), access=Access(variables)) == EXPECTED


def test_arguments_and_another_section(init: Callable[..., Path], proven: Callable[..., dict[str, str]]) -> None:
    ini = init(online="assert context.get_x_argument(as_dictionary=True) == {'tenant': 'one'}\n" + plain())
    ini.write_text(ini.read_text().replace("[alembic]", "[second]", 1))
    assert proven(ini, section="second", arguments=("tenant=one",)) == EXPECTED


@pytest.mark.slow
def test_what_was_read_at_import_stays_where_it_was(
    init: Callable[..., Path], proven: Callable[..., dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A settings module is imported once; two processes must not use one database for that."""
    (tmp_path / "its_settings.py").write_text('import os\n\nURL = os.environ["DATABASE_URL"]\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "its_settings", raising=False)
    ini = init(online="import its_settings\n" + plain("create_engine(its_settings.URL, poolclass=NullPool)"))
    revision = ini.parent / "migrations/versions/aaaa.py"
    revision.write_text(f"import its_settings\n{revision.read_text()}")
    assert proven(ini, jobs=2) == EXPECTED


def test_a_database_that_a_killed_process_has_begun_is_dropped(server: Cluster) -> None:
    """A server goes on with CREATE DATABASE when the client is gone; the proof that follows uses the same names."""
    with scratch_database.named_server(server.target("postgres")) as place:
        dbname = next(scratch_database.DatabaseNames(place.token))
        killed = place._session()
        killed.pgconn.send_query(f"CREATE DATABASE {dbname}".encode())
        scratch_database.renew(place)
        place.create_database(dbname)
        killed.close()


# What is not the scratch database is not touched


def tables(target: Target) -> list[tuple[str]]:
    with connect(target) as connection:
        query = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        rows: list[tuple[str]] = connection.execute(query).fetchall()
    return rows


@pytest.mark.parametrize("swallowed", [False, True], ids=["raised", "swallowed"])
def test_a_connection_of_another_making_is_refused_before_its_first_statement(
    init: Callable[..., Path], proven: Callable[..., dict[str, str]], database: Target, swallowed: bool
) -> None:
    with connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE precious ()")
    login = f"'dbname={database.dbname} user=postgres host={database.host}'"
    connect_itself = f"creator=lambda: __import__('psycopg').connect({login})"
    online = plain(f'create_engine("postgresql+psycopg://", {connect_itself}, poolclass=NullPool)')
    if swallowed:
        body = online.strip().replace("\n", "\n    ")
        online = f"try:\n    {body}\nexcept Exception:\n    pass"
    with pytest.raises(InputError, match=f"env.py opened a connection to '{database.dbname}'"):
        proven(init(online=online))
    assert tables(database) == [("precious",)]


@pytest.mark.slow
def test_an_engine_with_another_database_is_led_to_the_scratch_database(
    init: Callable[..., Path], proven: Callable[..., dict[str, str]], database: Target
) -> None:
    """An application has its URL from anywhere; no option has to lead env.py away from it."""
    with connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE precious ()")
    url = f"postgresql+psycopg://postgres@/{database.dbname}?host={database.host}"
    assert proven(init(online=plain(f'create_engine("{url}")'))) == EXPECTED
    assert tables(database) == [("precious",)]


@pytest.mark.slow
def test_a_url_as_sqlalchemy_prints_it_is_taken(
    init: Callable[..., Path], proven: Callable[..., dict[str, str]]
) -> None:
    """The directory of a scratch server's socket has %2F in it, which configparser takes for an interpolation."""
    ini = init()
    env = ini.parent / "migrations/env.py"
    line = 'config.set_main_option("sqlalchemy.url", make_url(os.environ["DATABASE_URL"]).render_as_string(False))\n'
    first = "import os\nfrom sqlalchemy.engine import make_url\n"
    text = env.read_text().replace("config = context.config\n", f"config = context.config\n{line}", 1)
    env.write_text(first + text)
    assert line in env.read_text()
    assert proven(ini) == EXPECTED


def test_a_migration_that_goes_elsewhere_is_refused(
    init: Callable[..., Path], proven: Callable[..., dict[str, str]], database: Target
) -> None:
    up = f"python:sa.create_engine('postgresql+psycopg://postgres@/{database.dbname}?host={database.host}').connect().exec_driver_sql('CREATE TABLE lost ()')"
    with pytest.raises(InputError, match=f"opened a connection to '{database.dbname}'"):
        proven(init(revisions=[("aaaa", None, up, NOTHING)]))
    assert tables(database) == []


def test_sqlite_is_not_the_scratch_database(init: Callable[..., Path], proven: Callable[..., dict[str, str]]) -> None:
    with pytest.raises(InputError, match="sqlite3"):
        proven(init(online=plain('create_engine("sqlite://")')))


@pytest.mark.parametrize(
    ("online", "words"),
    [
        ("pass", "ended without running any migrations"),
        ("raise ValueError('no settings')", "failed: ValueError: no settings"),
        ("raise SystemExit(3)", "failed: SystemExit: 3"),
        (plain('create_engine(os.environ["NOT_SET"])'), "failed: KeyError: 'NOT_SET'"),
    ],
)
def test_an_env_py_that_cannot_be_run_says_why(
    init: Callable[..., Path], proven: Callable[..., dict[str, str]], online: str, words: str
) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        proven(init(online=online))


@pytest.mark.slow
def test_what_an_env_py_misses_in_an_empty_database_is_said(
    init: Callable[..., Path], proven: Callable[..., dict[str, str]]
) -> None:
    online = plain().replace(
        "    context.configure",
        "    connection.execute(text('SET search_path = ' + context.get_x_argument(True).get('tenant', 'nobody')))\n"
        "    connection.commit()\n    context.configure",
        1,
    )
    ini = init(online=online)
    with pytest.raises(InputError, match="no schema has been selected to create in") as caught:
        proven(ini)
    assert caught.value.hint.startswith("env.py reads the arguments of -x, and none was given: -x NAME=VALUE")
    with pytest.raises(InputError) as caught:
        proven(ini, arguments=("tenant=acme",))
    assert caught.value.hint.startswith("Where another program makes that before the first revision: [dbkit] initial")
    (ini.parent / "schemas.sql").write_text("CREATE SCHEMA acme")
    ini.write_text(f"{ini.read_text()}\n[dbkit]\ninitial = schemas.sql\n")
    assert proven(ini, arguments=("tenant=acme",))["aaaa"] == "proven"


@pytest.mark.slow
def test_nothing_is_left_on_a_named_server(
    init: Callable[..., Path], proven: Callable[..., dict[str, str]], server: Cluster
) -> None:
    def databases() -> set[str]:
        with psycopg.connect(**server.target("postgres").parameters()) as connection:
            return {row[0] for row in connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'dbkit%'")}

    with psycopg.connect(**server.target("postgres").parameters(), autocommit=True) as connection:
        # what a killed process would have left, and a database of somebody else
        connection.execute("CREATE DATABASE dbkit_proof_00112233445566aa_7")
        connection.execute("CREATE DATABASE dbkit_proof_of_mine")
    proven(init())
    assert databases() == {"dbkit_proof_of_mine"}
