"""Outcomes of proofs that were never run, for the pages and comments that are made of them."""

from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

from dbkit.coverage.facts import StatementCoverage
from dbkit.findings.finding import Level, LintFinding
from dbkit.findings.verdict import Verdict
from dbkit.lint.outcome import LintOutcome
from dbkit.preconditions.precondition import Precondition, Source
from dbkit.roundtrip.outcome import Failure, Finding, Outcome, RevisionOutcome, SampleRowCount
from dbkit.trace.records import Change, ChangeKind, ExecutedStatement, Lock, RelationAccess, Trace

ESCAPES = "\x1b[31mred\x1b[0m\x1b]8;;https://example.org\x07link\x9b2J\u202e"
HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></title><svg onload=alert(1)>",
    "``` \n```\n<b>loud</b>",
    "a|b`c`**d**_e_ [x](javascript:alert(1)) <!-- y -->",
    "@octocat #12 !7 GH-3 https://example.org\n# heading\n- list",
    "{{ 7 * 7 }} {% raw %} ${x}",
    "😀 ünïcödé \u0301 日本",
    "n" * 63,
    "\x00nul\x7f\r\nline\rline",
    ESCAPES,
    "\udcff lone surrogate",
    "--> <!--",
)
PASSWORD = "c0rrect-h0rse"
SECRETS = (
    f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'",
    f"could not connect to postgresql://app:{PASSWORD}@db.internal:5432/shop",
    f"ALTER ROLE reader PASSWORD E'{PASSWORD}'",
)


def make_revision(number: int, text: str = "add a column", directory: Path = Path("versions")) -> RevisionOutcome:
    """Return a revision with one of everything, in which all texts of the project are `text`."""
    touched = RelationAccess(text, "r", True, Lock.ACCESS_EXCLUSIVE, Lock.ACCESS_EXCLUSIVE, rewritten=True, scanned=5)
    up = (
        ExecutedStatement(
            f"ALTER TABLE t ADD COLUMN c{number} text DEFAULT '{text}' -- {text}",
            14,
            1,
            touched=(touched,),
            changes=(Change(ChangeKind.COLUMN_ADDED, text, f"c{number}", before=text),),
        ),
        ExecutedStatement(f'UPDATE t SET "{text}" = 1', 15, 1, inherited_locks=((text, Lock.ACCESS_EXCLUSIVE),)),
    )
    down = (
        ExecutedStatement(
            "ALTER TABLE t DROP COLUMN c",
            19,
            1,
            touched=(touched,),
            changes=(Change(ChangeKind.COLUMN_DROPPED, text, f"c{number}"),),
        ),
    )
    return RevisionOutcome(
        f"r{number:04}",
        (f"r{number - 1:04}",) if number else (),
        text,
        directory / f"r{number:04}.py",
        Verdict.PROVEN,
        0.1,
        traces=(Trace("upgrade", up, 180000), Trace("downgrade", down, 180000)),
        coverage=(StatementCoverage("upgrade", f"UPDATE t SET x = '{text}'", 15, 5),),
        preconditions=(Precondition("check", Source(text, text), text, f"SELECT '{text}'", ("id",), line=14),),
    )


def make_failure(number: int, text: str) -> RevisionOutcome:
    """Return a revision whose upgrade fails with a message."""
    failure = Failure(text, 14, f"ALTER TABLE {text}")
    return RevisionOutcome(
        f"f{number:04}",
        (),
        text,
        Path(f"versions/f{number:04}.py"),
        Verdict.BROKEN,
        0.1,
        findings=(Finding("up", failure=failure, line=14),),
        notes=(Finding("down", failure=Failure(text), is_note=True),),
        untraced=text,
    )


def make_outcome(revisions: Sequence[RevisionOutcome]) -> Outcome:
    """Return the outcome of a round trip of these revisions."""
    rows = SampleRowCount(5, frozenset({"t"}))
    return Outcome("alembic.ini", "PostgreSQL 18.6", 1.5, tuple(revisions), "the whole chain", rows, len(revisions))


def make_lint(
    revisions: Sequence[RevisionOutcome], text: str = "t is locked", level: Level = Level.DANGER
) -> LintOutcome:
    """Return the findings of lint: one for each revision, and one for the project."""
    found = [
        LintFinding("lock-kept", level, each.revision, each.path, 14, text, "writes", text, f'op.execute("{text}")')
        for each in revisions
    ]
    general = LintFinding("no-lock-timeout", Level.NOTE, "", Path("env.py"), None, text)
    rows = SampleRowCount(5, frozenset({"t"}))
    return LintOutcome("alembic.ini", "PostgreSQL 18.6", 1.5, len(revisions), (general, *found), rows)


class Page(HTMLParser):
    """The elements of a page, as a browser's parser finds them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Record a text."""
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All texts, with those of the style and the script."""
        return "".join(self.texts)

    def find(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]
