"""Rules on what a migration switches off: triggers, foreign keys, the system's own rules, the time limit for locks."""

import re
from collections.abc import Iterator

from dbkit.findings.finding import Level
from dbkit.lint.rules.rule import Violation, change_rule, statement_rule
from dbkit.lint.trace_reader import TracedStatement
from dbkit.postgres.sql_text import without_comments
from dbkit.trace.records import Change, ChangeKind

REPLICA = re.compile(r"session_replication_role\W+(?:to\b\W*|=\W*)?replica\b", re.IGNORECASE)
DISABLES = re.compile(r"\bdisable\s+trigger\s+(\S+)", re.IGNORECASE)
FOREIGN_KEY = "RI_ConstraintTrigger"
UNCHECKED = "Foreign keys are triggers, too: what is written meanwhile is not checked, and no later VALIDATE finds it."


@statement_rule("checks-switched-off", Level.DANGER)
def checks_switched_off(traced: TracedStatement) -> Iterator[Violation]:
    """Report session_replication_role = replica, and disabled triggers of tables from before."""
    changes = traced.statement.changes
    roles = [each for each in changes if each.name == "session_replication_role" and each.after == "replica"]
    if roles or _has(REPLICA, traced.statement.sql):
        yield Violation(
            "session_replication_role is replica: no trigger fires, and no foreign key is checked",
            UNCHECKED,
            "# write the rows with the checks on; in batches, if there are many",
        )
    disabled: dict[str, list[str]] = {}
    for each in changes:
        # a trigger of a foreign key is altered by other commands, too
        is_disabled = each.what == ChangeKind.TRIGGER_DISABLED
        if is_disabled and (each.kind != "enabled again" or any(_has(DISABLES, sql) for sql in traced.sql_until)):
            disabled.setdefault(each.table, []).append(each.name)
    for table, names in disabled.items():
        if table not in traced.tables:
            continue
        shown = ", ".join(name for name in names if not name.startswith(FOREIGN_KEY))
        yield Violation(
            f"{table}: triggers are disabled ({shown or 'those of its foreign keys'})",
            f"They do not fire for other sessions either, once it is committed. {UNCHECKED}",
            "# let the trigger's function return early for this session, by a setting that it reads",
            tables=(table,),
        )


def _has(pattern: re.Pattern[str], sql: str) -> bool:
    """Return whether a text matches outside of its comments, which are removed only where it matters."""
    return bool(pattern.search(sql) and pattern.search(without_comments(sql)))


@change_rule("catalog-written", Level.DANGER)
def catalog_written(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a table of the system that a migration writes to by itself."""
    # commands keep some of these locks, too
    if change.what == ChangeKind.CATALOG_WRITTEN and any(change.table in text.lower() for text in traced.sql_until):
        yield Violation(
            f"{change.table}: the system catalog is written by hand",
            "It takes no lock that other sessions notice, is not checked, and may make tables unreadable; a constraint"
            " that is marked as valid is believed without a look at the rows.",
            "# use the command for it: ALTER TABLE … VALIDATE CONSTRAINT, ALTER TYPE, ALTER TABLE … ALTER COLUMN",
        )


@change_rule("no-lock-timeout", Level.WARNING)
def lock_timeout_switched_off(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a lock_timeout that a revision takes off before it locks a table."""
    is_off = change.what == ChangeKind.SETTING_CHANGED and change.name == "lock_timeout"
    touched = (access for each in (traced.statement, *traced.later) for access in each.touched)
    waits = any(access.existed and access.lock and access.lock.blocks for access in touched)
    if is_off and waits:
        # the default of the server that lint runs on is not that of the live one
        is_now = "and is reset to that of the server, if it has one" if change.kind == "reset" else f"is {change.after}"
        limit = "for so long" if change.after != "0" or change.kind == "reset" else "without a limit"
        yield Violation(
            f"lock_timeout was {change.before}, {is_now}: the migration waits for locks {limit}",
            "While a migration waits behind one long transaction, all later queries wait behind the migration.",
            "op.execute(\"SET LOCAL lock_timeout = '5s'\")  # and retry",
            "reads and writes",
        )
