"""Tables for a terminal, which fit its width: long texts are wrapped, and nothing is cut off.

Cells are data: no markup is read in them, secrets are redacted, and control characters are made visible.
"""

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dbkit.redaction import redact
from dbkit.redaction.control_characters import show_controls
from dbkit.redaction.outputs import write_data
from dbkit.terminal import person
from dbkit.terminal.paint import STYLES
from dbkit.terminal.progress import count_columns

LEAST_FOR_TEXT = 24
"""Columns that a wrapped text needs; where there are fewer, each row becomes a block of lines."""
GAP = 2


@dataclass(frozen=True)
class Cell:
    """A text with a style, by its name in `STYLES`; "" for none."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table with headings."""

    heading: str
    is_wrapped: bool = False


def print_labelled(rows: Sequence[tuple[str, Cell]]) -> None:
    """Print values behind their labels; a label that repeats is shown once."""
    table = Table.grid(padding=(0, GAP, 0, 0))
    table.add_column(no_wrap=True, style=STYLES["dim"])
    table.add_column(overflow="fold")
    previous = ""
    for label, value in rows:
        table.add_row(Text("" if label == previous else label), _text(value))
        previous = label
    _print(table)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    """Print a table with headings; in a narrow window, a block of lines for each row."""
    if not _has_room(columns, rows):
        for number, row in enumerate(rows):
            if number:
                write_data("\n")
            print_labelled([(column.heading, cell) for column, cell in zip(columns, row, strict=True) if cell.text])
        return
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    table = Table(box=box.SIMPLE_HEAD if is_utf8 else box.ASCII_DOUBLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(Text(column.heading), no_wrap=not column.is_wrapped, overflow="fold")
    for row in rows:
        table.add_row(*map(_text, row))
    _print(table)


def _has_room(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> bool:
    """Whether the texts that are not wrapped leave room for the others."""
    needed = 0
    for number, column in enumerate(columns):
        longest = max(count_columns(each) for each in (column.heading, *(str(_text(row[number])) for row in rows)))
        needed += GAP + 1 + (min(longest, LEAST_FOR_TEXT) if column.is_wrapped else longest)
    return needed <= person.read_width()


def _text(cell: Cell) -> Text:
    return Text(show_controls(redact.text(cell.text)), style=STYLES.get(cell.style, ""))


def _print(table: Table) -> None:
    text = io.StringIO()
    console = Console(
        file=text,
        width=person.read_width(),
        force_terminal=person.gets_color(sys.stdout),
        color_system="standard" if person.gets_color(sys.stdout) else None,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )
    console.print(table)
    write_data("\n".join(line.rstrip() for line in text.getvalue().split("\n")))
