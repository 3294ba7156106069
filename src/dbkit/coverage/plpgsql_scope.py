"""The variables of a PL/pgSQL block: their values as SQL, and the rows that records are."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from dbkit.coverage.plpgsql_nodes import (
    Variable,
)
from dbkit.coverage.row_sources import VARIABLE, negate
from dbkit.coverage.sql_trees import is_target

PSEUDO_TABLES = ("excluded", "new", "old")
LONGEST = 5_000
"""The length from which on the value of a variable is taken as unknown, so that loops do not multiply it."""


@dataclass(frozen=True)
class Row:
    """A row of a query or a table, under an alias."""

    alias: str
    source: exp.Expr

    def as_source(self) -> exp.Expr:
        """Return the row for a FROM list, without locks."""
        if isinstance(self.source, exp.Table):
            return exp.alias_(self.source.copy(), self.alias, table=True)
        query = self.source.copy()
        query.set("locks", None)
        return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier(self.alias)))


@dataclass
class Scope:
    """The variables that are visible at a place."""

    scalars: dict[str, exp.Expr] = field(default_factory=dict)
    """Known values, by the name of the variable or of the record's field."""
    records: dict[str, str] = field(default_factory=dict)
    """The aliases of the rows that record variables are."""
    rows: dict[str, Row] = field(default_factory=dict)
    """All rows, by alias; shared with the scopes of called functions."""
    types: dict[str, str] = field(default_factory=dict)
    cursors: dict[str, Variable] = field(default_factory=dict)

    def copy(self) -> "Scope":
        """Return a scope whose changes do not show in this one; rows are shared."""
        return replace(
            self,
            scalars=dict(self.scalars),
            records=dict(self.records),
            types=dict(self.types),
            cursors=dict(self.cursors),
        )

    def assign(self, name: str, value: exp.Expr | None) -> None:
        """Set a variable or a record's field; without a value it is unknown."""
        name = name.lower()
        if value is None or len(value.sql("postgres")) > LONGEST:
            self.scalars.pop(name, None)
        else:
            self.scalars[name] = value

    def forget(self, names: Iterable[str]) -> None:
        """Take the values of variables as unknown."""
        for name in names:
            self.scalars.pop(name, None)
            self.records.pop(name, None)

    def bind_row(self, name: str, source: exp.Expr) -> str:
        """Make a record variable a row of a query or a table, and return the alias."""
        for each in [key for key in self.scalars if key.startswith(f"{name}.")]:
            del self.scalars[each]
        self.scalars.pop(name, None)
        alias, number = name, 1
        while alias in _table_names(source) or (alias in self.rows and self.rows[alias].source != source):
            number += 1
            alias = f"{name}_{number}"
        self.rows[alias] = Row(alias, source)
        self.records[name] = alias
        return alias

    def substitute(self, tree: exp.Expr) -> exp.Expr:
        """Return a statement or an expression with the values of the variables."""
        tables = _table_names(tree)

        def replace_node(node: exp.Expr) -> exp.Expr:
            if isinstance(node, exp.Parameter):
                return self._value(f"${node.name}") or node
            if not isinstance(node, exp.Column) or is_target(node):
                return node
            return self._replace_column(node, tables)

        return _spread_arrays(tree.transform(replace_node))

    def _replace_column(self, column: exp.Column, tables: Collection[str]) -> exp.Expr:
        table, name = column.table.lower(), column.name.lower()
        if not table:
            value = self._value(name)
            if value is None and name in self.records and name not in tables:
                value = exp.column(self.records[name])
            if value is None and name in self.types:
                column.meta[VARIABLE] = True
            return value or column
        if table in tables:
            return column
        if value := self._value(f"{table}.{name}"):
            return value
        if table in self.records:
            return exp.Column(this=column.this.copy(), table=exp.to_identifier(self.records[table]))
        # the name of the function, or the label of a block
        value = None if table in PSEUDO_TABLES else self._value(name)
        return value or column

    def _value(self, name: str) -> exp.Expr | None:
        value = self.scalars.get(name)
        if value is None:
            return None
        return exp.paren(value) if isinstance(value, exp.Binary | exp.Unary | exp.Between) else value.copy()

    def used_rows(self, trees: Iterable[exp.Expr], always: Collection[str] = ()) -> list[Row]:
        """Return the rows to which trees refer, and those to which these refer, as they were bound."""
        needed, pending = set(always), [*trees, *(self.rows[alias].source for alias in always)]
        while pending:
            for alias in self.references(pending.pop()) - needed:
                needed.add(alias)
                pending.append(self.rows[alias].source)
        return [row for alias, row in self.rows.items() if alias in needed]

    def has_own_columns(self, value: exp.Expr) -> bool:
        """Whether an expression refers to columns of the statement in which it is."""
        return any((column.table or column.name) not in self.rows for column in value.find_all(exp.Column))

    def references(self, tree: exp.Expr) -> set[str]:
        """Return the aliases of the rows to which a tree refers."""
        own = _table_names(tree)
        named = {column.table or column.name for column in tree.find_all(exp.Column)}
        return {alias for alias in named & self.rows.keys() if alias not in own}

    def as_sources(self, rows: Sequence[Row]) -> list[exp.Expr]:
        """Return rows for a FROM list: LATERAL where one depends on those before."""
        found: list[exp.Expr] = []
        for row in rows:
            source = row.as_source()
            if isinstance(source, exp.Subquery) and self.references(row.source):
                source = exp.Lateral(this=exp.Subquery(this=source.this), alias=source.args["alias"])
            found.append(source)
        return found


BranchEnd = tuple[exp.Expr | None, Scope, bool]
"""The condition of a branch, the scope at its end, and whether it leaves the body. ELSE has no condition."""


def merge_branches(scope: Scope, ends: Sequence[BranchEnd]) -> None:
    """Set the variables after branches: a CASE where the branches that continue give different values."""
    going = [(condition, end) for condition, end, leaves in ends if not leaves]
    for name in {name for _, end in going for name in end.scalars}:
        scope.assign(name, _merge_values([(condition, end.scalars.get(name)) for condition, end in going]))
    for _, end in going:
        scope.records |= end.records


def _merge_values(values: Sequence[tuple[exp.Expr | None, exp.Expr | None]]) -> exp.Expr | None:
    *firsts, (_, result) = values
    if all(value == result for _, value in firsts):
        return result
    for condition, value in reversed(firsts):
        if condition is None or value is None or result is None:
            return None
        result = exp.Case(ifs=[exp.If(this=condition.copy(), true=value.copy())], default=result.copy())
    return result


def conditions_after(ends: Sequence[BranchEnd]) -> list[exp.Expr]:
    """Return what is known behind branches of which some leave: those were not taken."""
    found: list[exp.Expr] = []
    for condition, _, leaves in ends:
        if not leaves or condition is None:
            break
        found.append(negate(condition))
    conditions = [condition for condition, _, _ in ends[:-1]]
    others_leave = any(leaves for _, _, leaves in ends[:-1])
    if ends[-1][0] is None and ends[-1][2] and not others_leave and None not in conditions:
        found.append(exp.or_(*(condition for condition in conditions if condition), copy=True))
    return found


def _spread_arrays(tree: exp.Expr) -> exp.Expr:
    """Return a tree in which a variable's array in ANY() is a query of its items: the server would read it as rows."""
    for node in tree.find_all(exp.Any):
        query = node.this.unnest()
        query = query.this if isinstance(query, exp.Subquery) else query
        items = query.expressions[0].unalias() if isinstance(query, exp.Select) and query.expressions else None
        if isinstance(items, exp.ArrayAgg):
            query.set("expressions", [items.this.copy()])
    return tree


def _table_names(tree: exp.Expr) -> set[str]:
    """Return the names under which a statement itself has tables."""
    sources = tree.find_all(exp.Table, exp.Subquery, exp.CTE, exp.Lateral)
    return {each.alias_or_name.lower() for each in sources}
