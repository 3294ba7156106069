"""Make SQLAlchemy's type of a column from its type in the database, in the form in which people write it.

A revision imports no code of the application: a TypeDecorator is written as the type that the database has. A type of
another library, which SQLAlchemy does not know, is taken from the model's column.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from dbkit.catalog import Fact
from dbkit.drafts.library_types import make_library_type
from dbkit.drafts.shapes import Column
from dbkit.postgres.sql_text import Kind, read_string, tokenize, unquote_name

Type = TypeEngine[Any]

DIALECT = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
DIALECT._backslash_escapes = False  # as with standard_conforming_strings = on
TYPE = re.compile(r'(?P<name>[^("\[\]]+?)(\((?P<arguments>[-\d, ]+)\))?(?P<zone> with(out)? time zone)?')


def make_type(column: Column, facts: Mapping[Fact, str] | None = None, model: Type | None = None) -> Type | None:
    """Return the type that is exactly that of the column, with its collation; None where SQLAlchemy has none.

    `facts` are those of the column's database, for the labels of its enum; `model` is the type of the model's column.
    """
    element = re.sub(r"(\[\])+\Z", "", column.type)
    dimensions = (len(column.type) - len(element)) // 2
    collation = _unquoted(column.collation) if column.collation else None
    made = _make_builtin(element, collation) if column.uses is None else None
    if made is None and column.uses is not None and column.uses.kind in ("enum", "domain"):
        made = _make_named(element, column, facts or {})
    if made is None:
        made = make_library_type(element, model, DIALECT)
    if made is not None and dimensions:
        made = postgresql.ARRAY(made, dimensions=dimensions if dimensions > 1 else None)
    return made if made is not None and _is_exact(made, column) else None


def _is_exact(made: Type, column: Column) -> bool:
    """Whether a type compiles to the column's type and collation."""
    try:
        compiled = made.compile(dialect=DIALECT)
    except sa.exc.SQLAlchemyError:
        return False
    text, has_collation, collation = compiled.partition(" COLLATE ")
    if bool(has_collation) != bool(column.collation) or _unquoted(collation) != _unquoted(column.collation or ""):
        return False
    return _normalize(text) == _normalize(column.type)


def _normalize(name: str) -> str:
    """The name of a type without spaces and with the words of format_type(); a name with quotes as it is."""
    if '"' in name:
        return name
    words = name.lower()
    for pattern, replacement in SYNONYMS:
        words = re.sub(pattern, replacement, words)
    return words.replace(" ", "")


SYNONYMS = (
    (r"^varchar\b", "character varying"),
    (r"^char\b", "character"),
    (r"^float$", "double precision"),
)


def _make_builtin(text: str, collation: str | None) -> Type | None:
    match = TYPE.fullmatch(text)
    if not match:
        return None
    name = match["name"] + (match["zone"] or "")
    arguments = [int(each) for each in (match["arguments"] or "").split(",") if each]
    options: dict[str, Any] = {"collation": collation} if collation else {}
    if make := TEXTS.get(name):
        return make(**({"length": arguments[0]} if arguments else {}), **options)
    if collation and name == "citext" and hasattr(postgresql, "CITEXT"):
        return postgresql.CITEXT(**options)
    if collation:
        return None
    if name in PLAIN and not arguments:
        return PLAIN[name]()
    if name in WITH_ARGUMENTS:
        return WITH_ARGUMENTS[name](*arguments)
    if name.startswith("interval "):
        return postgresql.INTERVAL(fields=name.removeprefix("interval "), **_precision(*arguments))
    kind = getattr(postgresql, name.upper(), None) if name in OWN_NAMES else None
    return kind() if kind is not None and not arguments else None


def _precision(precision: int | None = None) -> dict[str, Any]:
    return {} if precision is None else {"precision": precision}


def _make_numeric(*arguments: int) -> Type:
    options: dict[str, Any] = dict(zip(("precision", "scale"), arguments, strict=False))
    return sa.Numeric(**options)


def _make_timestamp(precision: int | None = None, *, zone: bool) -> Type:
    options: dict[str, Any] = {"timezone": True} if zone else {}
    return sa.DateTime(**options) if precision is None else postgresql.TIMESTAMP(**options, precision=precision)


def _make_time(precision: int | None = None, *, zone: bool) -> Type:
    options: dict[str, Any] = {"timezone": True} if zone else {}
    return sa.Time(**options) if precision is None else postgresql.TIME(**options, precision=precision)


TEXTS: dict[str, Callable[..., Type]] = {
    "character varying": sa.String,
    "character": sa.CHAR,
    "text": sa.Text,
}
PLAIN: dict[str, Callable[[], Type]] = {
    "smallint": sa.SmallInteger,
    "integer": sa.Integer,
    "bigint": sa.BigInteger,
    "real": sa.REAL,
    "double precision": sa.Double,
    "boolean": sa.Boolean,
    "date": sa.Date,
    "bytea": sa.LargeBinary,
    "json": sa.JSON,
    "jsonb": postgresql.JSONB,
    "uuid": sa.Uuid,
}
WITH_ARGUMENTS: dict[str, Callable[..., Type]] = {
    "numeric": _make_numeric,
    "timestamp with time zone": lambda *arguments: _make_timestamp(*arguments, zone=True),
    "timestamp without time zone": lambda *arguments: _make_timestamp(*arguments, zone=False),
    "time with time zone": lambda *arguments: _make_time(*arguments, zone=True),
    "time without time zone": lambda *arguments: _make_time(*arguments, zone=False),
    "interval": lambda *arguments: postgresql.INTERVAL(**_precision(*arguments)) if arguments else sa.Interval(),
    "bit": lambda length=1: postgresql.BIT(length=length),
    "bit varying": lambda *length: postgresql.BIT(varying=True, **({"length": length[0]} if length else {})),
}
OWN_NAMES = frozenset(
    re.findall(
        r"\w+",
        """
        inet cidr macaddr macaddr8 money oid regclass regconfig tsvector tsquery citext hstore jsonpath
        int4range int8range numrange tsrange tstzrange daterange
        int4multirange int8multirange nummultirange tsmultirange tstzmultirange datemultirange
        """,
    )
)
"""Of the types that SQLAlchemy's dialect has under their own names, those that are not above."""


def _make_named(text: str, column: Column, facts: Mapping[Fact, str]) -> Type | None:
    """An enum or a domain, which another step creates."""
    names = _read_names(text)
    if column.uses is None or not 1 <= len(names) <= 2:
        return None
    options: dict[str, Any] = {"create_type": False} | ({"schema": names[0]} if len(names) == 2 else {})
    if column.uses.kind == "domain":
        return postgresql.DOMAIN(names[-1], _make_builtin(column.type_name, None) or sa.Text(), **options)
    tokens = tokenize(facts.get(column.uses, ""))
    labels = [read_string(token.text) for token in tokens if token.kind == Kind.STRING]
    return postgresql.ENUM(*labels, name=names[-1], **options)


def _unquoted(collation: str) -> str | None:
    """The name of a collation; None where it has a schema, which SQLAlchemy 2.0 cannot write."""
    names = _read_names(collation)
    return names[0] if len(names) == 1 else None


def _read_names(text: str) -> list[str]:
    """The parts of a qualified name."""
    return [unquote_name(token.text) for token in tokenize(text) if token.kind in (Kind.NAME, Kind.WORD)]
