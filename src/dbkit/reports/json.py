"""Outcomes of round trips, lint and traces as JSON. docs/round-trip.md and docs/lint.md explain the shapes."""

import json
from typing import TYPE_CHECKING, Any

from dbkit.coverage.facts import StatementCoverage
from dbkit.findings.verdict import Verdict
from dbkit.preconditions.precondition import Precondition
from dbkit.redaction import redact
from dbkit.reports.text import row_counts
from dbkit.roundtrip.outcome import Finding, Outcome, RevisionOutcome, SampleRowCount
from dbkit.trace.records import ExecutedStatement, Trace

if TYPE_CHECKING:
    from dbkit.findings.finding import Level, LintFinding
    from dbkit.lint.outcome import LintOutcome
    from dbkit.plan import Plan, PlannedRevision, PlannedStatement
    from dbkit.preflight.outcome import PreflightOutcome, Question, TouchedRows


def render_roundtrip(outcome: Outcome) -> str:
    """Render the outcome of a round trip, with the traces where there are some."""
    return _dump(_roundtrip(outcome))


def render_prove(outcome: Outcome, linted: "LintOutcome", _least: "Level") -> str:
    """Render both documents, each as its own verb does, in one."""
    return _dump({"roundtrip": _roundtrip(outcome), "lint": _lint(linted)})


def _roundtrip(outcome: Outcome) -> dict[str, Any]:
    return {
        "project": outcome.project,
        "server": outcome.server,
        "seconds": round(outcome.seconds, 3),
        "kept": outcome.kept,
        "summary": {verdict.value: outcome.count(verdict) for verdict in Verdict},
        "chain": outcome.chain,
        "chain_length": outcome.chain_length,
        "rows": _sample_rows(outcome.sample_rows),
        "revisions": [_revision(each) for each in outcome.revisions],
    }


def _dump(document: dict[str, Any]) -> str:
    return json.dumps(redact.tree(document), indent=2, ensure_ascii=False)


def _sample_rows(sample_rows: SampleRowCount) -> dict[str, Any]:
    return {"at_least": sample_rows.rows, "filled": sorted(sample_rows.filled), "unfilled": dict(sample_rows.unfilled)}


def _revision(each: RevisionOutcome) -> dict[str, Any]:
    return {
        "revision": each.revision,
        "down_revisions": list(each.down_revisions),
        "path": str(each.path),
        "message": each.message,
        "verdict": each.verdict.value,
        "also": [verdict.value for verdict in each.also],
        "accepted": each.accepted,
        "seconds": round(each.seconds, 4),
        "transactional": each.transactional,
        "findings": [_finding(finding) for finding in each.findings],
        "warnings": [_finding(warning) for warning in each.warnings],
        "notes": [_finding(note) for note in each.notes],
        "coverage": [_coverage(statement) for statement in each.coverage],
        "preconditions": [_precondition(condition) for condition in each.preconditions],
    } | ({"traces": list(map(_trace, each.traces))} if each.traces else {})


def _precondition(each: Precondition) -> dict[str, Any]:
    return {
        "kind": each.kind,
        "table": each.table,
        "columns": list(each.columns),
        "words": each.words,
        "query": each.query,
        "sql": each.sql,
        "line": each.line,
        "proven": each.is_proven,
    }


def _coverage(each: StatementCoverage) -> dict[str, Any]:
    return {
        "direction": each.direction,
        "sql": each.sql,
        "line": each.line,
        "rows": each.rows,
        "met": each.is_met,
        "reason": each.reason,
        "by_construction": each.by_construction,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    difference, failure = finding.difference, finding.failure
    rows = finding.rows
    kind = difference.fact.kind if difference else "rows" if rows or finding.phase == "rows" else "error"
    kind = "extreme" if finding.is_extreme else kind
    table = f"{rows.table}.{rows.column}".rstrip(".") if rows else ""
    return {
        "kind": "comment" if finding.phase == "file" else kind,
        "object": difference.fact.identity if difference else table,
        "before": difference.before if difference else None,
        "after": difference.after if difference else None,
        "phase": finding.phase,
        "detail": finding.words,
        "line": finding.line,
        "sql": failure.sql or None if failure else None,
    }


def render_lint(outcome: "LintOutcome", _least: "Level") -> str:
    """Render all findings of lint, accepted ones included, whatever their level."""
    return _dump(_lint(outcome))


def _lint(outcome: "LintOutcome") -> dict[str, Any]:
    return {
        "project": outcome.project,
        "server": outcome.server,
        "seconds": round(outcome.seconds, 3),
        "kept": outcome.kept,
        "revisions": outcome.revisions,
        "rows": _sample_rows(outcome.sample_rows),
        "findings": [_lint_finding(each) for each in outcome.findings],
    }


def _lint_finding(each: "LintFinding") -> dict[str, Any]:
    return {
        "id": each.id,
        "level": each.level.value,
        "revision": each.revision,
        "path": str(each.path),
        "line": each.line,
        "direction": each.direction,
        "message": each.message,
        "blocks": each.blocks,
        "tables": list(each.tables),
        "why": each.why,
        "instead": each.fix,
        "sql": each.sql,
        "also": list(each.also),
        "accepted": each.accepted,
    }


def render_trace(outcome: Outcome) -> str:
    """Render all statements with everything that was recorded of them."""
    document = {
        "project": outcome.project,
        "server": outcome.server,
        "revisions": [
            {
                "revision": each.revision,
                "path": str(each.path),
                "traces": [_trace(trace) for trace in each.traces],
            }
            for each in outcome.revisions
        ],
    }
    return _dump(document)


def _trace(trace: Trace) -> dict[str, Any]:
    return {
        "direction": trace.direction,
        "server_version": trace.server_version,
        "statements": [_statement(each) for each in trace],
    }


def _statement(each: ExecutedStatement) -> dict[str, Any]:
    return {
        "sql": each.sql,
        "line": each.line,
        "transaction": each.transaction,
        "in_transaction": each.in_transaction,
        "seconds": round(each.seconds, 6),
        "lock_timeout": each.lock_timeout,
        "kept": {name: str(lock) for name, lock in each.inherited_locks},
        "touched": [
            {
                "relation": touched.relation,
                "kind": touched.kind,
                "existed": touched.existed,
                "lock": str(touched.lock) if touched.lock else None,
                "blocks": touched.lock.blocks if touched.lock else "",
                "held": str(touched.held) if touched.held else None,
                "table": touched.table,
                "partition_of": touched.partition_of,
                "rewritten": touched.rewritten,
                "scans": touched.scans,
                **row_counts(touched),
            }
            for touched in each.touched
        ],
        "changes": [
            {
                "what": change.what.value,
                "table": change.table,
                "name": change.name,
                "kind": change.kind,
                "before": change.before,
                "after": change.after,
            }
            for change in each.changes
        ],
    }


def render_preflight(outcome: "PreflightOutcome") -> str:
    """Render the answers of a preflight, and the estimates of the statements."""
    document = {
        "database": outcome.database,
        "current": list(outcome.current),
        "revisions": [
            {
                "revision": each.revision,
                "message": each.message,
                "path": str(each.path),
                "verdict": each.verdict,
                "problem": each.problem,
                "accepted": each.accepted,
                "preconditions": list(map(_question, each.questions)),
                "statements": list(map(_touched_rows, each.statements)),
            }
            for each in outcome.revisions
        ],
    }
    return _dump(document)


def _question(each: "Question") -> dict[str, Any]:
    answer = each.answer
    return {
        "id": each.id,
        **_precondition(each.precondition),
        "status": answer.status.value,
        "rows": answer.rows,
        "keys": list(answer.keys),
        "reason": answer.reason,
    }


def _touched_rows(each: "TouchedRows") -> dict[str, Any]:
    return {
        "sql": each.sql,
        "direction": "upgrade",
        "line": each.line,
        "verb": each.verb,
        "table": each.table,
        "rows": each.rows,
        "reason": each.reason,
    }


def render_plan(plan: "Plan") -> str:
    """Render the statements that would run, with their locks and estimates; times in seconds, null where not known."""
    document = {
        "database": plan.database,
        "current": list(plan.current),
        "has_sizes": plan.has_sizes,
        "seconds": _rounded(plan.seconds),
        "revisions": [_planned_revision(each, has_sizes=plan.has_sizes) for each in plan.revisions],
    }
    return _dump(document)


def _planned_revision(each: "PlannedRevision", *, has_sizes: bool) -> dict[str, Any]:
    pending = each.pending
    return {
        "revision": pending.revision,
        "message": pending.message,
        "path": str(pending.path),
        "verdict": pending.verdict,
        "problem": pending.problem or each.untraced,
        "accepted": pending.accepted,
        "seconds": _rounded(each.seconds) if has_sizes else None,
        "preconditions": [
            {"id": question.id, **_precondition(question.precondition), "later": question.later}
            for question in pending.questions
        ],
        "waits": [
            {
                "table": wait.table,
                "blocks": wait.blocks,
                "seconds": _rounded(wait.seconds) if has_sizes else None,
            }
            for wait in each.waits
        ],
        "statements": list(map(_planned_statement, each.statements)),
    }


def _planned_statement(each: "PlannedStatement") -> dict[str, Any]:
    return {
        "sql": each.sql,
        "line": each.line,
        "transaction": each.transaction,
        "in_transaction": each.in_transaction,
        "is_batch": each.is_batch,
        "locks": [{"table": lock.table, "lock": str(lock.lock), "blocks": lock.lock.blocks} for lock in each.locks],
        "work": [
            {"table": work.table, "kind": work.kind, "rows": work.rows, "seconds": _rounded(work.seconds)}
            for work in each.work
        ],
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
