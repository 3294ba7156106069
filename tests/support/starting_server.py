"""A server that is still starting up when the first clients come."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

FIELDS = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
STARTING_UP = b"E" + struct.pack("!i", len(FIELDS) + 4) + FIELDS


@dataclass
class StartingServer:
    """A unix socket before a server's own; it refuses its first clients as a server does that is starting up."""

    directory: Path
    behind: Path
    refusals: int
    refused: int = 0
    listener: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_UNIX))

    def serve(self) -> None:
        """Answer clients until the listener is closed."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=[client], daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        if self.refused < self.refusals:
            self.refused += 1
            with client:
                client.recv(4096)
                client.sendall(STARTING_UP)
            return
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self.behind))
        threading.Thread(target=_copy, args=[client, server], daemon=True).start()
        _copy(server, client)


def _copy(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
    for each in (source, to):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def starting_server(directory: Path, behind: Path, refusals: int) -> Iterator[StartingServer]:
    """Run one in `directory`, which then is the host of a URL, before the socket in `behind`."""
    server = StartingServer(directory, behind / ".s.PGSQL.5432", refusals)
    server.listener.bind(str(directory / ".s.PGSQL.5432"))
    server.listener.listen()
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        yield server
    finally:
        server.listener.close()
