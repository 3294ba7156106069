"""What lint suggests can be pasted: it is Python, it runs, and it gives the schema that the dangerous statement gives."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from dbkit.backfill import backfill
from dbkit.catalog.facts import Fact
from dbkit.catalog.read import read_facts
from dbkit.findings.finding import LintFinding
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.sql_escape import escape
from dbkit.postgres.sql_quote import quote_name
from support.fix_cases import CASES, NAMES, SETUP, FixCase, Names
from support.lint_findings import advice_on, engine_of

# the type in the comment, which an author writes in place of the ellipsis
TYPE = re.compile(r"(sa\.Column\(.+?), …(.*\))  # ([^;\n]+)")


class Typed(sa.types.UserDefinedType[Any]):
    """A type by its name in SQL."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_options: object) -> str:
        return self.name


@pytest.fixture(scope="module")
def engine(server: Cluster) -> sa.Engine:
    return engine_of(server.create_database("fixes"))


@pytest.fixture(autouse=True)
def emptied(engine: sa.Engine) -> Iterator[None]:
    yield
    with engine.begin() as connection:
        empty(connection)


def empty(connection: sa.Connection) -> None:
    query = "SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'"
    for schema in connection.exec_driver_sql(query).scalars().all():
        connection.exec_driver_sql(f"DROP SCHEMA {escaped(schema)} CASCADE")
    connection.exec_driver_sql("CREATE SCHEMA public; DROP PUBLICATION IF EXISTS p")


def escaped(sql: str) -> str:
    return sql.replace("%", "%%")


def set_up(engine: sa.Engine, names: Names, *more: str) -> None:
    with engine.begin() as connection:
        empty(connection)
        for sql in (SETUP, *more):
            connection.exec_driver_sql(escaped(names.apply(sql)))


def read_result(engine: sa.Engine, names: Names, query: str) -> object:
    with engine.connect() as connection:
        if query:
            return connection.exec_driver_sql(escaped(names.apply(query))).all()
        facts: dict[Fact, str] = read_facts(connection.connection.dbapi_connection)  # type: ignore[arg-type]
        return {str(fact): definition for fact, definition in facts.items()}


def find(engine: sa.Engine, directory: Path, case: FixCase, names: Names) -> list[LintFinding]:
    body = "".join(f"    op.execute({escape(names.apply(sql))!r})\n" for sql in case.sql)
    return advice_on(engine, directory / "revision.py", f"def upgrade():\n{body}", case.version)


def run(engine: sa.Engine, code: str, **names: object) -> None:
    """Run code as the body of an upgrade()."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
        with Operations.context(context), context.begin_transaction(_per_migration=True):
            namespace = {"op": op, "sa": sa, "backfill": backfill, "Typed": Typed, **names}
            exec(compile(code, "fix", "exec"), namespace)  # noqa: S102


def fill(fix: str, case: FixCase) -> str:
    """Write what the advice leaves to its reader."""
    for place, text in case.fill.items():
        fix = fix.replace(place, text)
    return TYPE.sub(r'\1, Typed("\3")\2  #', fix)


@pytest.mark.spread(5)
@pytest.mark.parametrize("form", NAMES)
@pytest.mark.parametrize("name", CASES)
def test_advice_is_code_that_gives_the_same_schema(engine: sa.Engine, tmp_path: Path, name: str, form: str) -> None:
    case, names = CASES[name], NAMES[form]
    set_up(engine, names, *case.before)
    found = find(engine, tmp_path, case, names)
    for each in found:
        compile(each.fix.replace("…", "..."), each.id, "exec")
    fix = next(each.fix for each in found if each.id == case.id)
    wanted = read_result(engine, names, case.check[0])

    set_up(engine, names, *case.before, *case.given)
    text = {key: names.apply(value) for key, value in {"ASSIGNMENT": "{a} = {a} + 6", "CONDITION": "{a} < 7"}.items()}
    run(engine, fill(fix, case), **text)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS dbkit_backfill; {escaped(names.apply(case.after))}")
    assert read_result(engine, names, case.check[1]) == wanted


def one_fix(engine: sa.Engine, directory: Path, identifier: str, *sql: str, form: str = "quoted") -> str:
    """The only advice of a rule, for statements that are dangerous in one way."""
    names = NAMES[form]
    found = find(engine, directory, FixCase(identifier, sql), names)
    (fix,) = [each.fix for each in found if each.id == identifier]
    return fix


def test_a_value_that_is_too_long_is_refused_and_not_cut(engine: sa.Engine, tmp_path: Path) -> None:
    set_up(engine, NAMES["plain"])
    case = CASES["varchar"]
    fix = one_fix(engine, tmp_path, case.id, *case.sql, form="plain")
    set_up(engine, NAMES["plain"], "INSERT INTO t1 (id1, c1) VALUES (99, repeat('x', 11))")
    with pytest.raises(sa.exc.DataError, match="value too long"):
        run(engine, fill(fix, case))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("ALTER TABLE {t} ALTER {d} TYPE timestamptz", "{d} AT TIME ZONE '…'"),
        ("DO $$ BEGIN ALTER TABLE {t} ALTER {d} TYPE text USING {d} || ',' ; END $$", "{d} || ','"),
        ("DO $$ BEGIN EXECUTE 'ALTER TABLE {t} ALTER {d} TYPE text ' || 'USING {d}::text'; END $$", "…"),
        ("ALTER TABLE {t} ALTER {a} TYPE numeric(9, 2)", "{a}::numeric(9,2)"),
    ],
)
def test_a_new_type_has_the_values_of_the_statement(engine: sa.Engine, tmp_path: Path, sql: str, expected: str) -> None:
    names = NAMES["quoted"]
    set_up(engine, names)
    fix = one_fix(engine, tmp_path, "type-change-rewrites", "SET LOCAL timezone = 'Asia/Tokyo'", sql)
    (call,) = [
        each
        for each in ast.walk(ast.parse(fix.replace(", …)", ")")))
        if isinstance(each, ast.Call) and ast.unparse(each.func) == "backfill"
    ]
    assert ast.literal_eval(call.args[2]).partition(" = ")[2] == names.apply(expected)


def test_a_long_name_of_a_constraint_is_cut(engine: sa.Engine, tmp_path: Path) -> None:
    table = "a" * 50
    before = (f"CREATE TABLE {table} (id int PRIMARY KEY, a_long_name int)", f"INSERT INTO {table} VALUES (1, 1)")
    case = FixCase("not-null-by-scan", (f"ALTER TABLE {table} ALTER a_long_name SET NOT NULL",), version=17)
    set_up(engine, NAMES["plain"], *before)
    (found,) = [each for each in find(engine, tmp_path, case, NAMES["plain"]) if each.id == case.id]
    set_up(engine, NAMES["plain"], *before)
    run(engine, found.fix)
    assert (
        read_result(
            engine,
            NAMES["plain"],
            f"SELECT conname FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype = 'c'",
        )
        == []
    )


def test_names_are_quoted_as_the_server_does(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        words = connection.exec_driver_sql("SELECT word, quote_ident(word) FROM pg_get_keywords()").all()
    for word, quoted in [
        *words,
        ("a_1", "a_1"),
        ("1a", '"1a"'),
        ("a$", '"a$"'),
        ("A", '"A"'),
        ("ü", '"ü"'),
        ('a"', '"a"""'),
    ]:
        assert quote_name(word) == quoted


def test_the_constraint_of_a_new_column_gets_its_name_with_the_column(engine: sa.Engine, tmp_path: Path) -> None:
    """A separate statement would look up each row of the table, in which the column is NULL."""
    set_up(engine, NAMES["quoted"])
    sql = "ALTER TABLE {t} ADD COLUMN {new} int REFERENCES {u}"
    fix = one_fix(engine, tmp_path, "unnamed-constraint", sql)
    assert fix.splitlines()[-1] == '# ADD COLUMN … CONSTRAINT "Myt_Mynew_fkey" REFERENCES "Myu"("Myid")'
