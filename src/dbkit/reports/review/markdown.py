"""The review as Markdown: the comment of a pull request, which is updated in place, and a job summary."""

from collections.abc import Iterator
from dataclasses import dataclass

from dbkit.reports.review.markdown_text import block, code, cut, escape, fold
from dbkit.reports.review.model import Gravity, Problem, Review, RevisionReview, Risk, Run
from dbkit.reports.review.sql_markup import tidy_sql
from dbkit.wording import counted

MARKER = "<!-- dbkit report {project} -->"
"""The first line of a comment, by which a job finds it again."""
LONGEST_COMMENT = 60_000
"""In bytes, so that it holds for characters, too: GitHub takes 65,536 of these."""
LONGEST = 900_000
"""In bytes: GitHub takes a job summary of 1 MiB."""
LONGEST_MESSAGE = 1_500
LONGEST_SQL = 1_500
MOST_STATEMENTS = 30


@dataclass(frozen=True)
class Bounds:
    """The most that is listed before the details."""

    risks: int
    rows: int
    message: int
    """The number of characters of a message."""


BOUNDS = (Bounds(25, 100, 400), Bounds(15, 50, 200), Bounds(8, 20, 80), Bounds(3, 5, 40))
"""From the most on; those are used with which a half of the room is left for details."""
SIGNS = {Gravity.BAD: "🔴", Gravity.WARN: "🟠", Gravity.NOTE: "🔵", Gravity.OK: "🟢"}


def render_comment(review: Review) -> str:
    """Return the comment, with the marker as its first line."""
    project = "".join(each if each.isalnum() or each in "./_" else "_" for each in review.project)
    return f"{MARKER.format(project=project)}\n{_render(review, LONGEST_COMMENT - 200 - len(project.encode()))}"


def render_markdown(review: Review) -> str:
    """Return the review without the marker."""
    return _render(review, LONGEST)


def _render(review: Review, longest: int) -> str:
    """Return the review with as many details as there is room for, those to look at first."""
    heads = ("\n\n".join(_render_head(review, bounds)) for bounds in BOUNDS)
    head = next((each for each in heads if len(each.encode()) <= longest // 2), "")
    if not head:
        return f"{_render_result(review)}\n\nThe findings are too long for this place; the HTML page has them."
    room = longest - len(head.encode()) - 300
    # first what has to be looked at; then in the order of the revisions
    order = sorted(range(len(review.revisions)), key=lambda number: (not review.revisions[number].is_open, number))
    shown: dict[int, str] = {}
    for number in order:
        for full in (True, False):
            part = _render_revision(review.revisions[number], full=full)
            size = len(part.encode()) + 2
            if size <= room:
                room -= size
                shown[number] = part
                break
    parts = [head, *(shown[number] for number in sorted(shown))]
    left_out = len(review.revisions) - len(shown)
    if left_out:
        parts.append(f"The details of {counted(left_out, 'migration')} are left out here; the HTML page has them.")
    return "\n\n".join(parts)


def _render_result(review: Review) -> str:
    return f"### {'✅' if review.passed else '❌'} Migrations: {escape(review.headline)}"


def _render_head(review: Review, bounds: Bounds) -> Iterator[str]:
    yield _render_result(review)
    if review.tiles:
        yield " · ".join(f"{SIGNS[each.gravity]} {each.number} {escape(each.words)}" for each in review.tiles)
    for each in review.general[: bounds.risks]:
        yield _render_problem(each, bounds.message)
    if review.risks:
        yield _render_risks(review.risks, bounds)
    if review.revisions:
        yield _render_table(review.revisions, bounds)
    context = [code(review.project), *([f"since {code(review.since)}"] if review.since else [])]
    context += [f"at {code(review.commit)}"] if review.commit else []
    yield "\n".join(
        f"<sub>{line}</sub><br>"
        for line in (" ".join(context), *(escape(_shorten(each, bounds.message)) for each in review.sentences[:5]))
    )


def _render_risks(risks: tuple[Risk, ...], bounds: Bounds) -> str:
    lines = []
    for each in risks[: bounds.risks]:
        place = f"{code(each.revision)}{f' line {each.problem.line}' if each.problem.line else ''}"
        message = escape(_shorten(each.problem.message, bounds.message))
        lines.append(f"1. {SIGNS[each.problem.gravity]} **{escape(each.problem.label)}** {place}: {message}")
    if len(risks) > bounds.risks:
        lines.append(f"\n{len(risks) - bounds.risks} more are in the details, or on the page.")
    return "\n".join(["**Risks, the gravest first**\n", *lines])


def _render_table(revisions: tuple[RevisionReview, ...], bounds: Bounds) -> str:
    rows = ["| Migration | | Verdict | Findings |", "|---|---|---|---|"]
    # where they are too many, those to look at
    listed = (
        sorted(revisions, key=lambda each: not each.is_open)[: bounds.rows]
        if len(revisions) > bounds.rows
        else revisions
    )
    for each in listed:
        found = counted(len(each.open_problems), "finding") if each.open_problems else ""
        verdict = f"accepted {each.verdict}" if each.accepted else each.verdict
        message = escape(_shorten(each.message, bounds.message // 4))
        rows.append(f"| {code(each.id)} | {message} | {SIGNS[each.gravity]} {escape(verdict)} | {found} |")
    table = "\n".join(rows)
    if len(listed) < len(revisions):
        table += f"\n\n{len(revisions) - len(listed)} more migrations are not listed."
    return fold(f"All {counted(len(revisions), 'migration')}", table) if len(revisions) > 10 else table


def _shorten(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _render_revision(each: RevisionReview, *, full: bool) -> str:
    """Return the details of one revision; without `full` without statements."""
    summary = f"{SIGNS[each.gravity]} {code(each.id)} {escape(_shorten(each.message, 200))}"
    place = [code(each.path)]
    if each.authorship.author:
        place.append(f"{escape(each.authorship.author)} · {each.authorship.date[:10]}")
    parts = [" · ".join(place), *_render_findings(each), *_render_effects(each)]
    if full:
        parts += [_render_run(run) for run in each.runs]
    return fold(summary, "\n\n".join(parts))


def _render_findings(each: RevisionReview) -> Iterator[str]:
    if each.accepted:
        yield f"**Accepted:** {escape(each.accepted)}"
    yield from (_render_problem(problem) for problem in each.problems if problem.gravity != Gravity.NOTE)
    notes = sum(problem.gravity == Gravity.NOTE for problem in each.problems)
    if notes:
        yield f"On the page: {counted(notes, 'note or accepted finding', 'notes and accepted findings')}."
    for condition in each.preconditions:
        yield f"**It works if** {escape(condition.words)}:\n\n{block(cut(condition.query, LONGEST_SQL), 'sql')}"
    for statement in each.coverage:
        if not statement.is_met:
            yield f"No row met {code(_shorten(statement.sql, 200))}: {escape(statement.reason)}"


def _render_effects(each: RevisionReview) -> Iterator[str]:
    if each.changes:
        lines = [f"{change.sign} {' '.join(f'{change.words} {change.detail}'.split())}" for change in each.changes]
        yield f"**Schema**\n\n{block(cut(chr(10).join(lines), LONGEST_SQL * 2), 'diff')}"
    for bar in (bar for run in each.runs if run.direction == "upgrade" for bar in run.locks):
        duration = f", {escape(bar.duration)}" if bar.duration else ""
        size = f" ({escape(bar.size)})" if bar.size else ""
        yield f"⏳ {bar.blocks} to {code(bar.table)} wait{duration}{size}"
    if each.losses:
        yield "\n".join(["**A rollback would lose**\n", *(f"- {escape(loss)}" for loss in each.losses[:20])])


def _render_problem(each: Problem, longest: int = LONGEST_MESSAGE) -> str:
    direction = " in the downgrade" if each.direction == "downgrade" else ""
    place = f" line {each.line}" if each.line else ""
    lines = [
        f"{SIGNS[each.gravity]} **{escape(each.label)}**{direction}{place}: {escape(_shorten(each.message, longest))}"
    ]
    if each.why:
        lines.append(escape(each.why))
    if each.fix:
        lines.append(block(cut(each.fix, LONGEST_SQL), "python"))
    return "\n\n".join(lines)


def _render_run(run: Run) -> str:
    shown = run.statements[:MOST_STATEMENTS]
    text = "\n\n".join(f"{cut(tidy_sql(each.sql), LONGEST_SQL).rstrip(';')};" for each in shown)
    more = len(run.statements) - len(shown) + run.more
    text += f"\n\n-- and {counted(more, 'statement')} more" if more else ""
    return fold(f"{run.name}, as executed: {counted(run.length + run.more, 'statement')}", block(text, "sql"))
