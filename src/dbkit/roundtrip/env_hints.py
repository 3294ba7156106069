"""Hints where env.py does not find the scratch database: the options for the variables that it reads."""

import re
from pathlib import Path

HINT = """\
A project under proof gets its URL in sqlalchemy.url and in DATABASE_URL. Where env.py reads another variable, name it
with --url-env NAME; where it reads the parts, give them: --set-env DB_NAME={dbname} --set-env DB_HOST={host}"""
IN_A_URL = """\
On a throw-away server {host} is the directory of a socket. Where env.py needs a host name, as in a URL, use a server on
TCP: --server postgresql://user@localhost/postgres"""
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
    path = Path(directory) / "env.py"
    source = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    parts = {name: part for name in _variables(source) if name != GIVEN and (part := _part(name))}
    if not parts:
        return HINT
    options = [f"--url-env {name}" if part == "url" else f"--set-env {name}={{{part}}}" for name, part in parts.items()]
    hint = f"env.py reads {', '.join(parts)}. Set them for the scratch database:\n{' '.join(options)}"
    return f"{hint}\n{IN_A_URL}" if "host" in parts.values() else hint


def _variables(source: str) -> list[str]:
    """Return the names of the variables that a file reads, each once."""
    aliases = re.findall(r"^\s*(\w+)\s*=\s*(?:os\.)?environ\s*$", source, re.MULTILINE)
    environ = "|".join(["environ", *map(re.escape, aliases)])
    pattern = rf"""(?:\b(?:{environ})(?:\.get)?\s*[\[(]|\bgetenv\s*\()\s*["'](\w+)["']"""
    return list(dict.fromkeys(re.findall(pattern, source)))


def _part(name: str) -> str | None:
    """Return which part of a database's address a variable of that name contains."""
    return next((part for part, ends in ENDS.items() if re.search(rf"(?:^|_)(?:{ends})$|^PG(?:{ends})$", name)), None)
