"""The progress of backfills, in a table of the database: written by each batch, in the batch's transaction.

The rows of a revision are deleted in the transaction that changes the version table, and the table is dropped when it
is empty. The rows of the command line stay, so that the same command is not executed twice by mistake.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dbkit import journal
from dbkit.backfill.batches import BatchedUpdate, Execute, Key, quote_array, update_sql
from dbkit.database_url import History
from dbkit.errors import InputError, OperatorNeeded, sqlstate_of
from dbkit.postgres.sql_quote import quote_history, quote_ident, quote_literal
from dbkit.redaction import redact
from dbkit.wording import counted

TABLE = "dbkit_backfill"
# Executed with the project's search path, which finds the version table
SCHEMA = """
SELECT pg_catalog.quote_ident(coalesce(
    (SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_class AS c
     JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
     WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass({version_table}::pg_catalog.text)::pg_catalog.oid),
    pg_catalog.current_schema()::pg_catalog.text))"""
CREATE = """\
CREATE TABLE {table} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    revision text,
    statement text NOT NULL,
    end_key text[] NOT NULL,
    last_key text[],
    pass int NOT NULL DEFAULT 1,
    still_matches boolean NOT NULL DEFAULT false,
    rows bigint NOT NULL DEFAULT 0,
    batches bigint NOT NULL DEFAULT 0,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    begun_by text NOT NULL DEFAULT session_user
)"""
# Only one session at a time creates or drops the table
LOCK_KEY = int.from_bytes(hashlib.sha256(TABLE.encode()).digest()[:8], "big", signed=True)
LOCK = f"PERFORM pg_catalog.pg_advisory_xact_lock({LOCK_KEY});"
BEGIN = """
DO $dbkit$
BEGIN
    {lock}
    IF to_regclass({name}) IS NULL THEN
        {create};
    END IF;
    INSERT INTO {table} (revision, statement, end_key) VALUES ({revision}, {statement}, {end_key});
END
$dbkit$"""
END = """
DO $dbkit$
BEGIN
    {lock}
    DELETE FROM {table} WHERE id IN ({ids});
    IF NOT EXISTS (SELECT FROM {table}) THEN
        DROP TABLE {table};
    END IF;
END
$dbkit$"""
READ = """
SELECT id, statement, end_key, last_key, pass, still_matches, rows, batches, ended_at IS NOT NULL, ended_at::text
FROM {table} WHERE revision IS NOT DISTINCT FROM {revision} ORDER BY id"""
# Rows of a revision that was applied, undone, or resolved since, or whose parent was undone since
SETTLED = f"""
DELETE FROM {{table}} AS b WHERE revision IS NOT NULL AND EXISTS (
    SELECT FROM {{journal}} AS j
    WHERE j.ended_at > b.began_at AND j.action <> '{journal.ACCEPT}' AND (
        j.revision = b.revision OR j.action = '{journal.STAMP}'
        OR j.action = '{journal.DOWNGRADE}' AND b.revision = {{revision}} AND j.revision = ANY ({{parents}})))"""  # noqa: S608  # constants


@dataclass(frozen=True)
class ProgressRow:
    """One row of the table: `last_key` is the last key that is done, and `end_key` the last one of this pass."""

    id: int
    statement: str
    end_key: Key
    last_key: Key | None
    pass_number: int
    still_matches: bool
    """Whether a changed row still fulfils the condition."""
    rows: int
    batches: int
    done: bool
    ended_at: str | None


class Progress:
    """The rows of one revision, or of the command line (revision None)."""

    def __init__(
        self,
        execute: Execute,
        execute_own: Execute,
        history: History,
        revision: str | None,
        parents: Sequence[str] = (),
    ) -> None:
        """`execute` runs with the project's search path, `execute_own` with this package's.

        The progress table is beside the version table. `parents` are the revisions right before this one.
        """
        self.execute = execute_own
        if history.schema:
            schema = quote_ident(history.schema)
        else:
            schema = str(execute(SCHEMA.format(version_table=quote_literal(quote_ident(history.table))))[0][0])
        unqualified = History(history.table)
        self.table, self.journal = (f"{schema}.{quote_history(unqualified, name)}" for name in (TABLE, journal.TABLE))
        self.revision = revision
        self.parents = tuple(parents)

    def read_rows(self) -> list[ProgressRow]:
        """Read the rows; those of a revision that was settled in another way since are deleted first."""
        if not self._is_there(self.table):
            return []
        if self._is_there(self.journal):
            settled = {"revision": self._revision(), "parents": quote_array(self.parents)}
            self.execute(SETTLED.format(table=self.table, journal=self.journal, **settled))
        return [_parse_row(values) for values in self.execute(READ.format(table=self.table, revision=self._revision()))]

    def find(self, work: BatchedUpdate) -> ProgressRow | None:
        """Return the row of a backfill; None when it was not begun.

        Raises OperatorNeeded when the revision was interrupted in another backfill of the same table.
        """
        rows = self.read_rows()
        for row in rows:
            if row.statement in (_redacted_statement(work), work.statement):
                return row
            if (
                self.revision is not None
                and not row.done
                and row.statement.startswith(update_sql(work.table, "", None))
            ):
                raise OperatorNeeded(
                    f"{work.table} has {counted(row.rows, 'row')} from a backfill that was interrupted, and was another"
                    f" one: {' '.join(row.statement.split())}",
                    "Restore that backfill in the revision, and run the same command again. Or undo it by hand, then:\n"
                    f'echo "{self._removal(row)}" | make psql',
                )
        return None

    def begin(self, work: BatchedUpdate, end_key: Key) -> ProgressRow:
        """Insert the row of a backfill. Raises InputError where the role may not create the table."""
        statement = BEGIN.format(
            lock=LOCK,
            name=quote_literal(self.table),
            create=CREATE.format(table=self.table),
            table=self.table,
            revision=self._revision(),
            statement=quote_literal(_redacted_statement(work)),
            end_key=quote_array(end_key),
        )
        try:
            self.execute(statement)
        except Exception as error:
            if sqlstate_of(error) != "42501":  # insufficient_privilege
                raise
            raise InputError(
                f"the progress of the backfill cannot be kept: this role may not create {self.table}.",
                "Use the role that migrations have.",
            ) from error
        row = self.find(work)
        if row is None:
            raise OperatorNeeded(f"what was just written to {self.table} is not there.")
        return row

    def condition(self, row: ProgressRow) -> str:
        """Return the condition for the row as it was read, for the batch that changes it."""
        last = f"OPERATOR(pg_catalog.=) {quote_array(row.last_key)}" if row.last_key is not None else "IS NULL"
        return f"id = {row.id} AND last_key {last}"

    def begin_second_pass(self, row: ProgressRow, end_key: Key) -> None:
        """Begin to go over the rows once more, up to `end_key`."""
        self._change(row, f"pass = 2, last_key = NULL, end_key = {quote_array(end_key)}")

    def complete(self, row: ProgressRow) -> None:
        """Mark the backfill as done."""
        self._change(row, "ended_at = clock_timestamp()")

    def delete(self, row: ProgressRow) -> None:
        """Delete the row, so that the same backfill can be started again."""
        self.execute(self._removal(row))

    def delete_statement(self, rows: Sequence[int]) -> str:
        """Return the statement that deletes rows by their ids, and drops the table when it is empty."""
        return END.format(lock=LOCK, table=self.table, ids=", ".join(map(str, rows)))

    def _change(self, row: ProgressRow, assignments: str) -> None:
        self.execute(f"UPDATE {self.table} SET {assignments} WHERE id = {row.id}")  # noqa: S608

    def _removal(self, row: ProgressRow) -> str:
        return f"DELETE FROM {self.table} WHERE id = {row.id}"  # noqa: S608

    def _revision(self) -> str:
        return "NULL" if self.revision is None else quote_literal(self.revision)

    def _is_there(self, table: str) -> bool:
        return bool(self.execute(f"SELECT to_regclass({quote_literal(table)}) IS NOT NULL")[0][0])


def _redacted_statement(work: BatchedUpdate) -> str:
    """Return the statement as it is stored, without secrets, since other roles may read the table."""
    return redact.text(work.statement)


def _parse_row(values: Sequence[Any]) -> ProgressRow:
    identifier_, statement, end_key, last_key, pass_number, still_matches, rows, batches, done, ended_at = values
    return ProgressRow(
        int(identifier_),
        str(statement),
        tuple(end_key),
        None if last_key is None else tuple(last_key),
        int(pass_number),
        bool(still_matches),
        int(rows),
        int(batches),
        bool(done),
        None if ended_at is None else str(ended_at),
    )
