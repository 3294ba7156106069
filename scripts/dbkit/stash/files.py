"""Rows to a file and back, as COPY writes them: one line for each row, in flat memory, checked by count and SHA-256."""

import hashlib
import os
import select
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import psycopg
from psycopg import pq

from dbkit.errors import CheckFailed
from dbkit.stash.store import Saved

CHUNK = 1024 * 1024  # bytes


def copy_out(driver: psycopg.Connection, query: str, path: Path) -> Saved:
    """Write what `query` selects to a new file (mode 0600), durably, and read it again.

    Raises psycopg's errors, OSError when there is no room, and CheckFailed when the file is not what the server sent.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        sent = hashlib.sha256()
        rows = 0
        # closing: what goes wrong here must end the COPY, too
        with ThreadPoolExecutor(1) as beside, closing(_chunks(driver, query)) as chunks:
            pending: Future[None] | None = None
            for count, chunk in chunks:
                if pending is not None:
                    pending.result()
                pending = beside.submit(_write, file, sent, chunk)
                rows = count
            if pending is not None:
                pending.result()
        os.fsync(file.fileno())
    saved = Saved(path.name, rows, path.stat().st_size, sent.hexdigest())
    require_whole(path, saved)
    return saved


def _write(file: BinaryIO, digest: "hashlib._Hash", chunk: bytes) -> None:
    digest.update(chunk)
    rest = memoryview(chunk)
    while rest:
        rest = rest[file.write(rest) :]


def _chunks(driver: psycopg.Connection, query: str) -> Generator[tuple[int, bytes], None, None]:
    """What COPY sends, in chunks, each with the number of rows so far; at the end the number that the server says.

    psycopg's own loop takes twice as long. Raises its errors.
    """
    connection = driver.pgconn
    result = connection.exec_(f"COPY ({query}) TO STDOUT".encode())
    if result.status != pq.ExecStatus.COPY_OUT:
        raise psycopg.errors.error_from_result(result)
    try:
        yield from _rows_in_chunks(connection)
        result = connection.get_result()  # type: ignore[assignment]  # there is one after a COPY
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(result)
        _drain(connection)
    except BaseException:
        _abandon(driver)
        raise
    yield int(result.command_tuples or 0), b""


def _rows_in_chunks(connection: "pq.abc.PGconn") -> Iterator[tuple[int, bytes]]:
    lines: list[bytes | memoryview] = []
    size = 0
    take, keep = connection.get_copy_data, lines.append
    while True:
        length, line = take(1)
        if length > 0:
            keep(line)
            size += length
            if size >= CHUNK:
                yield 0, b"".join(lines)
                lines.clear()
                size = 0
        elif length == 0:
            select.select([connection.socket], [], [])
            connection.consume_input()
        else:
            yield 0, b"".join(lines)
            return


def _abandon(driver: psycopg.Connection) -> None:
    """End a COPY in the middle: the server is told, and what it has sent is read, so that the connection is usable."""
    if driver.pgconn.status != pq.ConnStatus.OK or driver.info.transaction_status != pq.TransactionStatus.ACTIVE:
        return
    driver.cancel_safe(timeout=5.0)
    while (result := driver.pgconn.get_result()) is not None:
        while result.status == pq.ExecStatus.COPY_OUT and driver.pgconn.get_copy_data(0)[0] > 0:
            pass


def _drain(connection: "pq.abc.PGconn") -> None:
    while connection.get_result() is not None:
        pass


def require_whole(path: Path, saved: Saved) -> None:
    """Read a file. Raises CheckFailed when it has not the rows and bytes that it should have; OSError."""
    digest = hashlib.sha256()
    rows = 0
    for chunk in read(path):
        digest.update(chunk)
        rows += chunk.count(b"\n")
    if (rows, digest.hexdigest()) != (saved.rows, saved.sha256):
        raise CheckFailed(f"{path} has {rows:,} rows and another content than the {saved.rows:,} that were written.")


def read(path: Path) -> Iterator[bytes]:
    """The bytes of a file, in chunks."""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            yield chunk
