"""Describe why a migration step failed, and classify its error by the possible causes."""

import dis
import re
import traceback
from collections.abc import Iterable
from types import FunctionType

import sqlalchemy as sa
from alembic.script import Script

from dbkit.errors import describe_error, original_error, sqlstate_of
from dbkit.postgres.abort_watch import WENT_ON, was_caught
from dbkit.postgres.sql_text import plain_statements
from dbkit.project import initial
from dbkit.project.revision_source import is_bytecode, raise_lines
from dbkit.project.tracebacks import line_in
from dbkit.redaction import redact
from dbkit.roundtrip.alembic_steps import NoDowngrade
from dbkit.roundtrip.outcome import Failure

USED_IN_OTHER_DATABASE = re.compile(r'role "[^"]*" cannot be dropped because .* objects? in database')
EXTENSION_HINT = "(Prove it on a server that has it: --server URL; or set PG_BINDIR to the programs of one.)"
ADDRESS = re.compile(r"\bat 0x[0-9a-f]+\b")
"""Where an object was in memory, which is another place in each run."""
LONGEST_WORDS = 300
ABOUT_NAMES = ("42", "2B")
"""Classes of errors about names, and about what depends on an object."""
NEVER_SENT = (sa.exc.CompileError, sa.exc.ArgumentError)
"""SQLAlchemy's errors about a statement that it could not make: a constraint to drop has no name, for instance."""
WITHOUT_ROWS = re.compile(
    r"\s*(?:create|alter|drop|comment|grant|revoke|set|reset)\b(?!.*\b(?:select|with|execute|values)\b)", re.DOTALL
)
"""Statements, in their plain form, from which a migration learns nothing about rows, as long as they succeed."""


def describe_failure(error: BaseException, script: Script) -> Failure:
    """Return what a migration raised: the message, the line of the file, the SQL, and whether the file raised it."""
    path = _name_in_traceback(script)
    line = line_in(error, path)
    sql = _sql(error)  # before the message, which may repeat a part of it
    words = _message(error)
    is_elsewhere = bool(USED_IN_OTHER_DATABASE.search(words))
    if is_elsewhere:
        words = f"not proven, because a clone of the database is on the same server: {words}"
    if len(words) > LONGEST_WORDS:  # it may contain a value
        words = f"{words[:LONGEST_WORDS]}…"
    if was_caught(error):
        words = f"{words} ({WENT_ON})"
    if hint := initial.hint_for(error, script):
        words = f"{words} ({hint.rstrip('.')})"
    is_intended = isinstance(error, NoDowngrade) or _is_raised_by(error, script, path, line)
    return Failure(words, line, sql, is_intended, is_elsewhere, sqlstate_of(error))


def _message(error: BaseException) -> str:
    kind = type(original_error(error)).__name__
    words = ADDRESS.sub("at 0x…", describe_error(error))
    if not isinstance(error, sa.exc.DBAPIError | NoDowngrade) and words != kind:
        words = f"{kind}: {words}"
    if re.search(r'extension "[^"]*" is not available', words):
        words = f"{words} {EXTENSION_HINT}"
    return words


def _sql(error: BaseException) -> str:
    statement = error.statement if isinstance(error, sa.exc.DBAPIError) else None
    return redact.text(" ".join((statement or "").split()))


def _is_raised_by(error: BaseException, script: Script, path: str, line: int | None) -> bool:
    """Whether a `raise` statement of the revision file itself raised the error."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    if not last or last[0].filename != path:
        return False
    return _ends_in_raise(error) if is_bytecode(script.path) else line in raise_lines(path)


def _name_in_traceback(script: Script) -> str:
    """Return what a traceback calls the file: bytecode has the name of the source that it was compiled from."""
    functions = (getattr(script.module, name, None) for name in ("upgrade", "downgrade"))
    names = [function.__code__.co_filename for function in functions if isinstance(function, FunctionType)]
    return names[0] if names and is_bytecode(script.path) else str(script.path)


def _ends_in_raise(error: BaseException) -> bool:
    """Whether the bytecode that raised the error is that of a `raise` statement."""
    *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "RAISE_VARARGS"


def fails_without_transaction(error: BaseException, *, on_rows: bool = False) -> bool:
    """Whether a step would have failed without the transaction around it, too.

    True for what the server refuses because of names or of what depends on an object (SQLSTATE classes 42 and 2B:
    https://www.postgresql.org/docs/18/errcodes-appendix.html), and for what Python raised, or SQLAlchemy before it sent
    anything. False for a table, cursor or prepared statement that already exists: it may be a temporary one, of the
    same session. `on_rows`: tables have rows, so it may also be a value (class 22) or a constraint (23).
    """
    if isinstance(error, sa.exc.DBAPIError):
        state = sqlstate_of(error)
        classes = (*ABOUT_NAMES, "22", "23") if on_rows else ABOUT_NAMES
        return state[:2] in classes and state not in ("42P03", "42P05", "42P07", "42723")
    return isinstance(error, Exception) and (
        isinstance(error, NEVER_SENT) or not isinstance(error, sa.exc.SQLAlchemyError)
    )


def fails_whatever_rows(error: BaseException, statements: Iterable[str]) -> bool:
    """Whether a function would have failed with other rows, or none, too: it has executed only these statements.

    True where Python raised, or the server refuses names or what depends on an object, and no statement has read rows.
    """
    executed = [*statements]
    if isinstance(error, sa.exc.DBAPIError):
        if sqlstate_of(error)[:2] not in ABOUT_NAMES:
            return False
        executed.append(error.statement or "")
    parts = (part for each in executed for part in plain_statements(each))
    return isinstance(error, Exception) and all(map(WITHOUT_ROWS.match, parts))
