"""The shapes of foreign projects: what `alembic init` writes, changed as Alembic's documentation and people do."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from dbkit.postgres.cluster import Cluster
from dbkit.settings import Target
from support.alembic_templates import initialized
from support.foreign_chain import Revision, chain_of_several, models, shop_chain
from support.foreign_projects import INSTALL, ForeignProject, driver_url

CONTEXT = "from alembic import context\n"
CONFIG = "config = context.config\n"
NO_METADATA = "target_metadata = None\n"
METADATA = "from app.models import Base\n\ntarget_metadata = Base.metadata\n"
CONFIGURE = "connection=connection, target_metadata=target_metadata"
CONFIGURE_WHOLE = f"        context.configure(\n            {CONFIGURE}\n        )\n"
URL = "sqlalchemy.url = driver://user:pass@localhost/dbname\n"


class Place(NamedTuple):
    """Where a project is made: a directory, a server, and a name for its databases."""

    directory: Path
    server: Cluster
    name: str

    def database(self, suffix: str = "") -> Target:
        """Create a database."""
        return self.server.create_database(f"{self.name}{suffix}")


def swap(text: str, *changes: tuple[str, str]) -> str:
    """Replace each passage, which must be there."""
    for old, new in changes:
        assert old in text, f"{old!r} is not in this version of the template"
        text = text.replace(old, new, 1)
    return text


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Replace passages of a file."""
    path.write_text(swap(path.read_text(), *changes))


def url_from(variable: str) -> tuple[str, str]:
    """Return the change of env.py that takes the URL from an environment variable."""
    line = f'config.set_main_option("sqlalchemy.url", os.environ["{variable}"].replace("%", "%%"))\n'
    return CONFIG, f"{CONFIG}{line}"


def start_project(
    template: str, root: Path, chain: list[Revision], *changes: tuple[str, str], code: str = "", gated: bool = True
) -> None:
    """Write what `alembic init` does, the chain and the models, and change env.py: first of all, by the gate's line."""
    shutil.copytree(initialized(template), root, dirs_exist_ok=True)
    write_chain(root / "migrations/versions", chain)
    if code:
        (root / "app").mkdir()
        (root / "app/__init__.py").touch()
        (root / "app/models.py").write_text(code)
    edit(root / "migrations/env.py", *changes, *([(CONTEXT, INSTALL)] if gated else []))


def write_chain(versions: Path, chain: list[Revision]) -> None:
    """Write the revision files."""
    for revision in chain:
        (versions / revision.file).write_text(revision.text())


def generic(place: Place, *, gated: bool = True) -> ForeignProject:
    """Make a project on psycopg 3 whose URL is in DATABASE_URL."""
    return _read_variable(place, "generic", "psycopg", "from logging.config import fileConfig\n", gated=gated)


def asynchronous(place: Place, *, gated: bool = True) -> ForeignProject:
    """Make a project on asyncpg, with the template async."""
    return _read_variable(place, "async", "asyncpg", "import asyncio\n", gated=gated)


def _read_variable(place: Place, template: str, driver: str, first: str, *, gated: bool) -> ForeignProject:
    """Make a project whose env.py takes the URL from DATABASE_URL; `first` is its first import."""
    changes = (first, f"import os\n{first}"), url_from("DATABASE_URL"), (NO_METADATA, METADATA)
    start_project(template, place.directory, shop_chain(), *changes, code=models(), gated=gated)
    target = place.database()
    environment = {"DATABASE_URL": driver_url(target, driver)}
    return ForeignProject(place.directory, {"": target}, driver, environment=environment)


def write_url(ini: Path, target: Target, driver: str) -> None:
    """Write the URL into alembic.ini, where `%` is doubled."""
    edit(ini, (URL, f"sqlalchemy.url = {driver_url(target, driver).replace('%', '%%')}\n"))


def psycopg2(place: Place, *, gated: bool = True) -> ForeignProject:
    """Make a project on psycopg2 whose URL is in alembic.ini."""
    start_project("generic", place.directory, shop_chain(), (NO_METADATA, METADATA), code=models(), gated=gated)
    target = place.database()
    write_url(place.directory / "alembic.ini", target, "psycopg2")
    return ForeignProject(place.directory, {"": target}, "psycopg2")


ENGINES = ("shop", "billing")


def write_urls(ini: Path, databases: dict[str, Target], driver: str) -> None:
    """Write the names and URLs of two databases into the alembic.ini of the template multidb."""
    edit(ini, ("databases = engine1, engine2", f"databases = {', '.join(databases)}"))
    for target, former in zip(databases.values(), (URL, f"{URL.rstrip()}2\n"), strict=True):
        url = driver_url(target, driver).replace("%", "%%")
        edit(ini, (former, f"sqlalchemy.url = {url}\n"))
    for number, name in enumerate(databases, 1):
        edit(ini, (f"\n[engine{number}]\n", f"\n[{name}]\n"))


def multidb(place: Place, *, gated: bool = True) -> ForeignProject:
    """Make a project with two databases, with the template multidb: it begins and commits their transactions itself."""
    metadata = "from app.billing import Ledger\nfrom app.models import Base\n\n"
    metadata += 'target_metadata = {"shop": Base.metadata, "billing": Ledger.metadata}\n'
    changes = (("target_metadata = {}\n", metadata),)
    start_project("multidb", place.directory, chain_of_several(ENGINES), *changes, code=models(), gated=gated)
    (place.directory / "app/billing.py").write_text(models(base="Ledger", prefix="Billing"))
    databases = {name: place.database(f"_{name}") for name in ENGINES}
    write_urls(place.directory / "alembic.ini", databases, "psycopg")
    return ForeignProject(place.directory, databases, "psycopg")


IN_A_SCHEMA = """\
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS shop"))
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=target_metadata,
            version_table_schema=target_metadata.schema,
            include_schemas=True,
            include_name=include_name,
        )
"""
INCLUDE_NAME = """

def include_name(name, type_, parent_names):
    return type_ != "schema" or name == target_metadata.schema
"""


def version_schema(place: Place, *, gated: bool = True) -> ForeignProject:
    """Make a project whose tables, and the version table, are in the schema `shop`, which env.py creates."""
    changes = (
        ("from sqlalchemy import pool\n", "from sqlalchemy import pool, text\n"),
        (NO_METADATA, f"{METADATA}{INCLUDE_NAME}"),
        (CONFIGURE_WHOLE, IN_A_SCHEMA),
    )
    start_project("generic", place.directory, shop_chain("shop"), *changes, code=models("shop"), gated=gated)
    target = place.database()
    write_url(place.directory / "alembic.ini", target, "psycopg")
    return ForeignProject(place.directory, {"": target}, "psycopg", schema="shop")


def version_name(place: Place, *, gated: bool = True) -> ForeignProject:
    """Make a project whose version table has another name."""
    named = (CONFIGURE, f'{CONFIGURE},\n            version_table="shop_version"')
    changes = (NO_METADATA, METADATA), named
    start_project("generic", place.directory, shop_chain(), *changes, code=models(), gated=gated)
    target = place.database()
    write_url(place.directory / "alembic.ini", target, "psycopg2")
    return ForeignProject(place.directory, {"": target}, "psycopg2", version_table="shop_version")


# https://alembic.sqlalchemy.org/en/latest/cookbook.html#rudimental-schema-level-multi-tenancy-for-postgresql-databases
TENANT = """\
        current_tenant = context.get_x_argument(as_dictionary=True).get("tenant")
        connection.execute(text('set search_path to "%s"' % current_tenant))
        connection.commit()
        connection.dialect.default_schema_name = current_tenant
"""


def tenant(place: Place, *, gated: bool = True) -> ForeignProject:
    """Make a project with a schema for each tenant; `-x tenant=NAME` chooses it. A job creates the schemas."""
    changes = (
        ("from sqlalchemy import pool\n", "from sqlalchemy import pool, text\n"),
        (NO_METADATA, METADATA),
        (CONFIGURE_WHOLE, f"{TENANT}{CONFIGURE_WHOLE}"),
    )
    start_project("generic", place.directory, shop_chain(), *changes, code=models(), gated=gated)
    target = place.database()
    ini = place.directory / "alembic.ini"
    write_url(ini, target, "psycopg2")
    schemas = "CREATE SCHEMA acme;\nCREATE SCHEMA globex;\n"
    (place.directory / "tenants.sql").write_text(schemas)
    ini.write_text(f"{ini.read_text()}\n[dbkit]\ninitial = tenants.sql\n")
    project = ForeignProject(place.directory, {"": target}, "psycopg2", arguments=("-x", "tenant=acme"), schema="acme")
    project.query(schemas)
    return project


def as_tenant(project: ForeignProject, name: str) -> ForeignProject:
    """Return the same project for another tenant."""
    return replace(project, arguments=("-x", f"tenant={name}"), schema=name)


Shape = Callable[..., ForeignProject]
SHAPES: dict[str, Shape] = {
    "generic": generic,
    "async": asynchronous,
    "psycopg2": psycopg2,
    "multidb": multidb,
    "version-schema": version_schema,
    "version-name": version_name,
    "tenant": tenant,
}
