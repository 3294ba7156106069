"""The server of a proof that starts while env.py runs, whose connections are watched."""

from typing import NoReturn

import psycopg
import pytest

from dbkit.errors import InputError
from dbkit.postgres.connect import connect
from dbkit.postgres.connection_guard import ConnectionGuard, guarding
from dbkit.roundtrip.scratch_server import open_server
from dbkit.settings import Settings, Target


class RefuseAll(ConnectionGuard):
    """Allows no connection at all."""

    def before(self, dbname: str | None) -> None:
        self.refuse_it()

    def check_own(self, target: Target) -> None:
        self.refuse_it()

    def refuse_it(self) -> NoReturn:
        self.refuse(InputError("it was refused"))


def test_a_guard_does_not_refuse_the_connections_of_a_server_that_starts(local_settings: Settings) -> None:
    guard = RefuseAll()
    with open_server(local_settings, None) as server:
        with guarding(guard):
            server.wait()
            create = server.place.create_database
        guard.require_none_refused()
        with pytest.raises(InputError, match="it was refused"), guarding(guard):
            create("one")
        guard.refusal = None
        with connect(server.place.target("postgres")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(InputError, match="it was refused"), guarding(guard):
            psycopg.connect(**server.place.target("postgres").parameters())
