"""`dbkit log`, `accept`, `resolve` and `mark`: what is recorded in the database itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from dbkit import gate, journal, project
from dbkit.errors import InputError, describe_error
from dbkit.gate import protection
from dbkit.postgres.connect import connect, current_revisions
from dbkit.postgres.locks import migration_lock, require_writable
from dbkit.project.config import read_config
from dbkit.settings import Settings


def log(settings: Settings, ini: Path, count: str) -> None:
    """Print what was applied, newest first; `count` rows, or `all`."""
    if not (count == "all" or (count.isdecimal() and 0 < int(count) < 10**9)):
        raise InputError(f"{count!r} is not a number of lines.", "Write a number, or all.")
    loaded = project.load(ini)
    with connect(gate.target_of(settings), settings.wait) as connection:
        rows = journal.newest(connection, None if count == "all" else int(count))
        latest = journal.latest(connection)
    if not rows:
        print("Nothing is recorded yet.")
        return
    files = [(script.revision, Path(script.path)) for script in loaded.script.walk_revisions()]
    current = {row.id for row in latest.values()}
    edited = {path.name for path in journal.edited(latest, files)}
    for row in rows:
        print(_line(loaded, row, is_edited=row.id in current and row.file in edited))


def _line(loaded: project.Project, row: journal.Row, *, is_edited: bool) -> str:
    script = project.find(loaded.script, row.revision)
    name = project.name_of(script) if script else row.revision
    if row.ended_at is None:
        took = "not finished, a part was committed" if row.half_applied else "not finished"
    else:
        took = f"{(row.ended_at - row.began_at).total_seconds():.3f} s"
    client = f" from {row.client}" if row.client else ""
    edited = "; edited since" if is_edited else ""
    return f"{row.began_at:%Y-%m-%d %H:%M:%S%z}  {row.action:<9}  {name}  {took}, by {row.applied_by}{client}{edited}"


def accept(settings: Settings, ini: Path, revision: str) -> None:
    """Record that the file of an applied revision may be as it is now: its edit changes nothing that runs."""
    script = project.load(ini).revision(revision)
    with _locked(settings) as connection:
        step = journal.Step(journal.ACCEPT, script.revision, settings.app_env, Path(script.path))
        journal.write(connection, step, current_revisions(connection))
        connection.commit()
    print(f"The file of {project.name_of(script)} is accepted as it is.")


def resolve(settings: Settings, _ini: Path, revision: str) -> None:
    """Record that a step which was interrupted has been taken back by hand. Raises InputError when none was."""
    with _locked(settings) as connection:
        row = journal.latest(connection).get(revision)
        if row is None or row.ended_at is not None:
            raise InputError(f"{revision} was not interrupted.", "`python -m dbkit log` shows what was.")
        step = journal.Step(journal.RESOLVE, revision, settings.app_env)
        journal.write(connection, step, current_revisions(connection))
        connection.commit()
    print(f"{revision} counts as taken back. Run the same command again.")


@contextmanager
def _locked(settings: Settings) -> Iterator[psycopg.Connection]:
    """A connection to a database that has a journal, while no migration runs."""
    if not read_config(settings.root / "alembic.ini").journal:
        raise InputError("this project keeps no journal: see [dbkit] in alembic.ini.", "So nothing is recorded.")
    target = gate.target_of(settings)
    with (
        connect(target, settings.wait) as connection,
        migration_lock(connection, target.dbname, settings.wait),
    ):
        journal.ensure(connection)
        yield connection


def mark(settings: Settings, _ini: Path, environment: str | None = None) -> None:
    """Print which environment the database says it is, or make it say so.

    Raises Refused when it is protected so far and would not be any more, without CONFIRM.
    """
    target = gate.target_of(settings)
    with connect(target, settings.wait) as connection:
        before = protection.recorded(connection)
        if environment is None:
            print(before or "The database does not say what it is.")
            return
        require_writable(connection)
        name = environment.strip()
        if not name or not name.isprintable():
            raise InputError(
                f"{environment!r} is not the name of an environment.", "Such as development, or production."
            )
        if name in protection.EXPENDABLE and before not in (None, *protection.EXPENDABLE):
            protection.refuse_unless_expendable(settings, target, "take the protection from", before, has_history=True)
        try:
            protection.record(connection, name)
        except psycopg.errors.InsufficientPrivilege as error:
            raise InputError(
                f"cannot mark the database: {describe_error(error, primary=True)}.",
                "The owner of the version table can.",
            ) from error
        connection.commit()
    print(f'"{target.dbname}" is marked {name}.')
