"""The executed statements of one direction of a revision, with what each locks and does, and a bar for each table."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from dbkit.lint.estimate import format_duration, format_rows
from dbkit.lint.statement_work import TABLES, LiveSizes
from dbkit.reports.review.model import BLOCKED, Effect, LockBar, LockSpan, Run, Statement
from dbkit.reports.text import row_counts
from dbkit.trace.records import ExecutedStatement, Lock, RelationAccess, Trace
from dbkit.wording import counted

MOST_STATEMENTS = 150
LONGEST_SQL = 6_000
MOST_BARS = 40


def review_run(trace: Trace, live: LiveSizes) -> Run:
    """Return the statements of a trace, and the bars of the tables on which other sessions have to wait."""
    statements = trace.statements[:MOST_STATEMENTS]
    tables = [name for name in _find_tables(trace) if any(each.blocks(name) for each in statements)]
    return Run(
        trace.direction,
        tuple(_review_statements(statements, live)),
        len(trace.statements) - len(statements),
        tuple(_make_bar(name, statements, live) for name in tables[:MOST_BARS]),
        len(statements),
    )


def _review_statements(statements: Sequence[ExecutedStatement], live: LiveSizes) -> Iterator[Statement]:
    transaction = statements[0].transaction if statements else 0
    for number, each in enumerate(statements, 1):
        relations = [name for name, _ in each.inherited_locks] + [access.relation for access in _existing(each)]
        estimate = live.estimate(each)
        yield Statement(
            number,
            each.sql[:LONGEST_SQL],
            max(0, len(each.sql) - LONGEST_SQL),
            each.line,
            max((each.blocks(name) for name in relations), key=BLOCKED.index, default=""),
            tuple(_describe_effects(each)),
            each.transaction != transaction,
            each.in_transaction,
            "" if estimate is None else format_duration(estimate),
        )
        transaction = each.transaction


def _existing(statement: ExecutedStatement) -> Iterator[RelationAccess]:
    return (each for each in statement.touched if each.existed and each.kind in TABLES)


def _describe_effects(statement: ExecutedStatement) -> Iterator[Effect]:
    for each in statement.touched:
        if not each.existed or each.kind not in f"{TABLES}i":
            continue
        words = ["rebuilt" if each.kind == "i" else "rewritten"] if each.rewritten else []
        if each.kind != "i":
            words += ["scanned"] if each.scans and not each.scanned else []
            words += [f"{counted(number, 'row')} {effect}" for effect, number in row_counts(each).items() if number]
        is_strong = each.kind != "i" and each.lock is not None and each.lock >= Lock.ROW_EXCLUSIVE
        if words or is_strong:
            yield Effect(each.relation, str(each.lock) if each.lock else "", tuple(words))


def _find_tables(trace: Trace) -> list[str]:
    """Return the tables from before the revision that are locked, in the order in which they are."""
    found: dict[str, None] = {}
    for statement in trace:
        found |= dict.fromkeys(each.relation for each in _existing(statement))
    return list(found)


def _make_bar(table: str, statements: Sequence[ExecutedStatement], live: LiveSizes) -> LockBar:
    states = [(number, *_find_state(table, each)) for number, each in enumerate(statements, 1)]
    spans = []
    for (blocks, lock), group in groupby(states, key=lambda state: state[1:]):
        numbers = [number for number, *_ in group]
        spans.append(LockSpan(numbers[0], numbers[-1], blocks, lock))
    estimates = [live.estimate(each) for each in statements if each.blocks(table)]
    known = [each for each in estimates if each is not None]
    size = live.tables.get(table)
    return LockBar(
        table,
        tuple(spans),
        format_rows(size.rows) if size else "",
        format_duration(sum(known)) if known else "",
    )


def _find_state(table: str, statement: ExecutedStatement) -> tuple[str, str]:
    """Return what waits for a table during a statement, and the lock on it."""
    blocks = statement.blocks(table)
    if not blocks:
        return "", ""
    held = [each.held for each in statement.touched if each.relation == table and each.held]
    held += [lock for name, lock in statement.inherited_locks if name == table]
    strongest = max(held, default=None)
    # what waits for an index that is rebuilt, does so under a weaker lock of the table
    return blocks, str(strongest) if strongest and strongest.blocks == blocks else "ACCESS EXCLUSIVE on an index"
