"""The messages of PostgreSQL's protocol, for servers that tests make: a pooler, and engines that are not PostgreSQL."""

import asyncio
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A message of the server."""
    return kind + struct.pack("!I", len(body) + 4) + body


def text(value: str) -> bytes:
    """A string that ends with a zero byte."""
    return value.encode() + b"\0"


def error(sqlstate: str, words: str, severity: str = "ERROR") -> bytes:
    """An ErrorResponse."""
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": words}
    return message(b"E", b"".join(name.encode() + text(value) for name, value in fields.items()) + b"\0")


def parameter(name: str, value: str) -> bytes:
    """A ParameterStatus."""
    return message(b"S", text(name) + text(value))


def key_data(pid: int, secret: int) -> bytes:
    """A BackendKeyData."""
    return message(b"K", struct.pack("!iI", pid, secret))


def ready(status: bytes = b"I") -> bytes:
    """A ReadyForQuery."""
    return message(b"Z", status)


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read a message: its kind, and its body. Raises IncompleteReadError at the end."""
    kind = await reader.readexactly(1)
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


async def read_startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, bytes]:
    """Read how a client begins, without encryption: the code of the message, and its body."""
    while True:
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        (code,) = struct.unpack("!I", await reader.readexactly(4))
        body = await reader.readexactly(length - 8)
        if code not in (SSL_REQUEST, GSS_REQUEST):
            return code, body
        writer.write(b"N")


def startup_parameters(body: bytes) -> dict[str, str]:
    """The parameters of a StartupMessage."""
    words = [each.decode() for each in body.split(b"\0")]
    return {name: value for name, value in zip(words[::2], words[1::2], strict=False) if name}


@contextmanager
def listening_on_loopback(handler: Handler, at_end: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Serve clients on a port of loopback, in a thread with an event loop, until the end; it then calls `at_end`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await handler(reader, writer)
        with suppress(ConnectionError):
            writer.close()

    async def close() -> None:
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        at_end()
        await asyncio.sleep(0)

    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, "127.0.0.1", 0), loop).result()
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
