"""The branches of a revision file that depend on rows and have not run."""

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbkit.backports import TryStar
from dbkit.coverage.python_module import FunctionDef, Module, read_module
from dbkit.coverage.python_names import Names
from dbkit.coverage.python_syntax import is_elif, is_environment_check, last_name, target_names

LONGEST = 80
"""The most characters of a branch that are shown."""
LOGGERS = ("log", "logger", "logging", "warnings", "LOG", "LOGGER", "_log", "_logger")
CATALOG = re.compile(
    r"\b(?:pg_(?!sleep)\w+|information_schema|to_reg\w+|current_(?:setting|schemas?|database|user)|has_\w+_privilege"
    r"|alembic_version)\b|^\s*show\b|^\s*select\b(?!.*\bfrom\s+[\w\".]+(?![\w\".]|\s*\())",
    re.IGNORECASE | re.DOTALL,
)
"""Queries of the catalog, the version table, the settings, or of no table at all."""
SERVER_FUNCTION = re.compile(r"to_reg\w+|pg_\w+|current_\w+|session_user|version|now|has_\w+_privilege")
"""Functions as attributes of `sa.func` that read no rows."""
EXECUTES = ("execute", "exec_driver_sql", "scalar", "scalars")
"""Methods of connections and sessions that return rows, or a value of one."""
OF_SESSIONS = ("query", "get")
"""Methods that do so only of sessions."""
BRANCHES = re.compile(rb"\b(?:if|for|while|match|try)\b")
"""A word of every branch; reading the syntax of a file takes longer."""
DEEPEST = 3  # assignments of names to names
Loop = ast.For | ast.AsyncFor | ast.While


@dataclass(frozen=True)
class Branch:
    """The line of a branch, and its words: `for row in rows`, `else after row.paid`.

    The line of an `else` is that of its first statement.
    """

    line: int
    words: str
    is_decided: bool
    """Whether its condition, or its loop, has run: if not, the code before it has ended the function or skipped it."""


def unreached_branches(
    path: Path, executed_lines: Collection[int], functions: Sequence[str] = ("upgrade", "downgrade")
) -> list[Branch]:
    """Return the branches that depend on rows, change something, and of which no line was executed.

    Those are the bodies of loops over something that is no constant, the branches in such loops, and those that depend
    on what a query returns.
    """
    # a function that has not run is called in a branch that has not, and that is found
    executed = frozenset(executed_lines)
    return [
        branch
        for function, finder in _list_functions(path, functions, executed)
        if function.name in functions or finder.is_reached(function.body)
        for branch in finder.find(function.body, in_loop=False)
    ]


def has_branches(path: Path) -> bool:
    """Whether a revision file has branches that depend on rows, in any function that may run."""
    functions = _list_functions(path, ("upgrade", "downgrade"), frozenset())
    return any(branch for function, finder in functions for branch in finder.find(function.body, in_loop=False))


def lines_under_queries(path: Path) -> frozenset[int]:
    """Return the lines of a revision file that run only where a query returns certain rows, or none."""
    found: set[int] = set()
    for function, finder in _list_functions(path, ("upgrade", "downgrade"), frozenset()):
        for node in ast.walk(function):
            if isinstance(node, ast.If) and finder.depends_on_query(node.test):
                bodies = [node.body, node.orelse]
            elif isinstance(node, ast.Try) and any(finder.reads_rows(each) for each in _expressions(node.body)):
                bodies = [handler.body for handler in node.handlers]
            else:
                continue
            for body in filter(None, bodies):
                found |= {*range(body[0].lineno, (body[-1].end_lineno or 0) + 1)}
    return frozenset(found)


def _expressions(body: Sequence[ast.stmt]) -> Iterator[ast.expr]:
    """Yield the expressions of statements."""
    return (node for statement in body for node in ast.walk(statement) if isinstance(node, ast.expr))


def _list_functions(
    path: Path, functions: Sequence[str], executed: frozenset[int]
) -> Iterator[tuple[FunctionDef, "_Finder"]]:
    """Yield these functions of a file, and those that they call, each with a finder of its branches."""
    if not BRANCHES.search(path.read_bytes()):
        return
    module = read_module(path)
    for function in _called_functions(module, functions):
        assigned = _read_assigned(module.tree.body) | _read_assigned(ast.walk(function))
        sources = _read_sources(module.tree.body) | _read_sources(ast.walk(function))
        yield function, _Finder(module, executed, assigned, sources)


def _called_functions(module: Module, functions: Sequence[str]) -> list[FunctionDef]:
    """Return the functions of these names, and those of the file that they name."""
    pending = [module.functions[name] for name in functions if name in module.functions]
    found: list[FunctionDef] = []
    while pending:
        function = pending.pop(0)
        if function in found:
            continue
        found.append(function)
        named = [each.id for each in ast.walk(function) if isinstance(each, ast.Name)]
        pending += [module.functions[name] for name in named if name in module.functions]
    return found


def _read_assigned(nodes: Iterable[ast.AST]) -> dict[str, list[ast.expr]]:
    """Return the expressions that are assigned to names."""
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return found


def _read_sources(nodes: Iterable[ast.AST]) -> dict[str, list[ast.expr]]:
    """Return the expressions that names get their values from, in any way: a part of them, or one after the other."""
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        value: ast.expr | None = None
        targets: Sequence[ast.expr] = ()
        if isinstance(node, ast.Assign):
            value, targets = node.value, node.targets
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr):
            value, targets = node.value, [node.target]
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            value, targets = node.iter, [node.target]
        elif isinstance(node, ast.withitem) and node.optional_vars:
            value, targets = node.context_expr, [node.optional_vars]
        for name in (name for target in targets for name in target_names(target)) if value else ():
            found.setdefault(name, []).append(value)  # type: ignore[arg-type]  # the condition has it
    return found


class _Finder:
    """Find branches of a file that have not run."""

    def __init__(
        self,
        module: Module,
        executed: frozenset[int],
        assigned: Mapping[str, Sequence[ast.expr]],
        sources: Mapping[str, Sequence[ast.expr]],
    ) -> None:
        """`assigned`: the expressions that a function assigns to its names, and the module; `sources`: in any way."""
        self.module = module
        self.executed = executed
        self.assigned = assigned
        self.sources = sources
        self.literal_names: set[str] = set()
        """The variables of loops over literals."""

    def find(self, body: Sequence[ast.stmt], *, in_loop: bool) -> Iterator[Branch]:
        for number, statement in enumerate(body):
            match statement:
                case ast.For() | ast.AsyncFor() | ast.While():
                    yield from self.find_in_loop(statement, in_loop)
                case ast.If():
                    yield from self.find_in_if(statement, in_loop, "if")
                    rest = body[number + 1 :]
                    if rest and self.ends_body(statement, in_loop) and not self.is_reached(rest):
                        words = f"after if {ast.unparse(statement.test)}"
                        yield from self.find_in_branch(statement, rest[0].lineno, words, rest, True, in_loop)
                        return
                case ast.Match():
                    for case in statement.cases:
                        words = f"case {ast.unparse(case.pattern)}"
                        line = case.pattern.lineno
                        is_reported = in_loop or self.depends_on_query(statement.subject)
                        yield from self.find_in_branch(statement, line, words, case.body, is_reported, in_loop)
                case ast.With() | ast.AsyncWith():
                    yield from self.find(statement.body, in_loop=in_loop)
                case ast.Try() | TryStar():
                    for part in (statement.body, statement.orelse, statement.finalbody):
                        yield from self.find(part, in_loop=in_loop)

    def find_in_loop(self, loop: Loop, in_loop: bool) -> Iterator[Branch]:
        if self.is_constant(loop):
            if not isinstance(loop, ast.While):
                self.literal_names |= set(target_names(loop.target))
            yield from self.find(loop.body, in_loop=in_loop)
            return
        if isinstance(loop, ast.While):
            words = f"while {ast.unparse(loop.test)}"
        else:
            names = loop.target.elts if isinstance(loop.target, ast.Tuple) else [loop.target]
            words = f"for {', '.join(map(ast.unparse, names))} in {ast.unparse(loop.iter)}"
        yield from self.find_in_branch(loop, loop.lineno, words, loop.body, True, True)

    def is_constant(self, loop: Loop) -> bool:
        """Whether the number of turns does not depend on rows."""
        if isinstance(loop, ast.While):
            return isinstance(loop.test, ast.Constant)
        return self.is_literal(loop.iter) or self.reads_schema(loop.iter)

    def is_literal(self, node: ast.expr, depth: int = 0) -> bool:
        """Whether the number of items is in the source, also where the items are not constants."""
        match node:
            case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
                fixed = [
                    item for item in items if not isinstance(item, ast.Starred) or self.is_literal(item.value, depth)
                ]
                return bool(fixed)
            case ast.Dict(keys=keys):
                return bool(keys)
            case ast.Name(id=name) if name in self.assigned:
                values = self.assigned[name]
                return depth < DEEPEST and all(self.is_literal(value, depth + 1) for value in values)
            case ast.Name(id=name) if name in self.literal_names:
                return True
            case ast.Call(func=ast.Attribute(value=owner, attr="items" | "keys" | "values")):
                return self.is_literal(owner, depth)
            case ast.Call(func=ast.Name(id="enumerate" | "sorted" | "reversed" | "list" | "zip"), args=[first, *_]):
                return self.is_literal(first, depth)
        return bool(Names(self.module).choices(node))

    def expressions_of(self, nodes: Sequence[ast.expr], depth: int = DEEPEST) -> list[ast.expr]:
        """Return expressions with those that their names get their values from, and so on; each once."""
        found, level, seen = list(nodes), list(nodes), set[str]()
        for _ in range(depth):
            names = {each.id for node in level for each in ast.walk(node) if isinstance(each, ast.Name)} - seen
            level = [value for name in names for value in self.sources.get(name, ())]
            seen |= names
            found += level
        return found

    def reads_schema(self, node: ast.expr) -> bool:
        """Whether an expression comes from the catalog, the server or an inspector, and not from rows."""
        return any(map(_names_schema, self.expressions_of([node])))

    def reads_rows(self, node: ast.expr, called: frozenset[str] = frozenset()) -> bool:
        """Whether an expression comes from the result of a query; `called`: functions that are being read."""
        calls = [each for part in self.expressions_of([node]) for each in ast.walk(part) if isinstance(each, ast.Call)]
        return any(self.executes(each) or self.returns_rows(each, called) for each in calls)

    def executes(self, call: ast.Call) -> bool:
        """Whether a call runs a query."""
        name = last_name(call.func)
        if name in OF_SESSIONS and isinstance(call.func, ast.Attribute):
            parts = self.expressions_of([call.func.value])
            named = [last_name(each).lower() for part in parts for each in ast.walk(part) if isinstance(each, ast.expr)]
            return any("session" in each for each in named)
        return name in EXECUTES

    def returns_rows(self, call: ast.Call, called: frozenset[str] = frozenset()) -> bool:
        """Whether a call is one of a function of the file that returns what a query has, but not of the catalog."""
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        function = self.module.functions.get(name)
        if function is None or name in called:
            return False
        sources = {**self.sources, **_read_sources(ast.walk(function))}
        inside = _Finder(self.module, self.executed, self.assigned, sources)
        returned = [each.value for each in ast.walk(function) if isinstance(each, ast.Return) and each.value]
        parts = [each for each in ast.walk(function) if isinstance(each, ast.Constant | ast.Name)]
        is_schema = any(map(_names_schema, inside.expressions_of(parts, depth=1)))
        return not is_schema and any(inside.reads_rows(each, called | {name}) for each in returned)

    def is_environment(self, test: ast.expr) -> bool:
        """Whether a condition asks for the environment, and not for the rows that a function of the file reads."""
        calls = [each for each in ast.walk(test) if isinstance(each, ast.Call)]
        return is_environment_check(test) and not any(map(self.returns_rows, calls))

    def depends_on_query(self, test: ast.expr) -> bool:
        """Whether a condition depends on the rows that a query returns."""
        if not self.reads_rows(test):
            return False
        return not self.reads_schema(test) or (is_environment_check(test) and not self.is_environment(test))

    def ends_body(self, node: ast.If, in_loop: bool) -> bool:
        """Whether a function or a turn of a loop ends where a condition on rows is met: the rest is a branch, too."""
        if node.orelse or not isinstance(node.body[-1], ast.Return | ast.Continue | ast.Break):
            return False
        return self.depends_on_query(node.test) or (in_loop and not self.is_environment(node.test))

    def find_in_if(self, node: ast.If, in_loop: bool, word: str) -> Iterator[Branch]:
        test = ast.unparse(node.test)
        is_environment = self.is_environment(node.test)
        in_loop_now = in_loop and not is_environment
        is_reported = in_loop_now or self.depends_on_query(node.test)
        if in_loop_now or self.is_reached(node.body) or not is_environment:
            words = f"{word} {test}"
            yield from self.find_in_branch(node, node.lineno, words, node.body, is_reported, in_loop_now)
        if not node.orelse:
            return
        first = node.orelse[0]
        if isinstance(first, ast.If) and is_elif(node):
            yield from self.find_in_if(first, in_loop, "elif")
        elif in_loop_now or self.is_reached(node.orelse) or not is_environment:
            words = f"else after {test}"
            yield from self.find_in_branch(node, first.lineno, words, node.orelse, is_reported, in_loop_now)

    def find_in_branch(
        self, node: ast.stmt, line: int, words: str, body: Sequence[ast.stmt], is_reported: bool, in_loop: bool
    ) -> Iterator[Branch]:
        """Yield the branch itself where it has not run and `is_reported`, else those in it."""
        if is_reported and not self.is_reached(body):
            if _changes_something(body):
                shown = words if len(words) <= LONGEST else f"{words[:LONGEST]}…"
                yield Branch(line, " ".join(shown.split()), self.is_decided(node))
            return
        yield from self.find(body, in_loop=in_loop)

    def is_decided(self, node: ast.stmt) -> bool:
        """Whether the condition of an `if`, or what a loop goes over, has run: it may have several lines."""
        body = getattr(node, "body", None)
        end = body[0].lineno if body else node.lineno
        return any(line in self.executed for line in range(node.lineno, max(end, node.lineno + 1)))

    def is_reached(self, body: Sequence[ast.stmt]) -> bool:
        return any(line in self.executed for line in range(body[0].lineno, (body[-1].end_lineno or 0) + 1))


def _names_schema(node: ast.expr) -> bool:
    """Whether an expression itself asks for the catalog, the server or an inspector."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and CATALOG.search(each.value):
            return True
        is_function = isinstance(each, ast.Attribute) and last_name(each.value) == "func"
        if is_function and SERVER_FUNCTION.fullmatch(last_name(each)):  # type: ignore[arg-type]  # it is an expression
            return True
    return is_environment_check(node)


def _changes_something(body: Sequence[ast.stmt]) -> bool:
    """Whether a branch calls something or assigns to an object, and does not end in an exception."""
    if isinstance(body[-1], ast.Raise):
        return False
    return any(_is_change(node) for statement in body if not _is_trivial(statement) for node in ast.walk(statement))


def _is_change(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return True
    targets: Sequence[ast.expr] = ()
    if isinstance(node, ast.Assign | ast.Delete):
        targets = node.targets
    elif isinstance(node, ast.AugAssign):
        targets = [node.target]
    return any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets)


def _is_trivial(statement: ast.stmt) -> bool:
    """Whether a statement only leaves, or writes to the log."""
    if isinstance(statement, ast.Raise | ast.Continue | ast.Break | ast.Pass):
        return True
    if isinstance(statement, ast.Return):
        return not isinstance(statement.value, ast.Call)
    if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)):
        return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    function = statement.value.func
    is_log = isinstance(function, ast.Attribute) and last_name(function.value) in LOGGERS
    return is_log or last_name(function) in ("print", "echo", "secho", "warn")
