"""The walk over all revisions: each one up, down and up again by itself; then the whole chain."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from alembic.script import Script

from dbkit import catalog, dump, project, scratch
from dbkit.connect import connect
from dbkit.errors import WRITE_FIRST, InputError
from dbkit.roundtrip import stepper
from dbkit.roundtrip.outcome import Finding, Outcome, RevisionOutcome, Verdict
from dbkit.server.cluster import Cluster
from dbkit.settings import Settings, Target

Facts = dict[catalog.Fact, str]


def walk(settings: Settings, ini: Path, progress: Callable[[str], None] = lambda _text: None) -> Outcome:
    """Walk over the project on a throw-away cluster, with empty tables; `progress` is told what is being done.

    Raises InputError when there are no revisions to walk over.
    """
    loaded = project.load(ini)
    scripts = list(reversed(list(loaded.script.walk_revisions())))
    if not scripts:
        raise InputError("there are no revisions, so nothing was proven.", WRITE_FIRST)
    started = time.monotonic()
    with scratch.cluster(settings) as cluster:
        walker = _Walker(loaded, settings, cluster)
        outcomes = []
        for number, script in enumerate(scripts, 1):
            progress(f"{number}/{len(scripts)} {script.doc}")
            outcomes.append(walker.prove(script))
        progress("the whole chain")
        chain, stopped_at = walker.walk_chain(outcomes)
        with connect(cluster.target()) as connection:
            server_version = connection.info.parameter_status("server_version") or "?"
    return Outcome(server_version, time.monotonic() - started, tuple(outcomes), chain, stopped_at)


class _Walker:
    """Proves one revision after the other.

    `trunk` is a database in which every revision is applied that could be. It only ever goes up: down and up again
    happen in a clone, so that what a downgrade breaks or leaves behind never reaches the next proof.
    """

    def __init__(self, loaded: project.Project, settings: Settings, cluster: Cluster) -> None:
        self.project = loaded
        self.settings = settings
        self.cluster = cluster
        self.names = (f"proof_{number}" for number in itertools.count())
        self.trunk = cluster.create_database(next(self.names))
        self.empty = self.facts = self.read(self.trunk)
        self.applied: list[Script] = []

    def prove(self, script: Script) -> RevisionOutcome:
        """Up, down and up again in a clone; the trunk moves on to what the first upgrade made."""
        started = time.monotonic()
        verdict, findings = self._try(script)
        notes = tuple(finding for finding in findings if finding.difference and finding.difference.residue)
        findings = tuple(finding for finding in findings if finding not in notes)
        if verdict == Verdict.DIRTY and not findings:
            verdict = Verdict.PROVEN
        path, line = Path(script.path), stepper.downgrade_line(script)
        seconds = time.monotonic() - started
        return RevisionOutcome(script.revision, script.doc, path, line, verdict, seconds, findings, notes)

    def _try(self, script: Script) -> tuple[Verdict, tuple[Finding, ...]]:
        have = {each.revision for each in self.applied}
        lacking = [parent for parent in script._all_down_revisions if parent not in have]
        if lacking:
            return Verdict.UNPROVEN, (
                Finding("up", error=f"it follows {', '.join(lacking)}, which could not be applied"),
            )
        before = self.facts
        failure = self.step(self.trunk, script, up=True)
        self.facts = self.read(self.trunk)
        if failure:
            self._mend_trunk(before)
            return Verdict.BROKEN, (Finding("up", error=failure.words),)
        self.applied.append(script)
        with self.clone(self.trunk) as proof:
            return self._down_and_up(script, proof, before)

    def _down_and_up(self, script: Script, proof: Target, before: Facts) -> tuple[Verdict, tuple[Finding, ...]]:
        failure = self.step(proof, script, up=False)
        if failure:
            return Verdict.IRREVERSIBLE if failure.raised else Verdict.BROKEN, (Finding("down", error=failure.words),)
        findings = self.compare("down", before, self.read(proof))
        failure = self.step(proof, script, up=True)
        if failure:
            return Verdict.BROKEN, (*findings, Finding("reup", error=failure.words))
        findings += self.compare("reup", self.facts, self.read(proof))
        return (Verdict.DIRTY if findings else Verdict.PROVEN), findings

    def _mend_trunk(self, before: Facts) -> None:
        """Make the trunk anew where a revision that failed has left something of itself."""
        if self.facts == before:
            return
        self.cluster.drop_database(self.trunk.dbname)
        self.trunk = self.cluster.create_database(next(self.names))
        for script in self.applied:
            self.step(self.trunk, script, up=True)
        self.facts = self.read(self.trunk)

    def walk_chain(self, outcomes: Sequence[RevisionOutcome]) -> tuple[tuple[Finding, ...], str | None]:
        """From the trunk down to base, or to the first revision that cannot be undone, and up again."""
        undoable = {each.revision for each in outcomes if each.verdict in (Verdict.PROVEN, Verdict.DIRTY)}
        way = list(itertools.takewhile(lambda script: script.revision in undoable, reversed(self.applied)))
        stopped_at = self.applied[-len(way) - 1].revision if len(way) < len(self.applied) else None
        with self.clone(self.trunk) as proof:
            findings = self._down_and_up_the_chain(proof, way, to_base=stopped_at is None)
        return tuple(each for each in findings if not (each.difference and each.difference.residue)), stopped_at

    def _down_and_up_the_chain(self, proof: Target, way: Sequence[Script], *, to_base: bool) -> tuple[Finding, ...]:
        dumped = dump.schema(self.settings, proof)
        for script in way:
            failure = self.step(proof, script, up=False)
            if failure:
                return (Finding("chain", error=failure.words),)
        findings = self.compare("base", self.empty, self.read(proof)) if to_base else ()
        for script in reversed(way):
            failure = self.step(proof, script, up=True)
            if failure:
                return (*findings, Finding("chain", error=failure.words))
        differences = self.compare("chain", self.facts, self.read(proof))
        if not differences and dump.schema(self.settings, proof) != dumped:
            # a second opinion, on what the catalog may not have
            differences = (Finding("chain", error="pg_dump --schema-only of the head differs after the whole chain"),)
        return (*findings, *differences)

    def step(self, target: Target, script: Script, *, up: bool) -> stepper.Failure | None:
        return stepper.run(self.project, scratch.settings_for(self.settings, target), script, up=up)

    @contextmanager
    def clone(self, target: Target) -> Iterator[Target]:
        made = self.cluster.create_database(next(self.names), template=target.dbname)
        yield made
        self.cluster.drop_database(made.dbname)

    def read(self, target: Target) -> Facts:
        with connect(target, autocommit=True) as connection:
            return catalog.read(connection)

    def compare(self, phase: str, before: Facts, after: Facts) -> tuple[Finding, ...]:
        return tuple(Finding(phase, difference) for difference in catalog.differences(before, after))
