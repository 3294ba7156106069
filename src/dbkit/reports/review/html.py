"""The review as one HTML page, which loads nothing: it can be opened from a mail, from a CI artifact, from a disk."""

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dbkit.reports.review.drawings import Drawings
from dbkit.reports.review.model import LockSpan, Review
from dbkit.reports.review.sql_markup import mark_sql
from dbkit.wording import counted

PAGE = Path(__file__).with_name("page")
MOST_RISKS = 30
"""The number of risks that are shown unfolded."""
MOST_TICKS = 60


def render_html(review: Review, drawings: Drawings | None = None) -> str:
    """Return the page, with its pictures where there are some."""
    script, style = (PAGE / "page.js").read_text("utf-8"), (PAGE / "page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = _make_environment().get_template("page.html")
    return template.render(
        review=review,
        most_risks=MOST_RISKS,
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
    environment.filters |= {"sql": mark_sql, "ticks": _make_ticks, "span": _describe_span}
    environment.globals["counted"] = counted
    return environment


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
