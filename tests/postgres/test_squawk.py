"""squawk is asked about what was recorded, and says nothing that the trace has measured."""

from pathlib import Path

import pytest

from dbkit.findings.finding import Level, LintFinding
from dbkit.findings.verdict import Verdict
from dbkit.lint import squawk
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.trace.records import ExecutedStatement, Lock, RelationAccess, Trace
from support.kit import REPOSITORY

PATH = Path("versions/aaaa.py")
NOTES = RelationAccess("notes", "r", existed=True, lock=Lock.ACCESS_EXCLUSIVE, held=Lock.ACCESS_EXCLUSIVE)

pytestmark = pytest.mark.skipif(squawk.find_program() is None, reason="squawk has no wheel for this machine")


def outcome(*statements: tuple[str, int, bool], touched: tuple[RelationAccess, ...] = (NOTES,)) -> RevisionOutcome:
    """A revision with these statements: their SQL, the number of their transaction, and whether it is shared."""
    recorded = tuple(
        ExecutedStatement(sql, line, *rest, touched=touched) for line, (sql, *rest) in enumerate(statements, 1)
    )
    trace = Trace("upgrade", recorded, 180000)
    return RevisionOutcome("aaaa", (), "", PATH, Verdict.PROVEN, 0.0, traces=(trace,))


def found(*outcomes: RevisionOutcome, version: int = 18) -> list[tuple[str, int | None]]:
    told = squawk.run_squawk(outcomes, version, PATH)
    return [(each.id, each.line) for each in told if each.id != "squawk/require-lock-timeout"]


def test_a_finding_is_at_the_line_that_ran_it() -> None:
    told = found(
        outcome(
            ("SELECT 1", 1, True), ("ALTER TABLE notes\n  ADD COLUMN a\n  char(3)", 1, True), ("SELECT 'ü;'", 1, True)
        )
    )
    assert ("squawk/ban-char-field", 2) in told
    assert {line for _id, line in told} == {2}, told


def test_what_drops_an_index_of_a_table_that_is_new_is_left() -> None:
    drop = ("DROP INDEX ix", 1, True)
    assert ("squawk/require-concurrent-index-deletion", 1) in found(outcome(drop))
    assert found(outcome(drop, touched=())) == []


def test_statements_of_their_own_transactions_are_told_apart() -> None:
    alone = outcome(
        ("CREATE INDEX CONCURRENTLY ix ON notes (a)", 1, False), ("ALTER TABLE notes ADD COLUMN a text", 2, True)
    )
    assert [each for each, _line in found(alone) if "concurrent" in each] == []


def test_the_version_counts() -> None:
    default = outcome(("ALTER TABLE notes ADD COLUMN a bigint DEFAULT 1", 1, True))
    assert ("squawk/adding-field-with-default", 1) in found(default, version=10)
    assert ("squawk/adding-field-with-default", 1) not in found(default, version=13)


def test_what_it_cannot_read_is_a_note() -> None:
    told = squawk.run_squawk([outcome(("ALTER TABEL notes", 1, True))], 18, PATH)
    assert {(each.id, each.level) for each in told} == {("squawk/syntax-error", Level.NOTE)}


def test_several_revisions_are_told_apart() -> None:
    first, second = outcome(("SELECT 1", 1, True)), outcome(("ALTER TABLE notes ADD COLUMN a char(3)", 1, True))
    assert [line for _id, line in found(first, second)] == [1]


def test_one_list_without_doubles() -> None:
    def advice(identifier: str, line: int) -> LintFinding:
        return LintFinding(identifier, Level.DANGER, "aaaa", PATH, line, "")

    ours = [advice("index-without-concurrently", 3)]
    both = advice("squawk/require-concurrent-index-creation", 3)
    harmless = advice("squawk/require-concurrent-index-creation", 9)
    style = advice("squawk/prefer-text-field", 3)
    ours.append(advice("scan-under-lock", 5))
    reindexed = [advice("squawk/require-concurrent-reindex", line) for line in (5, 7)]
    joined = squawk.merge_findings(ours, [both, harmless, style, *reindexed])
    assert [(each.id, each.line, each.also) for each in joined] == [
        ("index-without-concurrently", 3, ("squawk/require-concurrent-index-creation",)),
        ("scan-under-lock", 5, ("squawk/require-concurrent-reindex",)),
        ("squawk/prefer-text-field", 3, ()),
        ("squawk/require-concurrent-reindex", 7, ()),
    ]


@pytest.mark.parametrize(
    "program", ["", "#!/bin/sh\nexit 9\n", "#!/bin/sh\necho no JSON\n"], ids=["missing", "failing", "talking"]
)
def test_where_it_cannot_be_asked_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    path = tmp_path / "squawk"
    if program:
        path.write_text(program)
        path.chmod(0o755)
    monkeypatch.setattr(squawk, "find_program", lambda: str(path) if program else None)
    assert found(outcome(("SELECT 1", 1, True))) == [("squawk-unavailable", None)]


def test_the_page_has_each_rule() -> None:
    page = (REPOSITORY / "docs/lint.md").read_text()
    rules = {*squawk.REPLACED, *squawk.IGNORED, *squawk.WARNINGS}
    assert [rule for rule in rules if f"`{rule}`" not in page] == []
