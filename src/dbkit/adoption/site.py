"""The place that is adopted: an Alembic project, and what is around it."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbkit.errors import InputError

INI, TOML = "alembic.ini", "pyproject.toml"
TOML_SECTION = re.compile(rb"^\s*\[+\s*tool\s*\.\s*[\"']?alembic[\"']?\s*[\].]", re.MULTILINE)
SKIPPED = ("node_modules", "site-packages", "dist-packages", "__pycache__", "__pypackages__")
NAME_IT = "Name it: dbkit adopt -c FILE"
LISTED = 8
"""The settings files that a message lists, of those that were found."""


@dataclass(frozen=True)
class Site:
    """The files and directories of a project. All paths are absolute."""

    settings_file: Path
    """alembic.ini, or a pyproject.toml with `[tool.alembic]`."""
    section: str
    """The section of the settings file, as with `alembic --name`."""
    directory: Path
    """The directory of the settings file, in which `alembic` and `dbkit` are run."""
    script_directory: Path
    """The directory of env.py."""
    repository: Path
    """The top of git's work tree; `directory` where there is none."""
    arguments: tuple[str, ...] = ()
    """What env.py gets with `-x`."""
    ci: str = ""
    """The CI service of the repository: "github", "gitlab", or "" for none."""


def find_site(named: str | None, section: str, arguments: Sequence[str], ci: str | None) -> Site:
    """Find the project in the working directory or below it, or the one of a named settings file.

    `ci` is the CI service, or "none"; None for what the repository uses. Raises InputError.
    """
    from dbkit.project import load
    from dbkit.project.alembic_project import find_script

    here = Path.cwd()
    settings_file = find_settings_file(named, here)
    if "%" in str(settings_file):
        raise InputError(
            f"Alembic does not work in a directory with % in its name: {settings_file.parent}", "Rename it."
        )
    try:
        script = find_script(settings_file, section) or load(settings_file, section, arguments).script
        script_directory = Path(os.path.abspath(script.dir))  # noqa: PTH100  # a symbolic link stays as it is
    finally:
        os.chdir(here)  # it was changed where script_location is relative to the settings file
    repository = find_repository(settings_file.parent)
    return Site(
        settings_file=settings_file,
        section=section,
        directory=settings_file.parent,
        script_directory=script_directory,
        repository=repository,
        arguments=tuple(arguments),
        ci=find_ci(repository) if ci is None else "" if ci == "none" else ci,
    )


def find_settings_file(named: str | None, here: Path) -> Path:
    """Return the settings file that is named, or the only one in a directory or below it. Raises InputError."""
    if named is not None:
        path = here / named
        if not path.is_file():
            what = f"{named} is not a file." if path.exists() else f"there is no {named}."
            raise InputError(what, "Name the project's alembic.ini, or its pyproject.toml.")
        return Path(os.path.abspath(path))  # noqa: PTH100  # a symbolic link stays as it is
    at_once = settings_in(here)
    if at_once:
        return at_once
    found = [path for path in map(settings_in, _directories_below(here)) if path]
    if not found:
        raise InputError(
            f"there is no {INI}, and no {TOML} with [tool.alembic], in {here} or below it.",
            f"{NAME_IT}\nA project that does not use Alembic yet begins with `alembic init migrations`.",
        )
    if len(found) > 1:
        shown = [str(path.relative_to(here)) for path in found[:LISTED]]
        names = "\n".join([*shown, *(["…"] if len(found) > LISTED else [])])
        raise InputError(f"there are {len(found)} settings files of Alembic below {here}.", f"{names}\n{NAME_IT}")
    return found[0]


def settings_in(directory: Path) -> Path | None:
    """Return the settings file of a directory, if it has one."""
    ini, toml = directory / INI, directory / TOML
    if ini.is_file():
        return ini
    try:
        return toml if TOML_SECTION.search(toml.read_bytes()) else None
    except OSError:
        return None


def _directories_below(here: Path) -> Iterator[Path]:
    """Yield the directories below one in which a project may be: not hidden ones, and no virtual environments."""
    for top, names, files in os.walk(here):
        if "pyvenv.cfg" in files:
            names.clear()
            continue
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in SKIPPED)
        if Path(top) != here:
            yield Path(top)


def find_repository(directory: Path) -> Path:
    """Return the top of git's work tree around a directory; the directory itself where there is none."""
    return next((each for each in (directory, *directory.parents) if (each / ".git").exists()), directory)


def find_ci(repository: Path) -> str:
    """Return the CI service that a repository uses: by its files, or else by the URL of `origin`; "" for none."""
    if (repository / ".github").is_dir():
        return "github"
    if (repository / ".gitlab-ci.yml").is_file():
        return "gitlab"
    try:
        config = (_find_git_directory(repository) / "config").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    origin = re.search(r'^\[remote "origin"\]\s*$(?:\s*(?!\[)\S.*$)*?\s*url\s*=\s*(\S+)', config, re.MULTILINE)
    host = re.search(r"(?:@|://)(?:[^@/]*@)?([^:/]+)", origin[1]) if origin else None
    name = host[1].lower() if host else ""
    return next((each for each in ("github", "gitlab") if each in name), "")


def _find_git_directory(repository: Path) -> Path:
    """Return the directory with git's configuration: for a second work tree, that of the first one. Raises OSError."""
    directory = repository / ".git"
    if directory.is_file():
        directory = repository / directory.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        common = directory / "commondir"
        if common.is_file():
            directory /= common.read_text(encoding="utf-8").strip()
    return directory
