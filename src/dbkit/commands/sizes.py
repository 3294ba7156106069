"""`dbkit sizes`: a read-only query for the sizes of a live database's tables, and its result as a table."""

import sys
from dataclasses import dataclass
from pathlib import Path

from dbkit.lint.table_sizes import QUERY, TableSize, format_bytes, read_sizes
from dbkit.redaction.outputs import write_data
from dbkit.terminal import person

HEADINGS = ("table", "rows", "size", "indexes", "size of indexes", "writes per second")


@dataclass(frozen=True)
class SizesOptions:
    """Options of `dbkit sizes`."""

    result: Path | None
    """A file with the result of the query."""


def sizes(options: SizesOptions) -> None:
    """Print the query, or the sizes that its saved result has, the largest table first. Raises InputError."""
    if options.result is None:
        write_data(QUERY)
        return
    found = read_sizes(options.result)
    rows = [_describe(name, found[name]) for name in sorted(found, key=lambda name: (-found[name].bytes, name))]
    if person.looks_at(sys.stdout):
        from dbkit.terminal.tables import Cell, Column, print_table  # a pipe needs no rich

        columns = [Column(heading, is_wrapped=heading == "table") for heading in HEADINGS]
        print_table(columns, [[Cell(text) for text in row] for row in rows])
        return
    for row in rows:
        named = ", ".join(f"{heading} {text}" for heading, text in zip(HEADINGS[1:], row[1:], strict=True))
        print(f"{row[0]}: {named}")


def _describe(name: str, size: TableSize) -> list[str]:
    writes = f"{size.writes_per_second:,.3f}".rstrip("0").rstrip(".")
    return [name, f"{size.rows:,}", format_bytes(size.bytes), str(size.indexes), format_bytes(size.index_bytes), writes]
