"""The objects of a database as SQL that creates and drops them, and which of them depend on which."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dbkit.catalog import Fact

TYPE_KINDS = ("enum", "domain", "composite type", "range type")
DEFAULT = "default"
"""The kind of the fact for the default of a column, which is part of the column's fact otherwise."""


@dataclass(frozen=True)
class DatabaseObject:
    """An object. Texts are SQL, with the names that the search path of the project's session needs."""

    fact: Fact
    schema: str
    name: str
    """Its quoted name, with its schema where that is not found first: that of its table for a trigger and the like."""
    oid: int = 0
    """Objects can be created in this order: it is that in which they were."""
    bare_name: str = ""
    """Of a type: its name without quotes."""
    target: str = ""
    """As in DROP and COMMENT ON: `VIEW paid`, `FUNCTION f(integer)`, `TRIGGER touch ON orders`."""
    create: tuple[str, ...] = ()
    """The statements that create it; none where it cannot be made again from the catalog."""
    drop: str = ""
    replace: tuple[str, ...] = ()
    """The statements that change it in place into this, where `signature` allows it."""
    signature: tuple[str, ...] = ()
    """What CREATE OR REPLACE cannot change: see `can_replace`."""
    added: tuple[str, ...] = ()
    """What CREATE OR REPLACE can only add to: the columns of a view, the defaults of a function's arguments."""
    multirange: str = ""
    """The quoted name of the type that comes with a range."""
    roles: tuple[str, ...] = ()
    """The roles that a policy or a privilege is for."""
    labels: tuple[str, ...] = ()
    """Of an enum."""
    base: str = ""
    """The type that a domain is made of, or that of a column, with its collation."""
    default: str | None = None
    is_required: bool = False
    attributes: tuple[tuple[str, str], ...] = ()
    """Of a composite type: quoted name, and type with collation."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Of a sequence: all of them."""
    is_owned: bool = False
    """Whether a column owns it: a sequence."""


def can_replace(before: DatabaseObject, after: DatabaseObject) -> bool:
    """Whether CREATE OR REPLACE changes the one into the other."""
    return (
        bool(after.replace) and before.signature == after.signature and before.added == after.added[: len(before.added)]
    )


@dataclass(frozen=True)
class Objects:
    """All objects of a database."""

    by_fact: Mapping[Fact, DatabaseObject] = field(default_factory=dict)
    uses: Mapping[Fact, frozenset[Fact]] = field(default_factory=dict)
    """The objects that each depends on directly, by pg_depend: also columns and tables, and the table of a column."""

    @cached_property
    def users(self) -> Mapping[Fact, set[Fact]]:
        """The direct dependents of each object."""
        result: dict[Fact, set[Fact]] = {}
        for user, used in self.uses.items():
            for each in used:
                result.setdefault(each, set()).add(user)
        return result

    def find_used(self, facts: Iterable[Fact]) -> set[Fact]:
        """Return all that these objects depend on, also through others."""
        return _close(facts, self.uses)

    def find_users(self, facts: Iterable[Fact]) -> set[Fact]:
        """Return all that depends on these objects, also through others."""
        return _close(facts, self.users)


def _close(facts: Iterable[Fact], edges: Mapping[Fact, Collection[Fact]]) -> set[Fact]:
    found: set[Fact] = set()
    waiting = list(facts)
    while waiting:
        for each in edges.get(waiting.pop(), ()):
            if each not in found:
                found.add(each)
                waiting.append(each)
    return found


def sort_by_use(facts: Iterable[Fact], *graphs: Objects) -> list[Fact]:
    """Sort so that each object comes after those that it depends on, also through others; else as they were created."""

    def place(fact: Fact) -> tuple[int, Fact]:
        return next((graph.by_fact[fact].oid for graph in graphs if fact in graph.by_fact), 0), fact

    wanted = sorted(set(facts), key=place)
    among = set(wanted)
    placed: dict[Fact, None] = {}
    seen: set[Fact] = set()

    def used(fact: Fact) -> Iterator[Fact]:
        for graph in graphs:
            yield from sorted(graph.uses.get(fact, ()), key=place)

    for start in wanted:
        path = [(start, used(start))] if start not in seen else []
        seen.add(start)
        while path:
            fact, rest = path[-1]
            following = next((each for each in rest if each not in seen), None)
            if following is not None:
                seen.add(following)
                path.append((following, used(following)))
                continue
            path.pop()
            if fact in among:
                placed[fact] = None
    return list(placed)
