"""The sequences of a database: which of them a rollback drops or sets back, their positions, and restoring these."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from dbkit.errors import CheckFailed
from dbkit.postgres.sql_quote import as_text
from dbkit.stash.manifest import SavedTable, SequencePosition
from dbkit.stash.tables import OBSERVER_SCHEMA, StashTable

DRAWN = 1000  # numbers that a dry run draws from each sequence, so that a step that sets it back is noticed
SEQUENCES = """
SELECT c.oid::int8, n.nspname, c.relname, q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache,
    pg_has_role(c.relowner, 'USAGE'),
    coalesce((SELECT ARRAY[tn.nspname::text, t.relname::text, a.attname::text]
     FROM pg_depend AS d JOIN pg_class AS t ON t.oid = d.refobjid JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
        JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
     WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
        AND d.deptype IN ('a', 'i')), '{}')
FROM pg_sequence AS q JOIN pg_class AS c ON c.oid = q.seqrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', %s)
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
ORDER BY n.nspname, c.relname"""
# only the first number where the range has no room for more
ADVANCE = """
SELECT setval(q.seqrelid::regclass,
    CASE WHEN far BETWEEN q.seqmin AND q.seqmax THEN far ELSE q.seqstart END::int8, true)
FROM pg_sequence AS q, LATERAL (SELECT q.seqstart + q.seqincrement::numeric * %s AS far) AS f
WHERE q.seqrelid = ANY (%s) AND pg_sequence_last_value(q.seqrelid) IS NULL"""
LAST = "SELECT seqrelid::int8, pg_sequence_last_value(seqrelid) FROM pg_sequence WHERE seqrelid = ANY (%s)"


@dataclass(frozen=True)
class StashSequence:
    """A sequence with its parameters."""

    oid: int
    schema: str
    name: str
    start: int
    increment: int
    least: int
    greatest: int
    cache: int
    is_ours: bool
    """Whether the role may alter it."""
    owner: list[str]
    """Schema, table and column; empty where no column owns it."""

    @property
    def identifier(self) -> sql.Identifier:
        """The qualified name."""
        return sql.Identifier(self.schema, self.name)

    def position(self, connection: psycopg.Connection) -> SequencePosition:
        """Read its position."""
        query = sql.SQL("SELECT last_value, is_called FROM {}").format(self.identifier)
        last, is_called = connection.execute(query).fetchone() or (self.start, False)
        return SequencePosition(self.schema, self.name, self.owner, last, is_called)

    def is_fresh(self, position: SequencePosition) -> bool:
        """Whether no number was drawn from it yet."""
        return (position.last_value, position.is_called) == (self.start, False)

    def next_of(self, position: SequencePosition) -> int:
        """Return the number that it gives out next, regardless of its bounds."""
        return position.last_value + (self.increment if position.is_called else 0)


def read_sequences(connection: psycopg.Connection) -> dict[int, StashSequence]:
    """Read the sequences by OID, without those of extensions."""
    found = connection.execute(SEQUENCES, [OBSERVER_SCHEMA])
    return {row[0]: StashSequence(*row) for row in found}


def advance_sequences(connection: psycopg.Connection, oids: Iterable[int]) -> dict[int, int | None]:
    """In a scratch database, draw from all fresh sequences. Returns the last value of each."""
    wanted = list(oids)
    connection.execute(ADVANCE, [DRAWN, wanted])
    return read_last_values(connection, wanted)


def read_last_values(connection: psycopg.Connection, oids: Iterable[int]) -> dict[int, int | None]:
    """Read the last value of each sequence; None for a fresh one."""
    return dict(connection.execute(LAST, [list(oids)]).fetchall())


def is_set_back(sequence: StashSequence, before: int | None, after: int | None) -> bool:
    """Whether a sequence was set to another position, and not only drawn from a few times."""
    if before is None or after is None:
        return before != after
    return not 0 <= (after - before) * (1 if sequence.increment > 0 else -1) <= DRAWN * abs(sequence.increment)


class SequenceIndex:
    """The sequences of the database, to look up those of another database with the same schema."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.all = list(read_sequences(connection).values())
        self._by_name = {(each.schema, each.name): each for each in self.all}

    def find(self, schema: str, name: str, owner: list[str]) -> StashSequence | None:
        """Return the sequence owned by the column, which may own several, or else the one with the name."""
        named = self._by_name.get((schema, name))
        owned = [each for each in self.all if owner and each.owner == owner]
        return named if named in owned or not owned else owned[0]

    def owned_by(self, table: StashTable) -> list[StashSequence]:
        """Return the sequences owned by columns of a table."""
        return [each for each in self.all if each.owner[:2] == [table.schema, table.name]]


def lock_sequences(connection: psycopg.Connection, sequences: Iterable[StashSequence]) -> None:
    """Lock sequences, so that sessions which draw from them wait until the transaction ends.

    LOCK TABLE does not accept a sequence; ALTER SEQUENCE takes the same lock.
    """
    for each in sequences:
        if each.is_ours:
            query = sql.SQL("ALTER SEQUENCE {} CACHE {}").format(each.identifier, sql.Literal(each.cache))
            connection.execute(query)


@dataclass(frozen=True)
class SequenceOutcome:
    """The outcome for one sequence of a stash."""

    position: SequencePosition
    text: str

    def __str__(self) -> str:
        return f"sequence {self.position.label}: {self.text}"


def restore_positions(connection: psycopg.Connection, positions: Iterable[SequencePosition]) -> list[SequenceOutcome]:
    """Set each sequence to its position in the stash, unless it is further by now, and verify that.

    Raises CheckFailed when one has another position afterwards.
    """
    present = SequenceIndex(connection)
    found = [(position, present.find(position.schema, position.name, position.owner)) for position in positions]
    lock_sequences(connection, [sequence for _, sequence in found if sequence])
    return [_restore_position(connection, position, sequence) for position, sequence in found]


def _restore_position(
    connection: psycopg.Connection, was: SequencePosition, sequence: StashSequence | None
) -> SequenceOutcome:
    if sequence is None:
        return SequenceOutcome(was, f"was {_describe(was)}, and does not exist any more")
    now = sequence.position(connection)
    state = (was.last_value, was.is_called)
    if (now.last_value, now.is_called) == state:
        return SequenceOutcome(was, f"already {_describe(was)}")
    if not sequence.least <= was.last_value <= sequence.greatest:
        return SequenceOutcome(
            was, f"was {_describe(was)}, which its bounds do not allow any more; it stays {_describe(now)}"
        )
    direction = 1 if sequence.increment > 0 else -1
    if not sequence.is_fresh(now) and (sequence.next_of(now) - sequence.next_of(was)) * direction > 0:
        return SequenceOutcome(was, f"was {_describe(was)}, and is {_describe(now)} by now, which stays")
    query = sql.SQL("SELECT setval({}::regclass, %s, %s)").format(sql.Literal(as_text(sequence.identifier)))
    connection.execute(query, state)
    now = sequence.position(connection)
    if (now.last_value, now.is_called) != state:
        raise CheckFailed(
            f"the sequence {was.label} is {_describe(now)}, and not {_describe(was)}, to which it was set.",
            "The stash stays. Report this, with the definition of the sequence.",
        )
    return SequenceOutcome(was, f"put back, {_describe(was)}, the same as before")


def _describe(position: SequencePosition) -> str:
    return f"at {position.last_value}" + ("" if position.is_called else ", which it gives out next")


def read_old_positions(
    connection: psycopg.Connection, tables: Iterable[tuple[SavedTable, StashTable]]
) -> list[SequencePosition]:
    """Return the positions in a stash of format 1, which has them by the column that owns a sequence."""
    present = SequenceIndex(connection)
    return [
        SequencePosition(sequence.schema, sequence.name, sequence.owner, entry.sequences[sequence.owner[2]], True)
        for entry, table in tables
        for sequence in present.owned_by(table)
        if sequence.owner[2] in entry.sequences
    ]


def find_lost(
    found: Mapping[int, StashSequence], end: Mapping[int, StashSequence], set_back: Iterable[frozenset[int]]
) -> set[int]:
    """Return the OIDs of the sequences that do not exist at the end, or that a step sets back."""
    return (found.keys() - end.keys()) | (found.keys() & frozenset().union(*set_back))
