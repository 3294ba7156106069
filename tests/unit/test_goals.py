"""The rows that a statement would have to meet, arm by arm of its conditions."""

import pytest

from dbkit.coverage.goals import Table, UnreadableError
from dbkit.coverage.renames import Renames
from dbkit.coverage.statement_goals import inserted_values, read_goals

COLUMNS = {
    "orders": ["id", "customer_id", "status", "total", "placed_on"],
    "customers": ["id", "name", "country", "email"],
}
VIEWS = {"large_orders": "SELECT id, status FROM orders WHERE total > 100"}

# a statement, and for each of its goals: the tables, the condition, and how many rows are to be equal
CASES = [
    ("UPDATE orders SET status = 'x' WHERE status = 'sent'", [("orders", "status = 'sent'", 1)]),
    (
        "DELETE FROM orders WHERE status = 'a' OR total > 5",
        [("orders", "status = 'a'", 1), ("orders", "total > 5", 1)],
    ),
    (
        "UPDATE orders SET status = CASE WHEN total > 5 THEN 'a' ELSE 'b' END WHERE status = 'c'",
        [
            ("orders", "status = 'c'", 1),
            ("orders", "status = 'c' AND total > 5", 1),
            ("orders", "status = 'c' AND total <= 5", 1),
        ],
    ),
    (
        "UPDATE orders SET status = 'x' FROM customers AS c WHERE c.id = customer_id AND c.country = 'DE'",
        [("orders customers", "id = customer_id AND country = 'DE'", 1)],
    ),
    (
        "DELETE FROM orders WHERE customer_id IN (SELECT id FROM customers WHERE country IN ('DE', 'AT'))",
        [("customers orders", "country IN ('DE', 'AT') AND customer_id = id", 1)],
    ),
    (
        "DELETE FROM orders AS o WHERE EXISTS (SELECT FROM customers AS c WHERE c.id = o.customer_id AND c.name LIKE 'q%')",
        [("customers orders", "id = customer_id AND name LIKE 'q%'", 1)],
    ),
    (
        "DELETE FROM orders WHERE NOT EXISTS (SELECT FROM customers AS c WHERE c.id = customer_id)",
        [("orders", "", 1)],
    ),
    (
        "UPDATE orders SET status = 'x' FROM customers AS c LEFT JOIN orders AS other ON other.customer_id = c.id "
        "WHERE c.id = orders.customer_id AND other.id IS NULL",
        [("orders customers", "id = customer_id", 1)],
    ),
    (
        "DELETE FROM customers WHERE email IN (SELECT email FROM customers GROUP BY email HAVING count(*) > 2)",
        [("customers customers", "email = email", 3)],
    ),
    (
        "DELETE FROM customers USING (SELECT id, row_number() OVER (PARTITION BY lower(email) ORDER BY id) AS n FROM customers) "
        "AS d WHERE d.id = customers.id AND d.n > 1",
        [("customers customers", "id = id", 2)],
    ),
    (
        "UPDATE orders SET status = m.new FROM (VALUES ('a', 'b'), ('c', 'd')) AS m (old, new) WHERE status = m.old",
        [("orders", "status = 'a'", 1), ("orders", "status = 'c'", 1)],
    ),
    (
        "WITH gone AS (DELETE FROM orders WHERE status = 'x' RETURNING id) SELECT id FROM gone WHERE id > 7",
        [("orders", "status = 'x'", 1), ("orders", "status = 'x' AND id > 7", 1)],
    ),
    ("UPDATE large_orders SET status = 'x' WHERE status = 'y'", [("orders", "total > 100 AND status = 'y'", 1)]),
    ("CREATE TABLE kept AS SELECT id FROM orders WHERE status = 'x'", [("orders", "status = 'x'", 1)]),
    (
        "INSERT INTO customers (email, name) VALUES ('a@x', 'A') ON CONFLICT (email) DO UPDATE SET name = excluded.name",
        [("customers", "email = 'a@x'", 1)],
    ),
    (
        "MERGE INTO orders AS o USING customers AS c ON c.id = o.customer_id WHEN MATCHED AND c.country = 'DE' THEN DELETE "
        "WHEN NOT MATCHED THEN INSERT (customer_id) VALUES (c.id)",
        [("customers orders", "id = customer_id AND country = 'DE'", 1), ("customers", "", 1)],
    ),
    ("DELETE FROM orders WHERE (status, total) IN (('a', 1), ('b', 2))",
     [("orders", "status = 'a' AND total = 1", 1), ("orders", "status = 'b' AND total = 2", 1)]),
    (
        "ALTER TABLE orders ALTER total TYPE text USING CASE WHEN total = 0 THEN 'none' ELSE total::text END",
        [("orders", "", 1), ("orders", "total = 0", 1), ("orders", "total <> 0", 1)],
    ),
    ("SELECT count(*) FROM orders WHERE status = 'x'", [("orders", "status = 'x'", 4)]),
    ("UPDATE unknown SET a = 1 WHERE b = 2", [("unknown", "b = 2", 1)]),
    ("INSERT INTO orders (id) VALUES (1)", []),
    ("CREATE INDEX i ON orders (id)", []),
]  # fmt: skip


def columns_of(_schema: str, name: str) -> list[str] | None:
    return COLUMNS.get(name)


@pytest.mark.parametrize(("sql", "expected"), CASES, ids=[sql[:60] for sql, _ in CASES])
def test_goals(sql: str, expected: list[tuple[str, str, int]]) -> None:
    goals = read_goals(sql, columns_of, lambda _schema, name: VIEWS.get(name))
    found = [(" ".join(table.name for table in goal.tables.values()), goal.words, goal.copies) for goal in goals]
    assert found == expected


def test_what_cannot_be_read_is_no_statement_without_conditions() -> None:
    with pytest.raises(UnreadableError):
        read_goals("UPDATE orders SET (", columns_of)


def test_what_not_exists_forbids_is_known() -> None:
    [goal] = read_goals(
        "DELETE FROM orders WHERE NOT EXISTS (SELECT FROM customers AS c WHERE c.id = customer_id)", columns_of
    )
    [absence] = goal.absent
    assert (absence.column.name, absence.table, absence.key) == ("customer_id", Table("", "customers"), "id")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("INSERT INTO customers (id, name) VALUES (1, 'A'), (2, 'B')", {("id", "1"), ("name", "A"), ("id", "2"), ("name", "B")}),
        ("INSERT INTO customers VALUES (1, 'A')", {("id", "1"), ("name", "A")}),
        ("INSERT INTO customers (id) VALUES (1) ON CONFLICT DO NOTHING", set()),
        ("INSERT INTO customers (id) SELECT id FROM orders", set()),
    ],
)  # fmt: skip
def test_inserted_values(sql: str, expected: set[tuple[str, str]]) -> None:
    assert {(name, value) for _table, name, value in inserted_values(sql, columns_of)} == expected


def test_names_of_before_a_rename() -> None:
    renames = Renames()
    for sql in ("ALTER TABLE orders RENAME TO purchases", 'ALTER TABLE "purchases" RENAME COLUMN status TO "State"'):
        renames.read(sql)
    now = renames.columns_now(Table("", "orders"), COLUMNS["orders"])
    [goal] = read_goals(
        "DELETE FROM purchases WHERE \"State\" = 'x'", lambda _s, name: now if name == "purchases" else None
    )
    restored = renames.restore(goal)
    assert (list(restored.tables.values()), restored.words) == ([Table("", "orders")], "status = 'x'")


def test_a_name_that_comes_back_is_no_rename() -> None:
    renames = Renames()
    for sql in ("ALTER TABLE a RENAME x TO y", "ALTER TABLE a RENAME COLUMN y TO x"):
        renames.read(sql)
    assert renames.columns_now(Table("", "a"), ["x"]) == ["x"]
