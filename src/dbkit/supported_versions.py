"""The oldest releases of SQLAlchemy, Alembic and psycopg that dbkit works with, and the error for an older one."""

import importlib.metadata
import re
import sys

from dbkit.errors import InputError
from dbkit.foreign_python import finder

OLDEST = {"SQLAlchemy": "2.0", "Alembic": "1.9", "psycopg": "3.1.4"}
"""The lower bounds in pyproject.toml: an environment that was made by hand, or with --no-deps, may not keep them."""

OTHER_PYTHON = """\
dbkit is installed with another Python than that of the project, and compiled modules belong to one.
Install it with the project's (pipx install --python …), or install PostgreSQL's client library, libpq."""


def require_supported() -> None:
    """Raise InputError for a release that is too old. To be called before a module that needs SQLAlchemy is imported.

    The versions are read from the packages' metadata: importing SQLAlchemy takes longer than `dbkit status` does.
    """
    try:
        import psycopg  # noqa: F401  # without libpq it is installed, and cannot be imported
    except ImportError as error:
        words = " ".join(str(error).split())
        is_of_another = finder.is_installed() and not finder.fits()
        hint = OTHER_PYTHON if is_of_another else "pip install 'psycopg[binary]'"
        raise InputError(f"psycopg cannot be imported: {words}.", hint) from error
    for name, oldest in OLDEST.items():
        found = _version(name)
        if found and _numbers(found) < _numbers(oldest):
            raise InputError(
                f"{name} {found} is installed, and dbkit needs {oldest} or newer.",
                f"pip install '{name.lower()}>={oldest}'",
            )


def _version(name: str) -> str | None:
    loaded = getattr(sys.modules.get(name.lower()), "__version__", None)
    if isinstance(loaded, str):
        return loaded
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None  # without metadata, as in a zip file


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version: (2, 0, 0) of 2.0.0b3."""
    leading = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, leading.group().split("."))) if leading else ()
