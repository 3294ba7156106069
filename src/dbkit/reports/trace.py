"""Traces for people and machines: text and JSON."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dbkit.redaction import redact
from dbkit.trace.records import ExecutedStatement, Lock, RelationAccess, Trace
from dbkit.wording import counted

if TYPE_CHECKING:
    from dbkit.roundtrip.outcome import Outcome, RevisionOutcome

LONGEST_SQL = 110


def as_text(outcome: "Outcome") -> str:
    """By revision and direction, each statement that touches what was there before, and what it does to it."""
    lines = []
    for each in outcome.revisions:
        lines.append(each.name)
        lines += [line for trace in each.traces for line in _told(trace)] or [f"  {_untraced(each)}"]
    return "\n".join(lines)


def _untraced(each: "RevisionOutcome") -> str:
    if each.untraced:
        return f"it works, but not while it is traced: {each.untraced}"
    words = next((finding.words for finding in each.findings if finding.failure), each.verdict.value)
    return f"could not be run: {words}"


def _told(trace: Trace) -> Iterator[str]:
    yield f"  {trace.direction}"
    transaction = 0
    for statement in trace:
        touched = [each for each in statement.touched if each.existed and _matters(each)]
        inherited = [(name, lock) for name, lock in statement.inherited_locks if lock.blocks]
        if statement.transaction != transaction and not statement.in_transaction:
            yield "    in a transaction of its own:"
        transaction = statement.transaction
        place = f":{statement.line} " if statement.line else ""
        yield f"    {place}{shortened(statement.sql)}"
        yield from (f"        {_words(each)}" for each in touched)
        if inherited and (touched or statement.changes):
            yield f"        still held: {', '.join(f'{lock} on {name}' for name, lock in inherited)}"


def shortened(sql: str) -> str:
    """A statement in one line of bounded length."""
    line = " ".join(sql.split())
    return line if len(line) <= LONGEST_SQL else f"{line[:LONGEST_SQL]}…"


def _matters(each: RelationAccess) -> bool:
    is_strong = each.lock is not None and each.lock >= Lock.ROW_EXCLUSIVE
    return (
        each.kind != "i" and (is_strong or each.scans > 0 or each.scanned > 0 or each.written > 0)
    ) or each.rewritten


def _words(each: RelationAccess) -> str:
    parts = [str(each.lock)] if each.lock else [f"under {each.held}"] if each.held else []
    if each.lock and each.lock.blocks:
        parts[0] += f" ({each.lock.blocks} wait)"
    if each.rewritten:
        parts.append("built anew" if each.kind == "i" else "rewritten")
    parts += ["scanned, and empty"] if each.scans and not each.scanned else []
    parts += [f"{counted(count, 'row')} {what}" for count, what in _counts(each) if count]
    return f"{each.relation}: {', '.join(parts)}"


def _counts(each: RelationAccess) -> list[tuple[int, str]]:
    return [
        (each.scanned, "scanned"),
        (each.inserted, "inserted"),
        (each.updated, "updated"),
        (each.deleted, "deleted"),
    ]


def as_json(outcome: "Outcome") -> str:
    """All statements with all that was seen. docs/lint.md explains the shape."""
    document = {
        "project": outcome.project,
        "server": outcome.server,
        "revisions": [
            {
                "revision": each.revision,
                "path": str(each.path),
                "traces": [trace_as_json(trace) for trace in each.traces],
            }
            for each in outcome.revisions
        ],
    }
    return json.dumps(redact.tree(document), indent=2, ensure_ascii=False)


def trace_as_json(trace: Trace) -> dict[str, Any]:
    """One trace, as a part of a document."""
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
                **{what: count for count, what in _counts(touched)},
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


FORMATS: dict[str, Callable[["Outcome"], str]] = {"text": as_text, "json": as_json}
