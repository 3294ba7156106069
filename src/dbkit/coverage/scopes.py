"""The names that a query can use, and what they stand for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from dbkit.coverage.goals import Goal, Table, make_column, replace_columns

UNKNOWN = "?"
"""The table of a column whose table is not known."""
ColumnsOf = Callable[[str, str], Sequence[str] | None]
"""Returns the columns of a table by schema and name; None where there is no such table."""
ViewOf = Callable[[str, str], str | None]
"""Returns the query of a view by schema and name; None where there is no such view."""


@dataclass
class Scope:
    """The names that one level of a query can use."""

    outer: "Scope | None" = None
    tables: dict[str, str] = field(default_factory=dict)
    """By alias, the keys of tables."""
    derived: dict[str, Mapping[str, exp.Expr]] = field(default_factory=dict)
    """By alias, what the columns of a subquery stand for."""
    optional: set[str] = field(default_factory=set)
    """The keys of tables at the nullable side of an outer join."""
    queries: dict[str, "Query"] = field(default_factory=dict)
    """By name, the common table expressions."""

    def find_query(self, name: str) -> "Query | None":
        """Return the common table expression of a name."""
        found = self.queries.get(name)
        return found or (self.outer.find_query(name) if self.outer else None)


@dataclass(frozen=True)
class Query:
    """The goals of a subquery, and the expressions of its columns."""

    goals: list[Goal]
    columns: Mapping[str, exp.Expr]


def table_of(node: exp.Expr) -> Table:
    """Return the table that a node names."""
    return Table(node.args["db"].name if node.args.get("db") else "", node.name)


def rename_columns(query: Query, names: Sequence[str]) -> Query:
    """Return a query whose first columns have these names, too."""
    if not names:
        return query
    renamed = dict(zip(names, query.columns.values(), strict=False))
    return replace(query, columns={**query.columns, **renamed})


def keys_of(expression: exp.Expr) -> set[str]:
    """Return the keys of the tables of an expression."""
    return {column.table for column in expression.find_all(exp.Column)}


class NameResolver:
    """Finds what the columns of one statement stand for."""

    def __init__(self, columns_of: ColumnsOf) -> None:
        self.columns_of = columns_of
        self.known: dict[str, Table] = {}
        """By key, each table of the statement."""

    def resolve(self, expression: exp.Expr, scope: Scope) -> exp.Expr:
        """Return an expression in which each column has the key of its table, or is replaced by its expression."""
        return replace_columns(
            expression, lambda column: None if isinstance(column.this, exp.Star) else self._find_column(column, scope)
        )

    def _find_column(self, column: exp.Column, scope: Scope | None) -> exp.Expr:
        name, alias = column.name, column.table
        level = scope
        while level:
            if alias in level.tables:
                return make_column(level.tables[alias], name)
            if alias in level.derived:
                return level.derived[alias].get(name, make_column(UNKNOWN, name))
            if not alias:
                found = self._find_unqualified(name, level)
                if found is not None:
                    return found
            level = level.outer
        return make_column(UNKNOWN, name)

    def _find_unqualified(self, name: str, scope: Scope) -> exp.Expr | None:
        unknown: list[str] = []
        for key in scope.tables.values():
            table = self.known[key]
            columns = self.columns_of(table.schema, table.name)
            if columns is None:
                unknown.append(key)
            elif name in columns:
                return make_column(key, name)
        for derived in scope.derived.values():
            if name in derived:
                return derived[name]
        if len(scope.tables) + len(scope.derived) == 1 and scope.tables and scope.outer is None:
            return make_column(next(iter(scope.tables.values())), name)
        return make_column(unknown[0], name) if len(unknown) == 1 else None
