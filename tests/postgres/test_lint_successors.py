"""A table, a view or an index takes the place of another one: what it lacks is reported, and nothing else."""

from pathlib import Path
from typing import NamedTuple

import pytest

from dbkit.settings import Target
from support.lint_findings import find_loud

TABLE = (
    "CREATE TABLE t (id int PRIMARY KEY, a int, b text)",
    "INSERT INTO t SELECT i, i, 'b' FROM generate_series(1, 9) AS i",
)
DROP, RENAME = "DROP TABLE t", "ALTER TABLE t RENAME TO old"
ALL = "CREATE TABLE t (id int PRIMARY KEY, a int, b text)"
NEW = ALL.replace(" t ", " new ")
COPY = "INSERT INTO new SELECT id, a, b FROM t"
LOCK = "LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE"
TAKE = "ALTER TABLE new RENAME TO t"
EMPTIED, DROPPED, RENAMED = "table-emptied", "drop-breaks-code", "rename-breaks-code"
UNDER_LOCK = "lock-kept-during-data-change"


class Case(NamedTuple):
    """Statements of a migration, the ids of its findings, words of one of them, and statements before it."""

    sql: tuple[str, ...]
    ids: tuple[str, ...] = ()
    words: str = ""
    before: tuple[str, ...] = ()


TABLES = {
    "dropped and created with less": Case((DROP, "CREATE TABLE t (id int PRIMARY KEY)"), (EMPTIED, DROPPED), "no column a, b"),
    "dropped and created with all": Case((DROP, ALL), (EMPTIED,), "none of its rows"),
    "swapped with an empty one": Case((NEW, RENAME, TAKE), (EMPTIED,)),
    "swapped with one that has less": Case(("CREATE TABLE new (id int)", RENAME, TAKE), (EMPTIED, RENAMED), "no column a, b"),
    "swapped in one block": Case((NEW, f"DO $$ BEGIN {RENAME}; {TAKE}; END $$"), (EMPTIED,)),
    "swapped with one of before that has less": Case((RENAME, TAKE), (RENAMED,), "no column a", ("CREATE TABLE new (id int, b text)", "INSERT INTO new VALUES (1, 'b')")),
    "swapped with one that gets its columns later": Case(("CREATE TABLE new (id int)", RENAME, TAKE, "ALTER TABLE t ADD a int, ADD b text"), (EMPTIED,)),
    "renamed, and a view has less": Case((RENAME, "CREATE VIEW t AS SELECT id, b FROM old"), (RENAMED,), "no column a"),
    "renamed, and the view cannot be written": Case((RENAME, "CREATE VIEW t AS SELECT DISTINCT * FROM old"), (RENAMED,), "cannot be written"),
    "a view that becomes a table with less": Case(("DROP VIEW v", "CREATE TABLE v (id int)"), (DROPPED,), "column a is not", ("CREATE VIEW v AS SELECT id, a FROM t",)),
    "renamed, and a sequence takes the name": Case((RENAME, "CREATE SEQUENCE t"), (RENAMED,), "uses the old name"),
    # controls
    "swapped with a filled one, and dropped": Case((LOCK, NEW, COPY, RENAME, TAKE, "DROP TABLE old"), (UNDER_LOCK,)),
    "swapped after a copy": Case((LOCK, NEW, COPY, DROP, TAKE), (UNDER_LOCK,)),
    "swapped before the copy": Case((NEW, RENAME, TAKE, "INSERT INTO t SELECT id, a, b FROM old"), (UNDER_LOCK,)),
    "copied through a temporary table": Case((LOCK, "CREATE TEMP TABLE kept AS SELECT * FROM t", DROP, ALL, "INSERT INTO t SELECT * FROM kept"), (UNDER_LOCK,)),
    "created from the old one": Case((LOCK, "CREATE TABLE new AS SELECT * FROM t", DROP, TAKE), (UNDER_LOCK,)),
    "filled with constants": Case((DROP, ALL, "INSERT INTO t VALUES (1, 1, 'x')")),
    "renamed and back": Case((RENAME, "ALTER TABLE old RENAME TO t")),
    "renamed, and a view has all": Case((RENAME, "CREATE VIEW t AS SELECT * FROM old")),
    "renamed, and a trigger writes instead": Case((
        RENAME, "CREATE VIEW t AS SELECT DISTINCT * FROM old",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER w INSTEAD OF INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()")),
    "swapped with a filled one of before": Case((RENAME, TAKE), (RENAMED,), "new: the table is renamed", (NEW, "INSERT INTO new SELECT * FROM t")),
    "becomes a partition": Case((
        RENAME, "CREATE TABLE t (LIKE old) PARTITION BY RANGE (id)",
        "ALTER TABLE t ATTACH PARTITION old FOR VALUES FROM (MINVALUE) TO (MAXVALUE)")),
    "a table of the revision": Case(("CREATE TABLE n (id int, a int)", "DROP TABLE n", "CREATE TABLE n (id int)")),
    "a materialized view": Case(
        ("DROP MATERIALIZED VIEW m", "CREATE MATERIALIZED VIEW m AS SELECT id, a FROM t WHERE a > 0 WITH NO DATA"), (), "", ("CREATE MATERIALIZED VIEW m AS SELECT id, a FROM t",)),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_what_takes_the_name_of_a_table(database: Target, tmp_path: Path, name: str) -> None:
    case = TABLES[name]
    found = find_loud(database, tmp_path, (*TABLE, *case.before), case.sql)
    assert sorted({each.id for each in found}) == sorted(case.ids), found
    assert any(case.words in each.message for each in found) or not case.words, found


UNIQUE = "CREATE UNIQUE INDEX ux ON t (a, b)"
WRITES, CASCADES = "write-breaks-code", "cascade-drops-more"
EXPRESSION = "CREATE FUNCTION low(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)'"
GENERATED = "ALTER TABLE t ADD g int GENERATED ALWAYS AS (a + 1) STORED"
PARTS = {
    # a unique index
    "of another table": Case(("DROP INDEX ux",), (WRITES,), "ON CONFLICT", (UNIQUE, "CREATE TABLE n (a int, b text)", UNIQUE.replace("ux ON t", "uy ON n"))),
    "one of the columns": Case(("CREATE UNIQUE INDEX uy ON t (a)", "DROP INDEX ux"), ("index-without-concurrently", WRITES), "ON CONFLICT", (UNIQUE,)),
    "under a condition": Case(("CREATE UNIQUE INDEX uy ON t (a, b) WHERE a > 0", "DROP INDEX ux"), ("index-without-concurrently", WRITES), "ON CONFLICT", (UNIQUE,)),
    "in another order": Case(("DROP INDEX ux",), (), "", (UNIQUE, "CREATE UNIQUE INDEX uy ON t (b, a)")),
    "in another order, later": Case(("DROP INDEX ux", "CREATE UNIQUE INDEX uy ON t (b DESC, a)"), ("index-without-concurrently",), "", (UNIQUE,)),
    "without the condition": Case(("DROP INDEX uw",), (), "", (UNIQUE, "CREATE UNIQUE INDEX uw ON t (b, a) WHERE a > 0")),
    "with another column included": Case(("DROP INDEX ux",), (), "", (UNIQUE, "CREATE UNIQUE INDEX uy ON t (b, a) INCLUDE (id)")),
    # an index that goes with what it depends on
    "CASCADE drops an index of a function": Case(("DROP FUNCTION low(text) CASCADE",), (CASCADES, DROPPED), "index ix of t", (EXPRESSION, "CREATE INDEX ix ON t (low(b))")),
    "CASCADE drops an index of an operator class": Case(
        ("DROP OPERATOR CLASS down USING btree CASCADE",), (CASCADES,), "index ix of t",
        ("CREATE OPERATOR CLASS down FOR TYPE text USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 bttextcmp(text, text)", "CREATE INDEX ix ON t (b down)")),
    "CASCADE drops an index with its column": Case(("ALTER TABLE t DROP b CASCADE",), (DROPPED,), "", ("CREATE INDEX ix ON t (b)",)),
    "CASCADE drops an index with its table": Case(("DROP TABLE t CASCADE",), (DROPPED,), "", ("CREATE INDEX ix ON t (b)",)),
    "CASCADE drops the index of a constraint": Case(("ALTER TABLE t DROP CONSTRAINT t_pkey CASCADE",), (WRITES,), "t_pkey is dropped"),
    # a generated column
    "a generated column with another expression": Case(
        ("ALTER TABLE t DROP g", GENERATED.replace("+ 1", "+ 2")), ("volatile-default",), "", (GENERATED,)),
    "a generated column that becomes a plain one": Case(("ALTER TABLE t DROP g", "ALTER TABLE t ADD g int"), (DROPPED,), "", (GENERATED,)),
    "a plain column that becomes a generated one": Case(("ALTER TABLE t DROP a", "ALTER TABLE t ADD a int GENERATED ALWAYS AS (id + 1) STORED"), (DROPPED, "volatile-default")),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_what_takes_the_place_of_a_part(database: Target, tmp_path: Path, name: str) -> None:
    case = PARTS[name]
    found = find_loud(database, tmp_path, (*TABLE, *case.before), case.sql)
    assert sorted({each.id for each in found}) == sorted(case.ids), found
    assert any(case.words in each.message for each in found) or not case.words, found
