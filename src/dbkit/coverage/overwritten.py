"""Goals for what an UPDATE overwrites: rows that meet its condition, with each value that a column can have.

Where a column has few values, such as a flag, an enum or a CHECK with a list, a downgrade may give one of them to all.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from dbkit.coverage.goals import Goal, make_column
from dbkit.coverage.goals import Table as Name
from dbkit.coverage.scopes import table_of
from dbkit.coverage.syntax import parse_statement
from dbkit.postgres.sql_text import Kind, read_string, tokenize
from dbkit.sample_data.constraints import Column, Table

MOST_VALUES = 6
MOST_GOALS = 3
"""The number of conditions of a statement that are met with each value."""


def overwriting_goals(sql: str, goals: Sequence[Goal], find: Callable[[Name], Table | None]) -> Iterator[Goal]:
    """Yield the goals of an UPDATE, or of ON CONFLICT DO UPDATE, with each other value of the columns that it writes.

    Those without a condition are met by ordinary rows.
    """
    target, assigned = _read_assigned(parse_statement(sql))
    table = find(target) if target else None
    if target is None or table is None:
        return
    columns = [table.column(each) for each in assigned if table.has(each)]
    for goal in [each for each in goals if each.atoms][:MOST_GOALS]:
        keys = [key for key, each in goal.tables.items() if each == target]
        asked = {column.name for atom in goal.atoms for column in atom.find_all(exp.Column)}
        for column in columns if len(keys) == 1 else ():
            values = _values_of(table, column) if column.name not in asked else []
            for value in values if len(values) <= MOST_VALUES else ():
                if value.sql() != assigned[column.name].sql():
                    atom = exp.EQ(this=make_column(keys[0], column.name), expression=value)
                    yield replace(goal, atoms=(*goal.atoms, atom))


def _read_assigned(statement: exp.Expr | None) -> tuple[Name | None, Mapping[str, exp.Expr]]:
    """Return the table whose rows a statement overwrites, and by column what is written there."""
    if isinstance(statement, exp.Update):
        return table_of(statement.this), _assignments(statement.expressions)
    conflict = statement.args.get("conflict") if isinstance(statement, exp.Insert) else None
    if statement is None or conflict is None or not isinstance(statement.this, exp.Schema):
        return None, {}
    rows = statement.expression.expressions if isinstance(statement.expression, exp.Values) else []
    names = [column.name for column in statement.this.expressions]
    inserted = dict(zip(names, rows[0].expressions, strict=False)) if rows else {}
    assigned = _assignments(conflict.expressions)
    excluded = {name: inserted.get(value.name, value) for name, value in assigned.items()}
    return table_of(statement.this.this), excluded


def _assignments(expressions: Sequence[exp.Expr]) -> dict[str, exp.Expr]:
    return {each.this.name: each.expression for each in expressions if isinstance(each, exp.EQ)}


def _values_of(table: Table, column: Column) -> list[exp.Expr]:
    """Return the values of a column that can have only a few, as far as that is known."""
    if column.type.name == "bool":
        return [exp.true(), exp.false()]
    texts = list(column.type.labels)
    for check in table.checks:
        if set(check.columns) == {column.name}:
            texts += [read_string(token.text) for token in tokenize(check.sql) if token.kind == Kind.STRING]
    return [exp.Literal.string(text) for text in dict.fromkeys(texts)]
