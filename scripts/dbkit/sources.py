"""What the text of a revision file gives away, and a run on empty tables does not."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from dbkit.project import Project
from dbkit.roundtrip.steps import ends_transaction

DIRECTIONS = ("upgrade", "downgrade")
ALONE = "Put the block into a revision of its own, so that a failure in it leaves nothing half done."


def findings(loaded: Project) -> Iterator[str]:
    """A sentence for each thing found, with its file and line and what to do instead."""
    for script in loaded.script.walk_revisions():
        tree = ast.parse(Path(script.path).read_bytes())
        bodies = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        if set(DIRECTIONS) <= bodies.keys():
            yield from _empty_downgrade(script.path, bodies)
        for name in DIRECTIONS:
            if name in bodies:
                yield from _shared_autocommit_block(script.path, bodies[name])
        yield from _commits(script.path, tree)


def _empty_downgrade(path: str, bodies: dict[str, ast.FunctionDef]) -> Iterator[str]:
    """A downgrade that does nothing, of an upgrade that does something, leaves everything where it is and exits 0."""
    downgrade = bodies["downgrade"]
    if _does_nothing(downgrade) and not _does_nothing(bodies["upgrade"]):
        yield (
            f"{path}:{downgrade.lineno}: downgrade() does nothing, but upgrade() does.\n"
            "Undo it there; or raise an error that says why it cannot be undone."
        )


def _shared_autocommit_block(path: str, function: ast.FunctionDef) -> Iterator[str]:
    """What is before the block is committed by it, and stays when the block fails: running it again does it twice."""
    blocks, backfills = _autocommit_blocks(function), _backfills(function)
    if not blocks and not backfills:
        return
    inside = _within([*blocks, *backfills])
    outside = [node for node in ast.walk(function) if id(node) not in inside and _runs_something(node)]
    # several backfills are fine: each knows by itself where it is
    alone = [node for node in backfills if id(node) not in _within(blocks)]
    several = [*blocks, *alone] if blocks else []
    if outside or len(several) > 1:
        line = outside[0].lineno if outside else several[1].lineno  # type: ignore[attr-defined]  # both have a place
        more = f"{path}:{line}: {function.name}"
        if blocks:
            yield f"{more}() does more than its autocommit_block(), which commits the rest.\n{ALONE}"
        else:
            yield f"{more}() does more than its backfill(), which commits the rest.\n{ALONE}"


def _commits(path: str, tree: ast.Module) -> Iterator[str]:
    """A commit by hand ends Alembic's transaction: after a failure a half stays, and after a success no revision."""
    allowed = _within(_autocommit_blocks(tree))
    for node in ast.walk(tree):
        if id(node) not in allowed and isinstance(node, ast.Call) and _ends_transaction(node):
            yield (
                f"{path}:{node.lineno}: it ends Alembic's transaction by hand.\n"
                "Use `with op.get_context().autocommit_block():`, alone in its revision."
            )


def _ends_transaction(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr in ("commit", "rollback"):
        return True
    texts = [node.value for argument in call.args for node in ast.walk(argument) if isinstance(node, ast.Constant)]
    return call.func.attr in ("execute", "exec_driver_sql") and any(
        isinstance(text, str) and ends_transaction(text) for text in texts
    )


def _autocommit_blocks(tree: ast.AST) -> list[ast.With]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.With) and _is_autocommit_block(node)]


def _backfills(tree: ast.AST) -> list[ast.Call]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "backfill"]


def _within(blocks: Sequence[ast.AST]) -> set[int]:
    """What is in the blocks, by id()."""
    return {id(node) for block in blocks for node in ast.walk(block)}


def _is_autocommit_block(node: ast.With) -> bool:
    called = (item.context_expr for item in node.items)
    return any(
        isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == "autocommit_block"
        for each in called
    )


def _runs_something(node: ast.AST) -> bool:
    """Whether it is a call such as op.add_column(…) or connection.execute(…)."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    owner, name = node.func.value, node.func.attr
    of_op = isinstance(owner, ast.Name) and owner.id == "op" and name not in ("f", "get_context", "get_bind")
    return of_op or name in ("execute", "exec_driver_sql", "scalar", "scalars")


def _does_nothing(function: ast.FunctionDef) -> bool:
    return all(
        isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in function.body
    )
