"""The goals of a statement: UPDATE, DELETE, INSERT, MERGE, CREATE TABLE … AS, ALTER COLUMN … USING, and queries."""

from collections.abc import Iterator

from sqlglot import exp

from dbkit.coverage.conditions import MOST_ARMS
from dbkit.coverage.goals import Goal, Table, UnreadableError, make_column
from dbkit.coverage.query_goals import SETS_OF_ROWS, QueryReader, multiply_goals
from dbkit.coverage.scopes import ColumnsOf, Scope, ViewOf, table_of
from dbkit.coverage.syntax import parse_statement


def _no_view(_schema: str, _name: str) -> None:
    return None


def read_goals(sql: str, columns_of: ColumnsOf, view_of: ViewOf = _no_view) -> list[Goal]:
    """Return the goals of one statement. Raises UnreadableError.

    `columns_of(schema, name)` returns the columns of a table, None where there is no such table; `view_of` returns the
    query of a view, likewise.
    """
    statement = parse_statement(sql)
    if statement is None:
        raise UnreadableError
    reader = StatementReader(columns_of, view_of)
    try:
        goals = [reader.bind_values(goal) for goal in reader.read_statement(statement)]
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:  # syntax that is new to us
        raise UnreadableError from error
    goals = [goal for goal in goals if goal.tables]
    return goals[: 2 * MOST_ARMS]


def inserted_values(sql: str, columns_of: ColumnsOf) -> Iterator[tuple[Table, str, str]]:
    """Yield table, column and value of each literal that an INSERT … VALUES without ON CONFLICT writes."""
    statement = parse_statement(sql)
    if not isinstance(statement, exp.Insert) or statement.args.get("conflict"):
        return
    target = statement.this
    if not isinstance(statement.expression, exp.Values):
        return
    table = table_of(target.this if isinstance(target, exp.Schema) else target)
    named = [column.name for column in target.expressions] if isinstance(target, exp.Schema) else []
    names = named or columns_of(table.schema, table.name) or []
    for row in statement.expression.expressions:
        for name, value in zip(names, row.expressions, strict=False):
            literal = _without_casts(value)
            if isinstance(literal, exp.Literal):
                yield table, name, literal.this


def assigned_values(sql: str) -> Iterator[tuple[Table, str, str]]:
    """Yield table, column and value of each literal that an UPDATE writes."""
    statement = parse_statement(sql)
    if not isinstance(statement, exp.Update):
        return
    for each in statement.expressions:
        literal = _without_casts(each.expression) if isinstance(each, exp.EQ) else None
        if isinstance(literal, exp.Literal):
            yield table_of(statement.this), each.this.name, literal.this


def _without_casts(value: exp.Expr) -> exp.Expr:
    # a driver and SQLAlchemy add one each
    while isinstance(value, exp.Cast):
        value = value.this
    return value


class StatementReader(QueryReader):
    """Reads one statement."""

    def read_statement(self, statement: exp.Expr, outer: Scope | None = None) -> list[Goal]:
        """Return the goals of a statement, and of those inside its WITH."""
        scope = Scope(outer)
        inner = self._read_with(statement, scope)
        if isinstance(statement, exp.Update):
            return [*inner, *self._read_update(statement, scope)]
        if isinstance(statement, exp.Delete):
            return [*inner, *self._read_delete(statement, scope)]
        if isinstance(statement, exp.Insert):
            return [*inner, *self._read_insert(statement, scope)]
        if isinstance(statement, exp.Merge):
            return [*inner, *self._read_merge(statement, scope)]
        if isinstance(statement, exp.Alter):
            return self._read_alter(statement, scope)
        if isinstance(statement, exp.Create) and isinstance(statement.expression, SETS_OF_ROWS):
            return [*inner, *self._read_query(statement.expression, scope).goals]
        if isinstance(statement, SETS_OF_ROWS):
            return [*inner, *self._read_query(statement, scope).goals]
        return inner

    def _read_update(self, statement: exp.Update, scope: Scope) -> list[Goal]:
        parts = [self._add_source(statement.this, scope)]
        source = statement.args.get("from_")
        if source:
            parts += self._add_from(source.this, scope)
        goals = self._filter(multiply_goals(parts), statement.args.get("where"), scope)
        assigned = [each.expression for each in statement.expressions if isinstance(each, exp.EQ)]
        return self._split_values(goals, assigned, scope)

    def _read_alter(self, statement: exp.Alter, scope: Scope) -> list[Goal]:
        """Read the expressions of ALTER COLUMN … TYPE … USING."""
        using = [action.args["using"] for action in statement.args.get("actions") or () if action.args.get("using")]
        return self._split_values(self._add_source(statement.this, scope), using, scope) if using else []

    def _read_delete(self, statement: exp.Delete, scope: Scope) -> list[Goal]:
        parts = [self._add_source(statement.this, scope)]
        for source in statement.args.get("using") or ():
            parts += self._add_from(source, scope)
        return self._filter(multiply_goals(parts), statement.args.get("where"), scope)

    def _read_insert(self, statement: exp.Insert, scope: Scope) -> list[Goal]:
        source = statement.expression
        query = self._read_query(source, scope) if isinstance(source, SETS_OF_ROWS) else None
        goals = list(query.goals) if query else []
        conflict = statement.args.get("conflict")
        target = statement.this
        if not conflict or not isinstance(target, exp.Schema):
            return goals
        names = [column.name for column in target.expressions]
        if isinstance(source, exp.Values):
            rows = [dict(zip(names, row.expressions, strict=False)) for row in source.expressions[:MOST_ARMS]]
            sources = [(Goal(), row) for row in rows]
        elif query:
            sources = [(goal, dict(zip(names, query.columns.values(), strict=False))) for goal in goals]
        else:
            return goals
        inner = Scope(scope)
        part = self._add_source(target.this, inner)
        key = next(iter(part[0].tables), "")
        keys = [
            each.this.name if isinstance(each, exp.Ordered) else each.name
            for each in conflict.args.get("conflict_keys") or ()
        ]
        for goal, row in sources if key else ():
            equal = tuple(
                exp.EQ(this=make_column(key, name), expression=row[name].copy()) for name in keys if name in row
            )
            inner.derived["excluded"] = row
            joined = [each.join(Goal(part[0].tables, equal)) for each in [goal]]
            goals += self._filter(joined, conflict.args.get("where"), inner)
        return goals

    def _read_merge(self, statement: exp.Merge, scope: Scope) -> list[Goal]:
        sources = self._add_from(statement.args["using"], scope)
        before = multiply_goals(sources)
        matched = self._filter(
            multiply_goals([*sources, self._add_source(statement.this, scope)]), statement.args["on"], scope
        )
        goals: list[Goal] = []
        for when in statement.args["whens"].expressions:
            base = matched if when.args.get("matched") else before
            found = self._filter(base, when.args.get("condition"), scope)
            then = when.args.get("then")
            assigned = [each.expression for each in then.expressions] if isinstance(then, exp.Update) else []
            goals += self._split_values(found, assigned, scope)
        return goals
