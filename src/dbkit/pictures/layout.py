"""Places of boxes in columns, and orthogonal lines between them that cross no box.

Columns have gutters on both sides; a line goes down or up in a gutter, and passes a column through the space between
two of its boxes. Lines to the same end share their way.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt

STEP = 7.0  # between two lines
SPACE = 26.0  # between two boxes, without lines
GUTTER = 34.0
SHAPE = 1.5  # of a whole drawing: width to height
MOST_LAYERS = 16  # beside each other
STUB = 12.0  # a line is straight for so long at a box

Point = tuple[float, float]
Net = tuple[int, float, bool]
"""The end that lines share: the box, the place on its side, and whether that is the right one."""
Gap = tuple[int, int]
"""The column, and the number of the box below."""


@dataclass(frozen=True)
class Box:
    """A box, in pixels."""

    width: float
    height: float


@dataclass(frozen=True)
class Edge:
    """A line from one box to another. The ports are distances from the upper edges of the boxes."""

    source: int
    source_port: float
    target: int
    target_port: float


@dataclass(frozen=True)
class Drawing:
    """The upper left corner of each box, the points of each line, and the size of it all."""

    corners: tuple[Point, ...]
    paths: tuple[tuple[Point, ...], ...]
    width: float
    height: float


@dataclass(frozen=True)
class _Route:
    """The way of an edge: the gutters that it uses, and the gap between each two of them."""

    net: Net
    is_left: bool
    """Whether it leaves its box on the left."""
    gutters: tuple[int, ...]
    gaps: tuple[Gap, ...]


def fold_layers(layers: Sequence[Sequence[int]], boxes: Sequence[Box]) -> list[list[int]]:
    """Split layers that are too high into several columns, so that the drawing gets a usual shape.

    The layers of a long chain are joined: one below the other in a column.
    """
    area = sum((boxes[each].width + 2 * GUTTER) * (boxes[each].height + SPACE) for layer in layers for each in layer)
    limit = max(sqrt(area / SHAPE), *(boxes[each].height for layer in layers for each in layer))
    if len(layers) > MOST_LAYERS:
        layers = _join_layers(layers, boxes, limit)
    columns: list[list[int]] = []
    for layer in layers:
        height = sum(boxes[each].height + SPACE for each in layer)
        share = height / max(1, round(height / limit))  # columns of the same height
        columns.append([])
        filled = 0.0
        for each in layer:
            if columns[-1] and filled + boxes[each].height / 2 > share:
                columns.append([])
                filled = 0.0
            columns[-1].append(each)
            filled += boxes[each].height + SPACE
    return columns


def _join_layers(layers: Iterable[Sequence[int]], boxes: Sequence[Box], limit: float) -> list[list[int]]:
    joined: list[list[int]] = []
    filled = inf
    for layer in layers:
        height = sum(boxes[each].height + SPACE for each in layer)
        if filled + height > limit:
            joined.append([])
            filled = 0.0
        joined[-1] += layer
        filled += height
    return joined


def draw(columns: Sequence[Sequence[int]], boxes: Sequence[Box], edges: Sequence[Edge]) -> Drawing:
    """Place the boxes of the columns, from left to right, and find the ways of the lines."""
    column_of = {node: number for number, column in enumerate(columns) for node in column}
    first = _place_vertically(columns, boxes, edges, column_of, {})
    routes = [_find_route(edge, columns, boxes, column_of, first) for edge in edges]
    used: dict[Gap, set[Net]] = defaultdict(set)
    for route in routes:
        for gap in route.gaps:
            used[gap].add(route.net)
    tops = _place_vertically(columns, boxes, edges, column_of, {gap: len(nets) for gap, nets in used.items()})
    crossings = _place_in_gaps(used, columns, boxes, tops)
    spans: dict[tuple[int, Net], list[float]] = defaultdict(list)
    for edge, route in zip(edges, routes, strict=True):
        heights = _heights(edge, route, tops, crossings)
        for gutter, one, other in zip(route.gutters, heights, heights[1:], strict=False):
            spans[gutter, route.net] += [one, other]
    tracks = _choose_tracks(spans)
    lefts, gutter_at = _place_horizontally(columns, boxes, tracks)
    paths = []
    for edge, route in zip(edges, routes, strict=True):
        heights = _heights(edge, route, tops, crossings)
        side = lefts[column_of[edge.source]] + (0 if route.is_left else boxes[edge.source].width)
        points: list[Point] = [(side, heights[0])]
        for gutter, one, other in zip(route.gutters, heights, heights[1:], strict=False):
            x = gutter_at(gutter, tracks[gutter, route.net])
            points += [(x, one), (x, other)]
        target, _, is_right = route.net
        points.append((lefts[column_of[target]] + (boxes[target].width if is_right else 0), heights[-1]))
        paths.append(tuple(points))
    corners = [(lefts[column_of[node]], tops[node]) for node in range(len(boxes))]
    return _move_to_origin(corners, paths, boxes)


def _place_vertically(
    columns: Sequence[Sequence[int]],
    boxes: Sequence[Box],
    edges: Sequence[Edge],
    column_of: Mapping[int, int],
    lines: Mapping[Gap, int],
) -> dict[int, float]:
    """Return the upper edge of each box: near the boxes on its left that it is connected with."""
    spaces = [
        [SPACE + STEP * lines.get((number, place), 0) if place else 0.0 for place in range(len(column))]
        for number, column in enumerate(columns)
    ]
    limit = max(
        sum(boxes[each].height for each in column) + sum(space) for column, space in zip(columns, spaces, strict=True)
    )
    linked: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for edge in edges:
        linked[edge.source].append((edge.target, edge.target_port - edge.source_port))
        linked[edge.target].append((edge.source, edge.source_port - edge.target_port))
    tops: dict[int, float] = {}
    for number, column in enumerate(columns):
        bottom = 0.0
        left = sum(boxes[each].height for each in column) + sum(spaces[number])
        for place, node in enumerate(column):
            wanted = [tops[other] + shift for other, shift in linked[node] if column_of[other] < number]
            left -= spaces[number][place]
            lowest = limit - left
            start = bottom + spaces[number][place]
            tops[node] = min(max(start, sum(wanted) / len(wanted) if wanted else start), lowest)
            bottom = tops[node] + boxes[node].height
            left -= boxes[node].height
    return tops


def _find_route(
    edge: Edge,
    columns: Sequence[Sequence[int]],
    boxes: Sequence[Box],
    column_of: Mapping[int, int],
    tops: Mapping[int, float],
) -> _Route:
    source, target = column_of[edge.source], column_of[edge.target]
    is_left = target < source
    # the gutter with a column's number is on its left
    if is_left:
        gutters, passed = range(source, target, -1), range(source - 1, target, -1)
    else:
        gutters, passed = range(source + 1, max(target, source + 1) + 1), range(source + 1, target)
    net = edge.target, edge.target_port, target <= source
    wanted = tops[edge.target] + edge.target_port
    gaps = []
    for column in passed:
        middles = _middles([(tops[each], tops[each] + boxes[each].height) for each in columns[column]])
        gaps.append((column, min(range(len(middles)), key=lambda place: abs(middles[place] - wanted))))
    return _Route(net, is_left, tuple(gutters), tuple(gaps))


def _middles(spans: Sequence[tuple[float, float]]) -> list[float]:
    """Return the middle of the space above each box, and of that below the last one."""
    between = [(one[1] + other[0]) / 2 for one, other in pairwise(spans)]
    return [spans[0][0] - SPACE / 2, *between, spans[-1][1] + SPACE / 2]


def _place_in_gaps(
    used: Mapping[Gap, set[Net]], columns: Sequence[Sequence[int]], boxes: Sequence[Box], tops: Mapping[int, float]
) -> dict[tuple[Gap, Net], float]:
    """Return the height at which each net passes each gap: near its end, and apart from the others."""
    found: dict[tuple[Gap, Net], float] = {}
    for (column, place), nets in used.items():
        nodes = columns[column]
        above = tops[nodes[place - 1]] + boxes[nodes[place - 1]].height + STUB if place else -inf
        below = tops[nodes[place]] - STUB if place < len(nodes) else inf
        ordered = sorted(nets, key=lambda net: (tops[net[0]] + net[1], net))
        heights: list[float] = []
        for number, net in enumerate(ordered):
            wanted = min(max(tops[net[0]] + net[1], above), below)
            lowest = below - STEP * (len(ordered) - 1 - number)
            heights.append(min(max(wanted, heights[-1] + STEP if heights else -inf), lowest))
        found |= {((column, place), net): height for net, height in zip(ordered, heights, strict=True)}
    return found


def _heights(
    edge: Edge, route: _Route, tops: Mapping[int, float], crossings: Mapping[tuple[Gap, Net], float]
) -> list[float]:
    """Return the heights of an edge: at its box, in each gap, and at its end."""
    return [
        tops[edge.source] + edge.source_port,
        *(crossings[gap, route.net] for gap in route.gaps),
        tops[edge.target] + edge.target_port,
    ]


def _choose_tracks(spans: Mapping[tuple[int, Net], Sequence[float]]) -> dict[tuple[int, Net], int]:
    """Return the track of each net in each gutter, from the left; nets beside each other have different ones."""
    found: dict[tuple[int, Net], int] = {}
    ends: dict[int, list[float]] = defaultdict(list)
    for (gutter, net), heights in sorted(spans.items(), key=lambda each: (each[0][0], min(each[1]), each[0][1])):
        low, high = min(heights), max(heights)
        taken = ends[gutter]
        track = next((number for number, end in enumerate(taken) if end + STEP < low), len(taken))
        taken[track : track + 1] = [high]
        found[gutter, net] = track
    return found


def _place_horizontally(
    columns: Sequence[Sequence[int]], boxes: Sequence[Box], tracks: Mapping[tuple[int, Net], int]
) -> tuple[list[float], Callable[[int, int], float]]:
    """Return the left edge of each column, and a function for the place of a track in a gutter."""
    counts = [0] * (len(columns) + 1)
    for (gutter, _), track in tracks.items():
        counts[gutter] = max(counts[gutter], track + 1)
    lefts, starts, x = [], [], 0.0
    for number, column in enumerate([*columns, []]):
        starts.append(x)
        is_outer = number in (0, len(columns))
        x += (2 * STUB + STEP * max(0, counts[number] - 1) if counts[number] else 0.0) if is_outer else 0.0
        x += 0.0 if is_outer else max(GUTTER, 2 * STUB + STEP * max(0, counts[number] - 1))
        lefts.append(x)
        x += max((boxes[each].width for each in column), default=0.0)
    widths = [left - start for left, start in zip(lefts, starts, strict=True)]

    def place_track(gutter: int, track: int) -> float:
        used = STEP * max(0, counts[gutter] - 1)
        return starts[gutter] + (widths[gutter] - used) / 2 + STEP * track

    return lefts, place_track


def _move_to_origin(corners: Sequence[Point], paths: Sequence[Sequence[Point]], boxes: Sequence[Box]) -> Drawing:
    every = [
        *corners,
        *((x + box.width, y + box.height) for (x, y), box in zip(corners, boxes, strict=True)),
        *(point for path in paths for point in path),
    ]
    left, top = min(x for x, _ in every), min(y for _, y in every)
    right, bottom = max(x for x, _ in every), max(y for _, y in every)
    return Drawing(
        tuple((x - left, y - top) for x, y in corners),
        tuple(tuple((x - left, y - top) for x, y in path) for path in paths),
        right - left,
        bottom - top,
    )
