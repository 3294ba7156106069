"""Apply the rules of lint to the traces of a proof and to the files of its revisions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dbkit import project
from dbkit.findings.finding import Level, LintFinding
from dbkit.lint import acceptance, estimate, failure_rules, source_rules, squawk
from dbkit.lint.outcome import LintOutcome
from dbkit.lint.rules import find_in_traces
from dbkit.lint.rules.transactions import (
    find_missing_lock_timeout,
    find_shared_enum_values,
    find_without_lock_timeout,
)
from dbkit.lint.statement_work import LiveSizes
from dbkit.lint.table_sizes import read_sizes
from dbkit.lint.timing import measure_rates
from dbkit.lint.trace_reader import find_created
from dbkit.project.env_file import has_gate
from dbkit.roundtrip.outcome import Outcome
from dbkit.roundtrip.prove import Request
from dbkit.roundtrip.scratch_server import ScratchServer


@dataclass(frozen=True)
class FoundByRules:
    """The findings of the rules, before acceptances and sizes."""

    findings: tuple[LintFinding, ...]
    without_lock_timeout: tuple[str, ...]
    """The revisions that wait for locks without a limit."""


def find_in_outcome(
    outcome: Outcome,
    loaded: project.Project,
    request: Request,
    version: int = 0,
    kept: FoundByRules | None = None,
) -> FoundByRules:
    """Apply the rules to the outcome of a traced proof; `kept` is known of the revisions whose verdicts are kept.

    What assertions and rows that meet the statements have shown is for the round trip.
    """
    outcome = outcome.with_ordinary_rows()
    is_unreleased = bool(request.scope.after or request.scope.since)
    new = replace(outcome, revisions=outcome.revisions[outcome.kept :]) if kept else outcome
    found = _find(new, loaded, version, is_unreleased=is_unreleased)
    waiting = find_without_lock_timeout(new.revisions)
    if kept:
        found, waiting = [*kept.findings, *found], (*kept.without_lock_timeout, *waiting)
    if outcome.shares_transaction:
        found += find_shared_enum_values(outcome.revisions)
    return FoundByRules(tuple(dict.fromkeys(found)), waiting)


def lint_outcome(
    outcome: Outcome, loaded: project.Project, request: Request, rules: FoundByRules, live: LiveSizes
) -> LintOutcome:
    """Return what the rules have found, with estimates and acceptances."""
    outcome = outcome.with_ordinary_rows()
    found = list(rules.findings)
    if not has_gate(Path(loaded.script.dir)):  # which sets the limit wherever it is in force, if not here
        found += find_missing_lock_timeout(rules.without_lock_timeout, Path(loaded.script.dir) / "env.py")
    findings = _apply_sizes(found, loaded, live)
    accepted = acceptance.apply_acceptances(outcome, findings, loaded, request.baseline)
    return LintOutcome(
        outcome.project,
        outcome.server,
        outcome.seconds,
        len(outcome.revisions),
        tuple(_sort(outcome, accepted)),
        outcome.sample_rows,
        outcome.kept,
    )


def read_live_sizes(scratch_server: ScratchServer, loaded: project.Project, named: Path | None) -> LiveSizes:
    """Return the tables' sizes, where they are known, with rates that are measured on the server of the proof."""
    path = named or loaded.dbkit.sizes
    if path is None:
        return LiveSizes()
    sizes = read_sizes(path)
    return LiveSizes(sizes, measure_rates(scratch_server.place.create_database(next(scratch_server.names))))


def _apply_sizes(findings: list[LintFinding], loaded: project.Project, live: LiveSizes) -> list[LintFinding]:
    """Return the findings with estimates where the tables' sizes are known."""
    if live.rates is None:
        return findings
    small = estimate.SMALL if loaded.dbkit.small_table is None else loaded.dbkit.small_table
    return [estimate.apply_sizes(each, live.tables, live.rates, small) for each in findings]


def _find(outcome: Outcome, loaded: project.Project, version: int, *, is_unreleased: bool) -> list[LintFinding]:
    own = [
        *failure_rules.find_failures(outcome.revisions),
        *_find_in_traces(outcome, version, is_unreleased=is_unreleased),
        *_find_in_source(outcome, loaded),
    ]
    server = max((trace.server_version for each in outcome.revisions for trace in each.traces), default=0) // 10000
    of_squawk = squawk.run_squawk(outcome.revisions, version or server, Path(loaded.script.dir))
    return list(_remove_duplicates(squawk.merge_findings(own, of_squawk)))


def _find_in_source(outcome: Outcome, loaded: project.Project) -> Iterator[LintFinding]:
    """Yield the findings in the files; an empty downgrade is a note where the round trip has judged it."""
    judged = {each.revision for each in outcome.revisions if each.is_traced}
    for each in source_rules.find_in_project(loaded, [revision.revision for revision in outcome.revisions]):
        is_judged = each.id == source_rules.EMPTY_DOWNGRADE and each.revision in judged
        yield replace(each, level=Level.NOTE) if is_judged else each


def _find_in_traces(outcome: Outcome, version: int, *, is_unreleased: bool) -> Iterator[LintFinding]:
    """Yield the findings in the traces; `is_unreleased`: no running code knows what these revisions create."""
    unreleased: frozenset[str] = frozenset()
    for revision in outcome.revisions:
        yield from find_in_traces(revision, version, unreleased)
        for trace in revision.traces if is_unreleased else ():
            unreleased = find_created(trace, unreleased) if trace.direction == "upgrade" else unreleased


def _sort(outcome: Outcome, findings: Iterable[LintFinding]) -> list[LintFinding]:
    """Return the findings by file, in the order of the revisions, and by line."""
    order = {each.path: number for number, each in enumerate(outcome.revisions)}
    return sorted(findings, key=lambda each: (order.get(each.path, -1), each.direction == "downgrade", each.line or 0))


def _remove_duplicates(findings: Iterable[LintFinding]) -> Iterator[LintFinding]:
    """Yield each finding once: a loop repeats it, and a trace may show what the source shows, too."""
    found = {(each.id, each.path, each.line, each.message, each.direction): each for each in findings}.values()
    by_rule: dict[object, list[LintFinding]] = {}
    for each in found:
        by_rule.setdefault((each.id, each.path, each.direction), []).append(each)
    for each in found:
        alike = by_rule[each.id, each.path, each.direction]
        if each.lines:
            traced = next((other for other in alike if _is_same(other, each)), each)
            yield replace(each, sql=traced.sql, tables=traced.tables, also=traced.also)
        elif not any(_is_same(each, other) for other in alike):
            yield each


def _is_same(traced: LintFinding, written: LintFinding) -> bool:
    """Return whether a finding in a trace is one in the source, of the same rule and file: in its lines."""
    if traced.lines or not written.lines or traced.line is None:
        return False
    return written.lines[0] <= traced.line <= written.lines[1]
