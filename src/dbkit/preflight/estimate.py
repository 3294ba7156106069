"""Estimate how many rows of a live database each data statement of the pending revisions will touch."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from dbkit.coverage.facts import is_data_statement
from dbkit.errors import is_missing_object, sqlstate_of
from dbkit.postgres.own_statements import place_of
from dbkit.preflight.ask import Limits, describe_refusal, read_only
from dbkit.preflight.outcome import PendingRevision, TouchedRows
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.trace.records import ChangeKind, ExecutedStatement

if TYPE_CHECKING:
    from dbkit.preflight.row_queries import RowQuery

LONGEST = 300
NOT_YET = "it reads what the database does not have yet"
UNKNOWN_FUNCTION = "42883"
NOT_LOOKED_UP = "functions and operators are those of pg_catalog"
REPEATED = "the revision runs it for each row that it has read"
SCHEMAS = """
SELECT n.name, (
    SELECT s.schema FROM pg_catalog.unnest(%(path)s::pg_catalog.text[]) WITH ORDINALITY AS s (schema, place)
    WHERE EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS o ON o.oid = c.relnamespace
            WHERE o.nspname = s.schema AND c.relname = n.name)
        OR EXISTS (SELECT FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS o ON o.oid = t.typnamespace
            WHERE o.nspname = s.schema AND t.typname = n.name)
    ORDER BY s.place LIMIT 1)
FROM pg_catalog.unnest(%(names)s::pg_catalog.text[]) AS n (name)"""
"""The schema, on the project's search path, of each name of a table or a type."""


def list_data_statements(outcome: RevisionOutcome) -> Iterator[TouchedRows]:
    """Yield each data statement of an upgrade, without an estimate."""
    from dbkit.preflight.row_queries import read_row_query

    for each, is_repeated in _data_statements(outcome):
        found = read_row_query(each.sql)
        text = " ".join(each.sql.split())[:LONGEST]
        reason = REPEATED if is_repeated else found.reason
        yield TouchedRows(text, each.line, found.verb, found.table, None, reason)


def estimate_rows(
    connection: "psycopg.Connection",
    outcomes: Sequence[RevisionOutcome],
    pending: Sequence[PendingRevision],
    limits: Limits,
) -> Iterator[tuple[TouchedRows, ...]]:
    """Yield, for each revision, its data statements with the planner's estimates."""
    from dbkit.preflight.row_queries import read_row_query

    added: set[str] = set()
    for outcome, revision in zip(outcomes, pending, strict=True):
        found = []
        added |= _columns_without_default(outcome)
        for (statement, _), listed in zip(_data_statements(outcome), revision.statements, strict=True):
            if listed.reason:
                found.append(listed)
                continue
            rows, reason = _estimate(connection, read_row_query(statement.sql), added, limits)
            found.append(replace(listed, rows=rows, reason=reason))
        yield tuple(found)


def _data_statements(outcome: RevisionOutcome) -> Iterator[tuple[ExecutedStatement, bool]]:
    """Yield one statement for each line of the file, and whether that line has run several different ones."""
    by_line: dict[int | None, dict[str, ExecutedStatement]] = {}
    for trace in outcome.traces:
        for each in trace if trace.direction == "upgrade" else ():
            if is_data_statement(each.sql):
                by_line.setdefault(each.line, {}).setdefault(each.sql, each)
    for line, different in by_line.items():
        first, *others = different.values()
        yield first, bool(others) and line is not None
        yield from ((each, False) for each in others if line is None)


def _columns_without_default(outcome: RevisionOutcome) -> set[str]:
    """Return the columns that a revision adds, and that are NULL in the rows that are there."""
    return {
        change.name
        for trace in outcome.traces
        if trace.direction == "upgrade"
        for statement in trace
        if " default " not in f" {' '.join(statement.sql.lower().split())} "
        for change in statement.changes
        if change.what == ChangeKind.COLUMN_ADDED
    }


def _estimate(
    connection: "psycopg.Connection", query: "RowQuery", added: Collection[str], limits: Limits
) -> tuple[int | None, str]:
    """Return the planner's estimate, or why there is none."""
    reason = ""
    for names in ((), added) if added else ((),):
        try:
            with read_only(connection, limits):
                schemas = _read_schemas(connection, query)
                text = query.render(schemas.get, names)
                row = connection.execute(f"EXPLAIN (FORMAT JSON) {text}".encode()).fetchone()
        except psycopg.Error as error:
            reason = describe_refusal(connection, error, limits)
            if not is_missing_object(error):
                return None, reason
            reason = f"{NOT_LOOKED_UP if sqlstate_of(error) == UNKNOWN_FUNCTION else NOT_YET}: {reason}"
        else:
            return (round(row[0][0]["Plan"]["Plan Rows"]), "") if row else (None, "no plan")
    return None, reason


def _read_schemas(connection: "psycopg.Connection", query: "RowQuery") -> Mapping[str, str]:
    path = ["pg_catalog", *place_of(connection).visible]
    rows = connection.execute(SCHEMAS, {"path": path, "names": sorted(query.names())})
    return {name: schema for name, schema in rows if schema}
