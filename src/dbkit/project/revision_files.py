"""Read revision files without importing them, which is fast and needs no Alembic."""

import ast
import configparser
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

# Alembic loads every other *.py: https://github.com/sqlalchemy/alembic/blob/main/alembic/script/base.py
REVISION_FILE = re.compile(r"(?!\.#|__init__)(.*\.py)$")
NAMES = ("revision", "down_revision", "depends_on")
IDENTIFIER = re.compile(r"[^@+:\s-]+")
RESERVED = ("base", "head", "heads", "current")
SETS_OTHERWISE = re.compile(rb"\bglobal|\bexec\(|\bsetattr\(|\bvars\(|\blocals\(|__dict__|__name__")
"""What may set a variable of the module without an assignment at its top."""


@dataclass(frozen=True)
class RevisionFile:
    """The identifiers that a revision file assigns as literals."""

    path: Path
    revision: str
    down_revisions: tuple[str, ...]
    dependencies: tuple[str, ...] = ()
    """What it depends on: revisions, or labels of branches."""
    doc: str = ""


def directory_of(ini: Path) -> Path | None:
    """The directory of the revision files, when it is the single default one; None otherwise."""
    parser = configparser.ConfigParser({"here": str(ini.parent)})
    try:
        parser.read(ini, encoding="utf-8")
        section = parser["alembic"]
        if any(option in section for option in ("version_locations", "recursive_version_locations", "sourceless")):
            return None
        return Path(section["script_location"]) / "versions"
    except (KeyError, configparser.Error, UnicodeDecodeError):
        return None  # it is in pyproject.toml, or Alembic will report the error


def read_revision_file(path: Path) -> RevisionFile | None:
    """Read one file; None when its identifiers are not plain literals, or may be set in another way."""
    try:
        source = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings
            module = ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    assigned: dict[str, ast.expr] = {}
    for node in module.body:
        name, value = _read_assignment(node)
        if name and value:
            assigned[name] = value
        elif any(each in (*NAMES, "*") for each in _bound_names(node)):
            return None
    try:
        read = {name: _to_ids(ast.literal_eval(value)) for name, value in assigned.items()}
        (identifier,), parents = read["revision"], read["down_revision"]
    except (KeyError, ValueError, TypeError, RecursionError, MemoryError):
        return None
    if not isinstance(assigned["revision"], ast.Constant) or SETS_OTHERWISE.search(source):
        return None
    doc = ast.get_docstring(module, clean=False) or ""
    return RevisionFile(path, identifier, parents, read.get("depends_on", ()), doc)


def list_revision_files(directories: Iterable[Path], *, is_recursive: bool = False) -> list[Path]:
    """Return the files that Alembic would load from directories, each once, by directory and name."""
    found: dict[str, Path] = {}
    for directory in directories:
        for place, below, names in os.walk(directory):
            if not place.endswith("__pycache__"):
                real = os.path.realpath(place)
                for name in sorted(names):
                    if REVISION_FILE.match(name):
                        path = os.path.join(place, name)  # noqa: PTH118  # a Path takes much longer
                        # only a link is somewhere else than its directory
                        key = os.path.realpath(path) if os.path.islink(path) else os.path.join(real, name)  # noqa: PTH114, PTH118
                        found.setdefault(key, Path(path))
            below[:] = sorted(below) if is_recursive else []
    return list(found.values())


def read_revision_files(directory: Path) -> list[RevisionFile | None]:
    """Read all files that Alembic would load from a directory, sorted by name."""
    return [read_revision_file(path) for path in list_revision_files([directory])]


def find_heads(files: Iterable[RevisionFile | None]) -> frozenset[str] | None:
    """The revisions without a child; None when only Alembic can find them, or when the history is broken."""
    parents: dict[str, tuple[str, ...]] = {}
    edges: dict[str, tuple[str, ...]] = {}
    for file in files:
        if file is None or file.revision in parents:
            return None
        parents[file.revision] = file.down_revisions
        edges[file.revision] = (*file.down_revisions, *file.dependencies)
    if not {each for named in edges.values() for each in named} <= parents.keys():
        return None  # one is missing, or is the label of a branch
    try:
        TopologicalSorter(edges).prepare()
    except CycleError:
        return None
    return frozenset(parents) - {parent for revisions in parents.values() for parent in revisions}


def _read_assignment(node: ast.stmt) -> tuple[str, ast.expr | None]:
    """Return the name and the value of a plain assignment to one of the variables that Alembic reads."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        target, *more = node.targets if isinstance(node, ast.Assign) else [node.target]
        if not more and isinstance(target, ast.Name) and target.id in NAMES:
            return target.id, node.value
    return "", None


def _bound_names(node: ast.stmt) -> Iterator[str]:
    """The names that a statement of a module may bind, and `*`. What a function binds is its own."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
        return
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (each.asname or each.name for each in node.names)
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):  # a docstring
        return
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            if not isinstance(each.ctx, ast.Load):
                yield each.id
        else:
            # of an import, an exception, a pattern
            found = (getattr(each, key, None) for key in ("asname", "name", "rest"))
            yield from (name for name in found if isinstance(name, str))


def _to_ids(value: object) -> tuple[str, ...]:
    """Return the revisions that a variable names. Raises ValueError for what may be none."""
    found = tuple(value) if isinstance(value, (tuple, list, set)) else () if value is None else (value,)
    for each in found:
        if not isinstance(each, str) or not IDENTIFIER.fullmatch(each) or each in RESERVED:
            raise ValueError(each)
    return found
