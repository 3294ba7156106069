"""The settings from `.env` and the environment, read once into a frozen object.

The process environment has precedence over `.env`, which is read from the project root only. No message contains a
password or a part of one.
"""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from stat import S_IRWXG, S_IRWXO

from dbkit.database_url import DEFAULT_HISTORY, History, Target, parse_port, parse_url
from dbkit.dotenv import Variable, read_dotenv
from dbkit.errors import InputError
from dbkit.redaction import redact

__all__ = ["Settings", "Target", "load"]

DB_PARTS = ("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD")

TIME_HINT = "Write 500ms, 5s, 2min or 1h, up to 576h; 0 for none."
LONGEST_TIME = 24 * 86400.0  # seconds; PostgreSQL keeps milliseconds in 32 bits


@dataclass(frozen=True)
class Settings:
    """The settings from `.env` and the environment. Times are in seconds; a timeout of 0 is none."""

    root: Path
    ini: Path
    """The settings file of the project, with the section [dbkit]: alembic.ini, pyproject.toml, or another name."""
    target: Target | None
    """The database of MIGRATION_DATABASE_URL, DATABASE_URL or DB_*; None for the embedded server."""
    app_env: str
    """APP_ENV: development, test, ci, staging, production or another name; "" where it is not set."""
    lock_timeout: float
    lock_budget: float
    """How long a migration is retried whose locks are not granted within lock_timeout."""
    statement_timeout: float
    wait: float
    """How long to wait for a server, or for another migration; 0 for not at all."""
    pg_bindir: Path | None
    confirm: str | None
    """CONFIRM, from the process environment only: the name of the database that may lose data."""
    stash: bool = True
    """STASH, from the process environment only: whether a rollback saves the rows that it deletes."""
    scratch: bool = False
    """Whether it is a scratch database, without a journal."""
    section: str = "alembic"
    """The section of the settings file, for Alembic: its --name."""
    arguments: tuple[str, ...] = ()
    """The arguments for env.py: Alembic's -x."""
    is_foreign: bool = False
    """Whether it is a project whose env.py connects by itself: the database is what it connects to."""
    database: str = ""
    """The name of the database, where such a project has several."""

    @property
    def history(self) -> History:
        """Where the project has its history in the database."""
        return self.target.history if self.target else DEFAULT_HISTORY


def load(
    root: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    ini: Path | None = None,
    warn: bool = False,
    dotenv: bool = True,
    connects: bool = False,
) -> Settings:
    """Read `root/.env` and `environ`; `warn` prints warnings about them to stderr. `ini` is alembic.ini by default.

    Without `dotenv`, for another project, `.env` is ignored, and so are the variables that name a database, unless the
    verb `connects` to that.
    Raises InputError with the file and line, or the variable, for every invalid value.
    """
    values = read_dotenv(root / ".env") if dotenv else {}
    for name, text in environ.items():
        values[name] = Variable(text, f"{name} in the environment", from_environment=True)
    redact.learn_variables({name: value.text for name, value in values.items()})
    if warn:
        _warn_of_permissions(root / ".env", values)
    bindir = _text(values, "PG_BINDIR")
    return Settings(
        root=root,
        ini=ini or root / "alembic.ini",
        target=_target(values) if dotenv or connects else None,
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


def _text(values: Mapping[str, Variable], name: str) -> str | None:
    value = values.get(name)
    if value is None:
        return None
    if not value.text.strip():
        raise InputError(f"{value.where} is empty.", f"Give {name} a value, or remove it.")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in value.text):
        raise InputError(f"{value.where} is not valid UTF-8.")
    return value.text


def _duration(values: Mapping[str, Variable], name: str, default: float) -> float:
    text = _text(values, name)
    if text is None:
        return default
    try:
        return parse_time(text)
    except ValueError as error:
        raise InputError(f"{values[name].where}: {error}.", TIME_HINT) from None


def parse_time(text: str) -> float:
    """Return the seconds of a time such as "500ms" or "5s". Raises ValueError."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*(ms|s|min|h)?\s*", text, re.ASCII)
    if not match:
        raise ValueError(f"{text!r} is not a time")
    seconds = int(match[1]) * {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}[match[2] or "s"]
    if seconds > LONGEST_TIME:
        raise ValueError(f"{text!r} is longer than PostgreSQL takes")
    return seconds


def _target(values: Mapping[str, Variable]) -> Target | None:
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


def _target_from_parts(values: Mapping[str, Variable]) -> Target:
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
        port=parse_port(port, values["DB_PORT"].where, shown=True) if port else 5432,
    )


def _warn_of_permissions(path: Path, values: Mapping[str, Variable]) -> None:
    secrets = [values[name] for name in ("MIGRATION_DATABASE_URL", "DATABASE_URL", "DB_PASSWORD") if name in values]
    if all(secret.from_environment for secret in secrets) or not path.stat().st_mode & (S_IRWXG | S_IRWXO):
        return
    print(f"dbkit: warning: {path.name} holds a password and others can read it; chmod 600 {path}", file=sys.stderr)
