"""Assertions of the project's own on what a revision does: queries that return no row, and functions that do not raise.

They run on the tables with their sample rows, after the upgrade, the downgrade and the second upgrade. Each runs in a
read-only savepoint, which is rolled back.
"""

import itertools
import re
import runpy
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from alembic.script import Script

from dbkit.errors import InputError, describe_error, is_missing_object
from dbkit.findings.verdict import Verdict
from dbkit.postgres.sql_text import SEPARATORS, Kind, Token, split_statements, tokenize
from dbkit.project.revision_source import function_line
from dbkit.project.tracebacks import last_frame_in
from dbkit.redaction import redact
from dbkit.roundtrip.outcome import WHEN, Failure, Finding
from dbkit.roundtrip.results import REVERSIBLE, ProofResult
from dbkit.wording import counted

SUFFIX = "_after"
"""What the name of a file has behind the revision id."""
MARK = re.compile(r"--[ \t]*after:[ \t]*(.*?)[ \t]*$")
PHASES = {"up": ("up", "reup"), "down": ("down",)}
"""By the word of a marker, the phases in which a query runs."""
FUNCTIONS = {"after_upgrade": PHASES["up"], "after_downgrade": PHASES["down"]}
QUERIES = ("select", "with", "values", "table", "(")
"""The first words of a query."""
MARK_HINT = "if it is about what the upgrade makes, write the line `-- after: up` before it"
LONGEST_VALUE, LONGEST_ROW, LONGEST_WORDS = 40, 200, 300


@dataclass(frozen=True)
class Query:
    """A query that must return no row."""

    path: Path
    line: int
    sql: str
    phases: Collection[str]
    """The phases of a proof after which it runs."""

    @property
    def place(self) -> str:
        """Return its file and line."""
        return _place(self.path, self.line)

    def ask(self, connection: "psycopg.Connection[Any]") -> str:
        """Run the query. Returns what is wrong, with the first row; "" where there is none."""
        cursor = connection.cursor()
        cursor.execute(self.sql.encode())
        result = cursor.pgresult
        if not result or not result.ntuples:
            return ""
        # the server's text: Python has no value for some of them, such as a date in the year 20000
        values = ((result.fname(number) or b"", result.get_value(0, number)) for number in range(result.nfields))
        row = ", ".join(f"{name.decode()} = {_display(value)}" for name, value in values)
        first = f"{', the first' if result.ntuples > 1 else ''}: {_shorten(row, LONGEST_ROW)}" if row else ""
        return f"{self.place} returns {counted(result.ntuples, 'row')}{first}"

    def describe_error(self, error: BaseException, phase: str) -> str:
        """Return the server's message, with a hint where the query is about what the downgrade removes."""
        hint = f" ({MARK_HINT})" if phase == "down" and is_missing_object(error) else ""
        return f"{self.place}: {_shorten(describe_error(error), LONGEST_WORDS)}{hint}"


@dataclass(frozen=True)
class Function:
    """A function of Python that must not raise."""

    path: Path
    function: Callable[["psycopg.Connection[Any]"], object]
    phases: Collection[str]
    sql = ""

    def ask(self, connection: "psycopg.Connection[Any]") -> str:
        """Call the function, and return ""."""
        self.function(connection)
        return ""

    def describe_error(self, error: BaseException, phase: str) -> str:
        """Return the message, or the line of the file where there is none."""
        frame = last_frame_in(error, [self.path])
        words = describe_error(error)
        if words == type(error).__name__ and frame and frame.line:
            words = f"{words}: {frame.line}"
        return f"{_place(self.path, frame.lineno if frame else None)}: {_shorten(words, LONGEST_WORDS)}"


Assertion = Query | Function


def is_assertion_file(path: Path, revision: str) -> bool:
    """Whether a file in `samples/` has the assertions of a revision, and no sample rows."""
    return path.stem == f"{revision}{SUFFIX}"


def read_assertions(samples: Path | None, revision: str) -> tuple[Assertion, ...]:
    """Read the assertions of a revision. Raises InputError for a file that is none."""
    if samples is None:
        return ()
    paths = {kind: samples / f"{revision}{SUFFIX}.{kind}" for kind in ("sql", "py")}
    queries = _read_queries(paths["sql"]) if paths["sql"].is_file() else ()
    functions = _read_functions(paths["py"]) if paths["py"].is_file() else ()
    return (*queries, *functions)


def prove_assertions(
    assertions: Collection[Assertion],
    script: Script,
    result: ProofResult,
    *,
    run: Callable[[bool], Failure | None],
    connect: Callable[[], AbstractContextManager["psycopg.Connection[Any]"]],
) -> ProofResult:
    """Return the result of a proof, with a finding for each assertion that does not hold.

    The revision must be applied; it is undone and applied again with `run(up)`, where that has worked before. An
    assertion that does not hold after one step is not asked after the next ones.
    """
    findings: list[Finding] = []
    asked = list(assertions)
    for phase in ("up", "down", "reup") if result.verdict in REVERSIBLE else ("up",):
        error = run(phase == "reup") if phase != "up" else None
        if error:
            findings.append(Finding(phase, failure=error, line=error.line))
            result = replace(result, verdict=Verdict.BROKEN)
            break
        with connect() as connection:
            words = {each: _ask(each, connection, phase) for each in asked if phase in each.phases}
        findings += [_make_finding(each, script, phase, found) for each, found in words.items() if found]
        asked = [each for each in asked if not words.get(each)]
    return replace(result, findings=(*result.findings, *findings))


def _ask(assertion: Assertion, connection: "psycopg.Connection[Any]", phase: str) -> str:
    """Return what is wrong with an assertion, "" where it holds."""
    try:
        with connection.transaction(force_rollback=True):
            connection.cursor().execute("SET LOCAL transaction_read_only = on")
            return assertion.ask(connection)
    except (Exception, SystemExit) as error:  # a function can raise anything
        return assertion.describe_error(error, phase)


def _make_finding(assertion: Assertion, script: Script, phase: str, words: str) -> Finding:
    line = function_line(script, "upgrade" if phase == "up" else "downgrade")
    words = redact.text(f"assertion failed {WHEN[phase]}{words}")
    sql = redact.text(" ".join(assertion.sql.split()))
    return Finding(phase, failure=Failure(words, line, sql, is_assertion=True), line=line)


# Read the files


def _read_queries(path: Path) -> Iterator[Query]:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8: {error}.") from error
    marks = {token.start for token in tokenize(text) if _is_mark(token)}
    statements = list(split_statements(text))
    if not statements:
        raise InputError(f"{path} has no assertion.", "Write a query that must return no row, or remove the file.")
    for tokens in statements:
        leading = list(itertools.takewhile(lambda token: token.kind in SEPARATORS, tokens))
        found = [token for token in leading if _is_mark(token) and _begins_line(text, token.start)]
        marks -= {token.start for token in found}
        rest = tokens[len(leading) :]
        line = _line_of(text, rest[0].start)
        if rest[0].plain not in QUERIES:
            hint = "In Python: `def after_upgrade(connection)`, in a file with the ending .py."
            raise InputError(f"{path}:{line}: {rest[0].text} is no query that could return no row.", hint)
        phases = _read_phases(path, text, found) if found else (*PHASES["up"], *PHASES["down"])
        yield Query(path, line, "".join(token.text for token in rest).strip(), phases)
    if marks:
        line = _line_of(text, min(marks))
        raise InputError(f"{path}:{line}: the comment must be a separate line before a statement.")


def _read_phases(path: Path, text: str, marks: list[Token]) -> Collection[str]:
    words = [match[1] for token in marks if (match := MARK.match(token.text))]
    if len(words) > 1 or words[0] not in PHASES:
        line = _line_of(text, marks[-1].start)
        raise InputError(f"{path}:{line}: one of `-- after: up` and `-- after: down` was expected.")
    return PHASES[words[0]]


def _is_mark(token: Token) -> bool:
    return token.kind == Kind.COMMENT and bool(MARK.match(token.text))


def _begins_line(text: str, position: int) -> bool:
    return not text[text.rfind("\n", 0, position) + 1 : position].strip()


def _line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _read_functions(path: Path) -> Iterator[Function]:
    try:
        found = runpy.run_path(str(path))
    except (Exception, SystemExit) as error:  # a file can raise anything
        raise InputError(f"{path} cannot be loaded: {describe_error(error)}.") from error
    names = [name for name in FUNCTIONS if callable(found.get(name))]
    if not names:
        raise InputError(f"{path} has no function {' or '.join(FUNCTIONS)}.", "Each takes a psycopg connection.")
    for name in names:
        yield Function(path, found[name], FUNCTIONS[name])


# Words


def _place(path: Path, line: int | None) -> str:
    return f"{path.parent.name}/{path.name}{f':{line}' if line else ''}"


def _display(value: bytes | None) -> str:
    """Return a value in one line."""
    if value is None:
        return "NULL"
    text = "".join(each if each.isprintable() else " " for each in value.decode(errors="replace"))
    return _shorten(text, LONGEST_VALUE)


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
