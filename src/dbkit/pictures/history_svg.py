"""A revision history as SVG: lanes on the left, and beside each revision its message and its state."""

from dbkit.pictures.history import History, HistoryRevision, State
from dbkit.pictures.history_words import describe_history, describe_state
from dbkit.pictures.labels import count_columns, estimate_width, shorten
from dbkit.pictures.lanes import Lanes, Line, arrange
from dbkit.pictures.svg import element, picture, text_element, title

ROW, LANE, MARGIN, RADIUS = 28, 18, 16, 5.5
CODE_SIZE, TEXT_SIZE, PILL_SIZE = 12, 13, 11
GAP = 18
LONGEST_ID, LONGEST_MESSAGE, LONGEST_LABEL = 20, 64, 24
DRAWN_LANES = 24  # at most so many columns wide; further ones are drawn in the last column
STYLE = """\
.PREFIX .line{fill:none;stroke:var(--PREFIX-muted);stroke-width:1.6}
.PREFIX .dependency{stroke-dasharray:2 4;stroke-linecap:round}
.PREFIX .node{fill:var(--PREFIX-muted);stroke:var(--PREFIX-muted);stroke-width:2}
.PREFIX .applied .node{fill:var(--PREFIX-accent);stroke:var(--PREFIX-accent)}
.PREFIX .pending .node{fill:var(--PREFIX-paper);stroke:var(--PREFIX-warn)}
.PREFIX .half-applied .node{fill:var(--PREFIX-bad);stroke:var(--PREFIX-bad)}
.PREFIX .ring{fill:none;stroke:var(--PREFIX-accent);stroke-width:1.6}
.PREFIX .pending .state{fill:var(--PREFIX-warn)}
.PREFIX .half-applied .state,.PREFIX .bad{fill:var(--PREFIX-bad)}
.PREFIX .current .state{fill:var(--PREFIX-accent);font-weight:600}
.PREFIX .band{fill:var(--PREFIX-accent);opacity:.09}
.PREFIX .pill{fill:none;stroke:var(--PREFIX-muted)}
.PREFIX .pill-text{font-size:11px}
"""


def history_svg(history: History, prefix: str = "dbkit-history") -> str:
    """Return the picture as one `<svg>` element, safe in an HTML page. `prefix` begins its ids and classes.

    Each revision is a `<g>` with its id in `data-name`, and its state in `data-state`.
    """
    lanes = arrange([(each.id, each.links) for each in history.revisions])
    head = describe_history(history)
    top = MARGIN + 20 * len(head) + 10
    left = 2 * MARGIN + LANE * min(lanes.width, DRAWN_LANES)
    message_at = left + GAP + max((_width_of_id(each) for each in history.revisions), default=0)
    state_at = message_at + GAP + max((_width_of_message(each) for each in history.revisions), default=0)
    states = [estimate_width(describe_state(each), TEXT_SIZE) for each in history.revisions]
    heads = [estimate_width(line, TEXT_SIZE) for line in head]
    width = max(state_at + max(states, default=0), MARGIN + max(heads, default=0)) + MARGIN
    rows = [
        _draw_row(each, _x(row.column), top + ROW * number + ROW / 2, (left, message_at, state_at), width)
        for number, (each, row) in enumerate(zip(history.revisions, lanes.rows, strict=True))
    ]
    bottom = top + ROW * len(rows)
    content = [
        *(
            text_element(line, MARGIN, MARGIN + 20 * number + 10, class_=None if number == 0 else "muted")
            for number, line in enumerate(head)
        ),
        element("g", *(_draw_line(line, lanes, top) for line in lanes.lines)) if lanes.lines else "",
        *rows,
    ]
    if history.older:
        content.append(text_element(_describe_older(history.older), left, bottom + ROW / 2 + 4, class_="muted"))
        bottom += ROW
    description = " ".join([*head, *(f"{each.id} {each.message}." for each in history.revisions[:20])])
    style = STYLE.replace("PREFIX", prefix)
    return picture(content, float(width), float(bottom + MARGIN), prefix, "Revision history", description, style)


def _describe_older(count: int) -> str:
    return f"and {count} older"


def _draw_row(revision: HistoryRevision, x: float, y: float, columns: tuple[float, float, float], width: float) -> str:
    id_at, message_at, state_at = columns
    labels, at = [], message_at
    for label in revision.labels:
        shown = shorten(label, LONGEST_LABEL)
        size = estimate_width(shown, PILL_SIZE) + 14
        labels.append(element("rect", class_="pill", x=at, y=y - 9, width=size, height=18, rx=9))
        labels.append(text_element(shown, at + size / 2, y + 4, class_="pill-text", text_anchor="middle"))
        at += size + 6
    classes = [revision.state.value.replace(" ", "-"), *(["current"] if revision.is_current else [])]
    children = [
        title(_describe(revision)),
        element("rect", class_="band", x=4, y=y - ROW / 2 + 1, width=float(width - 8), height=ROW - 2, rx=6)
        if revision.is_current
        else "",
        element("circle", class_="ring", cx=x, cy=y, r=RADIUS + 3.5) if revision.is_current else "",
        element("circle", class_="node", cx=x, cy=y, r=RADIUS),
        text_element(shorten(revision.id, LONGEST_ID), id_at, y + 4, class_="code"),
        *labels,
        text_element(_shown_message(revision), at, y + 4.5),
    ]
    state = describe_state(revision)
    if state:
        muted = " muted" if revision.state is State.APPLIED and not revision.is_current else ""
        children.append(text_element(state, state_at, y + 4.5, class_=f"state{muted}"))
    given = {"data-name": revision.id, "data-state": revision.state.value or None}
    return element("g", *children, class_=" ".join(filter(None, classes)) or None, **given)


def _draw_line(line: Line, lanes: Lanes, top: float) -> str:
    x, y = _x(line.column), top + ROW * line.row + ROW / 2
    lane = _x(line.lane)
    last = len(lanes.rows) - 1
    path = [f"M{x} {y}"]
    end = last + 1 if line.end_row is None else line.end_row
    if end == line.row + 1:
        path.append(_curve(x, y, _x(line.end_column), y + ROW))
    else:
        path.append(_curve(x, y, lane, y + ROW))
        if not line.joins:
            path += [f"V{top + ROW * (end - 1) + ROW / 2}"]
            path.append(_curve(lane, top + ROW * (end - 1) + ROW / 2, _x(line.end_column), top + ROW * end + ROW / 2))
    return element("path", class_="line dependency" if line.is_dependency else "line", d="".join(path))


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    if x == to_x:
        return f"V{to_y}"
    middle = (y + to_y) / 2
    return f"C{x} {middle} {to_x} {middle} {to_x} {to_y}"


def _x(column: int) -> float:
    return float(MARGIN + LANE / 2 + LANE * min(column, DRAWN_LANES - 1))


def _width_of_id(revision: HistoryRevision) -> float:
    return count_columns(shorten(revision.id, LONGEST_ID)) * CODE_SIZE * 0.62


def _shown_message(revision: HistoryRevision) -> str:
    return shorten(revision.message, LONGEST_MESSAGE)


def _width_of_message(revision: HistoryRevision) -> float:
    pills = sum(estimate_width(shorten(label, LONGEST_LABEL), PILL_SIZE) + 20 for label in revision.labels)
    return pills + estimate_width(_shown_message(revision), TEXT_SIZE)


def _describe(revision: HistoryRevision) -> str:
    """Return the tooltip of a revision."""
    lines = [" ".join(filter(None, [revision.id, revision.message]))]
    lines += [f"follows {', '.join(revision.parents)}"] if revision.parents else []
    lines += [f"depends on {', '.join(revision.dependencies)}"] if revision.dependencies else []
    lines += [f"branch {', '.join(revision.labels)}"] if revision.labels else []
    state = describe_state(revision)
    return "\n".join([*lines, *([state] if state else [])])
