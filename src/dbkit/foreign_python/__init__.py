"""Run dbkit with the interpreter of a project's virtual environment, into which nothing is installed.

`dbkit --python PATH VERB …` replaces this process, which has a tool's environment, by the project's interpreter. There
the project's packages win: what dbkit needs besides comes from the tool's environment only where the project has none.

The interpreter finds dbkit by a directory in PYTHONPATH that contains nothing but a package `dbkit`, which leads to the
real one; so does every Python process below it, such as Alembic's hooks and workers. The tool's own packages are never
in a path that is searched before the project's.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

from dbkit import hints
from dbkit.errors import InputError
from dbkit.foreign_python import finder

OPTION = "--python"
OTHERS = ("--color",)
"""The other options before the verb that take a value."""
OLDEST = 3, 10
FRONT = Path(__file__).resolve().parent / "front"
"""The directory that has only the package `dbkit` in it."""
ASK = "import sys; print(*sys.version_info[:2], sys.prefix)"
# `python -c` searches the working directory first, which the command `dbkit` does not
START = "import sys; del sys.path[:sys.path[0] == '']; from dbkit.__main__ import main; sys.exit(main())"


def enter(arguments: Sequence[str]) -> None:
    """Replace this process where the arguments begin with another interpreter. Raises InputError for one that is unfit.

    Signals and the exit code are those of the process that takes its place.
    """
    named = _find_option(arguments)
    if named is None:
        return
    program = _program(named)
    is_here = finder.is_installed() and sys.executable == str(program)
    if is_here or _ask_prefix(program, named) == sys.prefix:
        if finder.is_installed():
            _enter_project(named)
        return
    tool = _tool_directories()
    if any(os.pathsep in path for path in (str(FRONT), *tool)):
        raise InputError(f"Python does not search a directory with {os.pathsep!r} in its name: {FRONT}.")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(FRONT), os.environ.get("PYTHONPATH")])),
        finder.VARIABLE: os.pathsep.join(tool),
        finder.SUFFIX_VARIABLE: EXTENSION_SUFFIXES[0],
        finder.PROGRAMS_VARIABLE: str(Path(sys.executable).parent),
    }
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(program, [str(program), "-c", START, *arguments], environment)


def _enter_project(named: str) -> None:
    """Check what only the project's environment has, in its interpreter."""
    hints.start_with(OPTION, named)
    for module, distribution in (("sqlalchemy", "SQLAlchemy"), ("alembic", "Alembic")):
        if find_spec(module) is None:
            raise InputError(
                f"{named} has no {distribution}.", "Name the interpreter that runs the project's own migrations."
            )


def _find_option(arguments: Sequence[str]) -> str | None:
    """Return the value of --python before the verb."""
    for number, word in enumerate(arguments):
        if number and arguments[number - 1] in OTHERS:
            continue
        if word == OPTION:
            return arguments[number + 1] if len(arguments) > number + 1 else None  # argparse reports that it is missing
        if word.startswith(f"{OPTION}="):
            return word.partition("=")[2]
        if not word.startswith("-"):
            return None
    return None


def _program(named: str) -> Path:
    """Return the interpreter, of which a virtual environment is known by its own path: links are not followed."""
    path = Path(named).absolute()
    return path / "bin/python" if path.is_dir() else path


def _ask_prefix(program: Path, named: str) -> str:
    """Run an interpreter, and return its prefix: the directory of its environment. Raises InputError."""
    try:
        asked = subprocess.run([program, "-I", "-c", ASK], capture_output=True, text=True, check=False)
    except OSError as error:
        raise InputError(
            f"{named} cannot be run: {error.strerror}.", "Name the project's own interpreter: --python .venv/bin/python"
        ) from error
    words = asked.stdout.split(maxsplit=2)
    if asked.returncode or len(words) < 3 or not (words[0] + words[1]).isdigit():
        raise InputError(f"{named} is not a Python interpreter.", "Name the project's own: --python .venv/bin/python")
    major, minor, prefix = words
    if (int(major), int(minor)) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise InputError(f"{named} is Python {major}.{minor}, and dbkit needs {oldest} or newer.")
    return prefix.strip()


def _tool_directories() -> list[str]:
    """Return the directories with the packages of this environment that dbkit needs."""
    found = (find_spec(name) for name in finder.NAMES)
    origins = (Path(each.origin) for each in found if each and each.origin)
    # of a package the directory above it, of a module its own
    return list(dict.fromkeys(str(each.parents[each.stem == "__init__"]) for each in origins))
