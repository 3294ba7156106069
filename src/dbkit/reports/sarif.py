"""The findings of lint as SARIF 2.1.0, for code scanning.

https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support
"""

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dbkit.findings.finding import Level, LintFinding
from dbkit.findings.rule_ids import SQUAWK
from dbkit.lint.outcome import LintOutcome
from dbkit.lint.rule_pages import read_page, read_section, read_summary
from dbkit.redaction import redact
from dbkit.reports.paths import display_path

LEVELS = {Level.DANGER: "error", Level.WARNING: "warning", Level.NOTE: "note"}
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render_lint(outcome: LintOutcome, least: Level) -> str:
    """Render the findings of a level and above; an accepted one is a suppressed result."""
    findings = outcome.of_level(least)
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
        help_fields: dict[str, Any] = {"help": {"text": uri, "markdown": f"[{name}]({uri})"}, "helpUri": uri}
    else:
        summary = read_summary(identifier)
        level, about = summary.level, summary.text
        effect = read_section(identifier, "Effect") or about
        page = read_page(identifier)
        help_fields = {"help": {"text": page, "markdown": page}}
    return {
        "id": identifier,
        "shortDescription": {"text": about},
        "fullDescription": {"text": effect},
        "defaultConfiguration": {"level": LEVELS[level]},
    } | help_fields


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
    relative = Path(display_path(path))
    return path.resolve().as_uri() if relative.is_absolute() else quote(relative.as_posix())
