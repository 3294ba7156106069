"""The walk over a project's revisions: each one up, down and up again by itself; then the whole chain."""

import difflib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script
from sqlalchemy.exc import SQLAlchemyError

from dbkit import catalog, dump, scratch
from dbkit.connect import connect
from dbkit.errors import CheckFailed, DbkitError
from dbkit.roundtrip.comparing import Facts, Result, down_and_up
from dbkit.roundtrip.environment import Databases, Environment, WrongDatabase, explained
from dbkit.roundtrip.inside import Inside, NotInside, Suspended
from dbkit.roundtrip.outcome import Failure, Finding, RevisionOutcome, Verdict
from dbkit.roundtrip.select import Route
from dbkit.roundtrip.steps import Step, commit_if_external, connection_of, failure, keep_local_settings, line_of
from dbkit.settings import Target

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Walked:
    """What a walk found: the outcome of each revision that was to be proven, what only the chain showed included."""

    outcomes: tuple[RevisionOutcome, ...]
    chain_length: int
    """How many revisions the chain took down and up again."""
    chain_stopped_at: str | None
    """The revision that stopped it on the way down, which is one that was to be proven; None when nothing did."""
    failed_before: frozenset[str]
    """What could not be applied of the revisions that were only to be applied."""


class Walker:
    """Proves the revisions of a route.

    `trunk` (several databases, where a project has them) is where every revision is applied that could be. What a
    downgrade breaks or leaves behind never reaches the next proof: it is rolled back, or a copy takes its place.
    """

    def __init__(
        self, environment: Environment, place: scratch.Place, way: Route, names: Iterator[str], progress: Progress
    ) -> None:
        """`names` are for further databases, beside those of the environment."""
        self.environment = environment
        self.trunk = environment.databases
        self.project = environment.project
        self.place = place
        self.route = way
        self.names = names
        self.progress = progress
        self.applied: list[Script] = []
        self.results: dict[str, Result] = {}
        self.facts: Facts | None = None
        """The catalog of the trunk, where it was just read."""
        self.create()
        self.by_clones = False
        """Whether all revisions are proven by clones: env.py migrates more than once, or its driver is another."""
        self.version_table = ""
        self.version_table_name = ""
        self._try_environment()
        self.start: Facts | None = None
        """The catalog before the first revision that is to be proven."""

    def _try_environment(self) -> None:
        """Run env.py without a step, and keep what it prepares."""
        calls = 0

        def plan(_heads: tuple[str, ...], context: MigrationContext) -> Iterator[RevisionStep]:
            nonlocal calls
            calls += 1
            self.version_table = catalog.qualified(context.version_table_schema or "public", context.version_table)
            self.version_table_name = context.version_table
            connection_of(context).connection.commit()
            yield from ()

        self.environment.settle_access(plan)
        self.by_clones = calls > 1

    def walk(self) -> Walked:
        """Prove each revision, then take the chain down and up."""
        waiting = list(self.route.scripts)
        while waiting:
            if not self.by_clones:
                waiting = self.prove_inside(waiting)
            if waiting:
                self.prove_by_clones(waiting.pop(0))
        outcomes = [self.outcome(script) for script in self.route.scripts if self.is_wanted(script)]
        found, length = self.walk_chain(outcomes)
        for revision, finding in found:
            numbers = [number for number, each in enumerate(outcomes) if each.revision == revision] or [-1]
            outcomes[numbers[0]] = outcomes[numbers[0]].with_chain(finding)
        applied = [script.revision for script in self.applied if self.is_wanted(script)]
        stopped_at = applied[-length - 1] if length < len(applied) else None
        before = {script.revision for script in self.route.scripts} - self.route.proven
        failed = before - {script.revision for script in self.applied}
        return Walked(tuple(outcomes), length, stopped_at, frozenset(failed))

    def prove_inside(self, scripts: Sequence[Script]) -> list[Script]:
        """Prove as many as can be in one run of env.py, and return the rest; the first of those needs clones."""
        inside = Inside(self.project, self.applicable(scripts), self)
        try:
            self.environment.run(inside.plan, inside.connected)
        except NotInside:
            self.by_clones = True
        except Suspended as suspended:
            if suspended.spoiled:
                self.rebuild_trunk()
        except SQLAlchemyError:
            # a commit failed: it checks what was deferred. As Alembic runs it, it will fail again, and be told
            pass
        self.facts = None
        done = {script.revision for script in self.applied}
        return [script for script in scripts if script.revision not in done]

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

    def begin(self, script: Script) -> None:
        """Called before each revision."""
        if self.start is None and self.is_wanted(script):
            self.start = self.read()

    def settle(self, script: Script, result: Result | None) -> None:
        """Called after each revision that was applied inside, with what its proof found."""
        self.applied.append(script)
        self.progress(f"{len(self.applied)}/{len(self.route.scripts)} {script.doc}")
        if result is not None:
            self.results[script.revision] = result

    # By clones

    def prove_by_clones(self, script: Script) -> None:
        """Up on the trunk; then down and up again in a clone of it."""
        started = time.perf_counter()
        self.begin(script)
        self.progress(f"{len(self.applied) + 1}/{len(self.route.scripts)} {script.doc}")
        verdict, findings = self._try_by_clones(script)
        self.results[script.revision] = Result(verdict, findings, time.perf_counter() - started, transactional=False)

    def _try_by_clones(self, script: Script) -> tuple[Verdict, tuple[Finding, ...]]:
        have = {each.revision for each in self.applied}
        lacking = [parent for parent in self.route.parents[script.revision] if parent not in have]
        if lacking:
            words = f"it follows {', '.join(lacking)}, which could not be applied"
            return Verdict.UNPROVEN, (Finding("up", failure=Failure(words)),)
        before = self.facts or self.read()
        backup = self.copy()
        failed = self.step(script, up=True)
        if failed:
            # what it has committed would be in the way of all others
            self.put_back(backup)
            self.facts = before
            return Verdict.BROKEN, (Finding("up", failure=failed, line=failed.line),)
        self.drop(backup)
        self.facts = after = self.read()
        self.applied.append(script)
        if not self.is_wanted(script):
            return Verdict.UNPROVEN, ()
        trunk = self.copy()
        result = down_and_up(script, before, after, lambda up: self.step(script, up=up), self.read)
        self.put_back(trunk)
        return result

    def rebuild_trunk(self) -> None:
        """Make the trunk anew when a revision has committed behind our back. Raises CheckFailed."""
        self.drop(self.trunk)
        self.create()
        failed = self.run_all([(script, True) for script in self.applied])
        if failed:
            script, why = failed
            raise CheckFailed(f"{script.revision} was applied once, and cannot be again: {why.words}")

    def outcome(self, script: Script) -> RevisionOutcome:
        """What is known of a revision, with residue apart."""
        result = self.results[script.revision]
        notes = tuple(finding for finding in result.findings if finding.difference and finding.difference.residue)
        findings = tuple(finding for finding in result.findings if finding not in notes)
        verdict = Verdict.PROVEN if result.verdict == Verdict.DIRTY and not findings else result.verdict
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
        )

    # The chain

    def walk_chain(self, outcomes: Sequence[RevisionOutcome]) -> tuple[list[tuple[str, Finding]], int]:
        """Down from the head of the trunk as far as revisions are proven and can be undone, and up again.

        Returns what showed, each with the revision that it belongs to, and how many revisions it were.
        """
        undoable = {each.revision for each in outcomes if each.verdict in (Verdict.PROVEN, Verdict.DIRTY)}
        way = list(itertools.takewhile(lambda script: script.revision in undoable, reversed(self.applied)))
        if not way:
            return [], 0
        self.progress("the whole chain")
        lowest = len(self.applied) - len(way)
        whole = not any(self.is_wanted(script) for script in self.applied[:lowest])
        known = {finding.difference.fact for each in outcomes for finding in each.findings if finding.difference}
        dirty = {each.revision for each in outcomes if each.verdict == Verdict.DIRTY}
        found: list[tuple[str | None, Finding]] = []
        for revision, finding in self._down_and_up_the_chain(way, whole=whole):
            if finding.failure and not dirty.isdisjoint(script.revision for script in way):
                # what those leave behind is in the way, and they are told already
                way = way[: [script.revision for script in way].index(revision or "")]
            elif not (finding.difference and (finding.difference.residue or _is_known(finding.difference.fact, known))):
                found.append((revision, finding))
        return self._attributed(found), len(way)

    def _down_and_up_the_chain(self, way: Sequence[Script], *, whole: bool) -> list[tuple[str | None, Finding]]:
        head, dumped = self.read(), self.dump()
        failed = self.run_all([(script, False) for script in way])
        if failed:
            return [_chain_failure(*failed)]
        base = catalog.differences(self.start, self.read()) if whole and self.start is not None else []
        failed = self.run_all([(script, True) for script in reversed(way)])
        if failed:
            return [_chain_failure(*failed)]
        found: list[tuple[str | None, Finding]] = [(None, Finding("base", difference)) for difference in base]
        found += [(None, Finding("chain", each)) for each in catalog.differences(head, self.read())]
        if not found:
            # a second opinion, on what the catalog may not have
            found += [(way[0].revision, Finding("chain", each)) for each in _dumps_compared(dumped, self.dump())]
        return found

    def _attributed(self, found: Sequence[tuple[str | None, Finding]]) -> list[tuple[str, Finding]]:
        """Each finding with the revision that brought the object, which is found by applying all once more."""
        brought: dict[catalog.Fact, str] = {}
        if any(revision is None for revision, _ in found):
            self.drop(self.trunk)
            self.create()
            before = self.read()
            for script in self.applied:
                if self.run_all([(script, True)]):
                    break
                after = self.read()
                brought |= {fact: script.revision for fact in after if after[fact] != before.get(fact)}
                before = after
        last = self.applied[-1].revision if self.applied else ""
        return [
            (revision or (brought.get(finding.difference.fact, last) if finding.difference else last), finding)
            for revision, finding in found
        ]

    # Databases

    def create(self) -> None:
        """Make the trunk, empty."""
        for target in self.trunk.values():
            self.place.create_database(target.dbname)

    def copy(self) -> dict[str, Target]:
        """A copy of the trunk."""
        return {
            name: self.place.create_database(next(self.names), target.dbname) for name, target in self.trunk.items()
        }

    def put_back(self, copy: Databases) -> None:
        """Let a copy take the place of the trunk, under its name."""
        self.drop(self.trunk)
        for name, target in copy.items():
            self.place.rename_database(target.dbname, self.trunk[name].dbname)

    def drop(self, databases: Databases) -> None:
        """Drop them all."""
        for target in databases.values():
            self.place.drop_database(target.dbname)

    def read(self) -> Facts:
        """The catalog of the trunk; where there are several databases, an object's name begins with that of its own."""
        facts: Facts = {}
        for name, target in self.trunk.items():
            with connect(target, autocommit=True) as connection:
                found = catalog.read(connection, version_tables=[self.version_table_name])
            if name:
                found = {replace(fact, identity=f"{name}: {fact.identity}"): text for fact, text in found.items()}
            facts |= found
        return facts

    def dump(self) -> str:
        settings = self.environment.settings
        return "\n".join(dump.schema(settings, target) for target in self.trunk.values())

    # env.py

    def step(self, script: Script, *, up: bool) -> Failure | None:
        """Apply or undo one revision as Alembic does; None when it went well, and was recorded."""
        failed = self.run_all([(script, up)])
        if failed:
            return failed[1]
        for target in self.trunk.values():
            if (script.revision in self.recorded(target)) != up:
                function = "upgrade" if up else "downgrade"
                words = (
                    f"{function}() ended without an error, but {self.version_table_name} was not changed: "
                    "it commits by itself through the connection, and what comes after that is lost"
                )
                return Failure(words, line_of(script, function))
        return None

    def recorded(self, target: Target) -> set[str]:
        """What the version table says."""
        with connect(target, autocommit=True) as connection:
            if connection.execute("SELECT to_regclass(%s)", [self.version_table]).fetchone() == (None,):
                return set()
            return {row[0] for row in connection.execute(f"SELECT version_num FROM {self.version_table}")}  # noqa: S608

    def run_all(self, turns: Sequence[tuple[Script, bool]]) -> tuple[Script, Failure] | None:
        """Apply (True) and undo (False) revisions as Alembic does. Returns the first that failed, and why."""
        current: list[Script] = []
        raised: list[BaseException] = []

        def plan(_heads: tuple[str, ...], context: MigrationContext) -> Iterator[RevisionStep]:
            if len(turns) > 1:
                keep_local_settings(connection_of(context))
            for script, up in turns:
                current[:] = [script]
                step = Step(self.project.script.revision_map, script, up)
                step.migration_fn = _noting(step.migration_fn, raised)
                # Alembic remembers there which enum types it has created
                context.impl.memo.clear()
                yield step
                commit_if_external(context)

        try:
            self.environment.run(plan)
        except WrongDatabase:
            raise
        except DbkitError as error:
            # the kit's own gate says in its words what a migration has raised
            if not raised and not current:
                raise
            return current[0], failure(raised[0] if raised else error, current[0])
        except (Exception, SystemExit) as error:
            if not current:
                raise explained(error, self.project.script.dir) from error
            return current[0], failure(raised[0] if raised else error, current[0])
        return None


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
