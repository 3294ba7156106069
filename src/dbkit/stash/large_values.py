"""Write rows with a large value in the format of COPY, but in slices: libpq holds a whole row three times."""

from binascii import hexlify
from collections.abc import Iterator, Mapping, Sequence

import psycopg

from dbkit.postgres.sql_quote import quote_ident
from dbkit.stash.copy_file import read_rows
from dbkit.stash.tables import StashColumn, StashTable

SLICE = 8 * 1024 * 1024  # bytes of a value that are read at once; a larger value counts as large
SLICED = ("text", "character varying", "bytea")
ESCAPED = {b"\\": rb"\\", b"\b": rb"\b", b"\f": rb"\f", b"\n": rb"\n", b"\r": rb"\r", b"\t": rb"\t", b"\v": rb"\v"}
"""How COPY writes characters: https://www.postgresql.org/docs/18/sql-copy.html. The backslash comes first."""
# the size of a value is known without reading it, but not without reading its row
TOASTED = """
SELECT coalesce(sum(pg_relation_size(c.reltoastrelid)), 0)::int8 FROM pg_class AS c
WHERE c.reltoastrelid <> 0 AND (c.oid = to_regclass(%(table)s)
    OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass(%(table)s))))"""


def is_toasted(connection: psycopg.Connection, table: StashTable) -> bool:
    """Whether a table has any value that is stored outside of its row (TOAST)."""
    return connection.execute(TOASTED, {"table": table.sql}).fetchone() != (0,)


def find_condition(connection: psycopg.Connection, table: StashTable, names: Sequence[str]) -> str:
    """Return the SQL condition for rows with a large value in one of these columns; "" where no row has one."""
    if not is_toasted(connection, table):
        return ""
    sliced = [column for column in _columns(table, names) if _is_sliced(column)]
    large = " OR ".join(f"coalesce(octet_length({quote_ident(column.name)}) > {SLICE}, false)" for column in sliced)
    if not large:
        return ""
    query = f"SELECT EXISTS (SELECT FROM {table.source} WHERE {large})"  # noqa: S608
    return f"({large})" if connection.execute(query.encode()).fetchone() == (True,) else ""


def read_in_slices(
    connection: psycopg.Connection, table: StashTable, names: Sequence[str], large: str
) -> Iterator[tuple[int, bytes]]:
    """Yield the rows for which `large` is true in pieces, each with the number of rows that end with it."""
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


def _columns(table: StashTable, names: Sequence[str]) -> list[StashColumn]:
    return [column for name in names if (column := table.column(name))]


def _is_sliced(column: StashColumn) -> bool:
    return column.type.partition("(")[0] in SLICED


def _lengths(connection: psycopg.Connection, columns: Sequence[StashColumn], row: str) -> dict[str, int]:
    """Return the lengths in bytes of the large values, by column name."""
    sliced = [column for column in columns if _is_sliced(column)]
    parts = ", ".join(
        f"CASE WHEN octet_length({quote_ident(column.name)}) > {SLICE} THEN octet_length({_as_bytes(column)}) END"
        for column in sliced
    )
    found = connection.execute(f"SELECT {parts} {row}".encode()).fetchone() or ()
    return {column.name: length for column, length in zip(sliced, found, strict=True) if length is not None}


def _fields(
    connection: psycopg.Connection, columns: Sequence[StashColumn], lengths: Mapping[str, int], row: str
) -> list[bytes]:
    """Return the other values of a row, in the format of COPY."""
    chosen = ", ".join("NULL" if column.name in lengths else quote_ident(column.name) for column in columns)
    line = read_rows(connection, f"SELECT {chosen} {row}")
    return line.removesuffix(b"\n").split(b"\t")


def _as_bytes(column: StashColumn) -> str:
    """Return SQL for a value as bytes: for characters, the server would count from the first one for each slice."""
    name = quote_ident(column.name)
    return name if column.type == "bytea" else f"convert_to({name}::text, 'UTF8')"


def _slices(connection: psycopg.Connection, column: StashColumn, length: int, row: str) -> Iterator[bytes]:
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
