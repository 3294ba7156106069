"""Read the definitions of catalog facts: the type of a column, and the columns of a key.

The definitions are the server's, read without a search path: names are quoted where they have to be, and a word in
upper case is a keyword.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dbkit.catalog.facts import object_name
from dbkit.postgres.sql_text import SEPARATORS, Kind, Token, tokenize

AFTER_TYPE = ("COLLATE", "GENERATED", "DEFAULT", "NOT", "OPTIONS", "STORED", "VIRTUAL")


@dataclass(frozen=True)
class ColumnDefinition:
    """The type of a column as SQL, and whether it takes NULL."""

    type: str
    is_nullable: bool


@dataclass(frozen=True)
class KeyDefinition:
    """A primary key, a unique or a foreign key."""

    kind: str
    """PRIMARY, UNIQUE or FOREIGN."""
    columns: tuple[str, ...]
    referred_table: str = ""
    """As in Fact.identity."""
    referred_columns: tuple[str, ...] = ()


def read_column(definition: str) -> ColumnDefinition:
    """Read the definition of a column."""
    words = [token.text if depth == 0 and token.kind == Kind.WORD else "" for token, depth in _with_depth(definition)]
    tokens = list(tokenize(definition))
    end = next((number for number, word in enumerate(words) if word in AFTER_TYPE), len(tokens))
    at_depth = [word for word in words[end:] if word]
    pairs = zip(["", *at_depth], at_depth, at_depth[1:], strict=False)
    is_required = any(before != "IS" and (one, other) == ("NOT", "NULL") for before, one, other in pairs)
    type_name = "".join(token.text for token in tokens[:end]).removesuffix(" (inherited)").strip()
    return ColumnDefinition(type_name, not is_required)


def read_key(definition: str) -> KeyDefinition | None:
    """Read the definition of a constraint, or of a unique index; None for one that is no key of columns."""
    words = [token for token in tokenize(definition) if token.kind not in SEPARATORS]
    kind = words[0].text if words else ""
    if [word.text for word in words[:3]] == ["CREATE", "UNIQUE", "INDEX"]:
        kind = "" if any(word.text == "WHERE" for word in words) else "UNIQUE"
    if kind not in ("PRIMARY", "UNIQUE", "FOREIGN"):
        return None
    rest = iter(words)
    columns = _read_columns(rest)
    if columns is None:
        return None
    if kind != "FOREIGN":
        return KeyDefinition(kind, columns)
    name = [read_name(token) for token in _until_parenthesis(rest) if token.text not in (".", "REFERENCES")]
    referred = _read_list(rest)
    if not name or referred is None:
        return None
    return KeyDefinition(kind, columns, object_name(name[-1], name[0] if len(name) > 1 else "public"), referred)


def read_partitioned_table(definition: str) -> str:
    """Return the table that a table is a partition of, as in Fact.identity; "" for a table that is none."""
    words = [token for token in tokenize(definition) if token.kind not in SEPARATORS]
    for number, (one, other) in enumerate(pairwise(words)):
        if (one.text, other.text) == ("PARTITION", "OF"):
            parts = words[number + 2 : number + 5]
            qualified = len(parts) == 3 and parts[1].text == "."  # schema . name
            name = read_name(parts[2] if qualified else parts[0])
            return object_name(name, read_name(parts[0]) if qualified else "public")
    return ""


def split_identity(identity: str) -> tuple[str, str]:
    """Return the schema and the name of a table from its Fact.identity."""
    names = read_names(identity)
    return (names[0], names[1]) if len(names) > 1 else ("public", names[0])


def read_names(text: str) -> list[str]:
    """Return the names in a text as in Fact.identity, or in a list of columns."""
    return [read_name(token) for token in tokenize(text) if token.kind in (Kind.NAME, Kind.WORD)]


def read_name(token: Token) -> str:
    """Return the name that a token is."""
    return token.text[1:-1].replace('""', '"') if token.text[:1] == '"' else token.text


def _with_depth(text: str) -> Iterator[tuple[Token, int]]:
    """Yield the tokens with the number of parentheses around them."""
    depth = 0
    for token in tokenize(text):
        depth -= token.text in (")", "]")
        yield token, depth
        depth += token.text in ("(", "[")


def _until_parenthesis(rest: Iterator[Token]) -> Iterator[Token]:
    """Yield the tokens before the next opening parenthesis, which is taken, too."""
    for token in rest:
        if token.text == "(":
            return
        yield token


def _read_columns(rest: Iterator[Token]) -> tuple[str, ...] | None:
    list(_until_parenthesis(rest))
    return _read_list(rest)


def _read_list(rest: Iterator[Token]) -> tuple[str, ...] | None:
    """Return the names up to the closing parenthesis; None where there is something else, as in an index."""
    items: list[list[Token]] = [[]]
    for token in rest:
        if token.text == ")":
            break
        if token.text == ",":
            items.append([])
        else:
            items[-1].append(token)
    names = [_read_item(item) for item in items]
    return tuple(name for name in names if name is not None) if None not in names else None


def _read_item(item: Sequence[Token]) -> str | None:
    """Return the column of an item: `a`, `PERIOD a`, `a WITHOUT OVERLAPS`."""
    named = [token for token in item if token.text not in ("PERIOD", "WITHOUT", "OVERLAPS")]
    return read_name(named[0]) if len(named) == 1 and named[0].kind in (Kind.NAME, Kind.WORD) else None
