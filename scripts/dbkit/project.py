"""An Alembic project: its settings file, its history, and what goes wrong when they are loaded."""

import gc
import logging.config
import os
import traceback
import warnings
from argparse import Namespace
from collections.abc import Iterable, Sequence
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from pathlib import Path
from tomllib import TOMLDecodeError

from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError

from dbkit import versions
from dbkit.errors import DatabaseAhead, InputError


@dataclass(frozen=True)
class Project:
    """A loaded Alembic project. `script` has read every revision file."""

    config: Config
    script: ScriptDirectory

    @property
    def heads(self) -> list[Script]:
        """The revisions that no other follows, in a stable order."""
        return heads_of(self.script)

    def revision(self, identifier: str) -> Script:
        """One revision by its id, a unique beginning of it, or `head`. Raises InputError."""
        try:
            script = self.script.get_revision(identifier)
        except CommandError as error:
            raise InputError(f"{error}.") from error
        if script is None:
            raise InputError(f"there is no revision {identifier!r}.", "`make history` lists them.")
        return script

    def applied(self, current: tuple[str, ...]) -> set[str]:
        """The revisions that a database at `current` has: these, and those that they follow."""
        return {script.revision for script in self.script.iterate_revisions(current, "base")} if current else set()

    def pending(self, current: tuple[str, ...]) -> list[Script]:
        """What `upgrade heads` would apply to a database at `current`, first to last."""
        done = self.applied(current)
        everything = list(self.script.walk_revisions())
        return [script for script in reversed(everything) if script.revision not in done]


def load(ini: Path, section: str = "alembic", arguments: Sequence[str] = ()) -> Project:
    """Load the project whose settings are in `ini` (or in a pyproject.toml), and every revision file of it.

    `section` is Alembic's `--name`, and `arguments` its `-x`. Raises InputError, naming the file, when a revision file
    or the history they make is broken.
    """
    config = _config(ini, section)
    if arguments:
        config.cmd_opts = Namespace(x=list(arguments))
    try:
        _enter_directory(config, ini.parent)
        script = ScriptDirectory.from_config(config)
    except (CommandError, ConfigParserError, TOMLDecodeError, UnicodeDecodeError) as error:
        words = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"{ini} is not the settings file of an Alembic project: {words}.") from error
    require_loadable(script)
    return Project(config, script)


def require_loadable(script: ScriptDirectory) -> None:
    """Load every revision file. Raises InputError, naming the file, when one of them or their history is broken."""
    collects = gc.isenabled()
    gc.disable()  # thousands of objects that all stay: looking through them again and again is a quarter of the time
    try:
        with warnings.catch_warnings():
            # Alembic only warns of an id that two files have, and of a parent that none has
            warnings.filterwarnings("error", category=UserWarning, module="alembic")
            for _ in script.walk_revisions():
                pass
    except (Exception, SystemExit) as error:  # a revision file can raise anything when it is imported
        raise InputError(*_explain(error, Path(script.versions))) from error
    finally:
        if collects:
            gc.enable()


def heads_of(script: ScriptDirectory) -> list[Script]:
    """The revisions that no other follows, in a stable order."""
    return sorted(script.get_revisions(script.get_heads()), key=lambda head: head.path)


def _config(ini: Path, section: str) -> Config:
    if ini.name == "pyproject.toml":
        beside = ini.with_name("alembic.ini")
        return Config(str(beside) if beside.exists() else None, toml_file=str(ini), ini_section=section)
    beside = ini.with_name("pyproject.toml")
    toml = {"toml_file": str(beside)} if beside.exists() else {}
    return Config(str(ini), ini_section=section, **toml)  # type: ignore[arg-type]


def _enter_directory(config: Config, directory: Path) -> None:
    """Go where the project's commands are typed, when its script_location is relative and not there from here."""
    location = Path(config.get_alembic_option("script_location") or "")
    if not location.is_absolute() and not location.exists() and (directory / location).exists():
        os.chdir(directory)


def configure_logging(ini: Path) -> None:
    """Log as the top alembic.ini says. (The pointer in backend/ has no logging sections.)"""
    try:
        logging.config.fileConfig(ini, disable_existing_loggers=False, encoding="utf-8")
    except KeyError:
        logging.basicConfig(level=logging.WARNING)


def find(script: ScriptDirectory, revision: str) -> Script | None:
    """The revision with exactly this id."""
    try:
        found = script.get_revision(revision)
    except CommandError:
        return None
    return found if found and found.revision == revision else None


def require_known(script: ScriptDirectory, heads: Iterable[str]) -> None:
    """Raise DatabaseAhead when a database at `heads` is at a revision that this code does not have."""
    for head in heads:
        if not find(script, head):
            raise DatabaseAhead(
                f"the database is at {head}, which this code does not have.",
                "Check out the code that has it. If that migration is gone for good: restore the database, or,\n"
                "where it may lose its data, `make reset`.",
            )


def name_of(script: Script) -> str:
    """A revision as people know it: id and message."""
    return f'{script.revision} "{script.doc}"'


def _explain(error: BaseException, directory: Path) -> tuple[str, str]:
    files = sorted(path for path in directory.glob("*.py") if versions.REVISION_FILE.match(path.name))
    for path in files:
        try:
            compile(path.read_bytes(), path, "exec")
        except (SyntaxError, ValueError) as broken:
            line = f", line {broken.lineno}" if isinstance(broken, SyntaxError) and broken.lineno else ""
            return f"{path}{line}: not a Python file: {broken}", "Mend it, or remove it if it strayed in."
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in map(str, files)]
    if frames:
        place = f"{frames[-1].filename}, line {frames[-1].lineno}"
        return f"{place}: {type(error).__name__}: {error}", "Mend the file; every Alembic command loads it."
    known = [file for file in versions.read_all(directory) if file]
    ids = [file.revision for file in known]
    for file in known:
        twins = [other.path.name for other in known if other.revision == file.revision]
        if len(twins) > 1:
            return (
                f"revision {file.revision} is in {len(twins)} files: {', '.join(twins)}.",
                "Give one of them an id of its own.",
            )
        for parent in file.down_revisions:
            if parent not in ids:
                return (
                    f"{file.path.name} follows revision {parent}, and no file has that id.",
                    "Restore the file, or correct down_revision.",
                )
    unreadable = [path.name for path in files if path not in {file.path for file in known}]
    hint = f"Look at {', '.join(unreadable)}." if unreadable else ""
    return f"the revisions in {directory} cannot be loaded: {type(error).__name__}: {error}", hint
