"""Which statements change only rows that they name by a unique key."""

import pytest

from dbkit.lint.key_access import MOST_KEYS, changes_by_key

KEYS = [("id",), ("lang", "word")]
SET = "UPDATE t SET note = 'x'"


def any_of(*conditions: str) -> str:
    """Return the conditions, joined by OR."""
    return " OR ".join(conditions)


@pytest.mark.parametrize(
    "sql",
    [
        f"{SET} WHERE id = 1",
        f"{SET} WHERE (id) = 1 AND note IS NULL",
        f"{SET} WHERE 1 = id OR id IN (2, 3)",
        f"{SET} WHERE {any_of(*(f'id = {number}' for number in range(MOST_KEYS - 1)))}",
        f"{SET} WHERE (lang, word) IN ({', '.join(f'(1, {number})' for number in range(50))})",
        f"{SET} FROM (VALUES (1), (2)) AS v (key) WHERE t.id = v.key",
        f"DO $$ BEGIN IF EXISTS (SELECT FROM t) THEN {SET} WHERE id = 1; END IF; END $$",
        "SELECT note FROM t WHERE id = 1 FOR UPDATE",
    ],
    ids=lambda sql: sql[:60],
)
def test_rows_that_are_named(sql: str) -> None:
    assert changes_by_key([sql], ["t"], KEYS)


@pytest.mark.parametrize(
    "sql",
    [
        SET,
        f"{SET} WHERE word = 'a'",
        f"{SET} WHERE id > 0",
        f"{SET} WHERE {any_of(*(f'id = {number}' for number in range(MOST_KEYS)))}",
        # each condition is read, also behind many
        f"{SET} WHERE {any_of(*(f'id = {number}' for number in range(30)), 'note IS NULL')}",
        # many values may become one by a cast
        f"{SET} WHERE id::int = 1",
        # a condition on the list alone
        f"{SET} FROM (VALUES (1)) AS v (id) WHERE v.id = 1",
        f"{SET} FROM (VALUES (1)) AS v (id) WHERE v.id = v.id",
        # the parameter of a function, which may be called for each row
        f"CREATE FUNCTION f(int) RETURNS void LANGUAGE sql AS $$ {SET} WHERE id = $1 $$",
        "DO $$ DECLARE r record; BEGIN FOR r IN SELECT id FROM t LOOP UPDATE t SET note = 'x' WHERE id = r.id; END LOOP; END $$",
        f"DO $$ BEGIN EXECUTE 'UPDATE t SET note = 1'; {SET} WHERE id = 1; END $$",
    ],
    ids=lambda sql: sql[:60],
)
def test_rows_that_may_be_all(sql: str) -> None:
    assert not changes_by_key([sql], ["t"], KEYS)
