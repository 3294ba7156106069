"""The expressions and queries of a PL/pgSQL body, with the values of its variables."""

from collections.abc import Sequence

from sqlglot import exp

from dbkit.coverage.dynamic_sql import NotConstantError, TextEvaluator
from dbkit.coverage.plpgsql_nodes import (
    Dynamic,
    Variable,
)
from dbkit.coverage.plpgsql_scope import Scope
from dbkit.coverage.sql_trees import asks_rows, is_name, parse_statement, restrict_to, split_current_of
from dbkit.postgres.sql_text import statements


class StatementReader:
    """Read the SQL of a place, whose variables are in its scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.opened: dict[str, exp.Expr] = {}
        """The queries of open cursors."""

    def read_expression(self, text: str) -> exp.Expr | None:
        """Return an expression with the values of variables; a query where it has FROM."""
        tree = parse_statement(f"SELECT {text}")
        if not isinstance(tree, exp.Select) or len(tree.expressions) != 1:
            return None
        value = exp.Subquery(this=tree) if asks_rows(tree) and tree.args.get("from_") else tree.expressions[0]
        return self.scope.substitute(value.copy())

    def read_query(self, text: str) -> exp.Expr | None:
        """Return a statement with the values of variables."""
        text, cursor = split_current_of(text)
        tree = parse_statement(text)
        if tree is None:
            return None
        query = self.opened.get(cursor)
        if query is not None and isinstance(tree, exp.Update | exp.Delete):
            tree.set("where", restrict_to(query, tree))
        return self.scope.substitute(tree)

    def read_dynamic(self, dynamic: Dynamic) -> list[exp.Expr]:
        """Return the statements of EXECUTE. Only the values of USING are known in them, no variables."""
        expression = self.read_expression(dynamic.text)
        evaluator = TextEvaluator()
        try:
            text = evaluator.evaluate(expression) if expression else ""
        except NotConstantError:
            return []
        scope = Scope(rows=self.scope.rows)
        for number, argument in enumerate(dynamic.arguments, 1):
            scope.assign(f"${number}", self.read_expression(argument))
        scope.scalars |= evaluator.parameters
        trees = [scope.substitute(tree) for each in statements(text) if (tree := parse_statement(each))]
        return [tree for tree in trees if all(is_name(table.this) for table in tree.find_all(exp.Table))]

    def read_cursor(self, cursor: Variable, arguments: Sequence[str]) -> exp.Expr | None:
        """Return the query of a declared cursor."""
        values = [self.read_expression(argument) for argument in arguments]
        outside, self.scope = self.scope, self.scope.copy()
        for name, value in zip(cursor.parameters, values, strict=False):
            self.scope.assign(name, value)
        query = self.read_query(cursor.query)
        self.scope = outside
        return query
