"""Copy files: rows in the format of COPY, written and read in constant memory, checked by row count and SHA-256."""

import hashlib
import os
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from io import BytesIO
from itertools import islice
from operator import itemgetter
from pathlib import Path

import psycopg
from psycopg import pq

from dbkit.errors import CheckFailed
from dbkit.postgres.cancel import cancel_statement
from dbkit.stash.manifest import SavedFile
from dbkit.stash.store import open_in_stash
from dbkit.wording import counted

CHUNK = 256 * 1024  # bytes; a chunk that is written, read, hashed and counted stays in the processor's cache


def write_copy_file(
    driver: psycopg.Connection, query: str, path: Path, more: Iterable[tuple[int, bytes]] = ()
) -> SavedFile:
    """Write the rows of a query to a new file (mode 0600), durably, and verify it by reading it.

    `more` are further rows in pieces, in the format of COPY, each with the number of rows that end with it.

    Raises psycopg's errors, OSError when there is no room, and CheckFailed when the file is not what the server sent.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        written = _Written(descriptor)
        rows = _copy_rows(driver, query, written)
        for count, piece in more:
            rows += count
            written.add(piece)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if written.lines != rows:
        raise CheckFailed(f"{path} has {counted(written.lines, 'row')}; sent: {rows:,}.")
    return SavedFile(path.name, rows, written.size, written.digest.hexdigest())


def read_rows(driver: psycopg.Connection, query: str) -> bytes:
    """Return the few rows of a query in the format of COPY. Raises psycopg's errors."""
    chunks: list[bytes] = []
    if copy_out := getattr(driver, "copy_out", None):
        copy_out(query, chunks.append)
    else:
        chunks += [chunk for _count, chunk in _chunks(driver, query)]
    return b"".join(chunks)


def _copy_rows(driver: psycopg.Connection, query: str, written: "_Written") -> int:
    """Write the rows of a query to a file, and return their number."""
    # a project's own connection copies as its driver does
    if copy_out := getattr(driver, "copy_out", None):
        return int(copy_out(query, written.add))
    rows, pending = 0, None
    # closing: an error here must end the COPY, too
    with ThreadPoolExecutor(1) as beside, closing(_chunks(driver, query)) as chunks:
        for count, chunk in chunks:
            rows = count
            if pending is not None:
                pending.result()
            pending = beside.submit(written.add, chunk)
        if pending is not None:
            pending.result()
    return rows


class _Written:
    """A file being written: each chunk is verified at once, while the next one is received."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = 0
        self.lines = 0
        self.digest = hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        """Write a chunk and verify it. Raises OSError, and CheckFailed when it does not read as it was written."""
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]
        for start in range(0, len(chunk), CHUNK):
            sent = memoryview(chunk)[start : start + CHUNK]
            found = os.pread(self.descriptor, len(sent), self.size)
            if found != sent:
                raise CheckFailed(f"what was written at byte {self.size} of a stash does not read as it was sent.")
            self.digest.update(found)
            self.lines += found.count(b"\n")
            self.size += len(found)


def _chunks(driver: psycopg.Connection, query: str) -> Generator[tuple[int, bytes], None, None]:
    """Yield the data of a COPY in chunks, each with 0 as its count; at the end the row count that the server reports.

    psycopg's own loop takes twice as long. Raises its errors.
    """
    connection = driver.pgconn
    result = connection.exec_(f"COPY ({query}) TO STDOUT".encode())
    if result.status != pq.ExecStatus.COPY_OUT:
        raise psycopg.errors.error_from_result(result)
    try:
        for chunk in _rows_in_chunks(connection):
            yield 0, chunk
        result = connection.get_result()  # type: ignore[assignment]  # there is one after a COPY
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(result)
        _drain(connection)
    except BaseException:
        _abandon(driver)
        raise
    yield int(result.command_tuples or 0), b""


def _rows_in_chunks(connection: "pq.abc.PGconn") -> Iterator[bytes]:
    # no work is done for a single row, and no row is kept as an object: each would double the time
    rows = map(itemgetter(1), iter(partial(connection.get_copy_data, 0), (-1, b"")))
    count = 1
    while True:
        if count == 1:  # possibly a large row, of which no copy is made
            row = next(rows, b"")
            if not row:
                return
            count = min(max(CHUNK // len(row), 1), 10)
            yield row
            continue
        buffer = BytesIO()
        buffer.writelines(islice(rows, count))
        size = buffer.tell()
        if not size:
            return
        count = min(max(count * CHUNK // size, 1), count * 10)
        yield buffer.getvalue()


def _abandon(driver: psycopg.Connection) -> None:
    """Cancel a COPY that is under way, and discard what the server has sent, so that the connection stays usable."""
    if driver.pgconn.status != pq.ConnStatus.OK or driver.info.transaction_status != pq.TransactionStatus.ACTIVE:
        return
    cancel_statement(driver, timeout=5.0)
    while (result := driver.pgconn.get_result()) is not None:
        while result.status == pq.ExecStatus.COPY_OUT and driver.pgconn.get_copy_data(0)[0] > 0:
            pass


def _drain(connection: "pq.abc.PGconn") -> None:
    while connection.get_result() is not None:
        pass


def read_checked(path: Path, saved: SavedFile) -> Iterator[bytes]:
    """Yield the bytes of a copy file in chunks.

    Raises CheckFailed, after the last chunk at the latest, when rows, size or SHA-256 differ from the manifest.
    """
    digest = hashlib.sha256()
    rows = size = 0
    try:
        with open_in_stash(path) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                rows += chunk.count(b"\n")
                size += len(chunk)
                if size <= saved.size:
                    yield chunk
    except OSError as error:
        raise CheckFailed(f"{path} cannot be read: {error.strerror}.", "Get it back from a backup.") from error
    if (rows, size, digest.hexdigest()) != (saved.rows, saved.size, saved.sha256):
        raise CheckFailed(
            f"{path} has {counted(rows, 'row')} and another content than the {saved.rows:,} that were written."
        )
