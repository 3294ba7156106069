"""A round trip's outcome for machines: JSON, JUnit's XML, and GitHub's annotations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from dbkit.findings.verdict import Verdict
from dbkit.redaction import redact
from dbkit.reports import roundtrip_text
from dbkit.reports.trace import trace_as_json
from dbkit.roundtrip.outcome import Finding, Outcome, RevisionOutcome, SampleRowCount


def as_json(outcome: Outcome) -> str:
    """The whole outcome. docs/round-trip.md explains the shape."""
    document = {
        "project": outcome.project,
        "server": outcome.server,
        "seconds": round(outcome.seconds, 3),
        "summary": {verdict.value: outcome.count(verdict) for verdict in Verdict},
        "chain": outcome.chain,
        "chain_length": outcome.chain_length,
        "rows": rows_as_json(outcome.sample_rows),
        "revisions": [_revision(each) for each in outcome.revisions],
    }
    return json.dumps(redact.tree(document), indent=2, ensure_ascii=False)


def rows_as_json(sample_rows: SampleRowCount) -> dict[str, Any]:
    """The rows that there were."""
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
        "notes": [_finding(note) for note in each.notes],
    } | ({"traces": list(map(trace_as_json, each.traces))} if each.traces else {})


def _finding(finding: Finding) -> dict[str, Any]:
    difference, failure = finding.difference, finding.failure
    rows = finding.rows
    kind = difference.fact.kind if difference else "rows" if rows or finding.phase == "rows" else "error"
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


def as_junit(outcome: Outcome) -> str:
    """A test suite with a test for each revision."""
    suite = ElementTree.Element(
        "testsuite",
        name="dbkit roundtrip",
        tests=str(len(outcome.revisions)),
        failures=str(len(outcome.failed)),
        time=f"{outcome.seconds:.3f}",
    )
    for each in outcome.revisions:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname="roundtrip",
            name=_plain(each.name),
            file=roundtrip_text.shown(each.path),
            time=f"{each.seconds:.4f}",
        )
        words = _plain("\n".join(finding.words for finding in each.findings))
        if each.failed:
            ElementTree.SubElement(case, "failure", type=each.verdict, message=_plain(_first_words(each))).text = words
        elif each.accepted is not None:
            ElementTree.SubElement(case, "system-out").text = _plain(
                f"accepted {each.verdict}: {each.accepted}\n{words}"
            )
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def as_github(outcome: Outcome) -> str:
    """Workflow commands that annotate files and lines; what is accepted is a notice."""
    lines = []
    for each in outcome.revisions:
        for finding in each.findings:
            level = "error" if each.accepted is None or finding.phase == "file" else "notice"
            title = f"{each.verdict}: {each.revision}"
            lines.append(annotation(level, each.path, finding.line, title, finding.words))
    return "\n".join([*lines, roundtrip_text.summary(outcome)])


def annotation(level: str, path: Path, line: int | None, title: str, words: str) -> str:
    """A workflow command of GitHub's; `level` is error, warning or notice."""
    place = f"file={_property(roundtrip_text.shown(path))},line={line or 1},title={_property(title)}"
    return f"::{level} {place}::{_data(redact.text(words))}"


def _first_words(each: RevisionOutcome) -> str:
    return each.findings[0].words if each.findings else each.verdict.value


def _plain(words: str) -> str:
    """Without secrets, and without what XML 1.0 cannot hold."""
    return "".join(letter if letter in "\t\n" or letter >= " " else "�" for letter in redact.text(words))


def _data(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(words: str) -> str:
    return _data(words).replace(":", "%3A").replace(",", "%2C")


FORMATS: dict[str, Callable[[Outcome], str]] = {
    "text": lambda outcome: redact.text(roundtrip_text.render(outcome)),
    "json": as_json,
    "junit": as_junit,
    "github": as_github,
}
