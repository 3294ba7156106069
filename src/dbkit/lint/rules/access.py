"""Rules on who may read and write: row security, and privileges."""

import re
from collections.abc import Iterator

from dbkit.findings.finding import Level
from dbkit.lint.rules.fixes import execute
from dbkit.lint.rules.objects import changes_of, later_changes
from dbkit.lint.rules.rule import Violation, change_rule
from dbkit.lint.trace_reader import TracedStatement
from dbkit.trace.records import Change, ChangeKind

SETS_PATH = re.compile(r"\balter\s+(?:function|routine|procedure)\b.*\bsearch_path\b", re.IGNORECASE | re.DOTALL)
UNKNOWN_TO_CODE = (ChangeKind.OBJECT_CREATED, ChangeKind.TABLE_CREATED)


@change_rule("row-security-without-policy", Level.DANGER)
def row_security_without_policy(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report row security that refuses commands for lack of a policy; a note where policies decide."""
    if change.what != ChangeKind.ROW_SECURITY_CHANGED or change.table not in traced.tables:
        return
    last = [
        each
        for each in changes_of(traced.trace)
        if each.what == ChangeKind.ROW_SECURITY_CHANGED and each.table == change.table
    ][-1]
    is_worse = set(change.after.split(", ")) > set(change.before.split(", ")) or change.kind == "forced"
    if change.after and last.after and (is_worse or not change.before):
        whom = "everybody, the owner too" if last.kind == "forced" else "everybody but the owner"
        yield Violation(
            f"{change.table}: row security is on, and no policy allows {last.after} for {whom}",
            "Without a permissive policy for a command no row is visible or accepted: queries return nothing, and no"
            " error tells.",
            "# in the same revision, before it is enabled\n"
            + execute(f"CREATE POLICY … ON {change.table} FOR ALL USING (…)"),
            tables=(change.table,),
        )
    elif change.kind and change.detail and last.columns and not last.after:
        whom = ", also for the owner" if last.kind == "forced" else ""
        yield Violation(
            f"{change.table}: its policies decide which rows running code sees{whom} ({', '.join(last.columns)})",
            "A session that does not set what the policies read, such as a tenant, sees no row, and no error tells.",
            "# first release code that sets what the policies read; then switch row security on",
            tables=(change.table,),
            level=Level.WARNING,
        )


@change_rule("definer-without-search-path", Level.WARNING)
def definer_without_search_path(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report a SECURITY DEFINER function that looks up names on the search path of its caller."""
    is_definer = change.what == ChangeKind.OPTION_SET and change.name == "security definer"
    if is_definer and not _is_set_later(traced, change):
        yield Violation(
            f"{change.table}: the {change.kind} is SECURITY DEFINER, and does not set search_path",
            "A user who calls it can create a table that comes before the function's on the search path, and so act as"
            " its owner.",
            execute(f"ALTER ROUTINE {change.table} SET search_path = pg_catalog, public, pg_temp"),
        )


def _is_set_later(traced: TracedStatement, change: Change) -> bool:
    name = change.table.partition("(")[0].rpartition(".")[2]
    return any(SETS_PATH.search(each.sql) and name in each.sql for each in traced.later)


@change_rule("privilege-revoked", Level.WARNING)
def privilege_revoked(traced: TracedStatement, change: Change) -> Iterator[Violation]:
    """Report privileges that are revoked and not granted again, a new owner, and a view that needs more of them."""
    names = {change.table, change.table.rpartition(".")[0]}
    changes = traced.statement.changes
    created = {each.table for each in changes if each.what in UNKNOWN_TO_CODE}
    dropped = {each.table for each in changes if each.what == ChangeKind.TABLE_DROPPED}
    dropped |= {f"{each.table}.{each.name}" for each in changes if each.what == ChangeKind.COLUMN_DROPPED}
    if names & (traced.created | created | dropped):
        return
    if change.what == ChangeKind.PRIVILEGE_REVOKED:
        granted = {
            privilege
            for each in later_changes(traced.trace, change)
            if each.what == ChangeKind.PRIVILEGE_GRANTED and (each.table, each.kind) == (change.table, change.kind)
            for privilege in each.columns
        }
        lost = [privilege for privilege in change.columns if privilege not in granted]
        message = f"{change.table}: privileges on the {change.kind} are revoked ({'; '.join(lost)})"
    elif change.what == ChangeKind.OWNER_CHANGED and change.table in traced.tables:
        lost = [change.before]
        message = f"{change.table}: its owner was {change.before}, is {change.after}"
    elif change.what == ChangeKind.OPTION_SET and change.name == "security_invoker":
        lost = [change.name]
        message = f"{change.table}: with security_invoker its readers need privileges on the tables of the view"
    else:
        return
    if lost:
        yield Violation(
            f"{message}, and running code may need them",
            "Old code, and its pooled connections, get permission errors as soon as the transaction commits.",
            "# first release code that connects with another role; then revoke, and accept this:\n"
            "# dbkit: ok privilege-revoked, …",
            tables=(change.table,) if change.table in traced.tables else (),
        )
