"""Outcomes of round trips and lint as workflow commands of GitHub, which annotate files and lines."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit.findings.finding import Level
from dbkit.redaction import redact
from dbkit.reports import text
from dbkit.reports.paths import display_path
from dbkit.roundtrip.outcome import Outcome

if TYPE_CHECKING:
    from dbkit.lint.outcome import LintOutcome

ANNOTATIONS = {Level.DANGER: "error", Level.WARNING: "warning", Level.NOTE: "notice"}


def render_roundtrip(outcome: Outcome) -> str:
    """Render an error for each finding, a notice for an accepted one, and a summary."""
    lines = []
    for each in outcome.revisions:
        for finding in each.findings:
            annotation = "error" if each.accepted is None or finding.phase == "file" else "notice"
            title = f"{each.verdict}: {each.revision}"
            lines.append(_annotate(annotation, each.path, finding.line, title, finding.words))
        lines += [
            _annotate("warning", each.path, finding.line, f"extreme values: {each.revision}", finding.words)
            for finding in each.warnings
        ]
    return "\n".join([*lines, text.summarize_roundtrip(outcome)])


def render_lint(outcome: "LintOutcome", least: Level) -> str:
    """Render the findings of a level and above, an accepted one as a notice, and a summary."""
    lines = [
        _annotate(
            ANNOTATIONS[each.level] if each.accepted is None else "notice",
            each.path,
            each.line,
            each.id,
            each.message if each.accepted is None else f"{each.message} (accepted: {each.accepted})",
        )
        for each in outcome.of_level(least)
    ]
    return "\n".join([*lines, text.summarize_lint(outcome, least)])


def render_prove(outcome: Outcome, linted: "LintOutcome", least: Level) -> str:
    """Render the annotations of the round trip, then those of lint."""
    return f"{render_roundtrip(outcome)}\n{render_lint(linted, least)}"


def _annotate(annotation: str, path: Path, line: int | None, title: str, message: str) -> str:
    properties = f"file={_escape_property(_repository_path(path))},line={line or 1},title={_escape_property(title)}"
    return f"::{annotation} {properties}::{_escape(redact.text(message))}"


def _repository_path(path: Path) -> str:
    """Return a path as GitHub knows it: from the top of the checkout, wherever in it the step runs."""
    top = os.environ.get("GITHUB_WORKSPACE")
    if top and path.resolve().is_relative_to(Path(top).resolve()):
        return path.resolve().relative_to(Path(top).resolve()).as_posix()
    return display_path(path)


def _escape(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(value: str) -> str:
    return _escape(value).replace(":", "%3A").replace(",", "%2C")
