"""Give a project's env.py the URL of a scratch database: in which variables, for which driver."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote, urlencode

import sqlalchemy as sa

from dbkit.project import Project
from dbkit.settings import Target

MAIN = ""
"""The name of the one database that most projects have."""
NO_SERVER = "scratch.invalid"
"""A host that does not exist: a program that a migration starts must not find the project's own server (RFC 2606)."""
Databases = Mapping[str, Target]
"""By name: MAIN, or the names that the option `databases` lists (Alembic's template for several databases)."""


def database_names(project: Project) -> list[str]:
    """Return the names of the project's databases."""
    listed = project.config.get_main_option("databases") or ""
    named = [name for name in re.split(r",\s*", listed.strip()) if name]
    return named if named and all(map(project.config.file_config.has_section, named)) else [MAIN]


@dataclass(frozen=True)
class Access:
    """The ways in which env.py gets its database, in addition to sqlalchemy.url and DATABASE_URL."""

    variables: tuple[tuple[str, str], ...] = ()
    """Names and values; {url}, {host}, {port}, {user}, {password} and {dbname} in a value are the database's."""
    driver: str = "psycopg"
    hands: str = ""
    """The object in config.attributes["connection"]: "connection", "engine", or "" for none."""
    redirects: bool = False
    """Whether every connection of an engine is led to the one database, whatever env.py has read."""
    password_apart: bool = False
    """Whether the password is in PGPASSWORD, and not in the URL."""
    has_host: bool = False
    """Whether the URL has a host name, as settings classes demand, in place of a socket: only where it `redirects`."""

    def environment(self, target: Target) -> dict[str, str]:
        """Return the environment variables for a database."""
        parts = {
            "url": self.url(target),
            "host": target.host or "localhost",
            "port": str(target.port or 5432),
            "user": target.user or "",
            "password": target.password or "",
            "dbname": target.dbname,
        }
        templates = {"DATABASE_URL": "{url}"} | dict(self.variables)
        if self.password_apart:
            templates["PGPASSWORD"] = "{password}"
        return {
            name: re.sub(r"\{(\w+)\}", lambda match: parts.get(match[1], match[0]), value)
            for name, value in templates.items()
        }

    def url(self, target: Target) -> str:
        """Return a SQLAlchemy URL for the driver; it has a %, which configparser interprets, only where it must."""
        query = dict(target.query)
        host = target.host or ""
        if self.has_host and host.startswith("/"):
            host = NO_SERVER
        if host.startswith("/"):
            if self.driver == "pg8000":
                query["unix_sock"] = f"{host}/.s.PGSQL.{target.port}"
            else:
                query |= {"host": host, "port": str(target.port)}
            host = ""
        if self.driver in ("asyncpg", "pg8000"):
            query.pop("requirepeer", None)
        if self.driver == "asyncpg" and "sslmode" in query:
            query["ssl"] = query.pop("sslmode")
        url = sa.URL.create(
            f"postgresql+{self.driver}",
            username=target.user,
            password=None if self.password_apart else target.password,
            host=host or None,
            port=target.port if host else None,
            database=target.dbname,
        )
        # SQLAlchemy would write / as %2F
        parameters = f"?{urlencode(query, safe='/', quote_via=quote)}" if query else ""
        return f"{url.render_as_string(hide_password=False)}{parameters}"

    def password_variable_helps(self, databases: Databases) -> bool:
        """Whether the URLs have a % only because of their passwords, which libpq's drivers find in PGPASSWORD, too."""
        apart = replace(self, password_apart=True)
        return not any("%" in apart.url(target) for target in databases.values())


@contextlib.contextmanager
def environment_variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and restore the former values at the end."""
    former = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
