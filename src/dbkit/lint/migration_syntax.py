"""Queries on the syntax tree of a migration file."""

import ast
from collections.abc import Collection, Iterator, Sequence

AUTOCOMMIT_BLOCK = "autocommit_block"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name; empty for another expression."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def runs_operation(node: ast.AST) -> bool:
    """Return whether a node is a call such as op.add_column(…) or connection.execute(…)."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    owner, name = node.func.value, node.func.attr
    of_op = isinstance(owner, ast.Name) and owner.id == "op" and name not in ("f", "get_context", "get_bind")
    return of_op or name in ("execute", "exec_driver_sql", "scalar", "scalars")


def find_autocommit_blocks(tree: ast.AST) -> list[ast.With]:
    """Return the `with` statements that begin an autocommit block."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.With) and _is_autocommit_block(node)]


def find_backfills(tree: ast.AST) -> list[ast.Call]:
    """Return the calls of backfill()."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "backfill"]


def nodes_within(trees: Sequence[ast.AST]) -> set[int]:
    """Return the id() of each node in the trees."""
    return {id(node) for tree in trees for node in ast.walk(tree)}


def walk_transaction(tree: ast.Module, starts: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes that run in Alembic's transaction, from `starts` and in the functions of the file that they call.

    Not those of a function that is only called in autocommit blocks, nor of one that is passed on as a value.
    """
    functions: dict[str, list[ast.AST]] = {}
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            functions.setdefault(node.name, []).append(node)
    wrappers = {name for name, found in functions.items() if any(map(_yields_in_block, found))}
    pending, seen = list(starts), set(map(id, starts))
    while pending:
        for node in _walk_outside_blocks(pending.pop(0), {*wrappers, AUTOCOMMIT_BLOCK}):
            yield node
            called = functions.get(_local_name(node), [])
            pending += [each for each in called if id(each) not in seen]
            seen |= set(map(id, called))


def is_result_of(owner: ast.expr, tree: ast.AST, functions: Sequence[str]) -> bool:
    """Return whether a name is assigned the result of one of these functions: `connection = op.get_bind()`."""
    if not isinstance(owner, ast.Name):
        return False
    return any(
        isinstance(target, ast.Name)
        and target.id == owner.id
        and isinstance(value, ast.Call)
        and last_name(value.func) in functions
        for target, value in _assignments(tree)
    )


def _assignments(tree: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield targets and values of assignments and of `with … as …`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            yield from ((target, node.value) for target in node.targets)
        elif isinstance(node, ast.With):
            yield from ((item.optional_vars, item.context_expr) for item in node.items if item.optional_vars)


def _walk_outside_blocks(node: ast.AST, blocks: Collection[str]) -> Iterator[ast.AST]:
    """Yield the nodes below, without those in functions that are defined there or in autocommit blocks."""
    for child in ast.iter_child_nodes(node):
        is_block = isinstance(child, ast.With) and _is_autocommit_block(child, blocks)
        if not (is_block or isinstance(child, FUNCTIONS)):
            yield child
            yield from _walk_outside_blocks(child, blocks)


def _yields_in_block(function: ast.AST) -> bool:
    """Return whether a function is a context manager that begins an autocommit block."""
    return any(isinstance(node, ast.Yield) for block in find_autocommit_blocks(function) for node in ast.walk(block))


def _local_name(node: ast.AST) -> str:
    """Return the name of the called function if it may be one of the file: `helper(…)`, `self.helper(…)`."""
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Attribute):
        owner = node.func.value
        is_local = isinstance(owner, ast.Call) or (isinstance(owner, ast.Name) and owner.id != "op")
        return node.func.attr if is_local else ""
    return last_name(node.func)


def _is_autocommit_block(node: ast.With, names: Collection[str] = (AUTOCOMMIT_BLOCK,)) -> bool:
    return any(
        isinstance(each.context_expr, ast.Call) and last_name(each.context_expr.func) in names for each in node.items
    )
