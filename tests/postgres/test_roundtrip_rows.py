"""Faults that only rows show, none of which has a row written for it: each is found, and no clean migration is blamed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from dbkit.errors import CheckFailed
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.outcome import Outcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from support.battery import NOTHING, Planted, make_project, revision_file
from support.once import make_once

# Of each case its own, so that none meets what another one did
TABLES = """
CREATE TYPE mood{n} AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE c{n} (id serial PRIMARY KEY, email varchar(100) NOT NULL, name text, note text NOT NULL, balance numeric(12, 4) NOT NULL,
    joined timestamptz NOT NULL, born date, level int NOT NULL, factor float8 NOT NULL, data json NOT NULL, photo bytea NOT NULL,
    mood mood{n} NOT NULL, code char(6) NOT NULL, tags text[]);
CREATE TABLE o{n} (id int PRIMARY KEY, customer int NOT NULL REFERENCES c{n} ON DELETE CASCADE, total numeric NOT NULL, paid bool);
CREATE TABLE line{n} (o int NOT NULL REFERENCES o{n} ON DELETE CASCADE, text text NOT NULL, number int);
CREATE TABLE k{n} (id serial PRIMARY KEY, text text NOT NULL)"""
DROP = "DROP TABLE k{n}, line{n}, o{n}, c{n}; DROP TYPE mood{n}"


class Case(NamedTuple):
    """One migration: its SQL, the verdict, and what must be in the words of a finding."""

    up: str
    down: str
    verdict: str = "proven"
    words: str = ""


FAULTS = {
    "a column dropped": Case(
        "ALTER TABLE c{n} DROP note", "ALTER TABLE c{n} ADD note text; UPDATE c{n} SET note = '-'; ALTER TABLE c{n} ALTER note SET NOT NULL", "lossy",
        "c{n}.note: 5 of 5 values changed (the upgrade drops the column)"),
    "a nullable column dropped": Case(
        "ALTER TABLE c{n} DROP name", "ALTER TABLE c{n} ADD name text", "lossy",
        "c{n}.name: 4 of 4 values lost (the upgrade drops the column)"),
    "a column renamed and filled": Case(
        "ALTER TABLE c{n} RENAME name TO label; UPDATE c{n} SET label = '?' WHERE label IS NULL", "ALTER TABLE c{n} RENAME label TO name", "lossy",
        "values made up (the upgrade drops or renames the column)"),
    "a table dropped": Case(
        "DROP TABLE line{n}", "CREATE TABLE line{n} (o int NOT NULL REFERENCES o{n} ON DELETE CASCADE, text text NOT NULL, number int)",
        "lossy", "line{n}: 5 of 5 rows gone (the upgrade drops the table)"),
    "rounded": Case(
        "ALTER TABLE c{n} ALTER balance TYPE numeric(12, 2)", "ALTER TABLE c{n} ALTER balance TYPE numeric(12, 4)", "lossy", "c{n}.balance: "),
    "rounded to cents": Case(
        "UPDATE c{n} SET balance = trunc(balance, 2)", NOTHING, "lossy", "c{n}.balance: "),
    "float narrowed": Case(
        "ALTER TABLE c{n} ALTER factor TYPE real", "ALTER TABLE c{n} ALTER factor TYPE float8", "lossy", "c{n}.factor: "),
    "truncated": Case(
        "ALTER TABLE c{n} ALTER email TYPE varchar(50) USING left(email, 50)", "ALTER TABLE c{n} ALTER email TYPE varchar(100)",
        "lossy", "c{n}.email: "),
    "narrowed": Case(
        "ALTER TABLE c{n} ALTER email TYPE varchar(50)", "ALTER TABLE c{n} ALTER email TYPE varchar(100)", "proven, if",
        "c{n}.email can be converted to character varying(50)"),
    "re-cased": Case("UPDATE c{n} SET email = lower(email)", NOTHING, "lossy", "c{n}.email: "),
    "trimmed": Case("UPDATE c{n} SET note = trim(note)", NOTHING, "lossy", "c{n}.note: "),
    "empty made NULL": Case(
        "ALTER TABLE c{n} ALTER note DROP NOT NULL; UPDATE c{n} SET note = NULL WHERE note = ''",
        "UPDATE c{n} SET note = '-' WHERE note IS NULL; ALTER TABLE c{n} ALTER note SET NOT NULL", "lossy", "c{n}.note: 1 of 5 values changed"),
    "NULL made empty": Case(
        "UPDATE c{n} SET name = '' WHERE name IS NULL; ALTER TABLE c{n} ALTER name SET NOT NULL",
        "ALTER TABLE c{n} ALTER name DROP NOT NULL", "lossy", "c{n}.name: 1 of 5 values made up"),
    "set to NULL": Case(
        "ALTER TABLE c{n} ALTER born TYPE text", "ALTER TABLE c{n} ALTER born TYPE date USING NULL", "lossy", "c{n}.born: 4 of 4 values lost"),
    "cascaded away": Case(
        "DELETE FROM c{n} WHERE level < 0", NOTHING, "lossy", "o{n}: 2 of 5 rows gone"),
    "truncated by a cascade": Case("TRUNCATE o{n} CASCADE", NOTHING, "lossy", "line{n}: 5 of 5 rows gone"),
    "deduplicated": Case(
        "DELETE FROM c{n} AS a USING c{n} AS b WHERE a.email = b.email AND a.id > b.id", NOTHING, "lossy", "c{n}: 1 of 5 rows gone"),
    "re-keyed": Case(
        "ALTER TABLE k{n} DROP id; ALTER TABLE k{n} ADD id serial PRIMARY KEY", "ALTER TABLE k{n} DROP id; ALTER TABLE k{n} ADD id serial PRIMARY KEY",
        "lossy", "k{n}: 5 of 5 rows gone"),
    "renumbered": Case("UPDATE line{n} SET number = number + 1 WHERE number < 100", "UPDATE line{n} SET number = number - 2 WHERE number < 100", "lossy",
        "line{n}.number: "),
    "re-encoded": Case(
        "ALTER TABLE c{n} ALTER data TYPE jsonb", "ALTER TABLE c{n} ALTER data TYPE json", "lossy", "c{n}.data: "),
    "bytes as text": Case(
        "ALTER TABLE c{n} ALTER photo TYPE text USING convert_from(photo, 'UTF8')",
        "ALTER TABLE c{n} ALTER photo TYPE bytea USING convert_to(photo, 'UTF8')", "fails on rows", "invalid byte sequence"),
    "time-shifted": Case(
        "ALTER TABLE c{n} ALTER joined TYPE timestamp USING joined AT TIME ZONE 'UTC'",
        "ALTER TABLE c{n} ALTER joined TYPE timestamptz USING joined AT TIME ZONE 'Europe/Berlin'", "lossy", "c{n}.joined: 5 of 5 values changed"),
    "time cut off": Case(
        "ALTER TABLE c{n} ALTER joined TYPE date", "ALTER TABLE c{n} ALTER joined TYPE timestamptz", "lossy", "c{n}.joined: "),
    "not null": Case("ALTER TABLE c{n} ALTER name SET NOT NULL", "ALTER TABLE c{n} ALTER name DROP NOT NULL", "proven, if", "c{n}"),
    "not null without a default": Case(
        "ALTER TABLE c{n} ADD flag bool NOT NULL", "ALTER TABLE c{n} DROP flag", "proven, if", "c{n}"),
    "unique": Case(
        "ALTER TABLE c{n} ADD CONSTRAINT u{n} UNIQUE (email)", "ALTER TABLE c{n} DROP CONSTRAINT u{n}", "proven, if", "no two rows of c{n} have the same email"),
    "check": Case(
        "ALTER TABLE c{n} ADD CONSTRAINT k{n} CHECK (level >= 0)", "ALTER TABLE c{n} DROP CONSTRAINT k{n}", "proven, if", "every row of c{n} satisfies"),
    "length check": Case(
        "ALTER TABLE c{n} ADD CONSTRAINT k{n} CHECK (note <> '')", "ALTER TABLE c{n} DROP CONSTRAINT k{n}", "proven, if", "every row of c{n} satisfies"),
    "type narrowed": Case(
        "ALTER TABLE c{n} ALTER level TYPE smallint", "ALTER TABLE c{n} ALTER level TYPE int", "proven, if", "c{n}.level can be converted to smallint"),
    "text to a number": Case(
        "ALTER TABLE c{n} ALTER code TYPE int USING code::int", "ALTER TABLE c{n} ALTER code TYPE char(6)", "proven, if", "c{n}.code can be converted to integer"),
    "foreign key": Case(
        "ALTER TABLE line{n} ADD CONSTRAINT f{n} FOREIGN KEY (number) REFERENCES o{n}", "ALTER TABLE line{n} DROP CONSTRAINT f{n}",
        "proven, if", "every line{n}.number is in o{n}.id"),
    "an enum value merged": Case(
        "UPDATE c{n} SET mood = 'ok' WHERE mood = 'happy'", NOTHING, "lossy", "c{n}.mood: "),
    "an array flattened": Case(
        "ALTER TABLE c{n} ALTER tags TYPE text USING tags[1]", "ALTER TABLE c{n} ALTER tags TYPE text[] USING ARRAY[tags]", "lossy", "c{n}.tags: "),
    "two values swapped": Case(
        "ALTER TABLE c{n} RENAME note TO name2; ALTER TABLE c{n} RENAME email TO note",
        "ALTER TABLE c{n} RENAME name2 TO email; ALTER TABLE c{n} ALTER email TYPE varchar(100) USING left(email, 100); "
        "ALTER TABLE c{n} ALTER note TYPE text", "lossy", "c{n}.email: "),
    "rows that stay": Case("INSERT INTO line{n} SELECT id, 'x', 1 FROM o{n}", NOTHING, "lossy", "line{n}: 5 rows more than 5"),
    "the downgrade deletes too much": Case(
        "INSERT INTO line{n} SELECT id, 'x', 1 FROM o{n}", "DELETE FROM line{n}", "lossy", "line{n}: 5 of 5 rows gone (the downgrade does it)"),
    "a trigger of another table": Case(
        "CREATE FUNCTION f{n}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM line{n}; RETURN NEW; END $$; "
        "CREATE TRIGGER t{n} AFTER UPDATE ON c{n} FOR EACH ROW EXECUTE FUNCTION f{n}(); UPDATE c{n} SET level = level",
        "DROP TRIGGER t{n} ON c{n}; DROP FUNCTION f{n}()", "lossy", "line{n}: 5 of 5 rows gone"),
    "trimmed at the end": Case("UPDATE c{n} SET note = rtrim(note)", NOTHING, "lossy", "c{n}.note: "),
    "white space made one": Case("UPDATE c{n} SET note = replace(note, chr(10), ' ')", NOTHING, "lossy", "c{n}.note: "),
    "after settings of the session": Case(
        "SET TIME ZONE 'America/New_York'; UPDATE c{n} SET joined = joined + interval '1 s'", NOTHING, "lossy", "c{n}.joined: 5 of 5"),
    "a loop in Python": Case(
        "python:for row in op.get_bind().exec_driver_sql('SELECT note FROM c{n}'):\n        int(row.note)", "python:pass", "fails on rows", "invalid literal for int()"),
}  # fmt: skip

CLEAN = {
    "a column added": Case("ALTER TABLE c{n} ADD extra text", "ALTER TABLE c{n} DROP extra"),
    "a column added with a volatile default": Case(
        "ALTER TABLE c{n} ADD extra uuid NOT NULL DEFAULT gen_random_uuid()", "ALTER TABLE c{n} DROP extra"),
    "a column added and filled": Case(
        "ALTER TABLE c{n} ADD upper_email text; UPDATE c{n} SET upper_email = upper(email); ALTER TABLE c{n} ALTER upper_email SET NOT NULL",
        "ALTER TABLE c{n} DROP upper_email"),
    "a column renamed": Case("ALTER TABLE c{n} RENAME note TO remark", "ALTER TABLE c{n} RENAME remark TO note"),
    "a table renamed": Case("ALTER TABLE line{n} RENAME TO lines{n}", "ALTER TABLE lines{n} RENAME TO line{n}"),
    "a type widened": Case("ALTER TABLE c{n} ALTER level TYPE bigint", "ALTER TABLE c{n} ALTER level TYPE int"),
    "text widened": Case("ALTER TABLE c{n} ALTER email TYPE text", "ALTER TABLE c{n} ALTER email TYPE varchar(100)"),
    "time zone there and back": Case(
        "ALTER TABLE c{n} ALTER joined TYPE timestamp USING joined AT TIME ZONE 'UTC'",
        "ALTER TABLE c{n} ALTER joined TYPE timestamptz USING joined AT TIME ZONE 'UTC'"),
    "rows inserted and deleted": Case(
        "INSERT INTO c{n} (email, note, balance, joined, level, factor, data, photo, mood, code) "
        "VALUES ('admin@shop.example', '', 0, now(), 0, 0, '[]', '', 'ok', 'ADMIN')",
        "DELETE FROM c{n} WHERE email = 'admin@shop.example'"),
    "lookup table from a column": Case(
        "CREATE TABLE codes{n} (id serial PRIMARY KEY, code char(6) NOT NULL); INSERT INTO codes{n} (code) SELECT DISTINCT code FROM c{n}; "
        "ALTER TABLE c{n} ADD code_id int REFERENCES codes{n}; UPDATE c{n} SET code_id = k.id FROM codes{n} AS k WHERE k.code = c{n}.code",
        "ALTER TABLE c{n} DROP code_id; DROP TABLE codes{n}"),
    "a column moved and moved back": Case(
        "CREATE TABLE notes{n} (id int PRIMARY KEY REFERENCES c{n}, note text NOT NULL); INSERT INTO notes{n} SELECT id, note FROM c{n}; "
        "ALTER TABLE c{n} DROP note",
        "ALTER TABLE c{n} ADD note text; UPDATE c{n} SET note = k.note FROM notes{n} AS k WHERE k.id = c{n}.id; "
        "ALTER TABLE c{n} ALTER note SET NOT NULL; DROP TABLE notes{n}"),
    "not null by a value": Case(
        "UPDATE c{n} SET name = E'\\x01' WHERE name IS NULL; ALTER TABLE c{n} ALTER name SET NOT NULL",
        "ALTER TABLE c{n} ALTER name DROP NOT NULL; UPDATE c{n} SET name = NULL WHERE name = E'\\x01'"),
    "a check not valid": Case(
        "ALTER TABLE c{n} ADD CONSTRAINT k{n} CHECK (level >= 0) NOT VALID", "ALTER TABLE c{n} DROP CONSTRAINT k{n}"),
    "settings of the session left": Case(
        "SET TIME ZONE 'America/New_York'; SET DateStyle = 'SQL, DMY'; ALTER TABLE c{n} ADD z int; UPDATE c{n} SET z = 1", "ALTER TABLE c{n} DROP z"),
    "by a view, there and back": Case("CREATE VIEW w{n} AS SELECT * FROM line{n}; UPDATE w{n} SET number = -number", "UPDATE w{n} SET number = -number; DROP VIEW w{n}"),
    "a small key": Case("CREATE TABLE lang{n} (code char(2) PRIMARY KEY CHECK (code ~ '^[a-z]*$'))", "DROP TABLE lang{n}"),
    "an index": Case("CREATE INDEX i{n} ON c{n} (lower(email))", "DROP INDEX i{n}"),
    "an index, concurrently": Case(
        "python:with op.get_context().autocommit_block():\n        op.execute('CREATE INDEX CONCURRENTLY i{n} ON c{n} (level)')",
        "python:with op.get_context().autocommit_block():\n        op.execute('DROP INDEX CONCURRENTLY i{n}')"),
    "an enum value renamed": Case("ALTER TYPE mood{n} RENAME VALUE 'sad' TO 'blue'", "ALTER TYPE mood{n} RENAME VALUE 'blue' TO 'sad'"),
    "partitioned": Case(
        "ALTER TABLE line{n} RENAME TO old{n}; CREATE TABLE line{n} (o int NOT NULL, text text NOT NULL, number int) PARTITION BY HASH (o); "
        "CREATE TABLE line{n}_0 PARTITION OF line{n} FOR VALUES WITH (MODULUS 1, REMAINDER 0); INSERT INTO line{n} SELECT * FROM old{n}",
        "DROP TABLE line{n}; ALTER TABLE old{n} RENAME TO line{n}"),
}  # fmt: skip
CASES = FAULTS | CLEAN


@pytest.fixture(scope="session")
def outcome(local_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One walk over all of them: before each, a revision with its tables."""
    chain = []
    for number, (name, case) in enumerate(CASES.items()):
        chain.append(Planted(f"tables of {name}", TABLES.format(n=number), DROP.format(n=number), "proven"))
        chain.append(
            Planted(name, case.up.replace("{n}", str(number)), case.down.replace("{n}", str(number)), case.verdict)
        )
    ini = make_project(tmp_path_factory.mktemp("rows") / "project", chain)
    return make_once(tmp_path_factory, "rows", lambda: prove(local_settings, ini, Request(jobs=1)))


def test_there_are_enough() -> None:
    assert len(FAULTS) >= 25
    assert len(CLEAN) >= 10


@pytest.mark.parametrize(("number", "name"), list(enumerate(CASES)), ids=CASES.keys())
def test_each_fault_is_found_and_no_clean_one_blamed(outcome: Outcome, number: int, name: str) -> None:
    case, found = CASES[name], outcome.revisions[2 * number + 1]
    assert found.message == name
    words = "\n".join(each.words for each in (*found.findings, *found.preconditions))
    assert found.verdict == case.verdict, words
    assert case.words.format(n=number) in words


def test_the_tables_themselves_are_proven_and_filled(outcome: Outcome) -> None:
    assert {each.verdict for each in outcome.revisions[::2]} == {"proven"}
    assert outcome.sample_rows.unfilled == ()
    assert outcome.chain == "the whole chain"


@pytest.fixture
def proven(local_settings: Settings, server: Cluster, tmp_path: Path) -> Callable[..., Outcome]:
    """Prove revisions in databases of the run's server; `samples` are files beside them, by name."""

    def run(*cases: Case, samples: Mapping[str, str] = MappingProxyType({}), **request: object) -> Outcome:
        ini = make_project(tmp_path / "project", [Planted(case.up, case.up, case.down, "") for case in cases])
        for name, text in samples.items():
            (ini.parent / "backend/alembic/samples" / name).write_text(text)
        asked = {"server": server.target("postgres"), **request}
        return prove(local_settings, ini, Request(**asked))  # type: ignore[arg-type]

    return run


def verdicts(outcome: Outcome) -> list[str]:
    return [each.verdict.value for each in outcome.revisions]


PAID = Case("CREATE TABLE paid (id int PRIMARY KEY, sum text NOT NULL)", "DROP TABLE paid")
AS_NUMBER = Case("ALTER TABLE paid ALTER sum TYPE numeric USING sum::numeric", "ALTER TABLE paid ALTER sum TYPE text")


def test_a_project_s_own_rows_are_used_where_it_has_some(proven: Callable[..., Outcome]) -> None:
    assert verdicts(proven(PAID, AS_NUMBER)) == ["proven", "proven, if"]


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("case00.sql", "INSERT INTO paid VALUES (1, '1.50'), (2, '20')"),
        ("case00_payments.sql", "INSERT INTO paid VALUES (1, '1.50')"),
        ("case00.py", "def fill(connection):\n    connection.execute(\"INSERT INTO paid VALUES (1, '1.50')\")\n"),
    ],
)
def test_sample_rows_by_revision(proven: Callable[..., Outcome], name: str, text: str) -> None:
    """The rows are those of the file: an assertion of its own finds the first one."""
    found = proven(
        PAID, AS_NUMBER, samples={name: text, "case01_after.sql": "SELECT 1 FROM paid WHERE sum::numeric = 1.5"}
    )
    assert verdicts(found) == ["proven", "broken"]
    assert [each.kind for each in found.revisions[1].preconditions] == ["type"]


def test_sample_rows_that_a_migration_loses(proven: Callable[..., Outcome]) -> None:
    found = proven(
        PAID,
        Case("UPDATE paid SET sum = round(sum::numeric)::text", NOTHING),
        samples={"case00.sql": "INSERT INTO paid VALUES (1, '1.50'), (2, '20')"},
    )
    assert [finding.words for finding in found.revisions[1].findings] == [
        "after downgrade, paid.sum: 1 of 2 values changed (the upgrade does it, and the downgrade does not undo it)"
    ]


def test_sample_rows_that_do_not_fit_are_an_error(proven: Callable[..., Outcome]) -> None:
    with pytest.raises(CheckFailed, match=r"case00\.sql failed: .*payd.* does not exist"):
        proven(PAID, AS_NUMBER, samples={"case00.sql": "INSERT INTO payd VALUES (1, '1.50')"})


def test_no_column_hides_the_others(proven: Callable[..., Outcome]) -> None:
    """In SQL, the name of a row can be that of a column."""
    table = Case("CREATE TABLE a (id int PRIMARY KEY, t text, r text, note text NOT NULL)", "DROP TABLE a")
    assert verdicts(proven(table, Case("UPDATE a SET note = upper(note) || 'x'", NOTHING))) == ["proven", "lossy"]


def test_values_swapped_in_a_large_table(proven: Callable[..., Outcome]) -> None:
    found = proven(
        PAID,
        Case("UPDATE paid SET sum = (12 - id)::text WHERE id IN (5, 7)", NOTHING),
        samples={"case00.sql": "INSERT INTO paid SELECT i, i::text FROM generate_series(1, 10001) AS i"},
    )
    words = "after downgrade, paid: some of 10,001 rows changed"
    assert [finding.words.startswith(words) for finding in found.revisions[1].findings] == [True]


def test_a_table_without_rows_is_not_proven(proven: Callable[..., Outcome]) -> None:
    never = Case(
        "CREATE TABLE never (x int NOT NULL CHECK (x > 1 AND x < 1)); CREATE TABLE t (x int)", "DROP TABLE never, t"
    )
    found = proven(
        never,
        Case("ALTER TABLE never ADD y int", "ALTER TABLE never DROP y"),
        Case("ALTER TABLE t ADD y int", "ALTER TABLE t DROP y"),
    )
    assert verdicts(found) == ["proven", "unproven", "proven"]
    assert found.revisions[1].findings[0].words.startswith("never has no rows to prove it with: no value")
    assert found.sample_rows.filled == {"t"}
    assert [name for name, _ in found.sample_rows.unfilled] == ["never"]
    assert found.failed
    assert found.chain == "the whole chain"


def test_rows_and_seed_can_be_asked_for(proven: Callable[..., Outcome]) -> None:
    counts = Case("CREATE TABLE t (x int)", "DROP TABLE t"), Case("DELETE FROM t", NOTHING)
    assert "t: 9 of 9 rows gone" in proven(*counts, rows=9, seed=3).revisions[1].findings[0].words


@pytest.mark.slow
def test_the_same_seed_finds_the_same(local_settings: Settings, tmp_path: Path) -> None:
    ini = make_project(
        tmp_path / "project", [Planted("t", PAID.up, PAID.down, ""), Planted("n", AS_NUMBER.up, AS_NUMBER.down, "")]
    )
    first, second = (prove(local_settings, ini, Request()) for _ in range(2))
    alike = [[replace(each, seconds=0.0) for each in outcome.revisions] for outcome in (first, second)]
    assert alike[0] == alike[1]


def test_a_migration_that_needs_rows_does_not_stop_the_proof(proven: Callable[..., Outcome]) -> None:
    """Without rows it fails; so what fails on rows after it cannot be told from what fails always."""
    found = proven(
        PAID,
        Case("python:op.get_bind().exec_driver_sql('SELECT sum FROM paid').all()[0]", "python:pass"),
        Case("ALTER TABLE paid ADD x int", "ALTER TABLE paid DROP x"),
    )
    assert verdicts(found) == ["proven", "proven", "proven"]
    assert found.chain == ""


def test_sample_rows_follow_a_revision_that_cannot_be_proven_without_rows(proven: Callable[..., Outcome]) -> None:
    """It fails on rows, and an earlier migration needs rows: its result stays, and its sample rows come next."""
    found = proven(
        PAID,
        Case("python:op.get_bind().exec_driver_sql('SELECT sum FROM paid').all()[0]", "python:pass"),
        Case(
            "ALTER TABLE paid ADD note text",
            "python:for row in op.get_bind().exec_driver_sql('SELECT sum FROM paid'):\n        int(row.sum)",
        ),
        Case("DELETE FROM paid WHERE id = 7", NOTHING),
        samples={"case02.sql": "INSERT INTO paid VALUES (7, 'seven', 'x')"},
    )
    assert verdicts(found) == ["proven", "proven", "broken", "lossy"]


@pytest.mark.slow
def test_by_clones_it_is_the_same(proven: Callable[..., Outcome]) -> None:
    """A migration that leaves its transaction is proven on copies of the database, with their rows."""
    lossy = Case(
        "python:with op.get_context().autocommit_block():\n        op.execute(\"UPDATE paid SET sum = ''\")",
        "python:pass",
    )
    fails = Case(
        "python:with op.get_context().autocommit_block():\n        op.execute('CREATE UNIQUE INDEX CONCURRENTLY i ON paid (sum)')",
        "python:with op.get_context().autocommit_block():\n        op.execute('DROP INDEX CONCURRENTLY i')",
    )
    found = proven(PAID, lossy, fails)
    assert verdicts(found) == ["proven", "lossy", "proven, if"]
    assert found.chain == "the whole chain"


@pytest.mark.spread(3)
@pytest.mark.parametrize(("accepted", "failed"), [("", True), ("dirty", True), ("dirty lossy", False)])
def test_schema_and_rows_are_accepted_each_by_itself(
    local_settings: Settings, tmp_path: Path, accepted: str, failed: bool
) -> None:
    both = Planted("both", "ALTER TABLE paid DROP sum", "ALTER TABLE paid ADD sum text DEFAULT 'none'", "")
    ini = make_project(tmp_path / "project", [Planted("paid", PAID.up, PAID.down, ""), both])
    comments = "".join(f"# dbkit: ok {verdict}, nobody minds\n" for verdict in accepted.split())
    path = ini.parent / "backend/alembic/versions/case01.py"
    path.write_text(comments + revision_file("case01", "case00", "both", both.up, both.down))
    found = prove(local_settings, ini, Request(jobs=1)).revisions[1]
    assert (found.verdict, found.also, found.failed) == ("dirty", ("lossy",), failed)
