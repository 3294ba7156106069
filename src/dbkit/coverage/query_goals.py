"""The goals of a query: of its sources, its conditions and what it computes."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from dbkit.coverage.conditions import MOST_ARMS, Atoms, is_null_test, split_condition
from dbkit.coverage.expressions import arms_of, ordinal, partition_columns, subquery
from dbkit.coverage.goals import IS_WISH, Absence, Goal, Table, UnreadableError, make_column
from dbkit.coverage.scopes import (
    ColumnsOf,
    NameResolver,
    Query,
    Scope,
    ViewOf,
    keys_of,
    rename_columns,
    table_of,
)
from dbkit.coverage.syntax import parse_statement

MOST_COPIES = 12
COPIES_OF_AGGREGATE = 4
DEEPEST_VIEW = 4
SETS_OF_ROWS = (exp.Select, exp.SetOperation, exp.Subquery)


def multiply_goals(parts: Sequence[list[Goal]]) -> list[Goal]:
    """Return each combination of one goal of each part."""
    goals = [Goal()]
    for part in parts:
        goals = [one.join(other) for one, other in itertools.product(goals, part)][:MOST_ARMS]
    return goals


class QueryReader(NameResolver):
    """Reads the queries of one statement."""

    def __init__(self, columns_of: ColumnsOf, view_of: ViewOf) -> None:
        super().__init__(columns_of)
        self.view_of = view_of
        self.depth = 0
        """How many views are read around the place."""
        self.numbers = itertools.count(1)
        self.values: dict[str, list[dict[str, exp.Expr]]] = {}
        """By key, the rows of VALUES lists."""

    def read_statement(self, statement: exp.Expr, outer: Scope | None = None) -> list[Goal]:
        """Return the goals of a statement, such as one inside of a query's WITH."""
        raise NotImplementedError

    def _read_with(self, statement: exp.Expr, scope: Scope) -> list[Goal]:
        """Read the common table expressions. Returns the goals of those that change rows."""
        found: list[Goal] = []
        with_ = statement.args.get("with_")
        for each in with_.expressions if with_ else ():
            query = each.this
            names = [column.name for column in each.args["alias"].columns] if each.args.get("alias") else []
            if isinstance(query, SETS_OF_ROWS):
                read = self._read_query(query, scope)
            elif isinstance(query, exp.Values):
                read = self._read_values(query, names)
            else:
                goals = self.read_statement(query, scope)
                found += goals
                read = Query(goals[:MOST_ARMS] or [Goal()], self._returned(query, goals))
            scope.queries[each.alias] = rename_columns(read, names)
        return found

    def _returned(self, statement: exp.Expr, goals: Sequence[Goal]) -> Mapping[str, exp.Expr]:
        """Return what the columns of RETURNING stand for: those of the table that the statement changes."""
        target = statement.this.this if isinstance(statement.this, exp.Schema) else statement.this
        keys = [key for goal in goals[:1] for key, table in goal.tables.items() if table.name == target.name]
        columns = self.columns_of(table_of(target).schema, target.name) or ()
        return {name: make_column(keys[0], name) for name in columns} if keys else {}

    # Queries

    def _read_query(self, query: exp.Expr, outer: Scope) -> Query:
        if isinstance(query, exp.Subquery):
            return self._read_query(query.this, outer)
        if isinstance(query, exp.Values):
            return self._read_values(query, [])
        if isinstance(query, exp.SetOperation):
            scope = Scope(outer)
            self._read_with(query, scope)
            left, right = self._read_query(query.left, scope), self._read_query(query.right, scope)
            return Query([*left.goals, *right.goals][:MOST_ARMS], left.columns)
        if isinstance(query, exp.Select):
            return self._read_select(query, outer)
        return Query([Goal()], {})

    def _read_select(self, query: exp.Select, outer: Scope) -> Query:
        scope = Scope(outer)
        self._read_with(query, scope)
        parts: list[list[Goal]] = []
        conditions: list[exp.Expr] = []
        source = query.args.get("from_")
        if source:
            parts += self._add_from(source.this, scope, with_joins=False)
        for join in [*(source.this.args.get("joins") or () if source else ()), *(query.args.get("joins") or ())]:
            parts += self._add_from(join.this, scope, optional=join.side in ("LEFT", "FULL"))
            if join.args.get("on"):
                conditions.append(join.args["on"])
            conditions += self._using(join, scope)
        goals = multiply_goals(parts)
        for condition in conditions:
            goals = self._filter(goals, condition, scope)
        goals = self._filter(goals, query.args.get("where"), scope)
        group = query.args.get("group")
        if group:
            equal = self._equal([ordinal(each, query) for each in group.expressions], scope)
            goals = [replace(goal, equal=(*goal.equal, *equal), copies=max(2, goal.copies)) for goal in goals]
        elif any(each.find(exp.AggFunc) and not each.find(exp.Window) for each in query.expressions):
            columns = [column for goal in goals for atom in goal.atoms for column in atom.find_all(exp.Column)]
            goals = [
                replace(goal, equal=(*goal.equal, *columns), copies=max(COPIES_OF_AGGREGATE, goal.copies))
                for goal in goals
            ]
        distinct = query.args.get("distinct")
        if distinct and distinct.args.get("on"):
            equal = self._equal(distinct.args["on"].expressions or [distinct.args["on"]], scope)
            goals = [replace(goal, equal=(*goal.equal, *equal), copies=max(2, goal.copies)) for goal in goals]
        having = query.args.get("having")
        goals = self._filter(goals, having, scope)
        projections = [each for each in query.expressions if not isinstance(each, exp.Star)]
        goals = self._split_values(goals, [each.unalias() for each in projections], scope)
        return Query(goals, self._projections(query, scope))

    def _using(self, join: exp.Join, scope: Scope) -> Iterator[exp.Expr]:
        """Yield the conditions of USING (a, b)."""
        aliases = [*scope.tables, *scope.derived]
        for column in join.args.get("using") or ():
            if len(aliases) > 1:
                yield exp.EQ(
                    this=exp.column(column.name, table=aliases[-2]),
                    expression=exp.column(column.name, table=aliases[-1]),
                )

    def _projections(self, query: exp.Select, scope: Scope) -> Mapping[str, exp.Expr]:
        columns: dict[str, exp.Expr] = {}
        for each in query.expressions:
            if isinstance(each, exp.Star) or (isinstance(each, exp.Column) and isinstance(each.this, exp.Star)):
                only = each.table if isinstance(each, exp.Column) else ""
                columns |= self._all_columns(scope, only)
            else:
                columns[each.alias_or_name] = self.resolve(each.unalias(), scope)
        return columns

    def _all_columns(self, scope: Scope, only: str) -> dict[str, exp.Expr]:
        columns: dict[str, exp.Expr] = {}
        for alias, key in scope.tables.items():
            if only in ("", alias):
                table = self.known[key]
                columns |= {name: make_column(key, name) for name in self.columns_of(table.schema, table.name) or ()}
        for alias, derived in scope.derived.items():
            if only in ("", alias):
                columns |= derived
        return columns

    def _read_values(self, values: exp.Values, names: Sequence[str]) -> Query:
        """Return a goal for each row of a VALUES list; its columns stand for the values."""
        key = f"v{next(self.numbers)}"
        width = max((len(row.expressions) for row in values.expressions), default=0)
        names = names or [f"column{number + 1}" for number in range(width)]
        rows = [dict(zip(names, row.expressions, strict=False)) for row in values.expressions[:MOST_ARMS]]
        self.values[key] = rows
        goals = [Goal({f"{key}:{number}": Table("", "")}) for number in range(len(rows))]
        return Query(goals, {name: make_column(key, name) for name in names})

    # Sources

    def _add_from(
        self, source: exp.Expr, scope: Scope, *, optional: bool = False, with_joins: bool = True
    ) -> list[list[Goal]]:
        """Add a source of rows, and those that are joined to it."""
        parts = [self._add_source(source, scope, optional=optional)]
        for join in source.args.get("joins") or () if with_joins else ():
            parts.append(self._add_source(join.this, scope, optional=join.side in ("LEFT", "FULL")))
            conditions = [join.args["on"]] if join.args.get("on") else []
            for condition in [*conditions, *self._using(join, scope)]:
                parts = [self._filter(multiply_goals(parts), condition, scope)]
        return parts

    def _add_source(self, source: exp.Expr, scope: Scope, *, optional: bool = False) -> list[Goal]:
        """Add a table or a subquery to a scope. Returns its goals."""
        alias = source.alias_or_name
        if isinstance(source, exp.Schema):
            source = source.this
        if isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier):
            query = None if source.args.get("db") else scope.find_query(source.name)
            if query:
                scope.derived[alias] = query.columns
                return query.goals or [Goal()]
            view = self.view_of(table_of(source).schema, source.name) if self.depth < DEEPEST_VIEW else None
            if view:
                query = self._read_view(view)
                scope.derived[alias] = query.columns
                return query.goals or [Goal()]
            key = f"t{next(self.numbers)}"
            self.known[key] = table_of(source)
            scope.tables[alias] = key
            if optional:
                scope.optional.add(key)
            return [Goal({key: self.known[key]})]
        if isinstance(source, exp.Lateral):
            source = source.this
        names = [column.name for column in source.args["alias"].columns] if source.args.get("alias") else []
        if isinstance(source, exp.Values):
            query = self._read_values(source, names)
        elif isinstance(source, exp.Subquery):
            query = self._read_query(source.this, scope)
            inner = source.this
            if isinstance(inner, exp.Values):
                query = self._read_values(inner, names)
        else:
            scope.derived[alias] = self._of_function(source, names, scope)
            return [Goal()]
        query = rename_columns(query, names)
        scope.derived[alias] = query.columns
        return query.goals or [Goal()]

    def _read_view(self, sql: str) -> "Query":
        """Return what the query of a view gives."""
        query = parse_statement(sql)
        if query is None:
            raise UnreadableError
        self.depth += 1
        try:
            return self._read_query(query, Scope())
        finally:
            self.depth -= 1

    def _of_function(self, source: exp.Expr, names: Sequence[str], scope: Scope) -> Mapping[str, exp.Expr]:
        """Return what the columns of `unnest(t.tags) AS u (tag)` stand for."""
        call = source.this if isinstance(source, exp.Table) else source
        value = self.resolve(call.copy(), scope)
        value.set("alias", None)
        alias = source.alias_or_name
        return dict.fromkeys(names or [alias, "value"], value)

    # Conditions

    def _filter(self, goals: list[Goal], condition: exp.Expr | None, scope: Scope) -> list[Goal]:
        """Return the goals with a condition, one for each of its arms."""
        if isinstance(condition, exp.Where | exp.Having):
            condition = condition.this
        if condition is None:
            return goals
        found: list[Goal] = []
        for goal, atoms in itertools.product(goals, split_condition(condition)):
            for each in self._with_atoms(goal, atoms, scope):
                found.append(each)
                if len(found) >= MOST_ARMS:
                    return found
        return found

    def _with_atoms(self, goal: Goal, atoms: Atoms, scope: Scope) -> list[Goal]:
        goals = [goal]
        for atom in atoms:
            goals = [found for each in goals for found in self._with_atom(each, atom, scope)]
        return goals

    def _with_atom(self, goal: Goal, atom: exp.Expr, scope: Scope) -> list[Goal]:
        """Return the goal with one more atom; several where a subquery has several arms."""
        column = is_null_test(atom)
        if column is not None:
            resolved = self.resolve(column, scope)
            key = resolved.table if isinstance(resolved, exp.Column) else ""
            if key in scope.optional:  # LEFT JOIN … WHERE right.id IS NULL: no row there
                tables = {name: table for name, table in goal.tables.items() if name != key}
                kept = tuple(each for each in goal.atoms if key not in keys_of(each))
                return [replace(goal, tables=tables, atoms=kept)]
        query = subquery(atom)
        if query is not None:
            return self._with_subquery(goal, atom, query, scope)
        resolved = self.resolve(atom, scope)
        if resolved.find(exp.AggFunc, exp.Window):
            return [self._with_aggregate(goal, resolved)]
        return [replace(goal, atoms=(*goal.atoms, resolved))]

    def _with_subquery(self, goal: Goal, atom: exp.Expr, query: exp.Expr, scope: Scope) -> list[Goal]:
        """Return the goal with the rows of a subquery, where the atom is true when there are some."""
        read = self._read_query(query, scope)
        if isinstance(atom, exp.Exists):
            return [inner.join(goal) for inner in read.goals]
        value = next(iter(read.columns.values()), None)
        if isinstance(atom, exp.Not) and any(inner.equal for inner in read.goals):  # NOT IN the first of each group
            return [inner.join(goal) for inner in read.goals]
        if value is None or isinstance(atom, exp.Not | exp.NEQ):
            return [replace(goal, absent=(*goal.absent, *self._absences(goal, atom, read, scope)))]
        if isinstance(value, exp.Sum | exp.Min | exp.Max | exp.Avg) and isinstance(value.this, exp.Column):
            value = value.this  # of a single row, which is its own sum
        if value.find(exp.AggFunc, exp.Window):
            return [replace(inner, copies=max(2, inner.copies)).join(goal) for inner in read.goals]
        if isinstance(atom, exp.In):
            compared: exp.Expr = exp.EQ(this=atom.this.copy(), expression=exp.Placeholder())
        else:
            compared = atom.copy()
            for node in [*compared.find_all(exp.Any, exp.Subquery, exp.Select)]:
                node.replace(exp.Placeholder())
                break
        resolved = self.resolve(compared, scope)
        for hole in [*resolved.find_all(exp.Placeholder)]:
            hole.replace(value.copy())
        return [inner.join(replace(goal, atoms=(*goal.atoms, resolved))) for inner in read.goals]

    def _absences(self, goal: Goal, atom: exp.Expr, read: "Query", scope: Scope) -> Iterator[Absence]:
        """Yield the rows that NOT EXISTS (…) or NOT IN (…) forbids, where nothing but a key describes them."""
        for inner in read.goals if len(read.goals) == 1 and len(read.goals[0].tables) == 1 else ():
            ((key, table),) = inner.tables.items()
            atoms = list(inner.atoms)
            membership = atom.find(exp.In)
            value = next(iter(read.columns.values()), None)
            if membership is not None and value is not None:
                atoms.append(exp.EQ(this=self.resolve(membership.this, scope), expression=value.copy()))
            sides = [(each.this, each.expression) for each in atoms if isinstance(each, exp.EQ)]
            if len(atoms) != 1 or not sides:
                continue
            for column, other in (sides[0], sides[0][::-1]):
                is_pair = isinstance(column, exp.Column) and isinstance(other, exp.Column)
                if is_pair and column.table in goal.tables and other.table == key:
                    yield Absence(column, table, other.name)

    def _with_aggregate(self, goal: Goal, atom: exp.Expr) -> Goal:
        """Return the goal with enough rows for the aggregate or the window function of an atom."""
        numbers = [int(each.this) for each in atom.find_all(exp.Literal) if each.this.isdigit()]
        copies = max(number for number in (1, *numbers) if number < MOST_COPIES) + 1
        equal = [column for window in atom.find_all(exp.Window) for column in partition_columns(window)]
        # as in state = lag(state) OVER (…)
        equal += [column for column in atom.find_all(exp.Column) if not column.find_ancestor(exp.Window, exp.AggFunc)]
        atoms = goal.atoms
        calls = list(atom.find_all(exp.AggFunc, exp.Window))
        if all(isinstance(call, exp.AggFunc) and isinstance(call.this, exp.Column) for call in calls):
            stripped = atom.copy()
            for call in [*stripped.find_all(exp.AggFunc)]:
                call.replace(call.this.copy())
            stripped.meta[IS_WISH] = True
            atoms = (*atoms, stripped)
            copies = max(copies, COPIES_OF_AGGREGATE)
        return replace(goal, atoms=atoms, equal=(*goal.equal, *equal), copies=max(goal.copies, copies))

    def _equal(self, expressions: Sequence[exp.Expr], scope: Scope) -> Atoms:
        resolved = [self.resolve(each, scope) for each in expressions]
        return tuple(column for each in resolved for column in each.find_all(exp.Column))

    def _split_values(self, goals: list[Goal], expressions: Sequence[exp.Expr], scope: Scope) -> list[Goal]:
        """Return the goals with the values that are computed from their rows, and one more for each arm of a CASE."""
        values: list[exp.Expr] = []
        arms: list[exp.Expr] = []
        for expression in expressions:
            arms += arms_of(expression)
            for query in expression.find_all(exp.Select):
                inner = self._read_query(query, scope)
                goals = [*goals, *(found.join(goal) for goal in goals[:1] for found in inner.goals if found.tables)]
            resolved = self.resolve(expression, scope)
            for window in resolved.find_all(exp.Window):
                equal = partition_columns(window)
                goals = [replace(goal, equal=(*goal.equal, *equal), copies=max(2, goal.copies)) for goal in goals]
            is_value = resolved.find(exp.Column) and not resolved.find(exp.Select, exp.AggFunc, exp.Window)
            if is_value and not isinstance(resolved, exp.Column):
                values.append(resolved)
        found = [replace(goal, values=(*goal.values, *values)) for goal in goals]
        for arm in arms:
            if not arm.find(exp.Select):
                found += self._filter(goals[:MOST_ARMS], arm, scope)
        return found[: 2 * MOST_ARMS]

    # VALUES

    def bind_values(self, goal: Goal) -> Goal:
        """Return a goal with the values of the rows of VALUES lists that it has."""
        rows = {}
        for key in goal.tables:
            name, _, number = key.partition(":")
            if number:
                rows[name] = self.values[name][int(number)]
        if not rows:
            return goal
        tables = {key: table for key, table in goal.tables.items() if ":" not in key}
        bound = goal.replace_columns(lambda column: rows.get(column.table, {}).get(column.name))
        return replace(bound, tables=tables)
