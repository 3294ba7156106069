"""What a preflight reads in SQL: the names of a query, the columns of an UPDATE, the rows of a data statement."""

import pytest

from dbkit.preflight.earlier import is_named, read_names
from dbkit.preflight.row_queries import read_assigned_columns, read_row_query


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT a FROM app.orders AS o", {("a",), ("app", "orders"), ("o",)}),
        ('FROM "app"."Orders" WHERE "x" IS NULL', {("app", "Orders"), ("x",)}),
        ("WHERE o.id = p.id -- no.name\n AND 'no.text' <> x", {("o", "id"), ("p", "id"), ("x",)}),
    ],
)
def test_names_are_read_with_their_schemas(sql: str, names: set[tuple[str, ...]]) -> None:
    assert names <= set(read_names(sql))
    assert not {("no", "name"), ("no", "text")} & set(read_names(sql))


def test_a_table_is_named_with_and_without_its_schema() -> None:
    names = list(read_names('SELECT "id" FROM "public"."orders" AS x'))
    assert is_named("orders", names)
    assert is_named("public.orders", names)
    assert not is_named("app.orders", names)
    assert not is_named("order", names)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("UPDATE orders SET a = 1, b = c WHERE d", ("orders", {"a", "b"})),
        ('UPDATE app."Orders" AS o SET ("A", b) = (1, 2)', ("Orders", {"A", "b"})),
        ("UPDATE orders SET a[1] = 2", ("", set())),
        ("DELETE FROM orders", ("", set())),
        ("UPDATE", ("", set())),
    ],
)
def test_the_columns_of_an_update(sql: str, found: tuple[str, set[str]]) -> None:
    assert read_assigned_columns(sql) == found


@pytest.mark.parametrize(
    ("sql", "verb", "table", "query"),
    [
        ("UPDATE orders SET a = 1", "update", "orders", 'SELECT 1 FROM "s".orders'),
        (
            "UPDATE orders o SET a = 1 FROM customers c WHERE c.id = o.x",
            "update",
            "orders",
            'SELECT 1 FROM "s".orders AS o, "s".customers AS c WHERE c.id = o.x',
        ),
        (
            "DELETE FROM app.orders USING customers WHERE b",
            "delete",
            "app.orders",
            'SELECT 1 FROM app.orders, "s".customers WHERE b',
        ),
        (
            "UPDATE t SET a = 1 WHERE id IN (SELECT id FROM t LIMIT 5 FOR UPDATE SKIP LOCKED)",
            "update",
            "t",
            'SELECT 1 FROM "s".t WHERE id IN (SELECT id FROM "s".t LIMIT 5)',
        ),
        (
            "WITH x AS (SELECT 1 AS id) DELETE FROM t WHERE id IN (SELECT id FROM x)",
            "delete",
            "t",
            'WITH x AS (SELECT 1 AS id) SELECT 1 FROM "s".t WHERE id IN (SELECT id FROM x)',
        ),
        ("INSERT INTO a (x) SELECT y FROM b WHERE z", "insert", "a", 'SELECT y FROM "s".b WHERE z'),
        ("CREATE TABLE a AS SELECT * FROM b", "insert", "a", 'SELECT * FROM "s".b'),
        (
            "WITH m AS (DELETE FROM a WHERE x RETURNING *) INSERT INTO b SELECT * FROM m",
            "delete",
            "a",
            'SELECT 1 FROM "s".a WHERE x',
        ),
        (
            "MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET a = 1",
            "merge",
            "t",
            'SELECT 1 FROM "s".u, "s".t WHERE t.id = u.id',
        ),
        (
            "MERGE INTO t USING u ON t.id = u.id WHEN NOT MATCHED THEN INSERT VALUES (1)",
            "merge",
            "t",
            'SELECT 1 FROM "s".u',
        ),
        (
            "UPDATE t SET a = 1 WHERE b = 'x'::kind",
            "update",
            "t",
            'SELECT 1 FROM "s".t WHERE b = CAST(\'x\' AS "s".kind)',
        ),
    ],
)
def test_the_rows_of_a_data_statement_as_a_query(sql: str, verb: str, table: str, query: str) -> None:
    found = read_row_query(sql)
    assert (found.verb, found.table, found.reason) == (verb, table, "")
    assert found.render(lambda _name: "s", ()) == query


def test_a_column_that_is_not_there_yet_is_null() -> None:
    found = read_row_query("UPDATE t SET a = 1 WHERE t.a IS NULL AND b > 0")
    assert found.render(lambda _name: None, {"a"}) == "SELECT 1 FROM t WHERE NULL IS NULL AND b > 0"


@pytest.mark.parametrize("sql", ["DO $$ BEGIN DELETE FROM t; END $$", "CALL f()", "UPDATE", "nonsense ("])
def test_what_cannot_be_read_has_a_reason(sql: str) -> None:
    found = read_row_query(sql)
    assert found.query is None
    assert found.reason
