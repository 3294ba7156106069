"""An Alembic project: its settings file, its history, and what goes wrong when they are loaded."""

import gc
import logging.config
import os
import warnings
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import cast

from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import CycleDetected, Revision
from alembic.util import CommandError

from dbkit.errors import DatabaseAhead, InputError
from dbkit.project import env_file, revision_files, revision_graph
from dbkit.project.tracebacks import last_frame_in
from dbkit.redaction import redact


@dataclass(frozen=True)
class Project:
    """A loaded Alembic project. `script` has read every revision file."""

    config: Config
    script: ScriptDirectory
    origin: tuple[Path, str, tuple[str, ...]]
    """What it was loaded with."""

    def __reduce__(self) -> tuple[object, ...]:
        """Let another process load it itself."""
        return load, self.origin

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

    def require_gate(self) -> None:
        """Raise InputError when env.py does not import the gate."""
        env_file.require_gate(Path(self.script.dir))


def load(ini: Path, section: str = "alembic", arguments: Sequence[str] = ()) -> Project:
    """Load the project whose settings are in `ini` (or in a pyproject.toml), and every revision file of it.

    `section` is Alembic's `--name`, and `arguments` its `-x`. Raises InputError, naming the file, when a revision file
    or the history they make is broken.
    """
    origin = ini.absolute(), section, tuple(arguments)  # before the directory changes
    config = _config(ini, section)
    if arguments:
        config.cmd_opts = Namespace(x=list(arguments))
    try:
        _learn_secrets(config)
        _enter_directory(config, ini.parent)
        script = ScriptDirectory.from_config(config)
    except (CommandError, ConfigParserError, TOMLDecodeError, UnicodeDecodeError) as error:
        words = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"{ini} is not the settings file of an Alembic project: {words}.") from error
    require_loadable(script)
    return Project(config, script, origin)


def require_loadable(script: ScriptDirectory) -> None:
    """Load every revision file. Raises InputError, naming the file, when one of them or their history is broken."""
    loaded = _remember_loaded(script)
    collects = gc.isenabled()
    gc.disable()  # thousands of objects that all stay: looking through them again and again is a quarter of the time
    try:
        with warnings.catch_warnings():
            # Alembic only warns of an id that two files have, and of a parent that none has
            warnings.filterwarnings("error", category=UserWarning, module="alembic")
            scripts = list(script.walk_revisions())
    except (Exception, SystemExit) as error:  # a revision file can raise anything when it is imported
        raise InputError(*_explain(error, script, loaded)) from error
    finally:
        if collects:
            gc.enable()
    # Alembic does not see every cycle, and would apply its revisions in some order
    fault = revision_graph.fault(scripts)
    if fault:
        raise InputError(*fault)


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


def _learn_secrets(config: Config) -> None:
    """Remember the passwords in the URLs of the settings file, to hide them."""
    for section in config.file_config.sections():
        redact.learn_variables(dict(config.file_config.items(section, raw=True)))


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


def _remember_loaded(script: ScriptDirectory) -> list[Script]:
    """The revisions that Alembic loads from now on, also where it then cannot make a history of them."""
    loaded: list[Script] = []
    load = script.revision_map._generator

    def remembering() -> Iterator[Revision]:
        for each in load():
            loaded.append(cast("Script", each))
            yield each

    script.revision_map._generator = remembering
    return loaded


def _explain(error: BaseException, script: ScriptDirectory, loaded: Sequence[Script]) -> tuple[str, str]:
    """What is wrong with the revision files, and what to do. `loaded` are those that Alembic could load."""
    places = [Path(place) for place in script._version_locations]
    found = {
        path for place in places for path in (place.rglob if script.recursive_version_locations else place.glob)("*.py")
    }
    files = sorted(path for path in found if revision_files.REVISION_FILE.match(path.name))
    for path in files:
        try:
            compile(path.read_bytes(), path, "exec")
        except (SyntaxError, ValueError) as broken:
            line = f", line {broken.lineno}" if isinstance(broken, SyntaxError) and broken.lineno else ""
            return f"{path}{line}: not a Python file: {broken}", "Mend it, or remove it if it strayed in."
    frame = last_frame_in(error, files)
    if frame:
        place = f"{frame.filename}, line {frame.lineno}"
        return f"{place}: {type(error).__name__}: {error}", "Mend the file; every Alembic command loads it."
    fault = revision_graph.fault(loaded)
    if fault:
        return fault
    if isinstance(error.__cause__, CycleDetected) and len(error.__cause__.revisions) == 1:
        # the file of a revision that follows itself is not among those that were loaded
        return revision_graph.self_loop(error.__cause__.revisions[0], files)
    where = " and ".join(map(str, places))
    return f"the revisions in {where} cannot be loaded: {type(error).__name__}: {error}", ""
