"""An Alembic project: its config file, and its loaded revision files."""

import functools
import gc
import logging.config
import os
import warnings
from argparse import Namespace
from collections.abc import Iterable, Sequence
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from pathlib import Path

from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError

from dbkit.backports import TOMLDecodeError
from dbkit.errors import DatabaseAhead, InputError
from dbkit.project import alembic_features, env_file, flask_app, library_config, revision_graph
from dbkit.project.config import ProjectConfig, read_config
from dbkit.project.initial import Initial
from dbkit.project.load_errors import explain_load_error, record_loaded
from dbkit.redaction import redact
from dbkit.settings import Settings


@dataclass(frozen=True)
class Project:
    """A loaded Alembic project. `script` has read every revision file."""

    config: Config
    script: ScriptDirectory
    origin: tuple[Path, str, tuple[str, ...]]
    """The arguments of `load`."""

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the arguments only: another process loads the project again."""
        return load, self.origin

    @functools.cached_property
    def dbkit(self) -> ProjectConfig:
        """The section `[dbkit]` of the config file. Raises InputError."""
        ini = self.config.config_file_name
        # by the absolute path: a relative one may not be valid any more, after _enter_directory()
        return read_config(self.origin[0].with_name(Path(ini).name) if ini else self.origin[0])

    @property
    def initial(self) -> Initial | None:
        """The state in which the chain begins, where that is not an empty database."""
        return Initial(self.dbkit.initial, self.origin[0].parent) if self.dbkit.initial else None

    @property
    def heads(self) -> list[Script]:
        """The revisions without a child, in a stable order."""
        return heads_of(self.script)

    def revision(self, identifier: str) -> Script:
        """Return a revision by its id, a unique prefix of it, or `head`. Raises InputError."""
        try:
            script = self.script.get_revision(identifier)
        except CommandError as error:
            raise InputError(f"{error}.") from error
        if script is None:
            raise InputError(f"there is no revision {identifier!r}.", "`make history` lists them.")
        return script

    def applied(self, current: tuple[str, ...]) -> set[str]:
        """The revisions that are applied to a database at `current`: these and their ancestors."""
        return {script.revision for script in self.script.iterate_revisions(current, "base")} if current else set()

    def pending(self, current: tuple[str, ...]) -> list[Script]:
        """The revisions that `upgrade heads` would apply to a database at `current`, first to last."""
        done = self.applied(current)
        everything = list(self.script.walk_revisions())
        return [script for script in reversed(everything) if script.revision not in done]

    def require_gate(self) -> None:
        """Raise InputError when env.py does not import the gate."""
        env_file.require_gate(Path(self.script.dir))


def load(ini: Path, section: str = "alembic", arguments: Sequence[str] = ()) -> Project:
    """Load the project of a config file (alembic.ini or pyproject.toml), with every revision file.

    `section` is Alembic's `--name`, and `arguments` its `-x`. Raises InputError, naming the file, for an error in the
    config file, in a revision file, or between revision files.
    """
    origin = ini.absolute(), section, tuple(arguments)  # absolute, because the directory may change
    config = alembic_features.open_config(ini, section)
    try:
        _learn_secrets(config)
        is_flask = _find_env_beside(config, ini.parent)
        if is_flask and flask_app.needs_application(ini.parent):
            flask_app.enter_application()
        _enter_directory(config, ini.parent)
        config = _library_config(config, ini)
        script = ScriptDirectory.from_config(config)
    except (CommandError, ConfigParserError, TOMLDecodeError, UnicodeDecodeError) as error:
        if section != "alembic" and not config.file_config.has_section(section):
            raise InputError(f"{ini} has no section [{section}], which --name names.") from error
        words = " ".join(str(error).split()).rstrip(".")
        message = f"{ini} is not the settings file of an Alembic project: {words}."
        raise InputError(message, _name_sections(config)) from error
    except ImportError as error:  # of script_location = package:directory
        raise InputError(
            f"{ini}: the package of script_location cannot be imported: {error}.",
            "Run this with the Python that has the project installed, or set prepend_sys_path.",
        ) from error
    if arguments:
        config.cmd_opts = Namespace(x=list(arguments))
    require_loadable(script)
    loaded = Project(config, script, origin)
    _ = loaded.dbkit  # a mistake in it is reported before anything is run
    return loaded


def find_script_directory(ini: Path, section: str) -> Path | None:
    """Return the directory of env.py, without loading a revision file; None where `load` will say what is wrong."""
    script = find_script(ini, section)
    return Path(script.dir) if script else None


def find_script(ini: Path, section: str) -> ScriptDirectory | None:
    """Return Alembic's script directory, without loading a revision file; None where `load` will say what is wrong."""
    try:
        config = alembic_features.open_config(ini, section)
        _find_env_beside(config, ini.parent)
        _enter_directory(config, ini.parent)
        return ScriptDirectory.from_config(config)
    except (InputError, CommandError, ConfigParserError, TOMLDecodeError, UnicodeDecodeError, ImportError):
        return None


def _name_sections(config: Config) -> str:
    """Return a hint that names the sections with a script_location; "" where there are none, or no INI file."""
    try:
        file = config.file_config
    except (ConfigParserError, UnicodeDecodeError):
        return ""
    sections = [each for each in file.sections() if file.has_option(each, "script_location")]
    return f"The sections with a script_location are: {', '.join(sections)}. Name one with -n." if sections else ""


def load_project(settings: Settings) -> Project:
    """Load the project of the settings. One whose env.py connects by itself is loaded once in a process.

    Some revision files cannot be imported a second time, since their models are mapped. Raises InputError as `load`.
    """
    arguments = settings.ini, settings.section, settings.arguments
    return _load_once(*arguments) if settings.is_foreign else load(*arguments)


@functools.cache
def _load_once(ini: Path, section: str, arguments: tuple[str, ...]) -> Project:
    return load(ini, section, arguments)


def require_loadable(script: ScriptDirectory) -> None:
    """Load every revision file. Raises InputError, naming the file, when one of them or their history is broken."""
    loaded = record_loaded(script)
    collects = gc.isenabled()
    gc.disable()  # it would examine thousands of objects that all stay, in a quarter of the time
    try:
        with warnings.catch_warnings():
            # Alembic only warns of a duplicate id, and of a missing parent
            warnings.filterwarnings("error", category=UserWarning, module="alembic")
            warnings.filterwarnings("ignore", message="File .* loaded twice")  # by two paths: it has loaded it once
            script.get_heads()
    except (Exception, SystemExit) as error:  # a revision file can raise anything when it is imported
        raise InputError(*explain_load_error(error, script, loaded)) from error
    finally:
        if collects:
            gc.enable()
    # Alembic does not detect every cycle: in some, walk_revisions() would never end
    fault = revision_graph.find_fault(loaded)
    if fault:
        raise InputError(*fault)


def heads_of(script: ScriptDirectory) -> list[Script]:
    """The revisions without a child, in a stable order."""
    return sorted(script.get_revisions(script.get_heads()), key=lambda head: head.path)


def _learn_secrets(config: Config) -> None:
    """Register the passwords in the config file as secrets."""
    for section in config.file_config.sections():
        redact.learn_variables(dict(config.file_config.items(section, raw=True)))


def _find_env_beside(config: Config, directory: Path) -> bool:
    """Set script_location as Flask-Migrate does: its env.py is beside the config file. Returns whether it did.

    With advanced-alchemy, too, where script_location may name a directory that is not there.
    """
    location = alembic_features.option_of(config, "script_location") or ""
    is_there = ":" in location or (bool(location) and (Path(location).exists() or (directory / location).exists()))
    if is_there or not (directory / "env.py").is_file():
        return False
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    return True


def _enter_directory(config: Config, directory: Path) -> None:
    """Change to the project's directory where its script_location is relative to that."""
    location = Path(alembic_features.option_of(config, "script_location") or "")
    if not location.is_absolute() and not location.exists() and (directory / location).exists():
        os.chdir(directory)


def _library_config(config: Config, ini: Path) -> Config:
    """Return the Config of the library that env.py needs, where it needs one; else the same."""
    named = read_config(ini).config
    location = alembic_features.option_of(config, "script_location")
    if named or (location and library_config.needs_library(Path(location))):
        return library_config.make_config(named, config, ini.parent)
    return config


def configure_logging(ini: Path) -> None:
    """Configure logging as in alembic.ini; an ini without logging sections, as in backend/, logs warnings."""
    try:
        logging.config.fileConfig(ini, disable_existing_loggers=False, encoding="utf-8")
    except KeyError:
        logging.basicConfig(level=logging.WARNING)


def find_revision(script: ScriptDirectory, revision: str) -> Script | None:
    """Return the revision with exactly this id; None where there is none."""
    try:
        found = script.get_revision(revision)
    except CommandError:
        return None
    return found if found and found.revision == revision else None


def require_known(script: ScriptDirectory, heads: Iterable[str]) -> None:
    """Raise DatabaseAhead when one of the revisions of a database is not in the project."""
    for head in heads:
        if not find_revision(script, head):
            raise DatabaseAhead(
                f"the database is at {head}, which this code does not have.",
                "Check out the code that has it. If that migration is gone for good: restore the database, or,\n"
                "where it may lose its data, `make reset`.",
            )


def name_of(script: Script) -> str:
    """The id and the message of a revision, for display."""
    return f'{script.revision} "{script.doc}"' if script.doc else script.revision
