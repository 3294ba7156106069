"""The plan of a migration as text for people."""

from collections.abc import Iterator

from dbkit.lint.estimate import format_duration, format_rows
from dbkit.plan import Plan, PlannedRevision, PlannedStatement, Work
from dbkit.reports.paths import display_path
from dbkit.wording import counted

NO_SIZES = """\
The sizes of its tables are not known, so neither is how long it takes. `dbkit sizes` prints a query for them: save the
result of psql -f sizes.sql, and name that file in the settings file, as sizes in [dbkit]."""
NOT_RUN = "Nothing was run on it."
WORDS = {
    "scan": "all rows are read",
    "lookup": "all rows are looked up in the other table",
    "index": "an index is built",
    "update": "rows are changed",
    "rewrite": "all rows are rewritten",
}
"""By the kind of work, what happens."""


def render(plan: Plan) -> str:
    """Render each revision with its statements, and a summary."""
    lines = [line for each in plan.revisions for line in _revision_lines(each, has_sizes=plan.has_sizes)]
    return "\n".join([*lines, *_summary_lines(plan)])


def _summary_lines(plan: Plan) -> Iterator[str]:
    place = f"{plan.database}, at {', '.join(plan.current) or 'base'}"
    if not plan.revisions:
        yield f"Nothing is pending on {place}."
        return
    duration = f", {format_duration(plan.seconds)} at the sizes of its tables" if plan.seconds is not None else ""
    failing = [each.pending.revision for each in plan.revisions if each.pending.problem]
    fails = f"; {failing[0]} does not work in a scratch database" if failing else ""
    yield f"{counted(len(plan.revisions), 'pending migration')} on {place}{duration}{fails}. {NOT_RUN}"
    if not plan.has_sizes:
        yield NO_SIZES
    elif plan.unknown:
        yield f"The file of sizes does not have {', '.join(plan.unknown)}. `dbkit sizes` prints the query for it."


def _revision_lines(revision: PlannedRevision, *, has_sizes: bool) -> Iterator[str]:
    pending = revision.pending
    duration = f": {format_duration(revision.seconds)}" if has_sizes and revision.seconds is not None else ""
    yield f"{pending.name}{duration}"
    yield f"  {display_path(pending.path)}"
    if pending.problem:
        accepted = "" if pending.accepted is None else f", which is accepted: {pending.accepted}"
        yield f"  unknown: its upgrade {pending.problem.splitlines()[0]}{accepted}"
    elif revision.untraced:
        yield f"  unknown: it works, but not while it is traced: {revision.untraced}"
    elif not revision.statements:
        yield "  no statements"
    for question in pending.questions:
        later = f" ({question.later})" if question.later else ""
        yield f"  if {question.precondition.words}{later}"
        yield f"    {question.precondition.query};"
    for each in revision.waits:
        known = has_sizes and each.seconds is not None
        how_long = f" {format_duration(each.seconds or 0)}" if known else ""
        yield f"  {each.table}: {each.blocks} wait{how_long}"
    yield from _statement_lines(revision)


def _statement_lines(revision: PlannedRevision) -> Iterator[str]:
    line = None
    for each in revision.statements:
        if each.line and each.line != line:
            yield f"  line {each.line}"
            line = each.line
        yield from (f"    {part}".rstrip() for part in f"{each.sql.strip().rstrip(';')};".splitlines())
        yield from (f"      -- {words}" for words in describe_effects(each))


def describe_effects(statement: PlannedStatement) -> Iterator[str]:
    """Yield how a statement runs, the locks that it takes, and its work on rows."""
    if statement.is_batch:
        yield "the first of several batches, each in a separate transaction"
    elif not statement.in_transaction:
        yield "outside of a transaction"
    for each in statement.locks:
        waiting = f": {each.lock.blocks} wait" if each.lock.blocks else ""
        yield f"{each.table}: {each.lock}{waiting}"
    for work in statement.work:
        yield f"{work.table}: {WORDS[work.kind]}{_describe_size(work)}"


def _describe_size(work: Work) -> str:
    if work.rows is None or work.seconds is None:
        return ""
    duration = format_duration(work.seconds)
    return f", {format_rows(work.rows)}, {'at most ' if work.is_bound else ''}{duration}"
