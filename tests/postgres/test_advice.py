"""What lint finds in migrations that would hurt a live database, in whatever style they are written."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from dbkit.findings.finding import Level, LintFinding
from dbkit.lint.rule_pages import read_summaries
from dbkit.postgres.cluster import Cluster
from support.dangers import DANGERS, SAFE, Case, numbered, styles, tables
from support.kit import REPOSITORY
from support.lint_findings import advice_on, engine_of

EMPTIED = """
DO $$ BEGIN
    EXECUTE (SELECT 'TRUNCATE ' || string_agg(oid::regclass::text, ', ') FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace);
END $$
"""
NEED_ROWS = {
    "delete",
    "no row of a merge",
    "rows under a new column",
    "rows copied under a foreign key",
    "unlogged",
    "cluster",
    "domain with constraints",
}
"""Not found in empty tables: rows changed under an earlier lock or through an index, and written again as they are; and a domain that no row must be checked for."""


Select = Callable[[list[tuple[str, str]]], list[tuple[str, str]]]


@pytest.fixture
def engine(server: Cluster) -> Iterator[sa.Engine]:
    """A new database: the catalog of one for all cases gets so long that the last ones take twice the time."""
    target = server.create_database("dangers")
    yield engine_of(target)
    server.drop_database(target.dbname)


@pytest.fixture
def advised(engine: sa.Engine, tmp_path: Path) -> Callable[..., dict[str, list[LintFinding]]]:
    """What is found in a case, by style; each style has its own tables, with rows; `wanted` selects some of them."""

    def run(case: Case, *more: str, wanted: Select = list) -> dict[str, list[LintFinding]]:
        found = {}
        for number, (style, body) in enumerate(wanted([*styles(case)])):
            with engine.begin() as connection:
                connection.exec_driver_sql("; ".join((tables(case, number), *more)))
            found[style] = advice_on(engine, tmp_path / f"revision{number}.py", numbered(body, number))
        return found

    return run


def test_there_are_enough() -> None:
    assert len(DANGERS) >= 25
    assert len(SAFE) >= 15


@pytest.mark.spread(6)
@pytest.mark.parametrize("name", DANGERS)
def test_each_danger_is_found_in_each_style(advised: Callable[..., dict[str, list[LintFinding]]], name: str) -> None:
    for style, found in advised(DANGERS[name]).items():
        assert {each.id for each in found} >= set(DANGERS[name].ids), style


@pytest.mark.spread(6)
@pytest.mark.parametrize("name", SAFE)
def test_no_safe_one_is_blamed(advised: Callable[..., dict[str, list[LintFinding]]], name: str) -> None:
    for style, found in advised(SAFE[name]).items():
        assert [each for each in found if each.level != Level.NOTE] == [], style


def test_what_a_new_type_makes_anew_is_told_of_the_type(advised: Callable[..., dict[str, list[LintFinding]]]) -> None:
    found = advised(DANGERS["type of a key"])["one by one"]
    assert [(each.id, each.tables) for each in found] == [
        ("type-change-rewrites", ("p0",)),
        ("foreign-key-in-one-step", ("t0", "p0")),
    ]


PARTITIONS = (
    "CREATE TABLE {q}a PARTITION OF {q} FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
    "CREATE TABLE {q}b PARTITION OF {q} FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
    "INSERT INTO {q} SELECT generate_series(1, 9)",
)


@pytest.mark.spread(4)
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (("CREATE INDEX ix{n} ON {q} (id)",), [("index-without-concurrently", "q0")]),
        (("ALTER TABLE {q} ADD COLUMN x float DEFAULT random()",), [("volatile-default", "q0")]),
        (("ALTER TABLE {q} ADD CONSTRAINT ck{n} CHECK (id > 0)",), [("check-in-one-step", "q0")]),
        (
            ("ALTER TABLE {q} ADD CONSTRAINT fk{n} FOREIGN KEY (id) REFERENCES few{n}",),
            [("foreign-key-in-one-step", "q0")],
        ),
        (("UPDATE {q} SET id = id",), [("data-in-one-transaction", "q0")]),
        (
            ("ALTER TABLE {q} ADD COLUMN x int", "UPDATE {q} SET x = 1"),
            [("lock-kept-during-data-change", "q0"), ("data-in-one-transaction", "q0")],
        ),
        (("CREATE INDEX ix{n} ON {q}a (id)",), [("index-without-concurrently", "q0a")]),
        (
            ("ALTER TABLE {q} ADD COLUMN x int", "CREATE INDEX ix{n} ON {q}a (id)"),
            [("index-without-concurrently", "q0a")],
        ),
    ],
)
def test_what_is_done_to_all_partitions_is_told_once(
    advised: Callable[..., dict[str, list[LintFinding]]], sql: tuple[str, ...], expected: list[tuple[str, str]]
) -> None:
    parent = ("CREATE TABLE few{n} (id bigint PRIMARY KEY)", "INSERT INTO few{n} SELECT generate_series(1, 9)")
    found = advised(Case(sql, before=(*PARTITIONS, *parent)))["one by one"]
    assert [(each.id, each.tables[0]) for each in found] == expected


STYLES = pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(lambda styles: [styles[0], styles[-1]], id="first-and-last"),
        pytest.param(lambda styles: styles[1:-1], id="others", marks=pytest.mark.slow),
    ],
)


@pytest.mark.spread(16)
@STYLES
@pytest.mark.parametrize("name", [name for name in DANGERS if name not in NEED_ROWS])
def test_a_danger_is_found_in_empty_tables(
    advised: Callable[..., dict[str, list[LintFinding]]], name: str, wanted: Select
) -> None:
    for style, found in advised(DANGERS[name], EMPTIED, wanted=wanted).items():
        assert {each.id for each in found} >= set(DANGERS[name].ids), style


@pytest.mark.spread(16)
@STYLES
@pytest.mark.parametrize("name", [*SAFE])
def test_no_safe_one_is_blamed_in_empty_tables(
    advised: Callable[..., dict[str, list[LintFinding]]], name: str, wanted: Select
) -> None:
    for style, found in advised(SAFE[name], EMPTIED, wanted=wanted).items():
        assert [each for each in found if each.level != Level.NOTE] == [], style


# The pages

RULES = read_summaries()
PAGES = sorted(path for path in (REPOSITORY / "src/dbkit/lint/pages").glob("*.md") if "## Bad" in path.read_text())
TABLES = """
CREATE TABLE customers (id bigint PRIMARY KEY, name text, email text, created_at timestamptz);
CREATE TABLE orders (id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers, note text, status text, total numeric);
INSERT INTO customers SELECT generate_series(1, 9);
INSERT INTO orders SELECT i, i, 'x', 'x', i FROM generate_series(1, 9) AS i;
"""


def examples(page: Path, heading: str) -> list[str]:
    part = page.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", part, flags=re.DOTALL)


@pytest.mark.spread(4)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page(engine: sa.Engine, page: Path, tmp_path: Path) -> None:
    for heading in ("Bad", "Good"):
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {TABLES}")
        found = []
        for number, text in enumerate(examples(page, heading)):
            found += advice_on(engine, tmp_path / f"{heading}{number}.py", text)
        if heading == "Bad":
            assert page.stem in {each.id for each in found}
        else:
            assert [each for each in found if each.level != Level.NOTE] == []


def levels_in_code() -> dict[str, set[Level]]:
    """The levels that each rule's code gives to its findings, by id: all calls with an id and a level."""
    levels: dict[str, set[Level]] = {}
    for path in (REPOSITORY / "src/dbkit/lint").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and len(node.args) >= 2 and isinstance(node.args[0], ast.Constant):
                named = re.findall(r"\bLevel\.([A-Z]+)\b", ast.unparse(node.args[1]))
                levels.setdefault(str(node.args[0].value), set()).update(Level[name] for name in named)
    return {identifier: found for identifier, found in levels.items() if found}


def test_each_rule_has_a_page_with_its_level() -> None:
    order = list(Level)
    found = {identifier: min(levels, key=order.index) for identifier, levels in levels_in_code().items()}
    assert found == {identifier: rule.level for identifier, rule in RULES.items()}


def test_each_id_has_a_page_and_a_line_in_the_index() -> None:
    index = (REPOSITORY / "docs/lint.md").read_text()
    rows = re.findall(r"^\| \[(.+)\]\(\.\./src/dbkit/lint/pages/(.+)\.md\) \| (.+) \| (.+) \|$", index, re.MULTILINE)
    assert rows == [(name, name, rule.level, rule.text) for name, rule in RULES.items()]


@pytest.mark.parametrize("name", RULES)
def test_a_page_says_the_level_and_has_its_parts_in_order(name: str) -> None:
    page = (REPOSITORY / f"src/dbkit/lint/pages/{name}.md").read_text()
    assert re.match(rf"# {name}\n\n{RULES[name].level}\b[^\n]* · blocks (reads and writes|writes|nothing)\n\n", page)
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert headings in (["When", "Effect", "Instead"], ["When", "Effect", "Instead", "Bad", "Good"])
