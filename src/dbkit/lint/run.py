"""Advice on a project's migrations: each is run and watched, and what was seen is told, but for what was accepted."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dbkit import project
from dbkit.findings.finding import LintFinding
from dbkit.lint import acceptance, estimate, failure_rules, source_rules, squawk, trace_reader
from dbkit.lint.table_sizes import Size, read
from dbkit.lint.timing import measure
from dbkit.roundtrip.outcome import Outcome, SampleRowCount
from dbkit.roundtrip.prove import Request, prove_at
from dbkit.roundtrip.scratch_server import ScratchServer
from dbkit.roundtrip.walker import Progress
from dbkit.settings import Settings


@dataclass(frozen=True)
class LintOutcome:
    """What was found in all revisions that were asked for."""

    project: str
    server: str
    seconds: float
    revisions: int
    findings: tuple[LintFinding, ...]
    planted: SampleRowCount
    """The rows that the migrations met; without, changes of data are not seen."""

    @property
    def failed(self) -> list[LintFinding]:
        """What is to be mended or accepted."""
        return [each for each in self.findings if each.failed]


def lint_at(
    here: ScratchServer,
    settings: Settings,
    ini: Path,
    request: Request,
    progress: Progress,
    version: int = 0,
    sizes: Path | None = None,
) -> LintOutcome:
    """Run the revisions on a server, and say what they would do to a live database of that major version (0: the same).

    `sizes` is the saved answer of `dbkit sizes`. Raises InputError when there is nothing to run.
    """
    outcome, loaded = prove_at(here, settings, ini, replace(request, trace=True), progress)
    found = _found(outcome, loaded, version)
    options = loaded.config.get_section("dbkit") or {}
    answer = sizes or (ini.parent / options["sizes"] if "sizes" in options else None)
    if answer:
        small = int(options.get("small_table", estimate.SMALL))
        found = _concrete(here, found, read(answer), small)
    return LintOutcome(
        outcome.project,
        outcome.server,
        outcome.seconds,
        len(outcome.revisions),
        tuple(_in_order(outcome, acceptance.with_reasons(outcome, list(found), loaded, request.baseline))),
        outcome.planted,
    )


def _concrete(
    here: ScratchServer, found: Iterator[LintFinding], sizes: Mapping[str, Size], small: int
) -> Iterator[LintFinding]:
    """The findings with what the tables' sizes make of them, at the rates that are measured on the same server."""
    rates = measure(here.place.create_database(next(here.names)))
    for each in found:
        yield estimate.concrete(each, sizes, rates, small)


def _found(outcome: Outcome, loaded: project.Project, version: int) -> Iterator[LintFinding]:
    ours = list(_measured(outcome, loaded, version))
    on = max((trace.server_version for each in outcome.revisions for trace in each.traces), default=0) // 10000
    return _once(squawk.join(ours, squawk.find(outcome.revisions, version or on, Path(loaded.script.dir))))


def _in_order(outcome: Outcome, findings: Iterable[LintFinding]) -> list[LintFinding]:
    """By file, as the revisions follow each other, and by line."""
    order = {each.path: number for number, each in enumerate(outcome.revisions)}
    return sorted(findings, key=lambda each: (order.get(each.path, -1), each.direction == "downgrade", each.line or 0))


def _measured(outcome: Outcome, loaded: project.Project, version: int) -> Iterator[LintFinding]:
    yield from failure_rules.advise(outcome.revisions)
    for each in outcome.revisions:
        yield from trace_reader.advise(each, version)
    yield from source_rules.findings(loaded, [each.revision for each in outcome.revisions])
    yield from trace_reader.of_project(outcome.revisions, Path(loaded.script.dir) / "env.py")


def _once(findings: Iterable[LintFinding]) -> Iterator[LintFinding]:
    """Without what a loop says again and again, nor what a run says of a statement that the text has told of."""
    found = {(each.id, each.path, each.line, each.message, each.direction): each for each in findings}.values()
    for each in found:
        if each.lines:
            seen = next((other for other in found if _is_of(other, each)), each)
            yield replace(each, sql=seen.sql, tables=seen.tables, also=seen.also)
        elif not any(_is_of(each, other) for other in found):
            yield each


def _is_of(seen: LintFinding, written: LintFinding) -> bool:
    """Whether a run has found what is found in the text: the same, in its lines."""
    if seen.lines or not written.lines or seen.line is None:
        return False
    is_same = (seen.id, seen.path, seen.direction) == (written.id, written.path, written.direction)
    return is_same and written.lines[0] <= seen.line <= written.lines[1]
