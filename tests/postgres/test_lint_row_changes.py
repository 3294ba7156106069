"""Changes of all rows in one transaction, in forms that look like batches or like changes of single rows."""

from pathlib import Path
from typing import NamedTuple

import pytest

from dbkit.settings import Target
from support.lint_findings import find_loud

TABLE = (
    "CREATE TABLE t (id int PRIMARY KEY, a int, b text, j jsonb, at timestamp)",
    "INSERT INTO t SELECT i, i, 'b', '{\"a\": 1}', now() FROM generate_series(1, 9) AS i",
)
BLOCK = "with op.get_context().autocommit_block():"


class Case(NamedTuple):
    """A statement, and whether it changes all rows at once."""

    sql: str
    is_whole: bool = True


IN_AUTOCOMMIT = {
    "an operator with an angle bracket": Case("UPDATE t SET a = a + (j->>'a')::int"),
    "an inequality": Case("UPDATE t SET a = 1 WHERE b <> 'x'"),
    "a range that has one end": Case("DELETE FROM t WHERE id > 0"),
    "two columns, one end each": Case("UPDATE t SET a = 1 WHERE id > 0 AND a < 100"),
    "containment": Case("UPDATE t SET a = 1 WHERE j @> '{\"a\": 1}'"),
    "a range or something else": Case("UPDATE t SET a = 1 WHERE id BETWEEN 1 AND 4 OR b = 'b'"),
    "a limit of the value": Case("UPDATE t SET a = (SELECT a FROM t ORDER BY id LIMIT 1) + 1"),
    "a range within the value": Case("UPDATE t SET b = CASE WHEN a BETWEEN 1 AND 5 THEN 'low' ELSE 'high' END"),
    "no range": Case("UPDATE t SET a = id"),
    "a batch by BETWEEN": Case("UPDATE t SET a = a + (j->>'a')::int WHERE id BETWEEN 1 AND 4", False),
    "a batch by two ends": Case("UPDATE t SET a = 0 WHERE id > 0 AND id <= 4", False),
    "a batch by two ends, turned round": Case("DELETE FROM t WHERE 4 > id AND b = 'b' AND id >= 1", False),
    "a batch by LIMIT": Case("DELETE FROM t WHERE id IN (SELECT id FROM t WHERE b <> 'x' LIMIT 4)", False),
    "a batch by FETCH FIRST": Case("DELETE FROM t WHERE id IN (SELECT id FROM t FETCH FIRST 4 ROWS ONLY)", False),
    "a batch by an array": Case("DELETE FROM t WHERE ctid = ANY (ARRAY(SELECT ctid FROM t LIMIT 4))", False),
    "a batch by a common table expression": Case(
        "WITH batch AS (SELECT id FROM t WHERE a > 0 LIMIT 4 FOR UPDATE SKIP LOCKED) UPDATE t SET a = -a FROM batch WHERE t.id = batch.id", False),
    "a batch by a joined query": Case("UPDATE t SET a = -a FROM (SELECT id FROM t WHERE a > 0 LIMIT 4) AS batch WHERE t.id = batch.id", False),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_AUTOCOMMIT)
def test_what_is_a_batch_in_an_autocommit_block(database: Target, tmp_path: Path, name: str) -> None:
    case = IN_AUTOCOMMIT[name]
    found = find_loud(database, tmp_path, TABLE, (), BLOCK, f"    op.execute({case.sql.replace(':', chr(92) + ':')!r})")
    assert ["data-in-one-transaction"] * case.is_whole == [each.id for each in found], found


TABLES = "t = sa.table('t', sa.column('id'), sa.column('a')); bind = op.get_bind()"
READ = "rows = bind.execute(sa.select(t)).fetchall()"
BY_KEY = "t.c.id == sa.bindparam('key')"
UPDATE = f"bind.execute(t.update().where({BY_KEY}).values(a=sa.bindparam('value')), %s)"
DELETE = f"bind.execute(t.delete().where({BY_KEY}), %s)"
MANY = {
    "an update of all rows that were read": ((READ, UPDATE % "[{'key': row.id, 'value': 0} for row in rows]"), True),
    "a delete of all rows that were read": ((READ, DELETE % "[{'key': row.id} for row in rows]"), True),
    "in parts": (
        (READ, f"for part in (rows[:4], rows[4:]): {UPDATE}" % "[{'key': row.id, 'value': 0} for row in part]"), True),
    "of two rows that are named": ((UPDATE % "[{'key': 1, 'value': 0}, {'key': 2, 'value': 0}]",), False),
    "of two rows after all were read": ((READ, UPDATE % "[{'key': row.id, 'value': 0} for row in rows[:2]]"), False),
    "one by one": ((READ, f"for row in rows: {UPDATE}" % "{'key': row.id, 'value': 0}"), True),
    "of one row": ((READ, UPDATE % "{'key': 1, 'value': 0}"), False),
}  # fmt: skip


@pytest.mark.parametrize("name", MANY)
def test_a_change_by_key_with_many_sets_of_parameters(database: Target, tmp_path: Path, name: str) -> None:
    lines, is_whole = MANY[name]
    found = find_loud(database, tmp_path, TABLE, (), TABLES, *lines)
    assert ["data-in-one-transaction"] * is_whole == [each.id for each in found], found


BY_KEY_ALONE = (
    "UPDATE t SET a = 0 WHERE id IN (1, 2, 3) AND b = 'x'",
    "UPDATE t SET a = 0 WHERE id IN (1, 2, 3) AND b LIKE 'b%'",
    "UPDATE t SET a = 0 WHERE id = 999",
    "DELETE FROM t WHERE id = 1 AND b = 'x'",
)


@pytest.mark.parametrize("sql", BY_KEY_ALONE)
def test_a_change_by_key_that_finds_no_row_to_change(database: Target, tmp_path: Path, sql: str) -> None:
    assert find_loud(database, tmp_path, TABLE, ("SET LOCAL enable_seqscan = off", sql)) == []


UNDER_LOCK = "lock-kept-during-data-change"
OTHER = ("CREATE TABLE u (id int PRIMARY KEY, t_id int)", "INSERT INTO u SELECT i, i FROM generate_series(1, 9) AS i")
CHECK = "ALTER TABLE u ADD CONSTRAINT ck CHECK (id > 0) NOT VALID"
KEY = "ALTER TABLE u ADD CONSTRAINT fk FOREIGN KEY (t_id) REFERENCES t NOT VALID"
COLUMN = "ALTER TABLE t ADD x int"
VALIDATE = "ALTER TABLE u VALIDATE CONSTRAINT "
WORK = {
    "VALIDATE of another table's check": ((CHECK,), (COLUMN, f"{VALIDATE}ck"), [UNDER_LOCK]),
    "VALIDATE of another table's key to it": ((KEY,), (COLUMN, f"{VALIDATE}fk"), [UNDER_LOCK]),
    "VALIDATE in a block": ((CHECK,), (COLUMN, f"DO $$ BEGIN {VALIDATE}ck; END $$"), [UNDER_LOCK]),
    "VALIDATE under a weaker lock": ((CHECK,), ("LOCK TABLE t IN SHARE MODE", f"{VALIDATE}ck"), [UNDER_LOCK]),
    "VALIDATE alone": ((CHECK,), (f"{VALIDATE}ck",), []),
    "VALIDATE of a key alone": ((KEY,), (f"{VALIDATE}fk",), []),
    "VALIDATE before the lock": ((CHECK,), (f"{VALIDATE}ck", COLUMN), []),
    "VALIDATE of the table that is locked": ((CHECK,), ("ALTER TABLE u ADD x int", f"{VALIDATE}ck"), ["check-in-one-step"]),
    "a new serial column": ((), ("ALTER TABLE t ADD no serial",), ["volatile-default"]),
    "a new identity column": ((), ("ALTER TABLE t ADD no int GENERATED BY DEFAULT AS IDENTITY",), ["volatile-default"]),
    "a new serial column under an earlier lock": ((), ("LOCK TABLE t", "ALTER TABLE t ADD no serial"), ["volatile-default"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WORK)
def test_work_on_rows_under_a_lock(database: Target, tmp_path: Path, name: str) -> None:
    before, sql, expected = WORK[name]
    found = find_loud(database, tmp_path, (*TABLE, *OTHER, *before), sql)
    assert [each.id for each in found] == expected, found
