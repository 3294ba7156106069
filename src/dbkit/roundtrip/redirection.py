"""Lead every connection of a project's engines to one scratch database, whatever its URL is."""

import contextlib
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from dbkit.settings import Target

LOGIN = (
    *("host", "hostaddr", "port", "user", "password", "passfile", "dbname", "database", "dsn", "service", "unix_sock"),
    *("sslmode", "sslcert", "sslkey", "sslrootcert", "ssl", "ssl_context", "direct_tls", "target_session_attrs"),
)
"""The parameters of a login, with any driver; the others, such as `options`, are the project's."""


@contextlib.contextmanager
def redirect_connections(target: Target) -> Iterator[None]:
    """Replace the login in every connection that SQLAlchemy opens within the context; the drivers stay.

    A project may have read its URL from anywhere, and long before.
    """

    def connect(dialect: Any, _record: Any, arguments: list[Any], parameters: dict[str, Any]) -> Any:
        if dialect.name != "postgresql":
            return None
        kept = {name: value for name, value in parameters.items() if name not in LOGIN}
        # a positional argument is a connection string, which may name another server
        given = [value for value in arguments if not value or not isinstance(value, str)]
        return dialect.connect(*given, **kept | _login(dialect.driver, target))

    sa.event.listen(sa.engine.Dialect, "do_connect", connect)
    try:
        yield
    finally:
        sa.event.remove(sa.engine.Dialect, "do_connect", connect)


def _login(driver: str, target: Target) -> dict[str, Any]:
    """Return the parameters with which a driver logs in to a database."""
    query = dict(target.query)  # a URL may have them there
    host, port = target.host or query.get("host") or "localhost", target.port or int(query.get("port") or 5432)
    login: dict[str, Any] = {"user": target.user, "password": target.password}
    if driver == "pg8000" and host.startswith("/"):
        login |= {"unix_sock": f"{host}/.s.PGSQL.{port}", "database": target.dbname}
    elif driver in ("asyncpg", "pg8000"):
        login |= {"host": host, "port": port, "database": target.dbname}
    else:
        login |= query | {"host": host, "port": port, "dbname": target.dbname}
    return {name: value for name, value in login.items() if value is not None}
