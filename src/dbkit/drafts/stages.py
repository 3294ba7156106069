"""The stages of a draft for a live database, and what is put into each: in order, the revisions that it becomes."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from alembic.operations import ops

from dbkit.drafts.effects import Effect
from dbkit.drafts.shapes import Column, Shapes
from dbkit.drafts.steps import AutocommitOp, DraftRevision, Phase, Step
from dbkit.postgres.sql_quote import split_name
from dbkit.trace.records import Change, ChangeKind


class Place(IntEnum):
    """The order of the stages."""

    LABELS = 10
    CHANGE = 20
    """What takes a moment at any size of a table, with new constraints that are NOT VALID."""
    BACKFILL = 30
    CHECK = 40
    """Checks on what was filled, NOT VALID."""
    VALIDATE = 50
    REQUIRE = 60
    BUILD_INDEX = 70
    """A revision for each index."""
    USE_INDEX = 80
    AFTER = 90
    """What needs the stages before, or reads whole tables."""
    VALIDATE_AFTER = 100
    DROP_INDEX = 110


MESSAGES = {
    Place.LABELS: "add labels",
    Place.CHANGE: "",
    Place.BACKFILL: "backfill",
    Place.CHECK: "check what was filled",
    Place.VALIDATE: "validate",
    Place.REQUIRE: "set not null",
    Place.BUILD_INDEX: "create index",
    Place.USE_INDEX: "use the indexes",
    Place.AFTER: "what needs them",
    Place.VALIDATE_AFTER: "validate what needs them",
    Place.DROP_INDEX: "drop indexes",
}
NOTE = re.compile(
    r"""\s*(?:COMMENT\s+ON\s+(?:INDEX|CONSTRAINT)|ALTER\s+INDEX)\s+((?:[^\s".]+|"(?:[^"]|"")+"|\.)+)""", re.IGNORECASE
)
"""A comment or a setting of an index or a constraint, and its name."""
MOST_SUBJECTS = 3
"""In the message of one revision."""
CREATE = {
    ChangeKind.TABLE_CREATED,
    ChangeKind.COLUMN_ADDED,
    ChangeKind.CONSTRAINT_ADDED,
    ChangeKind.INDEX_ADDED,
    ChangeKind.TRIGGER_ADDED,
    ChangeKind.RULE_ADDED,
    ChangeKind.OBJECT_CREATED,
}
DROP = {
    ChangeKind.TABLE_DROPPED,
    ChangeKind.COLUMN_DROPPED,
    ChangeKind.CONSTRAINT_DROPPED,
    ChangeKind.INDEX_DROPPED,
    ChangeKind.TRIGGER_DROPPED,
    ChangeKind.RULE_DROPPED,
    ChangeKind.POLICY_DROPPED,
    ChangeKind.OBJECT_DROPPED,
}
APART = (Place.BUILD_INDEX,)
"""The stages in which each part gets a revision to itself."""


@dataclass
class Part:
    """Steps that are added together to one stage, with those that undo them."""

    upgrade: list[Step]
    downgrade: list[Step]
    subject: str = ""
    """What the message of the revision names."""
    name: str = ""
    """The name of the constraint or index that there is after it."""


@dataclass
class Plan:
    """The stages of one draft."""

    upgrade: Sequence[Effect]
    """What the steps of the draft do."""
    downgrade: list[Effect]
    """Those of the downgrade that are not in a part yet: they undo the stage CHANGE."""
    kept: list[Step] = field(default_factory=list)
    """The upgrade of the stage CHANGE."""
    parts: dict[Place, list[Part]] = field(default_factory=dict)
    dangers: list[str] = field(default_factory=list)
    """Sentences about what has no stages."""
    names: set[str] = field(default_factory=set)
    """The names of the constraints and indexes that were made up."""
    shapes: Shapes = field(default_factory=Shapes)
    """The tables of the models."""
    keyless: frozenset[str] = frozenset()
    """The tables without a primary key, by their names in SQL: no batches are possible there."""
    constrained: frozenset[str] = frozenset()
    """The domains of the models that have constraints, by their names in SQL."""

    def column_of(self, change: Change) -> Column | None:
        """Return the column of the models that a change is about."""
        *schemas, name = split_name(change.table)
        table = self.shapes.tables.get((schemas[0] if schemas else self.shapes.default_schema, name))
        return table.columns.get(change.name) if table else None

    def keep(self, *steps: Step) -> None:
        """Put steps into the stage CHANGE."""
        self.kept += steps

    def add(
        self, place: Place, upgrade: Iterable[Step], downgrade: Iterable[Step], subject: str = "", name: str = ""
    ) -> None:
        """Put steps into another stage, with those that undo them."""
        self.parts.setdefault(place, []).append(Part([*upgrade], [*downgrade], subject, name))

    def surround(self, place: Place, upgrade: Iterable[Step], first: Iterable[Step], last: Iterable[Step]) -> None:
        """Put steps before the others of a stage, and in its downgrade the `first` before and the `last` after them."""
        self.parts.setdefault(place, []).insert(0, Part([*upgrade], [*last]))
        self.parts[place].append(Part([], [*first]))

    def take_downgrade(self, is_part: Callable[[Change], bool]) -> list[Effect]:
        """Remove the downgrade's steps all of whose changes belong to a part, and return them."""
        taken = [each for each in self.downgrade if each.changes and all(map(is_part, each.changes))]
        self.downgrade = [each for each in self.downgrade if each not in taken]
        return taken

    def take_counterparts(self, effect: Effect) -> list[Step]:
        """Remove the downgrade's steps that undo a step, and return them.

        Of an object that is made again, one step undoes that it is dropped, and another that it is created.
        """
        made = {_object_of(each) for each in effect.changes}
        facts = set(effect.step.facts)
        taken = [
            each
            for each in self.downgrade
            if (made >= {*map(_object_of, each.changes)} if each.changes else facts & {*each.step.facts})
            and not _does_the_same(effect, each)
        ]
        self.downgrade = [each for each in self.downgrade if each not in taken]
        return [each.step for each in taken]

    def move_notes(self) -> None:
        """Put comments and settings of what the other stages make, or make again, behind that."""
        for place in (Place.USE_INDEX, Place.BUILD_INDEX):
            for part in self.parts.get(place, ()):
                notes = [each for each in self._notes_on(part.name, self.upgrade) if each in self.kept]
                self.kept = [each for each in self.kept if each not in notes]
                _append(part.upgrade, notes)
        for part in self.parts.get(Place.DROP_INDEX, ()):
            notes = self._notes_on(part.name, self.downgrade)
            self.downgrade = [each for each in self.downgrade if each.step not in notes]
            _append(part.downgrade, notes)
        for place in (Place.VALIDATE, Place.VALIDATE_AFTER):
            for part in self.parts.get(place, ()):
                _append(part.downgrade, self._notes_on(part.name, self.upgrade))

    def _notes_on(self, name: str, effects: Iterable[Effect]) -> list[Step]:
        """Return the steps that change nothing but a comment or a setting of a constraint or an index."""
        return [each.step for each in effects if name and not each.changes and _names(each.step.operation, name)]

    def take_kept(self, is_part: Callable[[Change], bool]) -> list[Step]:
        """Remove steps of the stage CHANGE all of whose changes belong to a part, and return them."""
        taken = [
            each.step
            for each in self.upgrade
            if each.step in self.kept and each.changes and all(map(is_part, each.changes))
        ]
        self.kept = [each for each in self.kept if each not in taken]
        return taken

    def has_change(self, kinds: Iterable[ChangeKind], table: str) -> bool:
        """Return whether the draft changes something of these kinds in a table."""
        return any(each.what in kinds and each.table == table for effect in self.upgrade for each in effect.changes)

    def revisions(self) -> list[DraftRevision]:
        """Return the revisions, without empty ones."""
        changed = Part(self.kept, [each.step for each in self.downgrade])
        found: list[DraftRevision] = []
        for place, parts in sorted({**self.parts, Place.CHANGE: [changed, *self.parts.get(Place.CHANGE, ())]}.items()):
            if place in APART:
                found += [_revision(place, [each]) for each in parts]
            else:
                found.append(_revision(place, parts))
        return [each for each in found if each.upgrade or each.downgrade]


def make_step(phase: Phase, operation: ops.MigrateOperation, like: Step) -> Step:
    """Return a step of another phase on the facts of a step."""
    return Step(phase, operation, like.facts)


def _append(steps: list[Step], notes: Sequence[Step]) -> None:
    """Add steps at the end, within the block of one that runs outside of the transaction."""
    last = steps[-1] if steps else None
    if notes and last and isinstance(last.operation, AutocommitOp):
        operations = [*last.operation.ops, *(each.operation for each in notes)]
        steps[-1] = replace(last, operation=AutocommitOp(operations))
    else:
        steps += notes


def _names(operation: ops.MigrateOperation, name: str) -> bool:
    """Return whether an operation is a comment or a setting of the constraint or index of that name."""
    note = NOTE.match(str(operation.sqltext)) if isinstance(operation, ops.ExecuteSQLOp) else None
    return note is not None and split_name(note[1])[-1] == name


def _object_of(change: Change) -> tuple[str, str]:
    """Return the table and the name of what has changed."""
    return change.table, change.name


def _does_the_same(effect: Effect, other: Effect) -> bool:
    """Return whether both steps only create, or both only drop."""
    changes = {each.what for each in (*effect.changes, *other.changes)}
    return bool(effect.changes and other.changes) and (changes <= CREATE or changes <= DROP)


def _revision(place: Place, parts: Sequence[Part]) -> DraftRevision:
    subjects = list(dict.fromkeys(each.subject for each in parts if each.subject))
    more = f" and {len(subjects) - MOST_SUBJECTS} more" if len(subjects) > MOST_SUBJECTS else ""
    subject = ", ".join(subjects[:MOST_SUBJECTS]) + more
    return DraftRevision(
        [step for part in parts for step in part.upgrade],
        [step for part in reversed(parts) for step in part.downgrade],
        f"{MESSAGES[place]} {subject}".strip() if MESSAGES[place] else "",
    )
