"""Whoever may create in a schema of the search path cannot run code as the role that migrates (CVE-2018-1058)."""

import ast
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from dbkit.cli import VERBS
from dbkit.postgres import scratch_cluster
from dbkit.settings import Settings, Target
from support.every_verb import VERBS_RUN, prepare
from support.pair import Pair
from support.pair import make as make_pair
from support.sessions import HOSTILE_SETTINGS

PACKAGE = Path(__file__).resolve().parents[2] / "src/dbkit"
# Types that arguments of ours have, or that a literal can be taken for
TYPES = ("text", "name", "varchar", "regclass", "oid", "int4", "int8", "bool", '"char"', "timestamptz")
MORE = ("text[]", "name[]", "int8[]", "int2[]", "xid8", "json", "bytea", "numeric", "float8", "anyarray", "anyelement")
OPERATORS = (
    "=",
    "<>",
    "<",
    ">",
    "<=",
    ">=",
    "||",
    "~",
    "!~",
    "+",
    "-",
    "*",
    "/",
    "%",
    "|",
    "&",
    "<<",
    "~~",
    "->>",
    "@>",
)
RELATIONS = ("pg_class", "pg_namespace", "pg_locks", "pg_stat_activity", "pg_proc", "pg_index", "pg_database")
SEVERAL = 3  # arguments; more are not combined
# by the number of arguments: in every run, and in the slow one
FEW = ((), (*TYPES, *MORE), ("text", "name", "oid"), ("text",))
MANY = ((), (*TYPES, *MORE), TYPES, ("text", "name", "int4", "bool"))


def sql_of_the_package() -> str:
    """All text that may be SQL: every string in the package, f-strings in pieces."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def called_functions(connection: psycopg.Connection) -> list[str]:
    """The functions of the server that are called somewhere in it."""
    words = {word.lower() for word in re.findall(r"\b([A-Za-z_]\w*)\s*\(", sql_of_the_package())}
    known = connection.execute(
        "SELECT DISTINCT proname FROM pg_catalog.pg_proc WHERE proname = ANY (%s)", [list(words)]
    )
    return sorted(row[0] for row in known)


def plant(target: Target, pools: Sequence[Sequence[str]]) -> dict[str, int]:
    """As a role that may do nothing but create in public: an overload for each likely combination of arguments."""
    with psycopg.connect(**target.parameters(), autocommit=True, options="-c statement_timeout=0") as connection:
        names = called_functions(connection)
        connection.execute("GRANT CREATE, USAGE ON SCHEMA public TO mallory")
        connection.execute("SET SESSION AUTHORIZATION mallory")
        functions = [
            _function(name, types)
            for name in names
            for count in range(SEVERAL + 1)
            for types in itertools.product(pools[count], repeat=count)
        ]
        pairs = list(itertools.product(TYPES, repeat=2))
        operators = [_operator(name, pair) for name in OPERATORS for pair in pairs]
        connection.execute(
            "\n".join([*functions, *(_function("planted", pair) for pair in pairs), *operators]).encode()
        )
        for name in RELATIONS:
            query = sql.SQL("CREATE VIEW public.{} AS SELECT * FROM pg_catalog.{}").format(*[sql.Identifier(name)] * 2)
            connection.execute(query)
    return {
        "functions": len(names),
        "overloads": len(functions),
        "operators": len(operators),
        "relations": len(RELATIONS),
    }


def _function(name: str, types: tuple[str, ...]) -> str:
    returns = "bool" if name == "planted" else "text"
    body = f"BEGIN RAISE EXCEPTION 'HIJACKED by {name}({', '.join(types)}) as %', current_user; END"
    signature = f'public."{name}"({", ".join(types)})'
    return f"CREATE OR REPLACE FUNCTION {signature} RETURNS {returns} LANGUAGE plpgsql AS $$ {body} $$;"


def _operator(name: str, types: tuple[str, str]) -> str:
    left, right = types
    return f"CREATE OPERATOR public.{name} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.planted);"


# What runs SQL of the project, or of SQLAlchemy, needs a search path in which that is safe
SQL_OF_THE_PROJECT = {"backfill", "seed", "reset", "drift", "check"}
# These write files, or run on databases of their own
ELSEWHERE = {
    "adopt",
    "new",
    "revision",
    "merge",
    "rebase-migration",
    "prove",
    "report",
    "roundtrip",
    "lint",
    "trace",
    "explain",
    "sizes",
    "diagram",
    "db-start",
    "db-stop",
}


@pytest.fixture
def planted(local_settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A project behind the gate, whose database somebody else has prepared."""
    with scratch_cluster.cluster(local_settings) as cluster:
        target = cluster.create_database("team")
        with psycopg.connect(**cluster.target("postgres").parameters(), autocommit=True) as connection:
            connection.execute("CREATE ROLE mallory")
        pair = make_pair(tmp_path, cluster.create_database("bare"), target)
        prepare(pair)
        yield pair


def test_each_verb_is_tried() -> None:
    """A new verb must be tried here, or be named as one that does not touch the database."""
    assert {name for name, _ in VERBS_RUN} | ELSEWHERE == set(VERBS)


@dataclass(frozen=True)
class Setting:
    """Who migrates, and what the database has set."""

    role: str = "postgres"
    pools: Sequence[Sequence[str]] = MANY
    settings: Mapping[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param(Setting(pools=FEW, settings=HOSTILE_SETTINGS), id="hostile settings"),
        pytest.param(Setting(), id="a superuser", marks=pytest.mark.slow),
        pytest.param(Setting(role="owner"), id="an owner", marks=pytest.mark.slow),
        # what migrations run is the project's; these must not need a function for this path
        pytest.param(
            Setting(settings={"search_path": "public, pg_catalog"}), id="public first", marks=pytest.mark.slow
        ),
    ],
)
def test_no_planted_function_is_run(planted: Pair, setting: Setting) -> None:
    """Functions, operators and views in public are not run, whatever the search path is."""
    project = planted.gated
    superuser = project.target
    with psycopg.connect(**superuser.parameters(), autocommit=True) as connection:
        for name, value in setting.settings.items():
            literal = value if name == "search_path" else f"'{value}'"
            connection.execute(f"ALTER DATABASE team SET {name} = {literal}".encode())
        if setting.role == "owner":
            connection.execute("CREATE ROLE owner LOGIN CREATEDB; ALTER DATABASE team OWNER TO owner")
            connection.execute("GRANT CREATE ON SCHEMA public TO owner")
    project.target = replace(superuser, user=setting.role)
    counts = plant(superuser, setting.pools)
    hits = []
    for verb, arguments in VERBS_RUN:
        if verb == "reset" or ("search_path" in setting.settings and verb in SQL_OF_THE_PROJECT):
            continue
        done = project.dbkit(verb, *arguments)
        text = done.stdout + done.stderr
        if "was not found in PG_BINDIR" in text:  # psql and pg_dump do not come with each server
            continue
        was_run = re.search(f"HIJACKED by [^%]* as {setting.role}", text)
        if was_run or (done.returncode and verb not in ("check", "drift", "resolve")):
            hits.append((verb, done.returncode, text[-600:]))
    print(counts, "hits", len(hits), *hits, sep="\n")
    assert hits == []
    assert project.dbkit("migrate").returncode == 0
    # the models are not compared with this database
    drafted = project.dbkit("revision", "-m", "anything")
    assert (drafted.returncode, "HIJACKED" in drafted.stderr) == (0, False), drafted.stderr
    assert project.dbkit("mark", "production").returncode == 0
    assert "marked    production" in project.dbkit("status").stdout
    assert project.dbkit("rollback", "--to", "base").returncode == 3
    reset = project.dbkit("reset", env={"CONFIRM": "team"})
    assert (reset.returncode, "HIJACKED" in reset.stderr) == (0, False), reset.stderr
