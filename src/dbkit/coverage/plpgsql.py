"""The SQL in DO blocks, functions and triggers, as statements that are complete by themselves.

A loop's row becomes a derived table, a variable its value or a scalar subquery, and the branches in which a statement
is become its conditions. What only a running server knows keeps its name. What cannot be read is left out.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from sqlglot import exp

from dbkit.coverage.function_bodies import FunctionBody, TriggerBody
from dbkit.coverage.plpgsql_nodes import (
    ArrayItems,
    Assert,
    Assignment,
    Block,
    Body,
    Branches,
    Command,
    Dynamic,
    Fetch,
    Leave,
    Loop,
    Node,
    Open,
    Range,
    RowCount,
    Variable,
    assigned_names,
    has_dynamic,
)
from dbkit.coverage.plpgsql_scope import BranchEnd, Scope, conditions_after, merge_branches
from dbkit.coverage.plpgsql_syntax import UnreadableError, parse_block, split_call
from dbkit.coverage.row_sources import add_sources, negate, read_only, select_rows
from dbkit.coverage.sql_trees import (
    asks_rows,
    constant_items,
    constant_rows,
    constant_truth,
    function_arguments,
    function_names,
    name_columns,
    parse_statement,
    select_column,
)
from dbkit.coverage.statement_reader import StatementReader
from dbkit.postgres.sql_text import SEPARATORS, Kind, Token, plain, read_string, split_statements, statements

DEEPEST = 5  # calls of calls
MOST_ITEMS = 16  # of literals for which a loop is repeated
MOST_CONDITIONS = 16  # of a statement: each one before which a block may return adds one
ONE = exp.Literal.number(1)
Conditions = tuple[exp.Expr, ...]


def inner_statements(sql: str, functions: Mapping[str, FunctionBody]) -> list[str]:
    """Return the SQL statements that DO blocks and called functions run, as standalone statements.

    `functions` are those that may be called, by name. The statement itself is not among the results.
    """
    walker = _Walker(functions)
    for tokens in split_statements(sql):
        text = "".join(token.text for token in tokens).strip()
        try:
            if plain(text).startswith("do "):
                walker.walk_source(_read_block_source(tokens), "plpgsql", ())
            elif tree := parse_statement(text):
                walker.call_functions(tree, ())
        except RecursionError:
            continue
    return walker.found


def trigger_statements(trigger: TriggerBody, functions: Mapping[str, FunctionBody]) -> list[str]:
    """Return the SQL statements of a row trigger for its events. OLD and NEW become rows of the trigger's table."""
    found: dict[str, None] = {}
    for event in trigger.events:
        walker = _Walker(functions)
        for name in {"INSERT": ("new",), "DELETE": ("old",)}.get(event, ("old", "new")):
            walker.scope.bind_row(name, exp.to_table(trigger.table, dialect="postgres"))
        walker.scope.assign("tg_op", exp.Literal.string(event))
        walker.scope.assign("tg_table_name", exp.Literal.string(exp.to_table(trigger.table, dialect="postgres").name))
        condition = walker.read_expression(trigger.condition) if trigger.condition else None
        walker.walk_source(trigger.function.source, trigger.function.language, (condition,) if condition else ())
        found |= dict.fromkeys(walker.found)
    return list(found)


class _Walker(StatementReader):
    """Walk over the statements of a body in order, with what is known of the variables at each place."""

    def __init__(self, functions: Mapping[str, FunctionBody], scope: Scope | None = None) -> None:
        super().__init__(scope or Scope())
        self.functions = functions
        self.found: list[str] = []
        self.loops: list[str] = []
        """The aliases of the rows of the loops around the statement: without such a row it does not run."""
        self.callers: tuple[str, ...] = ()

    def walk_source(self, source: str, language: str, conditions: Conditions) -> None:
        """Walk over the source of a function or a block."""
        try:
            if language == "plpgsql":
                self.walk_block(parse_block(source), conditions)
            elif language == "sql":
                self.walk(tuple(Command(each) for each in statements(source)), conditions)
        except UnreadableError:
            return

    def walk(self, body: Body, conditions: Conditions) -> Conditions | None:
        """Walk over statements, and return the conditions behind them; None where that is never reached."""
        for node in body:
            after = self.walk_node(node, conditions)
            if after is None:
                return None
            conditions = after
        return conditions

    def walk_node(self, node: Node, conditions: Conditions) -> Conditions | None:
        match node:
            case Block():
                return self.walk_block(node, conditions)
            case Branches():
                return self.walk_branches(node, conditions)
            case Loop():
                self.walk_loop(node, conditions)
            case Leave():
                return self.walk_leave(node, conditions)
            case Command():
                self.run_command(node, conditions)
            case Assert():
                condition = self.read_expression(node.condition)
                return (*conditions, condition) if condition else conditions
            case _:
                self.set_variables(node, conditions)
        return conditions

    def set_variables(self, node: Node, conditions: Conditions) -> None:
        match node:
            case Assignment(targets=(target,)):
                self.scope.assign(target, self.evaluate(node.value, conditions))
            case RowCount(targets=(target,)):
                self.scope.assign(target, self.scope.scalars.get("row_count"))
            case Open():
                self.open_cursor(node, conditions)
            case Fetch():
                self.fetch(node)

    def walk_block(self, block: Block, conditions: Conditions) -> Conditions | None:
        hidden = self.scope.copy()
        names = {variable.name.lower() for variable in block.variables}
        for variable in block.variables:
            self.declare(variable, conditions)
        after = self.walk(block.body, conditions)
        ends = [after, *(self.walk(handler, conditions) for handler in block.handlers)]
        self.scope.forget(names)
        for name in names & hidden.scalars.keys():
            self.scope.scalars[name] = hidden.scalars[name]
        for name in names & hidden.records.keys():
            self.scope.records[name] = hidden.records[name]
        if not block.handlers:
            return after
        return None if all(end is None for end in ends) else conditions

    def declare(self, variable: Variable, conditions: Conditions) -> None:
        name = variable.name.lower()
        self.scope.forget([name])
        self.scope.types[name] = variable.type
        if variable.type == "cursor":
            self.scope.cursors[name] = variable
        elif variable.value:
            self.scope.assign(name, self.evaluate(variable.value, conditions))

    def walk_branches(self, branches: Branches, conditions: Conditions) -> Conditions | None:
        before, reached = self.scope, [*conditions]
        ends: list[BranchEnd] = []
        is_complete = not branches.arms[-1][0]
        for text, body in branches.arms:
            self.scope = before.copy()
            condition = self.test(text, tuple(reached)) if text else None
            truth = constant_truth(condition) if condition else None
            if truth is False:
                continue
            condition = None if truth else condition
            inside = (*reached, condition) if condition else tuple(reached)
            after = self.walk(body, inside)
            ends.append((condition, self.scope, after is None))
            reached += [negate(condition)] if condition else []
            if truth:
                is_complete = True
                break
        if not is_complete:
            ends.append((None, before.copy(), False))
        self.scope = before
        if all(leaves for _, _, leaves in ends):
            return None
        merge_branches(before, ends)
        return (*conditions, *conditions_after(ends))

    def walk_loop(self, loop: Loop, conditions: Conditions) -> None:
        changed = assigned_names(loop.body)
        loops = list(self.loops)
        self.scope.forget(changed - set(loop.targets))
        if rows := self.constant_turns(loop):
            for row in rows:
                for name, value in row.items():
                    self.scope.assign(name, value)
                self.walk(loop.body, conditions)
                self.scope.forget(changed)
        elif self.enter_loop(loop, conditions):
            inside = conditions
            if loop.condition and (condition := self.test(loop.condition, conditions)):
                inside = (*conditions, condition)
            self.walk(loop.body, inside)
        self.loops = loops
        self.scope.forget(changed | {name.lower() for name in loop.targets} | {"found", "row_count"})

    def constant_turns(self, loop: Loop) -> list[dict[str, exp.Expr]]:
        """Return the variables for each turn of a loop over literals; nothing for other loops.

        A query over literals is a source of rows like any other, but not where EXECUTE needs a name from it.
        """
        found: list[dict[str, exp.Expr]] = []
        if isinstance(loop.source, ArrayItems):
            found = [{loop.targets[0]: item} for item in constant_items(self.read_expression(loop.source.array))]
        elif isinstance(loop.source, str) and has_dynamic(loop.body):
            query = self.read_query(loop.source)
            rows = constant_rows(query) if query is not None else []
            for row in rows:
                names = loop.targets if len(loop.targets) > 1 else [f"{loop.targets[0]}.{name}" for name in row]
                if len(row) == 1 and len(loop.targets) == 1 and query is not None:
                    is_record = self.is_record(loop.targets[0].lower(), query)
                    names = names if is_record else loop.targets
                found.append(dict(zip(names, row.values(), strict=False)))
        return found if len(found) <= MOST_ITEMS else []

    def enter_loop(self, loop: Loop, conditions: Conditions) -> bool:
        """Bind the variables of a loop to a row. Return False where its source cannot be read."""
        if loop.source is None:
            return True
        query: exp.Expr | None = None
        target = loop.targets[0].lower()
        match loop.source:
            case Range(low=low, high=high):
                query = self.read_query(f"SELECT generate_series({low}, {high}) AS {target}")
            case ArrayItems(array=array):
                query = self.read_query(f"SELECT unnest({array}) AS {target}")
            case Dynamic():
                query = next(iter(self.read_dynamic(loop.source)), None)
            case str(text):
                name, arguments = split_call(text)
                cursor = self.scope.cursors.get(name)
                query = self.read_cursor(cursor, arguments) if cursor else self.read_query(text)
                self.opened |= {name: query} if cursor and query is not None else {}
        if query is None:
            return False
        self.emit(query, conditions)
        rows = read_only(query)
        if rows is not None:
            self.loops.append(self.bind_loop_row(loop, rows))
        return rows is not None

    def bind_loop_row(self, loop: Loop, query: exp.Expr) -> str:
        names = [name.lower() for name in loop.targets]
        has_items = isinstance(loop.source, Range | ArrayItems)
        if len(names) == 1 and not has_items and self.is_record(names[0], query):
            return self.scope.bind_row(names[0], query)
        columns = name_columns(query)
        alias = self.scope.bind_row(names[0] if len(names) == 1 else "loop_row", query)
        for name in names:
            self.scope.records.pop(name, None)
        for name, column in zip(names, columns, strict=False):
            self.scope.assign(name, exp.column(column, table=alias))
        return alias

    def is_record(self, name: str, query: exp.Expr) -> bool:
        """Whether a variable holds a row, not a value. An undeclared one is the record of a loop."""
        type_name = self.scope.types.get(name, "record")
        if type_name == "record" or "%rowtype" in type_name.replace(" ", ""):
            return True
        selects = query.selects if isinstance(query, exp.Query) else []
        return len(selects) > 1 or any(each.is_star for each in selects)

    def walk_leave(self, leave: Leave, conditions: Conditions) -> Conditions | None:
        if leave.value:
            self.evaluate(leave.value, conditions)
        if not leave.condition:
            return None
        condition = self.read_expression(leave.condition)
        return (*conditions, negate(condition)) if condition else conditions

    def evaluate(self, text: str, conditions: Conditions) -> exp.Expr | None:
        """Return an expression with the values of variables. Where it has a query, it becomes a statement, too."""
        value = self.read_expression(text)
        if value is not None:
            self.emit(exp.Select(expressions=[value.copy()]), conditions)
        return value

    def test(self, text: str, conditions: Conditions) -> exp.Expr | None:
        """Return a condition. It becomes a statement, too, where it depends on rows."""
        value = self.read_expression(text)
        if value is not None:
            self.call_functions(value, conditions)
            if asks_rows(value) or self.scope.references(value):
                self.write(exp.Select(expressions=[ONE.copy()]), (*conditions, value))
        return value

    def open_cursor(self, node: Open, conditions: Conditions) -> None:
        name = node.cursor.lower()
        declared = self.scope.cursors.get(name)
        query: exp.Expr | None = None
        if isinstance(node.query, Dynamic):
            query = next(iter(self.read_dynamic(node.query)), None)
        elif declared:
            query = self.read_cursor(declared, split_call(node.query)[1])
        else:
            query = self.read_query(node.query)
        self.opened.pop(name, None)
        if query is not None:
            self.opened[name] = query
            self.emit(query, conditions)

    def fetch(self, node: Fetch) -> None:
        query = self.opened.get(node.cursor.lower())
        self.assign_query(node.targets, query)
        self.remember_rows(query)

    def run_command(self, command: Command, conditions: Conditions) -> None:
        if isinstance(command.statement, Dynamic):
            trees = self.read_dynamic(command.statement)
        else:
            tree = self.read_query(command.statement)
            trees = [tree] if tree is not None else []
        for tree in trees:
            self.emit(tree, conditions)
        last = trees[-1] if trees else None
        self.assign_query(command.targets, last)
        self.remember_rows(last)

    def assign_query(self, targets: Sequence[str], query: exp.Expr | None) -> None:
        """Assign the first row of a query to variables."""
        names = [target.lower() for target in targets]
        query = read_only(query) if query is not None and names else None
        if not isinstance(query, exp.Query):
            self.scope.forget(names)
        elif len(names) == 1 and self.is_record(names[0], query):
            self.scope.bind_row(names[0], query)
        else:
            for number, name in enumerate(names):
                self.scope.assign(name, select_column(query, number))

    def remember_rows(self, tree: exp.Expr | None) -> None:
        """Set FOUND and ROW_COUNT after a statement, where its rows can be asked for."""
        self.scope.forget(["found", "row_count"])
        query = select_rows(tree, [ONE]) if isinstance(tree, exp.DML) else tree
        rows = read_only(query) if query is not None else None
        if rows is not None and asks_rows(rows):
            counted = exp.Subquery(this=rows.copy(), alias=exp.TableAlias(this=exp.to_identifier("counted")))
            count = exp.Select(expressions=[exp.Count(this=exp.Star())], from_=exp.From(this=counted))
            self.scope.assign("found", exp.Exists(this=rows))
            self.scope.assign("row_count", exp.Subquery(this=count))

    def emit(self, tree: exp.Expr, conditions: Conditions) -> None:
        """Add a statement to the results, and the statements of the functions that it calls."""
        if not isinstance(tree, exp.Select) or asks_rows(tree):
            self.write(tree, conditions)
        self.call_functions(tree, conditions)

    def write(self, tree: exp.Expr, conditions: Conditions) -> None:
        """Add a statement to the results, with the rows and the last conditions on which it depends."""
        conditions = conditions[-MOST_CONDITIONS:]
        rows = self.scope.used_rows([tree, *conditions], self.loops)
        complete = add_sources(tree.copy(), self.scope.as_sources(rows), conditions)
        self.found.append(complete.sql("postgres", comments=False))

    def call_functions(self, tree: exp.Expr, conditions: Conditions) -> None:
        """Walk over the bodies of the functions that an expression calls."""
        for call in tree.find_all(exp.Func):
            function = next((self.functions[name] for name in function_names(call) if name in self.functions), None)
            if function and function.name not in self.callers and len(self.callers) < DEEPEST:
                self.call_function(function, call, conditions)

    def call_function(self, function: FunctionBody, call: exp.Func, conditions: Conditions) -> None:
        scope = Scope(rows=self.scope.rows)
        child = _Walker(self.functions, scope)
        child.found, child.callers, child.loops = self.found, (*self.callers, function.name), list(self.loops)
        arguments = _read_arguments(function, call)
        names = {number: name for number, name in enumerate(_column_names(function), 1) if name in arguments}
        if any(self.scope.has_own_columns(value) for value in arguments.values()):
            query = _select_arguments(call, arguments)
            if query is not None:
                alias = scope.bind_row(function.name.lower(), query)
                scope.records.clear()
                child.loops.append(alias)
                arguments = {name: exp.column(name, table=alias) for name in arguments}
        scope.types |= dict.fromkeys(_column_names(function), "")
        for number, name in names.items():
            scope.assign(name, arguments[name])
            scope.assign(f"${number}", arguments[name])
        child.walk_source(function.source, function.language, conditions)


def _read_block_source(tokens: Sequence[Token]) -> str:
    """Return the source of DO; empty if it is in another language."""
    words = [token for token in tokens if token.kind not in SEPARATORS]
    for word, following in pairwise(words):
        if word.plain == "language" and following.text.strip("'\"").lower() != "plpgsql":
            return ""
    return next((read_string(word.text) for word in words if word.kind == Kind.STRING), "")


def _column_names(function: FunctionBody) -> list[str]:
    """Return the names of a function's arguments; those without a name get one."""
    return [name.lower() or f"argument_{number}" for number, name in enumerate(function.arguments, 1)]


def _read_arguments(function: FunctionBody, call: exp.Func) -> dict[str, exp.Expr]:
    """Return the arguments of a call by their names."""
    found: dict[str, exp.Expr] = {}
    for value, name in zip(function_arguments(call), _column_names(function), strict=False):
        if isinstance(value, exp.Kwarg | exp.PropertyEQ):
            found[value.this.name.lower()] = value.expression
        else:
            found[name] = value
    return found


def _select_arguments(call: exp.Func, arguments: Mapping[str, exp.Expr]) -> exp.Expr | None:
    """Return the query for the arguments of all calls that a statement makes, one for each of its rows."""
    statement = call.find_ancestor(exp.Select, exp.Update, exp.Delete)
    if statement is None or call.find_ancestor(exp.From, exp.Join) is not None:
        return None
    rows = select_rows(statement, [exp.alias_(value.copy(), name) for name, value in arguments.items()])
    return rows if rows is not None and rows.args.get("from_") else None
