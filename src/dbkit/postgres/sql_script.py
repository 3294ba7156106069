"""Run a script that is written for psql, such as a dump by pg_dump, without psql: statements, and the data of COPY."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from dbkit.errors import InputError, describe_error
from dbkit.postgres.sql_text import SEPARATORS, Token, plain, split_statements

COPIES_IN = re.compile(r"copy\b.*\bfrom stdin\b")
END_OF_DATA = re.compile(r"^\\\.\r?$", re.MULTILINE)
IGNORED = ("restrict", "unrestrict", "set", "unset", "echo", "qecho", "warn", "pset", "timing", "encoding", "q")
"""Commands of psql that change nothing in the database."""
MAKES_ROLE = re.compile(r"create (?:role|user|group)\b(?! mapping)")
SETS = re.compile(r"(?:set|reset)\b")
MAKES_SCHEMA = re.compile(r"create schema\b")
MISSING_ROLE = re.compile(r'role "([^"]+)" does not exist')
# https://www.postgresql.org/docs/18/errcodes-appendix.html
DUPLICATE_OBJECT, DUPLICATE_SCHEMA, UNDEFINED_OBJECT, UNIQUE_VIOLATION = "42710", "42P06", "42704", "23505"


@dataclass(frozen=True)
class Step:
    """One statement of a script, with the data of a COPY."""

    text: str
    line: int
    data: str | None = None


def split_script(text: str) -> Iterator[Step]:
    """Yield the statements of a script. Raises ValueError, with the line, for a command of psql that is not ignored."""
    position = 0
    while position < len(text):
        for tokens in split_statements(text, position):
            start = _start(tokens)
            line = text.count("\n", 0, start) + 1
            end = tokens[-1].start + len(tokens[-1].text)
            if text[start] == "\\":
                position = _skip_command(text, start, line)
                break
            statement = text[start:end]
            if COPIES_IN.match(plain(statement)):
                begin = text.find("\n", end) + 1
                found = END_OF_DATA.search(text, begin) if begin else None
                if found is None:
                    raise ValueError(f"line {line}: the data of this COPY have no end, a line with \\.")
                yield Step(statement, line, text[begin : found.start()])
                position = found.end()
                break
            yield Step(statement, line)
        else:
            return


def _start(tokens: list[Token]) -> int:
    """Return where a statement begins, after comments."""
    return next(token.start for token in tokens if token.kind not in SEPARATORS)


def _skip_command(text: str, start: int, line: int) -> int:
    """Return the end of a line with a command of psql."""
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    name = re.match(r"\\(\w*|[!?])", text[start:end])
    if not name or name[1] not in IGNORED:
        raise ValueError(f"line {line} has a command of psql: {text[start:end].strip()[:60]}")
    return end


def run_script(connection: psycopg.Connection, path: Path) -> None:
    """Run a script over a connection in autocommit, as psql does. Raises InputError, with the line, for an error.

    A role that exists already is kept, since roles belong to the server.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8.", "Write it with pg_dump --encoding=UTF8.") from error
    try:
        for step in split_script(text):
            try:
                run_step(connection, step)
            except psycopg.Error as error:
                if not _may_fail(step, error):
                    raise _step_error(path, step, error) from error
    except ValueError as error:
        raise InputError(
            f"{path}, {error}.", "It is not run by psql: leave out what connects, or reads another file."
        ) from error


def run_step(connection: psycopg.Connection, step: Step) -> None:
    """Run a statement to the letter, with its data."""
    cursor = psycopg.Cursor(connection)
    if step.data is None:
        cursor.execute(step.text.encode())
        return
    with cursor.copy(step.text.encode()) as copy:
        copy.write(step.data)


def _may_fail(step: Step, error: psycopg.Error) -> bool:
    """Whether psql would go on for good reason: the role is there, or a setting is that of a newer server."""
    text, state = plain(step.text), error.sqlstate
    if MAKES_ROLE.match(text):
        return state in (DUPLICATE_OBJECT, UNIQUE_VIOLATION)
    if MAKES_SCHEMA.match(text):
        return state == DUPLICATE_SCHEMA and 'schema "public"' in str(error)
    return state == UNDEFINED_OBJECT and bool(SETS.match(text))


def _step_error(path: Path, step: Step, error: psycopg.Error) -> InputError:
    words = describe_error(error, primary=True)
    role = MISSING_ROLE.search(words)
    hint = ""
    if role:
        hint = (
            f'Make it in the file, before this line: CREATE ROLE "{role[1]}"; or leave owners and grants out of the '
            "dump:\npg_dump --no-owner --no-privileges."
        )
    elif "extension" in words and "not available" in words:
        hint = "Its files are not installed with this server: --server URL, or PG_BINDIR, names one that has it."
    return InputError(f"{path}, line {step.line}: {words}.", hint)
