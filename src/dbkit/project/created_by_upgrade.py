"""Read which tables and columns a revision file creates, with the operations and the SQL in its upgrade()."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from dbkit.project.created_by_sql import ScriptReader
from dbkit.project.created_tables import UNKNOWN, CreatedTables

DEEPEST = 8  # nested calls of helper functions
WRAPPERS = ("text", "DDL", "dedent", "cleandoc", "strip", "upper", "lower")


class _Batch(NamedTuple):
    """The table of `with op.batch_alter_table(…)`."""

    schema: str | None
    table: str | None


Value = str | list["Value"] | _Batch | None
"""The value of an expression; None where it is unknown, and "" for Python's None."""
Names = Mapping[str, Value]


class UpgradeReader:
    """Follows upgrade() of one file: constants, f-strings, loops over literals, and helper functions of the file.

    `is_unclear` when it may drop or rename a table that only running it would tell.
    """

    def __init__(self, tree: ast.Module, tables: CreatedTables) -> None:
        self.tables = tables
        self.is_unclear = False
        self.depth = 0
        self.functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        self.nodes: dict[str, ast.expr] = {}
        self.constants: dict[str, Value] = {}
        for node in tree.body:
            self._assign(node, self.constants)

    def run(self) -> None:
        """Follow upgrade(), where the file has one."""
        if "upgrade" in self.functions:
            self._walk(self.functions["upgrade"].body, self.constants)

    def _walk(self, body: Sequence[ast.stmt], names: Names) -> None:
        local = dict(names)
        for node in body:
            self._statement(node, local)

    def _statement(self, node: ast.stmt, local: dict[str, Value]) -> None:
        if isinstance(node, ast.FunctionDef):
            return
        if isinstance(node, ast.For):
            items = self._value(node.iter, local)
            for item in items if isinstance(items, list) else [None]:
                self._walk(node.body, local | _bound(node.target, item))
            return
        for each in node.items if isinstance(node, ast.With) else []:
            if isinstance(each.optional_vars, ast.Name):
                local[each.optional_vars.id] = self._batch(each.context_expr, local)
        blocks = _blocks(node)
        if not blocks:
            for call in _calls(node):
                self._call(call, local)
            self._assign(node, local)
        for inner in blocks:
            self._statement(inner, local)

    def _assign(self, node: ast.stmt, names: dict[str, Value]) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        for target in targets:
            if isinstance(target, ast.Name) and value is not None:
                names[target.id] = None if isinstance(node, ast.AugAssign) else self._value(value, names)
                self.nodes[target.id] = value

    def _value(self, node: ast.expr | None, names: Names) -> Value:
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Constant(value=None):
                return ""
            case ast.Name(id=name):
                return names.get(name)
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                return [self._value(item, names) for item in items]
            case ast.JoinedStr(values=parts):
                return "".join(self._text(part, names) for part in parts)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._text(left, names) + self._text(right, names)
            case ast.Call(func=function, args=arguments):
                name = _name(function)
                inner = function.value if isinstance(function, ast.Attribute) and not arguments else None
                if name in WRAPPERS:
                    return self._value(arguments[0] if arguments else inner, names)
        return None

    def _text(self, node: ast.expr, names: Names) -> str:
        inner = node.value if isinstance(node, ast.FormattedValue) else node
        value = self._value(inner, names)
        return value if isinstance(value, str) else UNKNOWN

    def _batch(self, node: ast.expr, names: Names) -> _Batch | None:
        if not isinstance(node, ast.Call) or _name(node.func) != "batch_alter_table":
            return None
        return _Batch(*self._table(node, "schema", "table_name", names))

    def _argument(self, call: ast.Call, position: int, keyword: str, names: Names) -> str | None:
        given = {each.arg: each.value for each in call.keywords}
        node = given.get(keyword) or (call.args[position] if position < len(call.args) else None)
        value = self._value(node, names)
        return value if isinstance(value, str) and UNKNOWN not in value else None

    def _table(self, call: ast.Call, schema: str, name: str, names: Names) -> tuple[str | None, str | None]:
        table = self._argument(call, 0, name, names)
        given = next((each.value for each in call.keywords if each.arg == schema), None)
        stated = self._argument(call, len(call.args), schema, names)
        return stated, table if given is None or stated is not None else None

    def _call(self, call: ast.Call, names: Names) -> None:
        verb = _name(call.func)
        if isinstance(call.func, ast.Name) and verb in self.functions:
            self._helper(self.functions[verb], call, names)
        elif verb in ("execute", "exec_driver_sql"):
            text = self._value(call.args[0] if call.args else None, names)
            if isinstance(text, str):
                self.is_unclear |= ScriptReader(self.tables).run(text)
        elif verb in ("create_table", "drop_table", "rename_table", "add_column", "alter_column", "drop_column"):
            self._operation(verb, call, names)

    def _operation(self, verb: str, call: ast.Call, names: Names) -> None:
        owner = names.get(call.func.value.id) if _is_method(call) else None  # type: ignore[attr-defined]
        batch = owner if isinstance(owner, _Batch) else None
        schema, table = batch or self._table(
            call, "schema", "old_table_name" if verb == "rename_table" else "table_name", names
        )
        if table is None:
            self.is_unclear |= verb in ("drop_table", "rename_table")
            return
        key, first = self.tables.key(schema, table), 0 if batch else 1
        known = self.tables.columns.get(key, set())
        if verb == "create_table":
            if not any("temp" in ast.unparse(each.value).lower() for each in call.keywords if each.arg == "prefixes"):
                self.tables.create(key, self._columns([*call.args[1:]], names))
        elif verb == "drop_table":
            self.tables.forget([key])
        elif verb == "rename_table":
            new = self._argument(call, 1, "new_table_name", names)
            self.tables.move(key, self.tables.key(schema, new)) if new else self.tables.forget([key])
        elif verb == "add_column":
            known.update(self._columns(call.args[first:], names))
        elif verb == "drop_column":
            known.discard(self._argument(call, first, "column_name", names) or "")
        elif new := self._argument(call, len(call.args), "new_column_name", names):
            known.add(new)

    def _columns(self, arguments: Iterable[ast.expr], names: Names) -> Iterator[str]:
        for argument in arguments:
            for node in ast.walk(argument):
                if isinstance(node, ast.Call) and _name(node.func) in ("Column", "mapped_column"):
                    name = self._argument(node, 0, "name", names)
                    if name:
                        yield name
                elif isinstance(node, ast.Name) and node.id in self.nodes:
                    yield from self._columns([self.nodes.pop(node.id)], names)
                elif isinstance(node, ast.Call) and _name(node.func) in self.functions:
                    for inner in ast.walk(self.functions[_name(node.func)]):
                        if isinstance(inner, ast.Call) and _name(inner.func) == "Column":
                            yield from self._columns([inner], names)

    def _helper(self, function: ast.FunctionDef, call: ast.Call, names: Names) -> None:
        if self.depth == DEEPEST:
            self.is_unclear = True
            return
        parameters = [each.arg for each in (*function.args.args, *function.args.kwonlyargs)]
        defaults = zip(reversed(function.args.args), reversed(function.args.defaults), strict=False)
        given: dict[str, Value] = dict.fromkeys(parameters)
        given |= {each.arg: self._value(value, self.constants) for each, value in defaults}
        given |= {name: self._value(value, names) for name, value in zip(parameters, call.args, strict=False)}
        given |= {each.arg: self._value(each.value, names) for each in call.keywords if each.arg}
        self.depth += 1
        self._walk(function.body, {**self.constants, **given})
        self.depth -= 1


def _blocks(node: ast.AST) -> list[ast.stmt]:
    """The statements within a statement."""
    inner = [each for name in ("body", "handlers", "orelse", "finalbody") for each in getattr(node, name, [])]
    return [each for one in inner for each in (_blocks(one) if isinstance(one, ast.ExceptHandler) else [one])]


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """The calls in a statement, in the order in which they are written."""
    found = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
    yield from sorted(found, key=lambda call: (call.lineno, call.col_offset))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _is_method(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)


def _bound(target: ast.expr, item: Value) -> dict[str, Value]:
    if isinstance(target, ast.Name):
        return {target.id: item}
    names = target.elts if isinstance(target, ast.Tuple) else []
    values = item if isinstance(item, list) else [None] * len(names)
    return {name.id: value for name, value in zip(names, values, strict=False) if isinstance(name, ast.Name)}
