"""Advice for people and machines: text, JSON, GitHub's annotations, and SARIF."""

import hashlib
import json
import textwrap
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dbkit.findings.finding import Level, LintFinding
from dbkit.findings.rule_ids import SQUAWK
from dbkit.gate.alembic_command import count
from dbkit.lint.rule_pages import read_page, read_section, read_summary
from dbkit.lint.run import LintOutcome
from dbkit.redaction import redact
from dbkit.reports.roundtrip import annotation, rows_as_json
from dbkit.reports.roundtrip_text import shown, unfilled
from dbkit.wording import counted

LEVELS = {Level.DANGER: "error", Level.WARNING: "warning", Level.NOTE: "note"}
GITHUB = {Level.DANGER: "error", Level.WARNING: "warning", Level.NOTE: "notice"}
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_text(advised: LintOutcome, least: Level) -> str:
    """By file: what was found, why, and what to write instead."""
    wanted = [each for each in _shown(advised, least) if each.accepted is None]
    lines = []
    for path, findings in groupby(wanted, key=lambda each: each.path):
        lines.append(shown(path))
        for each in findings:
            lines += _told(each)
    return redact.text("\n".join([*lines, *unfilled(advised.sample_rows), summary(advised, least)]))


def _shown(advised: LintOutcome, least: Level) -> list[LintFinding]:
    """Those of a level, and graver ones."""
    order = list(Level)
    return [each for each in advised.findings if order.index(each.level) <= order.index(least)]


def _told(each: LintFinding) -> list[str]:
    place = f":{each.line}" if each.line else ""
    direction = " (downgrade)" if each.direction == "downgrade" else ""
    also = f" ({', '.join(each.also)})" if each.also else ""
    lines = [f"  {each.level} {each.id}{also}{place}{direction}", f"    {each.message}"]
    if each.level != Level.NOTE:
        lines += textwrap.wrap(each.why, 116, initial_indent="    ", subsequent_indent="    ")
        lines += [f"      {line}".rstrip() for line in each.fix.splitlines()]
    return lines


def summary(advised: LintOutcome, least: Level) -> str:
    """One line that counts."""
    if not advised.revisions and not advised.findings:
        return "No migration is new, so nothing was run."
    open_ones = [each for each in advised.findings if each.accepted is None]
    counts = {level: sum(each.level == level for each in open_ones) for level in Level}
    told = ", ".join(_counted(counts[level], level) for level in (Level.DANGER, Level.WARNING))
    concerned = len({each.revision for each in advised.failed if each.revision})
    of = f"{concerned} of " if concerned else ""
    parts = [f"{told} in {of}{count(advised.revisions)} on {advised.server}"]
    accepted = len(advised.findings) - len(open_ones)
    parts += [f"{accepted} accepted"] if accepted else []
    hidden = " (--level note shows them)" if least != Level.NOTE else ""
    parts += [f"{_counted(counts[Level.NOTE], Level.NOTE)}{hidden}"] if counts[Level.NOTE] else []
    parts += [] if advised.sample_rows.rows else ["the tables were empty, so changes of data were not seen"]
    return f"{'; '.join(parts)}."


def _counted(number: int, level: Level) -> str:
    return counted(number, level)


def as_json(advised: LintOutcome, _least: Level) -> str:
    """All findings, also those that were accepted. docs/lint.md explains the shape."""
    document = {
        "project": advised.project,
        "server": advised.server,
        "seconds": round(advised.seconds, 3),
        "revisions": advised.revisions,
        "rows": rows_as_json(advised.sample_rows),
        "findings": [_finding(each) for each in advised.findings],
    }
    return json.dumps(redact.tree(document), indent=2, ensure_ascii=False)


def _finding(each: LintFinding) -> dict[str, Any]:
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


def as_github(advised: LintOutcome, least: Level) -> str:
    """Workflow commands that annotate files and lines; what is accepted is a notice."""
    lines = [
        annotation(
            GITHUB[each.level] if each.accepted is None else "notice",
            each.path,
            each.line,
            each.id,
            each.message if each.accepted is None else f"{each.message} (accepted: {each.accepted})",
        )
        for each in _shown(advised, least)
    ]
    return "\n".join([*lines, summary(advised, least)])


def as_sarif(advised: LintOutcome, least: Level) -> str:
    """SARIF 2.1.0, as code scanning takes it. What is accepted is a suppressed result.

    https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support
    """
    findings = _shown(advised, least)
    gravest = {
        each.id: each.level for each in sorted(findings, key=lambda each: list(Level).index(each.level), reverse=True)
    }
    ids = sorted(gravest)
    driver = {"name": "dbkit", "rules": [_rule(identifier, gravest[identifier]) for identifier in ids]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "utf16CodeUnits",
        "results": [redact.tree(_result(each, ids.index(each.id))) for each in findings],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _rule(identifier: str, level: Level) -> dict[str, Any]:
    if identifier.startswith(SQUAWK):
        name = identifier.removeprefix(SQUAWK)
        about = effect = f"a rule of squawk: {name}"
        uri = f"https://squawkhq.com/docs/{name}"
        helped: dict[str, Any] = {"help": {"text": uri, "markdown": f"[{name}]({uri})"}, "helpUri": uri}
    else:
        summary = read_summary(identifier)
        level, about = summary.level, summary.text
        effect = read_section(identifier, "Effect") or about
        page = read_page(identifier)
        helped = {"help": {"text": page, "markdown": page}}
    return {
        "id": identifier,
        "shortDescription": {"text": about},
        "fullDescription": {"text": effect},
        "defaultConfiguration": {"level": LEVELS[level]},
    } | helped


def _result(each: LintFinding, index: int) -> dict[str, Any]:
    # the same finding has the same fingerprint when lines above it come or go
    fingerprint = hashlib.sha256("\0".join([each.id, each.revision, each.direction, each.message]).encode()).hexdigest()
    result: dict[str, Any] = {
        "ruleId": each.id,
        "ruleIndex": index,
        "level": LEVELS[each.level],
        "message": {"text": "\n".join(filter(None, [f"{each.message}.", each.why, each.fix]))},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(each.path)},
                    "region": {"startLine": each.line or 1},
                }
            }
        ],
        "partialFingerprints": {"dbkit/v1": fingerprint},
    }
    if each.accepted is not None:
        kind = "external" if each.by_baseline else "inSource"
        result["suppressions"] = [{"kind": kind, "justification": each.accepted}]
    return result


def _uri(path: Path) -> str:
    """Relative to this directory, as code scanning wants it, which is that of the checkout."""
    relative = Path(shown(path))
    return path.resolve().as_uri() if relative.is_absolute() else quote(relative.as_posix())


FORMATS: dict[str, Callable[[LintOutcome, Level], str]] = {
    "text": as_text,
    "json": as_json,
    "github": as_github,
    "sarif": as_sarif,
}
