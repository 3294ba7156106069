"""`dbkit psql`: open psql on the database."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from dbkit.postgres.binaries import client_program
from dbkit.postgres.cluster import development_cluster
from dbkit.postgres.pg_dump import client_login
from dbkit.settings import Settings


@dataclass(frozen=True)
class PsqlOptions:
    """Options of `dbkit psql`."""

    arguments: tuple[str, ...]
    """Arguments for psql."""


def psql(settings: Settings, _ini: Path, options: PsqlOptions) -> NoReturn:
    """Replace this process by psql, with a login to the database; the password is passed in the environment."""
    # not by dbkit.gate: psql needs neither Alembic nor SQLAlchemy
    target = settings.target or development_cluster(settings).ensure_running()
    conninfo, environment = client_login(target)
    program = client_program(settings, "psql")
    sys.stdout.flush()
    os.execve(program, [str(program), conninfo, *options.arguments], environment)
