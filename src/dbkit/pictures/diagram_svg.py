"""A diagram of tables as SVG: boxes with their columns, and lines from a foreign key to the key that it refers to."""

from collections.abc import Iterator, Sequence

from dbkit.pictures.diagram import Diagram
from dbkit.pictures.groups import Group, Ports, draw_groups
from dbkit.pictures.labels import count_columns, estimate_width, shorten
from dbkit.pictures.layout import Box, Point
from dbkit.pictures.svg import element, picture, text_element, title
from dbkit.pictures.tables import Change, Column, Relation, Table
from dbkit.wording import counted

HEADER, ROW, MARGIN, CORNER = 28.0, 20.0, 18.0, 6.0
MARKS = 44.0  # the width of PK and FK
CODE_SIZE, TEXT_SIZE, MORE_SIZE = 12, 13, 11
NARROWEST, LONGEST_NAME, LONGEST_TYPE = 150.0, 36, 26
EVERY_COLUMN = 40  # tables; in a larger diagram, only the columns of keys are shown
SIGNS = {Change.NONE: "", Change.NEW: "+", Change.CHANGED: "~", Change.DROPPED: "-"}
LEGEND = "PK primary key, FK foreign key, U unique, ? may be NULL"
STYLE = """\
.PREFIX .box{fill:var(--PREFIX-paper);stroke:var(--PREFIX-muted)}
.PREFIX .head{fill:var(--PREFIX-accent);opacity:.13}
.PREFIX .near .head{fill:var(--PREFIX-muted)}
.PREFIX .near .box{stroke-dasharray:4 3}
.PREFIX .new .box{stroke:var(--PREFIX-accent);stroke-width:2}
.PREFIX .changed .box{stroke:var(--PREFIX-warn);stroke-width:2}
.PREFIX .dropped .box{stroke:var(--PREFIX-bad);stroke-width:2}
.PREFIX .name{font-weight:600}
.PREFIX .more{font-size:11px}
.PREFIX .rule{stroke:var(--PREFIX-muted);opacity:.35}
.PREFIX .key{font-size:10px;font-weight:700;fill:var(--PREFIX-accent)}
.PREFIX .plus{fill:var(--PREFIX-accent);font-weight:700}
.PREFIX .tilde{fill:var(--PREFIX-warn);font-weight:700}
.PREFIX .minus{fill:var(--PREFIX-bad);font-weight:700}
.PREFIX .gone{text-decoration:line-through}
.PREFIX .relation path{fill:none;stroke:var(--PREFIX-muted);stroke-width:1.3}
.PREFIX .relation:hover path{stroke:var(--PREFIX-accent);stroke-width:2.4}
.PREFIX .relation.new path{stroke:var(--PREFIX-accent);stroke-width:1.8}
.PREFIX .relation.changed path{stroke:var(--PREFIX-warn);stroke-width:1.8}
.PREFIX .relation.dropped path{stroke:var(--PREFIX-bad);stroke-width:1.8}
.PREFIX .frame{fill:none;stroke:var(--PREFIX-muted);opacity:.4}
"""
SIGN_CLASSES = {Change.NEW: "plus", Change.CHANGED: "tilde", Change.DROPPED: "minus"}


def diagram_svg(diagram: Diagram, prefix: str = "dbkit-diagram") -> str:
    """Return the picture as one `<svg>` element, safe in an HTML page. `prefix` begins its ids and classes.

    Each table is a `<g class="table">` with its name in `data-name`, each relation a `<g class="relation">` with the
    names of its tables in `data-source` and `data-target`.
    """
    shown = {table.key: _choose_columns(diagram, table) for table in diagram.tables}
    boxes = {table.key: _measure(table, shown[table.key]) for table in diagram.tables}
    ends = {each: _find_ports(diagram, each, shown) for each in diagram.relations}
    groups = draw_groups(diagram, Ports(boxes, ends))
    head = _describe(diagram)
    top = MARGIN + 20 * len(head) + 12
    content: list[str] = [
        text_element(line, MARGIN, MARGIN + 12 + 20 * number, class_="name" if number == 0 else "muted")
        for number, line in enumerate(head)
    ]
    drawn = []
    for group in groups:
        if group.title:
            x, y = group.corner
            drawn.append(element("rect", class_="frame", x=x, y=y, width=group.width, height=group.height, rx=10))
            drawn.append(text_element(group.title, x + 14, y + 18, class_="muted"))
        drawn += [_draw_relation(diagram, relation, path) for relation, path in group.paths]
        drawn += [
            _draw_table(diagram.by_key[key], shown[key], corner, group.widths[key], boxes[key].height)
            for key, corner in group.corners.items()
        ]
    content.append(element("g", *drawn, transform=f"translate({MARGIN:g} {top:g})") if drawn else "")
    width = max([_right(groups), *(estimate_width(line, TEXT_SIZE) for line in head)]) + 2 * MARGIN
    height = max([group.corner[1] + group.height for group in groups], default=0.0) + top + MARGIN
    description = " ".join([*head, *(f"{table.label}." for table in diagram.tables[:50])])
    return picture(content, width, height, prefix, diagram.title, description, STYLE.replace("PREFIX", prefix))


def _right(groups: Sequence[Group]) -> float:
    return max([group.corner[0] + group.width for group in groups], default=0.0)


def _describe(diagram: Diagram) -> list[str]:
    if not diagram.tables:
        return [diagram.title, "No table is touched." if diagram.is_part else "There are no tables."]
    counts = f"{counted(len(diagram.tables), 'table')}, {counted(len(diagram.relations), 'relation')}"
    only_keys = "; only the columns of keys are shown" if len(diagram.tables) > EVERY_COLUMN else ""
    changes = {table.change for table in diagram.tables} - {Change.NONE}
    marks = ", + new, ~ changed, - dropped" if changes else ""
    return [diagram.title, f"{counts}{only_keys}", f"{LEGEND}{marks}"]


def _choose_columns(diagram: Diagram, table: Table) -> list[Column]:
    """Return the columns that are shown: all in a small diagram, else, and of neighbours, those of keys."""
    if len(diagram.tables) <= EVERY_COLUMN and table.is_touched:
        return list(table.columns)
    referred = {
        key
        for each in diagram.relations
        for owner, keys in ((each.source, each.source_columns), (each.target, each.target_columns))
        if owner == table.key
        for key in keys
    }
    return [
        each
        for each in table.columns
        if each.is_primary or each.is_foreign or each.key in referred or each.change is not Change.NONE
    ]


def _measure(table: Table, columns: Sequence[Column]) -> Box:
    rest = len(table.columns) - len(columns)
    rows = len(columns) + bool(rest)
    names = [MARKS + 30 + _row_width(column) for column in columns]
    names += [MARKS + 24 + estimate_width(_more(table, columns), MORE_SIZE)] if rest else []
    header = estimate_width(_header(table), TEXT_SIZE) * 1.08 + 24
    return Box(max(NARROWEST, header, *names, 0.0), HEADER + ROW * rows + (6 if rows else 0))


def _more(table: Table, columns: Sequence[Column]) -> str:
    """Return the words for the columns that are not shown."""
    number = counted(len(table.columns) - len(columns), "column")
    return f"and {number}" if columns else number


def _row_width(column: Column) -> float:
    name, type_name = _shown(column)
    return (count_columns(name) + count_columns(type_name) + 2) * CODE_SIZE * 0.62


def _header(table: Table) -> str:
    return f"{shorten(table.label, 44)}{_kind(table)}"


def _kind(table: Table) -> str:
    partitions = f", {counted(table.partitions, 'partition')}" if table.partitions else ""
    return f"{' (foreign)' if table.is_foreign else ''}{partitions}"


def _shown(column: Column) -> tuple[str, str]:
    return shorten(column.name, LONGEST_NAME), shorten(column.type, LONGEST_TYPE) + ("?" if column.is_nullable else "")


def _find_ports(diagram: Diagram, relation: Relation, shown: dict[str, list[Column]]) -> tuple[float, float]:
    """Return the heights of a relation's ends: at the rows of the columns, and never two ends at one height."""
    first = [each.key for each in shown[relation.source]].index(relation.source_columns[0])
    last = [each.key for each in shown[relation.target]].index(relation.target_columns[0])
    return HEADER + ROW * first + ROW / 2 + 3, HEADER + ROW * last + ROW / 2 - 3


def _draw_table(table: Table, columns: Sequence[Column], corner: Point, width: float, height: float) -> str:
    x, y = corner
    rows = [
        element("rect", class_="box", x=x, y=y, width=width, height=height, rx=CORNER),
        element("path", class_="head", d=_head_path(x, y, width)),
        text_element(_header(table), x + 12, y + 18.5, class_="name"),
    ]
    if len(columns) or table.columns:
        rows.append(element("path", class_="rule", d=f"M{x:g} {y + HEADER:g}h{width:g}"))
    rows += [_draw_column(each, x, y + HEADER + ROW * number, width) for number, each in enumerate(columns)]
    rest = [each for each in table.columns if each not in columns]
    if rest:
        names = title("\n".join(each.name for each in rest))
        place = y + HEADER + ROW * len(columns) + 15
        rows.append(
            element("g", names, text_element(_more(table, columns), x + 12 + MARKS, place, class_="more muted"))
        )
    classes = ["table", *([] if table.is_touched else ["near"]), *([table.change.value] if table.change.value else [])]
    about = ", ".join(filter(None, [table.label + _kind(table), table.change.value]))
    return element("g", title(about), *rows, class_=" ".join(classes), **{"data-name": table.label})


def _head_path(x: float, y: float, width: float) -> str:
    return (
        f"M{x:.1f} {y + HEADER:.1f}v{CORNER - HEADER:g}q0 {-CORNER:g} {CORNER:g} {-CORNER:g}h{width - 2 * CORNER:.1f}"
        f"q{CORNER:g} 0 {CORNER:g} {CORNER:g}v{HEADER - CORNER:g}z"
    )


def _draw_column(column: Column, x: float, y: float, width: float) -> str:
    name, type_name = _shown(column)
    baseline = y + 15
    keys = [("PK", column.is_primary), ("FK", column.is_foreign), ("U", column.is_unique and not column.is_primary)]
    marks = " ".join(mark for mark, has_it in keys if has_it)
    gone = " gone" if column.change is Change.DROPPED else ""
    parts = [text_element(marks, x + 12, baseline - 0.5, class_="key")] if marks else []
    if column.change in SIGN_CLASSES:
        parts.append(text_element(SIGNS[column.change], x + 3, baseline, class_=f"code {SIGN_CLASSES[column.change]}"))
    parts.append(text_element(name, x + 12 + MARKS, baseline, class_=f"code{gone}"))
    parts.append(text_element(type_name, x + width - 10, baseline, class_=f"code muted{gone}", text_anchor="end"))
    if (name, type_name.removesuffix("?")) != (column.name, column.type):
        parts.insert(0, title(f"{column.name} {column.type}"))
        return element("g", *parts)
    return "".join(parts)


def _draw_relation(diagram: Diagram, relation: Relation, path: Sequence[Point]) -> str:
    source, target = diagram.by_key[relation.source], diagram.by_key[relation.target]
    columns = [
        f"{table.label} ({', '.join(table.columns[table.number(key)].name for key in keys)})"
        for table, keys in ((source, relation.source_columns), (target, relation.target_columns))
    ]
    kind = " ".join(["relation", *([relation.change.value] if relation.change.value else [])])
    data = {"data-name": relation.name, "data-source": source.label, "data-target": target.label}
    shape = "".join([_rounded(path), *_draw_ends(relation, path)])
    about = title(f"{' → '.join(columns)}\n{relation.name}")
    return element("g", about, element("path", d=shape), class_=kind, **data)


def _draw_ends(relation: Relation, path: Sequence[Point]) -> Iterator[str]:
    """Yield the marks at the ends: a crow's foot for many rows, a bar for one, a circle where there may be none."""
    (x, y), (next_x, _) = path[0], path[1]
    side = 1 if next_x > x else -1
    if relation.is_unique:
        yield f"M{x + side * 7:.1f} {y - 5:.1f}v10"
    else:
        yield f"M{x:.1f} {y - 5:.1f}L{x + side * 9:.1f} {y:.1f}L{x:.1f} {y + 5:.1f}"
    (x, y), (before_x, _) = path[-1], path[-2]
    side = 1 if before_x > x else -1
    yield f"M{x + side * 5:.1f} {y - 5:.1f}v10"


def _rounded(path: Sequence[Point]) -> str:
    """Return the path of a line with round corners."""
    points = [point for number, point in enumerate(path) if number == 0 or point != path[number - 1]]
    parts = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, point, after in zip(points, points[1:], points[2:], strict=False):
        start, end = _towards(point, before), _towards(point, after)
        parts.append(f"L{start[0]:.1f} {start[1]:.1f}Q{point[0]:.1f} {point[1]:.1f} {end[0]:.1f} {end[1]:.1f}")
    parts.append(f"L{points[-1][0]:.1f} {points[-1][1]:.1f}")
    return "".join(parts)


def _towards(point: Point, other: Point) -> Point:
    """Return the point where a round corner begins or ends."""
    distance = abs(other[0] - point[0]) + abs(other[1] - point[1])
    share = min(CORNER, distance / 2) / distance
    return point[0] + (other[0] - point[0]) * share, point[1] + (other[1] - point[1]) * share
