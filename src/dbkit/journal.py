"""What was applied to a database: when, by whom, and which file; in a table of that database.

Each step of a migration writes its row within its own transaction, so that the journal and the version table cannot
say different things. A step that leaves its transaction writes a row before it does, and completes it at its end: a
row without an end is one that was interrupted.
"""

import getpass
import hashlib
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from dbkit import __version__
from dbkit.postgres.own_statements import place_of
from dbkit.redaction import redact

TABLE = "dbkit_journal"
UPGRADE, DOWNGRADE, STAMP, ACCEPT, RESOLVE = "upgrade", "downgrade", "stamp", "accept", "resolve"

CREATE = """\
CREATE TABLE IF NOT EXISTS {table} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    action text NOT NULL,
    revision text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    heads text[],
    half_applied boolean NOT NULL DEFAULT false,
    applied_by text NOT NULL DEFAULT session_user,
    client text,
    environment text,
    file text,
    sha256 text,
    versions text
)"""
COMMENT = "COMMENT ON TABLE {table} IS 'Migrations that were applied, one row for each step; written by dbkit.'"
COLUMNS = ("action", "revision", "heads", "half_applied", "client", "environment", "file", "sha256")
INSERT = f"""\
INSERT INTO {{table}} ({", ".join(COLUMNS)}, ended_at, versions)
SELECT {{action}}, {{revision}}, {{heads}}::text[], {{half_applied}}, {{client}}, {{environment}}, {{file}}, {{sha256}},
    CASE WHEN {{ended}} THEN clock_timestamp() END, {{versions}} || current_setting('server_version')"""
# A stamp says where the database is, and so settles what was interrupted before it
# as text, in UTC: the driver cannot read each DateStyle
READ = """
id, revision, action, to_char(began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), {half_applied}, applied_by, client, file, sha256"""
LATEST = f"""
SELECT DISTINCT ON (revision) {READ}
FROM {{table}} ORDER BY revision, id DESC"""  # noqa: S608  # constants
NOT_STAMPED_SINCE = f"half_applied AND id > coalesce((SELECT max(id) FROM {{table}} WHERE action = '{STAMP}'), 0)"  # noqa: S608
NEWEST = f"SELECT {READ} FROM {{table}} ORDER BY id DESC LIMIT %s"  # noqa: S608


@dataclass(frozen=True)
class Row:
    """One row of the journal. `ended_at` is None for what was interrupted."""

    id: int
    revision: str
    action: str
    began_at: datetime
    ended_at: datetime | None
    half_applied: bool
    applied_by: str
    client: str | None
    file: str | None
    sha256: str | None


@dataclass(frozen=True)
class Step:
    """What the journal is told of one step. `path` is None for a stamp; `environment` is "" when nothing says."""

    action: str
    revision: str
    environment: str
    path: Path | None = None
    parents: tuple[str, ...] = ()
    """The revisions that come right before, which are undone only after it. Not written down."""


def exists(connection: psycopg.Connection) -> bool:
    """Whether the database has a journal."""
    if not place_of(connection).schema:
        return False
    return connection.execute("SELECT to_regclass(%s) IS NOT NULL", [_table(connection)]).fetchone() == (True,)


def _table(connection: psycopg.Connection) -> str:
    """The journal as SQL: it is beside the version table."""
    return place_of(connection).table(TABLE).as_string()


def ensure(connection: psycopg.Connection) -> None:
    """Create the table where it is missing, and commit."""
    # not by IF NOT EXISTS alone: that asks for the right to create also where nothing is to be created
    if not exists(connection):
        for statement in (CREATE, COMMENT):
            connection.execute(statement.format(table=_table(connection)).encode())
    connection.commit()


@dataclass(frozen=True)
class Move:
    """A statement that changes one row of the version table, with its values by name."""

    statement: str
    values: dict[str, str]


def write(connection: psycopg.Connection, step: Step, heads: Sequence[str], move: Move | None = None) -> int:
    """Write the row of a step that is done, within its transaction. `heads` is what the version table then says.

    With a `move` both are one statement: without the one row, there is not the other. Returns how many were written.
    """
    if move is None:
        return connection.execute(_insert(connection).encode(), _storable(connection, _values(step, heads))).rowcount
    query = f"WITH moved AS ({move.statement} RETURNING 1) {_insert(connection)} FROM moved"  # no values in it
    return connection.execute(query.encode(), _storable(connection, _values(step, heads)) | move.values).rowcount


def begin(connection: psycopg.Connection, step: Step, *, half_applied: bool) -> int:
    """Write the row of a step that is about to leave its transaction, and return its id."""
    values = _storable(connection, _values(step, None)) | {"half_applied": half_applied}
    row = connection.execute(f"{_insert(connection)} RETURNING id".encode(), values).fetchone()
    return int(row[0]) if row else 0


def mark_half_applied(connection: psycopg.Connection, identifier: int) -> None:
    """Say that the step has done something that stays when it fails."""
    query = f"UPDATE {_table(connection)} SET half_applied = true WHERE id = %s"  # noqa: S608
    connection.execute(query.encode(), [identifier])


def end(connection: psycopg.Connection, identifier: int, heads: Sequence[str]) -> None:
    """Complete the row of a step that has left its transaction, within its last one."""
    query = f"UPDATE {_table(connection)} SET ended_at = clock_timestamp(), heads = %s::text[] WHERE id = %s"  # noqa: S608
    connection.execute(query.encode(), [sorted(heads), identifier])


def as_sql(step: Step, heads: Sequence[str]) -> str:
    """The statement that `write` runs, for a script; from where and on what it will be run is not known yet."""
    values = _values(step, heads) | {"client": None, "environment": None}
    literals = {name: sql.Literal(value) for name, value in values.items()}
    return sql.SQL(INSERT).format(table=sql.SQL(TABLE), **literals).as_string()


def latest(connection: psycopg.Connection) -> dict[str, Row]:
    """The newest row of each revision; empty where there is no journal."""
    if not exists(connection):
        return {}
    table = _table(connection)
    query = LATEST.format(table=table, half_applied=NOT_STAMPED_SINCE.format(table=table))
    return {row.revision: row for row in map(_row, connection.execute(query.encode()))}


def newest(connection: psycopg.Connection, count: int | None) -> list[Row]:
    """The last `count` rows (None: all), newest first; empty where there is no journal."""
    if not exists(connection):
        return []
    query = NEWEST.format(table=_table(connection), half_applied="half_applied")
    return [_row(values) for values in connection.execute(query.encode(), [count])]


def _row(values: Sequence[Any]) -> Row:
    identifier, revision, action, began, ended, *rest = values
    began_at, ended_at = (datetime.fromisoformat(each).replace(tzinfo=UTC) if each else None for each in (began, ended))
    assert began_at is not None  # noqa: S101  # the column is NOT NULL
    return Row(identifier, revision, action, began_at, ended_at, *rest)


def half_applied(rows: Iterable[Row]) -> list[Row]:
    """Of the newest rows, those of revisions that were interrupted after something had been committed."""
    return [row for row in rows if row.ended_at is None and row.half_applied]


def edited(rows: dict[str, Row], files: Iterable[tuple[str, Path]]) -> list[Path]:
    """Of the files of applied revisions, those that differ from what was applied."""
    return [
        path
        for revision, path in files
        if (row := rows.get(revision))
        and row.action in (UPGRADE, ACCEPT)
        and row.ended_at is not None
        and row.sha256 is not None
        and path.suffix == ".py"  # bytecode is another one whenever it is made
        and row.sha256 != sha256_of(path)
    ]


def sha256_of(path: Path) -> str:
    """Of the file's text, whatever its line ends are: git may change those."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def _values(step: Step, heads: Sequence[str] | None) -> dict[str, Any]:
    """What INSERT takes; without `heads` the step is not done yet."""
    return {
        "action": step.action,
        "revision": step.revision,
        "heads": None if heads is None else sorted(heads),
        "ended": heads is not None,
        "half_applied": False,
        "client": redact.text(_client()),
        "environment": redact.text(step.environment) or None,
        "file": step.path.name if step.path else None,
        "sha256": sha256_of(step.path) if step.path and step.path.suffix == ".py" else None,
        "versions": _versions(),
    }


def _storable(connection: psycopg.Connection, values: dict[str, Any]) -> dict[str, Any]:
    """The values as a database of another encoding can keep them: a name that it has no letters for gets escapes."""
    if connection.info.parameter_status("server_encoding") in ("UTF8", "SQL_ASCII"):
        return values
    return {
        name: value.encode("ascii", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in values.items()
    }


def _insert(connection: psycopg.Connection) -> str:
    values = {name: f"%({name})s" for name in (*COLUMNS, "ended", "versions")}
    return INSERT.format(table=_table(connection), **values)


@cache
def _client() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        user = str(os.geteuid())
    return f"{user}@{socket.gethostname()}"


@cache
def _versions() -> str:
    from alembic import __version__ as alembic_version

    return f"dbkit {__version__}, Alembic {alembic_version}, PostgreSQL "
