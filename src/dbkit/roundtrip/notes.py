"""Differences that are no fault of a revision: they are reported as notes.

What PostgreSQL cannot undo (see catalog.diff), a column that a trigger sets whenever a row is changed, and values that
a backfill has put in place of NULL, where the downgrade is empty and gives the reason.
"""

import ast
import io
import re
import tokenize
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
from alembic.script import Script

from dbkit.project.revision_source import does_nothing, is_bytecode, parse_source, read_source
from dbkit.roundtrip.outcome import Finding
from dbkit.roundtrip.results import ProofResult

TRIGGERS = """
SELECT CASE WHEN n.nspname = 'public' THEN '' ELSE n.nspname || '.' END || c.relname, p.prosrc
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) t.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
JOIN pg_catalog.pg_proc AS p ON p.oid OPERATOR(pg_catalog.=) t.tgfoid
WHERE NOT t.tgisinternal AND t.tgtype::pg_catalog.int4 OPERATOR(pg_catalog.&) 19 OPERATOR(pg_catalog.=) 19
"""
"""The functions of the triggers BEFORE UPDATE FOR EACH ROW: bits 1, 2 and 16 of tgtype."""
NOW = (
    r"(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timezone|current_timestamp|localtimestamp"
    r"|current_date)"
)
REASON = re.compile(r"[^\W\d_]{2}")
NO_REASON = re.compile(
    r"""\W* (?: noqa | type: | pragma | fmt: | pylint | todo | fixme | xxx | please\s+adjust
    # an accepted empty downgrade has a reason
    | dbkit: (?! \s* ok \s+ empty-downgrade \s* , .* [^\W\d_]{2} )
    | \#\#\#\ | commands\s+auto | end\s+alembic
    # the docstring that Alembic's templates write
    | (?: downgrades? (?: \s+ (?: the | a | this | database | db | schema | revision | migration ) )* \W* $ ) )""",
    re.IGNORECASE | re.VERBOSE,
)
"""Comments and docstrings that are there in any file, or are no reason yet."""


def mark_touched_columns(
    result: ProofResult, connection: "psycopg.Connection[Any]", statements: Iterable[str]
) -> ProofResult:
    """Return a result in which the columns that a trigger sets to the time of each change are notes.

    `statements`: those of the revision; a column that one of them names is none.
    """
    changed = [each for each in result.findings if each.rows and each.rows.what == "changed" and each.rows.column]
    if not changed:
        return result
    bodies = [(str(table), str(body)) for table, body in connection.execute(TRIGGERS).fetchall()]
    text = "\n".join(statements)
    notes = {each for each in changed if _is_touched(each, bodies, text)}
    return _with_notes(result, notes, "a trigger sets it on each change")


def _is_touched(finding: Finding, bodies: Iterable[tuple[str, str]], statements: str) -> bool:
    rows = finding.rows
    if rows is None or re.search(rf"(?<!\w){re.escape(rows.column)}(?!\w)", statements):
        return False
    assigned = re.compile(rf'\bnew\s*\.\s*"?{re.escape(rows.column)}"?\s*:?=\s*(?:pg_catalog\.)?{NOW}\b', re.IGNORECASE)
    return any(table == rows.table and assigned.search(body) for table, body in bodies)


def mark_reasoned_backfills(result: ProofResult, script: Script) -> ProofResult:
    """Return a result in which values in place of NULL are notes, where the downgrade is empty and gives the reason."""
    filled = {each for each in result.findings if each.rows and each.rows.what == "made up" and each.phase == "down"}
    if not filled or any(each.rows and each not in filled for each in result.findings):
        return result
    if not has_reasoned_downgrade(script):
        return result
    return _with_notes(result, filled, "downgrade() gives the reason why it does nothing")


def has_reasoned_downgrade(script: Script) -> bool:
    """Whether downgrade() does nothing, and a comment or a docstring in it gives the reason."""
    if is_bytecode(script.path):
        return False
    body = parse_source(str(script.path)).body
    at = next((at for at, node in enumerate(body) if _is_downgrade(node)), None)
    function = body[at] if at is not None else None
    if at is None or not isinstance(function, ast.FunctionDef) or not does_nothing(function):
        return False
    docstring = ast.get_docstring(function) or ""
    end = body[at + 1].lineno if at + 1 < len(body) else None
    texts = [docstring, *_comments(str(script.path), function.lineno, end)]
    return any(REASON.search(each) and not NO_REASON.match(each) for each in texts)


def _is_downgrade(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "downgrade"


def _comments(path: str, first: int, end: int | None) -> Iterator[str]:
    """Yield the comments of a function that begins at the line `first`, and ends before the line `end`, if any."""
    for token in tokenize.tokenize(io.BytesIO(read_source(path)).readline):
        line, column = token.start
        # one at the left edge is not the function's
        if token.type == tokenize.COMMENT and line >= first and (end is None or line < end) and column:
            yield token.string


def _with_notes(result: ProofResult, notes: Collection[Finding], reason: str) -> ProofResult:
    findings = tuple(_as_note(each, reason) if each in notes else each for each in result.findings)
    return replace(result, findings=findings)


def _as_note(finding: Finding, reason: str) -> Finding:
    rows = finding.rows
    if rows is None:
        return finding
    return replace(finding, rows=replace(rows, reason=f"{rows.reason}; {reason}"), is_note=True)
