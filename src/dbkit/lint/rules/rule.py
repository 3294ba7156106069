"""A rule: a function that finds violations in one statement, with its id and its level.

A decorator registers the function under the rule's id, to be called for changes, tables or statements:

    @change_rule("index-without-concurrently", Level.DANGER)
    def index_without_concurrently(traced: TracedStatement, change: Change) -> Iterator[Violation]:

The id's page, lint/pages/<id>.md, has the same level.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, ParamSpec

from dbkit.findings.finding import Level
from dbkit.lint.existing_table import ExistingTable
from dbkit.lint.trace_reader import TracedStatement
from dbkit.trace.records import Change

P = ParamSpec("P")


@dataclass(frozen=True)
class Violation:
    """A finding before its revision and its line are known."""

    message: str
    why: str = ""
    fix: str = ""
    """Alembic code to paste."""
    blocks: str = ""
    tables: tuple[str, ...] = ()
    level: Level | None = None
    """A level below that of the rule."""
    worked_on: tuple[str, ...] = ()
    """The tables whose size decides how long it takes, if not `tables`."""


Check = Callable[P, Iterator[Violation]]


@dataclass(frozen=True)
class Rule(Generic[P]):
    """An id, the highest level of its findings, and the function that finds them."""

    id: str
    level: Level
    check: Check[P]


CHANGE_RULES: list[Rule[[TracedStatement, Change]]] = []
"""Called for each change that a statement makes to the catalog."""
TABLE_RULES: list[Rule[[TracedStatement, ExistingTable]]] = []
"""Called for each table on which a statement takes a blocking lock, if no change rule reported the table."""
STATEMENT_RULES: list[Rule[[TracedStatement]]] = []
"""Called for each statement."""


def change_rule(
    identifier: str, level: Level
) -> Callable[[Check[[TracedStatement, Change]]], Check[[TracedStatement, Change]]]:
    """Register a rule on changes to the catalog."""
    return _registrar(CHANGE_RULES, identifier, level)


def table_rule(
    identifier: str, level: Level
) -> Callable[[Check[[TracedStatement, ExistingTable]]], Check[[TracedStatement, ExistingTable]]]:
    """Register a rule on tables under a blocking lock."""
    return _registrar(TABLE_RULES, identifier, level)


def statement_rule(identifier: str, level: Level) -> Callable[[Check[[TracedStatement]]], Check[[TracedStatement]]]:
    """Register a rule on statements."""
    return _registrar(STATEMENT_RULES, identifier, level)


def _registrar(rules: list[Rule[P]], identifier: str, level: Level) -> Callable[[Check[P]], Check[P]]:
    def register(check: Check[P]) -> Check[P]:
        rules.append(Rule(identifier, level, check))
        return check

    return register
