"""Estimates for findings on tables of a known size: how many rows, and about how long the lock is held."""

from collections.abc import Mapping
from dataclasses import replace

from dbkit.findings.finding import Level, LintFinding
from dbkit.lint.table_sizes import TableSize
from dbkit.lint.timing import WORK_BY_RULE, Rates
from dbkit.wording import counted

SMALL = 10_000  # rows; findings on smaller tables are notes


def apply_sizes(finding: LintFinding, sizes: Mapping[str, TableSize], rates: Rates, small: int = SMALL) -> LintFinding:
    """Return the finding with an estimate for its largest table, or as a note if that is small."""
    work = WORK_BY_RULE.get(finding.id)
    known = {name: sizes[name] for name in finding.worked_on or finding.tables if name in sizes}
    if not work or not known:
        return finding
    name, size = max(known.items(), key=lambda each: each[1].rows)
    rows = format_rows(size.rows)
    if size.rows < small:
        return replace(finding, level=Level.NOTE, message=f"{finding.message}; {name} has {rows}: small")
    duration = format_duration(rates.predict(work, size))
    writes = round(size.writes_per_second)
    with_writes = f", with {counted(writes, 'write')} per second" if size.writes_per_second >= 1 else ""
    message = f"{finding.message}; {name} has {rows}, {duration} at the rate measured here{with_writes}"
    return replace(finding, message=message)


def format_rows(rows: int) -> str:
    """Return a rounded number of rows: "43 million rows"."""
    if rows >= 1_000_000:
        number = rows / 1_000_000
        return f"{number:.1f} million rows" if number < 10 else f"{number:.0f} million rows"
    return counted(rows, "row")


def format_duration(seconds: float) -> str:
    """Return a rounded duration: "less than 1 s", "about 40 s", "about 3 min"."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 120:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 7200 else f"about {seconds / 3600:.1f} h"
