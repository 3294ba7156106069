"""Digests of modules that do not change with the tables that models declare, on which no applied migration depends.

A revision is mostly written with a change of the models, which env.py imports. It must not end all verdicts.
"""

import ast
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

PREFIX = "models:"
TABLE_NAMES = ("__tablename__", "__table__")
HARMLESS = ("__future__", "collections", "datetime", "decimal", "enum", "sqlalchemy", "typing", "uuid")
"""Packages whose import changes nothing but names."""
USES_MODELS = re.compile(r"\b(?:create_all|drop_all|target_metadata|importlib|__import__|import_module)\b")
"""Code by which a migration may depend on the models without an import of theirs."""
MAKES_TABLES = re.compile(r"\b(?:create_all|drop_all)\b")


def describe_module(path: str, digest: str) -> str:
    """Return the state of a module for `is_same_module`, which has this digest."""
    return f"{PREFIX}{digest}:{digest_module(path)}"


def is_same_module(path: str, digest: str, state: str) -> bool:
    """Whether a module is what it was, but for the tables that it declares."""
    former, _, without_tables = state.removeprefix(PREFIX).partition(":")
    return digest == former or digest_module(path) == without_tables


def digest_module(path: str) -> str:
    """Return a digest of a module's code without the tables that it declares; a unique one where it has no syntax."""
    try:
        module = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return f"unreadable {path}"
    module.body = [kept for statement in module.body if (kept := _without_declarations(statement))]
    return hashlib.sha256(ast.dump(module).encode(errors="surrogatepass")).hexdigest()


def find_model_modules(modules: Mapping[str, str], env: Path, revisions: Iterable[Path]) -> set[str]:
    """Return the files of those modules on whose tables the revisions do not depend.

    `modules`: the names of the project's modules, by file. None where the models themselves make tables.
    """
    texts = {path: _read(Path(path)) for path in modules}
    revision_texts = [_read(path) for path in revisions]
    makes_tables = any(MAKES_TABLES.search(text) for text in (*texts.values(), _read(env)))
    if makes_tables or any(USES_MODELS.search(text) for text in revision_texts):
        return set()
    tops = {path: name.partition(".")[0] for path, name in modules.items()}
    used: set[str] = set()
    waiting = revision_texts
    while waiting:
        found = {top for text in waiting for top in _imported(text, set(tops.values()))} - used
        used |= found
        waiting = [texts[path] for path, top in tops.items() if top in found]
    return {path for path, top in tops.items() if top not in used}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _imported(text: str, names: Collection[str]) -> Iterable[str]:
    """Return those of the names that stand in an import of a text."""
    lines = " ".join(re.findall(r"(?m)^\s*(?:from|import)\b.*", text))
    words = set(re.findall(r"\w+", lines))
    return words & set(names)


def _without_declarations(statement: ast.stmt) -> ast.stmt | None:
    """Return a statement of a module without the tables that it declares; None where nothing else is in it."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return None if _is_harmless(statement) else statement
    if isinstance(statement, ast.ClassDef) and not statement.decorator_list and _declares_table(statement):
        statement.body = [each for each in statement.body if not _is_declaration(each)]
        return statement if statement.body else None
    if isinstance(statement, ast.Assign | ast.AnnAssign) and _calls_table(statement.value):
        return None
    return statement


def _is_harmless(statement: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(statement, ast.Import):
        return all(alias.name.partition(".")[0] in HARMLESS for alias in statement.names)
    return not statement.level and (statement.module or "").partition(".")[0] in HARMLESS


def _declares_table(node: ast.ClassDef) -> bool:
    """Whether a class is the model of one table."""
    targets = [target for each in node.body if isinstance(each, ast.Assign) for target in each.targets]
    return any(isinstance(target, ast.Name) and target.id in TABLE_NAMES for target in targets)


def _is_declaration(node: ast.stmt) -> bool:
    """Whether a statement of a model's class declares columns, constraints and the like, and is no code of another."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Assign | ast.AnnAssign | ast.Pass)


def _calls_table(value: ast.expr | None) -> bool:
    """Whether a value is `Table(…)` or `sa.Table(…)`."""
    if not isinstance(value, ast.Call):
        return False
    function = value.func
    return (function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")) == "Table"
