"""A revision history as text for a terminal, in lanes as `git log --graph` has them."""

from collections.abc import Iterable, Sequence

from dbkit.pictures.history import History, HistoryRevision, State
from dbkit.pictures.history_words import describe_history, describe_state
from dbkit.pictures.labels import count_columns
from dbkit.pictures.lanes import Connection, arrange

# by direction: up, down, left, right
UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8
BOXES = {
    0: " ",
    UP | DOWN: "│",
    LEFT | RIGHT: "─",
    UP | LEFT: "╯",
    UP | RIGHT: "╰",
    DOWN | LEFT: "╮",
    DOWN | RIGHT: "╭",
    UP | DOWN | LEFT: "┤",
    UP | DOWN | RIGHT: "├",
    UP | LEFT | RIGHT: "┴",
    DOWN | LEFT | RIGHT: "┬",
    UP | DOWN | LEFT | RIGHT: "┼",
}
PLAIN = {
    **dict.fromkeys(BOXES, "+"),
    0: " ",
    UP | DOWN: "|",
    LEFT | RIGHT: "-",
    UP | LEFT: "'",
    UP | RIGHT: "`",
    DOWN | LEFT: ".",
    DOWN | RIGHT: ".",
}
DASHES = {True: {UP | DOWN: "┊", LEFT | RIGHT: "┄"}, False: {UP | DOWN: ":", LEFT | RIGHT: "."}}
MARKS = {
    True: {State.APPLIED: "●", State.PENDING: "○", State.INTERRUPTED: "✗", State.UNKNOWN: "●"},
    False: {State.APPLIED: "*", State.PENDING: "o", State.INTERRUPTED: "x", State.UNKNOWN: "*"},
}
CURRENT = {True: "◉", False: "@"}
MORE = {True: "…", False: "~"}
"""In place of the lanes that are not drawn."""
MOST_LANES = 20
WIDEST = 2 * MOST_LANES - 1
EVERY_MARK = "".join([*BOXES.values(), *DASHES[True].values(), *MARKS[True].values(), CURRENT[True], MORE[True], "⋮"])


def can_draw_boxes(encoding: str | None) -> bool:
    """Whether an output with this encoding has the characters for lines."""
    try:
        EVERY_MARK.encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def history_text(history: History, *, boxes: bool = True) -> str:
    """Return the history as lines, without an end of line; with `boxes=False`, the lanes are in ASCII."""
    revisions = history.revisions
    lanes = arrange([(each.id, each.links) for each in revisions])
    lines = describe_history(history)
    if lanes.width > MOST_LANES:
        lines.append(f"Of {lanes.width} lanes {MOST_LANES} are drawn.")
    lines += [""] if revisions else []
    ids = max((count_columns(each.id) for each in revisions), default=0)
    for each, row in zip(revisions, lanes.rows, strict=True):
        lines += _draw_bend(row.above, lanes.width, boxes=boxes)
        cells = _draw_cells(row.beside, lanes.width, boxes=boxes)
        mark = CURRENT[boxes] if each.is_current else MARKS[boxes][each.state]
        cells[2 * row.column] = mark
        lanes_text = _fit(cells, mark if 2 * row.column >= WIDEST else " ", boxes=boxes)
        lines.append(f"{lanes_text} {_describe(each, ids)}".rstrip())
        lines += _draw_bend(row.below, lanes.width, boxes=boxes)
    if history.older:
        dots = "⋮" if boxes else ":"
        cells = [" "] * (2 * lanes.width - 1)
        for each_lane in lanes.open_lanes:
            cells[2 * each_lane.start] = dots
        lines.append(f"{_fit(cells, boxes=boxes)} and {history.older} older")
    return "\n".join(lines)


def _describe(revision: HistoryRevision, width: int) -> str:
    identifier = revision.id + " " * (width - count_columns(revision.id))
    labels = f"({', '.join(revision.labels)})" if revision.labels else ""
    needs = f"(depends on {', '.join(revision.dependencies)})" if revision.dependencies else ""
    state = describe_state(revision)
    return " ".join(filter(None, [identifier, labels, revision.message, needs, f"[{state}]" if state else ""]))


def _draw_bend(connections: Sequence[Connection], width: int, *, boxes: bool) -> list[str]:
    """Return the line between two revisions, where a connection changes its column."""
    if all(each.start == each.end for each in connections):
        return []
    return [_fit(_draw_cells(connections, width, boxes=boxes), boxes=boxes).rstrip()]


def _fit(cells: Sequence[str], mark: str = " ", *, boxes: bool) -> str:
    """Return the characters of a line, of which those in further lanes are not shown.

    `mark` is that of a revision in one of these lanes.
    """
    if len(cells) <= WIDEST:
        return "".join(cells)
    more = MORE[boxes] if any(each != " " for each in cells[WIDEST + 1 :]) else " "
    return f"{''.join(cells[: WIDEST + 1])}{more} {mark}"


def _draw_cells(connections: Iterable[Connection], width: int, *, boxes: bool) -> list[str]:
    """Return the characters of a line: one for each column, and one between two columns."""
    directions = [0] * (2 * width - 1)
    solid = [False] * len(directions)

    def add(place: int, direction: int, connection: Connection) -> None:
        directions[place] |= direction
        solid[place] |= not connection.is_dependency

    for each in connections:
        start, end = 2 * each.start, 2 * each.end
        add(start, UP, each)
        add(end, DOWN, each)
        if start != end:
            low, high = sorted((start, end))
            add(low, RIGHT, each)
            add(high, LEFT, each)
            for place in range(low + 1, high):
                add(place, LEFT | RIGHT, each)
    characters = BOXES if boxes else PLAIN
    return [
        characters[direction] if is_solid else DASHES[boxes].get(direction, characters[direction])
        for direction, is_solid in zip(directions, solid, strict=True)
    ]
