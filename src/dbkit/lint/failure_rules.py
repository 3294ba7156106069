"""The rules on revisions that fail when they run: why, as far as the error tells."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from dbkit.findings.finding import LONGEST_SQL, Level, LintFinding
from dbkit.findings.verdict import Verdict
from dbkit.lint.rules.rule import Violation
from dbkit.lint.source_rules import unbound_parameters
from dbkit.project.revision_source import read_source
from dbkit.roundtrip.outcome import Failure, RevisionOutcome
from dbkit.wording import counted

# SQLAlchemy's InvalidRequestError
UNBOUND = re.compile(r"value is required for bind parameter '([^']+)'")
NO_TYPE = re.compile(r'\btype "([^"]+)" does not exist')


def find_failures(outcomes: Sequence[RevisionOutcome]) -> Iterator[LintFinding]:
    """Yield why revisions, in the order in which they ran, failed in upgrade or downgrade.

    Revisions that did not run because an earlier one failed are counted with that one.
    """
    first_failed: dict[str, str] = {}
    for outcome in outcomes:
        if not outcome.is_traced and not outcome.untraced:
            failed = (first_failed[parent] for parent in outcome.down_revisions if parent in first_failed)
            first_failed[outcome.revision] = next(failed, outcome.revision)
    followers = Counter(first_failed.values())
    for outcome in outcomes:
        if outcome.untraced:
            message = f"it works, but not while it is traced, so its effect is unknown: {outcome.untraced}"
            yield LintFinding("not-traced", Level.WARNING, outcome.revision, outcome.path, None, message)
        if first_failed.get(outcome.revision, outcome.revision) == outcome.revision:
            yield from _find_in_revision(outcome, followers[outcome.revision] - 1)


def _find_in_revision(outcome: RevisionOutcome, followers: int) -> Iterator[LintFinding]:
    is_explained = False
    for finding in outcome.findings:
        if finding.failure and finding.phase in ("up", "down"):
            direction = "upgrade" if finding.phase == "up" else "downgrade"
            for each in _explain(outcome, finding.failure, direction):
                is_explained = is_explained or direction == "upgrade"
                yield each
    failure = next((each.failure for each in outcome.findings if each.failure and each.phase == "up"), None)
    if outcome.is_traced and failure:
        is_rows = Verdict.FAILS_ON_ROWS in (outcome.verdict, *outcome.also)
        on_rows = "it fails on rows, and was traced on empty tables, where changes of data are not seen"
        # the round trip reports that it fails on rows, and on which
        level = Level.NOTE if is_rows else Level.WARNING
        yield _not_traced(outcome, failure, on_rows if is_rows else "it fails after its last statement", level)
    elif not outcome.is_traced and not outcome.untraced and not is_explained:
        failure = failure or next((each.failure for each in outcome.findings if each.failure), None)
        more = f", as is that of {counted(followers, 'later revision')}" if followers > 0 else ""
        yield _not_traced(outcome, failure, f"it could not be run, so its effect is unknown{more}")


def _explain(outcome: RevisionOutcome, failure: Failure, direction: str) -> Iterator[LintFinding]:
    unbound = UNBOUND.search(failure.words)
    no_type = NO_TYPE.search(failure.words)
    if unbound:
        yield _finding("unbound-parameter", Level.DANGER, unbound_parameters([unbound[1]]), outcome, failure, direction)
    elif no_type and b"enum" in read_source(str(outcome.path)).lower():
        yield _finding("enum-without-type", Level.DANGER, _enum_without_type(no_type[1]), outcome, failure, direction)


def _enum_without_type(name: str) -> Violation:
    return Violation(
        f"the enum type {name} does not exist: SQLAlchemy creates it with a table, and not with a column",
        "create_table() creates the types of its columns; add_column() and alter_column() only name them.",
        f'sa.Enum(…, name="{name}").create(op.get_bind())  # before the column\n'
        f'op.execute("DROP TYPE {name}")  # in downgrade(), after the column, which does not drop it',
    )


def _finding(
    identifier: str, level: Level, violation: Violation, outcome: RevisionOutcome, failure: Failure, direction: str
) -> LintFinding:
    return LintFinding(
        identifier,
        level if direction == "upgrade" else Level.NOTE,
        outcome.revision,
        outcome.path,
        failure.line,
        violation.message,
        violation.blocks,
        violation.why,
        violation.fix,
        direction,
        sql=failure.sql[:LONGEST_SQL],
    )


def _not_traced(
    outcome: RevisionOutcome, failure: Failure | None, what: str, level: Level = Level.WARNING
) -> LintFinding:
    message = f"{what}: {failure.words if failure else outcome.verdict}"
    line = failure.line if failure else None
    return LintFinding("not-traced", level, outcome.revision, outcome.path, line, message)
