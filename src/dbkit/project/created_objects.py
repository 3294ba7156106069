"""Read from the revision files, without running them, which tables and columns they create."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dbkit.postgres import sql_text
from dbkit.postgres.sql_text import Kind

DEEPEST = 8  # helpers that call helpers
UNKNOWN = "\ufffd"  # stands in a text for what only running the file would tell
WRAPPERS = ("text", "DDL", "dedent", "cleandoc", "strip", "upper", "lower")
NO_COLUMN = ("constraint", "primary", "unique", "check", "exclude", "foreign", "like")
TEMPORARY = ("temp", "temporary", "local", "global")
Key = tuple[str, str]
"""Schema and name of a table."""


@dataclass
class Tables:
    """The tables that the revisions read so far have made and not dropped, with their columns."""

    default_schema: str
    columns: dict[Key, set[str]] = field(default_factory=dict)

    def key(self, schema: str | None, name: str) -> Key:
        return schema or self.default_schema, name

    def create(self, key: Key, columns: Iterable[str]) -> None:
        self.columns.setdefault(key, set()).update(columns)

    def move(self, old: Key, new: Key) -> None:
        if old in self.columns:
            self.columns[new] = self.columns.pop(old)

    def forget(self, keys: Iterable[Key]) -> None:
        for key in list(keys):
            self.columns.pop(key, None)


def read(paths: Iterable[Path], default_schema: str) -> Tables:
    """Read what the upgrades of the files create, which come in the order in which they run."""
    tables = Tables(default_schema)
    for path in paths:
        source = path.read_text(encoding="utf-8", errors="replace") if path.suffix == ".py" else ""
        upgrade = _Upgrade(ast.parse(source), tables)
        upgrade.run()
        if upgrade.unclear:
            # it may have dropped any table that it names, and what has that name now is somebody else's
            tables.forget([key for key in tables.columns if mentions(source, key[1])])
    return tables


def mentions(source: str, name: str) -> bool:
    """Is the name in the text, and not as a part of a longer word?"""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", source) is not None


class _Batch(NamedTuple):
    """The table of `with op.batch_alter_table(…)`."""

    schema: str | None
    table: str | None


Value = str | list["Value"] | _Batch | None
"""What an expression is, as far as it can be told; None is unknown, and "" is Python's None."""
Names = Mapping[str, Value]


class _Upgrade:
    """Follow upgrade() of one file: constants, f-strings, loops over literals, and helpers in the same file."""

    def __init__(self, tree: ast.Module, tables: Tables) -> None:
        self.tables = tables
        self.unclear = False
        self.depth = 0
        self.functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        self.nodes: dict[str, ast.expr] = {}
        self.constants: dict[str, Value] = {}
        for node in tree.body:
            self._assign(node, self.constants)

    def run(self) -> None:
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
                self.unclear |= _Script(self.tables).run(text)
        elif verb in ("create_table", "drop_table", "rename_table", "add_column", "alter_column", "drop_column"):
            self._operation(verb, call, names)

    def _operation(self, verb: str, call: ast.Call, names: Names) -> None:
        owner = names.get(call.func.value.id) if _is_method(call) else None  # type: ignore[attr-defined]
        batch = owner if isinstance(owner, _Batch) else None
        schema, table = batch or self._table(
            call, "schema", "old_table_name" if verb == "rename_table" else "table_name", names
        )
        if table is None:
            self.unclear |= verb in ("drop_table", "rename_table")
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
            self.unclear = True
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


class _Token(NamedTuple):
    kind: str
    text: str


class _Script:
    """SQL of a revision, statement by statement, as far as it makes, moves or drops tables and columns."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.unclear = False
        self.path_is_set = False
        self.tokens: list[_Token] = []
        self.at = 0

    def run(self, sql: str) -> bool:
        """Follow the statements. Returns whether one of them may have dropped or renamed what cannot be told."""
        statement: list[_Token] = []
        for token in [*_tokens(sql), _Token("sign", ";")]:
            if token == ("sign", ";"):
                self.tokens, self.at = statement, 0
                self._statement()
                statement = []
            else:
                statement.append(token)
        return self.unclear

    def _take(self, *words: str) -> bool:
        """Go over these words, where they come next."""
        ahead = [token.text for token in self.tokens[self.at : self.at + len(words)] if token.kind == "word"]
        if ahead != list(words):
            return False
        self.at += len(words)
        return True

    def _one(self) -> str | None:
        token = self.tokens[self.at] if self.at < len(self.tokens) else _Token("end", "")
        self.at += 1
        return token.text if token.kind in ("word", "quoted") and UNKNOWN not in token.text else None

    def _sign(self, sign: str) -> bool:
        found = self.tokens[self.at : self.at + 1] == [_Token("sign", sign)]
        self.at += found
        return found

    def _table(self) -> Key | None:
        first = self._one()
        if first and self._sign("."):
            second = self._one()
            return (first, second) if second else None
        return self.tables.key(None, first) if first and not self.path_is_set else None

    def _statement(self) -> None:
        words = [token.text for token in self.tokens if token.kind == "word"]
        if "search_path" in words or any(
            "search_path" in token.text for token in self.tokens if token.kind == "string"
        ):
            self.path_is_set = True
        elif self._take("do"):
            for body in [token.text for token in self.tokens if token.kind == "body"]:
                self._block(body)
        elif self._take("create"):
            self._create(words)
        elif self._take("drop", "table"):
            self._drop()
        elif self._take("alter", "table"):
            self._alter()
        elif self._take("drop", "schema"):
            self.tables.forget([key for key in self.tables.columns if "cascade" in words and key[0] in words])
        elif words[:1] in (["select"], ["with"]) and "into" in words:
            self._select_into(words)

    def _block(self, body: str) -> None:
        """The body of DO: what begins with CREATE, ALTER or DROP in it; what EXECUTE runs cannot be told."""
        inner = re.sub(r"\b(BEGIN|THEN|ELSE|LOOP)\b", ";", body, flags=re.IGNORECASE)
        self.unclear |= bool(re.search(r"\bEXECUTE\b.*\b(DROP|RENAME|SET\s+SCHEMA)\b", body, re.IGNORECASE | re.DOTALL))
        outer = _Script(self.tables)
        self.unclear |= outer.run("; ".join(part for part in inner.split(";") if not _is_select(part)))

    def _create(self, words: Sequence[str]) -> None:
        temporary = words[1:2] and words[1] in TEMPORARY
        while self.at < len(self.tokens) and self.tokens[self.at].text in (*TEMPORARY, "unlogged"):
            self.at += 1
        if not self._take("table") or temporary:
            return
        self._take("if", "not", "exists")
        key = self._table()
        if key:
            self.tables.create(key, self._names_after())

    def _names_after(self) -> Iterator[str]:
        """The columns of CREATE TABLE; where a query or another table gives them, every word that may be one."""
        rest = self.tokens[self.at :]
        if any(token.kind == "word" and token.text in ("as", "like", "inherits", "of") for token in rest):
            yield from (token.text for token in rest if token.kind in ("word", "quoted"))
            return
        depth, starts = 0, False
        for token in rest:
            if token.kind == "sign" and token.text in "()":
                depth += 1 if token.text == "(" else -1
                starts = depth == 1 and token.text == "("
            elif token == ("sign", ","):
                starts = depth == 1
            elif starts:
                if token.kind == "quoted" or token.text not in NO_COLUMN:
                    yield token.text
                starts = False

    def _select_into(self, words: Sequence[str]) -> None:
        position = next(i for i, token in enumerate(self.tokens) if token == ("word", "into"))
        if self.tokens[position - 1].text in ("insert", "merge"):
            return
        self.at = position + 1
        if self.tokens[self.at : self.at + 1] and self.tokens[self.at].text in TEMPORARY:
            return
        self._take("unlogged")
        self._take("table")
        key = self._table()
        if key:
            self.tables.create(key, (token.text for token in self.tokens if token.kind in ("word", "quoted")))

    def _drop(self) -> None:
        self._take("if", "exists")
        while True:
            key = self._table()
            self.unclear |= key is None
            if key:
                self.tables.forget([key])
            if not self._sign(","):
                return

    def _alter(self) -> None:
        self._take("if", "exists")
        self._take("only")
        key = self._table()
        self._sign("*")
        if key is None:
            self.unclear |= bool({"rename", "schema"} & {token.text for token in self.tokens})
        elif self._take("rename", "to"):
            new = self._one()
            self.tables.move(key, (key[0], new)) if new else self.tables.forget([key])
        elif self._take("set", "schema"):
            schema = self._one()
            self.tables.move(key, (schema, key[1])) if schema else self.tables.forget([key])
        else:
            self._change_columns(self.tables.columns.get(key, set()))

    def _change_columns(self, columns: set[str]) -> None:
        """Follow the actions of ALTER TABLE that add, drop or rename a column."""
        while self.at < len(self.tokens):
            if self._take("add"):
                self._take("column")
                self._take("if", "not", "exists")
                name = self._one()
                if name and name not in NO_COLUMN:
                    columns.add(name)
            elif self._take("drop"):
                self._take("column")
                self._take("if", "exists")
                columns -= {self._one()}
            elif self._take("rename"):
                self._take("column")
                columns -= {self._one()}
                new = self._one() if self._take("to") else None
                columns.update([new] if new else [])
            else:
                self.at += 1


def _is_select(part: str) -> bool:
    """In PL/pgSQL, SELECT … INTO fills a variable."""
    return part.lstrip().lower().startswith(("select", "with"))


def _tokens(sql: str) -> Iterator[_Token]:
    for token in sql_text.tokens(sql):
        if token.kind == Kind.NAME:
            yield _Token("quoted", sql_text.unquoted(token.text))
        elif token.kind == Kind.STRING:
            is_body = token.text.startswith("$")
            yield _Token("body" if is_body else "string", sql_text.value_of(token.text) if is_body else token.text)
        elif token.kind in (Kind.WORD, Kind.NUMBER):
            yield _Token("word", token.text.lower())
        elif token.kind not in sql_text.SEPARATORS:
            yield _Token("sign", token.text)
