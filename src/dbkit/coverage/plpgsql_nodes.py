"""The statements of PL/pgSQL, whose SQL is still text."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Variable:
    """A declared variable, with the expression of its initial value; a cursor has a query."""

    name: str
    type: str
    value: str = ""
    query: str = ""
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """BEGIN … END, with the bodies of its exception handlers."""

    variables: tuple[Variable, ...]
    body: "Body"
    handlers: tuple["Body", ...] = ()


@dataclass(frozen=True)
class Branches:
    """IF and CASE: conditions with bodies. The condition of ELSE is empty."""

    arms: tuple[tuple[str, "Body"], ...]


@dataclass(frozen=True)
class Dynamic:
    """The text of EXECUTE, as an expression, with the expressions of USING."""

    text: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Range:
    """The limits of a loop over integers, the lower one first."""

    low: str
    high: str


@dataclass(frozen=True)
class ArrayItems:
    """The array of FOREACH."""

    array: str


@dataclass(frozen=True)
class Loop:
    """A loop over rows, numbers or items; without a source LOOP and WHILE, whose condition may be empty."""

    targets: tuple[str, ...]
    source: "str | Dynamic | Range | ArrayItems | None"
    condition: str
    body: "Body"


@dataclass(frozen=True)
class Assignment:
    """`target := value`."""

    targets: tuple[str, ...]
    value: str


@dataclass(frozen=True)
class Command:
    """An SQL statement, with the variables of INTO."""

    statement: str | Dynamic
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Leave:
    """EXIT, CONTINUE, RETURN or an exception: statements behind it are not reached when the condition is met."""

    condition: str = ""
    value: str = ""


@dataclass(frozen=True)
class Assert:
    """ASSERT, with its condition."""

    condition: str


@dataclass(frozen=True)
class Open:
    """OPEN of a cursor: for a query, or with arguments for its declared one."""

    cursor: str
    query: str | Dynamic


@dataclass(frozen=True)
class Fetch:
    """FETCH from a cursor."""

    cursor: str
    targets: tuple[str, ...]


@dataclass(frozen=True)
class RowCount:
    """GET DIAGNOSTICS target = ROW_COUNT."""

    targets: tuple[str, ...]


Node: TypeAlias = Block | Branches | Loop | Assignment | Command | Leave | Assert | Open | Fetch | RowCount
Body: TypeAlias = tuple[Node, ...]


def assigned_names(body: Body) -> set[str]:
    """Return the names of all variables that statements assign."""
    return {name.lower() for node in _walk(body) for name in getattr(node, "targets", ())}


def has_dynamic(body: Body) -> bool:
    """Whether statements have an EXECUTE."""
    return any(isinstance(node, Command) and isinstance(node.statement, Dynamic) for node in _walk(body))


def _walk(body: Body) -> Iterator[Node]:
    for node in body:
        yield node
        parts: tuple[Body, ...] = ()
        if isinstance(node, Block):
            parts = (node.body, *node.handlers)
        elif isinstance(node, Branches):
            parts = tuple(arm for _, arm in node.arms)
        elif isinstance(node, Loop):
            parts = (node.body,)
        for part in parts:
            yield from _walk(part)
