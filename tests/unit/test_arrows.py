"""The direction of the package's imports: docs/architecture.md has the list, and arrows only go down in it."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import dbkit

PACKAGE = Path(dbkit.__file__).parent
# from the top down: each may import only what is below it
ROOMS = [
    "headfile",
    "__main__",
    "cli",
    "pytest",
    "commands",
    "reports",
    "drift",
    "lint",
    "rollback",
    "roundtrip",
    "gate",
    "backfill",
    "stash",
    "trace",
    "sample_data",
    "findings",
    "project",
    "journal",
    "postgres",
    "catalog",
    "settings",
    "database_url",
    "dotenv",
    "signals",
    "errors",
    "redaction",
    "files",
    "wording",
    "__init__",
]


def modules() -> dict[str, Path]:
    """Modules by name, without the package's own."""
    paths = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in PACKAGE.rglob("*.py")}
    return {".".join(name).removesuffix(".__init__"): path for name, path in paths.items()}


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """The modules of this package that a module imports, also within a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "dbkit":
            package = node.module.partition(".")[2]
            for alias in node.names:
                name = f"{package}.{alias.name}".lstrip(".")
                yield name if name in MODULES else package or "__init__"


def rank(module: str) -> int:
    return ROOMS.index(module.partition(".")[0])


def test_every_room_has_its_place() -> None:
    assert {module.partition(".")[0] for module in MODULES} == set(ROOMS)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_is_below_it(module: str) -> None:
    above = {name for name in imports(MODULES[module]) if rank(name) < rank(module)}
    assert not above


def test_there_is_no_circle() -> None:
    graph = {module: {name for name in imports(path) if name != module} for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))
