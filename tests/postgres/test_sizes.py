"""How big tables are, told by somebody else, and what that makes of a finding."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dbkit.errors import InputError
from dbkit.findings.finding import Level, LintFinding
from dbkit.lint.estimate import SMALL, apply_sizes, format_duration, format_rows
from dbkit.lint.table_sizes import QUERY, TableSize, read_sizes
from dbkit.lint.timing import WORK_BY_RULE, WORK_STATEMENTS, MeasuredTable, Rates, measure_rates
from dbkit.postgres import scratch_cluster
from dbkit.postgres.binaries import client_program
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Settings, Target
from support.alembic_templates import plain
from support.lint_runs import REVISIONS
from support.once import make_once
from support.servers import DEBIAN
from support.sessions import connect_as_project as connect

TABLES = """
CREATE SCHEMA "Shop";
CREATE TABLE "Shop"."big one" (id int PRIMARY KEY, note text);
INSERT INTO "Shop"."big one" SELECT i, repeat('x', 100) FROM generate_series(1, 1000) AS i;
CREATE INDEX ON "Shop"."big one" (note);
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (200);
INSERT INTO parts SELECT generate_series(0, 149);
CREATE TABLE never_analyzed (id int);
"""


@pytest.fixture
def ini(init: Callable[..., Path]) -> Path:
    return init(online=plain(), revisions=REVISIONS)


def prepare(target: Target) -> None:
    with connect(target, autocommit=True) as connection:
        connection.execute(TABLES)  # type: ignore[call-overload]
        connection.execute('ANALYZE "Shop"."big one"; ANALYZE parts')
        connection.execute("DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")


def answer(target: Target) -> str:
    """As somebody gets it who may do nothing but connect."""
    with connect(replace(target, user="guest"), options="-c default_transaction_read_only=on") as connection:
        ((found,),) = connection.execute(QUERY).fetchall()
    return json.dumps(found)


def check(sizes: dict[str, TableSize]) -> None:
    big = sizes['"Shop"."big one"']
    assert (big.rows, big.indexes) == (1000, 2)
    assert big.bytes > 100_000
    assert big.index_bytes > 10_000
    assert sizes["parts"].rows == 150
    assert sizes["parts"].bytes == sizes["parts_1"].bytes + sizes["parts_2"].bytes
    assert sizes["never_analyzed"].rows == 0
    assert not [name for name in sizes if name.startswith(("pg_", "information_schema"))]


def test_anybody_may_ask(database: Target, tmp_path: Path) -> None:
    prepare(database)
    path = tmp_path / "sizes"
    path.write_text(answer(database))
    check(read_sizes(path))


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN, reason="no PostgreSQL in /usr/lib/postgresql")
def test_an_older_server_answers(local_settings: Settings, tmp_path: Path) -> None:
    with scratch_cluster.cluster(replace(local_settings, pg_bindir=DEBIAN[0].parent)) as cluster:
        target = cluster.create_database("sizes")
        prepare(target)
        (tmp_path / "sizes").write_text(answer(target))
    check(read_sizes(tmp_path / "sizes"))


@pytest.mark.parametrize(
    "options", [[], ["-A"], ["-At"], ["-x"], ["--csv"]], ids=["aligned", "unaligned", "bare", "expanded", "csv"]
)
def test_what_psql_prints_can_be_read(
    database: Target, local_settings: Settings, tmp_path: Path, options: list[str]
) -> None:
    import subprocess

    from dbkit.postgres import pg_dump

    prepare(database)
    conninfo, environment = pg_dump.client_login(database)
    program = client_program(local_settings, "psql", 18)
    command = [program, "-X", *options, "-c", QUERY, "-d", conninfo]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    (tmp_path / "sizes").write_text(printed)
    check(read_sizes(tmp_path / "sizes"))


def test_csv_of_another_program(tmp_path: Path) -> None:
    text = io.StringIO()
    row = {"table": "public.t", "rows": 5, "bytes": 8192, "indexes": 1, "index_bytes": 8192, "writes_per_second": 0.5}
    csv.writer(text).writerows([["json_agg"], [json.dumps([row])]])
    (tmp_path / "sizes").write_text(f"\ufeff{text.getvalue()}")
    assert read_sizes(tmp_path / "sizes") == {"t": TableSize(5, 8192, 1, 8192, 0.5)}


@pytest.mark.parametrize("text", ["", "ERROR:  permission denied", "[1, 2]", '[{"table": "t"}]', "[{]"])
def test_what_is_no_answer_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sizes"
    path.write_text(text)
    with pytest.raises(InputError, match="result of the query"):
        read_sizes(path)
    with pytest.raises(InputError, match="cannot read"):
        read_sizes(tmp_path / "missing")


@pytest.fixture(scope="session")
def rates(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Rates:
    """How quick the server of this run is; measuring takes seconds."""

    def measure() -> Rates:
        target = server.create_database("rates")
        measured = measure_rates(target)
        server.drop_database(target.dbname)
        return measured

    return make_once(tmp_path_factory, "rates", measure)


def test_a_prediction_grows_with_the_table(rates: Rates) -> None:
    assert set(WORK_STATEMENTS) == set(WORK_BY_RULE.values())
    small, big = (TableSize(rows, rows * 60, 2, rows * 30, 0.0) for rows in (100_000, 10_000_000))
    for kind in WORK_STATEMENTS:
        assert rates.predict(kind, big) == pytest.approx(100 * rates.predict(kind, small))
    many = replace(small, indexes=9)
    assert rates.predict("rewrite", many) > rates.predict("rewrite", small)


def rates_of(narrow: float, wide: float) -> Rates:
    """Where every work takes so long for 100 rows, of 10 bytes each and of 100 bytes each."""
    kinds = [*WORK_STATEMENTS, "copy"]
    return Rates(
        MeasuredTable(TableSize(100, 1_000, 1, 0, 0.0), dict.fromkeys(kinds, narrow)),
        MeasuredTable(TableSize(100, 10_000, 1, 0, 0.0), dict.fromkeys(kinds, wide)),
    )


def test_a_prediction_counts_rows_and_bytes() -> None:
    size = TableSize(200, 5_000, 3, 0, 0.0)
    rates = rates_of(2.0, 11.0)  # 0.01 s for a row, and 0.001 s for a byte
    assert rates.predict("scan", size) == pytest.approx(2.0 + 5.0)
    assert rates.predict("rewrite", size) == pytest.approx((2.0 + 5.0) * (1 + 3)), "with each index"
    assert rates_of(2.0, 1.0).predict("scan", size) == pytest.approx(4.0), "no byte saves time"
    assert rates_of(1.0, 20.0).predict("scan", size) == pytest.approx(10.0), "no row saves time"


def test_small_tables_are_notes_and_others_get_figures(rates: Rates) -> None:
    advice = LintFinding("not-null-by-scan", Level.DANGER, "aaaa", Path("x"), 1, "orders: wait", tables=("orders",))
    small, big = (TableSize(rows, rows * 100, 1, 0, 12.0) for rows in (SMALL - 1, 43_000_000))
    assert apply_sizes(advice, {"orders": small}, rates).level == Level.NOTE
    assert apply_sizes(advice, {"orders": small}, rates, small=10).level == Level.DANGER
    told_of = apply_sizes(advice, {"orders": big}, rates)
    assert told_of.level == Level.DANGER
    assert "orders has 43 million rows, about " in told_of.message
    assert told_of.message.endswith(" at the rate measured here, with 12 writes per second")
    assert apply_sizes(advice, {"others": big}, rates) == advice


def test_words() -> None:
    assert [format_rows(number) for number in (999, 10_000, 1_230_000, 43_400_000)] == [
        "999 rows",
        "10,000 rows",
        "1.2 million rows",
        "43 million rows",
    ]
    assert [format_duration(number) for number in (0.2, 40, 200, 9000)] == [
        "less than 1 s",
        "about 40 s",
        "about 3 min",
        "about 2.5 h",
    ]


@pytest.mark.slow
def test_lint_uses_them(
    ini: Path, lint: Callable[..., tuple[int, str]], rates: Rates, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {
        "table": "public.t",
        "rows": 43_000_000,
        "bytes": 4_000_000_000,
        "indexes": 1,
        "index_bytes": 900_000_000,
        "writes_per_second": 20,
    }
    path = ini.parent / "sizes.txt"
    path.write_text(json.dumps([row]))
    assert "t has 43 million rows, about " in lint(ini, "--sizes", str(path))[1]
    monkeypatch.setattr("dbkit.lint.run.measure_rates", lambda _: rates)  # that it measures was shown
    path.write_text(json.dumps([{**row, "rows": 50}]))
    ini.write_text(f"{ini.read_text()}\n[dbkit]\nsizes = sizes.txt\n")
    assert "0 dangers" in lint(ini)[1]
    ini.write_text(f"{ini.read_text()}small_table = 10\n")
    assert "1 danger" in lint(ini)[1]
