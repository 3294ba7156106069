"""Lanes of a history, as in `git log --graph`: a column for each revision, and lines to those that it follows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple


class Link(NamedTuple):
    """A revision that another one follows or depends on."""

    target: str
    is_dependency: bool


@dataclass(frozen=True)
class Line:
    """A line from a revision down to one that it follows or depends on. Rows and columns are counted from 0."""

    is_dependency: bool
    row: int
    column: int
    lane: int
    """The column in which it goes down."""
    joins: bool
    """Whether another line to the same revision is in that column: then it ends in the next row."""
    end_row: int | None = None
    """None: below the last row."""
    end_column: int = 0


@dataclass(frozen=True)
class Connection:
    """A part of a line between two rows, from one column to another."""

    start: int
    end: int
    is_dependency: bool


@dataclass(frozen=True)
class Row:
    """The row of one revision, with the lines above it, beside it and below it."""

    column: int
    above: tuple[Connection, ...]
    beside: tuple[Connection, ...]
    below: tuple[Connection, ...]


@dataclass(frozen=True)
class Lanes:
    """The rows, in the order of the revisions, and all lines."""

    rows: tuple[Row, ...]
    lines: tuple[Line, ...]
    width: int
    """The number of columns."""
    open_lanes: tuple[Connection, ...]
    """Those that go on below the last row."""


def arrange(revisions: Sequence[tuple[str, Sequence[Link]]]) -> Lanes:
    """Arrange revisions, each with its links, in lanes; a revision comes before all that it links to."""
    lanes: list[Link | None] = []
    rows: list[Row] = []
    finished: list[Line] = []
    unfinished: dict[Link, list[Line]] = {}
    width = 1
    for number, (revision, links) in enumerate(revisions):
        ending = [column for column, link in enumerate(lanes) if link and link.target == revision]
        # in the column of a line that it continues, not of one that depends on it
        column = min(ending, key=lambda each: (_link_at(lanes, each).is_dependency, each), default=_find_free(lanes, 0))
        above = tuple(
            Connection(each, column if each in ending else each, link.is_dependency)
            for each, link in enumerate(lanes)
            if link
        )
        for each in ending:
            lines = unfinished.pop(_link_at(lanes, each))
            finished += [replace(line, end_row=number, end_column=column) for line in lines]
            lanes[each] = None
        beside = _straight(lanes)
        below = list(beside)
        for link in dict.fromkeys(links):
            joins = link in lanes
            lane = lanes.index(link) if joins else column if _is_free(lanes, column) else _find_free(lanes, column)
            if not joins:
                lanes += [None] * (lane + 1 - len(lanes))
                lanes[lane] = link
            unfinished.setdefault(link, []).append(Line(link.is_dependency, number, column, lane, joins))
            below.append(Connection(column, lane, link.is_dependency))
        width = max(width, len(lanes), column + 1)
        rows.append(Row(column, above, tuple(beside), tuple(below)))
        while lanes and lanes[-1] is None:
            lanes.pop()
    finished += [replace(line, end_column=line.lane) for lines in unfinished.values() for line in lines]
    finished.sort(key=lambda line: (line.row, line.lane, line.is_dependency))
    return Lanes(tuple(rows), tuple(finished), width, tuple(_straight(lanes)))


def _link_at(lanes: Sequence[Link | None], column: int) -> Link:
    link = lanes[column]
    assert link is not None  # noqa: S101  # the caller has looked
    return link


def _is_free(lanes: Sequence[Link | None], column: int) -> bool:
    return column >= len(lanes) or lanes[column] is None


def _find_free(lanes: Sequence[Link | None], start: int) -> int:
    """Return the first free column from `start` on."""
    return next(column for column in range(start, len(lanes) + start + 1) if _is_free(lanes, column))


def _straight(lanes: Sequence[Link | None]) -> list[Connection]:
    return [Connection(column, column, link.is_dependency) for column, link in enumerate(lanes) if link]
