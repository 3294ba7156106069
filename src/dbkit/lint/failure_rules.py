"""Findings on revisions that could not be run: why, where the words of the failure say it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from dbkit.findings.finding import LONGEST_SQL, Level, LintFinding
from dbkit.lint.source_rules import unbound_words
from dbkit.roundtrip.alembic_steps import read_source
from dbkit.roundtrip.outcome import Failure, RevisionOutcome

# SQLAlchemy's words, of InvalidRequestError
UNBOUND = re.compile(r"value is required for bind parameter '([^']+)'")
NO_TYPE = re.compile(r'\btype "([^"]+)" does not exist')


def advise(outcomes: Sequence[RevisionOutcome]) -> Iterator[LintFinding]:
    """Why revisions, in the order in which they were run, could not be run, up or down.

    Those that could not because of one before them are counted there.
    """
    first: dict[str, str] = {}
    for outcome in outcomes:
        if not outcome.is_traced and not outcome.untraced:
            failed = (first[parent] for parent in outcome.down_revisions if parent in first)
            first[outcome.revision] = next(failed, outcome.revision)
    behind = Counter(first.values())
    for outcome in outcomes:
        if outcome.untraced:
            words = f"it works, but not while it is watched, so what it does is not known: {outcome.untraced}"
            yield LintFinding("not-traced", Level.WARNING, outcome.revision, outcome.path, None, words)
        if first.get(outcome.revision, outcome.revision) == outcome.revision:
            yield from _of_one(outcome, behind[outcome.revision] - 1)


def _of_one(outcome: RevisionOutcome, behind: int) -> Iterator[LintFinding]:
    known = False
    for finding in outcome.findings:
        if finding.failure and finding.phase in ("up", "down"):
            direction = "upgrade" if finding.phase == "up" else "downgrade"
            for each in _of_failure(outcome, finding.failure, direction):
                known = known or direction == "upgrade"
                yield each
    failure = next((each.failure for each in outcome.findings if each.failure and each.phase == "up"), None)
    if outcome.is_traced and failure:
        on_rows = "it fails on rows, and was watched on empty tables, where changes of data are not seen"
        yield _not_traced(outcome, failure, on_rows if failure.may_be_rows else "it fails after its last statement")
    elif not outcome.is_traced and not outcome.untraced and not known:
        failure = failure or next((each.failure for each in outcome.findings if each.failure), None)
        more = f", nor of the {behind} behind it" if behind > 0 else ""
        yield _not_traced(outcome, failure, f"it could not be run, so nothing is known of it{more}")


def _of_failure(outcome: RevisionOutcome, failure: Failure, direction: str) -> Iterator[LintFinding]:
    unbound = UNBOUND.search(failure.words)
    no_type = NO_TYPE.search(failure.words)
    if unbound:
        yield _advice("unbound-parameter", outcome, failure, direction, unbound_words([unbound[1]]))
    elif no_type and b"enum" in read_source(str(outcome.path)).lower():
        yield _advice("enum-without-type", outcome, failure, direction, _without_type(no_type[1]))


def _without_type(name: str) -> tuple[str, str, str]:
    return (
        f"the enum type {name} is not there: it is made with a table, and not with a column",
        "create_table() makes the types of its columns; add_column() and alter_column() only name them.",
        f'sa.Enum(…, name="{name}").create(op.get_bind())  # before the column\n'
        f'op.execute("DROP TYPE {name}")  # in downgrade(), after the column: neither goes with it',
    )


def _advice(
    name: str, outcome: RevisionOutcome, failure: Failure, direction: str, words: tuple[str, str, str]
) -> LintFinding:
    message, why, code = words
    level = Level.DANGER if direction == "upgrade" else Level.NOTE
    sql = failure.sql[:LONGEST_SQL]
    return LintFinding(
        name, level, outcome.revision, outcome.path, failure.line, message, "", why, code, direction, sql=sql
    )


def _not_traced(outcome: RevisionOutcome, failure: Failure | None, what: str) -> LintFinding:
    words = f"{what}: {failure.words if failure else outcome.verdict}"
    return LintFinding(
        "not-traced", Level.WARNING, outcome.revision, outcome.path, failure.line if failure else None, words
    )
