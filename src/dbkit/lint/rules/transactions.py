"""Rules on transactions: what ends them, and what runs outside of them."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dbkit.findings.finding import LONGEST_SQL, Level, LintFinding
from dbkit.lint.rules.rule import Violation, statement_rule
from dbkit.lint.trace_reader import TracedStatement
from dbkit.postgres.sql_text import ends_transaction, plain
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.trace.records import ChangeKind, ExecutedStatement, Trace
from dbkit.wording import counted

CONCURRENTLY = re.compile(r"\bconcurrently\b")
DROP = re.compile(r"drop\b")
IF_NOT_EXISTS = re.compile(r"create (?:unique )?index concurrently if not exists\b")
ENDS_TRANSACTION = Violation(
    "it ends Alembic's transaction by hand",
    "Later statements run without a transaction: a failure leaves the revision half done, and unrecorded.",
    "with op.get_context().autocommit_block():\n    …  # alone in its revision",
)
SHARES_REVISION = Violation(
    "it runs outside the transaction, and shares its revision with other changes",
    "The block commits what comes before it. If it fails, that remains, and the revision cannot be run again.",
    "# a separate revision for the block, so that a failure leaves nothing half done",
)


@statement_rule("commit-by-hand", Level.DANGER)
def commit_by_hand(traced: TracedStatement) -> Iterator[Violation]:
    """Report COMMIT, ROLLBACK and the like in Alembic's transaction."""
    if not traced.statement.outside and ends_transaction(traced.statement.sql):
        yield ENDS_TRANSACTION


@statement_rule("not-traced", Level.WARNING)
def not_traced(traced: TracedStatement) -> Iterator[Violation]:
    """Report a statement whose locks could not be read."""
    if traced.statement.unseen:
        yield Violation(f"its locks could not be read, so its effect is unknown: {traced.statement.unseen}")


@statement_rule("concurrently-if-not-exists", Level.WARNING)
def concurrently_if_not_exists(traced: TracedStatement) -> Iterator[Violation]:
    """Report CREATE INDEX CONCURRENTLY IF NOT EXISTS."""
    if IF_NOT_EXISTS.match(traced.plain_sql):
        yield Violation(
            "IF NOT EXISTS skips an invalid index that a failed CREATE INDEX CONCURRENTLY left",
            "An interrupted build leaves an index that no query uses and every write maintains; the next run skips it.",
            'op.execute("DROP INDEX CONCURRENTLY IF EXISTS …")  # first; then create it without IF NOT EXISTS',
        )


@statement_rule("autocommit-block-shared", Level.WARNING)
def autocommit_block_shared(traced: TracedStatement) -> Iterator[Violation]:
    """Report a concurrent build in a revision that has other changes."""
    is_build = CONCURRENTLY.search(traced.plain_sql) and not DROP.match(traced.plain_sql)
    if is_build and not traced.statement.in_transaction and _has_other_changes(traced):
        yield SHARES_REVISION


def _has_other_changes(traced: TracedStatement) -> bool:
    return any(
        each is not traced.statement and (each.changes or any(access.written for access in each.touched))
        for each in traced.trace
        if not _drops_concurrently(each)
    )


def _drops_concurrently(statement: ExecutedStatement) -> bool:
    text = plain(statement.sql)
    return bool(CONCURRENTLY.search(text) and DROP.match(text))


def find_without_lock_timeout(outcomes: Sequence[RevisionOutcome]) -> tuple[str, ...]:
    """Return the ids of the revisions that take blocking locks without a lock_timeout."""
    return tuple(
        outcome.revision
        for outcome in outcomes
        if not any(map(_takes_limit_off, outcome.traces))
        and any(_waits_without_limit(statement) for trace in outcome.traces for statement in trace)
    )


def find_missing_lock_timeout(waiting: Sequence[str], env_py: Path) -> Iterator[LintFinding]:
    """Yield one finding, at env.py, if revisions wait without a limit."""
    if waiting:
        migrations = counted(len(waiting), "migration")
        yield LintFinding(
            "no-lock-timeout",
            Level.WARNING,
            "",
            env_py,
            None,
            f"no lock_timeout: {migrations} (the last: {waiting[-1]}) would wait for a lock without a limit",
            "reads and writes",
            "While a migration waits behind one long transaction, all later queries wait behind the migration.",
            "connection.execute(text(\"SET lock_timeout = '5s'\"))  # in env.py, before the migrations; and retry",
        )


def find_shared_enum_values(outcomes: Sequence[RevisionOutcome]) -> Iterator[LintFinding]:
    """Yield the uses of enum labels that an earlier revision adds, where all revisions share one transaction."""
    added: dict[str, RevisionOutcome] = {}
    for outcome in outcomes:
        statements = [each for trace in outcome.traces if trace.direction == "upgrade" for each in trace]
        for label, adding in added.items():
            uses = (each for each in statements if f"'{label}'" in each.sql)
            use = next(uses, None)
            if use:
                yield LintFinding(
                    "enum-value-in-one-transaction",
                    Level.DANGER,
                    outcome.revision,
                    outcome.path,
                    use.line,
                    f"it uses the label {label}, which {adding.revision} adds, and env.py runs both in one transaction",
                    why="A new label can be used only after the transaction that adds it: an upgrade over both"
                    ' revisions fails with "unsafe use of new value".',
                    fix="context.configure(…, transaction_per_migration=True)  # in env.py",
                    sql=" ".join(use.sql.split())[:LONGEST_SQL],
                )
        added |= dict.fromkeys(added_labels(outcome), outcome)


def added_labels(outcome: RevisionOutcome) -> list[str]:
    """Return the enum labels that the upgrade of a revision adds in its transaction."""
    statements = (each for trace in outcome.traces if trace.direction == "upgrade" for each in trace)
    inside = (each for each in statements if each.in_transaction and not each.outside)
    return [change.name for each in inside for change in each.changes if change.what == ChangeKind.LABEL_ADDED]


def _takes_limit_off(trace: Trace) -> bool:
    """Return whether a migration takes off the limit that env.py has set, which is reported there."""
    return any(
        change.what == ChangeKind.SETTING_CHANGED and change.name == "lock_timeout"
        for statement in trace
        for change in statement.changes
    )


def _waits_without_limit(statement: ExecutedStatement) -> bool:
    return not statement.lock_timeout and any(
        each.existed and each.lock is not None and each.lock.blocks for each in statement.touched
    )
