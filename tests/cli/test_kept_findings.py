"""Findings of lint that are kept: with the verdicts of `dbkit prove`, and by `dbkit lint` itself."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbkit.roundtrip.checkpoint import REVISIONS_AFTER
from support.kept_proofs import LAST, Prover, make_project, restore, without_times, write_revision
from support.running import others_slow

COMMENT = "# dbkit: ok index-without-concurrently, the table is small\n"
LINTED = {
    "a danger": ("CREATE INDEX ix ON things (name)", "DROP INDEX ix"),
    "a danger on a table of a kept revision": ("ALTER TABLE t22 ALTER COLUMN x SET NOT NULL", "SELECT 1"),
    "no danger": ("COMMENT ON TABLE things IS 'x'", "COMMENT ON TABLE things IS NULL"),
    "a comment that is needed": (f"CREATE INDEX ix ON things (name) -- {COMMENT}", "DROP INDEX ix"),
    "an error": ("SELECT 1 / 0", "SELECT 1"),
}


def make_linted_project(root: Path) -> Path:
    """Write the project with a few findings, of which one is accepted."""
    make_project(root, last=LAST)
    for number, comment in {4: "# dbkit: ok rewrite-under-lock, not needed\n", 6: COMMENT}.items():
        path = root / f"migrations/versions/r{number}.py"
        path.write_text(comment + path.read_text())
    write_revision(root, 7, "CREATE INDEX ix7 ON things (name)", "DROP INDEX ix7")
    write_revision(root, 8, "CREATE TYPE kind AS ENUM ('a')", "DROP TYPE kind")
    write_revision(root, 10, "ALTER TYPE kind ADD VALUE IF NOT EXISTS 'b'", "SELECT 1")
    return root


@pytest.fixture(scope="module")
def linter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prover]:
    root = make_linted_project(tmp_path_factory.mktemp("linted") / "project")
    with Prover(root, "prove") as found:
        found.fresh = found.prove()
        yield found


@pytest.fixture(scope="module")
def only_linter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prover]:
    root = make_linted_project(tmp_path_factory.mktemp("only linted") / "project")
    with Prover(root, "lint") as found:
        found.fresh = found.prove("--format", "json")
        yield found


@pytest.mark.spread(2)
@pytest.mark.parametrize("verb", ["prove", "lint"])
@pytest.mark.parametrize(("up", "down"), others_slow(2, list(LINTED.values())))
def test_new_findings_are_added_to_those_that_are_kept(
    linter: Prover, only_linter: Prover, verb: str, up: str, down: str, tmp_path: Path
) -> None:
    prover = linter if verb == "prove" else only_linter
    copy = tmp_path / "before"
    shutil.copytree(prover.root, copy, ignore=shutil.ignore_patterns("__pycache__", ".dbkit"))
    write_revision(prover.root, LAST + 1, up, down)
    try:
        code, text = prover.prove("--format", "json")
        report = json.loads(text)
        assert LAST - REVISIONS_AFTER <= report.get("roundtrip", report)["kept"] <= LAST
        fresh = prover.prove("--format", "json", "--no-cache")
        report = json.loads(fresh[1])
        assert report.get("lint", report)["findings"]
        assert without_times((code, text)) == without_times(fresh)
    finally:
        restore(prover.root, copy)


@pytest.mark.slow
def test_the_findings_of_lint_are_kept_at_the_next_checkpoint(linter: Prover, tmp_path: Path) -> None:
    copy = tmp_path / "before"
    shutil.copytree(linter.root, copy, ignore=shutil.ignore_patterns("__pycache__", ".dbkit"))
    try:
        for last in (LAST + 11, LAST + 12):
            for number in range(LAST + 1, last + 1):
                write_revision(
                    linter.root, number, f"CREATE INDEX ix{number} ON things (name)", f"DROP INDEX ix{number}"
                )
            code, text = linter.prove("--format", "json")
            assert json.loads(text)["roundtrip"]["kept"] >= last - 12
        assert json.loads(text)["roundtrip"]["kept"] > LAST + REVISIONS_AFTER, "it begins at a later checkpoint"
        fresh = linter.prove("--format", "json", "--no-cache")
        assert without_times((code, text)) == without_times(fresh)
    finally:
        restore(linter.root, copy)


def test_lint_keeps_its_findings(only_linter: Prover) -> None:
    fresh = only_linter.prove("--format", "json", "--no-cache")
    assert json.loads(fresh[1])["findings"]
    assert (json.loads(fresh[1])["kept"], json.loads(only_linter.fresh[1])["kept"]) == (0, 0)
    code, text = only_linter.prove("--format", "json")
    assert json.loads(text)["kept"] == LAST
    assert without_times((code, text)) == without_times(only_linter.fresh) == without_times(fresh)
    code, text = only_linter.prove("--level", "note")
    assert f"the findings in {LAST} migrations kept" in text.splitlines()[-1]
    assert only_linter.prove("--format", "sarif") == only_linter.prove("--format", "sarif", "--no-cache")


def test_lint_has_the_findings_of_prove(tmp_path: Path) -> None:
    root = make_linted_project(tmp_path / "project")
    with Prover(root, "prove") as found:
        code, text = found.prove("--format", "json", "--level", "note")
        proven = json.loads(text)["lint"]
        found.verb = "lint"
        code, text = found.prove("--format", "json")
        assert json.loads(text)["kept"] == LAST
        assert json.loads(text)["findings"] == proven["findings"]
        assert without_times((code, text)) == without_times(found.prove("--format", "json", "--no-cache"))
        assert json.loads(found.prove("--format", "json", "--rows", "3")[1])["kept"] == 0, "it is another proof"
