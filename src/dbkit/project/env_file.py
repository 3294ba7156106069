"""Whether a project's env.py calls the gate: a look at its text, without running it."""

import ast
from importlib.util import cache_from_source
from pathlib import Path

from dbkit.errors import InputError

GATE = "dbkit.gate"
HOW_TO_ADD = """\
This command runs env.py only behind the gate, so that no database but the one in .env can be reached.
Add it: in env.py, let the gate take the place of what configures Alembic and runs the migrations:
    from dbkit import gate
    gate.run(context, root=Path("the directory of .env"), load_metadata=lambda: target_metadata)
`dbkit roundtrip`, `lint` and `trace` need no gate."""


def require_gate(script_directory: Path) -> None:
    """Raise InputError for an env.py that does not import the gate: what it would do to which database is not known."""
    if not has_gate(script_directory):
        raise InputError(f"{script_directory / 'env.py'} does not call dbkit.gate.run, so it was not run.", HOW_TO_ADD)


def has_gate(script_directory: Path) -> bool:
    """Whether env.py imports the gate. Raises InputError where there is none, or none that Python can read."""
    path = find(script_directory)
    if path.suffix != ".py":
        # names and constants are in bytecode as they are written
        return b"dbkit" in path.read_bytes()
    try:
        return any(map(_imports_gate, ast.walk(ast.parse(path.read_bytes(), path))))
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a Python file: {error}") from error


def find(script_directory: Path) -> Path:
    """The file that Alembic runs for env.py: it, or its bytecode where there is no text. Raises InputError."""
    source = script_directory / "env.py"
    for path in (source, Path(cache_from_source(str(source))), source.with_suffix(".pyc")):
        if path.is_file():
            return path
    raise InputError(f"there is no {source}.", "Alembic runs it for every command that needs a database.")


def _imports_gate(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == GATE or (node.module == "dbkit" and any(each.name == "gate" for each in node.names))
    if isinstance(node, ast.Import):
        return any(each.name == GATE for each in node.names)
    return isinstance(node, ast.Constant) and node.value == GATE
