"""Find a project's env.py, and check that it calls the gate, without running it."""

import ast
import re
from importlib.util import cache_from_source
from pathlib import Path

from dbkit.errors import InputError
from dbkit.project.revision_files import directory_of

GATE = "dbkit.gate"
INSTALLS = re.compile(rb"\binstall\b")
HOW_TO_ADD = """\
This command runs env.py only behind the gate. `dbkit adopt` puts it there, or you do, before anything is configured:
    from dbkit import gate
    gate.install(context)
`dbkit roundtrip`, `lint` and `trace` need no gate."""


def require_gate(script_directory: Path) -> None:
    """Raise InputError for an env.py that does not import the gate, and could connect to any database."""
    if not has_gate(script_directory):
        raise InputError(
            f"{script_directory / 'env.py'} does not call dbkit.gate.install or dbkit.gate.run, so it was not run.",
            HOW_TO_ADD,
        )


def has_gate(script_directory: Path) -> bool:
    """Whether env.py imports the gate. Raises InputError where it is missing or not a Python file."""
    path = find_env_file(script_directory)
    if path.suffix != ".py":
        # bytecode contains names and constants as they are written
        return b"dbkit" in path.read_bytes()
    try:
        return any(map(imports_gate, ast.walk(ast.parse(path.read_bytes(), path))))
    except (SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a Python file: {error}") from error


def is_of_another_project(ini: Path) -> bool:
    """Whether env.py does not call gate.run, as the kit's own does: the database is what it connects to.

    It is looked for where the settings file names its directory plainly; a project elsewhere is named by --config.
    """
    if ini.suffix == ".toml":
        return True
    versions = directory_of(ini)
    path = versions.parent / "env.py" if versions else None
    if path is None or not path.is_file():
        return False
    return b"dbkit" not in path.read_bytes() or keeps_connection(path.parent)


def keeps_connection(script_directory: Path) -> bool:
    """Whether env.py calls gate.install, and connects by itself. Raises InputError where it is not a Python file."""
    path = find_env_file(script_directory)
    source = path.read_bytes()
    if not INSTALLS.search(source) or not has_gate(script_directory):
        return False
    # bytecode contains names as they are written
    return path.suffix != ".py" or any(map(_calls_install, ast.walk(ast.parse(source, path))))


def _calls_install(node: ast.AST) -> bool:
    """Whether a node is gate.install, under any name of the module, or imports it."""
    if isinstance(node, ast.ImportFrom):
        return node.module == GATE and any(each.name == "install" for each in node.names)
    return isinstance(node, ast.Attribute) and node.attr == "install" and "gate" in ast.unparse(node.value)


def find_env_file(script_directory: Path) -> Path:
    """The file that Alembic runs: env.py, or its bytecode where there is no source. Raises InputError."""
    source = script_directory / "env.py"
    for path in (source, Path(cache_from_source(str(source))), source.with_suffix(".pyc")):
        if path.is_file():
            return path
    raise InputError(f"there is no {source}.", "Alembic runs it for every command that needs a database.")


def imports_gate(node: ast.AST) -> bool:
    """Whether a node imports the gate, or names its module."""
    if isinstance(node, ast.ImportFrom):
        return node.module == GATE or (node.module == "dbkit" and any(each.name == "gate" for each in node.names))
    if isinstance(node, ast.Import):
        return any(each.name == GATE for each in node.names)
    return isinstance(node, ast.Constant) and node.value == GATE
