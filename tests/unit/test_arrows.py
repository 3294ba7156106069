"""The direction of the package's imports: a room imports only what is below it in this list."""

from graphlib import CycleError, TopologicalSorter

import pytest
from draw_imports import MODULES, read_imports

# from the top down: each may import only what is below it
ROOMS = [
    "headfile",
    "__main__",
    "other_project",
    "cli",
    "arguments",
    "pytest",
    "commands",
    "adoption",
    "reports",
    "plan",
    "preflight",
    "drift",
    "drafts",
    "lint",
    "rollback",
    "roundtrip",
    "gate",
    "backfill",
    "stash",
    "trace",
    "coverage",
    "sample_data",
    "preconditions",
    "findings",
    "proof_cache",
    "pictures",
    "project",
    "journal",
    "postgres",
    "catalog",
    "settings",
    "database_url",
    "dotenv",
    "signals",
    "supported_versions",
    "foreign_python",
    "errors",
    "hints",
    "terminal",
    "redaction",
    "files",
    "wording",
    "backports",
    "__init__",
]


def rank(module: str) -> int:
    return ROOMS.index(module.partition(".")[0])


def test_every_room_has_its_place() -> None:
    assert {module.partition(".")[0] for module in MODULES} == set(ROOMS)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_what_is_below_it(module: str) -> None:
    above = {name for name in read_imports(MODULES[module]) if rank(name) < rank(module)}
    assert not above


def test_there_is_no_circle() -> None:
    graph = {module: {name for name in read_imports(path) if name != module} for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))
