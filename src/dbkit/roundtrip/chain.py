"""Take the whole chain down and up again, once each revision is proven by itself."""

import difflib
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from alembic.script import Script

from dbkit import catalog
from dbkit.findings.verdict import Verdict
from dbkit.roundtrip.apply import FailedStep, run_revisions
from dbkit.roundtrip.compare import Facts
from dbkit.roundtrip.outcome import Finding, RevisionOutcome
from dbkit.roundtrip.results import REVERSIBLE
from dbkit.roundtrip.scratch_server import THREAD
from dbkit.roundtrip.workspace import Workspace

Attributed = tuple[str, Finding]
"""A finding, and the id of the revision that it belongs to."""


@dataclass(frozen=True)
class ChainResult:
    """The findings that showed only in the whole chain."""

    findings: Sequence[Attributed] = ()
    length: int = 0
    """The number of revisions that went down and up again."""
    is_exact: bool = False
    """Whether nothing at all differed, not even what PostgreSQL cannot undo."""
    head: Facts | None = None
    """The catalog before it went down; None where it did not."""


def prove_chain(work: Workspace, outcomes: Sequence[RevisionOutcome]) -> ChainResult:
    """Undo the applied revisions, as far down as they can be undone, and apply them again."""
    reversible = {each.revision for each in outcomes if work.results[each.revision].schema_verdict in REVERSIBLE}
    chain = list(itertools.takewhile(lambda script: script.revision in reversible, reversed(work.applied)))
    if not chain:
        return ChainResult()
    work.report_progress("the whole chain")
    return _ChainProof(work, outcomes, chain).prove()


class _ChainProof:
    """One chain, from the head down; what is known already of its revisions is not found again."""

    def __init__(self, work: Workspace, outcomes: Sequence[RevisionOutcome], chain: Sequence[Script]) -> None:
        self.work = work
        self.chain = chain
        self.head: Facts | None = None
        self.known = {each.difference.fact for outcome in outcomes for each in outcome.findings if each.difference}
        self.dirty = {each.revision for each in outcomes if Verdict.DIRTY in (each.verdict, *each.also)}

    def prove(self) -> ChainResult:
        """Go down and up, and compare."""
        chain = [script.revision for script in self.chain]
        has_dirty = not self.dirty.isdisjoint(chain)
        found: list[tuple[str | None, Finding]] = []
        differences = self._down_and_up()
        for revision, finding in differences:
            if finding.failure and has_dirty:
                # it fails on what the dirty revisions leave behind, which is reported already
                chain = chain[: chain.index(revision or "")]
            elif not self._is_known(finding):
                found.append((revision, finding))
        return ChainResult(self._attribute(found), len(chain), is_exact=not differences, head=self.head)

    def _down_and_up(self) -> list[tuple[str | None, Finding]]:
        """Return what differs, with the revision where that is known."""
        head, dump = self._read_schema()
        self.head = head
        failed = run_revisions(self.work, self.chain, up=False)
        if failed:
            return [_failure(failed)]
        base = self._compare_base()
        failed = run_revisions(self.work, list(reversed(self.chain)), up=True)
        if failed:
            return [_failure(failed)]
        found: list[tuple[str | None, Finding]] = [(None, Finding("base", each)) for each in base]
        facts, dump_after = self._read_schema()
        found += [(None, Finding("chain", each)) for each in catalog.compare_facts(head, facts)]
        if not found:
            # a second opinion, on what the catalog facts may not cover
            differences = _compare_dumps(dump, dump_after)
            found += [(self.chain[0].revision, Finding("chain", each)) for each in differences]
        return found

    def _read_schema(self) -> tuple[Facts, str]:
        """Return the catalog, and pg_dump's text of the schema, which are read at the same time."""
        databases = self.work.databases
        with ThreadPoolExecutor(1, thread_name_prefix=THREAD) as executor:
            dump = executor.submit(databases.dump_schema)
            return databases.read_catalog(), dump.result()

    def _compare_base(self) -> list[catalog.Difference]:
        """Compare with the catalog before the first proven revision, if the chain goes down that far."""
        below = self.work.applied[: len(self.work.applied) - len(self.chain)]
        if self.work.initial_facts is None or any(map(self.work.is_wanted, below)):
            return []
        return catalog.compare_facts(self.work.initial_facts, self.work.databases.read_catalog())

    def _is_known(self, finding: Finding) -> bool:
        """Whether a difference is residue, or was found in a revision by itself."""
        if not finding.difference:
            return False
        fact = finding.difference.fact
        return finding.difference.is_residue or fact in self.known or any(owner in self.known for owner in fact.of)

    def _attribute(self, found: Sequence[tuple[str | None, Finding]]) -> list[Attributed]:
        """Return each finding with the revision that created the object, the last one where that is not known."""
        creators = self._find_creators() if any(revision is None for revision, _ in found) else {}
        last = self.work.applied[-1].revision if self.work.applied else ""
        return [
            (revision or (creators.get(finding.difference.fact, last) if finding.difference else last), finding)
            for revision, finding in found
        ]

    def _find_creators(self) -> dict[catalog.Fact, str]:
        """Apply all revisions again; return for each catalog fact the revision that changed it last."""
        creators: dict[catalog.Fact, str] = {}
        self.work.databases.drop()
        self.work.databases.create()
        before = self.work.databases.read_catalog()
        for script in self.work.applied:
            if run_revisions(self.work, [script], up=True):
                break
            after = self.work.databases.read_catalog()
            creators |= {fact: script.revision for fact in after if after[fact] != before.get(fact)}
            before = after
        return creators


def _failure(failed: FailedStep) -> tuple[str | None, Finding]:
    return failed.script.revision, Finding("chain", failure=failed.failure, line=failed.failure.line)


def _compare_dumps(before: str, after: str) -> list[catalog.Difference]:
    lines = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[:2] in ("- ", "+ ")]
    if not lines:
        return []
    gone, new = ("\n".join(line[2:] for line in lines if line[0] == sign) for sign in "-+")
    return [catalog.Difference(catalog.Fact("dump", "of pg_dump --schema-only"), gone, new)]
