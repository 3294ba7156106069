"""How a project is installed on another machine: with the tool of its lock file, or with pip."""

import os
import re
import shlex
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass, replace
from pathlib import Path

from dbkit import hints
from dbkit.adoption.owned import read_file
from dbkit.adoption.requirement import NAME, SERVER, SQUAWK
from dbkit.adoption.site import Site
from dbkit.backports import parse_toml
from dbkit.project import env_file

LOCKS = {"uv.lock": "uv", "poetry.lock": "poetry", "pdm.lock": "pdm", "Pipfile.lock": "pipenv", "Pipfile": "pipenv"}
REQUIREMENTS = (
    "requirements.txt",
    *(f"requirements/{name}.txt" for name in ("production", "prod", "base", "main", "common", "requirements", "dev")),
)
NEEDS = {"uv": "uv", "poetry": "poetry", "pdm": "pdm", "pipenv": "pipenv", "dependencies": "uv"}
"""By tool, the package that has its command."""


@dataclass(frozen=True)
class Installation:
    """The packages of a project, and the tool that installs them."""

    root: Path
    """The directory in which the commands run."""
    tool: str = ""
    """uv, poetry, pdm, pipenv or pip; "dependencies" where pyproject.toml builds no package; "" for none."""
    requirements: str = ""
    """A requirements file, relative to the root."""
    is_package: bool = False
    """Whether pip installs the project itself."""
    has_dbkit: bool = False
    """Whether dbkit is among its packages."""

    @property
    def pip_arguments(self) -> list[str]:
        """The arguments of `pip install`."""
        requirements = ["-r", self.requirements] if self.requirements else []
        return [*requirements, *(["-e", "."] if self.is_package else [])]

    def packages(self, requirement: str) -> list[str]:
        """Return what is installed besides the project."""
        return [*([] if self.has_dbkit else [requirement]), SERVER, SQUAWK]


def find_installation(site: Site) -> Installation:
    """Find the nearest directory with a project, from that of the settings file up to the top of the repository."""
    for directory in directories_up(site):
        if found := _look_into(directory):
            if found.tool in ("pip", "dependencies") and not found.requirements:
                return _find_workspace(site, found)
            return found
    return Installation(site.directory)


def _find_workspace(site: Site, found: Installation) -> Installation:
    """Return the member of a workspace whose lock file is further up."""
    for directory in directories_up(site):
        lock = directory / "uv.lock"
        if found.root.is_relative_to(directory) and lock.is_file():
            return replace(found, tool="uv", has_dbkit=_names_dbkit(lock))
    return found


def directories_up(site: Site) -> Iterator[Path]:
    """Yield the directory of the settings file, and those above it up to the top of the repository."""
    yield site.directory
    if site.directory.is_relative_to(site.repository) and site.directory != site.repository:
        for directory in site.directory.parents:
            yield directory
            if directory == site.repository:
                return


def working_directory(site: Site) -> Path:
    """Return the directory in which the project's commands run: that of the settings file, or one above it.

    Above it where script_location is relative to that, or where env.py is beside the settings file, as in projects of
    Flask-Migrate, whose application is found from there.
    """
    if site.script_directory == site.directory != site.repository:
        installation = find_installation(site)
        return site.directory.parent if installation.root == site.directory else installation.root
    location = Path(_read_location(site))
    if not location.is_absolute():
        for directory in directories_up(site):
            if (directory / location).resolve() == site.script_directory.resolve():
                return directory
    return site.directory


def _read_location(site: Site) -> str:
    """Return script_location as it is written; an absolute path where it is not plain."""
    text = (read_file(site.settings_file) or b"").decode("utf-8", "replace")
    try:
        if site.settings_file.suffix == ".toml":
            return str(parse_toml(text)["tool"][site.section]["script_location"])
        parser = ConfigParser(interpolation=None)
        parser.read_string(text)
        return parser[site.section]["script_location"]
    except (ValueError, KeyError, TypeError, ConfigParserError):
        return "/"


def path_between(start: Path, end: Path) -> str:
    """Return a relative path, with slashes."""
    return Path(os.path.relpath(end, start)).as_posix()


def slug_of(site: Site) -> str:
    """Return a name for the project within its repository, of a-z and -; "" for the only one, at the top."""
    words = [path_between(site.repository, site.directory), *([] if site.section == "alembic" else [site.section])]
    return re.sub(r"[^a-z]+", "-", "-".join(words).lower()).strip("-")


def _look_into(directory: Path) -> Installation | None:
    for name, tool in LOCKS.items():
        if (directory / name).is_file():
            return Installation(directory, tool, has_dbkit=_names_dbkit(directory / name))
    pyproject = (read_file(directory / "pyproject.toml") or b"").decode("utf-8", "replace")
    if re.search(r"^\s*\[tool\.poetry\.dependencies\]", pyproject, re.M):
        return Installation(directory, "poetry", has_dbkit=NAME in pyproject)
    has_build = bool(re.search(r"^\s*\[build-system\]", pyproject, re.M))
    has_metadata = b"[metadata]" in (read_file(directory / "setup.cfg") or b"")
    is_package = has_build or has_metadata or (directory / "setup.py").is_file()
    others = sorted(path.name for path in directory.glob("requirements*.txt"))
    requirements = next((name for name in (*REQUIREMENTS, *others) if (directory / name).is_file()), "")
    if requirements:
        path = directory / requirements
        return Installation(directory, "pip", requirements, is_package, has_dbkit=_names_dbkit(path))
    if is_package:
        return Installation(directory, "pip", is_package=True, has_dbkit=NAME in pyproject)
    if re.search(r"^\s*\[project\]", pyproject, re.M):
        return Installation(directory, "dependencies", has_dbkit=NAME in pyproject)
    return None


def _names_dbkit(path: Path) -> bool:
    return NAME.encode() in (read_file(path) or b"")


def project_options(site: Site, verb: str) -> list[str]:
    """Return the options of a verb of dbkit that name the project; none where its env.py calls `gate.run`."""
    if is_kit_layout(site):
        return []
    options = ["-c", path_between(working_directory(site), site.settings_file)]
    if site.section != "alembic":
        options += ["-n", site.section]
    options += [each for argument in site.arguments for each in ("-x", argument)]
    long = hints.LONG.get(verb, {})
    return [long.get(each, each) if not number % 2 else each for number, each in enumerate(options)]


def is_kit_layout(site: Site) -> bool:
    """Whether env.py leaves the connection to the gate, and the settings file is the one that dbkit takes by itself."""
    directory = site.script_directory
    if site.settings_file.name != "alembic.ini" or site.section != "alembic" or site.arguments:
        return False
    if not (directory / "env.py").is_file():
        return False
    return env_file.has_gate(directory) and not env_file.keeps_connection(directory)


def shell_command(site: Site, verb: str, *options: str) -> str:
    """Return the command of a verb, for a shell."""
    return shlex.join(["python", "-m", "dbkit", verb, *project_options(site, verb), *options])
