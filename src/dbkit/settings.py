"""`.env` and the environment, read once into one frozen object.

The process environment beats `.env`. `.env` is read from the project root only, without interpolation, and strictly:
every line is accounted for. Nothing in here ever puts a password, or a piece of one, into a message.
"""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any
from stat import S_IRWXG, S_IRWXO
from urllib.parse import parse_qsl, unquote

from dotenv.parser import parse_stream

from dbkit.errors import InputError
from dbkit.redaction import redact

DB_PARTS = ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD")

# Connection parameters a URL's query may carry: https://www.postgresql.org/docs/18/libpq-connect.html
QUERY_PARAMETERS = frozenset(
    {
        "host",
        "hostaddr",
        "port",
        "passfile",
        "require_auth",
        "channel_binding",
        "connect_timeout",
        "client_encoding",
        "application_name",
        "fallback_application_name",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "gssencmode",
        "sslmode",
        "sslnegotiation",
        "sslcompression",
        "sslcert",
        "sslkey",
        "sslrootcert",
        "sslcrl",
        "sslcrldir",
        "sslsni",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
        "krbsrvname",
        "gsslib",
        "gssdelegation",
        "target_session_attrs",
        "load_balance_hosts",
        "options",
    }
)

LONGEST_TIME = 24 * 86400.0  # seconds; PostgreSQL counts milliseconds in 32 bits

ENCODE = (
    "In a URL's password, write @ as %40, : as %3A, / as %2F, # as %23, ? as %3F, % as %25 and a space as %20;\n"
    "or leave DATABASE_URL out and set DB_HOST, DB_PORT, DB_NAME, DB_USER and DB_PASSWORD."
)


@dataclass(frozen=True)
class Target:
    """One database on one server, in the parts that libpq takes."""

    dbname: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    query: tuple[tuple[str, str], ...] = ()

    def parameters(self) -> dict[str, Any]:
        """Connection keywords for `psycopg.connect` and libpq; unset ones are left to libpq's defaults."""
        named = {
            "host": self.host,
            "port": self.port,
            "dbname": self.dbname,
            "user": self.user,
            "password": self.password,
        }
        return dict(self.query) | {key: value for key, value in named.items() if value is not None}

    def server(self) -> str:
        """Where the server is, for people."""
        parameters = self.parameters()
        host = str(parameters.get("host", "localhost"))
        if host.startswith("/"):
            return host
        return f"{f'[{host}]' if ':' in host else host}:{parameters.get('port', 5432)}"


@dataclass(frozen=True)
class Settings:
    """Everything the kit reads from its surroundings. Times are in seconds; a time-out of 0 is none."""

    root: Path
    target: Target | None
    """The database that MIGRATION_DATABASE_URL, DATABASE_URL or DB_* name; None stands for the embedded server."""
    app_env: str
    """development, test, ci, staging, production, or whatever APP_ENV says; "" when nothing says."""
    lock_timeout: float
    lock_budget: float
    """How long one migration goes on trying, when its locks are not granted within lock_timeout."""
    statement_timeout: float
    wait: float
    """How long to wait for a server, or for another migration; 0 is not at all."""
    pg_bindir: Path | None
    confirm: str | None
    """CONFIRM, from the process environment only: the name of the database that may lose data."""
    stash: bool = True
    """STASH, from the process environment only: whether a rollback keeps what it loses."""
    scratch: bool = False
    """Whether the database is a throw-away one of our own, in which nothing is recorded."""


@dataclass(frozen=True)
class _Value:
    text: str
    where: str
    from_environment: bool


def load(root: Path, environ: Mapping[str, str] = os.environ, *, warn: bool = False, dotenv: bool = True) -> Settings:
    """Read `root/.env` and `environ`; `warn` prints to stderr what is unwise in them.

    Without `dotenv`, for proofs of another project, neither `.env` is read nor what the environment says of a database.

    Raises InputError, naming the file and line or the variable, for anything that is not plainly right.
    """
    values = _read_dotenv(root / ".env") if dotenv else {}
    for name, text in environ.items():
        values[name] = _Value(text, f"{name} in the environment", from_environment=True)
    redact.learn_variables({name: value.text for name, value in values.items()})
    if warn:
        _warn_of_permissions(root / ".env", values)
    bindir = _text(values, "PG_BINDIR")
    return Settings(
        root=root,
        target=_target(values) if dotenv else None,
        app_env=_text(values, "APP_ENV") or "",
        lock_timeout=_duration(values, "MIGRATION_LOCK_TIMEOUT", 1.0),
        lock_budget=_duration(values, "MIGRATION_LOCK_BUDGET", 60.0),
        statement_timeout=_duration(values, "MIGRATION_STATEMENT_TIMEOUT", 0.0),
        wait=_duration(values, "MIGRATION_WAIT", 30.0),
        pg_bindir=(root / bindir) if bindir else None,
        confirm=environ.get("CONFIRM"),
        stash=_is_on("STASH in the environment", environ.get("STASH", "1")),
    )


def _is_on(where: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise InputError(f"{where} is {text!r}.", "Write 0 to go without, or leave it out.")
    return text == "1"


def _read_dotenv(path: Path) -> dict[str, _Value]:
    values: dict[str, _Value] = {}
    lines: dict[str, int] = {}
    for binding in parse_stream(StringIO(_decode(path))):
        # python-dotenv counts the blank lines before a binding as part of it
        text = binding.original.string
        line = binding.original.line + len(text) - len(text.lstrip("\r\n"))
        place = f"{path.name}, line {line}"
        if binding.error:
            raise InputError(
                f"{place} is not NAME=value.", "Check for a missing =, a missing closing quote or text after a quote."
            )
        if binding.key is None:
            continue
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", binding.key):
            raise InputError(f"{place}: {binding.key!r} cannot be the name of a variable.")
        if binding.value is None:
            raise InputError(f"{place}: {binding.key} has no value.", f"Write {binding.key}=… or delete the line.")
        if binding.key in lines:
            raise InputError(
                f"{place}: {binding.key} was already set in line {lines[binding.key]}.", "Keep one of the two."
            )
        lines[binding.key] = line
        values[binding.key] = _Value(binding.value, f"{binding.key} in {place}", from_environment=False)
    return values


def _decode(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path.name}, line 1: the file is UTF-16.", "Save it as UTF-8.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path.name}, line {line}: the file is not UTF-8.", "Save it as UTF-8.") from error
    if "\0" in text:
        raise InputError(f"{path.name}, line {text.count(chr(10), 0, text.index(chr(0))) + 1}: there is a NUL byte.")
    return text


def _text(values: Mapping[str, _Value], name: str) -> str | None:
    value = values.get(name)
    if value is None:
        return None
    if not value.text.strip():
        raise InputError(f"{value.where} is empty.", f"Give {name} a value, or remove it.")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in value.text):
        raise InputError(f"{value.where} is not valid UTF-8.")
    return value.text


def _duration(values: Mapping[str, _Value], name: str, default: float) -> float:
    text = _text(values, name)
    if text is None:
        return default
    match = re.fullmatch(r"\s*(\d{1,9})\s*(ms|s|min|h)?\s*", text, re.ASCII)
    if not match:
        raise InputError(f"{values[name].where}: {text!r} is not a time.", "Write 500ms, 5s, 2min or 1h; 0 for none.")
    seconds = int(match[1]) * {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}[match[2] or "s"]
    if seconds > LONGEST_TIME:
        raise InputError(f"{values[name].where}: {text!r} is longer than PostgreSQL takes.", "576h is the most.")
    return seconds


def _target(values: Mapping[str, _Value]) -> Target | None:
    direct = values.get("MIGRATION_DATABASE_URL")
    if direct is not None:
        _text(values, "MIGRATION_DATABASE_URL")
        return parse_url(direct.text, direct.where)
    url = values.get("DATABASE_URL")
    parts = [values[name] for name in DB_PARTS if name in values]
    if url is None:
        return _target_from_parts(values) if parts else None
    rivals = [part for part in parts if part.from_environment or not url.from_environment]
    if rivals:
        raise InputError(f"{url.where} and {rivals[0].where} are both set.", "Keep the URL, or keep the DB_* parts.")
    _text(values, "DATABASE_URL")
    return parse_url(url.text, url.where)


def _target_from_parts(values: Mapping[str, _Value]) -> Target:
    dbname, user = _text(values, "DB_NAME"), _text(values, "DB_USER")
    if dbname is None or user is None:
        missing = "DB_NAME" if dbname is None else "DB_USER"
        present = next(values[name] for name in DB_PARTS if name in values)
        raise InputError(f"{present.where} is set, but {missing} is not.", "Set DB_NAME and DB_USER as well.")
    port = _text(values, "DB_PORT")
    password = values.get("DB_PASSWORD")
    return Target(
        dbname=dbname,
        user=user,
        password=_text(values, "DB_PASSWORD") if password else None,
        host=_text(values, "DB_HOST") or "localhost",
        port=_port(port, values["DB_PORT"].where, shown=True) if port else 5432,
    )


def parse_url(url: str, where: str) -> Target:
    """Take a PostgreSQL URL apart; `where` says in messages what it was read from.

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
        port=_port(port, where, shown=bool(at_sign)) if port else None,
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


def _port(text: str, where: str, *, shown: bool) -> int:
    """`shown` is False where a URL has no @: what stands in the port's place may then be a password."""
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
        if name in ("password", "sslpassword", "user", "dbname"):
            raise InputError(
                f"{where} has ?{name}= in it.", "Write it before the host: postgresql://user:password@host/name"
            )
        if name not in QUERY_PARAMETERS:
            raise InputError(
                f"{where}: what follows the ? has a parameter that PostgreSQL's client does not know.",
                "The names are in PostgreSQL's documentation, libpq, Parameter Key Words.",
            )
        if names.count(name) > 1:
            raise InputError(f"{where} has {name}= twice.")
    return tuple(pairs)


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


def _warn_of_permissions(path: Path, values: Mapping[str, _Value]) -> None:
    secrets = [values[name] for name in ("MIGRATION_DATABASE_URL", "DATABASE_URL", "DB_PASSWORD") if name in values]
    if all(secret.from_environment for secret in secrets) or not path.stat().st_mode & (S_IRWXG | S_IRWXO):
        return
    print(f"dbkit: warning: {path.name} holds a password and others can read it; chmod 600 {path}", file=sys.stderr)
