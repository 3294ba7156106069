"""Dump the schema of a database as text, which is the same for the same schema."""

import os
import re
import subprocess
from collections.abc import Sequence

from psycopg.conninfo import make_conninfo

from dbkit.errors import CheckFailed
from dbkit.postgres.binaries import client_program
from dbkit.postgres.connect import PATIENCE, connect, connection_keywords
from dbkit.settings import Settings, Target

# PostgreSQL 15.20 keeps an internal number among the options of each column, which differs from run to run
OF_THE_SERVER = re.compile(r"(, )?\bpg_attver=\d+")


def client_login(target: Target) -> tuple[str, dict[str, str]]:
    """The connection string and the environment for PostgreSQL's client programs; only the latter has the password."""
    parameters = connection_keywords(target)
    password = parameters.pop("password", None)
    environment = dict(os.environ)
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    return make_conninfo("", **{key: str(value) for key, value in parameters.items()}), environment


def dump_schema(
    settings: Settings,
    target: Target,
    without_table: str = "",
    leaving_out: Sequence[str] = ("--no-owner", "--no-privileges"),
) -> str:
    """Return the output of `pg_dump --schema-only`, without the lines that differ from run to run.

    `without_table` is a table to leave out, `leaving_out` are pg_dump's options to leave out more.
    Raises CheckFailed with pg_dump's message.
    """
    with connect(target) as connection:
        major = connection.info.server_version // 10000
    conninfo, environment = client_login(target)
    options = ["--schema-only", f"--lock-wait-timeout={round(PATIENCE * 1000)}", *leaving_out]
    if without_table:
        options += ["--exclude-table", without_table]
    result = subprocess.run(
        [client_program(settings, "pg_dump", major), *options, "-d", conninfo],
        capture_output=True,
        text=True,
        check=False,
        env=environment | {"LC_ALL": "C"},
    )
    if result.returncode:
        raise CheckFailed("pg_dump failed.", result.stderr.strip())
    # a random token of each run, and the versions of the two programs
    text = re.sub(OF_THE_SERVER, "", result.stdout)
    text = re.sub(r"^ALTER .* SET \(\);\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^(\\(un)?restrict .*|-- Dumped (from|by) .*)\n", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
