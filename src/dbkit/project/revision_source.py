"""The source text of a revision file: what can be known of a migration without running it."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.script import Script

SERVER_OBJECTS = re.compile(rb"\b(?:create|alter|drop)\s+(?:role|user|group|tablespace|database)\b", re.IGNORECASE)
COMMITS = re.compile(rb"\.\s*(?:commit|rollback|autocommit|set_isolation_level)\b")
# Statements that are not indented, with their continuation lines; without imports, functions, decorators and strings
MODULE_STATEMENTS = re.compile(
    rb"^(?!def |async |import |from |[\s#@)\]}\"'])[^\n]*(?:\n[ \t)\]}][^\n]*|\r?\n)*", re.MULTILINE
)


@cache
def read_source(path: str) -> bytes:
    """Return the content of a revision file; of a bytecode file, its bytes, which contain its names and strings."""
    return Path(path).read_bytes()


def is_bytecode(path: str | Path) -> bool:
    """Whether a revision file has no source (`sourceless` in alembic.ini): .pyc or .pyo."""
    return not str(path).endswith(".py")


def parse_source(path: str) -> ast.Module:
    """Return the syntax tree of a revision file, an empty one for bytecode."""
    return ast.Module([], []) if is_bytecode(path) else ast.parse(read_source(path))


def does_nothing(function: ast.FunctionDef) -> bool:
    """Return whether the body of a function has no code."""
    return all(
        isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in function.body
    )


def function_line(script: "Script", function: str) -> int:
    """Return the line where a function of the revision file begins; 1 where it has no function of that name."""
    return _function_lines(str(script.path)).get(function, 1)


def revision_id_line(script: "Script") -> int:
    """Return the line of the revision file that assigns its revision id."""
    lines = read_source(str(script.path)).splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.startswith(b"revision")), 1)


@lru_cache(maxsize=64)
def raise_lines(path: str) -> frozenset[int]:
    """Return the lines that the `raise` statements of a revision file span."""
    return frozenset(
        line
        for node in ast.walk(parse_source(path))
        if isinstance(node, ast.Raise)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    )


@lru_cache(maxsize=64)
def _function_lines(path: str) -> dict[str, int]:
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name: node.lineno for node in parse_source(path).body if isinstance(node, functions)}


@cache
def has_calls_on_load(path: str) -> bool:
    """Whether loading a revision file computes values, such as uuid4() or now() in a constant.

    False where it has models: they can be mapped only once.
    """
    source = read_source(path) if path.endswith(".py") else b""
    if b"__table" in source or not any(b"(" in block[0] for block in MODULE_STATEMENTS.finditer(source)):
        return False
    return any(isinstance(node, ast.Call) for statement in ast.parse(source).body for node in _run_on_load(statement))


def has_effects_on_load(path: str) -> bool:
    """Whether loading a revision file may do more than define names: it calls something, or imports other code.

    The imports that count are those of packages other than Alembic, SQLAlchemy and the standard library.
    """
    return not path.endswith(".py") or not all(map(_only_defines, parse_source(path).body))


def _only_defines(statement: ast.stmt) -> bool:
    """Whether a statement of a module only defines a name."""
    if isinstance(statement, ast.Import):
        return all(_is_harmless(each.name) for each in statement.names)
    if isinstance(statement, ast.ImportFrom):
        return not statement.level and _is_harmless(statement.module or "")
    if isinstance(statement, ast.FunctionDef) and statement.decorator_list:
        return False
    is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    is_definition = isinstance(statement, ast.FunctionDef | ast.Assign | ast.AnnAssign)
    return is_docstring or (is_definition and not any(isinstance(node, ast.Call) for node in _run_on_load(statement)))


def _is_harmless(module: str) -> bool:
    package = module.partition(".")[0]
    return package in ("alembic", "sqlalchemy") or package in sys.stdlib_module_names


def _run_on_load(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a statement that run when its file is loaded: not the bodies of functions."""
    yield node
    body = node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []
    for child in ast.iter_child_nodes(node):
        if child not in body and not isinstance(node, ast.Lambda):
            yield from _run_on_load(child)


def mentions_table(script: "Script", table: str, statements: str = "") -> bool:
    """Whether a revision file, or the statements that it executed, contain the name of a table (without its schema)."""
    # of several databases, the name of the database is in front
    name = rf"(?<!\w){re.escape(table.rpartition(': ')[2].rpartition('.')[2])}(?!\w)"
    # SQL may have a name in upper case
    return bool(
        re.search(name, read_source(str(script.path)).decode(errors="replace"))
        or re.search(name, statements, re.IGNORECASE)
    )


def mentioned_tables(script: "Script", tables: Mapping[int, str], statements: str) -> set[int]:
    """Return the OIDs of the tables (as SQL, by OID) that `mentions_table` is true of."""
    words = set(re.findall(r"\w+", read_source(str(script.path)).decode(errors="replace")))
    words_of_sql = set(re.findall(r"\w+", statements.lower()))
    found = set()
    for oid, table in tables.items():
        name = table.replace('"', "").rpartition(".")[2]
        is_word = re.fullmatch(r"\w+", name) is not None
        if name in words or name.lower() in words_of_sql or (not is_word and mentions_table(script, name, statements)):
            found.add(oid)
    return found


def mentions_commit(script: "Script") -> bool:
    """Whether a migration may commit through the driver, which no event of SQLAlchemy announces."""
    return bool(COMMITS.search(read_source(str(script.path))))


def mentions_server_objects(script: "Script") -> bool:
    """Whether a migration may create an object of the whole server, such as a role: it works only once on a server."""
    source = read_source(str(script.path))
    if not SERVER_OBJECTS.search(source):
        return False
    # The docstring does not count: "create role invitation table"
    body = parse_source(str(script.path)).body
    has_docstring = bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    docstring = ast.get_source_segment(source.decode(errors="replace"), body[0]) if has_docstring else None
    return bool(SERVER_OBJECTS.search(source.replace((docstring or "").encode(), b"", 1)))
