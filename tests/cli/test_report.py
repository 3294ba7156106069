"""`dbkit report`: the page and the comment of one proof, and where they are written."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbkit.__main__ import main
from dbkit.proof_cache.recorder import CLOCK_STEP
from support.alembic_templates import plain
from support.kept_proofs import LAST, make_project, write_revision
from support.kit import Kit
from support.lint_runs import REVISIONS
from support.plain import write_project
from support.reviews import PASSWORD, Page
from support.running import until

Run = Callable[..., tuple[int, str]]
EVIL = '"x</script><img src=x onerror=alert(1)>|`y"'
RUNNER = """
import sys
from dbkit.__main__ import main
from dbkit.roundtrip import walker

walker.LEAST_SECONDS = 0  # chains of tests are short
sys.exit(main(sys.argv[1:]))
"""
SIZES = [
    {"table": "public.t", "rows": 43_000_000, "bytes": 4_300_000_000, "indexes": 1, "index_bytes": 900_000_000}
    | {"writes_per_second": 20}
]


@pytest.fixture
def project(init: Callable[..., Path]) -> Path:
    """A project in which an index is built while writes wait."""
    return init(online=plain(), revisions=REVISIONS)


def page_of(run: Run, ini: Path, *options: str, code: int) -> Page:
    found, told = run(ini, "--output", "html=page.html", *options, verb="report")
    assert found == code, told
    return Page((ini.parent / "page.html").read_text())


def test_the_page_has_all_that_is_known_of_a_revision(project: Path, lint: Run, git: Callable[..., str]) -> None:
    git(project.parent, "init", "-q")
    git(project.parent, "add", ".")
    git(project.parent, "-c", "user.name=Ada", "commit", "-qm", "Add")
    (project.parent / "sizes.txt").write_text(json.dumps(SIZES))
    text = page_of(lint, project, "--sizes", "sizes.txt", code=1).text
    assert "1 of 3 migrations must be fixed or accepted" in text
    for part in (
        "Ada ·",
        "CREATE INDEX ix ON t (note)",  # as executed
        "DROP INDEX ix",
        "danger index-without-concurrently",
        "writes wait",
        "43 million rows",
        "index ix on t",  # the change of the schema
        "table t: all its rows",  # what a rollback loses
        "3 revisions",  # the graph
        "Tables that the migrations touch",
    ):
        assert part in text, part


def test_hostile_names_are_texts_on_the_page_and_in_the_comment(tmp_path: Path, lint: Run) -> None:
    up = f"CREATE TABLE {EVIL} (id int PRIMARY KEY, {EVIL} text); COMMENT ON TABLE {EVIL} IS '--> ``` <b>'"
    secret = f"CREATE ROLE report_reader PASSWORD '{PASSWORD}'; UPDATE {EVIL} SET {EVIL} = 'y'"
    ini = write_project(
        tmp_path,
        [("aaaa", None, up, f"DROP TABLE {EVIL}"), ("bbbb", "aaaa", secret, "DROP ROLE report_reader")],
    )
    page = page_of(lint, ini, code=1)
    assert len(page.find("script")) == 1
    assert not page.find("img")
    assert "<img src=x onerror=alert(1)>" in page.text
    assert PASSWORD not in page.text
    _, comment = lint(ini, "--output", "github-comment", verb="report")
    assert PASSWORD not in comment
    assert comment.startswith("<!-- dbkit report ")


@pytest.mark.slow
def test_its_code_is_that_of_prove(project: Path, lint: Run) -> None:
    for options, code in ((("--only", "aaaa"), 0), (("--only", "bbbb"), 1)):
        assert lint(project, *options, verb="prove")[0] == code
        page_of(lint, project, *options, code=code)


def test_several_outputs_of_one_run(project: Path, lint: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = project.parent / "summary.md"
    summary.write_text("of an earlier step\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    options = ("--output", "page.html", "--output", "github-comment=comment.md", "--output", "github-summary")
    _, told = lint(project, "--only", "aaaa", *options, verb="report")
    assert told.endswith("Wrote page.html.\nWrote comment.md.\n")
    assert "1 migration on PostgreSQL" in told
    assert (project.parent / "comment.md").read_text().startswith("<!-- dbkit report alembic.ini -->\n### ✅")
    assert summary.read_text().startswith("of an earlier step\n### ✅")


def test_without_an_output_the_page_is_written(project: Path, lint: Run) -> None:
    _, told = lint(project, "--only", "aaaa", verb="report")
    assert told.endswith("Wrote migrations.html.\n")
    assert (project.parent / "migrations.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (("html=-", "markdown"), "two outputs go to standard output"),
        (("html=a.html", "html=a.html"), "two outputs go to a.html"),
        (("html=nowhere/a.html",), "there is no directory nowhere"),
        (("html=migrations",), "it is a directory"),
        (("github-summary",), "GITHUB_STEP_SUMMARY"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_anything_runs(
    project: Path, lint: Run, capsys: Any, monkeypatch: pytest.MonkeyPatch, outputs: tuple[str, ...], message: str
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.setattr("dbkit.roundtrip.prove.prove_at", None)
    monkeypatch.chdir(project.parent)
    options = [each for output in outputs for each in ("--output", output)]
    assert main(["report", "-c", str(project), *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("word", ["pdf", "html=", "page.pdf", ""])
def test_an_unknown_output_is_refused(word: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", "--output", word])
    assert ended.value.code == 2
    assert "github-comment" in capsys.readouterr().err


def test_nothing_new_is_reported_as_such(project: Path, lint: Run, git: Callable[..., str]) -> None:
    git(project.parent, "init", "-q")
    git(project.parent, "add", ".")
    git(project.parent, "commit", "-qm", "x")
    page = page_of(lint, project, "--since", "HEAD", code=0)
    assert "No migration is new, so there is nothing to review." in page.text


@pytest.mark.slow
def test_kept_verdicts_are_on_the_page_as_those_of_a_new_run_are(tmp_path: Path) -> None:
    root = make_project(tmp_path / "project", last=LAST)
    runner = tmp_path / "runner.py"
    runner.write_text(RUNNER)

    def report() -> tuple[str, list[str]]:
        files = [*root.glob("*"), *(root / "migrations").rglob("*")]
        # a file that has just been written counts as one that changes during the proof
        newest = max(path.stat().st_ctime_ns for path in files)
        until(lambda: time.time_ns() > newest + 2 * CLOCK_STEP)
        outputs = [each for name in ("page.html", "page.md") for each in ("--output", str(tmp_path / name))]
        run = subprocess.run(
            [sys.executable, str(runner), "report", "-c", "alembic.ini", *outputs],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert run.returncode in (0, 1), run.stderr
        return run.stdout, [(tmp_path / name).read_text() for name in ("page.html", "page.md")]

    told, first = report()
    assert " kept;" not in told
    assert all("CREATE TABLE things" in text for text in first)
    told, again = report()
    assert f"{LAST} verdicts kept" in told
    assert [without_times(text) for text in again] == [without_times(text) for text in first]
    write_revision(root, LAST + 1, "CREATE TABLE newest (id int PRIMARY KEY)", "DROP TABLE newest")
    told, longer = report()
    assert " verdicts kept" in told
    assert all("CREATE TABLE things" in text and "CREATE TABLE newest" in text for text in longer)
    assert "newest" in longer[0].partition('id="diagram"')[2].partition("</section>")[0]


def without_times(text: str) -> list[str]:
    return [line for line in text.splitlines() if " went down and up" not in line]


def test_make_report_writes_the_page(kit: Kit, git: Callable[..., str]) -> None:
    git(kit.path, "init", "-q")
    git(kit.path, "add", ".")
    git(kit.path, "commit", "-qm", "x")
    typed = kit.make("report", "since=HEAD", "out=review of $(x).html")
    assert typed.returncode == 0, typed.stderr
    assert (kit.path / "review of $(x).html").is_file()


def test_the_template_engine_is_not_loaded_for_a_comment() -> None:
    code = "import sys, dbkit.reports.review.markdown, dbkit.commands.report; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=180)
    assert "jinja2" not in run.stdout.split()
