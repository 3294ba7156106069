"""Refuse a rollback whose losses could be copied but never restored, or that the dry run did not foresee."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import psycopg

from dbkit.errors import Refused
from dbkit.postgres.row_hash import hash_sql
from dbkit.postgres.sql_quote import quote_ident
from dbkit.stash.large_values import is_toasted
from dbkit.stash.losses import CHANGED, DROPPED, DryRun, Loss
from dbkit.stash.tables import StashTable

WITHOUT = "To roll back without keeping anything: STASH=0 before the command."
MOST_COLUMNS = 1600  # https://www.postgresql.org/docs/18/limits.html
LARGE_ROW = 400_000_000  # bytes of text, of at most 2^30 - 1; quotes and backslashes count twice
LARGE_VALUE = 1_000_000  # bytes as stored: below that, no compression makes a large row
HIDDEN = """
SELECT name FROM pg_catalog.unnest(%s::pg_catalog.text[]) AS name
WHERE pg_catalog.row_security_active(pg_catalog.to_regclass(name)::pg_catalog.oid)"""
NOT_VALID = """
SELECT o.conname, pg_get_expr(o.conbin, o.conrelid), o.confrelid::regclass::text,
    (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(o.conkey) WITH ORDINALITY AS k (number, n)
        JOIN pg_attribute AS a ON a.attrelid = o.conrelid AND a.attnum = k.number),
    (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(o.confkey) WITH ORDINALITY AS k (number, n)
        JOIN pg_attribute AS a ON a.attrelid = o.confrelid AND a.attnum = k.number)
FROM pg_constraint AS o
WHERE o.conrelid = to_regclass(%s) AND NOT o.convalidated AND o.contype IN ('c', 'f', 'n')
    AND to_jsonb(o) ->> 'conenforced' IS DISTINCT FROM 'false'
ORDER BY o.conname"""
VARIABLE = """
SELECT a.attname, a.atttypid::regtype::text FROM pg_attribute AS a
WHERE a.attrelid = to_regclass(%s) AND a.attname = ANY (%s) AND a.attlen = -1 ORDER BY a.attnum"""
TOO_LARGE = ("54000", "53200", "XX000")  # program_limit_exceeded, out_of_memory; XX000: an allocation of more than 1 GB
LARGE_OBJECTS = """
SELECT sum(pg_stat_get_xact_tuples_deleted(oid) + pg_stat_get_xact_tuples_updated(oid))::int8
FROM unnest(ARRAY['pg_largeobject_metadata'::regclass, 'pg_largeobject'::regclass]::oid[]) AS oid"""


def require_visible(connection: psycopg.Connection, losses: Sequence[Loss]) -> None:
    """Raise Refused where row security hides rows from this role: they could neither be counted nor copied."""
    labels = find_hidden_tables(connection, [loss.table for loss in losses])
    if labels:
        user = connection.info.user
        raise Refused(
            f"refusing to roll back: row security hides rows of {labels[0]} from {user}, so they could not be kept.",
            "Roll back as a role that sees all rows (a superuser, or one with BYPASSRLS); or, where the role owns the "
            f"table:\nALTER TABLE {labels[0]} NO FORCE ROW LEVEL SECURITY, and FORCE again afterwards.",
        )


def find_hidden_tables(connection: psycopg.Connection, tables: Iterable[StashTable]) -> list[str]:
    """Return the labels of the tables of which row security may hide rows from this role."""
    labels = {table.sql: table.label for table in tables}
    return [labels[name] for (name,) in connection.execute(HIDDEN, [list(labels)])]


def require_restorable(
    connection: psycopg.Connection,
    dry_run: DryRun,
    number: int,
    losses: Sequence[Loss],
    present: Mapping[int, StashTable],
) -> None:
    """Raise Refused, with the first table and the reason, where something could be copied but never restored.

    `losses` are those from a step on, as they are in the database; `present` are the tables of the database by OID.
    """
    for reason in _reasons(connection, dry_run, number, losses, present):
        raise Refused(f"refusing to roll back: {reason}, so its values could not be put back.", WITHOUT)


def _reasons(
    connection: psycopg.Connection,
    dry_run: DryRun,
    number: int,
    losses: Sequence[Loss],
    present: Mapping[int, StashTable],
) -> Iterator[str]:
    unmatchable = dict(dry_run.unmatchable(number))
    for loss in losses:
        made = dry_run.steps[number].tables[loss.table.oid]
        if loss.table.oid in unmatchable:
            yield unmatchable[loss.table.oid]
        if loss.why != DROPPED and not loss.table.key:
            yield f"{loss.table.label} has no primary key in this database"
        if not loss.stay or loss.why == CHANGED:
            yield from _other_shape(loss, made)
        yield from _too_many_columns(loss, made, dry_run.end.get(made.oid))
        if loss.why == DROPPED and made.kind == "p":
            yield from _without_partition(connection, loss, made, dry_run.steps[number].tables, present)
        yield from _violated(connection, loss)
        yield from _too_large(connection, loss)


def _other_shape(loss: Loss, made: StashTable) -> Iterator[str]:
    """Yield where the table has other columns, or another key, than the revisions will create."""
    label = loss.table.label
    wanted = {column.name: column for column in made.columns.values()}
    for column in loss.columns:
        other = wanted.get(column.name)
        if other is None:
            yield f"no revision makes the column {label}.{column.name}"
        elif other.type != column.type:
            yield f"{label}.{column.name} is {column.type} in this database, and {other.type} after its revision"
        elif other.generated:
            yield f"{label}.{column.name} is computed by the server after its revision, and not in this database"
    if loss.why == DROPPED and [each.name for each in loss.table.keys] != [each.name for each in made.keys]:
        here, there = (", ".join(each.name for each in table.keys) or "none" for table in (loss.table, made))
        yield f"the primary key of {label} is {here} in this database, and {there} after its revision"


def _too_many_columns(loss: Loss, made: StashTable, end: StashTable | None) -> Iterator[str]:
    """Yield where dropped columns cannot be added again: each gets a new number, and a table has at most 1,600."""
    again = len(made.columns.keys() - end.columns.keys()) if end else 0
    if again and loss.table.numbers + again > MOST_COLUMNS:
        yield (
            f"{loss.table.label} has had {loss.table.numbers:,} columns of {MOST_COLUMNS:,} that PostgreSQL allows, "
            f"{again:,} of which cannot be added again"
        )


def _without_partition(
    connection: psycopg.Connection,
    loss: Loss,
    made: StashTable,
    known: Mapping[int, StashTable],
    present: Mapping[int, StashTable],
) -> Iterator[str]:
    """Yield the partitions with rows that no revision creates: their rows would fit into no partition."""
    [root] = [oid for oid, table in present.items() if table.sql == loss.table.sql]
    todo = [(root, made.oid)]
    while todo:
        parent, like = todo.pop()
        places = {table.bound: oid for oid, table in known.items() if table.parent == like}
        for oid, table in present.items():
            if table.parent != parent or "DEFAULT" in places:
                continue
            if table.bound in places:
                todo.append((oid, places[table.bound]))
            elif _has_rows(connection, table.sql):
                yield f"no revision makes {table.label}, a partition of {loss.table.label} that has rows"


def _violated(connection: psycopg.Connection, loss: Loss) -> Iterator[str]:
    """Yield the NOT VALID constraints that existing rows violate, so that these could not be inserted again."""
    for name, check, referred, columns, keys in connection.execute(NOT_VALID, [loss.table.sql]).fetchall():
        if check is not None:
            violated = f"NOT ({check})"
        elif keys is None:  # of NOT NULL
            violated = " OR ".join(f"t.{quote_ident(column)} IS NULL" for column in columns)
        else:
            filled = " AND ".join(f"t.{quote_ident(column)} IS NOT NULL" for column in columns)
            same = " AND ".join(
                f"r.{quote_ident(key)} = t.{quote_ident(each)}" for key, each in zip(keys, columns, strict=True)
            )
            violated = f"{filled} AND NOT EXISTS (SELECT FROM {referred} AS r WHERE {same})"
        if _has_rows(connection, f"{loss.table.source} AS t WHERE {violated}"):
            yield f"rows of {loss.table.label} violate its constraint {name}, which is NOT VALID"


def _has_rows(connection: psycopg.Connection, source: str) -> bool:
    query = f"SELECT EXISTS (SELECT FROM {source})"  # noqa: S608
    return connection.execute(query.encode()).fetchone() == (True,)


def _too_large(connection: psycopg.Connection, loss: Loss) -> Iterator[str]:
    """Yield where a row has more than 1 GB as text, which no statement accepts."""
    if not is_toasted(connection, loss.table):
        return
    parts = [_length(name, kind) for name, kind in connection.execute(VARIABLE, [loss.table.sql, loss.saved])]
    if not parts:
        return
    large = f"({' + '.join(parts)}) > {LARGE_ROW}"
    row = hash_sql(f"ROW({', '.join(map(quote_ident, loss.saved))})")
    try:
        with connection.transaction():
            connection.execute(f"SELECT {row} FROM {loss.table.source} WHERE {large}".encode())  # noqa: S608
    except psycopg.Error as error:
        if error.sqlstate not in TOO_LARGE:
            raise
        yield f"{loss.table.label} has a row that is larger than 1 GB as text"


def _length(name: str, kind: str) -> str:
    """Return SQL for the length of a value as text, where possible without reading it."""
    column = quote_ident(name)
    if kind in ("text", "character varying", "character"):
        return f"coalesce(octet_length({column}), 0)::int8"
    if kind == "bytea":
        return f"coalesce(octet_length({column}), 0)::int8 * 2"
    return f"CASE WHEN pg_column_size({column}) > {LARGE_VALUE} THEN octet_length({column}::text) ELSE 0 END::int8"


def has_changed_large_objects(connection: psycopg.Connection) -> bool:
    """Whether this transaction has unlinked large objects, or written to them."""
    return connection.execute(LARGE_OBJECTS).fetchone() != (0,)


def find_unforeseen(
    before: Mapping[int, StashTable], after: Mapping[int, StashTable], losses: Iterable[Loss]
) -> Iterator[str]:
    """Yield the tables and columns that a step has dropped and no revision makes, so that the dry run had none."""
    known = {loss.table.sql: {column.name for column in loss.columns} for loss in losses}
    for oid, table in before.items():
        family = list(_with_parents(table, before))
        if oid not in after:
            if not any(each.sql in known and each.oid not in after for each in family):
                yield f"the table {table.label}"
            continue
        foreseen = set().union(*(known.get(each.sql, ()) for each in family))
        for number, column in table.columns.items():
            if number not in after[oid].columns and column.name not in foreseen and not column.generated:
                yield f"the column {table.label}.{column.name}"


def _with_parents(table: StashTable | None, tables: Mapping[int, StashTable]) -> Iterator[StashTable]:
    while table is not None:
        yield table
        table = tables.get(table.parent) if table.parent else None
