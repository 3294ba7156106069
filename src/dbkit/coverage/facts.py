"""Which data statements of a revision met rows: the facts that a verdict on rows rests on."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dbkit.coverage.recorder import StatementRun

WRITES = re.compile(r"\W*(?:update|delete|merge|insert|with|create|do|call)\b", re.IGNORECASE)
INSERTS = re.compile(r"\W*insert\b", re.IGNORECASE)
UPDATES = re.compile(r"\W*update\b", re.IGNORECASE)
READS = re.compile(r"\W*(?:select|with)\b", re.IGNORECASE)
CASTS = re.compile(r"\W*alter\s+table\b.*\busing\b", re.IGNORECASE | re.DOTALL)
SELECTS = re.compile(r"\bselect\b", re.IGNORECASE)
CHANGES = re.compile(r"\W*(?:with\b.*)?\b(?:update|delete|merge|insert)\b", re.IGNORECASE | re.DOTALL)
RUNS_BODY = re.compile(r"\W*(?:do|call)\b", re.IGNORECASE)
MAKES = re.compile(r"\b(?:create|into|rename)\b", re.IGNORECASE)
"""A word of statements that make tables."""
EXECUTES_CHANGE = re.compile(
    r"\bexecute\b(?![^;]*\b(?:grant|revoke|trigger)\b)[^;]*\b(?:update|delete|insert|merge)\b", re.IGNORECASE
)
"""In a body: SQL that is made while it runs, and changes rows."""
MADE = "its tables are made by the revision"
"""Why a statement can meet no row that was there before."""
NOT_FOUND = "its table was not found"
NEW_NULL = "the revision adds the column, which is NULL nowhere"
NEW_COLUMN = "its condition is on what the revision adds"
NEW_KEY = "only rows that are written after the upgrade have such a key"
FORBIDDEN = "the constraints allow no row"
NEVER_IN = {
    "upgrade": (MADE, NEW_NULL, FORBIDDEN),
    # what the upgrade adds has other values only where rows are written after it
    "downgrade": (MADE, NEW_NULL, NEW_COLUMN, NEW_KEY, FORBIDDEN),
}
"""By direction, the beginnings of reasons why a statement can meet no row of before."""
OWN_ROWS = "its table has rows of your own, and no others are inserted there"
UNREADABLE = "its condition could not be read"
NOT_REACHED = "the code before it does not lead there, whatever the rows are"
"""Why a branch of Python has not run: a setting or a variable decides."""
CONDITIONS = re.compile(r"['(*+/|-]|\b(?:where|case|having|over|group|distinct|when|conflict)\b", re.IGNORECASE)
CATALOG = re.compile(r"\bpg_catalog\.|\binformation_schema\.", re.IGNORECASE)
PLAIN = re.compile(r"\W*(?:insert|create)\b", re.IGNORECASE)
CONFLICT = re.compile(r"\bon\s+conflict\b", re.IGNORECASE)
TOLERATES = re.compile(
    r"\b(?:on\s+conflict|not\s+in|(?:insert|do)\b.*\b(?:exists|except|join|if|found)|merge)\b",
    re.IGNORECASE | re.DOTALL,
)
"""Statements that insert rows only where they are missing."""
TRIGGER = re.compile(r"\W*create\s+(?:or\s+replace\s+)?trigger\b", re.IGNORECASE)
LONGEST = 300


@dataclass(frozen=True)
class StatementCoverage:
    """A data statement of one direction of a revision, and how many rows it met."""

    direction: str
    """upgrade or downgrade."""
    sql: str
    line: int | None
    rows: int
    """The most that it met in one run."""
    reason: str = ""
    """Where it met none: why, as far as that is known."""
    by_construction: bool = False
    """Whether it can meet none."""

    def describe(self, revisions_before: Sequence[str]) -> str:
        """Return why it proves nothing, and how to give it a row: in the sample file of the revision before."""
        reason = f"\n  {self.reason}" if self.reason else ""
        files = " or ".join(f"samples/{revision}.sql" for revision in revisions_before)
        advice = f"\n  insert a row that it meets in {files}" if files else ""
        if self.reason == NOT_REACHED:
            advice = "\n  where a variable decides, set it: --set-env NAME=VALUE"
        return f"no row met this statement of {self.direction}(): {self.sql}{reason}{advice}"

    @property
    def is_met(self) -> bool:
        """Whether it met a row, or can meet none."""
        return self.rows > 0 or self.by_construction


def count_coverage(coverage: Iterable[StatementCoverage]) -> tuple[int, int]:
    """Return how many statements met rows, and how many there are that can meet any."""
    rows = [each.rows for each in coverage if each.rows or not each.by_construction]
    return sum(map(bool, rows)), len(rows)


def is_data_statement(sql: str) -> bool:
    """Whether a statement changes rows that were there before: not a plain INSERT, nor a query."""
    if not WRITES.match(sql):
        return False
    word = sql.lstrip("( \t\r\n")[:6].lower()
    if word in ("insert", "create"):
        return bool(SELECTS.search(sql)) and " table" in sql[:60].lower() + (" table" if word == "insert" else "")
    return not word.startswith("with") or bool(CHANGES.match(sql))


def may_have_goals(sql: str) -> bool:
    """Whether a statement may have conditions on rows."""
    if PLAIN.match(sql):
        return bool(SELECTS.search(sql) or CONFLICT.search(sql))
    return bool(WRITES.match(sql) or READS.match(sql) or CASTS.match(sql))


def _is_counted(run: StatementRun) -> bool:
    return run.rows is not None or run.writes is not None


def depends_on_rows(run: StatementRun) -> bool:
    """Whether a statement may meet other rows than those that it has met: it has a condition, or has met none."""
    if TRIGGER.match(run.sql):
        return True
    if not may_have_goals(run.sql):
        return False
    if READS.match(run.sql):  # Python may examine what it returns
        return not CATALOG.search(run.sql)
    return not (run.rows or run.writes) or bool(CONDITIONS.search(run.sql)) or bool(RUNS_BODY.match(run.sql))


def count_met(runs: Iterable[StatementRun]) -> dict[str, int]:
    """Return, by statement as the migration has it, the most rows that it met."""
    met: dict[str, int] = {}
    for run in runs:
        met[run.template] = max(met.get(run.template, 0), run.rows or 0, run.writes or 0)
    return met


def cover(
    runs: Mapping[str, Sequence[StatementRun]],
    reasons: Mapping[tuple[str, str], tuple[str, bool]],
    changing: Collection[tuple[str, str]] = (),
) -> tuple[StatementCoverage, ...]:
    """Return the coverage of each data statement; `runs` by direction, `reasons` by direction and statement.

    A reason is words, and whether the statement can meet no row. `changing` are queries that change rows by a function.
    """
    found: list[StatementCoverage] = []
    for direction, each in runs.items():
        met = count_met(each)
        # a statement whose rows the driver does not count is none that met no row
        seen = {run.template for run in each} - {run.template for run in each if _is_counted(run)}
        for run in each:
            is_changing = is_data_statement(run.sql) or (direction, run.template) in changing
            if run.template in seen or not is_changing:
                continue
            seen.add(run.template)
            reason, is_impossible = reasons.get((direction, run.template), ("", False))
            rows = met[run.template]
            text = " ".join(run.sql.split())[:LONGEST]
            why = ("", False) if rows else (reason, is_impossible)
            found.append(StatementCoverage(direction, text, run.line, rows, *why))
    return tuple(found)
