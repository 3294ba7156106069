"""Advice for people and machines: text, JSON, GitHub's annotations, and SARIF."""

import hashlib
import json
import textwrap
from collections.abc import Callable
from itertools import groupby
from typing import Any

from dbkit.advice.findings import Advice, Level
from dbkit.advice.ids import RULES, SQUAWK
from dbkit.advice.lint import Advised
from dbkit.roundtrip.report import annotation
from dbkit.roundtrip.text import shown

LEVELS = {Level.DANGER: "error", Level.WARNING: "warning", Level.NOTE: "note"}
GITHUB = {Level.DANGER: "error", Level.WARNING: "warning", Level.NOTE: "notice"}
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_text(advised: Advised, least: Level) -> str:
    """By file: what was found, why, and what to write instead."""
    order = list(Level)
    wanted = [
        each for each in advised.findings if each.accepted is None and order.index(each.level) <= order.index(least)
    ]
    lines = []
    for path, findings in groupby(wanted, key=lambda each: each.path):
        lines.append(shown(path))
        for each in findings:
            lines += _told(each)
    return "\n".join([*lines, summary(advised, least)])


def _told(each: Advice) -> list[str]:
    place = f":{each.line}" if each.line else ""
    direction = " (downgrade)" if each.direction == "downgrade" else ""
    also = f" ({', '.join(each.also)})" if each.also else ""
    lines = [f"  {each.level} {each.id}{also}{place}{direction}", f"    {each.message}"]
    if each.level != Level.NOTE:
        lines += textwrap.wrap(each.why, 116, initial_indent="    ", subsequent_indent="    ")
        lines += [f"      {line}".rstrip() for line in each.instead.splitlines()]
    return lines


def summary(advised: Advised, least: Level) -> str:
    """One line that counts."""
    open_ones = [each for each in advised.findings if each.accepted is None]
    counts = {level: sum(each.level == level for each in open_ones) for level in Level}
    parts = [f"{counts[level]} {level}{'s' if counts[level] != 1 else ''}" for level in (Level.DANGER, Level.WARNING)]
    accepted = len(advised.findings) - len(open_ones)
    more = [f"{accepted} accepted"] if accepted else []
    hidden = " (--level note shows them)" if least != Level.NOTE else ""
    more += [f"{counts[Level.NOTE]} notes{hidden}"] if counts[Level.NOTE] else []
    told = ", ".join(parts)
    return f"{told} in {advised.revisions} migrations on {advised.server}{'; ' if more else ''}{'; '.join(more)}."


def as_json(advised: Advised, _least: Level) -> str:
    """All findings, also those that were accepted. docs/rules/README.md explains the shape."""
    document = {
        "project": advised.project,
        "server": advised.server,
        "seconds": round(advised.seconds, 3),
        "revisions": advised.revisions,
        "findings": [_finding(each) for each in advised.findings],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _finding(each: Advice) -> dict[str, Any]:
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
        "instead": each.instead,
        "sql": each.sql,
        "also": list(each.also),
        "accepted": each.accepted,
    }


def as_github(advised: Advised, least: Level) -> str:
    """Workflow commands that annotate files and lines; what is accepted is a notice."""
    lines = [
        annotation(
            GITHUB[each.level] if each.accepted is None else "notice",
            each.path,
            each.line,
            each.id,
            each.message if each.accepted is None else f"{each.message} (accepted: {each.accepted})",
        )
        for each in advised.findings
        if each.level != Level.NOTE
    ]
    return "\n".join([*lines, summary(advised, least)])


def as_sarif(advised: Advised, _least: Level) -> str:
    """SARIF 2.1.0, as code scanning takes it. What is accepted is a suppressed result."""
    ids = sorted({each.id for each in advised.findings})
    driver = {"name": "dbkit", "rules": [_rule(identifier) for identifier in ids]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "utf16CodeUnits",
        "results": [_result(each, ids.index(each.id)) for each in advised.findings],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _rule(identifier: str) -> dict[str, Any]:
    about = RULES.get(identifier, f"a rule of squawk: {identifier.removeprefix(SQUAWK)}")
    rule: dict[str, Any] = {"id": identifier, "shortDescription": {"text": about}}
    if identifier.startswith(SQUAWK):
        rule["helpUri"] = f"https://squawkhq.com/docs/{identifier.removeprefix(SQUAWK)}"
    return rule


def _result(each: Advice, index: int) -> dict[str, Any]:
    # the same finding has the same fingerprint when lines above it come or go
    fingerprint = hashlib.sha256("\0".join([each.id, each.revision, each.direction, each.message]).encode()).hexdigest()
    result: dict[str, Any] = {
        "ruleId": each.id,
        "ruleIndex": index,
        "level": LEVELS[each.level],
        "message": {"text": "\n".join(filter(None, [f"{each.message}.", each.why, each.instead]))},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": shown(each.path)},
                    "region": {"startLine": each.line or 1},
                }
            }
        ],
        "partialFingerprints": {"dbkit/v1": fingerprint},
    }
    if each.accepted is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": each.accepted}]
    return result


FORMATS: dict[str, Callable[[Advised, Level], str]] = {
    "text": as_text,
    "json": as_json,
    "github": as_github,
    "sarif": as_sarif,
}
