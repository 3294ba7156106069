"""Find the project of a revision file that Alembic has just written: its hooks get nothing but the path of the file."""

import configparser
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit.errors import DbkitError
from dbkit.project import revision_files

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

SUFFIXES = (".ini", ".cfg", ".conf", ".toml")
Heads = dict[str, str]
"""The ids of heads, and their docstrings."""


def read_project(file: Path) -> tuple[Path, Heads] | None:
    """Return the script directory and the heads of the project of a revision file; None where they are not known.

    Alembic is only imported where the settings are unusual, or a revision's ids are not plain literals.
    """
    settings = list(_list_settings(file))
    for ini in settings:
        if _is_same(revision_files.directory_of(ini), file.parent) and b"alembic" not in _read(_toml_beside(ini)):
            heads = read_heads([file.parent])
            if heads is not None:
                return file.parent.parent, heads
            break
    return _read_with_alembic(file, settings) or _read_without_settings(file)


def read_heads(directories: list[Path], *, is_recursive: bool = False) -> Heads | None:
    """Return the heads by the text of the revision files; None where only Alembic can read them."""
    files = [
        revision_files.read_revision_file(path)
        for path in revision_files.list_revision_files(directories, is_recursive=is_recursive)
    ]
    heads = revision_files.find_heads(files)
    return None if heads is None else {each.revision: each.doc for each in files if each and each.revision in heads}


def _read_with_alembic(file: Path, settings: list[Path]) -> tuple[Path, Heads] | None:
    """Find the project among the sections of settings files, with Alembic's reading of them."""
    from dbkit.project import alembic_features, alembic_project

    here = Path.cwd()
    for ini, section in ((path, name) for path in settings for name in _list_sections(path)):
        script = alembic_project.find_script(ini, section)
        try:
            if script is None or not _has_file(script, file):
                continue
            directory = Path(script.dir).absolute()
            places = [Path(place) for place in script._version_locations]
            is_recursive = alembic_features.is_recursive(script)
            heads = None if script.sourceless else read_heads(places, is_recursive=is_recursive)
            if heads is None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of a file in two directories
                    loaded = alembic_project.load(ini, section)
                heads = {head.revision: head.longdoc for head in loaded.heads}
            return directory, heads
        except DbkitError:
            return None
        finally:
            os.chdir(here)  # it was changed where script_location is relative to the settings file
    return None


def _read_without_settings(file: Path) -> tuple[Path, Heads] | None:
    """Take the nearest directory with env.py above the file: a program may give its settings to Alembic by itself."""
    directory = next((each for each in file.parents if (each / "env.py").is_file()), None)
    versions = directory / "versions" if directory else file.parent
    if directory is None or versions not in file.parents:
        return None
    heads = read_heads([versions], is_recursive=versions != file.parent)
    return None if heads is None else (directory, heads)


def _list_settings(file: Path) -> Iterator[Path]:
    """Return the settings files that may be the project's, the likeliest first."""
    here = Path.cwd()
    named = os.environ.get("ALEMBIC_CONFIG")
    if named:
        yield Path(named).absolute()
    below = (each for each in sorted(here.iterdir()) if each.is_dir() and not each.name.startswith("."))
    seen: set[Path] = set()
    for directory in (here, *file.parents, *below):
        if directory in seen:
            continue
        seen.add(directory)
        try:
            found = [each for each in directory.iterdir() if each.suffix in SUFFIXES and each.is_file()]
        except OSError:
            continue
        for path in sorted(found, key=lambda path: (path.name != "alembic.ini", path.name)):
            if b"script_location" in _read(path):
                yield path


def _list_sections(ini: Path) -> list[str]:
    """Return the sections of a settings file that may be a project's."""
    if ini.suffix == ".toml":
        return ["alembic"]
    parser = configparser.RawConfigParser()
    try:
        parser.read(ini, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return []
    found = [name for name in parser.sections() if parser.has_option(name, "script_location")]
    return sorted(found, key=lambda name: name != "alembic")


def _has_file(script: "ScriptDirectory", file: Path) -> bool:
    """Whether Alembic loads a file for this project."""
    from dbkit.project import alembic_features

    place = file.parent.resolve()
    within = (place, *place.parents) if alembic_features.is_recursive(script) else (place,)
    return any(Path(each).resolve() in within for each in script._version_locations)


def _is_same(directory: Path | None, other: Path) -> bool:
    return directory is not None and directory.absolute() == other


def _toml_beside(ini: Path) -> Path:
    """Return the file from which Alembic takes the options that are not in an alembic.ini."""
    return ini.with_name("pyproject.toml")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
