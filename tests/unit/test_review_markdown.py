"""The comment of a review: its text, what it does with hostile texts, and its bounds."""

import re
from pathlib import Path

import pytest

from dbkit.findings.finding import Level
from dbkit.reports.review.build import make_review
from dbkit.reports.review.markdown import LONGEST_COMMENT, render_comment, render_markdown
from dbkit.reports.review.markdown_text import block, code, escape
from support.reviews import HOSTILE, PASSWORD, SECRETS, make_failure, make_lint, make_outcome, make_revision

GOLDEN = Path(__file__).parents[1] / "support/review_comment.md"
TAGS = re.compile(r"</?(?:details|summary|code|sub|br)>")


def comment(text: str, number: int = 3) -> str:
    revisions = [make_revision(each, text) for each in range(number)] + [make_failure(number, text)]
    return render_comment(make_review(make_outcome(revisions), make_lint(revisions, text), None))


def outside_blocks(text: str) -> str:
    """The text without its blocks of code, whose fences are found as CommonMark does."""
    lines, fence = [], ""
    for line in text.split("\n"):
        opening = re.match(r"(`{3,})\w*$", line)
        if fence:
            fence = "" if re.fullmatch(rf"{fence}`*\s*", line) else fence
        elif opening:
            fence = opening[1]
        else:
            lines.append(line)
    assert not fence, "a block is not closed"
    return "\n".join(lines)


def test_the_comment_to_the_letter() -> None:
    revisions = [make_revision(0), make_failure(1, "relation does not exist")]
    review = make_review(make_outcome(revisions), make_lint(revisions[:1], level=Level.WARNING), "origin/main")
    found = re.sub(r" at <code>[0-9a-f]+(?:-dirty)?</code>", "", render_comment(review))
    assert f"{found}\n" == GOLDEN.read_text()


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_markdown(text: str) -> None:
    prose = outside_blocks(comment(text))
    rest = TAGS.sub("", prose)
    rest = re.sub(r"\A<!-- dbkit report alembic.ini -->", "", rest)
    assert "<" not in rest
    assert not re.search(r"(?<!\w)@\w|\]\(|#\d|javascript:", re.sub(r"&#\d+;", "", rest))
    # all lines begin as those of a harmless text do
    begins = {line[:3] for line in outside_blocks(comment("plain")).split("\n")}
    assert {line[:3] for line in prose.split("\n") if line[:1] in "#->+=|*`1"} <= begins


@pytest.mark.parametrize("text", HOSTILE)
def test_a_row_of_the_table_has_its_four_cells(text: str) -> None:
    rows = [line for line in comment(text).split("\n") if line.startswith("| <code>r")]
    assert len(rows) == 3
    assert {row.count("|") for row in rows} == {5}


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_is_in_the_comment(text: str) -> None:
    found = comment(text)
    assert PASSWORD not in found
    assert "***" in found


def test_a_comment_is_short_enough_and_has_what_failed() -> None:
    revisions = [make_revision(each, "x" * 400) for each in range(300)]
    failed = [make_failure(each, "it failed 😀" * 20) for each in range(300, 310)]
    review = make_review(make_outcome([*revisions, *failed]), make_lint([], "x"), None)
    found = render_comment(review)
    assert len(found) < len(found.encode()) < LONGEST_COMMENT
    assert all(f"<summary>🔴 <code>f{number:04}</code>" in found for number in range(300, 310))
    assert "migrations are left out here; the HTML page has them." in found
    outside_blocks(found)


@pytest.mark.spread(3)
@pytest.mark.parametrize("number", [1, 60, 300])
def test_a_comment_of_findings_alone_is_short_enough(number: int) -> None:
    failed = [make_failure(each, "日本`|" * 300) for each in range(number)]
    review = make_review(make_outcome(failed), make_lint(failed, "💥" * 300), "x" * 300)
    assert len(render_comment(review).encode()) < LONGEST_COMMENT
    assert len(render_markdown(review).encode()) < 1024 * 1024


def test_the_marker_is_the_first_line_and_names_the_project() -> None:
    outcome = type(make_outcome([]))(**{**vars(make_outcome([])), "project": "a --> <b>/alembic.ini"})
    first, rest = render_comment(make_review(outcome, make_lint([]), None)).split("\n", 1)
    assert re.fullmatch(r"<!-- dbkit report [\w./]+ -->", first)
    assert "<!--" not in rest


def test_parts_of_markdown() -> None:
    assert escape("1. a\n- b") == "1&#46; a - b"
    assert escape("- a") == "&#45; a"
    assert escape("a_b <c> & @d") == "a&#95;b &#60;c&#62; &#38; &#64;\u2060d"
    assert code("a`|b") == "<code>a&#96;&#124;b</code>"
    assert block("a\n````\nb", "sql") == "`````sql\na\n````\nb\n`````"
