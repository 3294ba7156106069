"""A finding on a table whose size is known: how many rows, about how long; and whether it matters at all."""

from collections.abc import Mapping
from dataclasses import replace

from dbkit.findings.finding import Level, LintFinding
from dbkit.lint.table_sizes import Size
from dbkit.lint.timing import KINDS, Rates
from dbkit.wording import counted

SMALL = 10_000  # rows; findings on smaller tables are notes


def concrete(advice: LintFinding, sizes: Mapping[str, Size], rates: Rates, small: int = SMALL) -> LintFinding:
    """The finding with what its tables' sizes make of it; as it is where none is known."""
    kind = KINDS.get(advice.id)
    known = {name: sizes[name] for name in advice.tables if name in sizes}
    if not kind or not known:
        return advice
    name, size = max(known.items(), key=lambda each: each[1].rows)
    if size.rows < small:
        return replace(advice, level=Level.NOTE, message=f"{advice.message}; {name} has {told_rows(size.rows)}: small")
    words = f"{name} has {told_rows(size.rows)}, {told(rates.predict(kind, size))} at the rate measured here"
    writes = (
        f", with {counted(round(size.writes_per_second), 'write')} per second" if size.writes_per_second >= 1 else ""
    )
    return replace(advice, message=f"{advice.message}; {words}{writes}")


def told_rows(rows: int) -> str:
    """A number of rows, rounded: "43 million rows"."""
    if rows >= 1_000_000:
        number = rows / 1_000_000
        return f"{number:.1f} million rows" if number < 10 else f"{number:.0f} million rows"
    return counted(rows, "row")


def told(seconds: float) -> str:
    """A time, rounded: "less than 1 s", "about 40 s", "about 3 min"."""
    if seconds < 1:
        return "less than 1 s"
    if seconds < 120:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 7200 else f"about {seconds / 3600:.1f} h"
