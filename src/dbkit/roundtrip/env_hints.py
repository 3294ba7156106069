"""Hints where env.py does not find the scratch database: the options for the variables that it reads."""

import os
import re
from pathlib import Path

HINT = """\
A project under proof gets its URL in sqlalchemy.url and in DATABASE_URL. Where env.py reads another variable, name it
with --url-env NAME; where it reads the parts, give them: --set-env DB_NAME={dbname} --set-env DB_HOST={host}"""
IN_A_URL = """\
On a throw-away server {host} is the directory of a socket. Where env.py needs a host name, as in a URL, use a server on
TCP: --server postgresql://user@localhost/postgres"""
ARGUMENTS_HINT = "env.py reads the arguments of -x, and none was given: -x NAME=VALUE, as for alembic."
# The ends of the names of variables, by what they contain
ENDS = {
    "user": r"USER|USERNAME|LOGIN",
    "password": r"PASS|PASSWORD|PASSWD|PWD|PW",
    "host": r"HOST|HOSTNAME|SERVER",
    "port": r"PORT",
    "dbname": r"(?:DB|DATABASE|POSTGRES|SQL)_NAME|DB|DATABASE|DBNAME",
    "url": r"URL|URI|DSN",
}
GIVEN = "DATABASE_URL"


def hint_for(directory: str) -> str:
    """Return the options for the variables that the env.py in a directory reads; a general hint if it reads none."""
    source = _read(directory)
    parts = {name: part for name in _variables(source) if name != GIVEN and (part := _part(name))}
    if not parts:
        return HINT
    options = [f"--url-env {name}" if part == "url" else f"--set-env {name}={{{part}}}" for name, part in parts.items()]
    hint = f"env.py reads {', '.join(parts)}. Set them for the scratch database:\n{' '.join(options)}"
    return f"{hint}\n{IN_A_URL}" if "host" in parts.values() else hint


def reads_arguments(directory: str) -> bool:
    """Whether the env.py in a directory reads the arguments of -x."""
    return "get_x_argument" in _read(directory)


def _read(directory: str) -> str:
    path = Path(directory) / "env.py"
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def hint_for_unset(directory: str, error: BaseException) -> str:
    """Return the hint for an env.py that misses a variable while its connections are redirected; "" otherwise."""
    path = Path(directory) / "env.py"
    if not isinstance(error, KeyError) or not path.exists():
        return ""
    names = _variables(path.read_text(encoding="utf-8", errors="replace"))
    if not error.args or error.args[0] not in names:
        return ""
    unset = ", ".join(name for name in names if name not in os.environ)
    return f"env.py reads {unset}. Set them as for `alembic`; its connections are led to the scratch database."


def _variables(source: str) -> list[str]:
    """Return the names of the variables that a file reads, each once."""
    aliases = re.findall(r"^\s*(\w+)\s*=\s*(?:os\.)?environ\s*$", source, re.MULTILINE)
    environ = "|".join(["environ", *map(re.escape, aliases)])
    pattern = rf"""(?:\b(?:{environ})(?:\.get)?\s*[\[(]|\bgetenv\s*\()\s*["'](\w+)["']"""
    return list(dict.fromkeys(re.findall(pattern, source)))


def _part(name: str) -> str | None:
    """Return which part of a database's address a variable of that name contains."""
    return next((part for part, ends in ENDS.items() if re.search(rf"(?:^|_)(?:{ends})$|^PG(?:{ends})$", name)), None)
