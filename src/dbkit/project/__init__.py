"""An Alembic project: its config file, its revision files, and the errors when they are loaded.

What needs Alembic is imported at first use: a database that is at head is recognised without loading Alembic.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbkit.project.alembic_project import (
        Project,
        configure_logging,
        find_revision,
        heads_of,
        load,
        load_project,
        name_of,
        require_known,
        require_loadable,
    )

__all__ = [
    "Project",
    "configure_logging",
    "find_revision",
    "heads_of",
    "load",
    "load_project",
    "name_of",
    "require_known",
    "require_loadable",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dbkit.project import alembic_project

    return getattr(alembic_project, name)
