"""Foreign projects of frameworks, which run Alembic themselves. Their packages are installed by `nox -s foreign`."""

import subprocess
import sys
from pathlib import Path

from dbkit.settings import Target
from support.foreign_chain import models, shop_chain
from support.foreign_projects import INSTALL, ForeignProject, driver_url
from support.foreign_shapes import CONTEXT, METADATA, NO_METADATA, Place, edit, start_project, write_chain, write_url


def initialize(project: ForeignProject, *arguments: str, gated: bool = True) -> None:
    """Run what the framework has for `alembic init`, and write the chain and the gate's line."""
    subprocess.run(
        [sys.executable, "-m", *project.program, "init", *arguments],
        cwd=project.root,
        env=project.variables(),
        check=True,
        capture_output=True,
    )
    write_chain(project.versions, shop_chain())
    if gated:
        edit(project.env_py, (CONTEXT, INSTALL))


def write_package(root: Path, **modules: str) -> None:
    """Write the package `app`."""
    (root / "app").mkdir()
    for name, text in {"__init__": "", **modules}.items():
        (root / f"app/{name}.py").write_text(text)


def pyproject(place: Place, *, gated: bool = True) -> ForeignProject:
    """Make a project whose settings are in pyproject.toml, with the template pyproject."""
    start_project("pyproject", place.directory, shop_chain(), (NO_METADATA, METADATA), code=models(), gated=gated)
    target = place.database()
    write_url(place.directory / "alembic.ini", target, "psycopg")
    return ForeignProject(place.directory, {"": target}, "psycopg", config="pyproject.toml")


def pyproject_async(place: Place) -> ForeignProject:
    """Make a project on asyncpg, with the template pyproject_async."""
    start_project("pyproject_async", place.directory, shop_chain(), (NO_METADATA, METADATA), code=models())
    target = place.database()
    write_url(place.directory / "alembic.ini", target, "asyncpg")
    return ForeignProject(place.directory, {"": target}, "asyncpg", config="pyproject.toml")


SQLMODELS = """\
from decimal import Decimal

import sqlalchemy as sa
from sqlmodel import Field, SQLModel


class Customer(SQLModel, table=True):
    __tablename__ = "customers"
    __table_args__ = (sa.Index("ix_customers_email", "email", unique=True),)

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=80)
    email: str = Field(max_length=255)
    phone: str | None = Field(default=None, max_length=40)


class Order(SQLModel, table=True):
    __tablename__ = "orders"

    id: int | None = Field(default=None, primary_key=True)
    customer_id: int = Field(foreign_key="customers.id")
    total: Decimal = Field(max_digits=12, decimal_places=2)
    reference: str = Field(max_length=20)
"""
SQLMODEL_METADATA = (
    "import app.models  # noqa: F401\nfrom sqlmodel import SQLModel\n\ntarget_metadata = SQLModel.metadata\n"
)


def sqlmodel(place: Place, *, gated: bool = True) -> ForeignProject:
    """Make a project with the models of SQLModel."""
    changes = (NO_METADATA, SQLMODEL_METADATA)
    start_project("generic", place.directory, shop_chain(), changes, code=SQLMODELS, gated=gated)
    target = place.database()
    write_url(place.directory / "alembic.ini", target, "psycopg2")
    return ForeignProject(place.directory, {"": target}, "psycopg2")


FLASK_APP = """\
import os

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from app.models import Base

db = SQLAlchemy(model_class=Base)
migrate = Migrate()


def create_app():
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["SQLALCHEMY_DATABASE_URI"]
    db.init_app(app)
    migrate.init_app(app, db)
    return app
"""


def flask(place: Place, *, gated: bool = True) -> ForeignProject:
    """Make a project with Flask-Migrate, whose env.py needs the application."""
    target = place.database()
    write_package(place.directory, models=models(), factory=FLASK_APP)
    program = ("flask", "db")
    environment = {"SQLALCHEMY_DATABASE_URI": driver_url(target, "psycopg2"), "FLASK_APP": "app.factory:create_app"}
    project = ForeignProject(
        place.directory,
        {"": target},
        "psycopg2",
        config="migrations/alembic.ini",
        program=program,
        environment=environment,
    )
    initialize(project, gated=gated)
    return project


ALCHEMY = """\
import os

from advanced_alchemy.config import AlembicAsyncConfig, SQLAlchemyAsyncConfig

from app.models import Base

alchemy_config = SQLAlchemyAsyncConfig(
    connection_string=os.environ["DATABASE_URL"],
    metadata=Base.metadata,
    alembic_config=AlembicAsyncConfig(script_location="migrations", script_config="alembic.ini"),
)
"""


def alchemy_project(root: Path, target: Target) -> ForeignProject:
    """Write the package of a project with advanced-alchemy on asyncpg; `init` has not run yet."""
    write_package(root, models=models(), config=ALCHEMY)
    return ForeignProject(
        root,
        {"": target},
        "asyncpg",
        program=("advanced_alchemy", "--config", "app.config.alchemy_config"),
        options=("--no-prompt",),
        version_table="alembic_versions",
        environment={"DATABASE_URL": driver_url(target, "asyncpg")},
    )


def advanced_alchemy(place: Place) -> ForeignProject:
    """Make a project with advanced-alchemy on asyncpg, whose template puts each migration into an autocommit_block()."""
    project = alchemy_project(place.directory, place.database())
    initialize(project, "--no-prompt", "migrations")
    return project


FRAMEWORKS = {
    "pyproject": pyproject,
    "pyproject-async": pyproject_async,
    "sqlmodel": sqlmodel,
    "flask": flask,
    "advanced-alchemy": advanced_alchemy,
}
PACKAGES = {"sqlmodel": "sqlmodel", "flask": "flask_migrate", "advanced-alchemy": "advanced_alchemy"}
"""What a framework is imported as."""
