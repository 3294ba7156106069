"""The queries of a preflight as a script for psql, which another person runs, and that person's answers."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbkit.database_url import History
from dbkit.errors import InputError
from dbkit.postgres.own_statements import SETTINGS, project_session
from dbkit.postgres.sql_quote import quote_history, quote_literal
from dbkit.preconditions.ask import keys_query
from dbkit.preflight.ask import Answer, Limits, Status
from dbkit.preflight.outcome import PendingRevision, PreflightOutcome, Question

COLUMNS = ("precondition", "rows", "first_keys")
POSITION = "current"
"""The name of the row with the revisions that the database is at."""
TAGS = ("BEGIN", "COMMIT", "ROLLBACK", "SET")
COMMAND = 'psql -X -q --csv -f preflight.sql "postgresql://…" > answers.csv'
HINT = f"It must be what this prints: {COMMAND}"
NO_ANSWER = "the file has no answer to it: its query has failed, or was not run"
HEAD = """\
-- What the pending migrations ask of the rows of a database that is at {position}.
-- Each query is read-only, has a time limit, and takes no lock but ACCESS SHARE. To run it:
--   {command}
-- An answer that does not come in time is left out of the file. To judge the answers:
--   dbkit preflight --answers answers.csv
"""


@dataclass(frozen=True)
class Answers:
    """The answers of a file."""

    path: Path
    current: tuple[str, ...] | None
    """The revisions of the database; None where the file does not have them."""
    by_id: Mapping[str, Answer]


def render_script(outcome: PreflightOutcome, limits: Limits, history: History) -> str:
    """Render the queries of all preconditions that a database can be asked now."""
    position = ", ".join(outcome.current) or "base"
    limited = {
        "statement_timeout": f"{limits.statement_timeout * 1000:.0f}",
        "lock_timeout": f"{limits.lock_timeout * 1000:.0f}",
        "max_parallel_workers_per_gather": "0",
        "default_transaction_read_only": "on",
    }
    parts = [
        HEAD.format(position=position, command=COMMAND),
        _set(limited),
        _set(project_session(history)),
        _transaction(_select_position(history)),  # with the search path of the project
        _set(SETTINGS),
        *(_render_revision(each) for each in outcome.revisions),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts if part)


def _set(settings: Mapping[str, str]) -> str:
    values = {name: value if name == "search_path" else quote_literal(value) for name, value in settings.items()}
    return "\n".join(f"SET {name} = {value};" for name, value in values.items())


def _select_position(history: History) -> str:
    keys = "pg_catalog.json_agg(version_num)"
    columns = f"'{POSITION}' AS precondition, pg_catalog.count(*) AS rows, {keys} AS first_keys"
    return f"SELECT {columns} FROM {quote_history(history)}"  # noqa: S608


def _render_revision(revision: PendingRevision) -> str:
    lines = [f"-- {_one_line(revision.name)}"] if revision.questions else []
    for each in revision.questions:
        lines.append(f"-- {each.place}: {_one_line(each.precondition.words)}")
        if each.later:
            lines.append(f"--   {'later' if not each.is_asked else 'not final'}: {_one_line(each.later)}")
        if each.is_asked:
            lines.append(_transaction(_select_answer(each)))
    return "\n".join(lines)


def _select_answer(question: Question) -> str:
    """Return one SELECT, which counts the rows only where there are some."""
    precondition = question.precondition
    first = f"SELECT pg_catalog.json_agg(first.key) AS keys FROM ({keys_query(precondition)}) AS first"  # noqa: S608  # its own query
    rows = f"CASE WHEN found.keys IS NULL THEN 0 ELSE ({precondition.count_query()}) END"
    columns = f"{quote_literal(question.id)} AS precondition, {rows} AS rows, found.keys AS first_keys"
    return f"SELECT {columns} FROM ({first}) AS found"  # noqa: S608


def _transaction(query: str) -> str:
    return f"BEGIN TRANSACTION READ ONLY;\n{query};\nCOMMIT;"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def read_answers(path: Path) -> Answers:
    """Read the result of the script: CSV, with a header before each row. Raises InputError for another file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}", HINT) from error
    found: dict[str, Answer] = {}
    current = None
    reader = csv.reader(io.StringIO(text))
    for row in reader:
        if not row or tuple(row) == COLUMNS or (len(row) == 1 and row[0] in TAGS):
            continue
        try:
            identifier, count, keys = row
            answer = _read_answer(int(count), json.loads(keys or "[]"))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path}, line {reader.line_num}, is not an answer.", HINT) from error
        if identifier in found or (identifier == POSITION and current is not None):
            raise InputError(f"{path}, line {reader.line_num}, is a second answer to {identifier}.", HINT)
        if identifier == POSITION:
            current = tuple(sorted(answer.keys))
        else:
            found[identifier] = answer
    if current is None and not found:
        raise InputError(f"{path} has no answers.", HINT)
    return Answers(path, current, found)


def _read_answer(count: int, keys: object) -> Answer:
    """Return an answer. Raises ValueError for rows without keys, and for keys without rows."""
    if not isinstance(keys, list) or count < len(keys) or bool(count) != bool(keys):
        raise ValueError
    return Answer(Status.VIOLATED if count else Status.HOLDS, count, tuple(map(str, keys)))


def find_answer(question: Question, answers: Answers) -> Answer:
    """Return the answer to a question."""
    return answers.by_id.get(question.id, Answer(Status.UNKNOWN, reason=NO_ANSWER))


def require_same_queries(questions: Sequence[Question], answers: Answers) -> None:
    """Raise InputError where an answer is to another query than those of the questions."""
    ids, places = {each.id for each in questions}, {each.place: each.id for each in questions}
    for identifier in answers.by_id:
        if identifier in ids:
            continue
        place = identifier.rpartition("-")[0]
        asked = f"the query of {place} is now {places[place]}" if place in places else "there is no such precondition"
        raise InputError(
            f"{answers.path} answers {identifier}, but {asked}.",
            "The migrations have changed since the script was written. Write it again: dbkit preflight --sql",
        )


def require_same_position(start: str, answers: Answers) -> None:
    """Raise InputError where the answers are of a database at another revision than --from names."""
    if answers.current is None:
        return
    is_same = (
        len(answers.current) == 1 and answers.current[0].startswith(start) if start != "base" else not answers.current
    )
    if not is_same:
        there = ", ".join(answers.current) or "base"
        raise InputError(
            f"{answers.path} has the answers of a database at {there}, not at {start}.", "Leave --from out."
        )
