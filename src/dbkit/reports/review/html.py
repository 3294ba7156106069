"""The review as one HTML page, which loads nothing: it can be opened from a mail, from a CI artifact, from a disk."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dbkit.reports.review.drawings import Drawings
from dbkit.reports.review.model import LockSpan, Problem, Review
from dbkit.reports.review.sql_markup import mark_sql
from dbkit.wording import counted

PAGE = Path(__file__).with_name("page")
MOST_UNFOLDED = 10
"""The number of migrations to look at above which all are folded: the risks link to them."""
MOST_IN_HISTORY = 40
"""The number of revisions in the graph above which it is folded: in print it would take pages."""
MOST_RISKS, MOST_ALIKE, MOST_CHANGES, MOST_STATEMENTS = 30, 5, 30, 20
"""The numbers of entries that are shown unfolded; those of MOST_ALIKE are findings of one rule in one migration."""
MOST_LISTED = 200
"""The number of risks in the list."""
MOST_TICKS = 30


def render_html(review: Review, drawings: Drawings | None = None) -> str:
    """Return the page, with its pictures where there are some."""
    script, style = (PAGE / "page.js").read_text("utf-8"), (PAGE / "page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = _make_environment().get_template("page.html")
    return template.render(
        review=review,
        unfolds=sum(each.is_open for each in review.revisions) <= MOST_UNFOLDED,
        unfolds_history=drawings is not None and len(drawings.history.revisions) <= MOST_IN_HISTORY,
        most_risks=MOST_RISKS,
        most_listed=MOST_LISTED,
        most_alike=MOST_ALIKE,
        most_changes=MOST_CHANGES,
        most_statements=MOST_STATEMENTS,
        # dbkit.pictures escapes what is in them
        history=Markup(drawings.draw_history() if drawings else ""),  # noqa: S704
        diagram=Markup(drawings.draw_tables() if drawings else ""),  # noqa: S704
        # the files of this package
        style=Markup(style),  # noqa: S704
        script=Markup(script),  # noqa: S704
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'",
    )


@cache
def _make_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"sql": mark_sql, "alike": _group_alike, "ticks": _make_ticks, "span": _describe_span}
    environment.globals["counted"] = counted
    return environment


def _group_alike(problems: Sequence[Problem]) -> list[list[Problem]]:
    """Return the problems of one migration in groups of which label and reason are the same, by the first of each."""
    groups: dict[tuple[str, ...], list[Problem]] = {}
    for each in problems:
        groups.setdefault((each.label, each.gravity, each.direction, each.why, each.accepted), []).append(each)
    return list(groups.values())


def _make_ticks(length: int) -> str:
    """Return the path of the lines between the statements of a bar; "" where they would be too many."""
    return "".join(f"M{number} 0V1" for number in range(1, length)) if length <= MOST_TICKS else ""


def _describe_span(span: LockSpan, length: int) -> str:
    """Return during which statements others wait."""
    if span.length == length:
        return "during all statements" if length > 1 else "during the statement"
    if span.last == length and span.length > 1:
        return f"from statement {span.first} to the end"
    if span.length == 1:
        return f"during statement {span.first}"
    return f"during statements {span.first} to {span.last}"
