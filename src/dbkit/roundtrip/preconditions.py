"""The preconditions of a revision: derived in its proof, and proven by rows that violate them.

A revision that adds a constraint fails on rows that violate it, which is no fault. With rows that satisfy the
constraint it is proven like any other, and each precondition is tried with a row that violates it.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import psycopg
from alembic.script import Script

from dbkit.coverage.facts import FORBIDDEN
from dbkit.coverage.recorder import MOST_PARAMETER_SETS, StatementRun
from dbkit.postgres.own_statements import project_settings
from dbkit.preconditions.precondition import Precondition
from dbkit.preconditions.removal import WITH_TRIGGERS, remove_violating_rows, turn_triggers_off
from dbkit.preconditions.shapes import Shapes, qualified_names, read_shapes
from dbkit.project.revision_source import mentioned_tables, read_source
from dbkit.roundtrip.outcome import Failure
from dbkit.roundtrip.results import ProofResult, add_failure
from dbkit.roundtrip.row_snapshot import table_hash_query
from dbkit.roundtrip.workspace import Workspace
from dbkit.sample_data.constraints import KnownTables

# what may demand anything of rows that exist: not a plain CREATE TABLE, nor an index that is not unique
DEMANDS = re.compile(
    r"""^(?: \s | --[^\n]*\n | /\*.*?\*/ )*
    (?: alter \s+ (?: table | domain ) \b .* \b (?: constraint | check | unique | primary | foreign | exclude
            | not \s+ null | type | validate | attach )
      | create \s+ unique | create \s+ table \b .* \b partition \s+ of
      | (?: do | call | select ) \b
      | update | (?: insert | create ) \b .* \b select )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
KEYWORDS = {
    kind: re.compile(words, re.IGNORECASE)
    for kind, words in {
        "not null": r"\bnot\s+null\b|\bprimary\s+key\b",
        "check": r"\bcheck\b|\bvalidate\b",
        "foreign key": r"\breferences\b|\bvalidate\b",
        "unique": r"\bunique\b|\bprimary\s+key\b",
        "exclusion": r"\bexclude\b",
        "type": r"\btype\b",
        "partition": r"\bpartition\b",
    }.items()
}
"""By kind of a precondition, words of the statements that demand it."""
MOST_REFILLS = 2
"""How often rows are planted in place of those that were removed."""
MOST_TRIED = 12
"""How many preconditions of one revision are tried with rows that violate them."""
LONGEST_SQL = 200
UNREADABLE = "its condition could not be read"


class Proof(Protocol):
    """The proof of one revision, whose upgrade has been applied, and can be taken back."""

    work: Workspace
    script: Script
    runs: dict[str, list[StatementRun]]
    preconditions: "Preconditions"

    @property
    def version_tables(self) -> Collection[str]:
        """The names of the tables that get no rows."""

    def restore(self) -> "psycopg.Connection[Any] | None":
        """Return to the state before the upgrade. Returns a connection in a transaction; None where it cannot."""

    def keep_rows(self) -> None:
        """Keep, for the next functions, the rows that were planted on that connection."""

    def upgrade(self) -> Failure | None:
        """Apply the revision."""

    def read_shapes(self) -> Shapes:
        """Return what the catalog demands of rows in the state after the upgrade."""


class Preconditions:
    """The preconditions of one revision, as far as they are known."""

    def __init__(self) -> None:
        self.found: tuple[Precondition, ...] = ()
        self.before: Shapes | None = None
        self.violated: set[str] = set()
        """The queries that returned ordinary sample rows, with which the upgrade has failed."""
        self.failure: Failure | None = None
        """How it has failed."""

    def remove_violating(self, connection: "psycopg.Connection[Any]", but: Precondition | None = None) -> bool:
        """Remove the rows that violate them, `but` one. Returns False where that is not possible."""
        if not self.found or self.before is None:
            return True
        asked = [each for each in self.found if each is not but]
        try:
            with project_settings(connection):
                remove_violating_rows(connection, asked, self.before)
        except psycopg.Error:
            return False
        return True


def may_have_preconditions(runs: Iterable[StatementRun]) -> bool:
    """Whether a statement may demand anything of rows that exist."""
    return any(DEMANDS.match(run.sql) for run in runs)


def derive(before: Shapes, after: Shapes, runs: Sequence[StatementRun], script: Script) -> list[Precondition]:
    """Return the preconditions of a revision by the states before and after it, and by its statements."""
    # loaded only here: most revisions demand nothing, and sqlglot takes a while
    from dbkit.preconditions.derive import derive_preconditions
    from dbkit.preconditions.effects import Effects
    from dbkit.preconditions.written_rows import written_preconditions
    from dbkit.roundtrip.python_values import find_python_values, find_read_tables

    before = replace(before, later=after)
    names = {each.label.rpartition(".")[2] for each in before.tables.values()}
    source = read_source(script.path).decode(errors="replace")
    effects = Effects(
        [run.sql for run in runs],
        before,
        find_python_values(runs, names, source),
        find_read_tables(runs, names),
        MOST_PARAMETER_SETS,
    )
    found = [*derive_preconditions(before, after, effects), *written_preconditions(effects, after)]
    return [_with_statement(each, runs) for each in found]


def _with_statement(each: Precondition, runs: Sequence[StatementRun]) -> Precondition:
    """Return a precondition with the statement that demands it: of those that name its table, one with its words."""
    name, words = each.table.rpartition(".")[2], KEYWORDS.get(each.kind)
    naming = [run for run in runs if name in run.sql and DEMANDS.match(run.sql)]
    exact = [run for run in naming if words and words.search(run.sql)]
    for run in (*exact, *naming):
        return each.with_place(" ".join(run.sql.split())[:LONGEST_SQL], run.line)
    line = next((run.line for run in runs if DEMANDS.match(run.sql)), None)
    return each.with_place("", line)


def prove_preconditions(proof: Proof, result: ProofResult) -> ProofResult:
    """Return the result of an ordinary proof with the preconditions of the revision, each tried with a violating row.

    The revision is applied; afterwards the state is another one, which the caller restores.
    """
    runs = _unique(proof.runs["upgrade"])
    if not may_have_preconditions(runs):
        return result
    after = proof.read_shapes()
    connection, known = proof.restore(), proof.preconditions
    if connection is None:  # they cannot be tried one by one; the upgrade has failed with rows that violate these
        is_proven = len(known.violated) == 1
        violated = [replace(each, is_proven=is_proven) for each in known.found if each.query in known.violated]
        return replace(result, preconditions=tuple(violated))
    with project_settings(connection):
        known.before = before = read_shapes(connection, tables_before(proof, after), related=True)
        known.found = tuple(
            each for each in derive(before, after, runs, proof.script) if _can_be_asked(connection, each)
        )
    known.found = tuple(found for each in known.found if (found := _try(proof, each)))
    result = replace(result, preconditions=known.found)
    if known.failure and known.violated.isdisjoint(each.query for each in known.found):
        return add_failure(result, known.failure)  # what it was derived from is no precondition
    return result


def tables_before(proof: "Proof | FailedProof", after: Shapes) -> set[int]:
    """Return the OIDs of the tables in the state after a revision, and of those of before that it names."""
    tables = proof.work.sample_rows.table_names()
    statements = "\n".join(run.sql for run in _unique(proof.runs["upgrade"]))
    return {*after.tables, *mentioned_tables(proof.script, tables, statements)}


def _unique(runs: Iterable[StatementRun]) -> list[StatementRun]:
    return list({run.sql: run for run in runs}.values())


def _can_be_asked(connection: "psycopg.Connection[Any]", each: Precondition) -> bool:
    """Whether its query works in the state before the revision, without the project's search path."""
    try:
        with connection.transaction(), qualified_names(connection):
            connection.execute(each.first_query(1).encode())
    except psycopg.Error:
        return False
    return True


def _try(proof: Proof, each: Precondition) -> Precondition | None:
    """Return a precondition, proven where a row that violates it makes the upgrade fail; None where none does."""
    connection = proof.restore()
    if connection is None or proof.preconditions.found.index(each) >= MOST_TRIED:
        return each
    if {each.query} == proof.preconditions.violated:
        return replace(each, is_proven=True)
    if not proof.preconditions.remove_violating(connection, but=each):
        return each
    try:
        reason = _plant_violating(proof, connection, each)
    except psycopg.Error:  # its query, or a constraint that was there before, refuses rows that were planted
        return each
    if reason is not None:
        # what the revision makes of all rows that were tried satisfies it
        is_exact = each.source.is_computed or each.kind in ("type", "cast")
        return None if is_exact or reason.startswith(FORBIDDEN) else each
    proof.keep_rows()
    failed = proof.upgrade()
    # an error that is not about rows is none that was foreseen
    return replace(each, is_proven=failed.is_about_rows or failed.refuses) if failed else None


def _plant_violating(proof: Proof, connection: "psycopg.Connection[Any]", each: Precondition) -> str | None:
    """Plant rows that violate a precondition. Returns None, or why there are none, as far as that is known."""
    with project_settings(connection), _without_invalid_constraints(connection, each) as has_dropped:
        reason = plant(proof, connection, each.bad, is_changed=has_dropped)
        if _is_violated(connection, each):
            return None
        # a trigger may keep such rows out, and have come after them
        if reason == UNREADABLE or reason.startswith(FORBIDDEN) or not turn_triggers_off(connection):
            return reason
        reason = plant(proof, connection, each.bad, is_changed=has_dropped)
        connection.execute(WITH_TRIGGERS)
        return None if _is_violated(connection, each) else reason


def _is_violated(connection: "psycopg.Connection[Any]", each: Precondition) -> bool:
    return connection.execute(each.first_query(1).encode()).fetchone() is not None


def plant(
    proof: "Proof | FailedProof",
    connection: "psycopg.Connection[Any]",
    queries: Iterable[str],
    *,
    is_changed: bool = False,
) -> str:
    """Plant rows that queries return. Returns why there are none, as far as that is known.

    `is_changed`: whether the tables are others than before the revision.
    """
    from dbkit.coverage.goals import UnreadableError
    from dbkit.coverage.revision_goals import RevisionGoals
    from dbkit.coverage.statement_goals import read_goals
    from dbkit.coverage.tables import TableReader

    rows = proof.work.sample_rows
    known = KnownTables() if is_changed else rows.known_tables()
    tables = TableReader(connection, frozenset(proof.version_tables), rows.options.seed, known)
    try:
        goals = [
            (goal, ("upgrade", query))
            for query in queries
            for goal in read_goals(query, tables.columns_of, tables.view_of)
        ]
    except UnreadableError:
        return UNREADABLE
    planted = RevisionGoals(tables, goals, (), {}, ()).plant(connection)
    return next(iter(planted.reasons.values()), "")


INVALID_CONSTRAINTS = """
SELECT pg_catalog.format('ALTER TABLE %%s DROP CONSTRAINT %%I', c.conrelid::pg_catalog.regclass, c.conname),
    pg_catalog.format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', c.conrelid::pg_catalog.regclass, c.conname,
                      pg_catalog.pg_get_constraintdef(c.oid))
FROM pg_catalog.pg_constraint AS c
WHERE c.conrelid OPERATOR(pg_catalog.=) %s::pg_catalog.regclass::pg_catalog.oid AND NOT c.convalidated
    AND c.conparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid AND c.conislocal
"""


@contextmanager
def _without_invalid_constraints(connection: "psycopg.Connection[Any]", each: Precondition) -> Iterator[bool]:
    """Drop the NOT VALID constraints of a table meanwhile: rows from before them may violate them.

    Yields whether there are some.
    """
    with qualified_names(connection):
        found = connection.execute(INVALID_CONSTRAINTS, [each.source.table]).fetchall()
    for drop, _ in found:
        connection.execute(str(drop).encode())
    yield bool(found)
    for _, add in found:
        connection.execute(str(add).encode())


def find_unsatisfying(
    proof: "FailedProof", connection: "psycopg.Connection[Any]", after: Shapes, own: Sequence[str], failure: Failure
) -> bool:
    """Remove the sample rows that violate preconditions; returns whether there were some.

    `after`: the state after an upgrade of empty tables; `connection` is in the state before it, in a transaction, which
    the caller rolls back for False. In the tables `own` (as SQL), which have rows of the project, none may change.
    `failure`: of the upgrade with these rows.
    """
    known, before = proof.preconditions, proof.preconditions.before
    if before is None:
        return False
    runs = _unique(proof.runs["upgrade"])
    asked = [each for each in derive(before, after, runs, proof.script) if _can_be_asked(connection, each)]
    violated = [each for each in asked if _is_violated(connection, each)]
    if not violated:
        return False
    own_rows = _hash_rows(connection, own)
    known.found, known.violated, known.failure = tuple(asked), {each.query for each in violated}, failure
    tables = [table.sql for table in before.tables.values()]
    counts = _count_rows(connection, tables)
    if not known.remove_violating(connection):
        return False
    for each in violated:
        plant(proof, connection, each.good)
    for _ in range(MOST_REFILLS):  # a table with few rows would prove little
        now = _count_rows(connection, tables)
        fewer = [table for table in tables if now[table] < counts[table]]
        plant(proof, connection, [f"SELECT 1 FROM {table}" for table in fewer])  # noqa: S608
        if not (known.remove_violating(connection) and fewer):
            break
    return known.remove_violating(connection) and _hash_rows(connection, own) == own_rows


def _hash_rows(connection: "psycopg.Connection[Any]", tables: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return, of each table, a text that differs when its rows do."""
    return connection.execute(table_hash_query(tables).encode()).fetchall() if tables else []


def _count_rows(connection: "psycopg.Connection[Any]", tables: Sequence[str]) -> dict[str, int]:
    """Return how many rows tables have, by their names as SQL."""
    query = " UNION ALL ".join(f"SELECT {at}, pg_catalog.count(*) FROM {table}" for at, table in enumerate(tables))  # noqa: S608
    return {tables[at]: count for at, count in connection.execute(query.encode()).fetchall()}


class FailedProof(Protocol):
    """A proof whose upgrade has failed on the sample rows."""

    work: Workspace
    script: Script
    runs: dict[str, list[StatementRun]]
    preconditions: Preconditions

    @property
    def version_tables(self) -> Collection[str]:
        """The names of the tables that get no rows."""
