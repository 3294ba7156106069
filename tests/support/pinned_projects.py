"""Foreign projects with the releases that a team has pinned, each in a virtual environment made by pip."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from dbkit.settings import Target
from support.foreign_chain import chain_of_several, models, shop_chain
from support.foreign_frameworks import ALCHEMY, FLASK_APP, SQLMODEL_METADATA, SQLMODELS, alchemy_project, write_package
from support.foreign_projects import ForeignProject, driver_url
from support.foreign_shapes import (
    CONFIG,
    CONFIGURE_WHOLE,
    ENGINES,
    METADATA,
    NO_METADATA,
    TENANT,
    edit,
    write_chain,
    write_url,
    write_urls,
)


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    path: Path

    @property
    def python(self) -> Path:
        return self.path / "bin/python"

    def pip(self, *arguments: str | Path) -> str:
        """Run pip in it. Returns what it printed."""
        command = [self.python, "-m", "pip", "--disable-pip-version-check", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def freeze(self) -> set[str]:
        """Return the names and versions of its packages."""
        return set(self.pip("freeze").splitlines())

    def run(self, root: Path, *arguments: str, **variables: str) -> None:
        """Run a module in a directory."""
        done = subprocess.run(
            [self.python, "-m", *arguments],
            cwd=root,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def find_python(version: str) -> str:
    """Return an interpreter of this version. Skips the test where there is none."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return sys.executable
    found = [*(Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"), shutil.which(f"python{version}")]
    for each in map(str, filter(None, found)):
        if subprocess.run([each, "-c", "import venv"], capture_output=True, check=False).returncode == 0:
            return each
    pytest.skip(f"there is no Python {version}")


def make_environment(path: Path, version: str, packages: tuple[str, ...] = ()) -> Environment:
    """Make a virtual environment of a Python with these packages."""
    subprocess.run([find_python(version), "-m", "venv", path], check=True)
    made = Environment(path)
    if packages:
        made.pip("install", "--quiet", *packages)
    return made


PASSWORD = "a-password"


@dataclass(frozen=True)
class TeamPlace:
    """Where a project is made: its databases are reached by TCP, with a password, by a role that may create databases."""

    directory: Path
    server: Target
    name: str

    def database(self, suffix: str = "") -> Target:
        """Create a database."""
        target = replace(self.server, dbname=f"{self.name}{suffix}")
        with psycopg.connect(**self.server.parameters(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(target.dbname)))
        return target


def flask_migrate(place: TeamPlace, environment: Environment) -> ForeignProject:
    """Make a project with an application factory, whose engine has a pool."""
    target = place.database()
    write_package(place.directory, models=models(), factory=FLASK_APP)
    variables = {"SQLALCHEMY_DATABASE_URI": driver_url(target, "psycopg2"), "FLASK_APP": "app.factory:create_app"}
    environment.run(place.directory, "flask", "db", "init", **variables)
    write_chain(place.directory / "migrations/versions", shop_chain())
    return ForeignProject(
        place.directory,
        {"": target},
        "psycopg2",
        config="migrations/alembic.ini",
        program=("flask", "db"),
        environment=variables,
        python=environment.python,
    )


# as SQLAlchemy prints a URL: there the directory of a socket has %2F
PRINTED_URL = f"""\
{CONFIG}url = make_url(os.environ["DATABASE_URL"])
config.set_main_option("sqlalchemy.url", url.render_as_string(hide_password=False))
"""


def fastapi(place: TeamPlace, environment: Environment) -> ForeignProject:
    """Make a project on asyncpg whose env.py sets the URL as SQLAlchemy prints it."""
    changes = (
        ("import asyncio\n", "import asyncio\nimport os\n"),
        ("from sqlalchemy import pool\n", "from sqlalchemy import pool\nfrom sqlalchemy.engine import make_url\n"),
        (CONFIG, PRINTED_URL),
        (NO_METADATA, METADATA),
    )
    target = start_project(place, environment, "async", models(), *changes)
    variables = {"DATABASE_URL": driver_url(target, "asyncpg")}
    return ForeignProject(place.directory, {"": target}, "asyncpg", environment=variables, python=environment.python)


def sqlmodel(place: TeamPlace, environment: Environment) -> ForeignProject:
    """Make a project with the models of SQLModel, and its URL in alembic.ini."""
    target = start_project(place, environment, "generic", SQLMODELS, (NO_METADATA, SQLMODEL_METADATA))
    write_url(place.directory / "alembic.ini", target, "psycopg2")
    return ForeignProject(place.directory, {"": target}, "psycopg2", python=environment.python)


def start_project(
    place: TeamPlace, environment: Environment, template: str, code: str, *changes: tuple[str, str]
) -> Target:
    """Type `alembic init`, write the chain and the models, and change env.py: without the gate."""
    environment.run(place.directory, "alembic", "init", "--template", template, "migrations")
    edit(place.directory / "migrations/env.py", *changes)
    write_chain(place.directory / "migrations/versions", shop_chain())
    write_package(place.directory, models=code)
    return place.database()


TOML = """\
[project]
name = "shop"
version = "0"
requires-python = ">=3.12"
dependencies = ["sqlalchemy==2.0.44", "alembic==1.16.5", "psycopg[binary]==3.2.13"]

[tool.uv]
package = false
"""


def uv(place: TeamPlace, environment: Environment) -> ForeignProject:
    """Make a project whose settings are in pyproject.toml."""
    (place.directory / "pyproject.toml").write_text(TOML)
    target = start_project(place, environment, "pyproject", models(), (NO_METADATA, METADATA))
    write_url(place.directory / "alembic.ini", target, "psycopg")
    return ForeignProject(place.directory, {"": target}, "psycopg", config="pyproject.toml", python=environment.python)


LITESTAR = """
from litestar import Litestar
from advanced_alchemy.extensions.litestar import SQLAlchemyPlugin

from app.config import alchemy_config

app = Litestar(plugins=[SQLAlchemyPlugin(config=alchemy_config)])
"""


def litestar(place: TeamPlace, environment: Environment) -> ForeignProject:
    """Make a project with the library's own commands, whose env.py needs the library's Config."""
    target = place.database()
    code = ALCHEMY.replace("advanced_alchemy.config", "advanced_alchemy.extensions.litestar")
    write_package(place.directory, models=models(), config=code, asgi=LITESTAR)
    variables = {"DATABASE_URL": driver_url(target, "asyncpg"), "LITESTAR_APP": "app.asgi:app"}
    environment.run(place.directory, "litestar", "database", "init", "--no-prompt", "migrations", **variables)
    write_chain(place.directory / "migrations/versions", shop_chain())
    return ForeignProject(
        place.directory,
        {"": target},
        "asyncpg",
        program=("litestar", "database"),
        options=("--no-prompt",),
        version_table="alembic_versions",
        environment=variables,
        python=environment.python,
    )


def alchemy(place: TeamPlace, environment: Environment) -> ForeignProject:
    """Make such a project without a web framework: the commands are given the name of the configuration."""
    project = replace(alchemy_project(place.directory, place.database()), python=environment.python)
    environment.run(place.directory, *project.program, "init", "--no-prompt", "migrations", **project.environment)
    write_chain(project.versions, shop_chain())
    return project


def multidb(place: TeamPlace, environment: Environment) -> ForeignProject:
    """Make a project with two databases."""
    metadata = "from app.billing import Ledger\nfrom app.models import Base\n\n"
    metadata += 'target_metadata = {"shop": Base.metadata, "billing": Ledger.metadata}\n'
    environment.run(place.directory, "alembic", "init", "--template", "multidb", "migrations")
    edit(place.directory / "migrations/env.py", ("target_metadata = {}\n", metadata))
    write_chain(place.directory / "migrations/versions", chain_of_several(ENGINES))
    write_package(place.directory, models=models(), billing=models(base="Ledger", prefix="Billing"))
    databases = {name: place.database(f"_{name}") for name in ENGINES}
    write_urls(place.directory / "alembic.ini", databases, "psycopg2")
    return ForeignProject(place.directory, databases, "psycopg2", python=environment.python)


def tenant(place: TeamPlace, environment: Environment) -> ForeignProject:
    """Make a project with a schema for each tenant; another program creates the schemas."""
    changes = (
        ("from sqlalchemy import pool\n", "from sqlalchemy import pool, text\n"),
        (NO_METADATA, METADATA),
        (CONFIGURE_WHOLE, f"{TENANT}{CONFIGURE_WHOLE}"),
    )
    target = start_project(place, environment, "generic", models(), *changes)
    ini = place.directory / "alembic.ini"
    write_url(ini, target, "psycopg2")
    (place.directory / "tenants.sql").write_text("CREATE SCHEMA acme;\n")
    ini.write_text(f"{ini.read_text()}\n[dbkit]\ninitial = tenants.sql\n")
    project = ForeignProject(
        place.directory,
        {"": target},
        "psycopg2",
        arguments=("-x", "tenant=acme"),
        schema="acme",
        python=environment.python,
    )
    project.query("CREATE SCHEMA acme")
    return project


OLD_MODELS = """\
import sqlalchemy as sa
from sqlalchemy.orm import declarative_base

Base = declarative_base()
"""


def old(place: TeamPlace, environment: Environment) -> ForeignProject:
    """Make a project of 2022."""
    target = start_project(place, environment, "generic", OLD_MODELS, (NO_METADATA, METADATA))
    write_url(place.directory / "alembic.ini", target, "psycopg2")
    return ForeignProject(place.directory, {"": target}, "psycopg2", python=environment.python)


@dataclass(frozen=True)
class Pins:
    """A project, and what its team has pinned."""

    make: Callable[[TeamPlace, Environment], ForeignProject]
    python: str
    packages: tuple[str, ...]


ALCHEMY_PINS = (
    "advanced-alchemy[cli]==1.12.0",
    "litestar[standard]==2.25.0",
    "sqlalchemy==2.0.44",
    "alembic==1.16.5",
    "asyncpg==0.30.0",
)
PINS = {
    "flask": Pins(
        flask_migrate,
        "3.11",
        (
            "flask-migrate==4.1.0",
            "flask-sqlalchemy==3.1.1",
            "sqlalchemy==2.0.36",
            "alembic==1.14.0",
            "psycopg2-binary==2.9.10",
        ),
    ),
    "fastapi": Pins(fastapi, "3.11", ("sqlalchemy[asyncio]==2.0.36", "alembic==1.13.3", "asyncpg==0.30.0")),
    "sqlmodel": Pins(
        sqlmodel,
        "3.11",
        ("sqlmodel==0.0.22", "sqlalchemy==2.0.25", "alembic==1.12.1", "psycopg2-binary==2.9.9"),
    ),
    "uv": Pins(uv, "3.12", ("sqlalchemy==2.0.44", "alembic==1.16.5", "psycopg[binary]==3.2.13")),
    "litestar": Pins(litestar, "3.12", ALCHEMY_PINS),
    "alchemy": Pins(alchemy, "3.12", ALCHEMY_PINS),
    "multidb": Pins(multidb, "3.11", ("sqlalchemy==2.0.30", "alembic==1.13.1", "psycopg2-binary==2.9.9")),
    "tenant": Pins(tenant, "3.10", ("sqlalchemy==2.0.25", "alembic==1.13.1", "psycopg2-binary==2.9.9")),
}
OLD = Pins(old, "3.10", ("sqlalchemy==1.4.54", "alembic==1.8.1", "psycopg2-binary==2.9.9"))
