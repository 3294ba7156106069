"""The answers of a preflight as text for people."""

from collections.abc import Iterator

from dbkit.preconditions.precondition import Precondition
from dbkit.preflight.ask import Answer, Status
from dbkit.preflight.outcome import PendingRevision, PreflightOutcome, Question, TouchedRows
from dbkit.reports.paths import display_path
from dbkit.wording import counted

FIRST_DIGITS = 2
"""How many digits of an estimate are shown."""
GATE = "; with preflight = on in [dbkit], the gate asks what is later again, just before its step"
VERBS = {"update": "updates", "delete": "deletes", "insert": "inserts", "merge": "merges"}


def render(outcome: PreflightOutcome) -> str:
    """Render each pending revision, and a summary."""
    return "\n".join([*(line for each in outcome.revisions for line in _revision_lines(each)), summarize(outcome)])


def summarize(outcome: PreflightOutcome) -> str:
    """Return one line with counts."""
    place = f"{outcome.database or 'the database'}, at {', '.join(outcome.current) or 'base'}"
    if not outcome.revisions:
        return f"Nothing is pending on {place}."
    counts = {status: outcome.count(status) for status in Status}
    parts = [f"{counts[status]} {status}" for status in Status if counts[status]] or ["no preconditions"]
    asked = counted(len(outcome.revisions), "pending migration")
    failing = [each.revision for each in outcome.revisions if each.count(Status.VIOLATED)]
    verdict = f"; {failing[0]} will fail" if failing else ""
    again = GATE if counts[Status.LATER] else ""
    return f"{asked} on {place}: {', '.join(parts)}{verdict}{again}."


def _revision_lines(revision: PendingRevision) -> Iterator[str]:
    if not (revision.questions or revision.statements or revision.problem):
        yield f"{revision.name}: asks nothing of the rows"
        return
    yield f"{revision.name}{': will fail' if revision.count(Status.VIOLATED) else ''}"
    if revision.problem:
        accepted = "" if revision.accepted is None else f", which is accepted: {revision.accepted}"
        yield f"  unknown: its upgrade {revision.problem.splitlines()[0]}{accepted}"
    for question in revision.questions:
        yield f"  {describe_question(question)}"
        if question.precondition.line and question.answer.status != Status.HOLDS:
            yield f"    at {display_path(revision.path)}:{question.precondition.line}"
    for statement in revision.statements:
        yield f"  {describe_statement(statement)}"


def describe_question(question: Question) -> str:
    """Return a precondition with its answer, in one line."""
    precondition, answer = question.precondition, question.answer
    if answer.status == Status.VIOLATED:
        uncounted = f"; not counted: {answer.reason}" if answer.reason else ""
        unproven = "" if precondition.is_proven else "; the proof has not shown that the migration fails on such a row"
        violating = f"{_violating(precondition, answer)}: {precondition.words}"
        return f"violated: {violating} ({_keys(precondition, answer)}{uncounted}{unproven})"
    if answer.status == Status.LATER:
        now = f"; {_violating(precondition, answer)} it now ({_keys(precondition, answer)})" if answer.keys else ""
        return f"later: {precondition.words}: {answer.reason}{now}"
    reason = f": {answer.reason}" if answer.reason else ""
    return f"{answer.status}: {precondition.words}{reason}"


def _violating(precondition: Precondition, answer: Answer) -> str:
    rows = f"at least {counted(len(answer.keys), 'row')}" if answer.rows is None else counted(answer.rows, "row")
    return f"{rows} of {precondition.table} {'violates' if answer.rows == 1 else 'violate'}"


def _keys(precondition: Precondition, answer: Answer) -> str:
    noun = "ctid" if precondition.columns == ("ctid",) else "key"
    first = "first " if answer.rows is None or answer.rows > len(answer.keys) else ""
    return f"{first}{noun}{'s' if len(answer.keys) > 1 else ''} {', '.join(answer.keys)}"


def describe_statement(statement: TouchedRows) -> str:
    """Return a data statement with the estimate of its rows, in one line."""
    place = f" (line {statement.line})" if statement.line else ""
    verb = VERBS.get(statement.verb)
    if verb is None:
        return f"runs a block of code{place}: {statement.reason}"
    link = "into" if statement.verb in ("insert", "merge") else "of"
    if statement.rows is None:
        reason = f": {statement.reason}" if statement.reason else ""
        return f"{verb} rows {link} {statement.table}{place}: not estimated{reason}"
    return f"{verb} {describe_estimate(statement.rows)} {link} {statement.table}{place}"


def describe_estimate(rows: int) -> str:
    """Return an estimated number of rows, without digits that mean nothing."""
    digits = len(str(rows)) - FIRST_DIGITS
    return f"about {counted(round(rows, -digits) if digits > 0 else rows, 'row')}"
