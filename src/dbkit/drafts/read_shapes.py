"""Read the tables of a database in the parts that a draft writes, with names as the project's session shows them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, dict_row

from dbkit.catalog import Fact, object_name
from dbkit.catalog.queries.sequences import sequence_options
from dbkit.drafts import shape_queries
from dbkit.drafts.array_types import keep_array_types
from dbkit.drafts.shapes import Column, Constraint, Index, Shapes, Table, TableName
from dbkit.postgres.own_statements import TEXT_FORMATS, change_settings
from dbkit.postgres.sql_text import Kind, tokenize, unquote_name

LONGEST_NAME = 63
EXPRESSIONS = ("default", "definition", "expression", "predicate", "partition_key", "bound")
"""The columns of the queries that have expressions."""
TYPE_KINDS = {"e": "enum", "d": "domain", "r": "range type", "c": "composite type", "m": "range type"}


def read_shapes(connection: psycopg.Connection[Any]) -> Shapes:
    """Read all tables but those of PostgreSQL and of extensions.

    The caller's transaction and settings stay as they are. Raises psycopg.Error.
    """
    with _text_formats(connection):
        return _Reader(connection).read()


@contextmanager
def _text_formats(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Apply the settings for how text is read and written, but not the search path, in a transaction."""
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    with connection.transaction() if idle else nullcontext():
        cursor = psycopg.Cursor(connection, row_factory=dict_row)
        former = {row["name"]: row["value"] for row in cursor.execute(shape_queries.settings(TEXT_FORMATS))}
        change_settings(connection, TEXT_FORMATS, local=True)
        try:
            yield
        finally:
            if connection.info.transaction_status == TransactionStatus.INTRANS:
                change_settings(connection, former, local=True)


class _Reader:
    """Reads one database."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.version = connection.info.server_version
        self.cursor = psycopg.Cursor(connection, row_factory=dict_row)

    def fetch(self, query: str) -> list[DictRow]:
        rows = self.cursor.execute(shape_queries.for_version(self.version, query).encode()).fetchall()
        for row in rows:
            row.update({name: keep_array_types(row[name]) for name in EXPRESSIONS if row.get(name)})
        return rows

    def read(self) -> Shapes:
        ((default_schema,),) = (row.values() for row in self.fetch(shape_queries.DEFAULT_SCHEMA))
        rows = self.fetch(shape_queries.TABLES)
        names: dict[int, TableName] = {row["oid"]: (row["schema"], row["name"]) for row in rows}
        columns: dict[int, dict[str, Column]] = {oid: {} for oid in names}
        constraints: dict[int, dict[str, Constraint]] = {oid: {} for oid in names}
        indexes: dict[int, dict[str, Index]] = {oid: {} for oid in names}
        for row in self.fetch(shape_queries.COLUMNS):
            if row["table_oid"] in names:
                columns[row["table_oid"]][row["name"]] = _column(row, names[row["table_oid"]])
        for row in self.fetch(shape_queries.CONSTRAINTS):
            if row["table_oid"] in names:
                constraints[row["table_oid"]][row["name"]] = _constraint(row)
        for row in self.fetch(shape_queries.INDEXES):
            if row["table_oid"] in names:
                indexes[row["table_oid"]][row["name"]] = _index(row)
        tables = {
            names[row["oid"]]: _table(row, columns[row["oid"]], constraints[row["oid"]], indexes[row["oid"]])
            for row in rows
        }
        casts = {(row["source"], row["target"]): row["context"] for row in self.fetch(shape_queries.CASTS)}
        relations = frozenset((row["schema"], row["name"]) for row in self.fetch(shape_queries.RELATIONS))
        return Shapes(tables, default_schema or "public", casts, relations)


def _table(
    row: DictRow, columns: Mapping[str, Column], constraints: Mapping[str, Constraint], indexes: Mapping[str, Index]
) -> Table:
    options = [
        f"USING {row['access_method']}" if row["access_method"] else "",
        f"WITH ({', '.join(row['parameters'])})" if row["parameters"] else "",
        f"TABLESPACE {row['tablespace']}" if row["tablespace"] else "",
    ]
    return Table(
        schema=row["schema"],
        name=row["name"],
        columns=columns,
        constraints=constraints,
        indexes=indexes,
        comment=row["comment"],
        partition_key=row["partition_key"],
        is_partition=row["is_partition"],
        parents=tuple(zip(row["parent_schemas"], row["parent_names"], strict=True)),
        options=" ".join(filter(None, options)),
        is_unlogged=row["is_unlogged"],
        parameters=tuple(row["parameters"]),
        access_method=row["access_method"],
        tablespace=row["tablespace"],
        of_type=row["of_type"],
        bound=row["bound"],
        sql=row["sql"],
    )


def _column(row: DictRow, table: TableName) -> Column:
    options = ""
    if row["sequence_type"]:
        values = ("increment", "least", "most", "start", "cache", "cycle")
        options = sequence_options(row["sequence_type"], *(row[f"sequence_{name}"] for name in values))
    serial = row["sequence"] if not row["identity"] and row["takes_sequence"] else None
    usual_name = (table[0], implicit_name(table[1], row["name"], "seq"))
    return Column(
        name=row["name"],
        type=row["type"],
        uses=_used_type(row),
        collation=row["collation"],
        default=row["default"],
        generated=row["generated"],
        identity=row["identity"],
        identity_options=options if row["identity"] else "",
        serial=serial,
        is_plain_serial=bool(
            serial
            and not options
            and row["is_required"]
            and row["sequence_is_as_its_table"]
            and row["type"] == row["sequence_type"]
            and (row["sequence_schema"], row["sequence_name"]) == usual_name
        ),
        sequence=(row["sequence_schema"], row["sequence_name"]) if serial or row["identity"] else None,
        sequence_type=row["sequence_type"] if serial or row["identity"] else None,
        sequence_options=options if serial else "",
        sequence_is_unlogged=bool(row["sequence_is_unlogged"]),
        is_required=row["is_required"],
        comment=row["comment"],
        is_inherited=row["is_inherited"],
        sql=row["sql"],
        type_name=row["type_name"],
        element=row["element"],
        category=row["category"],
        unvalidated=row["unvalidated"],
    )


def _used_type(row: DictRow) -> Fact | None:
    kind = TYPE_KINDS.get(row["used_kind"])
    return Fact(kind, object_name(row["used_name"], row["used_schema"])) if kind else None


def _constraint(row: DictRow) -> Constraint:
    return Constraint(
        name=row["name"],
        kind=row["kind"],
        definition=row["definition"],
        columns=tuple(row["columns"]),
        referred=(row["referred_schema"], row["referred_name"]) if row["referred_name"] else None,
        referred_columns=tuple(row["referred_columns"]),
        comment=row["comment"],
        is_inherited=row["is_inherited"],
        expression=row["expression"],
        included=tuple(row["included"]),
        index=row["index_name"],
        index_settings=tuple(row["index_settings"]),
        is_valid=row["is_valid"],
        is_deferrable=row["is_deferrable"],
        is_deferred=row["is_deferred"],
        on_update=row["on_update"],
        on_delete=row["on_delete"],
        nulls_not_distinct=row["nulls_not_distinct"],
        sql=row["sql"],
    )


def _index(row: DictRow) -> Index:
    keys = split_keys(row["definition"])
    return Index(
        name=row["name"],
        definition=row["definition"],
        is_unique=row["is_unique"],
        is_attached=row["is_attached"],
        comment=row["comment"],
        method=row["method"],
        keys=keys,
        columns=tuple(map(_column_of, keys)),
        included=tuple(row["included"]),
        parameters=tuple(row["parameters"]),
        predicate=row["predicate"],
        nulls_not_distinct=row["nulls_not_distinct"],
        is_valid=row["is_valid"],
        tablespace=row["tablespace"],
        sql=row["sql"],
    )


def split_keys(definition: str) -> tuple[str, ...]:
    """The keys of a CREATE INDEX statement, each with its collation, operator class and order."""
    tokens = list(tokenize(definition))
    using = next(place for place, token in enumerate(tokens) if token.plain == "using")
    opening = next(place for place, token in enumerate(tokens) if place > using and token.text == "(")
    keys, depth = [""], 0
    for token in tokens[opening + 1 :]:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.text, 0)
        if depth < 0:
            break
        if token.text == "," and depth == 0:
            keys.append("")
        else:
            keys[-1] += token.text
    return tuple(key.strip() for key in keys)


def _column_of(key: str) -> str | None:
    """The name of the column that a key is, without more; else None."""
    tokens = list(tokenize(key))
    is_name = len(tokens) == 1 and tokens[0].kind in (Kind.NAME, Kind.WORD)
    return unquote_name(key) if is_name else None


def implicit_name(table: str, column: str, label: str) -> str:
    """The name that PostgreSQL makes for an object of a column: makeObjectName() in commands/indexcmds.c."""
    first, second = table.encode(), column.encode()
    room = LONGEST_NAME - len(label) - 2
    while len(first) + len(second) > room:
        if len(first) > len(second):
            first = first[:-1]
        else:
            second = second[:-1]
    return f"{_whole_letters(first)}_{_whole_letters(second)}_{label}"


def _whole_letters(name: bytes) -> str:
    return name.decode(errors="ignore")
