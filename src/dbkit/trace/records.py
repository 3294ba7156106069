"""The records of a trace: the statements of one upgrade or downgrade, with their locks and changes."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from dbkit.backports import StrEnum
from dbkit.errors import EnvInterrupt


class TraceFailed(EnvInterrupt):
    """The tracer itself has failed, and perhaps the transaction with it: the revision is to be run without it."""


class Lock(IntEnum):
    """The lock levels of a table, the weakest first.

    https://www.postgresql.org/docs/18/explicit-locking.html#LOCKING-TABLES
    """

    ACCESS_SHARE = 1
    ROW_SHARE = 2
    ROW_EXCLUSIVE = 3
    SHARE_UPDATE_EXCLUSIVE = 4
    SHARE = 5
    SHARE_ROW_EXCLUSIVE = 6
    EXCLUSIVE = 7
    ACCESS_EXCLUSIVE = 8

    @property
    def mode(self) -> str:
        """Return the name that pg_locks has: `ShareRowExclusiveLock`."""
        return f"{self.name.title().replace('_', '')}Lock"

    def __str__(self) -> str:
        return self.name.replace("_", " ")

    @property
    def blocks(self) -> str:
        """Return which work of applications waits for the lock: "reads and writes", "writes", or ""."""
        if self == Lock.ACCESS_EXCLUSIVE:
            return "reads and writes"
        return "writes" if self >= Lock.SHARE else ""


class ChangeKind(StrEnum):
    """A kind of change to a table, to what belongs to it, to another schema object or to the session."""

    TABLE_CREATED = "table created"
    TABLE_DROPPED = "table dropped"
    TABLE_RENAMED = "table renamed"
    COLUMN_ADDED = "column added"
    COLUMN_DROPPED = "column dropped"
    COLUMN_RENAMED = "column renamed"
    TYPE_CHANGED = "type changed"
    NOT_NULL_SET = "not null set"
    DEFAULT_CHANGED = "default changed"
    CONSTRAINT_ADDED = "constraint added"
    CONSTRAINT_VALIDATED = "constraint validated"
    CONSTRAINT_DROPPED = "constraint dropped"
    INDEX_ADDED = "index added"
    INDEX_DROPPED = "index dropped"
    TRIGGER_ADDED = "trigger added"
    TRIGGER_DROPPED = "trigger dropped"
    TRIGGER_DISABLED = "trigger disabled"
    RULE_ADDED = "rule added"
    RULE_DROPPED = "rule dropped"
    OPTION_SET = "option set"
    NOT_NULL_DROPPED = "not null dropped"
    OWNER_CHANGED = "owner changed"
    PARTITION_DETACHED = "partition detached"
    POLICY_DROPPED = "policy dropped"
    ROW_SECURITY_CHANGED = "row security changed"
    TABLE_TRUNCATED = "table truncated"
    SEQUENCE_SET = "sequence set"
    OBJECT_CREATED = "object created"
    OBJECT_DROPPED = "object dropped"
    OBJECT_RENAMED = "object renamed"
    OBJECT_CHANGED = "object changed"
    LABEL_ADDED = "label added"
    LABEL_RENAMED = "label renamed"
    PRIVILEGE_REVOKED = "privilege revoked"
    PRIVILEGE_GRANTED = "privilege granted"
    SETTING_CHANGED = "setting changed"
    CATALOG_WRITTEN = "catalog written"


@dataclass(frozen=True)
class Change:
    """One change that a statement made, as the catalog shows it."""

    what: ChangeKind
    table: str
    """Its name before, schema-qualified where it is not in the search path; or that of another object."""
    name: str = ""
    """The name of the column, constraint, index, label or setting; for a renamed one, the name before."""
    kind: str = ""
    """For a constraint: check, foreign key, unique, primary key, exclusion, not null. For an index: unique or "";
    for one that was dropped, unique only if no other one is left on the same columns.

    For a column that was added, or has another default: "not null" if it is. For a trigger: "before row", or "enabled
    again". For a table whose row security has changed: on, forced or "". For a sequence that was set: its name. For
    another object, and for privileges on it: view, function…
    """
    before: str = ""
    after: str = ""
    """Definitions: the type of a column, its new name, the text of a constraint or an index.

    A constraint that was added has a `before` where the statement has dropped one of that name.
    """
    valid: bool = True
    """False for a constraint that is NOT VALID, and for a sequence whose next key is there."""
    references: str = ""
    """The other table of a foreign key."""
    columns: tuple[str, ...] = ()
    """The columns of a constraint or of a view, the labels of an enum, the signatures of a function, the privileges,
    the commands that row security limits."""
    detail: str = ""
    """For a check, a row of defaults that it refuses; for another type, the setting that decides on a rewrite; for a
    sequence that was set, the greatest key; for row security, whether it limits other commands than before."""


@dataclass(frozen=True)
class RelationAccess:
    """The use of one relation by one executed statement."""

    relation: str
    """Its name before the statement, schema-qualified where it is not in the search path."""
    kind: str
    """pg_class.relkind: r table, p partitioned table, i index, m materialized view, v view, S sequence…"""
    existed: bool
    """Whether it was there before the revision."""
    lock: Lock | None = None
    """The strongest lock that this statement has newly taken, where it had none as strong in its transaction."""
    held: Lock | None = None
    """The strongest lock that is held on it after the statement, until the end of the transaction.

    For a statement that begins and ends transactions itself: while it runs.
    """
    before: Lock | None = None
    """The strongest lock that earlier statements of the same transaction hold on it."""
    rewritten: bool = False
    """Whether all of its rows were rewritten; for an index, whether it was rebuilt."""
    scans: int = 0
    """The number of scans of the table itself, also where it is empty and no row is read."""
    scanned: int = 0
    """Rows read, by scans of the table and through its indexes."""
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    opened: bool = False
    """Whether it was opened to change rows for the first time in the transaction, whatever locks there were."""
    table: str = ""
    """For an index, its table."""
    partition_of: str = ""
    """For a partition, the partitioned table at the top."""
    unique_keys: tuple[tuple[str, ...], ...] = ()
    """The columns of each unique index on a table whose rows were changed."""

    @property
    def written(self) -> int:
        """Return how many rows were inserted, updated or deleted."""
        return self.inserted + self.updated + self.deleted


@dataclass(frozen=True)
class ExecutedStatement:
    """One executed statement."""

    sql: str
    """With its parameters as literals."""
    line: int | None
    """The line of the revision file; None where the file did not call what executed it."""
    transaction: int
    """Its number: statements with the same number shared a transaction."""
    in_transaction: bool = True
    """False for one that ran in autocommit."""
    touched: tuple[RelationAccess, ...] = ()
    """Its use of each relation that existed before the revision, or that the revision has created."""
    changes: tuple[Change, ...] = ()
    inherited_locks: tuple[tuple[str, Lock], ...] = ()
    """Relations that existed before the revision, each with the lock of earlier statements of the transaction."""
    seconds: float = 0.0
    lock_timeout: bool = False
    """Whether the session had a lock_timeout, by env.py or by the migration."""
    outside: bool = False
    """Whether it ran outside of Alembic's transaction: in an autocommit_block(), or on another connection."""
    unseen: str = ""
    """Why the locks of a statement that begins and ends transactions itself could not be read; "" where they were."""

    def blocks(self, table: str) -> str:
        """Return which work of applications with a table waits after it, by the locks on the table and its indexes.

        A query takes a lock on each index of its tables when it is planned, so one that is being rebuilt blocks it.
        https://www.postgresql.org/docs/18/sql-reindex.html#SQL-REINDEX-REBUILDING-INDEXES-CONCURRENTLY
        """
        held = [each.held for each in self.touched if each.relation == table and each.held]
        held += [lock for name, lock in self.inherited_locks if name == table]
        indexes = (each for each in self.touched if each.table == table and each.existed)
        if any(each.held == Lock.ACCESS_EXCLUSIVE for each in indexes):
            return Lock.ACCESS_EXCLUSIVE.blocks
        return max(held).blocks if held else ""


@dataclass(frozen=True)
class Trace:
    """The executed statements of one upgrade() or downgrade()."""

    direction: str
    """"upgrade" or "downgrade"."""
    statements: tuple[ExecutedStatement, ...] = ()
    server_version: int = 0
    """As server_version_num: 180001."""

    def __iter__(self) -> Iterator[ExecutedStatement]:
        return iter(self.statements)
