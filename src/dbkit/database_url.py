"""Connection parameters for one database, and the URLs that name it. No message contains any part of a password."""

import functools
import hashlib
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from dbkit.errors import InputError
from dbkit.redaction import redact

ENCODE = (
    "In a URL's password, write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F, % as %25 and a space as %20;\n"
    "or leave DATABASE_URL out and set DB_HOST, DB_PORT, DB_NAME, DB_USER and DB_PASSWORD."
)
BEFORE_THE_HOST = ("user", "password", "dbname", "sslpassword")
"""Keywords of libpq that a URL's query must not have: the first three have their place, and secrets are not shown."""


LONGEST_NAME = 63  # bytes of an identifier: https://www.postgresql.org/docs/18/sql-syntax-lexical.html


@dataclass(frozen=True)
class History:
    """Where a project records in a database what is applied: its version table, and the session that finds it."""

    table: str = "alembic_version"
    """Alembic's option `version_table`."""
    schema: str | None = None
    """Alembic's option `version_table_schema`; None for the search path."""
    search_path: str | None = None
    """The search path that env.py sets, as SHOW prints it; None for that of the login."""
    role: str | None = None
    """The role that env.py sets by SET ROLE; None for that of the login."""

    def name_beside(self, name: str) -> str:
        """Return the name of a table of dbkit beside the version table.

        It is `name` beside alembic_version. Another version table's name is appended: two in one schema have two.
        """
        if self.table == History.table:
            return name
        full = f"{name}_{self.table}"
        encoded = full.encode()
        if len(encoded) <= LONGEST_NAME:
            return full
        digest = hashlib.sha256(encoded).hexdigest()[:8]
        return f"{encoded[: LONGEST_NAME - len(digest) - 1].decode(errors='ignore')}_{digest}"


DEFAULT_HISTORY = History()


@dataclass(frozen=True)
class Target:
    """One database on one server: the connection parameters of libpq, and where a project has its history in it."""

    dbname: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    query: tuple[tuple[str, str], ...] = ()
    history: History = field(default=DEFAULT_HISTORY, compare=False)
    """It is no part of the login."""

    def parameters(self) -> dict[str, Any]:
        """Keywords for `psycopg.connect` and libpq. Parameters that are not set have libpq's defaults."""
        named = {
            "host": self.host,
            "port": self.port,
            "dbname": self.dbname,
            "user": self.user,
            "password": self.password,
        }
        return dict(self.query) | {key: value for key, value in named.items() if value is not None}

    def server(self) -> str:
        """The server's address, for display."""
        parameters = self.parameters()
        host = str(parameters.get("host", "localhost"))
        if host.startswith("/"):
            return host
        return f"{f'[{host}]' if ':' in host else host}:{parameters.get('port', 5432)}"


def parse_url(url: str, where: str) -> Target:
    """Parse a PostgreSQL URL; messages name `where` it was read.

    `postgres://`, `postgresql://` and `postgresql+psycopg://` are the same. Syntax:
    https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNSTRING-URIS. Raises InputError.
    """
    redact.learn_url(url)
    if url[:1] in "\"'":
        raise InputError(f"{where} begins with a quote.", "Remove the quotes around the URL.")
    if not url.isprintable() or " " in url:
        raise InputError(f"{where} has a space or an invisible character in it.", ENCODE)
    scheme, separator, rest = url.partition("://")
    _check_scheme(scheme if separator else "", where)
    if "#" in rest:
        raise InputError(f"{where} has a raw # in it.", ENCODE)
    address, _, query = rest.partition("?")
    authority, _, path = address.partition("/")
    userinfo, at_sign, location = authority.rpartition("@")
    if "@" in userinfo or "@" in path or "@" in query:
        raise InputError(f"{where} has a raw @, / or ? in its user or password.", ENCODE)
    user, colon, password = userinfo.partition(":")
    host, port = _split_location(location, where)
    dbname = _unquote(path, where)
    if not dbname:
        raise InputError(f"{where} names no database.", "End it with /name.")
    if "/" in path:
        raise InputError(f"{where} has a / in the name of the database.", ENCODE)
    pairs = _query(query, where)
    for name, value in (("host", host), ("port", port)):
        if value and name in dict(pairs):
            raise InputError(f"{where} has a {name} before and after the ?.", "Keep one of them.")
    return Target(
        dbname=dbname,
        user=_unquote(user, where) or None,
        password=_unquote(password, where) if colon else None,
        host=_unquote(host, where) or None,
        port=parse_port(port, where, shown=bool(at_sign)) if port else None,
        query=pairs,
    )


def _check_scheme(scheme: str, where: str) -> None:
    name, _, driver = scheme.lower().partition("+")
    if name not in ("postgres", "postgresql"):
        what = f"begins with {scheme}://" if re.fullmatch(r"[a-z][a-z0-9+]{1,20}", scheme, re.I) else "is not a URL"
        raise InputError(f"{where} {what}; this kit is for PostgreSQL.", "Write postgresql://user:password@host/name")
    if driver not in ("", "psycopg"):
        raise InputError(
            f"{where} asks for the driver {driver}; migrations here run on psycopg 3.",
            "Write postgresql:// or postgresql+psycopg://",
        )


def _split_location(location: str, where: str) -> tuple[str, str]:
    if location.startswith("["):
        host, bracket, port = location[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise InputError(f"{where} has a [ without its ] around the host.")
        return host, port[1:]
    host, _, port = location.partition(":")
    if "," in location:
        raise InputError(f"{where} names several hosts.", "Name one; migrations go to the primary.")
    return host, port


def parse_port(text: str, where: str, *, shown: bool) -> int:
    """Parse a port. Not `shown` in messages where a URL has no @: in the port's place may be a part of a password."""
    if re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= 65535:
        return int(text)
    value = f": {text!r}" if shown else ""
    raise InputError(f"{where} has a port that is not a number from 1 to 65535{value}.")


def _query(text: str, where: str) -> tuple[tuple[str, str], ...]:
    _unquote(text, where)
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text))
    except ValueError:
        raise InputError(f"{where}: what follows the ? is not name=value&name=value.") from None
    names = [name for name, _ in pairs]
    for name in names:
        if name in BEFORE_THE_HOST:
            raise InputError(
                f"{where} has ?{name}= in it.", "Write it before the host: postgresql://user:password@host/name"
            )
        if name not in query_parameters():
            raise InputError(
                f"{where}: what follows the ? has a parameter that PostgreSQL's client does not know.",
                "The names are in PostgreSQL's documentation, libpq, Parameter Key Words.",
            )
        if names.count(name) > 1:
            raise InputError(f"{where} has {name}= twice.")
    return tuple(pairs)


@functools.cache
def query_parameters() -> frozenset[str]:
    """The keywords of this libpq that a URL's query may have.

    Without secrets and debug options (by libpq's own marks), and without `service`, which would name another server.
    """
    from psycopg.pq import Conninfo

    known = {option.keyword.decode() for option in Conninfo.get_defaults() if not option.dispchar}
    return frozenset(known - {*BEFORE_THE_HOST, "service"})


def _unquote(text: str, where: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise InputError(f"{where} has a raw % in it.", ENCODE)
    try:
        result = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise InputError(f"{where} has percent-encoded bytes that are not UTF-8.") from None
    if "\0" in result:
        raise InputError(f"{where} has a percent-encoded NUL byte.")
    return result
