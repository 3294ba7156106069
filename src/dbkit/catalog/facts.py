"""Catalog facts: the objects of a database, each with a definition that is equal exactly when the object is equal.

A fact leaves out the owner, the data and the server's internals: statistics, sequence positions, OIDs.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

COLUMN_ORDER = "column order"
PLAIN = "plain"  # the definition of an object that has no more properties than its name
FIRST_NORMAL_OID = 16384  # access/transam.h: lower OIDs are those of the objects that initdb creates
INHERITED = " (inherited)"  # the suffix of a definition that a table has from its parent
MODEL_KINDS = {"column", "constraint", "index"}


@dataclass(frozen=True, order=True, slots=True)
class Fact:
    """The kind and the name of an object, such as ("column", "orders.placed_at"); only these two are compared."""

    kind: str
    identity: str
    """Without a prefix in schema public; "ix_a on orders" for an object that is named within a table."""
    of: tuple["Fact", ...] = field(default=(), compare=False, repr=False)
    """The objects that this one is created and dropped with: a column's table, the parent of a partition's index."""
    uses: "Fact | None" = field(default=None, compare=False, repr=False)
    """The type of a column, unless PostgreSQL brings it."""

    def __hash__(self) -> int:
        """Return the hash of the identity, which a str keeps: there are hundreds of thousands of look-ups."""
        return hash(self.identity)

    def __str__(self) -> str:
        return f"{self.kind} {self.identity}"


def select_model_facts(facts: Mapping[Fact, str], tables: Collection[str]) -> dict[Fact, str]:
    """Select the facts that models define of `tables` (by Fact.identity): columns, constraints, indexes, and enums.

    Models do not define the order of columns, storage, statistics targets, comments and grants.
    """
    kept = {
        fact: definition
        for fact, definition in facts.items()
        if fact.kind in MODEL_KINDS and any(owner.kind == "table" and owner.identity in tables for owner in fact.of)
    }
    enums = {fact.uses for fact in kept if fact.uses and fact.uses.kind == "enum"}
    return kept | {fact: definition for fact, definition in facts.items() if fact in enums}


def object_name(name: str, schema: str = "public") -> str:
    """The identity of an object in a schema."""
    return display_name(name) if schema == "public" else f"{display_name(schema)}.{display_name(name)}"


@lru_cache(maxsize=10_000)
def display_name(name: str) -> str:
    """The name for display, quoted only where it would be ambiguous."""
    return name if re.fullmatch(r"[^\W\d][\w$]*", name) else '"' + name.replace('"', '""') + '"'
