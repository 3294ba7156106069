"""The result of the proof of a revision, and the end of a run of env.py that proves several."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alembic.script import Script

from dbkit.findings.verdict import Verdict
from dbkit.project.revision_source import revision_id_line
from dbkit.roundtrip.outcome import Failure, Finding, RevisionOutcome

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
    """A revision failed, perhaps only because tables have rows: prove it again without rows. Its result is recorded."""

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

    @property
    def schema_verdict(self) -> Verdict:
        """Return the verdict with empty tables; the findings distinguish the REVERSIBLE ones."""
        return self.without_rows or self.verdict

    @property
    def may_be_rows(self) -> bool:
        """Whether it failed on the way down or up, and perhaps only because tables have rows."""
        failures = (each.failure for each in self.findings if each.failure)
        return self.verdict == Verdict.BROKEN and any(failure.may_be_rows for failure in failures)


def combine_results(with_rows: ProofResult, without_rows: ProofResult) -> ProofResult:
    """Return the result of two proofs of a revision, of which the one with rows has failed."""
    failures = [finding for finding in with_rows.findings if finding.failure and finding.phase != "rows"]
    phases = {finding.phase for finding in without_rows.findings if finding.failure}
    if phases & {finding.phase for finding in failures}:
        return without_rows
    others = [finding for finding in with_rows.findings if finding.rows or finding.phase == "rows"]
    return replace(
        without_rows,
        verdict=Verdict.FAILS_ON_ROWS,
        findings=(*failures, *others, *without_rows.findings),
        seconds=with_rows.seconds + without_rows.seconds,
        without_rows=without_rows.verdict,
    )


def make_outcome(script: Script, result: ProofResult, id_problem: str) -> RevisionOutcome:
    """Return the outcome of a revision, with residue apart. `id_problem`: why the version table cannot record it."""
    notes = tuple(finding for finding in result.findings if finding.difference and finding.difference.is_residue)
    findings = tuple(finding for finding in result.findings if finding not in notes)
    verdict, *also = _verdicts(result, findings)
    if id_problem:
        findings = (Finding("up", failure=Failure(id_problem), line=revision_id_line(script)), *findings)
        also = [each for each in (verdict, *also) if each not in (Verdict.PROVEN, Verdict.BROKEN)]
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
        also=tuple(also),
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
    if any(each.phase == "rows" for each in findings) and not found:
        found.append(Verdict.UNPROVEN)
    return found or [Verdict.PROVEN]
