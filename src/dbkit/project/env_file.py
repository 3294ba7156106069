"""Find a project's env.py, and check that it calls the gate, without running it."""

import ast
from importlib.util import cache_from_source
from pathlib import Path

from dbkit.errors import InputError

GATE = "dbkit.gate"
HOW_TO_ADD = """\
This command runs env.py only behind the gate, so that no database but the one in .env can be reached.
Add it: in env.py, replace the code that configures Alembic and runs the migrations by:
    from dbkit import gate
    gate.run(context, root=Path("the directory of .env"), load_metadata=lambda: target_metadata)
`dbkit roundtrip`, `lint` and `trace` need no gate."""


def require_gate(script_directory: Path) -> None:
    """Raise InputError for an env.py that does not import the gate, and could connect to any database."""
    if not has_gate(script_directory):
        raise InputError(f"{script_directory / 'env.py'} does not call dbkit.gate.run, so it was not run.", HOW_TO_ADD)


def has_gate(script_directory: Path) -> bool:
    """Whether env.py imports the gate. Raises InputError where it is missing or not a Python file."""
    path = find_env_file(script_directory)
    if path.suffix != ".py":
        # bytecode contains names and constants as they are written
        return b"dbkit" in path.read_bytes()
    try:
        return any(map(_imports_gate, ast.walk(ast.parse(path.read_bytes(), path))))
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a Python file: {error}") from error


def find_env_file(script_directory: Path) -> Path:
    """The file that Alembic runs: env.py, or its bytecode where there is no source. Raises InputError."""
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
