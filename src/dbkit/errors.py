"""The errors of dbkit with their exit codes, and the wording of errors of others, which never contains a secret."""

import re
import sys
from collections.abc import Iterator
from contextlib import suppress

from dbkit import hints
from dbkit.redaction import redact

STATUS_HINT = "`make status` shows where the database is."
LOCK_HINT = "Look for long transactions in pg_stat_activity; then run the same command again."
WRITE_FIRST = 'Write the first one: `make revision m="…"`.'


said: list[str] = []
"""What this process has printed to stderr for people."""


def say(words: str) -> None:
    """Print a message to stderr, without secrets. A closed stderr is no error."""
    said.append(words)
    with suppress(OSError):
        print(f"dbkit: {redact.text(hints.render(words))}", file=sys.stderr)


class DbkitError(Exception):
    """A failure that the user can act on.

    The message names what failed, with the actual value; `hint` is the next command, or what to check. Both are without
    secrets, for every caller: `__main__`, the gate, pytest, or a program.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = redact.text(hints.render(message))
        self.hint = redact.text(hints.render(hint))
        super().__init__(self.message)

    def __str__(self) -> str:
        indented = "".join(f"\n  {line}" for line in self.hint.splitlines())
        return f"dbkit: {self.message}{indented}"


def as_dbkit_error(error: Exception) -> DbkitError:
    """The error for an exception of the operating system or the database outside of any migration."""
    if isinstance(error, DbkitError):
        return error
    if is_lock_timeout(error):
        return lock_error(error)
    if (is_ended := getattr(original_error(error), "is_ended", None)) is not None:
        rolled_back = "Its uncommitted work was rolled back. " if is_ended else ""
        return Unreachable(f"{describe_error(error)}.", f"{rolled_back}{STATUS_HINT}")
    return CheckFailed(describe_error(error), "--debug (for alembic: --raiseerr) shows where.")


def original_error(error: BaseException) -> BaseException:
    """The driver's exception in an exception of SQLAlchemy; any other as it is."""
    return getattr(error, "orig", None) or error


def describe_error(error: BaseException, *, primary: bool = False) -> str:
    """Describe an exception in one line, without secrets and without the server's excerpt of the statement.

    With `primary`, of a server's error only the primary message, without DETAIL, HINT and CONTEXT.
    """
    original = original_error(error)
    diagnostics = getattr(original, "diag", None)
    message = getattr(diagnostics, "message_primary", None) if primary else None
    text = redact.text(" ".join((message or str(original)).split()))
    text = re.sub(r"^<class '[\w.]+'>: ", "", text)  # SQLAlchemy's adapter of asyncpg
    if hasattr(original, "sqlstate") or hasattr(original, "pgcode"):
        text = re.sub(r" LINE \d+: .*", "", text)
    return text or type(original).__name__


def describe_login_error(error: BaseException) -> str:
    """Describe why a login failed, in the words of the server or libpq, in one line with a full stop."""
    lines = str(error).strip().splitlines()
    line = redact.text(lines[0]) if lines else type(error).__name__
    for lead in ("FATAL:", "failed: "):
        if lead in line:
            line = line.rsplit(lead, 1)[1]
    return line.strip().rstrip(".") + "."


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, what caused it, and so on; each once: `raise error from error` makes an error its own cause."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def is_lock_timeout(error: BaseException | None) -> bool:
    """Whether a lock was not granted in time, because another session holds it."""
    return sqlstate_of(error) == "55P03"


def is_missing_object(error: BaseException | None) -> bool:
    """Whether a statement names a table, column, type, function or schema that does not exist."""
    return sqlstate_of(error) in ("42P01", "42703", "42704", "42883", "3F000")


def lock_error(error: BaseException | None, before: str = "") -> "LockNotGranted":
    """The error for a lock that was not granted, with its holder where BoundedConnection has found it."""
    original = error
    for each in causes(error):
        original = original_error(each)
        if sentence := getattr(original, "sentence", ""):
            return LockNotGranted(f"{before}{sentence}", str(getattr(original, "hint", "")))
    reason = describe_error(original, primary=True) if original else ""
    return LockNotGranted(f"{before}a lock that another session holds was not granted: {reason}.", LOCK_HINT)


def database_error(error: BaseException, message: str, hint: str) -> "DbkitError":
    """LockNotGranted for a lock that another session holds, else CheckFailed with this message."""
    return lock_error(error) if is_lock_timeout(error) else CheckFailed(message, hint)


def sqlstate_of(error: BaseException | None) -> str:
    """The SQLSTATE of an error, or of the one that caused it; "" where neither is the server's."""
    for each in causes(error):
        original = original_error(each)
        # psycopg2 has another name for the attribute
        state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
        if state:
            return str(state)
    return ""


class CheckFailed(DbkitError):
    """A check has findings, or a migration failed."""


class InputError(DbkitError):
    """A bad argument, setting or project file."""

    exit_code = 2


class Refused(DbkitError):
    """Protection refused: the database is not marked as one that may lose data."""

    exit_code = 3


class Unreachable(DbkitError):
    """The server did not answer, or did not accept the credentials."""

    exit_code = 4


class LockNotGranted(DbkitError):
    """Another session held the migration lock, or a lock on a table, longer than MIGRATION_WAIT; nothing was done."""

    exit_code = 5


class OperatorNeeded(DbkitError):
    """A step without a transaction was left half done; to run it again may do it twice."""

    exit_code = 6


class DatabaseAhead(DbkitError):
    """The database is at a revision that this code does not have."""

    exit_code = 7


class Interrupted(DbkitError):
    """A signal ended the command: 130 after Ctrl-C, 143 after SIGTERM."""

    def __init__(self, message: str, exit_code: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


class EnvInterrupt(BaseException):
    """Base of what dbkit raises to end a project's own code: a migration's function, or a run of env.py.

    dbkit cannot return a value through code that belongs to the project, and this code may catch Exception: a
    migration that tolerates a failed statement, an env.py that logs errors and goes on. Only a BaseException reaches
    dbkit's own frames on the other side, and rolls back Alembic's transaction on its way. Everywhere else dbkit
    returns what happened. The subclasses are LeavesTransaction (roundtrip/transaction_guard.py), EnvRunStopped
    (roundtrip/revision_proof.py) and TraceFailed (trace/records.py); the round trip catches all three.
    """
