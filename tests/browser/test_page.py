"""The review page in a real Chromium: `nox -s browser`. Skipped where there is none, with the reason."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chromium import NOT_FOUND, find_chromium

from dbkit.pictures.history import History, HistoryRevision
from dbkit.reports.review.build import make_review
from dbkit.reports.review.drawings import Drawings
from dbkit.reports.review.html import render_html
from support.reviews import HOSTILE, make_failure, make_lint, make_outcome, make_revision
from support.running import until

pytestmark = pytest.mark.browser
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: nox -s browser")
    program = find_chromium()
    if program is None:
        pytest.skip(NOT_FOUND)
    with playwright.sync_playwright() as started:
        # a container has no user namespaces for its sandbox
        running = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page with hostile texts, one of 300 revisions, one of 300 that fail, and one with a long revision."""
    directory = tmp_path_factory.mktemp("pages")
    hostile = [make_revision(number, text) for number, text in enumerate(HOSTILE)] + [make_failure(90, HOSTILE[0])]
    many = [make_revision(number) for number in range(300)]
    failed = [make_failure(number, "it failed") for number in range(300)]
    one = make_revision(0, "recipes_ingredients")
    up, down = one.traces
    long = replace(one, traces=(replace(up, statements=up.statements[:1] * 50), down))
    found = {}
    for name, revisions in (("hostile", hostile), ("many", many), ("failed", failed), ("long", [long])):
        review = make_review(make_outcome(revisions), make_lint(revisions[:5], HOSTILE[1]), None)
        graph = tuple(
            HistoryRevision(each.revision, each.message, each.down_revisions, (), ())
            for each in reversed(revisions[:9])
        )
        found[name] = directory / f"{name}.html"
        found[name].write_text(render_html(review, Drawings(History(graph), (), ())), encoding="utf-8")
    return found


def open_page(browser: Any, path: Path, scheme: str = "light", width: int = 1280) -> Any:
    """Open a page; what goes wrong on it is in its `problems`."""
    page = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}).new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("dialog", lambda dialog: page.problems.append(dialog.message))
    page.on("request", lambda request: page.problems.append(request.url) if "file:" not in request.url else None)
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", ["hostile", "many"])
def test_nothing_runs_and_nothing_is_loaded(browser: Any, pages: dict[str, Path], name: str, scheme: str) -> None:
    page = open_page(browser, pages[name], scheme)
    page.click("text=Unfold all")
    assert page.problems == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_no_violation(browser: Any, pages: dict[str, Path], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: nox -s browser")
    page = open_page(browser, pages["hostile"], scheme)
    page.click("text=Unfold all")
    page.eval_on_selector_all("details", "all => all.forEach(each => { each.open = true })")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_every_link_and_fold_works_by_keyboard(browser: Any, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["hostile"])
    wanted = page.evaluate("document.querySelectorAll('a[href], summary, button, input, [tabindex]').length")
    reached = set()
    links = folds = 0
    for _ in range(3 * wanted):
        page.keyboard.press("Tab")
        place = page.evaluate(
            "[...document.querySelectorAll('a[href], summary, button, input, [tabindex]')].indexOf(document.activeElement)"
        )
        if place in reached or place < 0:
            break
        reached.add(place)
        kind = page.evaluate("document.activeElement.localName")
        if kind == "a":
            target = page.evaluate("document.activeElement.hash.slice(1)")
            page.evaluate("history.replaceState(null, '', location.pathname)")
            page.keyboard.press("Enter")
            assert page.evaluate("location.hash.slice(1)") == target
            assert page.evaluate("id => !!document.getElementById(id)", target)
            page.evaluate(
                "place => document.querySelectorAll('a[href], summary, button, input, [tabindex]')[place].focus()",
                place,
            )
            links += 1
        elif kind == "summary":
            before = page.evaluate("document.activeElement.parentElement.open")
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.parentElement.open") is not before
            page.keyboard.press("Enter")
            assert page.evaluate("document.activeElement.parentElement.open") is before
            folds += 1
    assert links > len(HOSTILE)
    assert folds > len(HOSTILE)
    assert page.problems == []


def test_a_link_unfolds_its_migration(browser: Any, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["many"])
    assert not page.evaluate("document.querySelector('#rev-r0200 details').open")
    page.evaluate("location.hash = 'rev-r0200'")
    # not by wait_for_function: it asks again by eval(), which the page forbids
    until(lambda: page.evaluate("document.querySelector('#rev-r0200 details').open"))
    top = "document.querySelector('#rev-r0200').getBoundingClientRect().top"
    bottom = "document.querySelector('header').getBoundingClientRect().bottom"
    until(lambda: page.evaluate(f"{bottom} - 1 <= {top} && {top} < {bottom} + 100"))


def test_the_search_shows_what_has_the_word(browser: Any, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["many"])
    page.fill("#query", "r0123")
    assert page.locator("article:visible").count() == 2  # its own, and the one that follows it
    assert page.inner_text("#found") == "2 of 300 shown"
    page.fill("#query", "")
    page.check("#open-only")
    assert page.locator("article:visible").count() == 5


def test_a_page_of_many_migrations_is_no_longer_than_its_list(browser: Any, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["failed"])
    assert page.evaluate("document.documentElement.scrollHeight") < 300 * 120


def test_a_statement_behind_a_fold_has_its_number(browser: Any, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["long"])
    page.eval_on_selector_all("details", "all => all.forEach(each => { each.open = true })")
    rest = page.locator("ol.statements[start]")
    assert rest.evaluate("each => [each.start, each.children.length]") == [21, 30]
    assert page.evaluate("getComputedStyle(document.querySelector('.statements > li'), '::before').content") == (
        "counter(list-item)"
    )


@pytest.mark.parametrize("name", ["hostile", "long"])
def test_nothing_is_cut_off_in_print(browser: Any, pages: dict[str, Path], name: str) -> None:
    page = open_page(browser, pages[name], width=720)  # about that of a sheet
    page.emulate_media(media="print")
    page.eval_on_selector_all("details", "all => all.forEach(each => { each.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 720
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_the_name_of_a_locked_table_is_not_broken(browser: Any, pages: dict[str, Path]) -> None:
    page = open_page(browser, pages["long"], width=720)
    page.eval_on_selector_all("details", "all => all.forEach(each => { each.open = true })")
    name = page.locator(".locks tbody th").first
    assert name.inner_text() == "recipes_ingredients"
    lines = "each => { const all = new Range(); all.selectNodeContents(each); return all.getClientRects().length }"
    assert name.evaluate(lines) == 1


@pytest.mark.parametrize("width", [320, 375, 768])
def test_no_page_is_wider_than_its_screen(browser: Any, pages: dict[str, Path], width: int) -> None:
    page = open_page(browser, pages["hostile"], width=width)
    page.click("text=Unfold all")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_how_long_a_page_takes_to_open(browser: Any, pages: dict[str, Path], capsys: Any) -> None:
    page = open_page(browser, pages["many"])
    loaded = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    started = time.perf_counter()
    page.reload()
    with capsys.disabled():
        size = pages["many"].stat().st_size / 1_000_000
        print(
            f"\n300 revisions, {size:.1f} MB: opened in {loaded / 1000:.2f} s, again {time.perf_counter() - started:.2f} s"
        )
    assert page.locator("article").count() == 300
