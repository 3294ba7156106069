"""The rules that read a trace. The findings of one statement have the order in which its rules are registered."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from dbkit.findings.finding import LONGEST_SQL, Level, LintFinding
from dbkit.lint.rules import (
    access,
    bypasses,
    columns,
    constraints,
    data_changes,
    indexes,
    lost_rows,
    old_code,
    parameters,
    renames,
    table_access,
    transactions,
)
from dbkit.lint.rules.rule import CHANGE_RULES, STATEMENT_RULES, TABLE_RULES, P, Rule, Violation
from dbkit.lint.trace_reader import TracedStatement, read_statements
from dbkit.roundtrip.outcome import RevisionOutcome

MODULES = (
    access,
    bypasses,
    columns,
    constraints,
    data_changes,
    indexes,
    lost_rows,
    old_code,
    parameters,
    renames,
    table_access,
    transactions,
)
"""The modules whose rules are registered by this import."""

Found = tuple[str, Violation]
"""The id of a rule, and what it found; the violation has its level."""


def find_in_traces(
    outcome: RevisionOutcome, version: int = 0, unreleased: Collection[str] = frozenset()
) -> Iterator[LintFinding]:
    """Yield what a traced revision would do to a live database of a major version; 0: of the one that ran it.

    `unreleased`: the tables, columns and other objects that no running code knows.
    """
    for trace in outcome.traces:
        for traced in read_statements(trace, version or trace.server_version // 10000, unreleased):
            for identifier, violation in check_statement(traced):
                yield _finding(outcome, traced, identifier, violation)


def check_statement(traced: TracedStatement) -> Iterator[Found]:
    """Yield what the rules find in one statement."""
    on_changes = [found for change in traced.changes for rule in CHANGE_RULES for found in _apply(rule, traced, change)]
    yield from on_changes
    reported = {table for _id, violation in on_changes if violation.blocks for table in violation.tables}
    for table in traced.tables.values():
        if table.name not in reported and table.blocks and table.name in traced.newly_blocked:
            for table_rule in TABLE_RULES:
                yield from _apply(table_rule, traced, table)
    for statement_rule in STATEMENT_RULES:
        yield from _apply(statement_rule, traced)


def _apply(rule: Rule[P], *arguments: P.args, **keywords: P.kwargs) -> Iterator[Found]:
    for violation in rule.check(*arguments, **keywords):
        yield rule.id, replace(violation, level=violation.level or rule.level)


def _finding(outcome: RevisionOutcome, traced: TracedStatement, identifier: str, violation: Violation) -> LintFinding:
    direction = traced.trace.direction
    # a rollback is not part of a deployment that goes well
    level = violation.level if direction == "upgrade" and violation.level else Level.NOTE
    return LintFinding(
        identifier,
        level,
        outcome.revision,
        outcome.path,
        traced.statement.line,
        violation.message,
        violation.blocks,
        violation.why,
        violation.fix,
        direction,
        violation.tables,
        " ".join(traced.statement.sql.split())[:LONGEST_SQL],
        worked_on=violation.worked_on,
    )
