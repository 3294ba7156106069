"""What can go wrong, and the exit code of each."""

import sys
from contextlib import suppress

from dbkit.redaction import redact

LOOK = "`make status` shows where the database is."
WAIT_FOR_IT = "Look for long transactions in pg_stat_activity; then run the same command again."
WRITE_FIRST = 'Write the first one: `make revision m="…"`.'


def say(words: str) -> None:
    """Tell people on stderr; when nobody listens any more, go on."""
    with suppress(OSError):
        print(f"dbkit: {redact.text(words)}", file=sys.stderr)


without_secrets = redact.text


class DbkitError(Exception):
    """Something failed that a person can act on.

    The first line says what failed, with the actual value; `hint` says what to type or look at next.
    Both are redacted here, whoever shows them: `__main__` and the gate, pytest, or a caller in Python.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = redact.text(message)
        self.hint = redact.text(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        indented = "".join(f"\n  {line}" for line in self.hint.splitlines())
        return f"dbkit: {self.message}{indented}"


def as_dbkit_error(error: Exception) -> DbkitError:
    """What the operating system or the database said, outside of any migration, in one line."""
    if isinstance(error, DbkitError):
        return error
    if is_lock_timeout(error):
        return lock_error(error)
    if (is_ended := getattr(getattr(error, "orig", None) or error, "is_ended", None)) is not None:
        taken_back = "What it had not committed was taken back. " if is_ended else ""
        return Unreachable(f"{' '.join(str(getattr(error, 'orig', None) or error).split())}.", f"{taken_back}{LOOK}")
    words = without_secrets(" ".join(str(getattr(error, "orig", None) or error).split()))
    return CheckFailed(f"{words or type(error).__name__}", "--debug (for alembic: --raiseerr) shows where.")


def is_lock_timeout(error: BaseException | None) -> bool:
    """Whether a lock that others hold was not granted in time."""
    return sqlstate_of(error) == "55P03"


def lock_error(error: BaseException | None, before: str = "") -> "LockNotGranted":
    """The error of who gave up waiting for a lock, with who holds it, where that was seen (`bounded`)."""
    original = error
    while error is not None:
        original = getattr(error, "orig", None) or error
        if sentence := getattr(original, "sentence", ""):
            return LockNotGranted(f"{before}{sentence}", str(getattr(original, "hint", "")))
        error = error.__cause__ or error.__context__
    words = " ".join(str(original).split("\n", 1)[0].split())
    return LockNotGranted(f"{before}a lock that others hold was not granted: {words}.", WAIT_FOR_IT)


def database_error(error: BaseException, message: str, hint: str) -> "DbkitError":
    """The error of what the server refused: LockNotGranted for a lock that others hold, else CheckFailed."""
    return lock_error(error) if is_lock_timeout(error) else CheckFailed(message, hint)


def sqlstate_of(error: BaseException | None) -> str:
    """The server's code for an error, or for the one that it came from; "" when it is not the server's."""
    while error is not None:
        original = getattr(error, "orig", None) or error
        # psycopg2 has another name for it
        state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
        if state:
            return str(state)
        error = error.__cause__ or error.__context__
    return ""


class CheckFailed(DbkitError):
    """A check found something, or a migration failed."""


class InputError(DbkitError):
    """A bad argument, setting or project file."""

    exit_code = 2


class Refused(DbkitError):
    """Protection said no: the database is not marked as one that may lose data."""

    exit_code = 3


class Unreachable(DbkitError):
    """The server did not answer, or did not accept the credentials."""

    exit_code = 4


class LockNotGranted(DbkitError):
    """Others kept the migration lock, or a lock on a table, for longer than MIGRATION_WAIT; nothing was done."""

    exit_code = 5


class OperatorNeeded(DbkitError):
    """Something that no transaction could undo was left half done; running it again may do it twice."""

    exit_code = 6


class DatabaseAhead(DbkitError):
    """The database is at a revision that this code does not have."""

    exit_code = 7


class Interrupted(DbkitError):
    """A signal ended it: 130 after Ctrl-C, 143 after SIGTERM."""

    def __init__(self, message: str, exit_code: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


class EnvInterrupt(BaseException):
    """Base of what dbkit raises to end a project's own code: a migration's function, or a run of env.py.

    dbkit cannot return a value through code that belongs to the project, and this code may catch Exception: a
    migration that tolerates a failed statement, an env.py that logs errors and goes on. Only a BaseException reaches
    dbkit's own frames on the other side, and rolls back Alembic's transaction on its way. Everywhere else dbkit
    returns what happened. The subclasses are LeavesTransaction (roundtrip/transaction_guard.py), EnvRunStopped
    (roundtrip/in_transaction.py) and TraceFailed (trace/records.py); each is caught in the room that raises it.
    """
