"""Lint of a project: prove its migrations with a trace, and apply the rules."""

from dataclasses import dataclass, replace
from pathlib import Path

from dbkit.lint.kept_findings import kept_findings, with_findings
from dbkit.lint.outcome import LintOutcome
from dbkit.lint.run import find_in_outcome, lint_outcome, read_live_sizes
from dbkit.project import Project
from dbkit.roundtrip.kept_walk import WalkCache
from dbkit.roundtrip.outcome import Outcome
from dbkit.roundtrip.prove import Request, prove_at
from dbkit.roundtrip.scratch_server import ScratchServer
from dbkit.roundtrip.workspace import Progress
from dbkit.settings import Settings


@dataclass(frozen=True)
class LiveDatabase:
    """The live database that the advice is for."""

    version: int = 0
    """Its major version of PostgreSQL; 0: that of the server of the proof."""
    sizes: Path | None = None
    """A file with the result of `dbkit sizes`."""


def lint_project(
    server: ScratchServer,
    settings: Settings,
    ini: Path,
    request: Request,
    progress: Progress,
    live: LiveDatabase | None = None,
    walks: WalkCache | None = None,
) -> tuple[LintOutcome, Project]:
    """Run the revisions on a server, and report what they would do to a live database.

    Raises InputError if there is nothing to run.
    """
    request = replace(request, extra_rows=False)
    _, linted, loaded = prove_and_lint(
        server, settings, ini, request, progress, live or LiveDatabase(), walks or WalkCache()
    )
    return linted, loaded


def prove_and_lint(
    server: ScratchServer,
    settings: Settings,
    ini: Path,
    request: Request,
    progress: Progress,
    live: LiveDatabase,
    walks: WalkCache,
    *,
    keeps_traces: bool = False,
) -> tuple[Outcome, LintOutcome, Project]:
    """Prove the revisions with a trace, and apply the rules; with what `walks` keeps of an earlier run.

    Raises InputError if there is nothing to prove.
    """
    request = replace(request, trace=True)
    outcome, loaded = prove_at(server, settings, ini, request, progress, walks)
    rules = find_in_outcome(outcome, loaded, request, live.version, kept_findings(walks.used))
    if walks.made:
        walks.made = with_findings(walks.made, rules, walks.kept, keeps_traces=keeps_traces)
    linted = lint_outcome(outcome, loaded, request, rules, read_live_sizes(server, loaded, live.sizes))
    return outcome, linted, loaded
