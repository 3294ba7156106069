"""The schema of a database as text, the same for the same schema."""

import os
import re
import subprocess
from collections.abc import Sequence

from psycopg.conninfo import make_conninfo

from dbkit.errors import CheckFailed
from dbkit.postgres.binaries import client_program
from dbkit.postgres.connect import PATIENCE, connect, keywords
from dbkit.settings import Settings, Target

# PostgreSQL 15.20 keeps a number among the options of each column that nobody set, and that differs from run to run
OF_THE_SERVER = re.compile(r"(, )?\bpg_attver=\d+")


def client_login(target: Target) -> tuple[str, dict[str, str]]:
    """Connection string and environment for PostgreSQL's client programs; the password is only in the latter."""
    parameters = keywords(target)
    password = parameters.pop("password", None)
    environment = dict(os.environ)
    if password is not None:
        environment["PGPASSWORD"] = str(password)
    return make_conninfo("", **{key: str(value) for key, value in parameters.items()}), environment


def schema(
    settings: Settings,
    target: Target,
    without_table: str = "",
    leaving_out: Sequence[str] = ("--no-owner", "--no-privileges"),
) -> str:
    """What `pg_dump --schema-only` says of `target`, without the lines that differ from run to run.

    `without_table` names a table to leave out; `leaving_out` are pg_dump's options for what else to.

    Raises CheckFailed with pg_dump's own words.
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
    # a random token in each run, and the versions of the two programs
    text = re.sub(OF_THE_SERVER, "", result.stdout)
    text = re.sub(r"^ALTER .* SET \(\);\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^(\\(un)?restrict .*|-- Dumped (from|by) .*)\n", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
