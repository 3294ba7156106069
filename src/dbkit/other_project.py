"""Run a verb on another project, whose database is what its env.py connects to."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dbkit import hints
from dbkit.cli import Database, Invocation, Verb
from dbkit.errors import DbkitError, InputError
from dbkit.project import env_file
from dbkit.redaction.outputs import print_error
from dbkit.settings import load


def run(
    verb: Verb, invocation: Invocation, ini: Path, function: Callable[..., int | None], options: tuple[object, ...]
) -> int:
    """Run a verb; one that reads the database, once for each that the project has. Returns the highest exit code."""
    if verb.only_here:
        raise InputError(f"{invocation.verb} is not for this project: {verb.only_here}.")
    hints.for_project(*_options_of(invocation))
    # without a connection, a proof does not depend on it, and Alembic need not be loaded
    keeps, is_gated = (False, False) if verb.is_proof and not verb.connects else _read_gate(ini, invocation.section)
    if verb.is_proof:
        settings = load(ini.parent, ini=ini, dotenv=False, connects=verb.connects and not keeps)
    elif is_gated and not keeps:
        settings = load(ini.parent, ini=ini, warn=True)  # gate.run reads .env, and connects to what that names
    else:
        settings = replace(load(ini.parent, ini=ini, dotenv=False), is_foreign=True)
    settings = replace(
        settings,
        section=invocation.section,
        arguments=invocation.arguments,
        is_foreign=settings.is_foreign or (verb.connects and keeps),
    )
    if verb.database is Database.NONE or not settings.is_foreign:
        return function(settings, ini, *options) or 0
    from dbkit import project  # it loads Alembic
    from dbkit.gate import databases

    loaded = project.load_project(settings)
    settings = replace(settings, wait=settings.wait if verb.waits else 0)
    if verb.database is Database.ONE:
        return function(databases.choose_settings(loaded, settings, invocation.database), ini, *options) or 0
    code = 0
    for number, each in enumerate(databases.list_settings(loaded, settings, invocation.database)):
        if each.database:
            print(f"{chr(10) if number else ''}{each.database}:")
        try:
            code = max(code, function(each, ini, *options) or 0)
        except DbkitError as error:
            if not each.database or invocation.debug:
                raise
            sys.stdout.flush()
            print_error(error)  # the other databases have their sections all the same
            code = max(code, error.exit_code)
    return code


def _read_gate(ini: Path, section: str) -> tuple[bool, bool]:
    """Return whether env.py connects by itself behind the gate, and whether it has any gate."""
    from dbkit.project.alembic_project import find_script_directory  # it loads Alembic

    directory = find_script_directory(ini, section)
    if directory is None:
        return False, False
    return env_file.keeps_connection(directory), env_file.has_gate(directory)


def _options_of(invocation: Invocation) -> list[str]:
    """Return the options that name the project, as they were typed."""
    options = ["-c", invocation.config] if invocation.config else []
    if invocation.section != "alembic":
        options += ["-n", invocation.section]
    return options + [each for argument in invocation.arguments for each in ("-x", argument)]
