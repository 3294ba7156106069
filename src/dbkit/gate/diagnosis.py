"""The state of the database after a run, read from a second connection, and the error that describes a failed run."""

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
from dbkit.gate.step_state import StepState, half_applied_hint
from dbkit.journal import DOWNGRADE
from dbkit.postgres import error_causes
from dbkit.postgres.abort_watch import WENT_ON, was_caught
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

FIX_MIGRATION = "Fix the migration, then run the same command again."
WAIT_FOR_SERVER = "When the server is back, run the same command again."
RUN_AGAIN = "Run the same command again."
# admin_shutdown and the like, connection exceptions: https://www.postgresql.org/docs/18/errcodes-appendix.html
CONNECTION_LOST = ("08", "57P")
HINTS = {
    "57014": "Do it in smaller steps, or raise MIGRATION_STATEMENT_TIMEOUT. Then run the same command again.",
    "53100": "Free some space on the server's disk, then run the same command again.",
    "55P03": "Another session holds a lock on the table: look for long transactions in pg_stat_activity, or set\n"
    "MIGRATION_LOCK_BUDGET higher. Then run the same command again.",
}


@dataclass(frozen=True)
class DatabaseState:
    """The revisions and the invalid indexes of a database."""

    heads: tuple[str, ...]
    invalid: dict[str, str]
    """Its invalid indexes: full name to short name."""
    hint: str = ""
    """What to do about the error that came before, as far as the database shows it."""


@dataclass(frozen=True)
class UnknownState:
    """Why the state of a database could not be read after a failure."""

    reason: str


def read_state(connection: psycopg.Connection) -> DatabaseState:
    """Read the revisions and the invalid indexes, and end the transaction."""
    state = DatabaseState(current_revisions(connection), read_invalid_indexes(connection))
    connection.rollback()
    return state


def read_invalid_indexes(connection: psycopg.Connection) -> dict[str, str]:
    """Return the invalid indexes that no session is building: full name to short name."""
    return dict(connection.execute(INVALID_INDEXES).fetchall())


def connect_beside(
    target: Target, wait: float, close_first: Callable[[], None], *, is_alone: bool, **options: Any
) -> BoundedConnection:
    """Connect beside the migration connection; where no second one is allowed, close that with `close_first`.

    `is_alone` where that is known of its pooler, which would let the second one wait.
    """
    if is_alone:
        close_first()
    try:
        return connect(target, wait, waits_for_room=False, **options)
    except NoRoom:
        close_first()
        return connect(target, wait, **options)


def read_state_after_failure(
    target: Target,
    settings: Settings,
    error: BaseException,
    close_first: Callable[[], None],
    migration_connection: BoundedConnection,
) -> DatabaseState | UnknownState:
    """Read the state over a new connection, with a hint for `error`.

    When the migration connection is lost, its session in the server is ended first, so that a COMMIT which is still on
    its way changes nothing afterwards.
    """
    wait = min(settings.wait, PATIENCE)
    lost = migration_connection
    try:
        with connect_beside(
            target, wait, close_first, is_alone=lost.is_alone and not lost.closed, progress=_ignore_progress
        ) as connection:
            if lost.closed and not end_migration_session(connection, target, lost.server_pid):
                return UnknownState(f"backend {lost.server_pid} still works for the connection that was lost")
            return replace(read_state(connection), hint=error_causes.hint_for(connection, error, target.dbname))
    except NoRoom:
        return UnknownState("the server has no connection left to read its state with")
    except psycopg.errors.LockNotAvailable as waiting:
        return UnknownState(lock_error(waiting).message.rstrip("."))
    except (DbkitError, psycopg.OperationalError):
        return UnknownState("the server does not answer")
    except psycopg.Error as failed:
        return UnknownState(error_text(failed))


def require_heads(state: DatabaseState, heads: Collection[str]) -> None:
    """Raise CheckFailed when a run has ended without an error, and the database is not at `heads`."""
    if set(state.heads) != set(heads):
        raise CheckFailed(
            f"no error was raised, but the database is at {_join(state.heads)} and not at {_join(heads)}: something "
            "has rolled back what was applied.",
            "`python -m dbkit log` shows what was recorded, and `make check` finds commits by hand.",
        )


def find_concerned_indexes(invalid: dict[str, str], before: Collection[str], statements: Sequence[str]) -> list[str]:
    """Return the invalid indexes that are new, or that a statement of this run names.

    An index that was invalid before is named by a statement such as CREATE INDEX IF NOT EXISTS, which leaves it so.
    """
    text = "\n".join(statements)
    return [
        full
        for full, short in invalid.items()
        if full not in before or re.search(rf"(?<!\w){re.escape(short)}(?!\w)", text)
    ]


def find_unrepaired_indexes(indexes: Sequence[str], invalid: dict[str, str], statements: Sequence[str]) -> list[str]:
    """Return those of the invalid indexes that the migration does not drop itself before it creates them."""
    text = "\n".join(statements)
    return [
        full for full in indexes if not re.search(rf"(?i)\bdrop\s+index\b[^;\n]*\b{re.escape(invalid[full])}\b", text)
    ]


def invalid_index_error(indexes: Sequence[str], message: str) -> OperatorNeeded:
    """Return the error for invalid indexes, which cost writes and neither speed up a query nor enforce anything."""
    drops = "\n".join(f'echo "DROP INDEX CONCURRENTLY IF EXISTS {index}" | make psql' for index in indexes)
    return OperatorNeeded(
        message,
        f"Drop it, and create it again without IF NOT EXISTS:\n{drops}",
    )


def find_error_place(error: BaseException, path: Path | None) -> str:
    """Return the file and line of the migration in which an error was raised."""
    if path is None:
        return "its stamp"
    line = line_in(error, path)
    return f"{path.name}:{line}" if line else path.name


def error_text(error: BaseException) -> str:
    """Return an error in one line, without secrets."""
    if isinstance(error, sa.exc.PendingRollbackError) and error.__context__ is not None:
        error = error.__context__  # what Alembic did to leave an autocommit_block() hides why it was left
    if isinstance(error, DbkitError):
        return error.message
    if isinstance(error, sa.exc.DBAPIError):
        redact.learn_from(error.statement or "")
    original, text = original_error(error), describe_error(error)
    if isinstance(error, sa.exc.DBAPIError | psycopg.Error):
        note = WENT_ON if was_caught(error) else getattr(original, "locked", "")
        return f"{text} ({note})" if note else text
    name = type(original).__name__
    return text if text == name else f"{name}: {text}"


def failure_error(
    error: BaseException, step: StepState, state: DatabaseState | UnknownState, invalid: Sequence[str]
) -> DbkitError:
    """Return the error of a step that failed or was interrupted: cause, last committed revision, whether to retry.

    `invalid` are the invalid indexes that the step leaves.
    """
    entry = step.entry
    place = find_error_place(error, entry.path)
    name = f"{entry.action} of {entry.revision}"
    if _was_interrupted(error):
        message = f"interrupted in the {name}, at {place}"
    else:
        message = f"{name} failed, at {place}: {error_text(error)}".rstrip(".")
    if isinstance(state, UnknownState):
        text = f"{message}; {state.reason}, so what was committed is not known."
        return _make_error(error, text, WAIT_FOR_SERVER, Unreachable)
    at = f"the database is at {_join(state.heads)}"
    if entry.path and (entry.revision in state.heads) != (entry.action == DOWNGRADE):
        return _make_error(error, f"{message}; but it was committed: {at}, and it is safe to run again.", RUN_AGAIN)
    if invalid:
        return invalid_index_error(
            invalid, f"{message}; {at}, with the invalid index {', '.join(invalid)}: not safe to run again."
        )
    if step.half_applied:
        return OperatorNeeded(
            f"{message}; {at}, but a part of it was committed: not safe to run again.", half_applied_hint(entry)
        )
    remains = "what it has committed can be done again" if step.left_transaction else "nothing of it was kept"
    hint = _hint_for(error, state)
    return _make_error(error, f"{message}; {remains}, {at}, and it is safe to run again.", hint)


def _hint_for(error: BaseException, state: DatabaseState) -> str:
    """Return what to do about a step of which nothing remains that cannot be done again."""
    lost = sqlstate_of(error).startswith(CONNECTION_LOST) or "server closed the connection" in error_text(error)
    if lost or _was_interrupted(error):
        return RUN_AGAIN
    own = error.hint if isinstance(error, DbkitError) else ""
    return own or state.hint or HINTS.get(sqlstate_of(error), FIX_MIGRATION)


def run_error(error: Exception, state: DatabaseState | UnknownState) -> DbkitError:
    """Return the error of a run that failed or was interrupted while no migration was running."""
    text = "interrupted" if _was_interrupted(error) else error_text(error).rstrip(".")
    if isinstance(state, UnknownState):
        reason = "" if state.reason in text else f"{state.reason}, but "
        return _make_error(error, f"{text}; {reason}no migration was running.", WAIT_FOR_SERVER, Unreachable)
    at = f"the database is at {_join(state.heads)}"
    hint = RUN_AGAIN if _was_interrupted(error) else state.hint or "--debug (for alembic: --raiseerr) shows where."
    return _make_error(error, f"{text}; no migration was running, {at}, and it is safe to run again.", hint)


def _was_interrupted(error: BaseException) -> bool:
    """Whether a signal is the cause, and not the error that followed on a connection left in the middle."""
    return isinstance(error, KeyboardInterrupt) or bool(signals.received)


def _make_error(error: BaseException, message: str, hint: str, kind: type[DbkitError] = CheckFailed) -> DbkitError:
    if _was_interrupted(error):
        return Interrupted(message, signals.exit_code(), hint)
    return kind(message, hint)


def _join(heads: Collection[str]) -> str:
    return " and ".join(sorted(heads)) or "base (nothing is applied)"


def _ignore_progress(*_arguments: object) -> None:
    """Report nothing while waiting: the failure is reported first."""
