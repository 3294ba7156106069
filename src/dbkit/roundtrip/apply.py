"""Apply and undo revisions as Alembic does, each in the transaction that Alembic gives it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script

from dbkit.errors import CheckFailed, DbkitError
from dbkit.postgres.abort_watch import AbortWatch
from dbkit.project import revision_ids
from dbkit.project.revision_source import function_line
from dbkit.roundtrip.alembic_steps import (
    MigrationStep,
    commit_if_external,
    connection_of,
    keep_local_settings,
    migration_function,
)
from dbkit.roundtrip.failures import describe_failure
from dbkit.roundtrip.outcome import Failure
from dbkit.roundtrip.scratch_connections import WrongDatabase
from dbkit.roundtrip.workspace import Workspace
from dbkit.trace.records import TraceFailed

Observe = Callable[[sa.Connection], AbstractContextManager[Any]]
"""Given the connection of a migration's function, the context that the function runs in."""


@dataclass(frozen=True)
class FailedStep:
    """The revision that failed, and why."""

    script: Script
    failure: Failure


def run_revision(work: Workspace, script: Script, *, up: bool, observe: Observe = nullcontext) -> Failure | None:
    """Apply or undo one revision. Returns why it failed, None when it succeeded and was recorded."""
    failed = run_revisions(work, [script], up=up, observe=observe)
    if failed:
        return failed.failure
    for versions in work.databases.read_versions():
        if (script.revision in versions) != up:
            function = "upgrade" if up else "downgrade"
            words = (
                f"{function}() ended without an error, but {work.databases.version_table_name} was not changed: "
                "it commits by itself through the connection, and what comes after that is lost"
            )
            return Failure(words, function_line(script, function))
    return None


def run_revisions(
    work: Workspace, scripts: Sequence[Script], *, up: bool, observe: Observe = nullcontext
) -> FailedStep | None:
    """Apply or undo revisions in one run of env.py. Returns the first that failed, None when all succeeded."""
    work.traces.begin_run()
    return _EnvRun(work, scripts, observe, up=up).run()


def reapply_revisions(work: Workspace) -> None:
    """Apply all applied revisions again, on new databases. Raises CheckFailed when one fails now."""
    failed = run_revisions(work, work.applied, up=True)
    if failed:
        raise CheckFailed(
            f"{failed.script.revision} was applied once, and cannot be applied again: {failed.failure.words}"
        )


def widen_version_table(work: Workspace, script: Script, context: MigrationContext) -> None:
    """Make the version table take an id that is too long, so that what follows is proven; record the problem."""
    if len(script.revision) <= revision_ids.LIMIT:
        return
    connection_of(context).connection.commit()
    limit = work.databases.widen_version_table(script.revision)
    if limit:
        words = revision_ids.describe_excess(script.revision, work.databases.version_table_name, limit)
        work.id_problems[script.revision] = f"its id {words}"


class _EnvRun:
    """One run of env.py that applies or undoes revisions."""

    def __init__(self, work: Workspace, scripts: Sequence[Script], observe: Observe, *, up: bool) -> None:
        self.work = work
        self.scripts = scripts
        self.observe = observe
        self.up = up
        self.current: Script | None = None
        self.raised: BaseException | None = None
        """The error of a migration's function, before env.py turned it into another one."""
        self.watch = AbortWatch()
        """The errors that the last function has met, which it may have caught."""

    def run(self) -> FailedStep | None:
        """Run env.py. Returns the revision that failed; raises what env.py itself raised."""
        try:
            self.work.environment.run(self._migrations)
        except WrongDatabase:
            raise
        except TraceFailed as error:
            return self._failed_step(Failure(str(error)))
        except DbkitError as error:
            if self.raised is None and self.current is None:
                raise
            return self._failed_step(error)  # the project's gate reports the error of a migration in its own words
        except (Exception, SystemExit) as error:
            if self.current is None and self.work.sample_rows.has_rows:
                self.current = self.scripts[0]  # env.py itself may have met rows
            elif self.current is None:
                raise self.work.environment.env_error(error) from error
            return self._failed_step(error)
        return None

    def _failed_step(self, error: BaseException | Failure) -> FailedStep:
        assert self.current is not None  # noqa: S101  # a migration has failed
        if isinstance(error, Failure):
            return FailedStep(self.current, error)
        return FailedStep(self.current, describe_failure(self.raised or self.watch.find_cause(error), self.current))

    def _migrations(self, _heads: tuple[str, ...], context: MigrationContext) -> Iterator[RevisionStep]:
        if len(self.scripts) > 1:
            keep_local_settings(connection_of(context))
        for script in self.scripts:
            self.current = script
            yield self._step(script, context)
            commit_if_external(context)

    def _step(self, script: Script, context: MigrationContext) -> MigrationStep:
        step = MigrationStep(self.work.environment.project.script.revision_map, script, self.up)
        step.migration_fn = self._function(script, context)
        # Alembic remembers there which enum types it has created, and would not create them in a second upgrade
        context.impl.memo.clear()
        if self.up:
            widen_version_table(self.work, script, context)
        return step

    def _function(self, script: Script, context: MigrationContext) -> Callable[..., None]:
        """Return the function of a step: it records the trace, and what the migration raises."""

        def function(**keywords: object) -> None:
            self.watch = AbortWatch()
            try:
                with (
                    self.watch.watching(connection_of(context)),
                    self.observe(connection_of(context)),
                    self.work.traces.recording(script, connection_of(context), up=self.up, again=True),
                ):
                    migration_function(script, up=self.up)(**keywords)
            except (Exception, SystemExit) as error:
                self.raised = self.raised or self.watch.find_cause(error)
                raise

        return function
