"""`dbkit mark`: show or set the environment mark of the database."""

from dataclasses import dataclass
from pathlib import Path

import psycopg

from dbkit import gate
from dbkit.errors import InputError
from dbkit.gate import protection
from dbkit.postgres.connect import connect
from dbkit.postgres.locks import require_writable
from dbkit.settings import Settings


@dataclass(frozen=True)
class MarkOptions:
    """Options of `dbkit mark`."""

    environment: str | None


def mark(settings: Settings, _ini: Path, options: MarkOptions) -> None:
    """Print the environment mark, or set it to `environment`.

    Raises Refused, without CONFIRM, for a mark that would remove the protection of the database.
    """
    environment = options.environment
    target = gate.resolve_target(settings)
    with connect(target, settings.wait) as connection:
        before = protection.read_mark(connection)
        if environment is None:
            print(before or "The database has no environment mark.")
            return
        require_writable(connection)
        name = environment.strip()
        if not name or not name.isprintable():
            raise InputError(
                f"{environment!r} is not the name of an environment.", "Such as development, or production."
            )
        if name in protection.EXPENDABLE and before not in (None, *protection.EXPENDABLE):
            protection.require_expendable(settings, target, "take the protection from", before, has_history=True)
        try:
            protection.write_mark(connection, name)
        except psycopg.errors.InsufficientPrivilege as error:
            raise InputError(
                f"cannot mark the database: {error.diag.message_primary}.", "The owner of the version table can."
            ) from error
        connection.commit()
    print(f'"{target.dbname}" is marked {name}.')
