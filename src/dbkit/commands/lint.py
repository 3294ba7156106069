"""`dbkit lint`: report what each migration would do to a live database, and what to write instead."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit.commands.kept_proof import FoundProof, KeptOptions, find_kept, find_or_prove
from dbkit.commands.prove import ProveOptions
from dbkit.redaction.outputs import print_report
from dbkit.settings import Settings
from dbkit.terminal.progress import Progress

if TYPE_CHECKING:
    from dbkit.lint.outcome import LintOutcome
    from dbkit.project import Project
    from dbkit.roundtrip.kept_walk import WalkCache
    from dbkit.roundtrip.prove import Request
    from dbkit.roundtrip.scratch_server import ScratchServer


@dataclass(frozen=True)
class LintOptions(KeptOptions):
    """Options of `dbkit lint`."""

    level: str
    sizes: Path | None
    """A file with the result of `dbkit sizes`."""
    version: int
    """The major version of PostgreSQL that the advice is for; 0: that of the server it runs on."""
    report: str


def lint(settings: Settings, ini: Path, options: LintOptions) -> int:
    """Print the findings down to a level; return 1 where a danger or a warning is not accepted."""
    from dbkit.findings.finding import Level
    from dbkit.reports.formats import render_lint

    found = _find_or_lint(settings, ini, options)
    outcome = found.result.marked(found.seconds, found.problem)
    print_report(render_lint(outcome, options.report, Level(options.level)), options.report)
    return 1 if outcome.failed else 0


def _find_or_lint(settings: Settings, ini: Path, options: LintOptions) -> "FoundProof[LintOutcome]":
    """Return the findings that an earlier run of `prove` or `lint` has kept, or those of a run now."""
    from dbkit.lint.outcome import LintOutcome
    from dbkit.lint.squawk import find_program
    from dbkit.roundtrip.outcome import Outcome

    def run(server: "ScratchServer", request: "Request", walks: "WalkCache") -> "tuple[LintOutcome, Project]":
        from dbkit.lint.lint_project import LiveDatabase, lint_project

        live = LiveDatabase(options.version, options.sizes)
        return lint_project(server, settings, ini, request, Progress(), live, walks)

    programs = [find_program()]
    as_prove = ProveOptions(**vars(options), trace=False, strict=False)
    proven = find_kept(settings, ini, "prove", as_prove, tuple[Outcome, LintOutcome], programs)
    if proven:
        return FoundProof(proven.result[1], proven.seconds)
    return find_or_prove(settings, ini, "lint", options, LintOutcome, run, programs)
