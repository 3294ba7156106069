"""Findings from what was seen while a revision ran: of its statements, the tables that were there before it.

Each rule has a page in src/dbkit/lint/pages/, named by its id; what is said of it in general is there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dbkit.findings.finding import LONGEST_SQL, Level, LintFinding
from dbkit.gate.alembic_command import count
from dbkit.lint import suggestions
from dbkit.lint.existing_table import Table
from dbkit.lint.source_rules import ENDS_TRANSACTION, SHARES_REVISION
from dbkit.postgres.sql_text import ends_transaction, plain, targets
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.trace.records import Change, ChangeKind, Lock, Statement, Trace

TABLES = ("r", "p", "m", "f")
# a batch has an end: a limit, or a range of keys
BATCH = re.compile(r"\blimit\b|\bbetween\b|[<>]")
QUERY = re.compile(
    r"\(*(?:(?:select|with|table|values|copy|do|call|declare|fetch|execute|explain)\b"
    r"|create (?:\w+ )*(?:table|materialized view)\b.*\bas\b)"
)
CONCURRENTLY = re.compile(r"\bconcurrently\b")
DROP = re.compile(r"drop\b")
IF_NOT_EXISTS = re.compile(r"create (?:unique )?index concurrently if not exists\b")
DEFINES_TABLE = re.compile(r"(?:create|alter)\b.*?\btable\b")
WRITTEN_AS = {
    kind: re.compile(rf"\b{word}\b")
    for kind, word in (
        ("check", "check"),
        ("foreign key", "references"),
        ("unique", "unique"),
        ("exclusion", "exclude"),
    )
}
"""By the kind of a constraint, the word that defines it."""
OWN_TABLES = re.compile(r"\bdbkit_(?:backfill|journal)\b")


@dataclass(frozen=True)
class Found:
    """A finding of one statement, before it is known whose."""

    id: str
    level: Level
    message: str
    why: str = ""
    instead: str = ""
    blocks: str = ""
    tables: tuple[str, ...] = ()


def advise(outcome: RevisionOutcome, version: int = 0) -> Iterator[LintFinding]:
    """What a traced revision would do to a live database of that major version; 0: of the one it was traced on."""
    for trace in outcome.traces:
        for statement, found in _Reader(trace, version or trace.server_version // 10000).findings():
            advice = LintFinding(
                found.id,
                found.level,
                outcome.revision,
                outcome.path,
                statement.line,
                found.message,
                found.blocks,
                found.why,
                found.instead,
                trace.direction,
                found.tables,
                " ".join(statement.sql.split())[:LONGEST_SQL],
            )
            # nobody waits for a rollback while all goes well
            yield advice if trace.direction == "upgrade" else replace(advice, level=Level.NOTE)


def of_project(outcomes: Sequence[RevisionOutcome], path: Path) -> Iterator[LintFinding]:
    """What is about the whole project; `path` is its env.py."""
    waiting = [
        outcome.revision
        for outcome in outcomes
        if any(_waits_for_ever(statement) for trace in outcome.traces for statement in trace)
    ]
    if waiting:
        yield LintFinding(
            "no-lock-timeout",
            Level.WARNING,
            "",
            path,
            None,
            f"no lock_timeout: {count(len(waiting))} (the last: {waiting[-1]}) would wait for a lock without an end",
            "reads and writes",
            "While a migration waits behind one long transaction, all that come after it wait behind the migration.",
            "connection.execute(text(\"SET lock_timeout = '5s'\"))  # in env.py, before the migrations; and try again",
        )


def _waits_for_ever(statement: Statement) -> bool:
    return not statement.lock_timeout and any(
        each.existed and each.lock is not None and each.lock.blocks for each in statement.touched
    )


class _Reader:
    """Reads one trace from its first statement to its last."""

    def __init__(self, trace: Trace, version: int) -> None:
        self.trace = trace
        self.version = version
        self.kinds: dict[str, str] = {}
        """By name, the kinds of the relations that were there before."""
        self.roots: dict[str, str] = {}
        """By name of a partition, the table at the top."""
        self.made: set[str] = set()
        """Tables that the revision has made, and columns, as table.column."""

    def findings(self) -> Iterator[tuple[Statement, Found]]:
        for statement in self.trace:
            if OWN_TABLES.search(plain(statement.sql)):
                continue
            self.kinds |= {each.relation: each.kind for each in statement.touched if each.existed}
            self.roots |= {each.relation: each.partition_of for each in statement.touched if each.partition_of}
            wholes = self._wholes(statement)
            tables = self._tables(statement, wholes)
            changes = [each for each in statement.changes if each.table not in wholes]
            told = [each for change in changes for each in self._of_change(statement, change, tables)]
            told += self._of_tables(statement, tables, {table for each in told for table in each.tables})
            told += self._of_data(statement, tables)
            told += self._of_text(statement)
            for found in told:
                yield statement, found
            self._remember(statement)

    def _wholes(self, statement: Statement) -> dict[str, str]:
        """By name of a partition, its partitioned table, where the statement does to it what it does to that."""
        there = {name for name, _lock in statement.kept} | {each.relation for each in statement.touched}
        changed = {each.table for each in statement.changes}
        locked = {each.relation for each in statement.touched if each.lock is not None and each.lock.blocks}
        return {
            name: root
            for name, root in self.roots.items()
            if root in there and (root in changed or name not in locked | changed)
        }

    def _tables(self, statement: Statement, wholes: Mapping[str, str]) -> dict[str, Table]:
        """The tables that were there before the revision and that the transaction has locked."""
        touched = [each for each in statement.touched if each.existed]
        names = dict.fromkeys([*dict(statement.kept), *(each.relation for each in touched)])
        return {
            name: Table(
                name,
                self.kinds[name],
                statement,
                [each for each in touched if wholes.get(each.relation, each.relation) == name],
            )
            for name in names
            if self.kinds.get(name) in TABLES and name not in self.made and name not in wholes
        }

    def _remember(self, statement: Statement) -> None:
        for change in statement.changes:
            if change.what == ChangeKind.TABLE_CREATED:
                self.made.add(change.table)
            elif change.what == ChangeKind.COLUMN_ADDED:
                self.made.add(f"{change.table}.{change.name}")
            elif change.what == ChangeKind.TABLE_RENAMED and self.kinds.get(change.before):
                self.kinds[change.after] = self.kinds[change.before]

    # What the catalog shows

    def _of_change(self, statement: Statement, change: Change, tables: Mapping[str, Table]) -> Iterator[Found]:
        table = tables.get(change.table)
        if change.what == ChangeKind.CONSTRAINT_ADDED:
            yield from self._unnamed(statement, change, is_new=table is None)
        if change.what == ChangeKind.CONSTRAINT_ADDED and change.kind == "foreign key" and table is None:
            yield from self._foreign_key_of_new_table(statement, change, tables)
        if table is None:
            return
        if change.what in (ChangeKind.CONSTRAINT_ADDED, ChangeKind.CONSTRAINT_VALIDATED):
            yield from self._constraint(statement, change, table, tables)
        elif change.what == ChangeKind.INDEX_ADDED:
            yield from self._index(statement, change, table)
        elif change.what in (ChangeKind.NOT_NULL_SET, ChangeKind.TYPE_CHANGED, ChangeKind.COLUMN_ADDED):
            yield from self._column(statement, change, table)
        elif change.what in (ChangeKind.TABLE_RENAMED, ChangeKind.COLUMN_RENAMED):
            yield from self._rename(change)
        elif change.what in (ChangeKind.TABLE_DROPPED, ChangeKind.COLUMN_DROPPED):
            yield from self._drop(change)

    def _column(self, statement: Statement, change: Change, table: Table) -> Iterator[Found]:
        if change.what == ChangeKind.TYPE_CHANGED:
            yield from self._type(statement, change, table)
        elif change.what == ChangeKind.NOT_NULL_SET and table.scanned and table.blocks and not table.rewritten:
            yield Found(
                "not-null-by-scan",
                Level.DANGER,
                f"{table.name}: every row is scanned for a NULL in {change.name} while {table.blocks} wait",
                "SET NOT NULL holds ACCESS EXCLUSIVE and reads the whole table, unless a valid check says it.",
                suggestions.not_null(change, self.version),
                table.blocks,
                (table.name,),
            )
        elif change.what == ChangeKind.COLUMN_ADDED and table.rewritten:
            yield Found(
                "volatile-default",
                Level.DANGER,
                f"{table.name}: every row is written anew for {change.name} while {table.blocks} wait",
                "A constant default is only noted in the catalog; one that differs by row (random(), a sequence, an"
                " identity, a stored generated column) is worked out and written for each row.",
                suggestions.volatile_default(change),
                table.blocks,
                (table.name,),
            )

    def _constraint(
        self, statement: Statement, change: Change, table: Table, tables: Mapping[str, Table]
    ) -> Iterator[Found]:
        # what the new type of a column makes anew is told of the type, where it is in the same table
        is_made_anew = change.before and any(each.what == ChangeKind.TYPE_CHANGED for each in statement.changes)
        if not change.valid or change.kind == "not null" or (is_made_anew and change.kind != "foreign key"):
            return
        together = ""
        if change.what == ChangeKind.CONSTRAINT_VALIDATED:
            together = (
                "It was added NOT VALID, and is validated in the transaction that still holds that lock: no better."
            )
        elif is_made_anew:
            together = "It was there before, and is checked again, since a column has another type."
        if change.kind == "check" and table.scanned and table.blocks:
            yield Found(
                "check-in-one-step",
                Level.DANGER,
                f"{table.name}: every row is checked for {change.name} while {table.blocks} wait",
                together or "The check is made and validated in one step, under ACCESS EXCLUSIVE.",
                suggestions.check(change),
                table.blocks,
                (table.name,),
            )
        elif change.kind == "foreign key":
            yield from self._foreign_key(change, table, tables, together)
        elif change.kind in ("unique", "primary key", "exclusion") and _builds(statement, change):
            yield Found(
                "constraint-builds-index",
                Level.DANGER,
                f"{table.name}: the index of {change.name} is built while {table.blocks} wait",
                f"Adding a {change.kind} constraint builds its index under ACCESS EXCLUSIVE.",
                suggestions.constraint_with_index(change, partitioned=table.partitioned),
                table.blocks,
                (table.name,),
            )

    def _foreign_key(self, change: Change, table: Table, tables: Mapping[str, Table], together: str) -> Iterator[Found]:
        parent = tables.get(change.references)
        if not (table.scanned and table.blocks):
            return
        stopped = {table.name: table.blocks}
        if parent and parent.blocks:
            stopped.setdefault(parent.name, parent.blocks)
        yield Found(
            "foreign-key-in-one-step",
            Level.DANGER,
            f"{table.name}: every row is looked up in {change.references} for {change.name} while {_waiting(stopped)}",
            together or "The key is made and validated in one step, with SHARE ROW EXCLUSIVE on both tables.",
            suggestions.foreign_key(change, self.version, partitioned=table.partitioned),
            table.blocks,
            tuple(stopped),
        )

    def _foreign_key_of_new_table(
        self, statement: Statement, change: Change, tables: Mapping[str, Table]
    ) -> Iterator[Found]:
        parent = tables.get(change.references)
        if parent and parent.blocks:
            yield Found(
                "foreign-key-of-new-table",
                Level.NOTE if statement.lock_timeout else Level.WARNING,
                f"{parent.name}: {parent.blocks} wait until the end of the transaction, for {change.name} of the new"
                f" {change.table}",
                "A foreign key takes SHARE ROW EXCLUSIVE on the table that it references, also that of a new table.",
                suggestions.foreign_key_of_new_table(change),
                parent.blocks,
                (parent.name,),
            )

    def _unnamed(self, statement: Statement, change: Change, *, is_new: bool) -> Iterator[Found]:
        """A primary key is the only one of its table, and NOT NULL is dropped by the column's name."""
        written = WRITTEN_AS.get(change.kind)
        text = plain(statement.sql)
        if not written or not DEFINES_TABLE.match(text) or not written.search(text):
            return
        if change.name.lower() not in statement.sql.lower():
            yield Found(
                "unnamed-constraint",
                Level.NOTE if is_new else Level.WARNING,
                f"{change.table}: the server has named a {change.kind} constraint {change.name}",
                "What drops it later has to know that name, which depends on what was there before; the models do not.",
                suggestions.named(change),
                tables=(change.table,),
            )

    def _index(self, statement: Statement, change: Change, table: Table) -> Iterator[Found]:
        of_constraint = any(
            each.what == ChangeKind.CONSTRAINT_ADDED and each.name == change.name and each.table == change.table
            for each in statement.changes
        )
        waiting = table.blocks or ("refreshes" if table.is_view and table.lock >= Lock.SHARE else "")
        if of_constraint or not waiting or change.name in _built_anew(statement):
            return
        yield Found(
            "index-without-concurrently",
            Level.DANGER,
            f"{table.name}: {change.name} is built while {waiting} wait",
            "CREATE INDEX holds SHARE until the end of the transaction: nobody refreshes the view, and reads wait"
            " behind a REFRESH that does. CONCURRENTLY lets them."
            if table.is_view
            else "CREATE INDEX holds SHARE until the end of the transaction: nobody writes. CONCURRENTLY lets them.",
            suggestions.index(change, partitioned=table.partitioned),
            table.blocks,
            (table.name,),
        )

    def _type(self, statement: Statement, change: Change, table: Table) -> Iterator[Found]:
        rebuilt = _built_anew(statement)
        if not table.rewritten and not (rebuilt and table.scanned):
            return
        what = "every row is written anew" if table.rewritten else f"{', '.join(rebuilt)} is built anew"
        yield Found(
            "type-change-rewrites",
            Level.DANGER,
            f"{table.name}: {what} while {table.blocks} wait: {change.name} was {change.before}, is {change.after}",
            "Values are stored in another way, so that the table and all its indexes are made anew.",
            suggestions.type_change(change),
            table.blocks,
            (table.name,),
        )

    def _rename(self, change: Change) -> Iterator[Found]:
        is_table = change.what == ChangeKind.TABLE_RENAMED
        if f"{change.table}.{change.name}" in self.made or (is_table and self._is_taken_again(change.before)):
            return
        what = "table" if is_table else "column"
        name = f"{change.table}.{change.before}" if change.name else change.before
        yield Found(
            "rename-breaks-code",
            Level.WARNING,
            f"{name}: the {what} is called {change.after} now, and code that runs meanwhile asks for the old name",
            "Between the migration and the last restart, old code meets the new schema.",
            suggestions.rename(change),
            tables=(change.table,),
        )

    def _is_taken_again(self, table: str) -> bool:
        """Whether something has the old name of a table within the revision: a view, or another table."""
        views = (each for statement in self.trace for each in statement.touched if each.kind in ("v", "m"))
        names = {each.relation for each in views if not each.existed}
        for change in (each for statement in self.trace for each in statement.changes):
            names |= {change.after} if change.what == ChangeKind.TABLE_RENAMED else set()
            names |= {change.table} if change.what == ChangeKind.TABLE_CREATED else set()
        return table in names

    def _drop(self, change: Change) -> Iterator[Found]:
        is_table = change.what == ChangeKind.TABLE_DROPPED
        if f"{change.table}.{change.name}" in self.made or (is_table and self._is_taken_again(change.table)):
            return
        name = f"{change.table}.{change.name}" if change.name else change.table
        what = "table" if is_table else "column"
        yield Found(
            "drop-breaks-code",
            Level.WARNING,
            f"{name}: the {what} goes, and code that runs meanwhile may still ask for it",
            "Models name all columns in their SELECTs: old code fails until its last process has restarted."
            " What it held is gone, too.",
            "# first release the code that does not use it; then drop it, and say so: # dbkit: ok drop-breaks-code, …",
            tables=(change.table,),
        )

    # What the counters show

    def _of_tables(self, statement: Statement, tables: Mapping[str, Table], told: set[str]) -> Iterator[Found]:
        """Scans and rewrites that no other rule has told."""
        new = {each.relation for each in statement.touched if each.lock is not None and each.lock.blocks}
        for table in tables.values():
            if table.name in told or not table.blocks or table.name not in new:
                continue
            if table.rewritten:
                yield Found(
                    "rewrite-under-lock",
                    Level.DANGER,
                    f"{table.name}: every row is written anew while {table.blocks} wait",
                    "The statement makes a new copy of the table under its lock.",
                    suggestions.rewrite(table.name, statement.sql),
                    table.blocks,
                    (table.name,),
                )
            elif table.scanned and not table.changed and not _fails_on_a_row(statement, table):
                yield Found(
                    "scan-under-lock",
                    Level.DANGER,
                    f"{table.name}: every row is read while {table.blocks} wait ({table.lock})",
                    "The lock is held for as long as reading the table takes.",
                    suggestions.scan(statement.sql),
                    table.blocks,
                    (table.name,),
                )

    def _of_data(self, statement: Statement, tables: Mapping[str, Table]) -> Iterator[Found]:
        changed = [table for table in tables.values() if table.changed or table.is_searched]
        read = [table for table in tables.values() if table.scanned]
        held = [(name, lock) for name, lock in statement.kept if lock.blocks and name in tables]
        writes = any(each.written or each.opened for each in statement.touched) or bool(targets(statement.sql))
        is_data = bool(changed or (read and writes))
        # a query holds up whoever waits for the lock as an UPDATE does
        alters = any(each.table in tables for each in statement.changes)
        is_query = bool(read) and bool(QUERY.match(plain(statement.sql))) and not alters
        if statement.changes and is_data:  # a function that does both
            held += [(table.name, table.lock) for table in tables.values() if table.blocks]
        if held and (is_data or is_query):
            stopped = {name: lock.blocks for name, lock in sorted(held, key=lambda each: each[1])}
            subject = ", ".join(table.name for table in changed or read)
            yield Found(
                "lock-kept-during-data-change",
                Level.DANGER if is_data or max(lock for _, lock in held) == Lock.ACCESS_EXCLUSIVE else Level.WARNING,
                f"{_waiting(stopped)} while the rows of {subject} are {'worked on' if is_data else 'read'}, under the"
                " lock of an earlier statement",
                "A lock is held until the end of its transaction, which now takes as long as the rows do.",
                "# schema in one revision, data in the next\n" + suggestions.in_batches(subject)
                if is_data
                else "# read first, before anything is locked; or in a revision of its own",
                max(lock for _, lock in held).blocks,
                tuple(sorted(stopped)),
            )
        for table in changed:
            if is_data and (statement.in_transaction or not BATCH.search(plain(statement.sql))):
                yield Found(
                    "data-in-one-transaction",
                    Level.WARNING,
                    f"{table.name}: {'' if table.changed else 'up to '}all rows are changed in one transaction",
                    "Every row stays locked until its end, nothing is cleaned up meanwhile, standbys fall behind, and a"
                    " failure near the end has to undo all of it.",
                    suggestions.in_batches(table.name),
                    tables=(table.name,),
                )

    # What the text shows

    def _of_text(self, statement: Statement) -> Iterator[Found]:
        text = plain(statement.sql)
        if not statement.outside and ends_transaction(statement.sql):
            yield Found("commit-by-hand", Level.DANGER, *ENDS_TRANSACTION)
        if statement.unseen:
            words = f"its locks could not be seen, so nothing is known of this statement: {statement.unseen}"
            yield Found("not-traced", Level.WARNING, words)
        if IF_NOT_EXISTS.match(text):
            yield Found(
                "concurrently-if-not-exists",
                Level.WARNING,
                "IF NOT EXISTS passes over the invalid index that a failed CONCURRENTLY has left",
                "A build that was cut short leaves an index that is not used and slows writes; the next try skips it.",
                'op.execute("DROP INDEX CONCURRENTLY IF EXISTS …")  # first; then create it without IF NOT EXISTS',
            )
        is_concurrent = CONCURRENTLY.search(text) and not DROP.match(text) and not statement.in_transaction
        if is_concurrent and self._has_others(statement):
            yield Found("autocommit-block-shared", Level.WARNING, *SHARES_REVISION)

    def _has_others(self, statement: Statement) -> bool:
        return any(
            each is not statement and (each.changes or any(touched.written for touched in each.touched))
            for each in self.trace
            if not (CONCURRENTLY.search(plain(each.sql)) and DROP.match(plain(each.sql)))
        )


def _waiting(stopped: Mapping[str, str]) -> str:
    """What waits for which tables, in words."""
    by_what: dict[str, list[str]] = {}
    for name, blocks in sorted(stopped.items()):
        by_what.setdefault(blocks, []).append(name)
    parts = [f"{blocks} to {' and '.join(names)}" for blocks, names in sorted(by_what.items())]
    return f"{', and '.join(parts)} wait"


def _fails_on_a_row(statement: Statement, table: Table) -> bool:
    """Whether it adds a column that must not be NULL, and is: no row is read after the first."""
    return any(
        each.what == ChangeKind.COLUMN_ADDED and each.table == table.name and each.kind == "not null" and not each.after
        for each in statement.changes
    )


def _built_anew(statement: Statement) -> list[str]:
    """The indexes that went and came back in one statement, and those that have other files."""
    gone = {each.name for each in statement.changes if each.what == ChangeKind.INDEX_DROPPED}
    back = [each.name for each in statement.changes if each.what == ChangeKind.INDEX_ADDED and each.name in gone]
    return back + [each.relation for each in statement.touched if each.kind == "i" and each.rewritten]


def _builds(statement: Statement, change: Change) -> bool:
    return any(each.what == ChangeKind.INDEX_ADDED and each.name == change.name for each in statement.changes)
