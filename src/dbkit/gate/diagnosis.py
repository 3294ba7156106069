"""What is true after a run, seen from a connection of its own; and after a failure, the sentence that says so."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from dbkit import signals
from dbkit.errors import (
    CheckFailed,
    DbkitError,
    Interrupted,
    OperatorNeeded,
    Unreachable,
    describe_error,
    lock_error,
    original_error,
    sqlstate_of,
)
from dbkit.journal import DOWNGRADE, Step
from dbkit.postgres import error_causes
from dbkit.postgres.bounded_connection import BoundedConnection
from dbkit.postgres.connect import NoRoom, connect, current_revisions
from dbkit.postgres.locks import end_migration_session
from dbkit.project.tracebacks import line_in
from dbkit.redaction import redact
from dbkit.settings import Settings, Target

PATIENCE = 5.0  # seconds to wait for a server that has just dropped our connection
INVALID_INDEXES = """
SELECT format('%I.%I', n.nspname, c.relname), c.relname
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i'
    AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS p WHERE p.index_relid = i.indexrelid)
ORDER BY 1"""

MEND = "Mend the migration, then run the same command again."
LOST = "When the server is back, run the same command again."
AGAIN = "Run the same command again."
# admin_shutdown and the like, connection exceptions: https://www.postgresql.org/docs/18/errcodes-appendix.html
CONNECTION_LOST = ("08", "57P")
CAUSES = {
    "57014": "Do it in smaller steps, or raise MIGRATION_STATEMENT_TIMEOUT. Then run the same command again.",
    "53100": "Free some space on the server's disk, then run the same command again.",
    "55P03": "Somebody uses the table for long: look for long transactions in pg_stat_activity, or set\n"
    "MIGRATION_LOCK_BUDGET higher. Then run the same command again.",
}


@dataclass(frozen=True)
class DatabaseState:
    """Where a database is. `invalid` are its invalid indexes, by their full name, with the short one."""

    heads: tuple[str, ...]
    invalid: dict[str, str]
    hint: str = ""
    """What to do about the error that came before, as far as the database says."""


def look(connection: psycopg.Connection) -> DatabaseState:
    """Read where the database is, and end the transaction."""
    standing = DatabaseState(current_revisions(connection), invalid_indexes(connection))
    connection.rollback()
    return standing


def flush(connection: psycopg.Connection) -> None:
    """Make durable what was committed before, on any connection."""
    # a commit that waits for the log only does so when it has written something
    connection.execute("SELECT pg_logical_emit_message(true, 'dbkit', 'flush')")
    connection.commit()


def invalid_indexes(connection: psycopg.Connection) -> dict[str, str]:
    """The invalid indexes that nobody is building just now: full name to short name."""
    return dict(connection.execute(INVALID_INDEXES).fetchall())


def fresh(target: Target, wait: float, make_room: Callable[[], None], **options: Any) -> BoundedConnection:
    """A connection beside the migration's; where there may be no second one, `make_room` closes that first."""
    try:
        return connect(target, wait, waits_for_room=False, **options)
    except NoRoom:
        make_room()
        return connect(target, wait, **options)


def look_again(
    target: Target,
    settings: Settings,
    error: BaseException,
    make_room: Callable[[], None],
    lost: BoundedConnection | None = None,
) -> DatabaseState | str:
    """Read it over a fresh connection, and what to do about `error`.

    `lost` is the migration's connection: when it is closed, its session in the server is ended first, so that a COMMIT
    which is still on its way changes nothing afterwards. Returns why not, when it cannot be read within a few seconds.
    """
    try:
        with fresh(target, min(settings.wait, PATIENCE), make_room, progress=_quietly) as connection:
            if (
                lost is not None
                and lost.closed
                and not end_migration_session(connection, target.dbname, lost.server_pid)
            ):
                return f"backend {lost.server_pid} still works for the connection that was lost"
            return replace(look(connection), hint=error_causes.hint_for(connection, error, target.dbname))
    except NoRoom:
        return "there is no connection left to look with"
    except psycopg.errors.LockNotAvailable as held:
        return lock_error(held).message.rstrip(".")
    except (DbkitError, psycopg.OperationalError):
        return "the server does not answer"
    except psycopg.Error as error:
        return error_text(error)


def require_done(standing: DatabaseState, heads: Collection[str]) -> None:
    """Raise CheckFailed when a run has ended without an error, and the database is not where it should be then."""
    if set(standing.heads) != set(heads):
        raise CheckFailed(
            f"no error came, but the database is at {_names(standing.heads)} and not at {_names(heads)}: something has "
            "rolled back what was applied.",
            "`python -m dbkit log` shows what was recorded, and `make check` looks for commits by hand.",
        )


def new_or_named(invalid: dict[str, str], before: Collection[str], statements: Sequence[str]) -> list[str]:
    """Of the invalid indexes, those that this run has to do with: new ones, and those that its statements name.

    An index that was invalid before is named by a statement such as CREATE INDEX IF NOT EXISTS, which leaves it so.
    """
    text = "\n".join(statements)
    return [
        full
        for full, short in invalid.items()
        if full not in before or re.search(rf"(?<!\w){re.escape(short)}(?!\w)", text)
    ]


def not_repaired(indexes: Sequence[str], invalid: dict[str, str], statements: Sequence[str]) -> list[str]:
    """Of the invalid indexes, those that the migration does not drop itself before it creates them."""
    text = "\n".join(statements)
    return [
        full for full in indexes if not re.search(rf"(?i)\bdrop\s+index\b[^;\n]*\b{re.escape(invalid[full])}\b", text)
    ]


def left_invalid(indexes: Sequence[str], message: str) -> OperatorNeeded:
    """The error for indexes that are there and not valid: they cost writes, answer no query, enforce nothing."""
    drops = "\n".join(f'echo "DROP INDEX CONCURRENTLY IF EXISTS {index}" | make psql' for index in indexes)
    return OperatorNeeded(
        message,
        f"Drop it, and create it again without IF NOT EXISTS:\n{drops}",
    )


def place_of(error: BaseException, path: Path | None) -> str:
    """File and line in the migration that an error came from."""
    if path is None:
        return "its stamp"
    line = line_in(error, path)
    return f"{path.name}:{line}" if line else path.name


def error_text(error: BaseException) -> str:
    """What went wrong, in one line."""
    if isinstance(error, sa.exc.PendingRollbackError) and error.__context__ is not None:
        error = error.__context__  # what Alembic did to leave an autocommit_block() hides why it was left
    if isinstance(error, DbkitError):
        return error.message
    if isinstance(error, sa.exc.DBAPIError):
        redact.learn_from(error.statement or "")
    original, words = original_error(error), describe_error(error)
    if isinstance(error, sa.exc.DBAPIError | psycopg.Error):
        locked = getattr(original, "locked", "")
        return f"{words} ({locked})" if locked else words
    name = type(original).__name__
    return words if words == name else f"{name}: {words}"


def failure_error(
    error: BaseException,
    step: Step,
    standing: DatabaseState | str,
    *,
    left: bool,
    half_applied: bool,
    invalid: Sequence[str],
) -> DbkitError:
    """The error of a step that failed or was interrupted: cause, last committed revision, whether to run it again.

    `left` says that it has left its transaction, `half_applied` that something stays which cannot simply be done again.
    """
    place = place_of(error, step.path)
    begin = f"{step.action} of {step.revision}"
    if _was_interrupted(error):
        message = f"interrupted in the {begin}, at {place}"
    else:
        message = f"{begin} failed, at {place}: {error_text(error)}"
    message = message.rstrip(".")
    if isinstance(standing, str):
        return _exit_of(error, f"{message}; {standing}, so what was committed is not known.", LOST, Unreachable)
    at = f"the database is at {_names(standing.heads)}"
    if step.path and (step.revision in standing.heads) != (step.action == DOWNGRADE):
        return _exit_of(error, f"{message}; but it was committed: {at}, and it is safe to run again.", AGAIN)
    if invalid:
        return left_invalid(
            invalid, f"{message}; {at}, with the invalid index {', '.join(invalid)}: not safe to run again."
        )
    if half_applied:
        return OperatorNeeded(
            f"{message}; {at}, but a part of it was committed: not safe to run again.", half_hint(step)
        )
    lost = sqlstate_of(error).startswith(CONNECTION_LOST) or "server closed the connection" in error_text(error)
    own = error.hint if isinstance(error, DbkitError) else ""
    hint = AGAIN if lost or _was_interrupted(error) else own or standing.hint or CAUSES.get(sqlstate_of(error), MEND)
    kept = "what it has committed can be done again" if left else "nothing of it was kept"
    return _exit_of(error, f"{message}; {kept}, {at}, and it is safe to run again.", hint)


def outside_error(error: Exception, standing: DatabaseState | str) -> DbkitError:
    """The error of a run that failed or was interrupted while no migration was running."""
    words = "interrupted" if _was_interrupted(error) else error_text(error).rstrip(".")
    if isinstance(standing, str):
        why = "" if standing in words else f"{standing}, but "
        return _exit_of(error, f"{words}; {why}no migration was running.", LOST, Unreachable)
    at = f"the database is at {_names(standing.heads)}"
    hint = AGAIN if _was_interrupted(error) else standing.hint or "--debug (for alembic: --raiseerr) shows where."
    return _exit_of(error, f"{words}; no migration was running, {at}, and it is safe to run again.", hint)


def half_hint(step: Step) -> str:
    """What to do with a revision of which a part was committed."""
    before, after = ("after", "before") if step.action == DOWNGRADE else ("before", "after")
    return (
        f"Look at what it has done. Either take that back by hand, so that the database is as {before}\n"
        f"{step.revision}, say: python -m dbkit resolve {step.revision}\nand run the same command again. "
        f"Or finish it by hand, so that the database is as {after} it,\nand say where it is: alembic stamp REV"
    )


def _was_interrupted(error: BaseException) -> bool:
    """Whether a signal is the cause; what then fails on a connection that was left in the middle is not."""
    return isinstance(error, KeyboardInterrupt) or bool(signals.received)


def _exit_of(error: BaseException, message: str, hint: str, kind: type[DbkitError] = CheckFailed) -> DbkitError:
    if _was_interrupted(error):
        return Interrupted(message, signals.exit_code(), hint)
    return kind(message, hint)


def _names(heads: Collection[str]) -> str:
    return " and ".join(sorted(heads)) or "base (nothing is applied)"


def _quietly(*_arguments: object) -> None:
    """Say nothing while waiting: the failure is told first."""
