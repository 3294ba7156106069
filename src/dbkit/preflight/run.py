"""Run a preflight: prove the pending revisions, take their preconditions, and ask a live database."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import psycopg

from dbkit.findings.verdict import Verdict
from dbkit.preflight.ask import Answer, Limits, Status, ask
from dbkit.preflight.earlier import find_decision
from dbkit.preflight.estimate import estimate_rows, list_data_statements
from dbkit.preflight.outcome import PendingRevision, Question
from dbkit.roundtrip.outcome import RevisionOutcome

NOT_YET = "the database does not have yet what it is about"


def list_pending(outcomes: Sequence[RevisionOutcome]) -> list[PendingRevision]:
    """Return the pending revisions with their questions, by the outcomes of their proofs."""
    return [
        PendingRevision(
            each.revision,
            each.message,
            each.path,
            each.verdict.value,
            _find_problem(each),
            each.accepted,
            tuple(_list_questions(each, outcomes[:number])),
            tuple(list_data_statements(each)),
        )
        for number, each in enumerate(outcomes)
    ]


def _find_problem(outcome: RevisionOutcome) -> str:
    """Return how the upgrade fails in the proof, where that is no precondition; "" where it works."""
    failures = [each for each in outcome.findings if each.failure]
    of_upgrade = [each.words for each in failures if each.phase == "up"]
    if outcome.verdict in (Verdict.BROKEN, Verdict.FAILS_ON_ROWS) and of_upgrade:
        return f"fails in the proof: {of_upgrade[0]}"
    if not outcome.is_traced and not outcome.untraced:
        return f"was not run in the proof: {failures[0].words if failures else outcome.verdict.value}"
    return ""


def _list_questions(outcome: RevisionOutcome, earlier: Sequence[RevisionOutcome]) -> Iterator[Question]:
    for number, each in enumerate(outcome.preconditions, 1):
        decision = find_decision(each, earlier)
        if decision is None:
            yield Question(outcome.revision, number, each)
        else:
            answer = Answer(Status.LATER, reason=decision.words)
            yield Question(outcome.revision, number, each, decision.words, decision.final, not decision.is_new, answer)


def answer_all(pending: Sequence[PendingRevision], find_answer: Callable[[Question], Answer]) -> list[PendingRevision]:
    """Return the revisions with an answer to each question."""
    return [
        replace(
            each,
            questions=tuple(
                replace(question, answer=_judge(question, find_answer(question))) if question.is_asked else question
                for question in each.questions
            ),
        )
        for each in pending
    ]


def ask_all(
    connection: "psycopg.Connection",
    outcomes: Sequence[RevisionOutcome],
    pending: Sequence[PendingRevision],
    limits: Limits,
) -> list[PendingRevision]:
    """Ask a live database: return the revisions with the answers, and with the estimates of their statements."""
    first = pending[0].revision if pending else ""

    def find_answer(question: Question) -> Answer:
        answer = ask(connection, question.precondition, limits)
        if answer.is_missing and question.revision != first:
            return Answer(Status.LATER, reason=f"{NOT_YET}: {answer.reason}")
        return answer

    answered = answer_all(pending, find_answer)
    estimates = estimate_rows(connection, outcomes, pending, limits)
    return [replace(each, statements=rows) for each, rows in zip(answered, estimates, strict=True)]


def _judge(question: Question, answer: Answer) -> Answer:
    """Return the answer of now as one that an earlier revision may change, where it does."""
    if not question.later or answer.status == question.final:
        return answer
    return replace(answer, status=Status.LATER, reason=question.later)
