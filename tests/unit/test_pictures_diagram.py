"""Diagrams of tables: each table, key and relation is there, no line crosses a box, and no name is code."""

import re
import unicodedata
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbkit.catalog import Fact
from dbkit.pictures.diagram import Diagram, from_catalog
from dbkit.pictures.diagram_svg import diagram_svg
from dbkit.pictures.dot import diagram_dot
from dbkit.pictures.labels import make_label
from dbkit.pictures.layers import arrange_layers, find_components
from dbkit.pictures.layout import Box, Edge, draw, fold_layers
from dbkit.pictures.mermaid import diagram_mermaid
from dbkit.pictures.tables import Change
from dbkit.redaction import redact
from support.pictures import HOSTILE, SVG, make_facts, make_random_facts, parse_svg

SHOP = make_facts(
    {
        "customers": {"id": "bigint NOT NULL", "name": "text"},
        "orders": {"id": "bigint NOT NULL", "customer_id": "bigint NOT NULL", "total": "numeric(10,2) DEFAULT 0"},
        "notes": {"id": "bigint NOT NULL"},
    },
    [("orders", "customer_id", "customers")],
)
MERMAID = """\
erDiagram
    t1_customers["customers"] {
        bigint id PK
        text name "null"
    }
    t2_notes["notes"] {
        bigint id PK
    }
    t3_orders["orders"] {
        bigint id PK
        bigint customer_id FK
        numeric_10_2 total "null"
    }
    t3_orders }o--|| t1_customers : "fk0\""""
QUOTED = r'"[^"\\%`<>#;{}\[\]|\x00-\x1f\x7f-\x9f]+"'
WORD = r"[A-Za-z][A-Za-z0-9_]*"
LINES = (
    r"erDiagram",
    rf"    t[0-9]+_[A-Za-z0-9_]*\[{QUOTED}\] \{{",
    rf"        {WORD} {WORD}( (PK|FK|UK)(, (PK|FK|UK))*)?( {QUOTED})?",
    r"    \}",
    rf"    t[0-9]+_[A-Za-z0-9_]* (\|o|\}}o)--(\|\||o\|) t[0-9]+_[A-Za-z0-9_]* : {QUOTED}",
)


def named(root: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [each for each in root.iter(f"{SVG}g") if kind in each.attrib.get("class", "").split()]


def make_hostile() -> Diagram:
    """A chain of tables: the names of tables, columns and types are hostile."""
    tables = {}
    for name in HOSTILE:
        escaped = name.replace('"', '""')
        tables[name] = {"id": "bigint NOT NULL", name: f'public."{escaped}"'}
    keys = [(name, name, former) for former, name in pairwise(HOSTILE)]
    return from_catalog(make_facts(tables, keys))


def test_tables_keys_and_relations_are_in_the_picture() -> None:
    root = parse_svg(diagram_svg(from_catalog(SHOP)))
    assert {each.attrib["data-name"] for each in named(root, "table")} == {"customers", "notes", "orders"}
    (relation,) = named(root, "relation")
    assert (relation.attrib["data-source"], relation.attrib["data-target"]) == ("orders", "customers")
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert {"PK", "FK", "customer_id", "numeric(10,2)?", "1 table without relations"} <= set(texts)


def test_mermaid_has_them_too() -> None:
    assert diagram_mermaid(from_catalog(SHOP)) == MERMAID


def test_a_line_ends_at_the_row_of_its_column() -> None:
    root = parse_svg(diagram_svg(from_catalog(SHOP)))
    rows = {each.text: float(each.attrib["y"]) for each in root.iter(f"{SVG}text") if each.text == "customer_id"}
    (line,) = named(root, "relation")
    (start, *_) = re.findall(r"M([0-9.]+) ([0-9.]+)", line.find(f"{SVG}path").attrib["d"])  # type: ignore[union-attr]
    assert abs(float(start[1]) - rows["customer_id"]) < 10


def test_only_touched_tables_and_their_neighbours_are_shown() -> None:
    part = from_catalog(SHOP, touched=["orders"])
    assert {each.key: each.is_touched for each in part.tables} == {"customers": False, "orders": True}
    assert [each.key for each in from_catalog(SHOP, touched=["notes"]).tables] == ["notes"]
    assert from_catalog(SHOP, touched=[]).tables == ()
    assert "No table is touched." in diagram_svg(from_catalog(SHOP, touched=[]))
    assert "There are no tables." in diagram_svg(from_catalog({}))


def test_changes_are_marked() -> None:
    after = {fact: text for fact, text in SHOP.items() if "notes" not in fact.identity and "name" not in fact.identity}
    customers = Fact("table", "customers")
    after[Fact("column", "customers.email", (customers,))] = "text NOT NULL"
    after |= make_facts({"invoices": {"id": "bigint NOT NULL"}})
    made = from_catalog(after, before=SHOP)
    changes = {table.key: table.change for table in made.tables}
    assert changes == {
        "customers": Change.CHANGED,
        "invoices": Change.NEW,
        "notes": Change.DROPPED,
        "orders": Change.NONE,
    }
    columns = {column.name: column.change for column in made.by_key["customers"].columns}
    assert columns == {"id": Change.NONE, "name": Change.DROPPED, "email": Change.NEW}
    assert not made.by_key["orders"].is_touched
    parse_svg(diagram_svg(made))


def test_a_partition_is_shown_as_its_table() -> None:
    facts = make_facts(
        {"logs": {"id": "bigint NOT NULL"}, "other": {"id": "bigint", "log": "bigint"}}, [("other", "log", "logs")]
    )
    for name, parent in (("logs_1", "logs"), ("logs_1_a", "logs_1")):
        fact = Fact("table", name)
        facts[fact] = f"PARTITION OF public.{parent} FOR VALUES IN (1)"
        facts[Fact("column", f"{name}.id", (fact,))] = "bigint NOT NULL (inherited)"
    made = from_catalog(facts, touched=["logs_1_a"])
    assert [(each.key, each.partitions, each.is_touched) for each in made.tables] == [
        ("logs", 2, True),
        ("other", 0, False),
    ]


def test_names_are_no_code_in_svg() -> None:
    made = make_hostile()
    assert len(made.tables) == len(HOSTILE)
    assert len(made.relations) == len(HOSTILE) - 1
    for each in (made, replace(made, title=HOSTILE[0])):
        assert len(named(parse_svg(diagram_svg(each)), "table")) == len(HOSTILE)


def test_names_are_no_code_in_mermaid() -> None:
    made = make_hostile()
    lines = diagram_mermaid(made).split("\n")
    assert [line for line in lines if not any(re.fullmatch(each, line) for each in LINES)] == []
    entities = re.findall(r"^    (t[0-9]+_\w*)\[", "\n".join(lines), re.MULTILINE)
    assert len(set(entities)) == len(HOSTILE)


def test_names_are_no_code_in_dot() -> None:
    made = make_hostile()
    text = diagram_dot(replace(made, title='a"b\\'))
    assert 'label="a\\"b\\\\";' in text
    labels = re.findall(r"\[label=<(.*)>\];", text)
    assert len(labels) == len(HOSTILE)
    for label in labels:
        table = ElementTree.fromstring(label)  # noqa: S314  # Graphviz reads it as XML, too
        assert {each.tag for each in table.iter()} <= {"TABLE", "TR", "TD", "B", "FONT"}
    strings = re.compile(r'"(?:[^"\\\n]|\\.)*"')
    for line in text.splitlines():
        assert '"' not in strings.sub("", re.sub(r"=<.*>\]", "", line)), line


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@settings(max_examples=40, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=5, unique=True))
def test_any_names_are_no_code(names: list[str]) -> None:
    tables = {name: {"id": "bigint NOT NULL", **{each: "text" for each in names if each != "id"}} for name in names}
    made = from_catalog(make_facts(tables, [(each, names[-1], names[0]) for each in names]), title=names[0])
    assert len(made.tables) == len(names)
    assert len(made.relations) == len(names)
    assert all(len(each.columns) == len({"id", *names}) for each in made.tables)
    root = parse_svg(diagram_svg(made))
    assert len(named(root, "table")) == len(names)
    texts = "".join(root.itertext()).replace("\n", "")
    assert not [letter for letter in texts if unicodedata.category(letter) == "Cc"]
    assert all(any(re.fullmatch(each, line) for each in LINES) for line in diagram_mermaid(made).split("\n"))
    assert [make_label(each) for each in map(make_label, names)] == [make_label(each) for each in names]


def test_no_secret_is_in_a_picture() -> None:
    redact.learn("hunter2-secret")
    facts = make_facts({"hunter2-secret": {"id": "bigint", "c": "text DEFAULT 'hunter2-secret'"}})
    made = from_catalog(facts, title="hunter2-secret")
    for text in (diagram_svg(made), diagram_mermaid(made), diagram_dot(made)):
        assert "hunter2" not in text


def test_a_large_schema_shows_its_keys_only() -> None:
    columns = {"id": "bigint NOT NULL", **{f"c{number}": "text" for number in range(10)}}
    text = diagram_svg(from_catalog(make_facts({f"t{number}": columns for number in range(50)})))
    assert "only the columns of keys are shown" in text
    assert text.count(">and 10 columns<") == 50
    assert len(text) < 100_000


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (2, 1), (10, 2), (25, 3), (25, 4), (120, 5)])
def test_no_line_crosses_a_box_and_no_box_another(count: int, seed: int) -> None:
    made = from_catalog(make_random_facts(count, seed))
    number = {table.key: place for place, table in enumerate(made.tables)}
    links = [(number[each.source], number[each.target]) for each in made.relations]
    boxes = [Box(120.0 + 7 * (place % 11), 40.0 + 20 * len(table.columns)) for place, table in enumerate(made.tables)]
    edges = [Edge(source, 33.0, target, 27.0) for source, target in links]
    drawing = draw(fold_layers(arrange_layers(count, links), boxes), boxes, edges)
    assert drawing == draw(fold_layers(arrange_layers(count, links), boxes), boxes, edges)
    areas = [(x, y, x + box.width, y + box.height) for (x, y), box in zip(drawing.corners, boxes, strict=True)]
    for place, (left, top, right, bottom) in enumerate(areas):
        assert left >= 0
        assert top >= 0
        assert right <= drawing.width + 0.01
        assert bottom <= drawing.height + 0.01
        for other in areas[:place]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    for edge, path in zip(edges, drawing.paths, strict=True):
        for (x, y), (to_x, to_y) in pairwise(path):
            assert x == to_x or y == to_y
            for left, top, right, bottom in areas:
                inside_x = max(x, to_x) > left + 0.01 and min(x, to_x) < right - 0.01
                inside_y = max(y, to_y) > top + 0.01 and min(y, to_y) < bottom - 0.01
                assert not (inside_x and inside_y), (edge, path)
        assert path[0][1] == pytest.approx(areas[edge.source][1] + edge.source_port)
        assert path[-1][1] == pytest.approx(areas[edge.target][1] + edge.target_port)
        assert path[0][0] in (pytest.approx(areas[edge.source][0]), pytest.approx(areas[edge.source][2]))


@pytest.mark.parametrize("count", [10, pytest.param(300, marks=pytest.mark.slow)])
def test_a_schema_has_one_picture(count: int) -> None:
    facts = make_random_facts(count, 7)
    text = diagram_svg(from_catalog(facts))
    assert text == diagram_svg(from_catalog(dict(reversed(facts.items()))))
    assert len(named(parse_svg(text), "table")) == count


def test_components_and_layers() -> None:
    assert find_components(5, [(0, 3), (3, 4)]) == [[0, 3, 4], [1], [2]]
    # in a circle, and with itself
    assert [len(layer) for layer in arrange_layers(4, [(1, 0), (2, 1), (3, 3), (0, 2)])] == [2, 1, 1]
    # what is referred to is on the left, as near as it can be
    assert [sorted(layer) for layer in arrange_layers(5, [(1, 0), (2, 1), (2, 3), (4, 1)])] == [[0], [1, 3], [2, 4]]
    deep = [(number + 1, number) for number in range(1500)]
    assert [len(layer) for layer in arrange_layers(1501, deep)] == [1] * 1501
