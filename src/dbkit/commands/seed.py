"""`dbkit seed`: add the example rows of seed.sql to the development database."""

import time
from pathlib import Path

import psycopg

from dbkit import gate, project
from dbkit.errors import InputError, database_error, describe_error
from dbkit.gate import alembic_command, protection
from dbkit.postgres.connect import connect
from dbkit.postgres.locks import require_writable
from dbkit.postgres.own_statements import Session, change_settings
from dbkit.settings import Settings
from dbkit.wording import counted


def seed(settings: Settings, ini: Path) -> None:
    """Run `seed.sql`, beside the directory of the migrations, in one transaction."""
    loaded = project.load_project(settings)
    path = Path(loaded.script.dir).parent / "seed.sql"
    if not path.exists():
        raise InputError(f"there is no {path}.", "Write one: INSERT statements that can be repeated.")
    target = gate.resolve_target(settings)
    protection.require_expendable_target(settings, target, "add sample rows to")
    if loaded.pending(alembic_command.read_position(loaded, settings)):
        raise InputError("the database is not at the head.", "Bring it there first: `make migrate`.")
    started = time.monotonic()
    with connect(target, settings.wait, session=Session.SHARED) as connection:
        require_writable(connection)
        # as long as a migration's: what the role has is for the application, and not for 50,000 rows
        change_settings(connection, {"statement_timeout": f"{round(settings.statement_timeout * 1000)}"}, local=True)
        try:
            rows = _run(connection, path.read_text(encoding="utf-8"))
        except psycopg.Error as error:
            words = describe_error(error, primary=True)
            raise database_error(error, f"{path} failed: {words}.", "No row of it was kept.") from error
    print(f"{counted(rows, 'row')} added in {time.monotonic() - started:.1f} s.")


def _run(connection: psycopg.Connection, script: str) -> int:
    """Run a script of several statements and return the number of rows that they wrote."""
    cursor = connection.cursor().execute(script.encode())
    rows = max(cursor.rowcount, 0)
    while cursor.nextset():
        rows += max(cursor.rowcount, 0)
    return rows
