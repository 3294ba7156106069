"""The operations of a draft, and the order in which they run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from alembic.operations import ops

from dbkit.catalog import Fact


class Phase(IntEnum):
    """When an operation runs, in either direction; operations of one phase run in the order in which they are given."""

    RENAME_LABEL = 2
    """Labels of enums: before values are added."""
    ADD_VALUE = 5
    """Values of enums that the same revision uses, outside of a transaction."""
    CREATE_SCHEMA = 20
    RENAME = 25
    """All other declared renames of an upgrade: what follows has the new names."""
    DROP_DEPENDENT = 27
    """Policies, triggers, views and rules that changed or are in the way of a change."""
    RENAME_TYPE = 28
    """Types get another name while they are replaced."""
    CREATE_TYPE = 30
    """Enums, domains and other types; ADD VALUE."""
    CREATE_SEQUENCE = 40
    CREATE_FUNCTION = 50
    """Functions that tables may use."""
    DROP_FOREIGN_KEY = 70
    DROP_INDEX = 80
    DROP_CONSTRAINT = 90
    CHANGE_TYPE = 95
    """Columns get the new one of an enum, domain or other type that is replaced."""
    CREATE_TABLE = 100
    ADD_COLUMN = 110
    ALTER_COLUMN = 120
    ALTER_SEQUENCE = 125
    DROP_COLUMN = 130
    DROP_TABLE = 140
    CREATE_TABLE_FUNCTION = 145
    """Functions that need tables, and that constraints and indexes use."""
    CREATE_CONSTRAINT = 150
    CREATE_INDEX = 160
    CREATE_FOREIGN_KEY = 170
    CREATE_DEPENDENT = 180
    """Views, triggers, policies and rules, also those that were dropped to make way."""
    GRANT = 190
    COMMENT = 200
    DROP_FUNCTION = 210
    DROP_SEQUENCE = 220
    DROP_TYPE = 230
    CREATE_DEPENDENT_LATE = 231
    """Where a view gets the name of a sequence or a type that is dropped; likewise the next two."""
    GRANT_LATE = 232
    COMMENT_LATE = 233
    RENAME_BACK = 235
    """The renames of a downgrade: what precedes has the new names."""
    RENAME_LABEL_BACK = 236
    DROP_SCHEMA = 240


class CommentOp(ops.MigrateOperation):
    """An operation that is rendered as a comment."""

    def __init__(self, text: str) -> None:
        self.text = text


class BackfillOp(ops.MigrateOperation):
    """An UPDATE in batches: rendered as `backfill(op, "table", "assignments", where="where")` of dbkit.backfill."""

    def __init__(self, table: str, assignments: str, where: str) -> None:
        """`table` is a name as in SQL; `assignments` and `where` reach the server as they are."""
        self.table, self.assignments, self.where = table, assignments, where


EMPTY_ON_PURPOSE = "dbkit: ok empty-downgrade, "
"""The begin of a comment that gives the reason why a downgrade has no operations."""


class AutocommitOp(ops.OpContainer):
    """Operations that run outside of a transaction: rendered as `with op.get_context().autocommit_block():`."""


@dataclass(frozen=True)
class Step:
    """One operation of one direction."""

    phase: Phase
    operation: ops.MigrateOperation
    facts: tuple[Fact, ...] = ()
    """The facts that it makes, changes or removes."""
    drops: str = ""
    """What it drops with its data, such as `column orders.note`; "" for an operation that drops no data."""
    undecided: str = ""
    """A sentence about what a person must decide before it can run on a database with rows, or at all."""


@dataclass(frozen=True)
class Rename:
    """An object that keeps its data and gets another name, or an enum one of whose labels does."""

    old: Fact
    new: Fact
    forward: ops.MigrateOperation
    back: ops.MigrateOperation
    statement: str
    """The SQL of `forward`."""
    schemas: tuple[str, ...] = ()
    """The schemas that it needs, and that are not there before it."""
    table: tuple[str, str] | None = None
    """The new schema and name of a table that is renamed, or whose column is."""
    is_label: bool = False
    is_aside: bool = False
    """Whether it only frees the name of an object that is dropped, for another one."""


@dataclass(frozen=True)
class DraftRevision:
    """The content of one revision file."""

    upgrade: Sequence[Step]
    downgrade: Sequence[Step]
    message: str = ""
    """What is added to the message, where a draft has several revisions: `validate`."""


@dataclass(frozen=True)
class Draft:
    """The revisions that lead from the migrations to the models."""

    revisions: Sequence[DraftRevision]
    undecided: Sequence[str] = field(default_factory=tuple)
    """Sentences about what a person must decide or write by hand: differences that no operation was written for."""
    dangers: Sequence[str] = ()
    """Sentences about what lint finds dangerous for a live database in it, where it was to be staged."""
