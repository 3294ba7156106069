"""Groups of tables that are connected with each other, drawn one by one and put beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

from dbkit.pictures.diagram import Diagram
from dbkit.pictures.layers import arrange_layers, find_components
from dbkit.pictures.layout import SHAPE, Box, Drawing, Edge, Point, draw, fold_layers
from dbkit.pictures.tables import Relation, Table
from dbkit.wording import counted

PADDING, HEADING, BETWEEN = 18.0, 26.0, 22.0


@dataclass(frozen=True)
class Group:
    """Tables with their relations, drawn; the points are within the whole picture."""

    title: str
    corner: Point
    width: float
    height: float
    corners: Mapping[str, Point]
    """By table."""
    widths: Mapping[str, float]
    paths: Sequence[tuple[Relation, tuple[Point, ...]]]


@dataclass(frozen=True)
class Ports:
    """The size of each table, and the places of a relation's ends on its tables, from their upper edges."""

    boxes: Mapping[str, Box]
    ends: Mapping[Relation, tuple[float, float]]


def draw_groups(diagram: Diagram, ports: Ports) -> list[Group]:
    """Draw each connected component, and the tables without relations by schema; the largest first."""
    tables = diagram.tables
    number = {table.key: place for place, table in enumerate(tables)}
    components = find_components(
        len(tables), [(number[each.source], number[each.target]) for each in diagram.relations]
    )
    linked = {key for each in diagram.relations for key in (each.source, each.target)}
    groups = [
        _draw_component([tables[each] for each in component], diagram.relations, ports)
        for component in components
        if tables[component[0]].key in linked
    ]
    loose: dict[str, list[Table]] = {}
    for table in tables:
        if table.key not in linked:
            loose.setdefault(table.schema, []).append(table)
    groups += [_draw_loose(schema, found, ports) for schema, found in loose.items()]
    return _pack(groups) if len(groups) > 1 else [replace(each, title="", corner=(0.0, 0.0)) for each in groups]


def _draw_component(tables: Sequence[Table], relations: Sequence[Relation], ports: Ports) -> Group:
    number = {table.key: place for place, table in enumerate(tables)}
    own = [each for each in relations if each.source in number]
    layers = arrange_layers(len(tables), [(number[each.source], number[each.target]) for each in own])
    schemas = sorted({table.schema for table in tables})
    where = f" in {', '.join(schemas)}" if schemas != ["public"] else ""
    return _draw(f"{counted(len(tables), 'table')}{where}", tables, own, layers, ports)


def _draw_loose(schema: str, tables: Sequence[Table], ports: Ports) -> Group:
    where = f" in {schema}" if schema != "public" else ""
    title = f"{counted(len(tables), 'table')}{where} without relations"
    return _draw(title, tables, [], [list(range(len(tables)))], ports)


def _draw(
    title: str, tables: Sequence[Table], relations: Sequence[Relation], layers: Sequence[Sequence[int]], ports: Ports
) -> Group:
    boxes = [ports.boxes[table.key] for table in tables]
    columns = fold_layers(layers, boxes)
    for column in columns:
        width = max(boxes[each].width for each in column)
        for each in column:
            boxes[each] = replace(boxes[each], width=width)
    number = {table.key: place for place, table in enumerate(tables)}
    edges = [
        Edge(number[each.source], ports.ends[each][0], number[each.target], ports.ends[each][1]) for each in relations
    ]
    drawing = draw(columns, boxes, edges)
    return _make_group(title, tables, boxes, relations, drawing)


def _make_group(
    title: str, tables: Sequence[Table], boxes: Sequence[Box], relations: Sequence[Relation], drawing: Drawing
) -> Group:
    return Group(
        title=title,
        corner=(0.0, 0.0),
        width=drawing.width,
        height=drawing.height,
        corners={table.key: corner for table, corner in zip(tables, drawing.corners, strict=True)},
        widths={table.key: box.width for table, box in zip(tables, boxes, strict=True)},
        paths=list(zip(relations, drawing.paths, strict=True)),
    )


def _pack(groups: Sequence[Group]) -> list[Group]:
    """Put the groups on shelves, from left to right and down, with a frame and a heading each."""
    framed = [replace(each, width=each.width + 2 * PADDING, height=each.height + HEADING + PADDING) for each in groups]
    area = sum((each.width + BETWEEN) * (each.height + BETWEEN) for each in framed)
    limit = max(sqrt(area * SHAPE), *(each.width for each in framed))
    found = []
    x = y = shelf = 0.0
    for each in framed:
        if x and x + each.width > limit:
            x, y, shelf = 0.0, y + shelf + BETWEEN, 0.0
        found.append(_move(each, x, y))
        x += each.width + BETWEEN
        shelf = max(shelf, each.height)
    return found


def _move(group: Group, x: float, y: float) -> Group:
    def move(point: Point) -> Point:
        return point[0] + x + PADDING, point[1] + y + HEADING

    return replace(
        group,
        corner=(x, y),
        corners={key: move(corner) for key, corner in group.corners.items()},
        paths=[(relation, tuple(map(move, path))) for relation, path in group.paths],
    )
