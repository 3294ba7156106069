"""Recognise a migration that fails in a script (`--sql`) because it reads the result of a statement."""

import ast
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine.mock import MockConnection

from dbkit.project.tracebacks import line_in

EXECUTE = ("execute", "exec_driver_sql", "scalar", "scalars")


def is_reading_rows(error: BaseException, path: Path | None) -> bool:
    """Whether a migration has failed because a script has no connection that returns rows.

    Alembic gives it a MockConnection; a statement that is executed on it, or by op.execute(), returns None.
    """
    text = str(error)
    if MockConnection.__name__ in text:
        return True
    if isinstance(error, AttributeError):
        return error.obj is None and hasattr(sa.CursorResult, error.name or "")
    line = line_in(error, path) if path else None
    is_none = isinstance(error, TypeError) and "NoneType" in text
    return is_none and path is not None and line is not None and _uses_result(path, line)


def _uses_result(path: Path, line: int) -> bool:
    """Whether a line of a migration uses what a statement has returned, or a name to which that was assigned."""
    tree = ast.parse(path.read_bytes())
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and _executes(node.value)]
    names = {target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)}
    on_line = [
        node for node in ast.walk(tree) if isinstance(node, ast.expr) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return any(_executes(node) or (isinstance(node, ast.Name) and node.id in names) for node in on_line)


def _executes(node: ast.expr) -> bool:
    calls = (each.func for each in ast.walk(node) if isinstance(each, ast.Call))
    return any(isinstance(each, ast.Attribute) and each.attr in EXECUTE for each in calls)
