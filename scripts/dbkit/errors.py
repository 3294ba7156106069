"""What can go wrong, and the exit code of each."""

import sys
from contextlib import suppress

from dbkit import redact

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
    words = without_secrets(" ".join(str(getattr(error, "orig", None) or error).split()))
    return CheckFailed(f"{words or type(error).__name__}", "--debug (for alembic: --raiseerr) shows where.")


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
    """Another process kept the migration lock for longer than MIGRATION_WAIT."""

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
