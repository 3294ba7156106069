"""`dbkit psql`: a shell on the database."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from dbkit.gate import resolve_target
from dbkit.postgres.binaries import client_program
from dbkit.postgres.pg_dump import client_login
from dbkit.settings import Settings


def psql(settings: Settings, _ini: Path, arguments: list[str]) -> NoReturn:
    """Become psql, logged in to the database. The password travels in the environment, not as an argument."""
    conninfo, environment = client_login(resolve_target(settings))
    program = client_program(settings, "psql")
    sys.stdout.flush()
    os.execve(program, ["psql", conninfo, *arguments], environment)
