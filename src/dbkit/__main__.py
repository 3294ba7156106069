"""Run a verb of the command line: an error becomes one line on stderr and an exit code."""

import gc
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dbkit import cli, foreign_python, settings, signals
from dbkit.adoption.site import settings_in
from dbkit.errors import DbkitError, InputError, as_dbkit_error, say
from dbkit.project import env_file
from dbkit.project.revision_files import directory_of
from dbkit.redaction import outputs, redact
from dbkit.supported_versions import require_supported
from dbkit.terminal import person


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    redact.learn_variables(os.environ)
    with outputs.redacted_streams():
        try:
            foreign_python.enter(sys.argv[1:] if arguments is None else arguments)
        except InputError as error:
            outputs.print_error(error)
            return error.exit_code
        invocation = cli.parse(arguments)
        person.meet(invocation.color)
        signals.raise_on_signals()
        _escape_unprintable_characters()
        try:
            return _run(invocation)
        except KeyboardInterrupt:
            say("interrupted")
            return signals.exit_code()
        except BrokenPipeError:
            # the reader is gone; Python would print an error when it flushes the stream at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + signal.SIGPIPE
        except Exception as error:
            if invocation.debug or not _is_expected(error):
                raise
            failure = as_dbkit_error(error)
            outputs.print_error(failure)
            return failure.exit_code
        finally:
            outputs.clear_line()


def _run(invocation: cli.Invocation) -> int:
    verb = cli.VERBS[invocation.verb]
    if not verb.no_project:
        require_supported()
    function, options = invocation.load()
    if verb.no_project or verb.finds_project:
        return function(*options) or 0
    ini = _find_config(invocation.config) if invocation.config else _find_ini()
    if invocation.config or env_file.is_of_another_project(ini):
        from dbkit import other_project  # the kit's own project goes without it

        return other_project.run(verb, invocation, ini, function, options)
    return function(settings.load(ini.parent, ini=ini, warn=True), ini, *options) or 0


def _find_ini() -> Path:
    """Return the settings file of the current directory, or, within this checkout and where there is none, that of it.

    An editable installation is in a checkout, too, and may be run in another project.
    """
    checkout = Path(__file__).resolve().parents[2]
    ini = settings_in(Path())
    if (checkout / "alembic.ini").exists() and (ini is None or Path.cwd().is_relative_to(checkout)):
        ini = checkout / "alembic.ini"
    if ini is None:
        raise InputError(
            f"there is no alembic.ini in {Path.cwd()}.",
            "Run this in the root of the project, or name its settings file: -c FILE",
        )
    return _without_percent(_find_main(ini.resolve()))


def _find_main(ini: Path) -> Path:
    """Return the settings file of the project's root, for one below it that names the same migrations.

    In the kit's own layout, backend/alembic.ini is for `alembic`, and env.py has its root above that.
    """
    main = ini.parent.parent / ini.name
    versions = directory_of(ini)
    if versions and versions.is_absolute() and main.is_file() and _is_same(directory_of(main), versions):
        return ini if env_file.is_of_another_project(ini) else main
    return ini


def _is_same(one: Path | None, other: Path) -> bool:
    return one is not None and one.is_absolute() and one.resolve() == other.resolve()


def _find_config(name: str) -> Path:
    """Return another project's settings file, which --config names."""
    ini = Path(name).resolve()
    if not ini.is_file():
        raise InputError(f"there is no {name}.", "Name the project's alembic.ini, or its pyproject.toml.")
    return _without_percent(ini)


def _without_percent(ini: Path) -> Path:
    if "%" in str(ini):
        raise InputError(f"Alembic does not work in a directory with % in its name: {ini.parent}", "Rename it.")
    return ini


def _escape_unprintable_characters() -> None:
    """Write characters that an output stream cannot encode as escapes, not as an error."""
    for stream in (sys.stdout, sys.stderr):
        real = getattr(stream, "stream", stream)
        if isinstance(real, io.TextIOWrapper):
            real.reconfigure(errors="backslashreplace")


def _is_expected(error: Exception) -> bool:
    """Whether the operating system or the database raised it, or it is an error of our own for people."""
    modules = {each.__module__.partition(".")[0] for each in type(error).__mro__}
    return isinstance(error, DbkitError | OSError) or bool(modules & {"psycopg", "sqlalchemy"})


if __name__ == "__main__":
    # the libraries that a verb imports make many objects, and all stay: looking through them is a tenth of `status`
    gc.set_threshold(10_000, 50, 50)
    code = main()
    # nothing is left to collect, and the last collection takes a sixth of a no-op `migrate`
    gc.freeze()
    sys.exit(code)
