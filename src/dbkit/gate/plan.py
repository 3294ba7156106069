"""Alembic's plan of a run: its migration steps, and the journal entry of each."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext, RevisionStep, StampStep

from dbkit import journal
from dbkit.gate.context import RunContext
from dbkit.settings import Settings
from dbkit.wording import counted

AlembicStep = RevisionStep | StampStep
PlanFunction = Callable[[tuple[str, ...], MigrationContext], Any]
"""Returns the steps for a database at some revisions."""


def replace_plan(migration: MigrationContext, replace: Callable[[PlanFunction], PlanFunction]) -> None:
    """Replace the function by which Alembic plans its steps, for which it has no public way."""
    migration._migrations_fn = replace(migration.opts["fn"])


def record_steps(plan: PlanFunction, run_context: RunContext) -> PlanFunction:
    """Return the plan with each step added to the run context as it begins."""

    def recording_plan(heads: tuple[str, ...], context: MigrationContext) -> Iterator[AlembicStep]:
        for step in plan(heads, context):
            run_context.steps.append(step)
            yield step

    return recording_plan


def make_entry(step: AlembicStep, settings: Settings) -> journal.JournalEntry:
    """Return the journal entry of a step."""
    environment = settings.app_env
    if isinstance(step, StampStep):
        return journal.JournalEntry(journal.STAMP, revision_of(step), environment)
    action = journal.DOWNGRADE if step.is_downgrade else journal.UPGRADE
    parents = tuple(step.revision._all_down_revisions)
    return journal.JournalEntry(action, revision_of(step), environment, Path(step.revision.path), parents)


def revision_of(step: AlembicStep) -> str:
    """Return the revision that a step applies, undoes or stamps; base for a stamp to nothing."""
    if isinstance(step, RevisionStep):
        return str(step.revision.revision)
    return ", ".join(step.to_revisions) or "base"


def revisions_to_apply(steps: Iterable[AlembicStep]) -> list[tuple[str, Path]]:
    """Return the revisions that the steps apply, with their files."""
    upgrades = [step for step in steps if isinstance(step, RevisionStep) and step.is_upgrade]
    return [(str(step.revision.revision), Path(step.revision.path)) for step in upgrades]


def outline(heads: Sequence[str], steps: Sequence[AlembicStep]) -> str:
    """Describe a run in half a line, for the message before it begins."""
    here = ", ".join(heads) or "base"
    if not steps:
        return f"{here} is forgotten"
    if isinstance(steps[0], StampStep):
        return f"from {here} to {revision_of(steps[-1])}"
    first, last = revision_of(steps[0]), revision_of(steps[-1])
    return f"{counted(len(steps), 'migration')}, {first if len(steps) == 1 else f'from {first} to {last}'}"
