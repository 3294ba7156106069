"""Statements of env.py that connect or configure Alembic when they are executed, as far as the source shows it."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence

CONNECTING = frozenset(
    (
        "create_all",
        "drop_all",
        "execute",
        "raw_connection",
        "reflect",
        "run_sync",
        "run_until_complete",
        "scalar",
        "scalars",
    )
)
"""Methods that connect to a database, or run what does."""
OPENING = frozenset(("begin", "connect"))
"""Those that do without an argument: `signal.connect(function)` is something else."""
DRIVERS = frozenset(("psycopg", "psycopg2", "psycopg.Connection", "asyncpg", "pg8000", "pg8000.dbapi"))
REFLECTING = frozenset(("autoload", "autoload_with", "reflect"))
"""Arguments with which tables are read from the database."""
RUNNERS = frozenset(
    ("asyncio.run", "anyio.run", "trio.run", "uvloop.run", "runpy.run_path", "runpy.run_module", "exec")
)
READING = frozenset(
    (
        "config",
        "get_head_revision",
        "get_head_revisions",
        "get_revision_argument",
        "get_starting_revision_argument",
        "get_tag_argument",
        "get_x_argument",
        "is_offline_mode",
        "script",
    )
)
"""The attributes of Alembic's context that neither configure it nor need a connection."""
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Code:
    """The statements of a module, and the functions that it defines."""

    def __init__(self, tree: ast.Module, context: str) -> None:
        self.context = context
        """The expression that is Alembic's context: `context`, `alembic.context` or another name; "" for none."""
        self.functions: Mapping[str, ast.AST] = {
            each.name: each for each in ast.walk(tree) if isinstance(each, FUNCTIONS)
        }

    def is_too_late_after(self, statement: ast.stmt) -> bool:
        """Whether a statement configures Alembic, connects to a database, or gives the context's name to another."""
        return self.configures(statement) or self._binds(statement)

    def configures(self, statement: ast.stmt) -> bool:
        """Whether a statement configures Alembic, or calls what may do so, or connects to a database."""
        return self._runs([statement], set(), connecting_only=False)

    def connects(self, statement: ast.stmt) -> bool:
        """Whether a statement, or a function of this module that it calls, connects to a database."""
        return self._runs([statement], set(), connecting_only=True)

    def _runs(self, statements: Sequence[ast.AST], called: set[str], *, connecting_only: bool) -> bool:
        for node in executed(statements):
            if isinstance(node, ast.Call):
                name = dotted_name(node.func)
                last = name.rpartition(".")[2]
                if _connects(node) or name in RUNNERS:
                    return True
                if name in self.functions:
                    body = getattr(self.functions[name], "body", [])
                    is_new = name not in called
                    if is_new and self._runs(body, {*called, name}, connecting_only=connecting_only):
                        return True
                elif not connecting_only and "migrat" in last.lower() and "import" not in last.lower():
                    return True
            if not connecting_only and self._uses_context(node):
                return True
        return False

    def _uses_context(self, node: ast.AST) -> bool:
        """Whether a node is an attribute of the context that configures it, or passes the context to a function."""
        if isinstance(node, ast.Attribute):
            return dotted_name(node.value) == self.context and node.attr not in READING
        if isinstance(node, ast.Call):
            passed = [*node.args, *(each.value for each in node.keywords)]
            return any(dotted_name(each) == self.context for each in passed)
        return False

    def _binds(self, statement: ast.stmt) -> bool:
        """Whether a statement binds the first name of the context's expression again, to something else."""
        first = self.context.partition(".")[0]
        return any(name == first for name in bound_names(statement))


def _connects(call: ast.Call) -> bool:
    """Whether a call is one that connects to a database."""
    if any(each.arg in REFLECTING for each in call.keywords):
        return True
    if not isinstance(call.func, ast.Attribute):
        return False
    name = call.func.attr
    if name in CONNECTING:
        return True
    has_arguments = bool(call.args or call.keywords)
    return (name in OPENING and not has_arguments) or (name == "connect" and dotted_name(call.func.value) in DRIVERS)


def executed(statements: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes that are executed with these statements: not the bodies of functions, only their decorators."""
    ahead = list(statements)
    while ahead:
        node = ahead.pop()
        yield node
        if isinstance(node, FUNCTIONS):
            ahead += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        elif isinstance(node, ast.Lambda):
            continue
        elif isinstance(node, ast.If) and (is_for_type_checkers(node) or _is_for_programs(node)):
            ahead += node.orelse
        else:
            ahead += ast.iter_child_nodes(node)


def bound_names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement binds in its module; not those of imports from Alembic."""
    for node in executed([statement]):
        if isinstance(node, ast.ImportFrom):
            if node.module != "alembic":
                yield from (each.asname or each.name for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                each.asname or each.name.partition(".")[0]
                for each in node.names
                if each.name.partition(".")[0] != "alembic"
            )
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.id


def dotted_name(node: ast.AST | None) -> str:
    """Return a name with its attributes, such as `alembic.context`; of another expression only the last attributes."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    names.append(node.id if isinstance(node, ast.Name) else "")
    return ".".join(reversed(names))


def is_for_type_checkers(statement: ast.If) -> bool:
    """Whether the body of an `if` is only for type checkers."""
    return dotted_name(statement.test).rpartition(".")[2] == "TYPE_CHECKING"


def _is_for_programs(statement: ast.If) -> bool:
    """Whether the body of an `if` is not executed by an import: that of `if __name__ == "__main__"`."""
    test = statement.test
    if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = [test.left, *test.comparators]
    names = {each.id for each in sides if isinstance(each, ast.Name)}
    return names == {"__name__"} and "__main__" in {each.value for each in sides if isinstance(each, ast.Constant)}
