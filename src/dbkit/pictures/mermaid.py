"""A diagram of tables as a Mermaid erDiagram, which GitHub and GitLab draw in Markdown.

The names that Mermaid's grammar sees are made here, of ASCII letters, digits and `_`. The real ones are in quotes, and
the characters that have a meaning for Mermaid, Markdown or HTML are replaced there.
"""

import re
import unicodedata

from dbkit.pictures.diagram import Diagram
from dbkit.pictures.tables import Column, Relation

NOT_IN_A_WORD = re.compile(r"[^A-Za-z0-9_]+")
SPECIAL = '"`<>&|%\\#;[]{}*$~@'
FULL_WIDTH = str.maketrans({letter: chr(ord(letter) + 0xFEE0) for letter in SPECIAL})
"""By letter, the form that it has among East Asian letters."""


def diagram_mermaid(diagram: Diagram) -> str:
    """Return the diagram as lines, without an end of line and without the fence of Markdown."""
    names = {table.key: f"t{number}_{_make_word(table.name)}" for number, table in enumerate(diagram.tables, 1)}
    lines = ["erDiagram"]
    for table in diagram.tables:
        lines.append(f'    {names[table.key]}["{quote_label(table.label)}"] {{')
        lines += [f"        {_describe_column(column)}" for column in table.columns]
        lines.append("    }")
    lines += [_describe_relation(each, names) for each in diagram.relations]
    return "\n".join(lines)


def quote_label(label: str) -> str:
    """Return a label without characters that have a meaning within Mermaid's quotes; not empty."""
    shown = "".join(letter for letter in label.translate(FULL_WIDTH) if unicodedata.category(letter) != "Cf")
    return shown.strip() or "_"


def _describe_column(column: Column) -> str:
    type_name, name = (_make_word(each, "c_") for each in (column.type, column.name))
    keys = [("PK", column.is_primary), ("FK", column.is_foreign), ("UK", column.is_unique and not column.is_primary)]
    marks = ", ".join(mark for mark, has_it in keys if has_it)
    notes = [*([column.name] if name != column.name else []), column.change.value, "null" if column.is_nullable else ""]
    note = ", ".join(filter(None, notes))
    return " ".join(filter(None, [type_name, name, marks, f'"{quote_label(note)}"' if note else ""]))


def _describe_relation(relation: Relation, names: dict[str, str]) -> str:
    many = "|o" if relation.is_unique else "}o"
    one = "o|" if relation.is_optional else "||"
    return f'    {names[relation.source]} {many}--{one} {names[relation.target]} : "{quote_label(relation.name)}"'


def _make_word(text: str, prefix: str = "") -> str:
    """Return a text as a word of Mermaid's grammar; `prefix` is put before one that does not begin with a letter."""
    word = NOT_IN_A_WORD.sub("_", text).strip("_")
    return word if word[:1].isalpha() or not prefix else f"{prefix}{word}"
