"""The plan of a migration: the SQL of the pending revisions, as executed on a scratch database, with locks and times.

Times are estimated from the sizes of the live tables, at rates that were measured on the scratch server.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from dbkit.lint.existing_table import ExistingTable
from dbkit.lint.table_sizes import TableSize
from dbkit.lint.timing import Rates
from dbkit.lint.trace_reader import OWN_TABLES, TracedStatement, find_created, read_statements
from dbkit.postgres.sql_text import plain
from dbkit.preflight.outcome import PendingRevision
from dbkit.preflight.run import list_pending
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.trace.records import ChangeKind, ExecutedStatement, Lock, Trace

TABLES = ("r", "p")
"""The kinds of relations whose rows a backfill changes, as in pg_class.relkind."""
BUILDS_INDEX = ("unique", "primary key", "exclusion")
"""The kinds of constraints that come with an index."""


@dataclass(frozen=True)
class Work:
    """The work of a statement on the rows of one table."""

    table: str
    kind: str
    """scan, lookup, index, update or rewrite, as in dbkit.lint.timing."""
    rows: int | None = None
    """The rows of the live table; None where its size is not known."""
    seconds: float | None = None

    @property
    def is_bound(self) -> bool:
        """Whether it may be less: an UPDATE need not change all rows."""
        return self.kind == "update"


@dataclass(frozen=True)
class NewLock:
    """A lock on a table from before the revision, which a statement takes."""

    table: str
    lock: Lock


@dataclass(frozen=True)
class PlannedStatement:
    """One statement, as it was executed."""

    sql: str
    line: int | None
    transaction: int
    """Its number: statements with the same number share a transaction."""
    in_transaction: bool
    locks: tuple[NewLock, ...]
    work: tuple[Work, ...]
    is_batch: bool = False
    """Whether it is the first one of a backfill, whose batches are committed separately."""


@dataclass(frozen=True)
class Wait:
    """A table whose readers or writers wait while a transaction of the revision runs."""

    table: str
    blocks: str
    """"writes", or "reads and writes"."""
    seconds: float | None
    """From the lock to the end of the transaction; None where a size that it depends on is not known."""


@dataclass(frozen=True)
class PlannedRevision:
    """A pending revision: what it asks of the rows, and its statements."""

    pending: PendingRevision
    statements: tuple[PlannedStatement, ...]
    untraced: str = ""
    """Why its statements are not known, although it works."""

    @cached_property
    def seconds(self) -> float | None:
        """About how long it takes; None where the size of a table is not known."""
        return _add(work for each in self.statements for work in each.work)

    @cached_property
    def waits(self) -> tuple[Wait, ...]:
        """The tables that it blocks, for how long."""
        return tuple(_find_waits(self.statements))


@dataclass(frozen=True)
class Plan:
    """The revisions that an upgrade of a database would apply, with all that they would run."""

    database: str
    """Its name and its server."""
    current: tuple[str, ...]
    revisions: tuple[PlannedRevision, ...]
    has_sizes: bool
    """Whether the sizes of the live tables are known."""

    @property
    def seconds(self) -> float | None:
        """About how long it takes; None where the size of a table is not known."""
        found = [each.seconds for each in self.revisions]
        return None if None in found or not self.has_sizes else sum(each for each in found if each)

    @property
    def unknown(self) -> list[str]:
        """The tables with work whose sizes are not known."""
        work = (one for each in self.revisions for statement in each.statements for one in statement.work)
        return sorted({each.table for each in work if each.seconds is None})

    @property
    def failed(self) -> bool:
        """Whether the upgrade of a revision does not work in a scratch database, which is not accepted."""
        return any(each.pending.problem and each.pending.accepted is None for each in self.revisions)


def make_plan(
    database: str,
    current: tuple[str, ...],
    outcomes: Sequence[RevisionOutcome],
    sizes: Mapping[str, TableSize] | None,
    measure: Callable[[], Rates],
) -> Plan:
    """Make the plan from the traced outcomes of the pending revisions.

    `sizes`: those of the live tables, None where they are not known; `measure` is called where a time depends on one.
    """
    revisions = []
    created: frozenset[str] = frozenset()  # what the database does not have yet
    for pending, outcome in zip(list_pending(outcomes), outcomes, strict=True):
        upgrades = [trace for trace in outcome.traces if trace.direction == "upgrade"]
        statements = [each for trace in upgrades for each in _drop_repeated_work(_plan_statements(trace, created))]
        revisions.append(PlannedRevision(pending, tuple(statements), outcome.untraced))
        for trace in upgrades:
            created = find_created(trace, created)
    if sizes and any(work.table in sizes for each in revisions for one in each.statements for work in one.work):
        rates = measure()
        revisions = [_estimate(each, sizes, rates) for each in revisions]
    return Plan(database, current, tuple(revisions), sizes is not None)


def _plan_statements(trace: Trace, created: Collection[str]) -> Iterator[PlannedStatement]:
    """Yield the statements of a trace; of a call of dbkit.backfill only the first batch, without its bookkeeping.

    `created`: what earlier revisions create, which are pending, too.
    """
    traced = {each.number: each for each in read_statements(trace, trace.server_version // 10000, created)}
    shown: set[int | None] = set()
    backfills = {each.line for each in trace if each.line and OWN_TABLES.search(plain(each.sql))}
    for number, statement in enumerate(trace):
        if statement.line in backfills:
            changed = () if statement.line in shown else tuple(_find_changed(statement))
            if changed:
                shown.add(statement.line)
                known = [each for each in changed if each not in created]
                locks = tuple(NewLock(each, Lock.ROW_EXCLUSIVE) for each in known)
                yield _plan_statement(statement, locks, tuple(Work(each, "update") for each in known), is_batch=True)
        elif number in traced:
            locks, work = tuple(_find_locks(traced[number])), tuple(_find_work(traced[number]))
            yield _plan_statement(statement, locks, work)


def _plan_statement(
    statement: ExecutedStatement, locks: tuple[NewLock, ...], work: tuple[Work, ...], *, is_batch: bool = False
) -> PlannedStatement:
    return PlannedStatement(
        statement.sql, statement.line, statement.transaction, statement.in_transaction, locks, work, is_batch
    )


def _find_changed(statement: ExecutedStatement) -> Iterator[str]:
    """Yield the tables from before the revision whose rows a statement changes, without dbkit's own."""
    for each in statement.touched:
        if each.existed and each.kind in TABLES and each.written and not OWN_TABLES.search(each.relation):
            yield each.relation


def _drop_repeated_work(statements: Iterator[PlannedStatement]) -> Iterator[PlannedStatement]:
    """Yield the statements; a loop at one line does its work on a table once."""
    seen: set[tuple[int | None, Work]] = set()
    for each in statements:
        yield replace(each, work=tuple(work for work in each.work if (each.line, work) not in seen))
        seen |= {(each.line, work) for work in each.work if each.line}


def _find_locks(traced: TracedStatement) -> Iterator[NewLock]:
    for each in traced.statement.touched:
        if each.relation in traced.tables and each.lock is not None and each.lock >= Lock.ROW_EXCLUSIVE:
            yield NewLock(each.relation, each.lock)


def _find_work(traced: TracedStatement) -> Iterator[Work]:
    for table in traced.tables.values():
        yield from (Work(table.name, kind) for kind in _find_kinds(traced, table))


def _find_kinds(traced: TracedStatement, table: ExistingTable) -> Iterator[str]:
    changes = [each for each in traced.changes if each.table == table.name]
    indexes = [
        each
        for each in changes
        if each.what == ChangeKind.INDEX_ADDED
        or (each.what == ChangeKind.CONSTRAINT_ADDED and each.kind in BUILDS_INDEX)
    ]
    if table.is_rewritten:
        yield "rewrite"  # with its indexes
    elif indexes:
        yield from ["index"] * len({each.name for each in indexes})
    elif any(_checks_key(each.what) and each.kind == "foreign key" and each.valid for each in changes):
        yield "lookup"
    elif table.changed_rows or table.is_searched:
        yield "update"
    elif table.is_scanned:
        yield "scan"


def _checks_key(what: ChangeKind) -> bool:
    return what in (ChangeKind.CONSTRAINT_ADDED, ChangeKind.CONSTRAINT_VALIDATED)


def _estimate(revision: PlannedRevision, sizes: Mapping[str, TableSize], rates: Rates) -> PlannedRevision:
    def estimate(work: Work) -> Work:
        size = sizes.get(work.table)
        return replace(work, rows=size.rows, seconds=rates.predict(work.kind, size)) if size else work

    statements = tuple(replace(each, work=tuple(map(estimate, each.work))) for each in revision.statements)
    return replace(revision, statements=statements)


def _find_waits(statements: Sequence[PlannedStatement]) -> Iterator[Wait]:
    found: dict[str, Wait] = {}
    for number, statement in enumerate(statements):
        same = [each for each in statements[number:] if each.transaction == statement.transaction]
        seconds = _add(work for each in same for work in each.work)
        for each in statement.locks:
            blocks = each.lock.blocks
            former = found.get(each.table)
            if blocks and (former is None or len(former.blocks) < len(blocks)):
                longest = _longest(former.seconds, seconds) if former else seconds
                found[each.table] = Wait(each.table, blocks, longest)
    yield from found.values()


def _longest(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)


def _add(work: Iterator[Work]) -> float | None:
    seconds = [each.seconds for each in work]
    return None if None in seconds else sum(each for each in seconds if each)
