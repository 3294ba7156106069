"""Statements that no row of before can meet, rows that a migration refuses, and what planted rows leave behind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dbkit.findings.verdict import Verdict
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.outcome import Outcome, RevisionOutcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from support.plain import Revision, write_project

BEDS = (
    "CREATE TABLE beds (id int, version int, PRIMARY KEY (id, version)); CREATE TABLE stays ("
    "bed int NOT NULL, version int NOT NULL, FOREIGN KEY (bed, version) REFERENCES beds)"
)
TABLE = (
    "CREATE TYPE mood AS ENUM ('well', 'ill'); CREATE TABLE wards (id int PRIMARY KEY); CREATE TABLE patients ("
    "id serial PRIMARY KEY, name varchar(8) NOT NULL, mood mood NOT NULL, stay text CHECK (stay IN ('day', 'night')), "
    "ward int NOT NULL REFERENCES wards, card text UNIQUE NOT NULL); CREATE TABLE guests (ward int REFERENCES wards)"
)
FIRST: Revision = (
    "a1",
    None,
    f"{TABLE}; {BEDS}",
    "DROP TABLE stays; DROP TABLE beds; DROP TABLE patients, guests; DROP TABLE wards; DROP TYPE mood",
)

# what goes up and down, and a part of the reason why the statement can meet no row of before
IMPOSSIBLE = {
    "a NULL where there is none": ("UPDATE patients SET name = '' WHERE name IS NULL", "", "constraints allow no row"),
    "a value that a CHECK forbids": ("UPDATE patients SET stay = 'day' WHERE stay = 'week'", "", "constraints allow no row"),
    "a label that the type lacks": ("UPDATE patients SET mood = 'ill' WHERE mood::text = 'dead'", "", ""),
    "duplicates of a unique key": (
        "DELETE FROM patients AS a USING patients AS b WHERE a.card = b.card AND a.id > b.id", "", "constraints allow no row"),
    "no parent, against a foreign key": (
        "DELETE FROM patients WHERE NOT EXISTS (SELECT FROM wards WHERE wards.id = patients.ward)", "", "constraints allow no row"),
    "a new column with a default": (
        "ALTER TABLE patients ADD urgent boolean DEFAULT false; UPDATE patients SET urgent = false WHERE urgent IS NULL",
        "ALTER TABLE patients DROP urgent", "NULL nowhere"),
    "on the way down, longer than before": (
        "ALTER TABLE patients ALTER name TYPE varchar(40)",
        "UPDATE patients SET name = left(name, 8) WHERE length(name) > 8; ALTER TABLE patients ALTER name TYPE varchar(8)",
        "constraints allow no row"),
    "on the way down, in a new column": (
        "ALTER TABLE patients ADD room int", "DELETE FROM patients WHERE room = 7; ALTER TABLE patients DROP room",
        "the revision adds"),
    "on the way down, a reference to a new row": (
        "INSERT INTO wards VALUES (7)", "DELETE FROM patients WHERE ward = 7; DELETE FROM wards WHERE id = 7",
        "written after the upgrade"),
    "on the way down, a part of a reference to a new row": (
        "INSERT INTO beds VALUES (7, 1)", "DELETE FROM stays WHERE bed = 7; DELETE FROM beds WHERE id = 7",
        "written after the upgrade"),
    "on the way down, no parent, although it is not NULL": (
        "ALTER TABLE guests DROP CONSTRAINT guests_ward_fkey",
        "UPDATE guests SET ward = NULL WHERE ward IS NOT NULL AND NOT EXISTS (SELECT FROM wards WHERE wards.id = guests.ward); "
        "ALTER TABLE guests ADD FOREIGN KEY (ward) REFERENCES wards",
        "constraints allow no row"),
    "a table of its own": (
        "CREATE TABLE rooms (id int); UPDATE rooms SET id = 1 WHERE id = 2", "DROP TABLE rooms", "made by the revision"),
}  # fmt: skip


@pytest.fixture
def proven(local_settings: Settings, server: Cluster, tmp_path: Path) -> Callable[..., Outcome]:
    def run(*revisions: Revision) -> Outcome:
        ini = write_project(tmp_path, revisions)
        return prove(local_settings, ini, Request(server=server.target("postgres"), jobs=1))

    return run


def last(outcome: Outcome) -> RevisionOutcome:
    return outcome.revisions[-1]


def words(outcome: RevisionOutcome) -> str:
    return "\n".join(finding.words for finding in (*outcome.findings, *outcome.warnings))


@pytest.mark.spread(6)
@pytest.mark.parametrize("name", list(IMPOSSIBLE))
def test_a_statement_that_can_meet_no_row_is_no_gap(proven: Callable[..., Outcome], name: str) -> None:
    up, down, reason = IMPOSSIBLE[name]
    outcome = last(proven(FIRST, ("a2", "a1", up, down or "python:pass")))
    assert (outcome.verdict, words(outcome)) == (Verdict.PROVEN, "")
    [unmet] = [each for each in outcome.coverage if not each.rows]
    assert unmet.by_construction
    assert reason in unmet.reason


def test_a_statement_of_which_no_row_was_found_is_named(proven: Callable[..., Outcome]) -> None:
    up = "UPDATE patients SET card = card || '-' WHERE md5(card) = repeat('f', 32)"
    outcome = last(proven(FIRST, ("a2", "a1", up, "python:pass")))
    assert outcome.verdict == Verdict.UNPROVEN
    assert "no row met this statement of upgrade(): UPDATE patients SET card" in words(outcome)
    assert "samples/a1.sql" in words(outcome)


GENERATED: Revision = (
    "a1",
    None,
    "CREATE TABLE pallets (id serial PRIMARY KEY, w int NOT NULL, d int NOT NULL, label text, "
    "area int GENERATED ALWAYS AS (w * d) STORED, code text GENERATED ALWAYS AS (upper(label)) STORED)",
    "DROP TABLE pallets",
)
ON_GENERATED = {
    "down": ("ALTER TABLE pallets ADD x int", "UPDATE pallets SET label = 'EPAL' WHERE area = 9600; ALTER TABLE pallets DROP x"),
    "a text": ("UPDATE pallets SET label = NULL WHERE code = 'EUR'", "python:pass"),
    "a range": ("UPDATE pallets SET label = 'huge' WHERE area > 100000 AND area < 100100", "python:pass"),
    "two": ("DELETE FROM pallets WHERE area = w * 7 AND code LIKE 'A%%'", "python:pass"),
}  # fmt: skip


@pytest.mark.parametrize("name", ON_GENERATED)
def test_a_condition_on_a_generated_column_is_met(proven: Callable[..., Outcome], name: str) -> None:
    outcome = last(proven(GENERATED, ("a2", "a1", *ON_GENERATED[name])))
    assert outcome.verdict == Verdict.LOSSY, words(outcome)
    assert all(each.rows for each in outcome.coverage)


def test_a_condition_on_a_system_column_is_no_proof(proven: Callable[..., Outcome]) -> None:
    """The table has that column, so there may be such a row."""
    down = "DELETE FROM pallets WHERE tableoid = 7; ALTER TABLE pallets DROP x"
    outcome = last(proven(GENERATED, ("a2", "a1", "ALTER TABLE pallets ADD x int", down)))
    assert outcome.verdict == Verdict.UNPROVEN
    assert "could not be read" in words(outcome)


BOTS = (
    "CREATE TABLE bots (id serial PRIMARY KEY, name text UNIQUE NOT NULL, token bytea UNIQUE NOT NULL, other bytea NOT NULL); "
    "CREATE TABLE channels (id serial PRIMARY KEY, bot int REFERENCES bots)"
)
TAKEN = {
    "one with other values has the key": "DELETE FROM bots WHERE token = '' AND other = '' AND name = 'x'",
    "a row of another table belongs to it": "DELETE FROM bots WHERE token = '' AND NOT EXISTS (SELECT FROM channels WHERE bot = bots.id)",
    "both": "DELETE FROM bots WHERE name = 'x' AND token = '' AND other = '' AND NOT EXISTS (SELECT FROM channels WHERE bot = bots.id)",
    "two statements": (
        "DELETE FROM bots WHERE token = '' AND other = '' AND NOT EXISTS (SELECT FROM channels WHERE bot = bots.id); "
        "DELETE FROM bots WHERE token = 'a' AND other = 'b' AND NOT EXISTS (SELECT FROM channels WHERE bot = bots.id)"
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_row_is_planted_where_a_sample_row_has_its_key(proven: Callable[..., Outcome], name: str) -> None:
    first: Revision = ("a1", None, BOTS, "DROP TABLE channels; DROP TABLE bots")
    outcome = last(proven(first, ("b2", "a1", TAKEN[name], "")))
    assert outcome.verdict == Verdict.LOSSY, words(outcome)
    assert all(each.rows for each in outcome.coverage)


def test_later_revisions_do_not_meet_the_rows(proven: Callable[..., Outcome], tmp_path: Path) -> None:
    lossy = "UPDATE patients SET name = 'x' WHERE name = 'rare'"
    seen = tmp_path / "names"
    reading = (
        f"python:import pathlib\n    names = op.get_bind().exec_driver_sql('SELECT name FROM patients').scalars()\n"
        f"    pathlib.Path({str(seen)!r}).open('a').write(chr(10).join(names) + '!')"
    )
    outcome = proven(FIRST, ("a2", "a1", lossy, "python:pass"), ("a3", "a2", reading, "python:pass"))
    assert [each.verdict for each in outcome.revisions] == [Verdict.PROVEN, Verdict.LOSSY, Verdict.PROVEN]
    first, *_ = seen.read_text().split("!")
    assert first.count("\n") >= 4
    assert "rare" not in seen.read_text()


HONEST = {
    "a unique value that takes the place of another": (
        "UPDATE patients SET card = 'new' WHERE card = 'old'", "UPDATE patients SET card = 'old' WHERE card = 'new'"),
    "rows of a bulk insert, deleted by a value": (
        "python:from datetime import datetime\n"
        "    table = sa.table('prices', sa.column('valid', sa.DateTime), sa.column('cents', sa.Integer))\n"
        "    op.bulk_insert(table, [{'valid': datetime(2026, 4, 1), 'cents': cents} for cents in (70, 80)])",
        "DELETE FROM prices WHERE valid = '2026-04-01'"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", HONEST)
def test_rows_do_not_have_the_values_that_it_writes_itself(proven: Callable[..., Outcome], name: str) -> None:
    prices = ("a2", "a1", "CREATE TABLE prices (valid timestamp NOT NULL, cents int NOT NULL)", "DROP TABLE prices")
    outcome = last(proven(FIRST, prices, ("a3", "a2", *HONEST[name])))
    assert (outcome.verdict, words(outcome)) == (Verdict.PROVEN, "")
    assert all(each.rows for each in outcome.coverage)


def test_a_table_may_be_named_in_upper_case(proven: Callable[..., Outcome]) -> None:
    up = "UPDATE PATIENTS SET NAME = 'x' WHERE STAY = 'day'"
    outcome = last(proven(FIRST, ("a2", "a1", up, "python:pass")))
    assert outcome.verdict == Verdict.LOSSY
    assert "the downgrade does not undo it" in words(outcome)
    assert "does not name the table" not in words(outcome)


REFUSALS = {
    "by RAISE": "DO $$ BEGIN IF EXISTS (SELECT FROM patients WHERE name = 'rare') THEN RAISE EXCEPTION 'no'; END IF; END $$",
    "by raise": "python:if op.get_bind().exec_driver_sql(\"SELECT 1 FROM patients WHERE name = 'rare'\").first():\n"
    "        raise RuntimeError('no')",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", REFUSALS)
def test_a_migration_that_refuses_rows_loses_none(proven: Callable[..., Outcome], how: str) -> None:
    outcome = last(proven(FIRST, ("a2", "a1", REFUSALS[how], "python:pass")))
    assert (outcome.verdict, words(outcome)) == (Verdict.PROVEN, "")


def test_a_failure_of_all_rows_that_meet_a_condition_is_one(proven: Callable[..., Outcome]) -> None:
    up = "ALTER TABLE patients ADD age int; UPDATE patients SET age = name::int WHERE name LIKE 'No%'"
    outcome = last(proven(FIRST, ("a2", "a1", up, "ALTER TABLE patients DROP age")))
    assert outcome.verdict == Verdict.FAILS_ON_ROWS
    assert "invalid input syntax for type integer" in words(outcome)


def test_a_failure_of_some_rows_is_a_warning_and_hides_no_loss(proven: Callable[..., Outcome]) -> None:
    up = "UPDATE patients SET name = sqrt(length(stay) - 4)::text WHERE name = 'rare'"
    outcome = last(proven(FIRST, ("a2", "a1", up, "python:pass")))
    assert outcome.verdict == Verdict.LOSSY
    assert "fails on some of the rows that meet its conditions: " in words(outcome)


NEW_SEQUENCE = (
    "ALTER TABLE patients ALTER id DROP DEFAULT; DROP SEQUENCE patients_id_seq; "
    "ALTER TABLE patients ALTER id ADD GENERATED BY DEFAULT AS IDENTITY"
)
OLD_SEQUENCE = (
    "ALTER TABLE patients ALTER id DROP IDENTITY; CREATE SEQUENCE patients_id_seq AS int OWNED BY patients.id; "
    "ALTER TABLE patients ALTER id SET DEFAULT nextval('patients_id_seq')"
)
SET = "; SELECT setval(pg_get_serial_sequence('patients', 'id'), (SELECT max(id) + 1 FROM patients), false)"


@pytest.mark.parametrize(
    "how", ["", SET, SET.replace("+ 1", "").replace(", false", "")], ids=["behind", "next", "called"]
)
def test_a_sequence_behind_its_keys(proven: Callable[..., Outcome], how: str) -> None:
    outcome = last(proven(FIRST, ("a2", "a1", NEW_SEQUENCE + how, OLD_SEQUENCE + how)))
    assert outcome.verdict == (Verdict.PROVEN if how else Verdict.LOSSY)
    assert ("patients.id: 5 of 5 values ahead of its sequence" in words(outcome)) == (not how)


def test_a_branch_that_no_row_reaches_is_named(proven: Callable[..., Outcome]) -> None:
    loop = (
        'python:for row in op.get_bind().exec_driver_sql("SELECT id, name FROM patients").all():\n'
        "        if hash(row.name) == 7:\n"
        '            op.execute(f"DELETE FROM patients WHERE id = {row.id}")'
    )
    outcome = last(proven(FIRST, ("a2", "a1", loop, "python:pass")))
    assert outcome.verdict == Verdict.UNPROVEN
    assert "if hash(row.name) == 7" in words(outcome)


COMMENTED = {
    "a line": "-- see the ticket\nDELETE FROM patients WHERE name = 'rare'",
    "a block": "/* see the ticket */ DELETE FROM patients WHERE name = 'rare'",
    "several": "SELECT 1; -- then\n/* of those */ DELETE FROM patients WHERE name = 'rare'",
    "a function": "-- by a block\nDO $$ BEGIN DELETE FROM patients WHERE name = 'rare'; END $$",
}


@pytest.mark.spread(3)
@pytest.mark.parametrize("how", COMMENTED)
def test_a_comment_hides_no_statement(proven: Callable[..., Outcome], how: str) -> None:
    outcome = last(proven(FIRST, ("a2", "a1", COMMENTED[how], "python:pass")))
    assert outcome.verdict == Verdict.LOSSY
    assert [each.rows > 0 for each in outcome.coverage] == [True]


def test_rows_that_a_deferred_constraint_refuses_end_no_proof(proven: Callable[..., Outcome]) -> None:
    deferred = (
        "CREATE TABLE doctors (id int PRIMARY KEY CHECK (id > 1000)); ALTER TABLE patients ADD doctor int "
        "CONSTRAINT fk_doctor REFERENCES doctors DEFERRABLE INITIALLY DEFERRED"
    )
    undo = "ALTER TABLE patients DROP doctor; DROP TABLE doctors"
    outcome = proven(
        FIRST,
        ("a2", "a1", deferred, undo),
        ("a3", "a2", "UPDATE patients SET name = 'x' WHERE doctor = 77", "python:pass"),
        ("a4", "a3", "UPDATE patients SET name = 'x' WHERE name = 'rare'", "python:pass"),
    )
    assert [each.verdict for each in outcome.revisions][2:] == [Verdict.UNPROVEN, Verdict.LOSSY]


def test_own_rows_are_not_added_to(proven: Callable[..., Outcome], tmp_path: Path) -> None:
    (samples := tmp_path / "migrations/samples").mkdir(parents=True)
    (samples / "a1.sql").write_text(
        "INSERT INTO wards VALUES (1); INSERT INTO patients (name, mood, ward, card) VALUES ('own', 'well', 1, 'c')"
    )
    outcome = last(proven(FIRST, ("a2", "a1", "DELETE FROM patients WHERE name = 'rare'", "python:pass")))
    assert outcome.verdict == Verdict.UNPROVEN
    assert "its table has rows of your own" in words(outcome)


RENAMED = {
    "a table": ("ALTER TABLE rooms RENAME TO halls", "ALTER TABLE halls RENAME TO rooms"),
    "a key": ("ALTER TABLE rooms RENAME id TO number", "ALTER TABLE rooms RENAME number TO id"),
    "a schema": (
        "CREATE SCHEMA house; ALTER TABLE rooms SET SCHEMA house",
        "ALTER TABLE house.rooms SET SCHEMA public; DROP SCHEMA house",
    ),
}


@pytest.mark.parametrize("how", RENAMED)
def test_a_table_that_refers_to_a_renamed_one_gets_rows(proven: Callable[..., Outcome], how: str) -> None:
    tables = (
        "CREATE TABLE rooms (id int PRIMARY KEY); CREATE TABLE keys (room int NOT NULL REFERENCES rooms, note text)"
    )
    lossy = "UPDATE keys SET note = 'x' WHERE note = 'rare'"
    outcome = proven(
        ("a1", None, tables, "DROP TABLE keys, rooms"),
        ("a2", "a1", *RENAMED[how]),
        ("a3", "a2", lossy, "python:pass"),
    )
    assert [each.verdict for each in outcome.revisions] == [Verdict.PROVEN, Verdict.PROVEN, Verdict.LOSSY]
