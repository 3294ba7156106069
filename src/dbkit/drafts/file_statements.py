"""Make objects that PostgreSQL prints no statement for (aggregates, operators, casts …) from their SQL files' text."""

from dbkit.catalog import Fact
from dbkit.drafts.comparison import Comparison
from dbkit.postgres.sql_script import split_script
from dbkit.postgres.sql_text import plain

OTHER_KINDS = (
    "aggregate",
    "operator",
    "operator class",
    "operator family",
    "cast",
    "collation",
    "conversion",
    "text search configuration",
    "text search dictionary",
    "event trigger",
    "publication",
    "server",
    "foreign-data wrapper",
    "foreign table",
    "language",
    "transform",
    "access method",
    "user mapping",
    "base type",
)


def find_statements(comparison: Comparison, fact: Fact, name: str) -> list[str]:
    """Return the statements of the file of this name that create objects of the kind; ALTER of these as well."""
    words = {"foreign-data wrapper": "foreign data wrapper", "base type": "type"}.get(fact.kind, fact.kind)
    found = []
    for step in split_script(comparison.modelled.texts.get(name, "")):
        text = plain(step.text).replace("create or replace ", "create ", 1)
        if text.startswith((f"create {words} ", f"alter {words} ")):
            found.append(step.text)
    return found
