"""The kit beside a project whose env.py is its own: no verb reaches that team's database."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbkit import catalog
from dbkit.cli import VERBS
from dbkit.postgres import scratch_cluster
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Settings, Target
from support.battery import revision_file
from support.installed import Installed, arguments_of, installed
from support.pair import url_of
from support.running import others_slow

REVISIONS = (
    ("a111", None, "CREATE TABLE customers (id int PRIMARY KEY, name text)", "DROP TABLE customers"),
    ("a222", "a111", "ALTER TABLE customers ADD note text", "ALTER TABLE customers DROP note"),
    ("a333", "a222", "ALTER TABLE customers DROP name", "ALTER TABLE customers ADD name text"),
)
AT = "a222"
NEEDS_GATE = ("migrate", "revision", "rollback", "redo", "mark", "wait", "log", "drift", "sql")


@pytest.fixture(scope="module")
def team_server(local_settings: Settings) -> Iterator[Cluster]:
    """The other team's server, which logs each connection and each statement."""
    with scratch_cluster.cluster(local_settings) as cluster:
        with psycopg.connect(**cluster.target("postgres").parameters(), autocommit=True) as connection:
            for setting in ("log_statement = 'all'", "log_connections = on"):
                connection.execute(f"ALTER SYSTEM SET {setting}")
            connection.execute("SELECT pg_reload_conf()")
        yield cluster


@dataclass
class Foreign:
    """A project from `alembic init`, its team's database, and the one that DATABASE_URL names."""

    root: Path
    team: Cluster
    mine: Target
    kit: Installed

    @property
    def theirs(self) -> Target:
        """Of the same name as the other one."""
        return self.team.target(self.mine.dbname)

    def write_env(self, text: str) -> None:
        (self.root / "migrations/env.py").write_text(text)

    def run(self, *command: str) -> "Ran":
        """Run a verb in it."""
        before = self.team.log.stat().st_size
        code, printed = self.kit.run(*command)
        return Ran(code, printed, self.team.log.read_bytes()[before:].decode())

    def refill(self) -> None:
        """Make the database of DATABASE_URL as it was at first."""
        with psycopg.connect(**self.mine.parameters(), autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        fill(self.mine)

    def state(self, target: Target) -> tuple[Any, ...]:
        """Everything in a database: the catalog, the rows, the version."""
        with psycopg.connect(**target.parameters()) as connection:
            rows = connection.execute("SELECT c::text FROM customers AS c ORDER BY id").fetchall()
            return catalog.read_facts(connection), rows, connection.execute("TABLE alembic_version").fetchall()


@dataclass(frozen=True)
class Ran:
    """What a verb has printed, and what the team's server has logged meanwhile."""

    code: int
    printed: str
    logged: str

    @property
    def statements(self) -> list[str]:
        """What was executed on the team's server, but for the question which database it is."""
        lines = [line for line in self.logged.splitlines() if "statement: " in line or "execute " in line]
        return [
            line
            for line in lines
            if not line.endswith("statement: SELECT pg_catalog.current_database()::pg_catalog.text,")
        ]


@pytest.fixture(scope="module")
def foreign(team_server: Cluster, server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    """At the second of three revisions, both databases with rows."""
    directory = tmp_path_factory.mktemp("foreign")
    root = directory / "project"
    root.mkdir()
    subprocess.run([sys.executable, "-m", "alembic", "init", "migrations"], cwd=root, capture_output=True, check=True)
    mine = server.create_database(f"shop_{directory.name}")
    theirs = team_server.create_database(mine.dbname)
    ini = root / "alembic.ini"
    url = url_of(theirs).replace("postgresql://", "postgresql+psycopg://").replace("%", "%%")
    ini.write_text(re.sub(r"(?m)^sqlalchemy.url = .*", lambda _: f"sqlalchemy.url = {url}", ini.read_text()))
    for revision, parent, up, down in REVISIONS:
        (root / f"migrations/versions/{revision}.py").write_text(revision_file(revision, parent, revision, up, down))
    for target in (theirs, mine):
        fill(target)
    with installed(root, mine, {"TEAM_URL": url.replace("%%", "%")}) as kit:
        yield Foreign(root, team_server, mine, kit)


def fill(target: Target) -> None:
    with psycopg.connect(**target.parameters()) as connection:
        connection.execute("CREATE TABLE customers (id int PRIMARY KEY, name text, note text)")
        connection.execute("INSERT INTO customers SELECT i, 'name ' || i FROM generate_series(1, 300) AS i")
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES (%s)", [AT])
        connection.execute("COMMENT ON TABLE alembic_version IS 'dbkit environment: development'")


@pytest.fixture(scope="module")
def all_verbs(foreign: Foreign, server: Cluster) -> dict[str, tuple[Ran, bool, bool]]:
    """Each verb, run once: what came of it, and whether theirs and mine are as they were before."""
    found = {}
    theirs, mine = foreign.state(foreign.theirs), foreign.state(foreign.mine)
    for name in VERBS:
        ran = foreign.run(name, *arguments_of(name, server.target("postgres")))
        unchanged = (foreign.state(foreign.theirs) == theirs, foreign.state(foreign.mine) == mine)
        found[name] = (ran, *unchanged)
        mine = foreign.state(foreign.mine)
    return found


@pytest.mark.parametrize("name", VERBS)
def test_no_verb_reaches_the_database_of_a_foreign_env_py(
    all_verbs: dict[str, tuple[Ran, bool, bool]], name: str
) -> None:
    ran, theirs_unchanged, mine_unchanged = all_verbs[name]
    assert "required" not in ran.printed, "give this verb its arguments, in installed.py"
    assert "Traceback" not in ran.printed
    assert theirs_unchanged
    assert not [line for line in ran.logged.splitlines() if "statement: " in line or "connection" in line]
    if name in NEEDS_GATE:
        assert mine_unchanged
        assert ran.code == 2, ran.printed
        assert "env.py does not call dbkit.gate.install or dbkit.gate.run, so it was not run." in ran.printed
        assert "from dbkit import gate" in ran.printed


HEAD = """\
import os
from pathlib import Path

import psycopg
import sqlalchemy as sa
from alembic import context

from dbkit import gate

TEAM = os.environ["TEAM_URL"]
PLAIN = TEAM.replace("+psycopg", "")


def online(engine):
    with engine.connect() as connection:
        connection.execute(sa.text("DROP TABLE customers"))
        connection.commit()
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()


def through_the_gate():
    gate.run(context, root=Path(__file__).resolve().parents[1], load_metadata=sa.MetaData)


"""
CAUGHT = """
try:
    online(sa.create_engine(TEAM))
except BaseException:
    pass
"""
ASYNCHRONOUS = """
import asyncio
from sqlalchemy.ext.asyncio import create_async_engine

async def main():
    async with create_async_engine(TEAM).connect() as connection:
        await connection.execute(sa.text("DROP TABLE customers"))
        await connection.commit()

asyncio.run(main())
"""
# env.py files that a look at their text takes for ones behind the gate
ENVIRONMENTS = {
    "the gate is imported only": "online(sa.create_engine(TEAM))",
    "the gate is imported only, and nothing is done": "",
    "errors are caught": CAUGHT,
    "errors are caught before the gate": f"{CAUGHT}\nthrough_the_gate()",
    "a connection before the gate": "psycopg.connect(PLAIN, autocommit=True).execute('DROP TABLE customers')\nthrough_the_gate()",
    "a connection after the gate": "through_the_gate()\nonline(sa.create_engine(TEAM))",
    "psycopg, and errors are caught": "try:\n    psycopg.connect(PLAIN).execute('DROP TABLE customers')\nexcept Exception:\n    through_the_gate()",
    "an engine that is given a connection": "online(sa.create_engine('postgresql+psycopg://', creator=lambda: psycopg.connect(PLAIN)))",
    "several engines": "for url in (os.environ['DATABASE_URL'].replace('postgresql:', 'postgresql+psycopg:'), TEAM):\n    online(sa.create_engine(url))",
    "asynchronous": ASYNCHRONOUS,
    "settings of its own for the gate": "context.config.attributes.clear()\nthrough_the_gate()",
    "models that are read from a database": "gate.run(context, root=Path('.'), load_metadata=lambda: sa.MetaData().reflect(sa.create_engine(TEAM)))",
}  # fmt: skip
APPLIES = ("a connection after the gate", "models that are read from a database")
"""Where `migrate` has passed the gate already, or never comes by the connection."""


REFUSALS = (
    "does not call dbkit.gate.install or dbkit.gate.run",
    "opens a connection before it calls the gate; it was refused",
    "ended without calling the gate",
    "this run is for",
)


@pytest.fixture
def restored(foreign: Foreign) -> Iterator[Foreign]:
    """The project; what a test does to its env.py, its revisions and the database of DATABASE_URL is undone."""
    kept = shutil.copytree(foreign.root / "migrations", foreign.root.parent / "kept")
    yield foreign
    shutil.rmtree(foreign.root / "migrations")
    kept.rename(foreign.root / "migrations")
    foreign.refill()


# a rehearsal starts a server of its own, so most of them are for the slow run
REHEARSED = ("errors are caught before the gate", "settings of its own for the gate", "a connection after the gate")
CASES = [
    ("a connection after the gate", "sql"),
    ("the gate is imported only", "sql"),
    *((shape, "migrate") for shape in ENVIRONMENTS),
    *others_slow(
        len(REHEARSED), [(shape, "check") for shape in sorted(ENVIRONMENTS, key=lambda shape: shape not in REHEARSED)]
    ),
]


@pytest.mark.spread(3)
@pytest.mark.parametrize(("shape", "verb"), CASES)
def test_an_env_py_that_goes_past_the_gate_reaches_nothing(restored: Foreign, shape: str, verb: str) -> None:
    restored.write_env(HEAD + ENVIRONMENTS[shape])
    theirs, mine = restored.state(restored.theirs), restored.state(restored.mine)
    ran = restored.run(verb)
    assert restored.state(restored.theirs) == theirs
    assert not ran.statements
    assert "Traceback" not in ran.printed
    if not (verb == "migrate" and shape in APPLIES):
        assert ran.code == 2, ran.printed
        assert any(words in ran.printed for words in REFUSALS), ran.printed
        assert restored.state(restored.mine) == mine


@pytest.mark.parametrize("verb", [["rollback", "--to", "base"], *others_slow(0, [["redo"], ["drift"]])])
def test_a_rehearsal_with_settings_of_its_own_reaches_nothing(restored: Foreign, verb: list[str]) -> None:
    restored.write_env(HEAD + ENVIRONMENTS["settings of its own for the gate"])
    before = restored.state(restored.theirs), restored.state(restored.mine)
    ran = restored.run(*verb)
    assert ran.code == 2, ran.printed
    assert (restored.state(restored.theirs), restored.state(restored.mine)) == before


MIGRATION = """\
import os

import psycopg
import sqlalchemy as sa
from alembic import op

revision, down_revision = "a444", "a333"


def upgrade():
    op.execute("CREATE TABLE half (id int)")
    {body}


def downgrade():
    op.execute("DROP TABLE half")
"""
ELSEWHERE = {
    "SQLAlchemy": "sa.create_engine(os.environ['TEAM_URL']).connect().execute(sa.text('DROP TABLE customers'))",
    "psycopg, and the error is caught": "try:\n        psycopg.connect(os.environ['TEAM_URL'].replace('+psycopg', ''))\n    except Exception:\n        pass",
}


@pytest.mark.parametrize("way", ELSEWHERE)
def test_a_migration_that_opens_a_connection_elsewhere_is_rolled_back(restored: Foreign, way: str) -> None:
    restored.write_env(f"{HEAD}through_the_gate()")
    (restored.root / "migrations/versions/a444.py").write_text(MIGRATION.format(body=ELSEWHERE[way]))
    theirs = restored.state(restored.theirs)
    ran = restored.run("migrate")
    assert ran.code == 1, ran.printed
    assert f'opens a connection to "{restored.mine.dbname}" on another server' in ran.printed
    assert "nothing of it was kept, the database is at a333" in ran.printed
    assert restored.state(restored.theirs) == theirs
    assert not ran.statements


def test_a_second_connection_to_the_same_database_is_let_through(restored: Foreign) -> None:
    """By another way to it: what counts is which database it is."""
    restored.write_env(f"{HEAD}through_the_gate()")
    second = "sa.create_engine(os.environ['DATABASE_URL'].replace('postgresql:', 'postgresql+psycopg:')).connect().execute(sa.text('SELECT 1'))"
    third = "psycopg.connect(os.environ['DATABASE_URL'] + '&application_name=third').execute('SELECT 1')"
    body = f"{second}\n    {third}"
    (restored.root / "migrations/versions/a444.py").write_text(MIGRATION.format(body=body))
    ran = restored.run("migrate")
    assert ran.code == 0, ran.printed
    assert restored.state(restored.mine)[2] == [("a444",)]
