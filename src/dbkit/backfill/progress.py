"""How far a backfill has come, in a table of the database: written by each batch, in the batch's transaction.

A revision's rows go in the transaction that moves the version table, and so does the table when it is empty. What was
begun from the command line stays, so that the same command is not done twice by mistake.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dbkit import journal
from dbkit.backfill.batches import Execute, Key, Work, array, update
from dbkit.errors import InputError, OperatorNeeded, sqlstate_of
from dbkit.postgres.sql_quote import quote_literal
from dbkit.redaction import redact
from dbkit.wording import counted

TABLE = "dbkit_backfill"
# The project's search path finds the version table
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
# One at a time makes or drops the table
LOCK_KEY = int.from_bytes(hashlib.sha256(TABLE.encode()).digest()[:8], signed=True)
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
# Of a revision that was applied, undone, or settled by hand since; or that began on top of one that was undone since
SETTLED = f"""
DELETE FROM {{table}} AS b WHERE revision IS NOT NULL AND EXISTS (
    SELECT FROM {{journal}} AS j
    WHERE j.ended_at > b.began_at AND j.action <> '{journal.ACCEPT}' AND (
        j.revision = b.revision OR j.action = '{journal.STAMP}'
        OR j.action = '{journal.DOWNGRADE}' AND b.revision = {{revision}} AND j.revision = ANY ({{parents}})))"""  # noqa: S608  # constants


@dataclass(frozen=True)
class Row:
    """One row of it. `last_key` is the last that is done, of `end_key`, the last there is to do in this pass."""

    id: int
    statement: str
    end_key: Key
    last_key: Key | None
    sweep: int
    still_matches: bool
    """Whether a row that is done fulfils the condition again."""
    rows: int
    batches: int
    done: bool
    ended_at: str | None


class Progress:
    """The rows of one revision, or of the command line (None)."""

    def __init__(
        self,
        execute: Execute,
        execute_own: Execute,
        version_table: str,
        revision: str | None,
        parents: Sequence[str] = (),
    ) -> None:
        """`execute` has the project's search path, `execute_own` runs statements of this package.

        `version_table` as SQL; the table is beside it. `parents` are the revisions right before this one.
        """
        self.execute = execute_own
        schema = str(execute(SCHEMA.format(version_table=quote_literal(version_table)))[0][0])
        self.table = f"{schema}.{TABLE}"
        self.journal = f"{schema}.{journal.TABLE}"
        self.revision = revision
        self.parents = tuple(parents)

    def rows(self) -> list[Row]:
        """What was begun; without what a revision had begun before it was settled in another way."""
        if not self._is_there(self.table):
            return []
        if self._is_there(self.journal):
            settled = {"revision": self._revision(), "parents": array(self.parents)}
            self.execute(SETTLED.format(table=self.table, journal=self.journal, **settled))
        return [_row(values) for values in self.execute(READ.format(table=self.table, revision=self._revision()))]

    def find(self, work: Work) -> Row | None:
        """Where this work stands; None when it was not begun.

        Raises OperatorNeeded when the revision was interrupted in another one, on the same table.
        """
        rows = self.rows()
        for row in rows:
            if row.statement in (_shown(work), work.statement):
                return row
            if self.revision is not None and not row.done and row.statement.startswith(update(work.table, "", None)):
                raise OperatorNeeded(
                    f"{work.table} has {counted(row.rows, 'row')} from a backfill that was interrupted, and was another"
                    f" one: {' '.join(row.statement.split())}",
                    "Let the revision say that again, and run the same command again. Or take it back by hand, then:\n"
                    f'echo "{self._removal(row)}" | make psql',
                )
        return None

    def begin(self, work: Work, end_key: Key) -> Row:
        """Write the first row of this work. Raises InputError for who may not make the table."""
        statement = BEGIN.format(
            lock=LOCK,
            name=quote_literal(self.table),
            create=CREATE.format(table=self.table),
            table=self.table,
            revision=self._revision(),
            statement=quote_literal(_shown(work)),
            end_key=array(end_key),
        )
        try:
            self.execute(statement)
        except Exception as error:
            if sqlstate_of(error) != "42501":  # insufficient_privilege
                raise
            raise InputError(
                f"the progress of the backfill cannot be kept: this user may not make {self.table}.",
                "Use the role that migrations have.",
            ) from error
        row = self.find(work)
        if row is None:
            raise OperatorNeeded(f"what was just written to {self.table} is not there.")
        return row

    def condition(self, row: Row) -> str:
        """The row, as it was read: for a batch, which then moves it."""
        last = f"OPERATOR(pg_catalog.=) {array(row.last_key)}" if row.last_key is not None else "IS NULL"
        return f"id = {row.id} AND last_key {last}"

    def begin_sweep(self, row: Row, end_key: Key) -> None:
        """Go over the rows once more, up to `end_key`."""
        self._change(row, f"pass = 2, last_key = NULL, end_key = {array(end_key)}")

    def end(self, row: Row) -> None:
        """All is done."""
        self._change(row, "ended_at = clock_timestamp()")

    def forget(self, row: Row) -> None:
        """Let the same work be begun anew."""
        self.execute(self._removal(row))

    def forgotten(self, rows: Sequence[int]) -> str:
        """The statement that removes rows, by their ids, and the table with the last one."""
        return END.format(lock=LOCK, table=self.table, ids=", ".join(map(str, rows)))

    def _change(self, row: Row, assignments: str) -> None:
        self.execute(f"UPDATE {self.table} SET {assignments} WHERE id = {row.id}")  # noqa: S608

    def _removal(self, row: Row) -> str:
        return f"DELETE FROM {self.table} WHERE id = {row.id}"  # noqa: S608

    def _revision(self) -> str:
        return "NULL" if self.revision is None else quote_literal(self.revision)

    def _is_there(self, table: str) -> bool:
        return bool(self.execute(f"SELECT to_regclass({quote_literal(table)}) IS NOT NULL")[0][0])


def _shown(work: Work) -> str:
    """The statement as it is written down: others may read the table, so that a password in it is left out."""
    return redact.text(work.statement)


def _row(values: Sequence[Any]) -> Row:
    identifier_, statement, end_key, last_key, sweep, still_matches, rows, batches, done, ended_at = values
    return Row(
        int(identifier_),
        str(statement),
        tuple(end_key),
        None if last_key is None else tuple(last_key),
        int(sweep),
        bool(still_matches),
        int(rows),
        int(batches),
        bool(done),
        None if ended_at is None else str(ended_at),
    )
