"""`dbkit prove`: the round trip and lint of each migration, in one run."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit.commands.kept_proof import KeptOptions, find_or_prove
from dbkit.errors import InputError
from dbkit.redaction.outputs import print_report
from dbkit.settings import Settings
from dbkit.terminal.progress import Progress

if TYPE_CHECKING:
    from dbkit.lint.outcome import LintOutcome
    from dbkit.project import Project
    from dbkit.roundtrip.kept_walk import WalkCache
    from dbkit.roundtrip.outcome import Outcome
    from dbkit.roundtrip.prove import Request
    from dbkit.roundtrip.scratch_server import ScratchServer

ONE_REPORT = {"junit": ("roundtrip", "findings of lint"), "sarif": ("lint", "verdicts of the round trip")}
"""The formats of one of the two reports: the verb that has it, and what has no place in it."""


@dataclass(frozen=True)
class ProveOptions(KeptOptions):
    """Options of `dbkit prove`."""

    trace: bool
    strict: bool
    level: str
    sizes: Path | None
    """A file with the result of `dbkit sizes`."""
    version: int
    """The major version of PostgreSQL that the advice is for; 0: that of the server it runs on."""
    report: str


def prove(settings: Settings, ini: Path, options: ProveOptions) -> int:
    """Print the outcome of a round trip and the findings of lint; return 1 where one of them is not accepted."""
    if options.report in ONE_REPORT:
        verb, other = ONE_REPORT[options.report]
        hint = f"`dbkit {verb} --format {options.report}` writes that report; text, json and github have both."
        raise InputError(f"--format {options.report} has no place for the {other}.", hint)
    from dbkit.findings.finding import Level
    from dbkit.lint.outcome import LintOutcome
    from dbkit.lint.squawk import find_program
    from dbkit.reports.formats import render_prove
    from dbkit.roundtrip.outcome import Outcome

    def run(
        server: "ScratchServer", request: "Request", walks: "WalkCache"
    ) -> "tuple[tuple[Outcome, LintOutcome], Project]":
        from dbkit.lint.lint_project import LiveDatabase, prove_and_lint

        request = replace(request, strict=options.strict or None)
        live = LiveDatabase(options.version, options.sizes)
        outcome, linted, loaded = prove_and_lint(
            server, settings, ini, request, Progress(), live, walks, keeps_traces=options.trace
        )
        shown = outcome if options.trace else outcome.without_traces()
        return (shown.without_ordinary(), linted), loaded

    found = find_or_prove(settings, ini, "prove", options, tuple[Outcome, LintOutcome], run, [find_program()])
    outcome, linted = found.result
    outcome, linted = outcome.marked(found.seconds, found.problem), linted.marked(found.seconds, "")
    rendered = render_prove(outcome, linted, options.report, Level(options.level), with_trace=options.trace)
    print_report(rendered, options.report)
    return 0 if outcome.passed and not linted.failed else 1
