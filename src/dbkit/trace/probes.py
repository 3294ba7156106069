"""Questions to the server about a statement that has run: what its changes mean for rows that are written later."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from dbkit.errors import describe_error
from dbkit.postgres.sql_quote import quote_ident, quote_literal
from dbkit.trace import queries
from dbkit.trace.catalog_objects import CatalogObjects
from dbkit.trace.known_relations import KnownRelations
from dbkit.trace.prepared_queries import Cursor
from dbkit.trace.queries import Column, LockedRelation, TableShape
from dbkit.trace.records import (
    ALWAYS_IDENTITY,
    DEFAULT_IDENTITY,
    GENERATED,
    Change,
    ChangeKind,
    Lock,
    RelationAccess,
)

SAVEPOINT = "dbkit_probe"
IDENTITIES = (ALWAYS_IDENTITY, DEFAULT_IDENTITY)
TIMES = {"timestamp without time zone", "timestamp with time zone"}


@contextmanager
def savepoint(cursor: Cursor) -> Iterator[None]:
    """Undo what is done meanwhile: locks are released again."""
    cursor.execute(f"SAVEPOINT {SAVEPOINT}")
    try:
        yield
    finally:
        cursor.execute(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
        cursor.execute(f"RELEASE SAVEPOINT {SAVEPOINT}")


def find_truncated(cursor: Cursor, touched: Mapping[int, RelationAccess]) -> Iterator[Change]:
    """Yield the tables that have another file, and an empty one, without having been read."""
    unread = {oid: each for oid, each in touched.items() if each.kind == "r" and each.rewritten and not each.scanned}
    for oid, size in queries.read_sizes(cursor, unread).items() if unread else ():
        if size == 0:
            yield Change(ChangeKind.TABLE_TRUNCATED, unread[oid].relation)


class Sequences:
    """The sequences that a transaction has used, with their values."""

    def __init__(self) -> None:
        self.values: dict[int, tuple[int, bool]] = {}

    def find_set(
        self, cursor: Cursor, locks: Iterable[LockedRelation], touched: Iterable[RelationAccess]
    ) -> Iterator[Change]:
        """Yield the sequences that a statement has set: those whose value is another, though no row was inserted."""
        used = {each.oid: each.name for each in locks if each.kind == "S" and each.lock >= Lock.ROW_EXCLUSIVE}
        values = queries.read_sequences(cursor, used)
        changed = {oid: value for oid, value in values.items() if self.values.get(oid) != value}
        self.values.update(values)
        if any(each.inserted for each in touched):
            return
        for oid, (last, is_called) in changed.items():
            with savepoint(cursor):
                change = [*_read_owner(cursor, oid, used[oid], last, is_called=is_called)]
            yield from change


def _read_owner(cursor: Cursor, oid: int, name: str, last: int, *, is_called: bool) -> Iterator[Change]:
    """Yield the change of a sequence with its table and column, and the furthest key there that it will give out."""
    coming = _read_coming_keys(cursor, oid, last, is_called=is_called)
    cursor.execute(queries.COLUMN_OF_SEQUENCE % (oid, oid))
    for table, column, quoted, has_numbers in cursor.fetchall():
        key, is_free = _find_furthest_key(cursor, table, quoted, coming) if has_numbers else ("", True)
        following = str(coming.following)
        yield Change(ChangeKind.SEQUENCE_SET, table, column, name, after=following, valid=is_free, detail=key)


class ComingKeys(NamedTuple):
    """The values that a sequence will give out."""

    following: int
    least: int
    most: int
    ascends: bool


def _read_coming_keys(cursor: Cursor, sequence: int, last: int, *, is_called: bool) -> ComingKeys:
    cursor.execute(queries.SEQUENCE_OPTIONS % sequence)
    ((increment, least, most, is_cyclic),) = cursor.fetchall()
    following = last + increment if is_called else last
    if not is_cyclic:
        least, most = (following, most) if increment > 0 else (least, following)
    return ComingKeys(following, least, most, increment > 0)


def _find_furthest_key(cursor: Cursor, table: str, column: str, coming: ComingKeys) -> tuple[str, bool]:
    """Return the furthest key of those that a sequence will give out, or of all; and whether none of those is there.

    The names are quoted.
    """
    is_ahead = f"{column} BETWEEN {coming.least} AND {coming.most}"
    furthest = "max" if coming.ascends else "min"
    query = queries.FURTHEST_KEY.format(column=column, is_ahead=is_ahead, furthest=furthest, table=table)
    cursor.execute(query)
    ((key, is_free),) = cursor.fetchall()
    return key or "", is_free


def find_assigned_sequences(
    cursor: Cursor, changes: Iterable[Change], known: KnownRelations, earlier: CatalogObjects
) -> Iterator[Change]:
    """Yield the sequences from which key columns take their values now, and have taken others before.

    `known`: with the changes; `earlier`: the objects before the revision.
    """
    for each in changes:
        if each.what == ChangeKind.DEFAULT_CHANGED and (each.after in IDENTITIES or "nextval(" in each.after):
            oid = next((oid for oid, relation in known.relations.items() if relation.name == each.table), None)
            if oid is not None:
                with savepoint(cursor):
                    found = [*_read_assigned(cursor, each, oid, earlier)]
                yield from found


def _read_assigned(cursor: Cursor, change: Change, table: int, earlier: CatalogObjects) -> Iterator[Change]:
    cursor.execute(queries.SEQUENCE_OF_KEY.format(table=table, column=quote_literal(change.name)))
    for oid, name, shown, column in cursor.fetchall():
        was = next((group[oid] for group in earlier.objects if oid in group), None)
        if was and f"nextval('{was.shown}'" in change.before.replace("''", "'"):
            continue  # it has another name only
        ((last, is_called),) = queries.read_sequences(cursor, {oid: name}).values()
        coming = _read_coming_keys(cursor, oid, last, is_called=is_called)
        key, is_free = _find_furthest_key(cursor, shown, column, coming)
        following = str(coming.following)
        yield Change(
            ChangeKind.SEQUENCE_ASSIGNED, change.table, change.name, name, after=following, valid=is_free, detail=key
        )


def add_details(
    cursor: Cursor, changes: Iterable[Change], known: KnownRelations, touched: Sequence[RelationAccess]
) -> Iterator[Change]:
    """Yield the changes, with what only the server knows about some of them."""
    for each in changes:
        if (each.what == ChangeKind.CONSTRAINT_ADDED and each.kind in ("check", "not null")) or (
            each.what == ChangeKind.NOT_NULL_SET and not each.after
        ):
            shape = known.shape_of(each.table)
            yield replace(each, detail=_find_refused(cursor, each, shape)) if shape else each
        elif each.what == ChangeKind.TYPE_CHANGED and {each.before, each.after} == TIMES:
            is_rewritten = any(access.relation == each.table and access.rewritten for access in touched)
            yield each if is_rewritten else replace(each, detail=_read_time_zone(cursor))
        elif each.what == ChangeKind.OBJECT_CREATED and each.kind == "view":
            is_read_only = _ask(cursor, queries.IS_READ_ONLY.format(view=quote_literal(each.table)))
            yield replace(each, detail="read-only") if is_read_only else each
        else:
            yield each


def _read_time_zone(cursor: Cursor) -> str:
    """Return "TimeZone" unless the session has set it itself, so that it is the same everywhere."""
    cursor.execute(queries.TIME_ZONE)
    ((source,),) = cursor.fetchall()
    return "" if source == "session" else "TimeZone"


def _find_refused(cursor: Cursor, change: Change, shape: TableShape) -> str:
    """Return the row of defaults that a new constraint refuses, in words; "" where it refuses none.

    An INSERT that leaves the columns out writes that row. Not where a column must be given, since its value is not
    known; nor where another constraint has refused it before, or a trigger may fill the columns.
    """
    names = change.columns or (change.name,)
    if any(each.fills and any(name in each.source for name in names) for each in shape.triggers.values()):
        return ""
    columns = {each.name: each for each in shape.columns.values() if each.name in names}
    is_check = change.kind == "check"
    if len(columns) != len(set(names)) or not all(_has_known_default(each, is_check) for each in columns.values()):
        return ""
    row = ", ".join(f"CAST({_default(each)} AS {each.type}) AS {quote_ident(name)}" for name, each in columns.items())
    others = [
        _condition(each.text)
        for each in shape.constraints.values()
        if each.kind == "c" and each.name != change.name and _columns_of(each.columns, shape) <= columns.keys()
    ]
    own = _condition(change.after) if is_check else " AND ".join(f"{quote_ident(name)} IS NOT NULL" for name in columns)
    earlier = "".join(f" AND ({each}) IS NOT FALSE" for each in others)
    query = f"SELECT ({own}) IS FALSE{earlier} FROM (SELECT {row}) AS defaults"  # noqa: S608
    if not _ask(cursor, query):
        return ""
    return ", ".join(f"{name} = {_default(each)}" for name, each in columns.items())


def _has_known_default(column: Column, must_be_optional: bool) -> bool:
    """Return whether an INSERT can leave the column out, and what it gets is no number of a sequence or the like."""
    is_computed = column.default.startswith(GENERATED) or "nextval(" in column.default
    return not is_computed and bool(column.default or not (must_be_optional and column.not_null))


def _default(column: Column) -> str:
    return column.default or "NULL"


def _columns_of(numbers: Iterable[int], shape: TableShape) -> set[str]:
    return {shape.columns[number].name if number in shape.columns else "" for number in numbers}


def _condition(text: str) -> str:
    return (
        text.removesuffix(" NOT VALID").removesuffix(" NOT ENFORCED").removesuffix(" NO INHERIT").removeprefix("CHECK ")
    )


def _ask(cursor: Cursor, query: str) -> bool:
    """Return the answer to a question; False where there is none."""
    try:
        with savepoint(cursor):
            cursor.execute(query)
            rows: Sequence[Sequence[Any]] = cursor.fetchall()
            return bool(rows[0][0])
    except Exception as error:  # an expression of the project, in any driver
        describe_error(error)
        return False
