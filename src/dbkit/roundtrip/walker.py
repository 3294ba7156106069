"""The walk over a project's revisions: each one up, down and up again by itself; then the whole chain."""

import difflib
import itertools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script
from sqlalchemy.exc import SQLAlchemyError

from dbkit import catalog
from dbkit.errors import CheckFailed, DbkitError, say
from dbkit.postgres import scratch_cluster
from dbkit.project import name_of, revision_ids
from dbkit.roundtrip.alembic_steps import (
    MigrationStep,
    commit_if_external,
    connection_of,
    describe_failure,
    function_line,
    keep_local_settings,
    mentions_server_objects,
    mentions_table,
    migration_function,
    revision_id_line,
)
from dbkit.roundtrip.compare import Facts, ProofResult, Snapshot, compare_down_and_up
from dbkit.roundtrip.databases import ProofDatabases
from dbkit.roundtrip.env_runner import Databases, EnvRunner, WrongDatabase, env_error
from dbkit.roundtrip.in_transaction import CannotProve, NeedsClone, TransactionProver
from dbkit.roundtrip.outcome import Failure, Finding, RevisionOutcome, SampleRowCount, Verdict
from dbkit.roundtrip.sample_rows import SampleRowOptions, SampleRows
from dbkit.roundtrip.selection import Plan
from dbkit.roundtrip.tracing import Traces
from dbkit.trace.records import TraceFailed

Progress = Callable[[str], None]
COMPARED = (Verdict.PROVEN, Verdict.DIRTY)
"""Verdicts of what can be undone."""


@dataclass(frozen=True)
class WalkResult:
    """What a walk found: the outcome of each revision that was to be proven, what only the chain showed included."""

    outcomes: tuple[RevisionOutcome, ...]
    chain_length: int
    """How many revisions the chain took down and up again."""
    chain_stopped_at: str | None
    """The revision that stopped it on the way down, which is one that was to be proven; None when nothing did."""
    failed_before: frozenset[str]
    """What could not be applied of the revisions that were only to be applied."""
    planted: SampleRowCount


class _Inconclusive(BaseException):
    """Ends a run of env.py after a revision that failed on the way down or up again, while tables have rows.

    Not an Exception: env.py may catch those.
    """


class Walker:
    """Proves the revisions of a route.

    `trunk` (several databases, where a project has them) is where every revision is applied that could be. What a
    downgrade breaks or leaves behind never reaches the next proof: it is rolled back, or a copy takes its place.

    The trunk's tables are filled before each revision that is proven. `aside` is what the trunk was before the first
    row was planted: where a revision fails on rows, it is brought up to it and takes the trunk's place, so that the
    revision is proven without rows, too, and the next one can follow.
    """

    def __init__(
        self,
        environment: EnvRunner,
        place: scratch_cluster.Place,
        way: Plan,
        names: Iterator[str],
        progress: Progress,
        planting: SampleRowOptions,
        trace: bool = False,
    ) -> None:
        """`names` are for further databases, beside those of the environment."""
        self.environment = environment
        self.trunk = ProofDatabases(environment.databases, place, names, environment.settings)
        self.project = environment.project
        self.place = place
        self.route = way
        self.progress = progress
        self.traces = Traces(environment.databases, lambda script: trace and self.is_wanted(script))
        self.applied: list[Script] = []
        self.results: dict[str, ProofResult] = {}
        self.facts: Facts | None = None
        """The catalog of the trunk, where it was just read."""
        self.trunk.create()
        self.by_clones = False
        """Whether all revisions are proven by clones: env.py migrates more than once, or its driver is another."""
        self._try_environment()
        self.start: Facts | None = None
        """The catalog before the first revision that is to be proven."""
        self.planters = SampleRows(planting, self.trunk.databases, self.trunk.version_table_name)
        self.aside: Databases = {}
        self.aside_at = 0
        """How many of the applied revisions `aside` has."""
        self.can_prove_without_rows = True
        self.without_rows: tuple[Script, ProofResult] | None = None
        """The revision that is proven once more without rows, and what was found with them."""
        self.too_long: dict[str, str] = {}
        """By id, what is wrong with it: the version table does not take it."""

    def _try_environment(self) -> None:
        """Run env.py without a step, and keep what it prepares."""
        calls = 0

        def plan(_heads: tuple[str, ...], context: MigrationContext) -> Iterator[RevisionStep]:
            nonlocal calls
            calls += 1
            schema = context.version_table_schema or "public"
            self.trunk.version_table = catalog.qualified(schema, context.version_table)
            self.trunk.version_table_name = context.version_table
            connection_of(context).connection.commit()
            yield from ()

        self.environment.settle_access(plan)
        self.by_clones = calls > 1

    def walk(self) -> WalkResult:
        """Prove each revision, then take the chain down and up."""
        scripts = self.route.scripts
        first = next(number for number, script in enumerate(scripts) if self.is_wanted(script))
        self._walk(scripts[:first])
        if self.planters.planting.rows:
            self._set_aside()
            self.planters.active = True
        self._walk(scripts[first:])
        self.planters.fill()
        self.planters.close()
        outcomes = [self.outcome(script) for script in self.route.scripts if self.is_wanted(script)]
        is_bare = not self.planters.active or (self.can_prove_without_rows and self._take_rows_away())
        self.planters.active = False
        found, length = self.walk_chain(outcomes) if is_bare else ([], 0)
        for revision, finding in found:
            numbers = [number for number, each in enumerate(outcomes) if each.revision == revision] or [-1]
            outcomes[numbers[0]] = outcomes[numbers[0]].with_chain(finding)
        applied = [script.revision for script in self.applied if self.is_wanted(script)]
        stopped_at = applied[-length - 1] if length < len(applied) else None
        before = {script.revision for script in self.route.scripts} - self.route.proven
        failed = before - {script.revision for script in self.applied}
        return WalkResult(tuple(outcomes), length, stopped_at, frozenset(failed), self.planters.planted())

    def _walk(self, scripts: Sequence[Script]) -> None:
        """Apply, and prove those that are to be proven."""
        waiting = list(scripts)
        while waiting:
            needs_clones = True
            if not self.by_clones:
                waiting, needs_clones = self.prove_inside(waiting)
            if waiting and needs_clones and self.prove_by_clones(waiting[0]):
                del waiting[0]

    def prove_inside(self, scripts: Sequence[Script]) -> tuple[list[Script], bool]:
        """Prove as many as can be in one run of env.py. Returns the rest, and whether the first of it needs clones."""
        needs_clones = True
        inside = TransactionProver(self.project, self.applicable(scripts), self)
        try:
            self.environment.run(inside.plan, inside.connected)
        except CannotProve as reason:
            self.by_clones = True
            if reason.args:
                say(f"{reason}.")
        except _Inconclusive:
            self._begin_without_rows(self.applied[-1])
            needs_clones = False
        except NeedsClone as suspended:
            if suspended.spoiled:
                self.rebuild_trunk()
            elif suspended.on_rows:
                finding = Finding("up", failure=suspended.on_rows, line=suspended.on_rows.line)
                self.results[suspended.script.revision] = ProofResult(Verdict.BROKEN, (finding,), 0.0)
                needs_clones = not self._begin_without_rows(suspended.script)
        except SQLAlchemyError:
            # a commit failed: it checks what was deferred. As Alembic runs it, it will fail again, and be told
            pass
        finally:
            self.planters.close()
        self.facts = None
        done = {script.revision for script in self.applied}
        return [script for script in scripts if script.revision not in done], needs_clones

    def applicable(self, scripts: Sequence[Script]) -> list[Script]:
        """Those that can be applied when those before them are."""
        have = {each.revision for each in self.applied}
        found = []
        for script in scripts:
            if have.issuperset(self.route.parents[script.revision]):
                found.append(script)
                have.add(script.revision)
        return found

    def is_wanted(self, script: Script) -> bool:
        """Whether a revision is to be proven, and not only applied."""
        return script.revision in self.route.proven

    def begin(self, script: Script, touched: Collection[int] | None = None) -> Collection[int]:
        """Called before each revision, with the OIDs of what the one before it has touched."""
        self.progress(f"{len(self.applied) + 1}/{len(self.route.scripts)} {name_of(script)}")
        if not self.is_wanted(script):
            return ()
        if self.start is None:
            self.start = self.trunk.read()
        return self.planters.fill(touched)

    def make_room(self, script: Script, context: MigrationContext) -> None:
        """Let the version table take an id that is too long, so that what follows is proven; and remember it."""
        if len(script.revision) <= revision_ids.LIMIT:
            return
        connection_of(context).connection.commit()
        limit = self.trunk.make_room(script.revision)
        if limit:
            name = self.trunk.version_table_name
            self.too_long[script.revision] = f"its id {revision_ids.words(script.revision, name, limit)}"

    def recording(self, script: Script, connection: sa.Connection, *, up: bool) -> AbstractContextManager[None]:
        """Surrounds each run of a function of a revision: it is traced where that is asked for."""
        return self.traces.recording(script, connection, up=up)

    def tables(self) -> Mapping[int, str]:
        """By OID, the tables that have planted rows."""
        return self.planters.tables()

    def settle(self, script: Script, result: ProofResult | None, touched: Collection[int] | None = None) -> None:
        """Called after each revision that was applied inside, with what its proof found."""
        self.applied.append(script)
        if result is not None:
            unfilled = self.planters.unfilled(lambda oid, _name: touched is None or oid in touched)
            self.results[script.revision] = replace(result, findings=(*result.findings, *unfilled))
            if self._may_be_rows(result):
                raise _Inconclusive
            self._end_without_rows(script)
        self.planters.applied(script)

    # Without rows

    def _set_aside(self) -> None:
        """Keep what the trunk is before rows are planted. Not where a role may have grants in it: it could not go."""
        is_free = not any(map(mentions_server_objects, self.applied))
        self.aside, self.aside_at = self.trunk.copy() if is_free else {}, len(self.applied)

    def _take_rows_away(self) -> bool:
        """Let a trunk without planted rows take the place of this one, and `aside` be gone. Returns whether it has.

        It cannot where migrations need rows to work at all; then the trunk is as before.
        """
        self.planters.close()
        planted = self.trunk.move_away()
        if not self._take_aside() and not self._begin_again():
            self.trunk.put_back(planted)
            self.can_prove_without_rows = False
            return False
        self.trunk.drop(planted)
        self.planters.forget()
        self.facts = None
        return True

    def _take_aside(self) -> bool:
        """Let `aside` be the trunk, with what was applied since. Returns False where that cannot be."""
        behind = self.applied[self.aside_at :]
        if not self.aside or any(map(mentions_server_objects, behind)):
            return False
        self.trunk.put_back(self.aside)
        return not behind or not self.run_all([(script, True) for script in behind])

    def _begin_again(self) -> bool:
        """Apply all on a new server, which has none of the roles yet. Returns False where there is no other server."""
        if isinstance(self.place, scratch_cluster.NamedServer) or not any(map(mentions_server_objects, self.applied)):
            return False
        scratch_cluster.renew(self.place)
        self.trunk.create()
        failed = self.run_all([(script, True) for script in self.applied])
        if failed:
            raise CheckFailed(f"{failed[0].revision} was applied once, and cannot be again: {failed[1].words}")
        return True

    def _may_be_rows(self, result: ProofResult) -> bool:
        """Whether what failed may do so only because tables have rows."""
        is_broken = self.planters.active and result.verdict == Verdict.BROKEN
        return is_broken and any(each.failure and each.failure.may_be_rows for each in result.findings)

    def _begin_without_rows(self, script: Script) -> bool:
        """Let a revision that fails on rows come once more, without any. Returns False where that cannot be."""
        is_applied = script in self.applied
        if is_applied:
            self.applied.remove(script)
        if not self.can_prove_without_rows or not self._take_rows_away():
            self.applied += [script] if is_applied else []
            return False
        self._set_aside()
        self.without_rows = (script, self.results[script.revision])
        self.planters.active = False
        return True

    def _end_without_rows(self, script: Script) -> None:
        """Say what both proofs of a revision come to, if it was proven once more; the next one has rows again."""
        if self.without_rows and self.without_rows[0] is script:
            self.results[script.revision] = _on_rows(self.without_rows[1], self.results[script.revision])
            self.without_rows = None
            self.planters.active = True

    # By clones

    def prove_by_clones(self, script: Script) -> bool:
        """Up on the trunk; then down and up again in a clone of it. Returns False when it must come once more."""
        started = time.perf_counter()
        self.begin(script)
        self.planters.close()
        verdict, findings = self._try_by_clones(script)
        findings = (*findings, *self.planters.unfilled(lambda _oid, name: mentions_table(script, name)))
        self.results[script.revision] = ProofResult(
            verdict, findings, time.perf_counter() - started, transactional=False
        )
        if self._may_be_rows(self.results[script.revision]) and self._begin_without_rows(script):
            return False
        self._end_without_rows(script)
        if script in self.applied:
            self.planters.applied(script)
        return True

    def _try_by_clones(self, script: Script) -> tuple[Verdict, tuple[Finding, ...]]:
        have = {each.revision for each in self.applied}
        lacking = [parent for parent in self.route.parents[script.revision] if parent not in have]
        if lacking:
            words = f"it follows {', '.join(lacking)}, which could not be applied"
            return Verdict.UNPROVEN, (Finding("up", failure=Failure(words)),)
        rows = self.planters.active
        before = self.trunk.state(self.facts, rows=rows)
        backup = self.trunk.copy()
        failed = self.step(script, up=True)
        if failed and self._may_be_the_trace(script, failed):
            # watching it may be why
            self.traces.left_out[script.revision] = failed.words
            self.trunk.put_back(backup)
            backup = self.trunk.copy()
            failed = self.step(script, up=True)
        if failed:
            self.traces.left_out.pop(script.revision, None)
            # what it has committed would be in the way of all others
            self.trunk.put_back(backup)
            self.facts = before.facts
            return Verdict.BROKEN, (Finding("up", failure=failed, line=failed.line),)
        self.trunk.drop(backup)
        after = self.trunk.state(rows=rows)
        self.facts = after.facts
        self.applied.append(script)
        if not self.is_wanted(script):
            return Verdict.UNPROVEN, ()
        result = self._down_and_up_in_clone(script, before, after, rows=rows)
        failed = next((each.failure for each in result[1] if each.failure), None)
        if failed and self._may_be_the_trace(script, failed):
            self.traces.left_out[script.revision] = failed.words
            result = self._down_and_up_in_clone(script, before, after, rows=rows)
            if any(each.failure for each in result[1]):
                del self.traces.left_out[script.revision]
        return result

    def _may_be_the_trace(self, script: Script, failed: Failure) -> bool:
        """Whether a revision may have failed because it was watched."""
        return self.traces.is_recorded(script) and not failed.raised

    def _down_and_up_in_clone(
        self, script: Script, before: Snapshot, after: Snapshot, *, rows: bool
    ) -> tuple[Verdict, tuple[Finding, ...]]:
        trunk = self.trunk.copy()

        def named(table: str) -> bool:
            return mentions_table(script, table)

        def run(up: bool) -> Failure | None:
            return self.step(script, up=up)

        result = compare_down_and_up(script, before, after, run, lambda: self.trunk.state(rows=rows), named)
        self.trunk.put_back(trunk)
        return result

    def rebuild_trunk(self) -> None:
        """Make the trunk anew when a revision has committed behind our back. Raises CheckFailed."""
        self.trunk.drop()
        self.trunk.create()
        self.planters.forget()
        failed = self.run_all([(script, True) for script in self.applied])
        if failed:
            script, why = failed
            raise CheckFailed(f"{script.revision} was applied once, and cannot be again: {why.words}")

    def outcome(self, script: Script) -> RevisionOutcome:
        """What is known of a revision, with residue apart."""
        result = self.results[script.revision]
        notes = tuple(finding for finding in result.findings if finding.difference and finding.difference.residue)
        findings = tuple(finding for finding in result.findings if finding not in notes)
        verdict, *also = _verdicts(result, findings)
        if script.revision in self.too_long:
            findings = (
                Finding("up", failure=Failure(self.too_long[script.revision]), line=revision_id_line(script)),
                *findings,
            )
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
            traces=self.traces.of(script.revision),
            untraced=self.traces.left_out.get(script.revision, ""),
        )

    # The chain

    def walk_chain(self, outcomes: Sequence[RevisionOutcome]) -> tuple[list[tuple[str, Finding]], int]:
        """Down from the head of the trunk as far as revisions are proven and can be undone, and up again.

        Returns what showed, each with the revision that it belongs to, and how many revisions it were.
        """
        undoable = {each.revision for each in outcomes if _schema_verdict(self.results[each.revision]) in COMPARED}
        way = list(itertools.takewhile(lambda script: script.revision in undoable, reversed(self.applied)))
        if not way:
            return [], 0
        self.progress("the whole chain")
        lowest = len(self.applied) - len(way)
        whole = not any(self.is_wanted(script) for script in self.applied[:lowest])
        known = {finding.difference.fact for each in outcomes for finding in each.findings if finding.difference}
        dirty = {each.revision for each in outcomes if Verdict.DIRTY in (each.verdict, *each.also)}
        found: list[tuple[str | None, Finding]] = []
        for revision, finding in self._down_and_up_the_chain(way, whole=whole):
            if finding.failure and not dirty.isdisjoint(script.revision for script in way):
                # what those leave behind is in the way, and they are told already
                way = way[: [script.revision for script in way].index(revision or "")]
            elif not (finding.difference and (finding.difference.residue or _is_known(finding.difference.fact, known))):
                found.append((revision, finding))
        return self._attributed(found), len(way)

    def _down_and_up_the_chain(self, way: Sequence[Script], *, whole: bool) -> list[tuple[str | None, Finding]]:
        head, dumped = self.trunk.read(), self.trunk.dump()
        failed = self.run_all([(script, False) for script in way])
        if failed:
            return [_chain_failure(*failed)]
        base = catalog.differences(self.start, self.trunk.read()) if whole and self.start is not None else []
        failed = self.run_all([(script, True) for script in reversed(way)])
        if failed:
            return [_chain_failure(*failed)]
        found: list[tuple[str | None, Finding]] = [(None, Finding("base", difference)) for difference in base]
        found += [(None, Finding("chain", each)) for each in catalog.differences(head, self.trunk.read())]
        if not found:
            # a second opinion, on what the catalog may not have
            found += [(way[0].revision, Finding("chain", each)) for each in _dumps_compared(dumped, self.trunk.dump())]
        return found

    def _attributed(self, found: Sequence[tuple[str | None, Finding]]) -> list[tuple[str, Finding]]:
        """Each finding with the revision that brought the object, which is found by applying all once more."""
        brought: dict[catalog.Fact, str] = {}
        if any(revision is None for revision, _ in found):
            self.trunk.drop()
            self.trunk.create()
            before = self.trunk.read()
            for script in self.applied:
                if self.run_all([(script, True)]):
                    break
                after = self.trunk.read()
                brought |= {fact: script.revision for fact in after if after[fact] != before.get(fact)}
                before = after
        last = self.applied[-1].revision if self.applied else ""
        return [
            (revision or (brought.get(finding.difference.fact, last) if finding.difference else last), finding)
            for revision, finding in found
        ]

    # env.py

    def step(self, script: Script, *, up: bool) -> Failure | None:
        """Apply or undo one revision as Alembic does; None when it went well, and was recorded."""
        failed = self.run_all([(script, up)])
        if failed:
            return failed[1]
        for recorded in self.trunk.recorded():
            if (script.revision in recorded) != up:
                function = "upgrade" if up else "downgrade"
                words = (
                    f"{function}() ended without an error, but {self.trunk.version_table_name} was not changed: "
                    "it commits by itself through the connection, and what comes after that is lost"
                )
                return Failure(words, function_line(script, function))
        return None

    def run_all(self, turns: Sequence[tuple[Script, bool]]) -> tuple[Script, Failure] | None:
        """Apply (True) and undo (False) revisions as Alembic does. Returns the first that failed, and why."""
        self.traces.turn += 1
        current: list[Script] = []
        raised: list[BaseException] = []

        def plan(_heads: tuple[str, ...], context: MigrationContext) -> Iterator[RevisionStep]:
            if len(turns) > 1:
                keep_local_settings(connection_of(context))
            for script, up in turns:
                current[:] = [script]
                yield self._step(script, context, raised, up=up)
                commit_if_external(context)

        try:
            self.environment.run(plan)
        except WrongDatabase:
            raise
        except TraceFailed as error:
            return current[0], Failure(str(error))
        except DbkitError as error:
            # the kit's own gate says in its words what a migration has raised
            if not raised and not current:
                raise
            return current[0], describe_failure(raised[0] if raised else error, current[0])
        except (Exception, SystemExit) as error:
            if not current:
                raise env_error(error, self.project.script.dir) from error
            return current[0], describe_failure(raised[0] if raised else error, current[0])
        return None

    def _step(
        self, script: Script, context: MigrationContext, raised: list[BaseException], *, up: bool
    ) -> MigrationStep:
        """One revision as Alembic runs it, recorded; what its function raises is added to `raised`."""
        step = MigrationStep(self.project.script.revision_map, script, up)
        traced = self._traced(script, context, up=up)
        step.migration_fn = _noting(traced, raised)
        # Alembic remembers there which enum types it has created
        context.impl.memo.clear()
        if up:
            self.make_room(script, context)
        return step

    def _traced(self, script: Script, context: MigrationContext, *, up: bool) -> Callable[..., None]:
        """A function of a migration, recorded."""

        def traced(**keywords: object) -> None:
            with self.traces.recording(script, connection_of(context), up=up, again=True):
                migration_function(script, up=up)(**keywords)

        return traced


def _schema_verdict(result: ProofResult) -> Verdict:
    """What was found where tables are empty; of COMPARED, the findings tell which."""
    return result.without_rows or result.verdict


def _verdicts(result: ProofResult, findings: Sequence[Finding]) -> list[Verdict]:
    """What is known of a revision, the gravest first: of its schema, and of its rows."""
    schema = _schema_verdict(result)
    if schema in COMPARED:
        schema = Verdict.DIRTY if any(each.difference for each in findings) else Verdict.PROVEN
    found: list[Verdict] = [schema] if schema != Verdict.PROVEN else []
    if result.without_rows:
        found.insert(0, Verdict.FAILS_ON_ROWS)
    if any(each.rows for each in findings):
        found.append(Verdict.LOSSY)
    if any(each.phase == "rows" for each in findings) and not found:
        found.append(Verdict.UNPROVEN)
    return found or [Verdict.PROVEN]


def _on_rows(with_rows: ProofResult, without: ProofResult) -> ProofResult:
    """What two proofs of a revision come to, of which the one with rows has failed."""
    failures = [finding for finding in with_rows.findings if finding.failure and finding.phase != "rows"]
    if {finding.phase for finding in without.findings if finding.failure} & {finding.phase for finding in failures}:
        return without
    others = [finding for finding in with_rows.findings if finding.rows or finding.phase == "rows"]
    return replace(
        without,
        verdict=Verdict.FAILS_ON_ROWS,
        findings=(*failures, *others, *without.findings),
        seconds=with_rows.seconds + without.seconds,
        without_rows=without.verdict,
    )


def _dumps_compared(before: str, after: str) -> list[catalog.Difference]:
    lines = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[:2] in ("- ", "+ ")]
    if not lines:
        return []
    gone, new = ("\n".join(line[2:] for line in lines if line[0] == sign) for sign in "-+")
    return [catalog.Difference(catalog.Fact("dump", "of pg_dump --schema-only"), gone, new)]


def _chain_failure(script: Script, why: Failure) -> tuple[str | None, Finding]:
    return script.revision, Finding("chain", failure=why, line=why.line)


def _noting(function: Callable[..., object], raised: list[BaseException]) -> Callable[..., None]:
    """The function of a migration, with what it raises noted before env.py makes something else of it."""

    def noted(**keywords: object) -> None:
        try:
            function(**keywords)
        except (Exception, SystemExit) as error:
            raised.append(error)
            raise

    return noted


def _is_known(fact: catalog.Fact, known: set[catalog.Fact]) -> bool:
    return fact in known or any(owner in known for owner in fact.of)
