"""The page of a review: self-contained, harmless whatever a project has in it, and of a bounded size."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dbkit.findings.finding import Level
from dbkit.pictures.history import History, HistoryRevision
from dbkit.redaction import redact
from dbkit.reports.review.build import make_review
from dbkit.reports.review.drawings import Drawings
from dbkit.reports.review.html import MOST_LISTED, render_html
from dbkit.roundtrip.outcome import RevisionOutcome
from support.reviews import (
    ESCAPES,
    HOSTILE,
    PASSWORD,
    SECRETS,
    Page,
    make_failure,
    make_lint,
    make_outcome,
    make_revision,
)

ELEMENTS = """
html head meta title style body header div h1 h2 h3 h4 span nav a main section ul ol li dl dt dd p strong
form label input button article details summary code time pre table caption thead tbody tr th td
b i svg rect path footer script
"""
NAMES = """
lang charset http-equiv content name class href id aria-labelledby aria-label aria-hidden hidden role type autocomplete
spellcheck data-fold open datetime start scope viewbox preserveaspectratio focusable x y width height d
"""
MEGABYTE = 1_000_000


def render(text: str = "add a column", level: Level = Level.DANGER) -> str:
    revisions = [make_revision(0, text), make_failure(1, text), make_revision(2, text)]
    return render_html(make_review(make_outcome(revisions), make_lint(revisions, text, level), None))


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_an_element_or_an_attribute(text: str) -> None:
    page = Page(render(text))
    assert {tag for tag, _ in page.elements} <= set(ELEMENTS.split())
    assert {name for _, attributes in page.elements for name in attributes} <= set(NAMES.split())
    assert len(page.find("script")) == 1
    assert all((each["href"] or "").startswith("#") for each in page.find("a"))


@pytest.mark.parametrize("text", HOSTILE)
def test_the_page_has_the_same_elements_whatever_the_text_is(text: str) -> None:
    def shape(document: str) -> list[tuple[str, list[str]]]:
        without_sql = re.sub(r'(?s)<pre class="sql">.*?</pre>', "", document)
        return [(tag, sorted(attributes)) for tag, attributes in Page(without_sql).elements]

    assert shape(render(text)) == shape(render("plain"))


def test_a_text_is_shown_to_the_letter() -> None:
    text = '</script><img src=x onerror="alert(1)"> & `a|b` 😀'
    shown = Page(render(text)).text
    assert shown.count(text) > 10


def test_nothing_is_loaded_and_only_the_script_of_the_package_runs() -> None:
    document = render()
    page = Page(document)
    (policy,) = (each["content"] or "" for each in page.find("meta") if each.get("http-equiv"))
    script = document.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.split("; ")[:3] == [
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        f"script-src 'sha256-{digest}'",
    ]
    assert not {"link", "iframe", "object", "img", "base"} & {tag for tag, _ in page.elements}
    assert "url(" not in document
    assert "@import" not in document


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_is_on_the_page(text: str) -> None:
    document = render(text)
    assert PASSWORD not in document
    assert "***" in document


def test_a_secret_that_one_text_shows_is_hidden_in_the_others() -> None:
    revisions = [make_failure(1, f"the reader has {PASSWORD}"), make_failure(2, SECRETS[0])]
    document = render_html(make_review(make_outcome(revisions), make_lint(revisions), None))
    assert PASSWORD not in document


def test_a_secret_of_the_environment_is_hidden_even_if_a_control_character_divides_it() -> None:
    redact.learn(PASSWORD)
    for text in (f"it is {PASSWORD}", f"it is {PASSWORD[:4]}\x1b[0m{PASSWORD[4:]}"):
        assert PASSWORD not in re.sub(r"\\x1b\[0m", "", render(text))


def test_control_characters_are_shown_and_not_sent() -> None:
    document = render(ESCAPES)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", document)
    assert r"\u202e" in document
    document.encode()


def test_a_secret_in_the_line_of_the_file_is_hidden(tmp_path: Path) -> None:
    revision = make_revision(0, directory=tmp_path)
    revision.path.write_text("\n" * 13 + f'    op.execute("{SECRETS[0]}")\n')
    document = render_html(make_review(make_outcome([revision]), make_lint([revision]), None))
    assert "CREATE ROLE reader LOGIN" in Page(document).text
    assert PASSWORD not in document


def test_anchors_are_unique_and_every_link_has_its_target() -> None:
    names = ("a b", "a-b", "a/b", "<x>", "ä", "")
    revisions = [make_revision(number) for number in range(len(names))]
    revisions = [type(each)(**{**vars(each), "revision": name}) for each, name in zip(revisions, names, strict=True)]
    page = Page(render_html(make_review(make_outcome(revisions), make_lint(revisions), None)))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {(each["href"] or "")[1:] for each in page.find("a")} <= set(ids)
    assert all(re.fullmatch(r"[\w-]+", each or "") for each in ids)


def test_only_what_has_to_be_looked_at_is_unfolded() -> None:
    revisions = [make_revision(0), make_failure(1, "x"), make_revision(2)]
    review = make_review(make_outcome(revisions), make_lint(revisions[:1], level=Level.WARNING), None)
    assert [each.is_open for each in review.revisions] == [True, True, False]
    assert not review.passed
    assert review.headline == "1 of 3 migrations must be fixed or accepted"
    found = make_review(make_outcome(revisions[2:]), make_lint(revisions[2:], level=Level.NOTE), None)
    assert (found.passed, found.headline) == (True, "1 migration, and nothing to fix")


@pytest.mark.parametrize(("number", "unfolded"), [(10, 10), (11, 0)])
def test_where_many_have_to_be_looked_at_all_are_folded(number: int, unfolded: int) -> None:
    failed = [make_failure(each, "it failed") for each in range(number)]
    page = Page(render_html(make_review(make_outcome(failed), make_lint([]), None)))
    assert sum("open" in each for each in page.find("details")) == unfolded


@pytest.mark.parametrize(("number", "is_open"), [(40, True), (41, False)])
def test_a_long_history_is_folded(number: int, is_open: bool) -> None:
    graph = tuple(HistoryRevision(f"r{each}", "message", (), (), ()) for each in range(number))
    document = render_html(make_review(make_outcome([]), make_lint([]), None), Drawings(History(graph), (), ()))
    (history,) = (each for each in Page(document).find("details") if each.get("class") == "picture")
    assert ("open" in history) is is_open


def render_findings(revision: RevisionOutcome, messages: Sequence[str]) -> Page:
    """Return the page of a revision in which one rule finds this."""
    linted = make_lint([revision], "the reason")
    found = [replace(linted.findings[-1], message=each) for each in messages]
    return Page(render_html(make_review(make_outcome([revision]), replace(linted, findings=tuple(found)), None)))


def test_equal_findings_of_a_migration_have_one_heading_and_one_reason() -> None:
    page = render_findings(make_revision(0), [f"message {number:02}" for number in range(12)])
    assert [each.get("class") for each in page.find("li")].count("problem bad") == 1
    # once in the list of risks, and once in the migration
    assert {page.text.count(f"message {number:02}") for number in range(12)} == {2}
    assert page.text.count("the reason") == 2  # as the reason, and as what to write instead
    assert "7 more" in page.text


def test_no_list_is_endless() -> None:
    revision = make_revision(0)
    up = revision.traces[0]
    long = replace(up, statements=tuple(replace(up.statements[0], line=each) for each in range(50)))
    page = render_findings(replace(revision, traces=(long,)), ["message"] * 300)
    assert [each["start"] for each in page.find("ol") if "start" in each] == ["31", "21"]
    assert "30 more" in page.text  # statements
    assert "further ones are with their migrations." in page.text
    assert sum((each["href"] or "").startswith("#rev-") for each in page.find("a")) == MOST_LISTED


def test_the_gravest_risk_comes_first() -> None:
    revisions = [make_revision(0), make_failure(1, "it failed")]
    review = make_review(make_outcome(revisions), make_lint(revisions[:1]), None)
    assert [each.problem.label for each in review.risks] == [
        "broken",
        "danger lock-kept",
        "precondition",
        "precondition",
    ][:3]


def test_a_page_without_a_new_migration_reports_that() -> None:
    outcome = make_outcome([])
    document = render_html(make_review(outcome, make_lint([]), "origin/main"))
    assert "No migration is new, so there is nothing to review." in document
    assert "origin/main" in document


def test_the_size_of_a_page_is_bounded() -> None:
    one, many = (render_of(number) for number in (1, 300))
    assert len(one.encode()) < 0.05 * MEGABYTE
    assert len(many.encode()) < 3 * MEGABYTE


def render_of(number: int) -> str:
    revisions = [make_revision(each) for each in range(number)]
    return render_html(make_review(make_outcome(revisions), make_lint(revisions), None))


def test_a_long_statement_is_cut_after_it_was_redacted() -> None:
    redact.learn(PASSWORD)
    revision = make_revision(0, "x" * 5930 + PASSWORD + "y" * 9000)
    document = render_html(make_review(make_outcome([revision]), make_lint([revision], "x"), None))
    assert "more characters" in document
    assert PASSWORD[:6] not in document
