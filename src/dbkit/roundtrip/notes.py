"""Differences that are no fault of a revision: they are reported as notes.

What PostgreSQL cannot undo (see catalog.diff), a column that a trigger sets whenever a row is changed, and values that
a backfill has put in place of NULL, where the downgrade is empty and gives the reason.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import psycopg
from alembic.script import Script

from dbkit.project.revision_source import is_bytecode, parse_source, read_source
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
"""A comment with a word, not `# noqa`."""
PRAGMA = re.compile(r"#\s*(?:noqa|type:|pragma|dbkit:|fmt:|pylint|### )", re.IGNORECASE)


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
    findings = tuple(
        _as_note(each, "a trigger sets it on each change") if each in notes else each for each in result.findings
    )
    return replace(result, findings=findings)


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
    findings = tuple(
        _as_note(each, "downgrade() gives the reason why it does nothing") if each in filled else each
        for each in result.findings
    )
    return replace(result, findings=findings)


def has_reasoned_downgrade(script: Script) -> bool:
    """Whether downgrade() does nothing, and a comment or a docstring in it gives the reason."""
    if is_bytecode(script.path):
        return False
    functions = [
        node
        for node in parse_source(str(script.path)).body
        if isinstance(node, ast.FunctionDef) and node.name == "downgrade"
    ]
    if not functions:
        return False
    body = functions[0].body
    strings = [node for node in body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    if any(not isinstance(node, ast.Pass) and node not in strings for node in body):
        return False
    if strings:
        return True
    source = read_source(str(script.path))
    first, last = functions[0].lineno, functions[0].end_lineno or functions[0].lineno
    comments = (
        token.string
        for token in tokenize.tokenize(io.BytesIO(source).readline)
        if token.type == tokenize.COMMENT and first <= token.start[0] <= last + 1
    )
    return any(REASON.search(each) and not PRAGMA.match(each) for each in comments)


def _as_note(finding: Finding, reason: str) -> Finding:
    rows = finding.rows
    if rows is None:
        return finding
    return replace(finding, rows=replace(rows, reason=f"{rows.reason}; {reason}"), is_note=True)
