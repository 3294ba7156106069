"""The journal: a table of the database with what was applied, when, by whom, and from which file.

Each migration step writes its row within its own transaction, so that the journal and the version table cannot differ.
A step that leaves its transaction writes a row before it does, and completes it at its end: a row without an end is
that of an interrupted step.
"""

import getpass
import hashlib
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from dbkit import __version__
from dbkit.database_url import History
from dbkit.postgres.own_statements import OwnConnection, place_of
from dbkit.postgres.sql_quote import as_text, quote_history
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
SELECT {{action}}, {{revision}}, {{heads}}::pg_catalog.text[], {{half_applied}}, {{client}}, {{environment}}, {{file}},
    {{sha256}}, CASE WHEN {{ended}} THEN pg_catalog.clock_timestamp() END,
    pg_catalog.concat({{versions}}::pg_catalog.text, pg_catalog.current_setting('server_version'))"""
# times as text, in UTC: the driver cannot read every DateStyle
READ = """
id, revision, action, to_char(began_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), {half_applied}, applied_by, client, file, sha256"""
LATEST = f"""
SELECT DISTINCT ON (revision) {READ}
FROM {{table}} ORDER BY revision, id DESC"""  # noqa: S608  # constants
# A stamp declares where the database is, and so settles the steps that were interrupted before it
NOT_STAMPED_SINCE = f"half_applied AND id > coalesce((SELECT max(id) FROM {{table}} WHERE action = '{STAMP}'), 0)"  # noqa: S608
NEWEST = f"SELECT {READ} FROM {{table}} ORDER BY id DESC LIMIT %s"  # noqa: S608


@dataclass(frozen=True)
class JournalRow:
    """One row of the journal. `ended_at` is None for an interrupted step."""

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
class JournalEntry:
    """One migration step for the journal. `path` is None for a stamp, `environment` "" where it is not known."""

    action: str
    revision: str
    environment: str
    path: Path | None = None
    parents: tuple[str, ...] = ()
    """The revisions right before it, which are undone only after it; not written to the journal."""


def table_exists(connection: psycopg.Connection) -> bool:
    """Whether the database has a journal table."""
    if not place_of(connection).schema:
        return False
    return connection.execute("SELECT to_regclass(%s) IS NOT NULL", [_table_sql(connection)]).fetchone() == (True,)


def _table_sql(connection: psycopg.Connection) -> str:
    """Return the journal table as SQL: it is beside the version table."""
    return as_text(place_of(connection).own_table(TABLE))


def ensure_table(connection: psycopg.Connection) -> None:
    """Create the journal table where it is missing, and commit."""
    # not by IF NOT EXISTS alone, which needs the privilege to create even where the table exists
    if not table_exists(connection):
        for statement in (CREATE, COMMENT):
            connection.execute(statement.format(table=_table_sql(connection)).encode())
    connection.commit()


@dataclass(frozen=True)
class VersionChange:
    """A statement that changes one row of the version table, and its parameters by name."""

    statement: str
    values: dict[str, str]


def record_step(
    connection: OwnConnection,
    entry: JournalEntry,
    heads: Sequence[str],
    change: VersionChange | None = None,
    returning: str = "",
) -> psycopg.Cursor[Any]:
    """Write the row of a finished step, within its transaction; `heads` are the revisions after it.

    With a `change` of the version table both are one statement: either both rows are written, or none. Returns its
    result: the number of rows that were written to the journal, and what the SQL `returning` asks for.
    """
    returning = returning and f" RETURNING {returning}"
    if change is None:
        query, values = _insert_sql(connection), {}
    else:
        query = (
            f"WITH moved AS ({change.statement} RETURNING 1) {_insert_sql(connection)} FROM moved"  # no values in it
        )
        values = change.values
    given = _encode_values(connection, _build_values(entry, heads)) | values
    return connection.execute_qualified(query + returning, given)


def record_begin(connection: psycopg.Connection, entry: JournalEntry, *, half_applied: bool) -> int:
    """Write the row of a step before it leaves its transaction, and return its id."""
    values = _encode_values(connection, _build_values(entry, None)) | {"half_applied": half_applied}
    row = connection.execute(f"{_insert_sql(connection)} RETURNING id".encode(), values).fetchone()
    return int(row[0]) if row else 0


def mark_half_applied(connection: psycopg.Connection, identifier: int) -> None:
    """Record that the step has committed something that stays when it fails."""
    query = f"UPDATE {_table_sql(connection)} SET half_applied = true WHERE id = %s"  # noqa: S608
    connection.execute(query.encode(), [identifier])


def record_end(
    connection: psycopg.Connection, identifier: int, heads: Sequence[str], returning: str = "id"
) -> psycopg.Cursor[Any]:
    """Complete the row of a step that has left its transaction, within its last transaction.

    Returns what the SQL `returning` asks for.
    """
    query = (
        f"UPDATE {_table_sql(connection)} SET ended_at = clock_timestamp(), heads = %s::text[] WHERE id = %s "  # noqa: S608
        f"RETURNING {returning}"
    )
    return connection.execute(query.encode(), [sorted(heads), identifier])


def render_insert(entry: JournalEntry, heads: Sequence[str], history: History) -> str:
    """Return the statement of `record_step` for a script, without what is only known when it runs."""
    values = _build_values(entry, heads) | {"client": None, "environment": None}
    literals = {name: sql.Literal(value) for name, value in values.items()}
    return as_text(sql.SQL(INSERT).format(table=sql.SQL(quote_history(history, TABLE)), **literals))


def read_latest(connection: psycopg.Connection) -> dict[str, JournalRow]:
    """Read the newest row of each revision; empty where there is no journal."""
    if not table_exists(connection):
        return {}
    table = _table_sql(connection)
    query = LATEST.format(table=table, half_applied=NOT_STAMPED_SINCE.format(table=table))
    return {row.revision: row for row in map(_parse_row, connection.execute(query.encode()))}


def read_newest(connection: psycopg.Connection, count: int | None) -> list[JournalRow]:
    """Read the last `count` rows (None: all), newest first; empty where there is no journal."""
    if not table_exists(connection):
        return []
    query = NEWEST.format(table=_table_sql(connection), half_applied="half_applied")
    return [_parse_row(values) for values in connection.execute(query.encode(), [count])]


def _parse_row(values: Sequence[Any]) -> JournalRow:
    identifier, revision, action, began, ended, *rest = values
    began_at, ended_at = (
        datetime.fromisoformat(each).replace(tzinfo=timezone.utc) if each else None for each in (began, ended)
    )
    assert began_at is not None  # noqa: S101  # the column is NOT NULL
    return JournalRow(identifier, revision, action, began_at, ended_at, *rest)


def find_half_applied(rows: Iterable[JournalRow]) -> list[JournalRow]:
    """Return those of the newest rows whose steps were interrupted after a part had been committed."""
    return [row for row in rows if row.ended_at is None and row.half_applied]


def find_edited_files(rows: dict[str, JournalRow], files: Iterable[tuple[str, Path]]) -> list[Path]:
    """Return the files of applied revisions that differ from what was applied."""
    return [
        path
        for revision, path in files
        if (row := rows.get(revision))
        and row.action in (UPGRADE, ACCEPT)
        and row.ended_at is not None
        and row.sha256 is not None
        and path.suffix == ".py"  # bytecode differs each time it is compiled
        and row.sha256 != hash_file(path)
    ]


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's text, regardless of its line ends, which git may change."""
    return hashlib.sha256(path.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def _build_values(entry: JournalEntry, heads: Sequence[str] | None) -> dict[str, Any]:
    """Return the parameters of INSERT; without `heads` the step has not ended yet."""
    return {
        "action": entry.action,
        "revision": entry.revision,
        "heads": None if heads is None else sorted(heads),
        "ended": heads is not None,
        "half_applied": False,
        "client": redact.text(_client_name()),
        "environment": redact.text(entry.environment) or None,
        "file": entry.path.name if entry.path else None,
        "sha256": hash_file(entry.path) if entry.path and entry.path.suffix == ".py" else None,
        "versions": _versions(),
    }


def _encode_values(connection: psycopg.Connection, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values as the database's encoding can store them: other characters are escaped."""
    if connection.info.parameter_status("server_encoding") in ("UTF8", "SQL_ASCII"):
        return values
    return {
        name: value.encode("ascii", "backslashreplace").decode() if isinstance(value, str) else value
        for name, value in values.items()
    }


def _insert_sql(connection: psycopg.Connection) -> str:
    values = {name: f"%({name})s" for name in (*COLUMNS, "ended", "versions")}
    return INSERT.format(table=_table_sql(connection), **values)


@cache
def _client_name() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        user = str(os.geteuid())
    return f"{user}@{socket.gethostname()}"


@cache
def _versions() -> str:
    from alembic import __version__ as alembic_version

    return f"dbkit {__version__}, Alembic {alembic_version}, PostgreSQL "
