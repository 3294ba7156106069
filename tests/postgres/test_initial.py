"""`[dbkit] initial`: the state in which a chain begins, in every scratch database."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from dbkit import project
from dbkit.errors import InputError
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.sql_script import split_script
from dbkit.project.initial import Initial
from dbkit.roundtrip.prove import Request, prove
from dbkit.roundtrip.scratch_migrations import open_scratch
from dbkit.settings import Settings, Target

INITIAL = """\
CREATE ROLE team_owner;
CREATE SCHEMA app AUTHORIZATION team_owner;
CREATE TYPE app.mood AS ENUM ('sad', 'happy');
CREATE TABLE app."user" (id serial PRIMARY KEY, name text, mood app.mood);
"""
CHAIN = [
    ("aaaa", None, "ALTER TABLE app.\"user\" ADD COLUMN city text; GRANT SELECT ON app.\"user\" TO team_owner", "REVOKE SELECT ON app.\"user\" FROM team_owner; ALTER TABLE app.\"user\" DROP COLUMN city"),
    ("bbbb", "aaaa", "CREATE TABLE notes (user_id int REFERENCES app.\"user\")", "DROP TABLE notes"),
    ("cccc", "bbbb", "python:with op.get_context().autocommit_block():\n        op.execute('CREATE INDEX CONCURRENTLY ic ON notes (user_id)')", "DROP INDEX ic"),
]  # fmt: skip


def verdicts(settings: Settings, ini: Path, jobs: int = 1) -> dict[str, str]:
    outcome = prove(settings, ini, Request(jobs=jobs))
    return {each.revision: str(each.verdict) for each in outcome.revisions}


@pytest.mark.spread(4)
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("kind", ["script", "function"])
def test_every_scratch_database_begins_with_it(
    init: Callable[..., Path], local_settings: Settings, kind: str, jobs: int
) -> None:
    """Also the clones of a step that leaves its transaction, and those of another process; the role is made once."""
    ini = init(revisions=CHAIN)
    (ini.parent / "base.sql").write_text(INITIAL)
    (ini.parent / "team_initial.py").write_text(f"def make(connection):\n    connection.execute({INITIAL!r})\n")
    value = "base.sql" if kind == "script" else "team_initial:make"
    ini.write_text(f"{ini.read_text()}\n[dbkit]\ninitial = {value}\n")
    assert verdicts(local_settings, ini, jobs) == dict.fromkeys(("aaaa", "bbbb", "cccc"), "proven")


@pytest.mark.slow
def test_its_absence_is_named(init: Callable[..., Path], local_settings: Settings) -> None:
    """In the first revision, and in a later one that misses what no other creates."""
    late = ("bbbb", "aaaa", "GRANT SELECT ON t TO team_reader", "REVOKE SELECT ON t FROM team_reader")
    early = [CHAIN[0], ("bbbb", "aaaa", "SELECT 1", "SELECT 1")]
    for chain, failing in ((early, "aaaa"), ([("aaaa", None, "CREATE TABLE t ()", "DROP TABLE t"), late], "bbbb")):
        ini = init(revisions=chain)
        outcome = prove(local_settings, ini, Request())
        (found,) = (each for each in outcome.revisions if each.revision == failing)
        assert "[dbkit] initial = FILE.sql" in str(found), found
        shutil.rmtree(ini.parent / "migrations")


@pytest.mark.slow
def test_a_table_that_a_revision_has_dropped_is_no_sign_of_it(
    init: Callable[..., Path], local_settings: Settings
) -> None:
    chain = [
        ("aaaa", None, "CREATE TABLE gone (id int)", "DROP TABLE gone"),
        ("bbbb", "aaaa", "DROP TABLE gone", "CREATE TABLE gone (id int)"),
        ("cccc", "bbbb", "ALTER TABLE gone ADD x int", "ALTER TABLE gone DROP x"),
    ]
    outcome = prove(local_settings, init(revisions=chain), Request())
    assert "does not exist" in str(outcome.revisions)
    assert "[dbkit] initial" not in str(outcome.revisions)


DUMP = """\
--
-- PostgreSQL database dump
--

\\restrict Gx0uTf1k

-- Dumped from database version 18.1

SET statement_timeout = 0;
SET a_setting.of_a_newer_server = 0;
SET idle_in_transaction_session_timeout_of_20 = 0;
SET client_encoding = 'UTF8';
SELECT pg_catalog.set_config('search_path', '', false);
CREATE SCHEMA public;
CREATE FUNCTION public.f() RETURNS integer
    LANGUAGE sql
    BEGIN ATOMIC
 SELECT 1;
 SELECT 2;
END;
CREATE TABLE public.cities (
    id integer NOT NULL,
    name text DEFAULT 'COPY x FROM stdin;'::text
);
CREATE ROLE dump_owner;
CREATE ROLE dump_owner;
ALTER TABLE public.cities OWNER TO dump_owner;

COPY public.cities (id, name) FROM stdin;
1\tO'Slo; -- not a comment
2\t$$ "
3\t\\\\.
\\.

SELECT pg_catalog.setval('public.s', 3, true) WHERE false;

-- nothing
COPY public.cities (id, name) FROM stdin;
\\.
\\unrestrict Gx0uTf1k
"""


def test_a_dump_is_accepted(server: Cluster, database: Target, tmp_path: Path) -> None:
    """COPY with data, \\restrict, settings of a newer server, roles that are there already."""
    path = tmp_path / "dump.sql"
    path.write_text(DUMP.replace("SELECT pg_catalog.setval('public.s', 3, true) WHERE false;\n", ""))
    Initial("dump.sql", tmp_path).apply(database)
    with psycopg.connect(**database.parameters()) as connection:
        rows = connection.execute("SELECT id, name FROM public.cities ORDER BY id").fetchall()
        assert rows == [(1, "O'Slo; -- not a comment"), (2, '$$ "'), (3, "\\.")]
        assert connection.execute("SELECT public.f()").fetchone() == (2,)
        connection.execute("DROP OWNED BY dump_owner; DROP ROLE dump_owner")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT 1;\nALTER TABLE t OWNER TO team_nobody;", 'line 2: role "team_nobody" does not exist'),
        ("CREATE TABLE t (id int);\n\n\\connect other\n", "line 3 has a command of psql: \\connect other"),
        ("CREATE TABLE t (id int);\nCOPY t FROM stdin;\n1\n", "line 2: the data of this COPY have no end"),
        ("CREATE TABLE t (id int);\nCOPY t FROM stdin;\nx\n\\.\n", "line 2: invalid input syntax for type integer"),
        ("SELEC 1", "line 1: syntax error"),
    ],
)
def test_an_error_names_the_line(database: Target, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.sql"
    path.write_text(text.replace("ALTER TABLE t", "CREATE TABLE IF NOT EXISTS t (); ALTER TABLE t"))
    with pytest.raises(InputError) as raised:
        Initial("x.sql", tmp_path).apply(database)
    assert words in raised.value.message
    assert ("CREATE ROLE" in raised.value.hint) == ("team_nobody" in text)


@pytest.mark.parametrize("source", ["no_module_here:make", "json:nothing", "json:", "missing.sql"])
def test_a_source_that_is_not_there(database: Target, tmp_path: Path, source: str) -> None:
    with pytest.raises(InputError):
        Initial(source, tmp_path).apply(database)


@pytest.mark.slow
def test_a_state_that_is_not_before_the_first_revision(init: Callable[..., Path], local_settings: Settings) -> None:
    ini = init(revisions=[("aaaa", None, "SELECT 1", "SELECT 1")])
    (ini.parent / "base.sql").write_text(
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); INSERT INTO alembic_version VALUES ('aaaa')"
    )
    ini.write_text(f"{ini.read_text()}\n[dbkit]\ninitial = base.sql\n")
    with pytest.raises(InputError, match="is at aaaa, and the first revision is to be applied"):
        prove(local_settings, ini, Request())


def test_a_long_script_is_split_once() -> None:
    """In one pass, whatever its length: a dump has thousands of statements."""
    steps = list(split_script("".join(f"CREATE TABLE t{n} (a text DEFAULT ';');\n" for n in range(5000))))
    assert (len(steps), steps[-1].line) == (5000, 5000)
    assert json.dumps(steps[0].text) == json.dumps("CREATE TABLE t0 (a text DEFAULT ';')")


MODULES = {
    "def make(connection):\n    raise SystemExit('no licence')\n": "SystemExit: no licence",
    "raise KeyError('APP_SETTING')\n": "KeyError: 'APP_SETTING'",
    "def make(:\n": "SyntaxError: ",
    "raise SystemExit(3)\n": "SystemExit: 3",
}


@pytest.mark.parametrize("source", MODULES)
def test_what_a_module_of_the_project_raises_is_one_sentence(
    tmp_path: Path, database: Target, source: str, request: pytest.FixtureRequest
) -> None:
    """Neither a traceback, nor an exit without a word."""
    module = f"initial_{abs(hash(request.node.nodeid)):x}"
    (tmp_path / f"{module}.py").write_text(source)
    with pytest.raises(InputError) as caught:
        Initial(f"{module}:make", tmp_path).apply(database)
    assert f"[dbkit] initial = {module}:make failed: {MODULES[source]}" in caught.value.message


def test_the_kit_s_own_project_begins_before_its_first_revision(
    init: Callable[..., Path], local_settings: Settings, server: Cluster
) -> None:
    """A version table with rows would leave out migrations that check, drift and the dry run are about."""
    ini = init(revisions=[("bbbb", None, "SELECT 1", "SELECT 1")])
    (ini.parent / "base.sql").write_text(
        "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('bbbb');"
    )
    ini.write_text(f"{ini.read_text()}\n[dbkit]\ninitial = base.sql\n")
    with pytest.raises(InputError, match="is at bbbb, and the first revision is to be applied"):
        open_scratch(project.load(ini), local_settings, server, "gated_initial")
