"""How the values of a column are converted to another type: by PostgreSQL's rules for casts."""

from collections.abc import Mapping, Sequence

from dbkit.drafts.shapes import Column

FAMILIES = (
    {"smallint", "integer", "bigint"},
    {"character varying", "text"},
    {"date", "timestamp without time zone", "timestamp with time zone"},
    {"real", "double precision"},
)
"""Types whose values can be compared with each other by one operator family."""
STRINGS = {"text", "character varying", "character", "name", "citext"}
STRING = "S"


def is_comparable(columns: Sequence[Column]) -> bool:
    """Whether a foreign key may join columns of these types."""
    names = {column.type_name for column in columns}
    return len(names) == 1 or any(names <= family for family in FAMILIES)


def is_assignable(before: Column, after: Column, casts: Mapping[tuple[str, str], str]) -> bool:
    """Whether ALTER COLUMN … TYPE converts a column, with its default, without USING."""
    return _context(before, after, casts) in ("i", "a")


def conversion(
    before: Column, after: Column, casts: Mapping[tuple[str, str], str], *, is_downgrade: bool
) -> str | None:
    """The expression for USING, "" where none is needed; None where PostgreSQL has no cast."""
    name = after.sql
    context = _context(before, after, casts)
    if before.element and not after.element:
        # PostgreSQL would take '{a,b}' for a text
        return (
            (f"{name}[1]" if before.element == after.type_name else f"{name}[1]::{after.type}")
            if is_downgrade
            else None
        )
    if after.element and not before.element:
        is_castable = after.element == before.type_name or before.category == STRING
        is_castable = is_castable or (before.type_name, after.element) in casts or after.element in STRINGS
        return f"CASE WHEN {name} IS NOT NULL THEN ARRAY[{name}]::{after.type} END" if is_castable else None
    if context in ("i", "a"):
        return ""
    if context == "e":
        return f"{name}::{after.type}"
    if "boolean" in (before.type_name, after.type_name):
        first, second = (before.type_name, "integer"), ("integer", after.type_name)
        if first in casts and second in casts:
            return f"{name}::integer::{after.type}"
    are_enums = before.uses and after.uses and before.uses.kind == after.uses.kind == "enum"
    if are_enums and bool(before.element) == bool(after.element):
        return f"{name}::text::{after.type}"
    return None


def _context(before: Column, after: Column, casts: Mapping[tuple[str, str], str]) -> str | None:
    """Where the cast applies: "i" implicitly, "a" in an assignment, "e" where it is written; None without one."""
    if before.type_name == after.type_name:
        return "i"
    found = casts.get((before.type_name, after.type_name))
    if found:
        return found
    if before.element and after.element:
        if before.element == after.element:
            return "i"
        found = casts.get((before.element, after.element))
        return found or ("a" if after.element in STRINGS else "e" if before.element in STRINGS else None)
    if after.category == STRING:
        return "a"
    if before.category == STRING:
        return "e"
    return None
