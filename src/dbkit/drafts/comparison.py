"""The result of a project's migrations, that of its models, and what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from dbkit.catalog import Difference, Fact
from dbkit.drafts.objects import Objects
from dbkit.drafts.scope import Scope
from dbkit.drafts.shapes import Shapes
from dbkit.drafts.steps import Rename
from dbkit.settings import Target


@dataclass(frozen=True)
class State:
    """A scratch database that was read."""

    target: Target
    facts: Mapping[Fact, str]
    """All of them, without the version table."""
    shapes: Shapes
    objects: Objects = field(default_factory=Objects)
    origins: Mapping[str, str] = field(default_factory=dict)
    """By the name in a comment, the SQL file that an object is from."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """By the name of an SQL file, its text."""


@dataclass(frozen=True)
class Comparison:
    """The result of the migrations, that of the models, and what differs."""

    migrated: State
    modelled: State
    differences: Sequence[Difference]
    """From migrated to modelled, of what the models define; without differences, there is nothing to draft."""
    metadata: Sequence[sa.MetaData]
    renames: Sequence[Rename] = ()
    """Those that lead to `migrated`, in order: it has the new names already."""
    notes: Sequence[str] = ()
    """Sentences on what could not be compared: the rest was."""
    scope: Scope = field(default_factory=lambda: Scope(frozenset()))
    """What counts in it."""
    is_reversed: bool = False
    """Whether it is for the downgrade."""
    with_free_names: "Comparison | None" = None
    """The one to draft from, where an object that goes has the name of one that comes: it has another name there."""

    @property
    def has_changes(self) -> bool:
        """Whether there is something to draft."""
        return bool(self.differences or self.renames)

    def reversed(self) -> "Comparison":
        """The same, from the models to the migrations: what a downgrade has to write."""
        return Comparison(
            migrated=self.modelled,
            modelled=self.migrated,
            differences=[Difference(each.fact, each.after, each.before) for each in self.differences],
            metadata=self.metadata,
            scope=self.scope,
            renames=self.renames,
            is_reversed=not self.is_reversed,
        )
