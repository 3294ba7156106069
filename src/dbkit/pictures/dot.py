"""A diagram of tables in the DOT language, for Graphviz."""

from xml.sax.saxutils import escape

from dbkit.pictures.diagram import Diagram
from dbkit.pictures.tables import Change, Column, Relation, Table

COLOURS = {Change.NEW: "#1f6feb", Change.CHANGED: "#9a5b00", Change.DROPPED: "#c0262d"}


def diagram_dot(diagram: Diagram) -> str:
    """Return the diagram as lines, without an end of line."""
    numbers = {table.key: number for number, table in enumerate(diagram.tables, 1)}
    lines = [
        "digraph schema {",
        f"    label={_quote(diagram.title)};",
        '    rankdir=RL; node [shape=plaintext, fontname="Helvetica"]; edge [dir=both, color="#667080"];',
        *(_describe_table(table, numbers[table.key]) for table in diagram.tables),
        *(_describe_relation(diagram, relation, numbers) for relation in diagram.relations),
        "}",
    ]
    return "\n".join(lines)


def _describe_table(table: Table, number: int) -> str:
    rows = [f'<TR><TD COLSPAN="3" BGCOLOR="#e2ecfd"><B>{_escape(table.label)}</B></TD></TR>']
    rows += [_describe_column(column, place) for place, column in enumerate(table.columns)]
    frame = COLOURS.get(table.change, "#667080")
    content = "".join(rows)
    return (
        f'    t{number} [label=<<TABLE BORDER="0" CELLBORDER="1" CELLSPACING="0" COLOR="{frame}">{content}</TABLE>>];'
    )


def _describe_column(column: Column, place: int) -> str:
    keys = [("PK", column.is_primary), ("FK", column.is_foreign), ("U", column.is_unique and not column.is_primary)]
    marks = " ".join(mark for mark, has_it in keys if has_it) or " "
    type_name = _escape(column.type + ("?" if column.is_nullable else ""))
    name = _escape(column.name)
    if column.change in COLOURS:
        name = f'<FONT COLOR="{COLOURS[column.change]}">{name} ({column.change.value})</FONT>'
    cells = [f'<TD PORT="l{place}">{marks}</TD>', f'<TD ALIGN="LEFT">{name}</TD>']
    return f'<TR>{"".join(cells)}<TD ALIGN="LEFT" PORT="r{place}">{type_name}</TD></TR>'


def _describe_relation(diagram: Diagram, relation: Relation, numbers: dict[str, int]) -> str:
    source, target = diagram.by_key[relation.source], diagram.by_key[relation.target]
    start = f"t{numbers[source.key]}:l{source.number(relation.source_columns[0])}"
    end = f"t{numbers[target.key]}:r{target.number(relation.target_columns[0])}"
    many, one = "tee" if relation.is_unique else "crow", "teeodot" if relation.is_optional else "tee"
    return f"    {start} -> {end} [arrowtail={many}, arrowhead={one}, tooltip={_quote(relation.name)}];"


def _quote(label: str) -> str:
    """Return a label as a string of DOT, in which \\N and &amp; are escape sequences."""
    return '"' + escape(label).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escape(label: str) -> str:
    """Return a label for a text in DOT's HTML; an empty one is a syntax error there."""
    return escape(label, {'"': "&quot;"}) or " "
