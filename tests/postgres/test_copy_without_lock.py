"""A row that another session commits between the copy of a table and the swap is lost, and lint reports the swap."""

from pathlib import Path

import psycopg
import pytest

from dbkit.settings import Target
from support.lint_findings import advice_on, engine_of
from support.sessions import connect_as_project as connect

COPY = ("CREATE TABLE plain_new (code text PRIMARY KEY, v bigint)", "INSERT INTO plain_new SELECT code, v FROM plain")
SWAP = ("DROP TABLE plain", "ALTER TABLE plain_new RENAME TO plain")
LOCK = "LOCK TABLE plain IN SHARE ROW EXCLUSIVE MODE"
OLD = "CREATE TABLE plain (code text PRIMARY KEY, v int); INSERT INTO plain VALUES ('before', 1)"


def read_codes(database: Target) -> list[str]:
    """Return the keys in the table, as any other session sees them."""
    with connect(database, autocommit=True) as session:
        return [code for (code,) in session.execute("SELECT code FROM plain ORDER BY code")]


@pytest.mark.parametrize("is_locked", [False, True])
def test_a_row_committed_between_copy_and_swap_is_lost_unless_it_had_to_wait(database: Target, is_locked: bool) -> None:
    with connect(database, autocommit=True) as writer, connect(database) as migration:
        writer.execute(OLD.encode())
        for statement in (*([LOCK] if is_locked else []), *COPY):
            migration.execute(statement.encode())
        writer.execute("SET lock_timeout = '100ms'")
        if is_locked:
            with pytest.raises(psycopg.errors.LockNotAvailable):
                writer.execute("INSERT INTO plain VALUES ('meanwhile', 2)")
        else:
            writer.execute("INSERT INTO plain VALUES ('meanwhile', 2)")
            assert read_codes(database) == ["before", "meanwhile"]
        for statement in SWAP:
            migration.execute(statement.encode())
        migration.commit()
    # the row was committed, and no error told that it is gone
    assert read_codes(database) == ["before"]


@pytest.mark.parametrize("is_locked", [False, True])
def test_lint_reports_the_swap_where_a_row_can_be_lost(database: Target, tmp_path: Path, is_locked: bool) -> None:
    engine = engine_of(database)
    with engine.begin() as connection:
        connection.exec_driver_sql(OLD)
    sql = (*([LOCK] if is_locked else []), *COPY, *SWAP)
    text = "def upgrade():\n" + "".join(f"    op.execute({each!r})\n" for each in sql)
    ids = {each.id for each in advice_on(engine, tmp_path / "revision.py", text)}
    assert ("copy-without-lock" in ids) is not is_locked
    assert ("lock-kept-during-data-change" in ids) is is_locked
