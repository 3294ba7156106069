"""The result of the proof of a revision, and the end of a run of env.py that proves several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alembic.script import Script

from dbkit.coverage.facts import StatementCoverage
from dbkit.findings.verdict import Verdict
from dbkit.preconditions.precondition import Precondition
from dbkit.project.revision_source import revision_id_line
from dbkit.roundtrip.failures import describe_failure
from dbkit.roundtrip.outcome import PASSED, Failure, Finding, RevisionOutcome

SOME_ROWS = "fails on some of the rows that meet its conditions"
REVERSIBLE = (Verdict.PROVEN, Verdict.DIRTY)
"""The verdicts, on a revision's schema, with which a chain can go down and up through it."""


@dataclass(frozen=True)
class Proven:
    """The run has applied, and proven, each of its revisions."""


@dataclass(frozen=True)
class NeedsClone:
    """The run ended before a revision that has to be proven in a clone of the databases."""

    has_committed: bool = False
    """Whether a part of that revision was committed all the same."""


@dataclass(frozen=True)
class Retry:
    """A revision failed while tables have rows: prove it again without rows. Its result is recorded."""

    script: Script


@dataclass(frozen=True)
class Unsupported:
    """The connection cannot be used: another driver, or one that commits each statement; all need clones."""

    reason: str = ""
    """A sentence for people, where they can change that."""


RunEnd = Proven | NeedsClone | Retry | Unsupported


@dataclass(frozen=True)
class ProofResult:
    """The verdict on a revision; DIRTY findings may turn out to be nothing but residue."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    seconds: float
    transactional: bool = True
    without_rows: Verdict | None = None
    """The verdict of a proof without rows, where the revision fails on rows."""
    coverage: tuple[StatementCoverage, ...] = ()
    """Which data statements met rows."""
    warnings: tuple[Finding, ...] = ()
    """The failures that only extreme values cause."""
    preconditions: tuple[Precondition, ...] = ()
    """What the rows that exist must satisfy."""
    ordinary: "ProofResult | None" = None
    """The result before assertions and further rows were tried; None where they were not."""
    is_same_without_rows: bool = False
    """Whether rows cannot be why it has failed."""

    @property
    def schema_verdict(self) -> Verdict:
        """Return the verdict with empty tables; the findings distinguish the REVERSIBLE ones."""
        return self.without_rows or self.verdict

    def with_ordinary(self) -> "ProofResult":
        """Return the result, before assertions and further rows are tried."""
        return replace(self, ordinary=self)

    def changed(self, change: "Callable[[ProofResult], ProofResult]") -> "ProofResult":
        """Return the result with a change that concerns its ordinary one, too."""
        return replace(change(self), ordinary=change(self.ordinary) if self.ordinary else None)


def failed_upgrade(script: Script, error: BaseException, earlier: ProofResult | None = None) -> ProofResult:
    """Return the result of an upgrade that an error has ended; `earlier` has what was found before it."""
    failure = describe_failure(error, script)
    finding = Finding("up", failure=failure, line=failure.line)
    if earlier is None:
        return ProofResult(Verdict.BROKEN, (finding,), 0.0)
    return earlier.changed(lambda each: replace(each, verdict=Verdict.BROKEN, findings=(finding, *each.findings)))


def add_rows(result: ProofResult, findings: Sequence[Finding]) -> ProofResult:
    """Return a result with further differences in rows, without those in columns that it knows of."""
    known = {(each.rows.table, each.rows.column) for each in result.findings if each.rows}
    # several rounds may show the same
    unique = {(each.rows.table, each.rows.column, each.rows.what): each for each in reversed(findings) if each.rows}
    new = tuple(each for (table, column, _), each in reversed(unique.items()) if (table, column) not in known)
    verdict = Verdict.DIRTY if new and result.verdict == Verdict.PROVEN else result.verdict
    return replace(result, verdict=verdict, findings=(*result.findings, *new))


@dataclass(frozen=True)
class Shown:
    """The result of a proof with rows that meet a revision's statements."""

    findings: tuple[Finding, ...] = ()
    """The rows that did not come back."""
    failed: Failure | None = None
    """Why none of the rows that meet a condition get through."""
    warnings: tuple[Failure, ...] = ()
    """Why some of them do not."""

    def join(self, other: "Shown") -> "Shown":
        """Return what both have shown."""
        return Shown((*self.findings, *other.findings), self.failed or other.failed, (*self.warnings, *other.warnings))


def add_exercised(
    result: ProofResult, shown: Shown, coverage: tuple[StatementCoverage, ...], before: Sequence[str]
) -> ProofResult:
    """Return the result of a proof with what rows that meet the statements have shown.

    `before`: the revisions that this one follows.
    """
    result, failed = add_rows(result, shown.findings), shown.failed
    warnings = tuple(
        Finding("up", failure=replace(each, words=f"{SOME_ROWS}: {each.words}"), line=each.line, is_extreme=True)
        for each in {each.words: each for each in shown.warnings}.values()
    )
    unmet = [] if failed else [each for each in coverage if not each.is_met]
    unproven = tuple(Finding("rows", failure=Failure(each.describe(before)), line=each.line) for each in unmet)
    result = replace(result, findings=(*result.findings, *unproven), coverage=coverage, warnings=warnings)
    return add_failure(result, failed) if failed else result


def add_failure(result: ProofResult, failure: Failure) -> ProofResult:
    """Return the result of a proof whose upgrade has failed with other rows."""
    return replace(
        result,
        verdict=Verdict.FAILS_ON_ROWS,
        without_rows=result.without_rows or result.verdict,
        findings=(Finding("up", failure=failure, line=failure.line), *result.findings),
    )


def combine_results(with_rows: ProofResult, without_rows: ProofResult) -> ProofResult:
    """Return the result of two proofs of a revision, of which the one with rows has failed."""
    return with_rows.changed(lambda each: _combine(each, without_rows))


def _combine(with_rows: ProofResult, without_rows: ProofResult) -> ProofResult:
    without_rows = replace(without_rows, preconditions=with_rows.preconditions)
    failures = [each for each in with_rows.findings if each.failure and each.phase != "rows" and not each.is_assertion]
    phases = {finding.phase for finding in without_rows.findings if finding.failure}
    others = tuple(each for each in with_rows.findings if each.rows or each.phase == "rows" or each.is_assertion)
    if phases & {finding.phase for finding in failures}:
        return replace(without_rows, findings=(*without_rows.findings, *others))
    if "up" in phases:  # it needs rows: what came after the upgrade was not tried without them
        return with_rows
    return replace(
        without_rows,
        verdict=Verdict.FAILS_ON_ROWS,
        findings=(*failures, *others, *without_rows.findings),
        seconds=with_rows.seconds + without_rows.seconds,
        without_rows=without_rows.verdict,
    )


def make_outcome(script: Script, result: ProofResult, id_problem: str) -> RevisionOutcome:
    """Return the outcome of a revision, with residue apart. `id_problem`: why the version table cannot record it."""
    notes = tuple(each for each in result.findings if each.is_note or (each.difference and each.difference.is_residue))
    findings = tuple(finding for finding in result.findings if finding not in notes)
    verdict, *also = _verdicts(result, findings)
    if id_problem:
        findings = (Finding("up", failure=Failure(id_problem), line=revision_id_line(script)), *findings)
        also = [each for each in (verdict, *also) if each not in (*PASSED, Verdict.BROKEN)]
        verdict = Verdict.BROKEN
    return RevisionOutcome(
        revision=script.revision,
        down_revisions=script._versioned_down_revisions,
        message=script.doc,
        path=Path(script.path),
        verdict=verdict,
        seconds=result.seconds,
        transactional=result.transactional,
        findings=findings,
        notes=notes,
        warnings=result.warnings,
        coverage=result.coverage,
        preconditions=result.preconditions,
        also=tuple(also),
        ordinary=make_outcome(script, result.ordinary, id_problem) if result.ordinary else None,
    )


def _verdicts(result: ProofResult, findings: Sequence[Finding]) -> list[Verdict]:
    """Return the verdicts on a revision, the gravest first: on its schema, and on its rows."""
    schema = result.schema_verdict
    if schema in REVERSIBLE:
        schema = Verdict.DIRTY if any(each.difference for each in findings) else Verdict.PROVEN
    found: list[Verdict] = [schema] if schema != Verdict.PROVEN else []
    if result.without_rows:
        found.insert(0, Verdict.FAILS_ON_ROWS)
    if any(each.rows for each in findings):
        found.append(Verdict.LOSSY)
    if any(each.is_assertion for each in findings) and Verdict.BROKEN not in found:
        found.insert(0, Verdict.BROKEN)
    if any(each.phase == "rows" for each in findings) and not found:
        found.append(Verdict.UNPROVEN)
    return found or [Verdict.PROVEN_IF if result.preconditions else Verdict.PROVEN]
