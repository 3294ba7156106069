"""The login with which a project's driver is led to a scratch database."""

import pytest

from dbkit.roundtrip.redirection import _login
from dbkit.settings import Target


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
def test_a_host_in_the_query_of_the_url(driver: str) -> None:
    """postgresql://team@/app?host=/run/postgresql&port=5433"""
    target = Target("app", user="team", query=(("host", "/run/postgresql"), ("port", "5433")))
    login = _login(driver, target)
    assert (login["host"], login["port"]) == ("/run/postgresql", 5433)


def test_a_host_before_the_query() -> None:
    login = _login("psycopg2", Target("app", user="team", host="db", query=(("sslmode", "require"),)))
    assert (login["host"], login["port"], login["sslmode"]) == ("db", 5432, "require")
