"""Schemas, histories and hostile names for the tests of pictures."""

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from dbkit import project
from dbkit.catalog import Fact, object_name
from dbkit.catalog.facts import display_name
from dbkit.project import Project

SVG = "{http://www.w3.org/2000/svg}"
INI = "[alembic]\nscript_location = %(here)s/migrations\npath_separator = space\n"
FILE = '"""{message}"""\n\nrevision = {id!r}\ndown_revision = {down!r}\nbranch_labels = {labels!r}\ndepends_on = {needs!r}\n'
# what a name or a message may have in it; a server takes 63 bytes
HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "]]><style>*{}</style>",
    "<!-- x",
    "a`b``c",
    "a|b",
    "😀👩‍👩‍👧 x",
    "line\nbreak",
    "tab\tand\rreturn",
    "\x1b[31mred\x1b[0m",
    "\x1b]8;;http://x\x07link\x1b]8;;\x07",
    "\x9b31m\x9d0;title\x9c",
    "bell\x07 back\x08",
    "\u202egnp.exe",
    "x" * 63,
    "a noncharacter \ufffe",
    " ",
    '"',
    "'",
    "\\",
    "\\N",
    '\\"',
    "&amp;",
    "#35;",
    "%% a comment",
    "%%{init: {}}%%",
    "title",
    "erDiagram",
    "direction",
    "one or more",
    "}o--o{",
    "[b]",
    "{c}",
    "(d)",
    "end",
    "u",
    "to",
    "a:::b",
    "a;b",
    "$x$ **y** _z_",
    "Ünï",
    "表",
    "digraph {",
    "strict",
]


def make_facts(
    tables: Mapping[str, Mapping[str, str]], keys: Iterable[tuple[str, str, str]] = (), primary: str = "id"
) -> dict[Fact, str]:
    """The catalog facts of tables in schema public, with their columns, and of foreign keys: table, column, table."""
    facts: dict[Fact, str] = {}
    made = {name: Fact("table", object_name(name)) for name in tables}
    for name, columns in tables.items():
        table = made[name]
        facts[table] = "plain"
        for column, definition in columns.items():
            facts[Fact("column", f"{table.identity}.{display_name(column)}", (table,))] = definition
        facts[Fact("column order", table.identity, (table,))] = ", ".join(map(display_name, columns))
        if primary in columns:
            facts[Fact("constraint", f"pk on {table.identity}", (table,))] = f"PRIMARY KEY ({primary})"
    for number, (source, column, target) in enumerate(keys):
        fact = Fact("constraint", f"fk{number} on {made[source].identity}", (made[source],))
        facts[fact] = f"FOREIGN KEY ({quote(column)}) REFERENCES public.{quote(target)}({primary})"
    return facts


def quote(name: str) -> str:
    """A name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def make_random_facts(count: int, seed: int) -> dict[Fact, str]:
    """A schema of so many tables: some are referred to by many, some by none, some by themselves or in a circle."""
    chosen = random.Random(seed)  # noqa: S311  # the same for the same seed
    tables: dict[str, dict[str, str]] = {}
    keys = []
    for number in range(count):
        columns = {"id": "bigint NOT NULL"}
        columns |= {f"c{column}": "timestamp with time zone" for column in range(chosen.randint(0, 8))}
        for place in range(chosen.choice((0, 1, 1, 2, 3))):
            target = int(chosen.random() ** 2 * count) if number % 9 else number
            columns[f"r{place}_id"] = chosen.choice(("bigint", "bigint NOT NULL"))
            keys.append((f"t{number}", f"r{place}_id", f"t{target}"))
        tables[f"t{number}"] = columns
    return make_facts(tables, keys)


def load_history(directory: Path, *rows: Sequence[object]) -> Project:
    """A project of revisions: id, down_revision, and where they have some: depends_on, branch label, message."""
    versions = directory / "migrations/versions"
    versions.mkdir(parents=True)
    (directory / "alembic.ini").write_text(INI)
    for number, row in enumerate(rows):
        given = [*row, *[None] * (5 - len(row))]
        identifier, down, needs, label, message = given
        text = FILE.format(id=identifier, down=down, needs=needs, labels=label, message="")
        path = versions / f"{number:04}.py"
        path.write_text(text.replace('""""""', repr(message or f"Message of {identifier}")), encoding="utf-8")
    return project.load(directory / "alembic.ini")


def parse_svg(text: str) -> ElementTree.Element:
    """Parse a picture strictly; it has no element that could run or load anything."""
    root = ElementTree.fromstring(text)  # noqa: S314  # made here
    assert root.tag == f"{SVG}svg"
    known = {f"{SVG}{name}" for name in ("svg", "g", "title", "desc", "style", "rect", "path", "text", "circle")}
    for each in root.iter():
        assert each.tag in known
        assert not any(name.lower().startswith("on") or "href" in name for name in each.attrib)
    (style,) = root.iter(f"{SVG}style")
    assert "url(" not in (style.text or "")
    assert "@import" not in (style.text or "")
    assert root.attrib["role"] == "img"
    named = root.attrib["aria-labelledby"].split()
    assert named == [each.attrib["id"] for each in root.iter() if "id" in each.attrib]
    return root
