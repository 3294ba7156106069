"""Opening a connection: who may pass at once, who is waited for, and what people are told."""

import threading
from dataclasses import replace

import psycopg
import pytest

from dbkit.errors import Unreachable
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect, current_revisions
from dbkit.postgres.own_statements import Session, place_of
from dbkit.postgres.pooler import looks_direct
from dbkit.settings import Target
from support.servers import HOSTILE_PASSWORD, free_port

LONG = 3600.0  # seconds: a test that waits this long has failed


def test_a_hostile_password_logs_in(password_server: Target) -> None:
    with connect(password_server) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("shop",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"password": "wrong"}, "password authentication failed"),
        ({"password": None}, "no password supplied"),
        ({"user": "nobody_here"}, "password authentication failed"),
        ({"dbname": "nothing_here"}, 'database "nothing_here" does not exist'),
    ],
)
def test_a_server_that_says_no_is_not_asked_again(
    password_server: Target, change: dict[str, str | None], reason: str
) -> None:
    with pytest.raises(Unreachable, match=reason) as caught:
        connect(replace(password_server, **change), wait=LONG)
    assert caught.value.exit_code == 4
    assert HOSTILE_PASSWORD not in str(caught.value)
    assert str(password_server.port) in caught.value.message


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (Target("x", user="u", host="127.0.0.1", port=free_port()), "refused"),
        (Target("x", user="u", host="name.invalid"), "name"),
        (Target("x", user="u", host="/nowhere/at/all"), "No such file"),
    ],
)
def test_a_server_that_does_not_answer_is_waited_for(
    target: Target, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Unreachable, match=reason) as caught:
        connect(target, wait=0.2)
    assert "(waited 0.2 s)" in caught.value.message
    assert "waiting up to 0.2 s" in capsys.readouterr().err


def test_a_server_that_starts_meanwhile_is_found(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The socket appears under the name that is being tried: what a container does while its database starts."""
    directory = tmp_path_factory.mktemp("s")
    link = directory / ".s.PGSQL.5432"
    target = replace(server.target(), host=str(directory))
    timer = threading.Timer(0.3, lambda: link.symlink_to(server.socket_directory / link.name))
    timer.start()
    connect(target, wait=LONG).close()
    timer.join()


def test_no_version_table_is_no_revision(database: Target) -> None:
    with connect(database, session=Session.PROJECT) as connection:
        assert current_revisions(connection) == ()
        connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('b'), ('a')")
        assert current_revisions(connection) == ("a", "b")


@pytest.mark.parametrize("session", Session)
def test_no_limit_of_the_project_ends_our_first_query(database: Target, session: Session) -> None:
    """It asks where the search path leads, which no new session does within a millisecond."""
    with connect(database, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {database.dbname} SET statement_timeout = '1ms'".encode())
    with connect(database, session=session) as connection:
        assert place_of(connection).current_schema == "public"


def test_too_many_connections_passes(server: Cluster, database: Target) -> None:
    with psycopg.connect(**server.target("postgres").parameters(), autocommit=True) as connection:
        connection.execute("CREATE ROLE narrow LOGIN CONNECTION LIMIT 1")
    narrow = replace(database, user="narrow")
    first = connect(narrow)
    timer = threading.Timer(0.3, first.close)
    timer.start()
    connect(narrow, wait=LONG).close()
    timer.join()


def test_a_direct_connection_is_not_taken_for_a_pooler(database: Target) -> None:
    """It has its limits from the login on, and settings of its own."""
    with connect(database, patience=7) as connection:
        assert (connection.is_pooled, connection.wraps, connection.server_pid) == (
            False,
            False,
            connection.info.backend_pid,
        )
        assert connection.execute("SHOW lock_timeout").fetchone() == ("7s",)
        assert connection.execute("SHOW search_path").fetchone() == ("pg_catalog, pg_temp",)
        assert looks_direct(connection.fileno(), connection.client_port, connection.server_pid)
    with connect(database, settings={"default_transaction_read_only": "on"}) as connection:
        assert connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
        assert not connection.has_session_settings
