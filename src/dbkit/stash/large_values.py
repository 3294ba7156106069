"""Rows with a large value, written as COPY writes them, but in slices: libpq holds a whole row three times."""

from binascii import hexlify
from collections.abc import Iterator, Mapping, Sequence

import psycopg

from dbkit.postgres.sql_quote import quote_ident
from dbkit.stash.tables import Column, Table

SLICE = 8 * 1024 * 1024  # bytes of a value that are asked for at once; a larger value is a large one
SLICED = ("text", "character varying", "bytea")
ESCAPED = {b"\\": rb"\\", b"\b": rb"\b", b"\f": rb"\f", b"\n": rb"\n", b"\r": rb"\r", b"\t": rb"\t", b"\v": rb"\v"}
"""How COPY writes characters: https://www.postgresql.org/docs/18/sql-copy.html. The backslash comes first."""
# the size of a value is known without reading it, but not without looking at each row
TOASTED = """
SELECT coalesce(sum(pg_relation_size(c.reltoastrelid)), 0)::int8 FROM pg_class AS c
WHERE c.reltoastrelid <> 0 AND (c.oid = to_regclass(%(table)s)
    OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass(%(table)s))))"""


def is_toasted(connection: psycopg.Connection, table: Table) -> bool:
    """Whether a table has any value that does not fit into its row."""
    return connection.execute(TOASTED, {"table": table.sql}).fetchone() != (0,)


def condition(connection: psycopg.Connection, table: Table, names: Sequence[str]) -> str:
    """SQL for whether a row has a large value in one of these columns; "" where none has one."""
    if not is_toasted(connection, table):
        return ""
    sliced = [column for column in _columns(table, names) if _is_sliced(column)]
    large = " OR ".join(f"coalesce(octet_length({quote_ident(column.name)}) > {SLICE}, false)" for column in sliced)
    if not large:
        return ""
    query = f"SELECT EXISTS (SELECT FROM {table.source} WHERE {large})"  # noqa: S608
    return f"({large})" if connection.execute(query.encode()).fetchone() == (True,) else ""


def rows_in_slices(
    connection: psycopg.Connection, table: Table, names: Sequence[str], large: str
) -> Iterator[tuple[int, bytes]]:
    """The rows for which `large` is true, in pieces; each with the number of rows that it is the end of."""
    query = f"SELECT tableoid::int8, ctid::text FROM {table.source} WHERE {large}"  # noqa: S608
    columns = _columns(table, names)
    for relation, place in connection.execute(query.encode()).fetchall():
        row = f"FROM {table.source} WHERE tableoid = {relation} AND ctid = '{place}'::tid"
        lengths = _lengths(connection, columns, row)
        for number, (column, field) in enumerate(zip(columns, _fields(connection, columns, lengths, row), strict=True)):
            yield 0, b"\t" if number else b""
            if column.name in lengths:
                for piece in _slices(connection, column, lengths[column.name], row):
                    yield 0, piece
            else:
                yield 0, field
        yield 1, b"\n"


def _columns(table: Table, names: Sequence[str]) -> list[Column]:
    return [column for name in names if (column := table.column(name))]


def _is_sliced(column: Column) -> bool:
    return column.type.partition("(")[0] in SLICED


def _lengths(connection: psycopg.Connection, columns: Sequence[Column], row: str) -> dict[str, int]:
    """By name, of the values that are large, how many bytes they have."""
    sliced = [column for column in columns if _is_sliced(column)]
    parts = ", ".join(
        f"CASE WHEN octet_length({quote_ident(column.name)}) > {SLICE} THEN octet_length({_as_bytes(column)}) END"
        for column in sliced
    )
    found = connection.execute(f"SELECT {parts} {row}".encode()).fetchone() or ()
    return {column.name: length for column, length in zip(sliced, found, strict=True) if length is not None}


def _fields(
    connection: psycopg.Connection, columns: Sequence[Column], lengths: Mapping[str, int], row: str
) -> list[bytes]:
    """The other values of a row, as COPY writes them."""
    chosen = ", ".join("NULL" if column.name in lengths else quote_ident(column.name) for column in columns)
    with connection.cursor() as cursor, cursor.copy(f"COPY (SELECT {chosen} {row}) TO STDOUT".encode()) as copy:
        line = b"".join(map(bytes, copy))
    return line.removesuffix(b"\n").split(b"\t")


def _as_bytes(column: Column) -> str:
    """SQL for a value as bytes: to slice characters, the server would count them from the first one each time."""
    name = quote_ident(column.name)
    return name if column.type == "bytea" else f"convert_to({name}::text, 'UTF8')"


def _slices(connection: psycopg.Connection, column: Column, length: int, row: str) -> Iterator[bytes]:
    is_bytes = column.type == "bytea"
    if is_bytes:
        yield rb"\\x"
    value = _as_bytes(column).replace("%", "%%")
    query = f"SELECT substr({value}, %s::int4, %s::int4) {row}"
    for start in range(1, length + 1, SLICE):
        [piece] = connection.execute(query.encode(), [start, SLICE], binary=True).fetchone() or (b"",)
        if is_bytes:
            yield hexlify(piece)
            continue
        for character, escaped in ESCAPED.items():
            piece = piece.replace(character, escaped)
        yield piece
