"""Models of every kind with hostile names and texts, for hypothesis."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from dbkit.postgres.sql_escape import sql
from dbkit.postgres.sql_quote import quote_ident, quote_literal

PIECES = (
    *("a", "b", "Z", "0", " ", "_", "é", "ß", "漢", "😀", "\u2028", "\u202e", "\ufeff", "\xa0", "\x7f"),
    *("%", "%%", "%s", "%(x)s", ":", ":a", "::", ":a:b", "\\", "\\:", "\\:a", "\\\\", "'", "''", '"', '""'),
    *("$", "$$", "$1", "$a$", "${x}", "<%", "{", "}", "{a}", "(", ")", "[", "]", ";", "--", "/*", "*/", "#", "?", ","),
    *(".", "-", "\n", "\t", "\r", "\\n", "\x01", "__", "`", "=", "|", "&&", "@", "select", "null"),
)
WORDS = ("select", "user", "order", "lateral", "table", "id", "Id", "name", "value", "key", "text", "pk")
HOSTILE = st.lists(st.sampled_from(PIECES), min_size=1, max_size=8).map("".join)
COMMENTS = st.none() | HOSTILE
LONG = st.lists(st.sampled_from(PIECES), min_size=12, max_size=40).map("".join)
NAMES = (st.sampled_from(WORDS) | HOSTILE | LONG).filter(lambda name: not name.endswith("\n"))
"""Also such of more than 63 bytes, but not of more than 63 letters, which SQLAlchemy refuses.

None ends with a newline: SQLAlchemy takes `null` with a newline for a word that needs no quotes.
"""
Draw = Callable[[Any], Any]


class Shout(sa.types.TypeDecorator[str]):
    """A type of the application."""

    impl = sa.String(20)
    cache_ok = True


@dataclass
class Pool:
    """Names that the models before and after have in common."""

    schemas: list[str | None]
    tables: list[str]
    columns: list[str]
    others: list[str]
    labels: list[str]
    kinds: dict[str, int]
    """By column, the number of its kind: its type is the same before and after."""
    is_unlogged: bool


def cut(name: str) -> str:
    """A name as the server cuts it."""
    return name.encode()[:63].decode(errors="ignore")


def unlike(names: list[str]) -> bool:
    cut_names = [cut(name) for name in names]
    return len(set(cut_names)) == len(cut_names)


def names(least: int, most: int, longest: int = 63) -> st.SearchStrategy[list[str]]:
    """Names that differ also where the server cuts them."""
    return st.lists(
        NAMES.map(lambda name: name[:longest].rstrip("\n") or "n"), min_size=least, max_size=most, unique_by=cut
    )


def mark(name: str, number: int) -> str:
    """A name of this model only."""
    return name + str(number) if len(name.encode()) < 62 else str(number) + name[:-1]


@st.composite
def pools(draw: Draw, number: int = 0) -> Pool:
    schemas, tables, columns, others, labels = (
        draw(names(1, 2, 40).filter(lambda found: not any(each.startswith("pg_") for each in found))),
        draw(names(2, 3, 40)),
        draw(names(4, 6, 50)),
        draw(names(3, 6, 40)),
        draw(names(3, 5)),
    )
    schemas, tables = ([mark(each, 2 * number) for each in several] for several in (schemas, tables))
    others = [mark(each, 2 * number + 1) for each in others]  # an index is never called as a table
    kinds = {each: draw(st.integers(0, len(KINDS) - 1)) for each in columns}
    return Pool([None, *schemas], tables, columns, others, labels, kinds, is_unlogged=draw(st.integers(0, 7)) == 0)


def name_of(name: str) -> str:
    """A name as a model gives it: those words that SQLAlchemy does not quote are quoted by the model."""
    return sa.quoted_name(name, quote=True) if name == "lateral" else name


def add_model(draw: Draw, pool: Pool, metadata: sa.MetaData) -> None:
    """Draw tables into a MetaData."""
    builder = Builder(draw, pool, metadata)
    for name in draw(st.lists(st.sampled_from(pool.tables), min_size=1, max_size=2, unique=True)):
        builder.add_table(name)


@st.composite
def models(draw: Draw, count: int, states: int) -> list[sa.MetaData]:
    """Draw `count` models, each in `states` states with names in common; returns a MetaData for each state."""
    found = [sa.MetaData() for _ in range(states)]
    for number in range(count):
        pool = draw(pools(number))
        for metadata in found:
            add_model(draw, pool, metadata)
    return found


class Builder:
    """Draws tables into a MetaData."""

    def __init__(self, draw: Draw, pool: Pool, metadata: sa.MetaData) -> None:
        self.draw, self.pool, self.metadata = draw, pool, metadata
        self.types: dict[tuple[str, str | None], Any] = {}
        self.relations: set[tuple[str | None, str]] = set()

    def chance(self, parts: int = 3) -> bool:
        return bool(self.draw(st.integers(0, parts - 1)) == 0)

    def pick(self, values: Any) -> Any:
        return self.draw(st.sampled_from(list(values)))

    def literal(self) -> str:
        return quote_literal(self.draw(HOSTILE))

    def add_table(self, name: str) -> None:
        schema = self.pick(self.pool.schemas)
        self.relations.add((schema, cut(name)))
        chosen = self.draw(st.lists(st.sampled_from(self.pool.columns), min_size=1, max_size=4, unique=True))
        columns = [self.make_column(each) for each in chosen]
        key = self.pick(("serial", "identity", "plain", "none"))
        if key != "none":
            columns.insert(0, self.make_key("Key %", key))
        table = sa.Table(
            name_of(name),
            self.metadata,
            *columns,
            schema=schema,
            comment=self.draw(COMMENTS),
            prefixes=["UNLOGGED"] if self.pool.is_unlogged else [],
            postgresql_with={"fillfactor": 70} if self.chance(8) else {},
        )
        for each in [each for each in self.metadata.tables.values() if each.name in self.pool.tables]:
            if "Key %" in table.c and "Key %" in each.c and self.chance():
                self.add_reference(table, each)
        names = [each for each in self.pool.others if (schema, cut(each)) not in self.relations]
        for number, other in enumerate(names[:3]):
            self.relations.add((schema, cut(other)))
            self.pick((self.add_check, self.add_unique, self.add_index, self.add_index, self.add_exclude))(table, other)
            if number and self.chance(2):
                break

    def make_key(self, name: str, kind: str) -> sa.Column[Any]:
        type_ = self.pick((sa.Integer, sa.BigInteger, sa.SmallInteger))()
        if kind == "identity":
            options = self.pick(({}, {"start": 5}, {"increment": 2, "cycle": True}, {"minvalue": 0, "start": 0}))
            return sa.Column(name, type_, sa.Identity(always=self.chance(2), **options), primary_key=True)
        return sa.Column(name, type_, primary_key=True, autoincrement=kind == "serial")

    def make_column(self, name: str) -> sa.Column[Any]:
        make, default = KINDS[self.pool.kinds[name]]
        type_ = make(self)
        options: dict[str, Any] = {"nullable": self.chance(2), "comment": self.draw(COMMENTS)}
        arguments: list[Any] = []
        if default is not None and self.chance(2):
            options["server_default"] = default(self, type_)
        elif isinstance(type_, sa.Text) and self.chance():
            arguments = [sa.Computed(sql(f"{self.literal()} || 'x'"), persisted=True)]
        return sa.Column(name_of(name), type_, *arguments, **options)

    def make_enum(self) -> Any:
        schema, name = self.pick(self.pool.schemas), "Enum " + self.pick(self.pool.others)[:50]
        count = self.draw(st.integers(1, len(self.pool.labels)))
        labels = [cut(each) for each in self.pool.labels[:count]]
        return self.types.setdefault((cut(name), schema), sa.Enum(*labels, name=name, schema=schema))

    def make_domain(self) -> Any:
        name = "Domain " + self.pick(self.pool.others)[:50]
        check = sql(f"VALUE <> {self.literal()}") if self.chance(2) else None
        constraint = "ck" if check is not None else None
        schema = self.pick(self.pool.schemas)
        domain = postgresql.DOMAIN(name, sa.Text(), schema=schema, check=check, constraint_name=constraint)
        return self.types.setdefault((cut(name), schema), domain)

    def add_reference(self, table: sa.Table, other: sa.Table) -> None:
        options = self.pick(
            ({}, {"ondelete": "CASCADE"}, {"deferrable": True, "initially": "DEFERRED"}, {"onupdate": "SET NULL"})
        )
        column = sa.Column(f"ref {len(table.c)}", other.c["Key %"].type)
        table.append_column(column)
        table.append_constraint(
            sa.ForeignKeyConstraint([column], [other.c["Key %"]], name=f"fk: %{len(table.c)}", **options)
        )

    def add_check(self, table: sa.Table, name: str) -> None:
        column = quote_ident(cut(self.pick(list(table.c)).name))
        text = self.pick(("{c}::text <> {t}", "length({c}::text) <> length({t})", "{c} IS NOT NULL OR {t} LIKE '%x'"))
        table.append_constraint(sa.CheckConstraint(sql(text.format(c=column, t=self.literal())), name=name_of(name)))

    def add_unique(self, table: sa.Table, name: str) -> None:
        columns = [each for each in table.c if hashable(each)]
        options = self.pick(
            ({}, {"deferrable": True}, {"postgresql_nulls_not_distinct": True}, {"initially": "DEFERRED"})
        )
        if columns:
            table.append_constraint(sa.UniqueConstraint(self.pick(columns), name=name_of(name), **options))

    def add_exclude(self, table: sa.Table, name: str) -> None:
        ranges = [each for each in table.c if isinstance(each.type, postgresql.INT4RANGE)]
        if ranges:
            where = (
                sql(f"NOT isempty({quote_ident(cut(ranges[0].name))}) OR {self.literal()} = ''")
                if self.chance(2)
                else None
            )
            table.append_constraint(
                postgresql.ExcludeConstraint((ranges[0], "&&"), name=name_of(name), using="gist", where=where)
            )

    def add_index(self, table: sa.Table, name: str) -> None:
        columns = [each for each in table.c if hashable(each)]
        texts = [each for each in columns if isinstance(each.type, sa.Text)]
        options: dict[str, Any] = {"unique": self.chance(2)}
        if not columns:
            return
        column = self.pick(columns)
        elements: list[Any] = [column]
        kind = self.pick(("plain", "where", "expression", "desc", "include", "ops", "with"))
        if kind == "where":
            options["postgresql_where"] = sql(
                f"{quote_ident(cut(column.name))} IS NOT NULL OR {self.literal()} LIKE '5%'"
            )
        elif kind == "expression" and texts:
            elements = [sql(f"(lower({quote_ident(cut(texts[0].name))} || {self.literal()}))")]
        elif kind == "desc":
            elements = [column.desc().nullslast()]
        elif kind == "include":
            options["postgresql_include"] = [self.pick(columns)]
        elif kind == "ops" and texts:
            elements, options["postgresql_ops"] = [texts[0]], {texts[0].key: "text_pattern_ops"}
        elif kind == "with":
            options["postgresql_with"] = {"fillfactor": 70}
        sa.Index(name_of(name), *elements, _table=table, **options)


def hashable(column: sa.Column[Any]) -> bool:
    return not isinstance(column.type, sa.JSON | postgresql.TSVECTOR)


def _json_default(builder: Builder, _type: object) -> Any:
    return sql(quote_literal(json.dumps({builder.draw(HOSTILE): True})))


def _label(_builder: Builder, type_: Any) -> str:
    return str(type_.enums[0])


def _quoted(builder: Builder, _type: object) -> Any:
    return sql(f"{builder.literal()}::text") if builder.chance(2) else builder.draw(HOSTILE)


def _text_array(builder: Builder, _type: object) -> Any:
    return sql(f"ARRAY[{builder.literal()}]::text[]")


def _short(text: str) -> Callable[[Builder, object], Any]:
    return lambda _builder, _type: sa.text(text)


Kind = tuple[Callable[[Builder], Any], Callable[[Builder, Any], Any] | None]
KINDS: tuple[Kind, ...] = (
    (lambda _: sa.Text(), _quoted),
    (lambda _: sa.Text(), _quoted),
    (lambda _: sa.String(60), _quoted),
    (lambda _: sa.Text(collation="C"), _quoted),
    (lambda _: Shout(), None),
    (lambda _: sa.Integer(), _short("7")),
    (lambda _: sa.BigInteger(), _short("(1 + 1)")),
    (lambda _: sa.Numeric(10, 2), _short("0.5")),
    (lambda _: sa.Boolean(), _short("true")),
    (lambda _: sa.DateTime(timezone=True), lambda *_: sa.func.now()),
    (lambda _: postgresql.TIMESTAMP(precision=3), None),
    (lambda _: sa.Interval(), _short("'1 day 12:30'::interval")),
    (lambda _: postgresql.JSONB(), _json_default),
    (lambda _: sa.JSON(), _json_default),
    (lambda _: postgresql.ARRAY(sa.Text()), _text_array),
    (lambda _: postgresql.INT4RANGE(), _short("'[1,2)'")),
    (lambda _: sa.Uuid(), _short("gen_random_uuid()")),
    (lambda _: sa.LargeBinary(), _short(r"'\x00ff'::bytea")),
    (lambda _: postgresql.BIT(3), _short("B'101'")),
    (lambda _: postgresql.TSVECTOR(), None),
    (lambda builder: builder.make_enum(), _label),
    (lambda builder: builder.make_enum(), _label),
    (lambda builder: postgresql.ARRAY(builder.make_enum()), None),
    (lambda builder: builder.make_domain(), _quoted),
)
