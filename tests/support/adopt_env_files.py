"""The battery of `dbkit adopt`, env.py as templates of several generations, frameworks and teams have it: data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from support.adopt_project import BODY

Expected = Literal["adopted", "kept", "refused", "either"]


@dataclass(frozen=True)
class EnvFile:
    """One env.py, and what adopt must make of it.

    "either": it is adopted so that the gate comes first, or it is refused.
    """

    name: str
    text: str | bytes
    expected: Expected = "adopted"
    files: Mapping[str, str] = field(default_factory=dict)
    """Other files of the project, from its root."""
    driver: str = "psycopg"
    arguments: tuple[str, ...] = ()
    """What env.py needs of the command line."""
    runs: bool = True
    """Whether it can be run here, with the packages that there are."""
    schema: str = "public"
    """Where its version table is."""

    @property
    def content(self) -> bytes:
        """Return the file."""
        return self.text if isinstance(self.text, bytes) else self.text.encode()


def body(context: str = "context") -> str:
    """Return all that comes after the imports in many a project; `context` is Alembic's, as it is named there."""
    return BODY.replace("context.", f"{context}.").replace(f".{context}.", ".context.")


IMPORTS = "from sqlalchemy import create_engine, pool\n"
E = EnvFile

MODELS = """\
import sqlalchemy as sa
from sqlalchemy.orm import declarative_base

Base = declarative_base()


class Customer(Base):
    __tablename__ = "customers"
    id = sa.Column(sa.Integer, primary_key=True)
"""
CONFIG = """\
import os


class Settings:
    DATABASE_URL = os.environ["DATABASE_URL"]
    debug = False


settings = Settings()


def get_settings():
    return settings
"""
APP = {"app/__init__.py": "", "app/models.py": MODELS, "app/config.py": CONFIG}

GENERIC_1_0 = '''\
from __future__ import with_statement
from alembic import context
from sqlalchemy import engine_from_config, pool
from logging.config import fileConfig

# this is the Alembic Config object, which provides
# access to the values within the .ini file in use.
config = context.config

# add your model's MetaData object here
# for 'autogenerate' support
target_metadata = None


def run_migrations_offline():
    """Run migrations in 'offline' mode."""
    url = config.get_main_option("sqlalchemy.url")
    context.configure(
        url=url, target_metadata=target_metadata, literal_binds=True)

    with context.begin_transaction():
        context.run_migrations()


def run_migrations_online():
    """Run migrations in 'online' mode."""
    connectable = engine_from_config(
        config.get_section(config.config_ini_section),
        prefix='sqlalchemy.',
        poolclass=pool.NullPool)

    with connectable.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=target_metadata
        )

        with context.begin_transaction():
            context.run_migrations()

if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
'''
ASYNC_1_4 = """\
import asyncio
from logging.config import fileConfig

from sqlalchemy import engine_from_config
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import AsyncEngine

from alembic import context

config = context.config
target_metadata = None


def run_migrations_offline():
    url = config.get_main_option("sqlalchemy.url")
    context.configure(url=url, target_metadata=target_metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def do_run_migrations(connection):
    context.configure(connection=connection, target_metadata=target_metadata)

    with context.begin_transaction():
        context.run_migrations()


async def run_migrations_online():
    connectable = AsyncEngine(
        engine_from_config(
            config.get_section(config.config_ini_section),
            prefix="sqlalchemy.",
            poolclass=pool.NullPool,
            future=True,
        )
    )

    async with connectable.connect() as connection:
        await connection.run_sync(do_run_migrations)


if context.is_offline_mode():
    run_migrations_offline()
else:
    asyncio.run(run_migrations_online())
"""
ASYNC_LOOP = """\
import asyncio
import os

from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine

from app.models import Base

config = context.config


def do_run_migrations(connection):
    context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


async def run_async_migrations():
    connectable = config.attributes.get("connection", None) or create_async_engine(os.environ["DATABASE_URL"])
    async with connectable.connect() as connection:
        await connection.run_sync(do_run_migrations)
    await connectable.dispose()


loop = asyncio.new_event_loop()
try:
    loop.run_until_complete(run_async_migrations())
finally:
    loop.close()
"""
FLASK = {
    "flask.py": """\
import os

import sqlalchemy as sa


class Db:
    metadata = sa.MetaData()
    metadatas = {None: metadata}
    engine = sa.create_engine(os.environ["DATABASE_URL"])

    def get_engine(self):
        return self.engine


class Migrate:
    db = Db()
    configure_args = {}


class App:
    extensions = {"migrate": Migrate()}
    config = {"SQLALCHEMY_DATABASE_URI": os.environ["DATABASE_URL"]}

    def app_context(self):
        return self

    def push(self):
        pass


current_app = App()
""",
}
FLASK_2 = """\
from __future__ import with_statement

import logging
from logging.config import fileConfig

from sqlalchemy import engine_from_config
from sqlalchemy import pool

from alembic import context

config = context.config
logger = logging.getLogger('alembic.env')

from flask import current_app
config.set_main_option(
    'sqlalchemy.url',
    str(current_app.extensions['migrate'].db.engine.url.render_as_string(False)).replace(
        '%', '%%'))
target_metadata = current_app.extensions['migrate'].db.metadata


def run_migrations_online():
    def process_revision_directives(context, revision, directives):
        if getattr(config.cmd_opts, 'autogenerate', False):
            script = directives[0]
            if script.upgrade_ops.is_empty():
                directives[:] = []
                logger.info('No changes in schema detected.')

    connectable = engine_from_config(
        config.get_section(config.config_ini_section),
        prefix='sqlalchemy.',
        poolclass=pool.NullPool,
    )

    with connectable.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=target_metadata,
            process_revision_directives=process_revision_directives,
            **current_app.extensions['migrate'].configure_args
        )

        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()
"""
FLASK_4 = """\
import logging
from logging.config import fileConfig

from flask import current_app

from alembic import context

config = context.config
logger = logging.getLogger('alembic.env')


def get_engine():
    try:
        # this works with Flask-SQLAlchemy<3 and Alchemical
        return current_app.extensions['migrate'].db.get_engine()
    except (TypeError, AttributeError):
        return current_app.extensions['migrate'].db.engine


def get_engine_url():
    try:
        return get_engine().url.render_as_string(hide_password=False).replace('%', '%%')
    except AttributeError:
        return str(get_engine().url).replace('%', '%%')


config.set_main_option('sqlalchemy.url', get_engine_url())
target_db = current_app.extensions['migrate'].db


def get_metadata():
    if hasattr(target_db, 'metadatas'):
        return target_db.metadatas[None]
    return target_db.metadata


def run_migrations_online():
    conf_args = current_app.extensions['migrate'].configure_args
    connectable = get_engine()

    with connectable.connect() as connection:
        context.configure(connection=connection, target_metadata=get_metadata(), **conf_args)

        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()
"""
SQLMODEL = """\
import os
from logging.config import fileConfig

from alembic import context
from sqlalchemy import engine_from_config, pool
from sqlmodel import SQLModel

from app.models import *  # noqa: F401,F403
from app.config import settings

config = context.config
target_metadata = SQLModel.metadata


def get_url():
    return str(settings.DATABASE_URL)


def run_migrations_online():
    configuration = config.get_section(config.config_ini_section)
    configuration["sqlalchemy.url"] = get_url()
    connectable = engine_from_config(configuration, prefix="sqlalchemy.", poolclass=pool.NullPool)
    with connectable.connect() as connection:
        context.configure(connection=connection, target_metadata=target_metadata, compare_type=True)
        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()
"""
ALCHEMY = """\
from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from advanced_alchemy.base import metadata_registry
from alembic import context
from sqlalchemy.ext.asyncio import AsyncEngine, async_engine_from_config

if TYPE_CHECKING:
    from advanced_alchemy.alembic.commands import AlembicCommandConfig
    from sqlalchemy.engine import Connection

config: "AlembicCommandConfig" = context.config  # type: ignore


def do_run_migrations(connection: "Connection") -> None:
    context.configure(connection=connection, target_metadata=metadata_registry.get(config.bind_key))
    with context.begin_transaction():
        context.run_migrations()


async def run_migrations_online() -> None:
    connectable = cast("AsyncEngine", config.engine or async_engine_from_config({}))
    async with connectable.connect() as connection:
        await connection.run_sync(do_run_migrations)


asyncio.run(run_migrations_online())
"""
MULTIDB = """\
import logging
import os
import re

from sqlalchemy import create_engine, pool

from alembic import context

USE_TWOPHASE = False
config = context.config
logger = logging.getLogger("alembic.env")
db_names = config.get_main_option("databases", "")


def run_migrations_online() -> None:
    engines = {}
    for name in re.split(r",\\s*", "first"):
        engines[name] = rec = {}
        rec["engine"] = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)

    for name, rec in engines.items():
        engine = rec["engine"]
        rec["connection"] = conn = engine.connect()
        rec["transaction"] = conn.begin_twophase() if USE_TWOPHASE else conn.begin()

    try:
        for name, rec in engines.items():
            logger.info("Migrating database %s" % name)
            context.configure(
                connection=rec["connection"],
                upgrade_token="%s_upgrades" % name,
                downgrade_token="%s_downgrades" % name,
            )
            context.run_migrations()
        for rec in engines.values():
            rec["transaction"].commit()
    except:
        for rec in engines.values():
            rec["transaction"].rollback()
        raise
    finally:
        for rec in engines.values():
            rec["connection"].close()


run_migrations_online()
"""
ATTRIBUTES = """\
import os

from sqlalchemy import create_engine, pool

from alembic import context

config = context.config


def run_migrations_online():
    connectable = config.attributes.get({key!r}, None)

    if connectable is None:
        connectable = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
        with connectable.connect() as connection:
            context.configure(connection=connection, target_metadata=None)
            with context.begin_transaction():
                context.run_migrations()
    else:
        context.configure(connection=connectable, target_metadata=None)
        with context.begin_transaction():
            context.run_migrations()


run_migrations_online()
"""
SCHEMA_FIRST = """\
import os
from alembic import context
from sqlalchemy import create_engine, pool, text

SCHEMA = "billing"


def include_name(name, type_, parent_names):
    if type_ == "schema":
        return name == SCHEMA
    return True


with create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool).connect() as connection:
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=None,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=include_name,
    )
    with context.begin_transaction():
        context.run_migrations()
"""
TENANT_ARGUMENT = """\
import os

from alembic import context
from sqlalchemy import create_engine, pool, text

tenant = context.get_x_argument(as_dictionary=True).get("tenant")
if not tenant:
    raise SystemExit("-x tenant=NAME is needed")

engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
with engine.connect() as connection:
    connection.execute(text('CREATE SCHEMA IF NOT EXISTS "%s"' % tenant))
    connection.execute(text('SET search_path TO "%s"' % tenant))
    connection.commit()
    connection.dialect.default_schema_name = tenant
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
BEGIN = """\
import os
from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

connectable = create_engine(os.environ["DATABASE_URL"], poolclass=NullPool)
with connectable.begin() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""
OWN_LOCK = """\
import hashlib
import os
from contextlib import contextmanager

from alembic import context
from sqlalchemy import create_engine, pool, text


@contextmanager
def advisory_lock(connection):
    key = int(hashlib.md5(b"migrations").hexdigest()[:8], 16)
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
    yield


engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction(), advisory_lock(connection):
        context.run_migrations()
"""
RETRIES = """\
import os
import time

from alembic import context
from sqlalchemy import create_engine, pool
from sqlalchemy.exc import OperationalError

engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)
for attempt in range(5):
    try:
        engine.connect().close()
        break
    except OperationalError:
        time.sleep(1)

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
WRAPPED = {
    "pkg/__init__.py": "",
    "pkg/alembic_env.py": """\
import os

from alembic import context
from sqlalchemy import create_engine, pool


def run_shared_migrations(passed=None):
    used = passed or context
    with create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool).connect() as connection:
        used.configure(connection=connection)
        with used.begin_transaction():
            used.run_migrations()


class AlembicEnvBase:
    def __init__(self, metadata):
        self.metadata = metadata

    def run(self):
        run_shared_migrations()
""",
}

TEMPLATES = [
    E("the template of 1.0", GENERIC_1_0),
    E("the template of 1.4, asynchronous", ASYNC_1_4, driver="asyncpg"),
    E("an event loop of its own", ASYNC_LOOP, driver="asyncpg", files=APP),
    E("Flask-Migrate 2", FLASK_2, files=FLASK, driver="psycopg2"),
    E("Flask-Migrate 4", FLASK_4, files=FLASK, driver="psycopg2"),
    E(
        "SQLModel",
        SQLMODEL,
        files={**APP, "sqlmodel.py": "import sqlalchemy as sa\n\n\nclass SQLModel:\n    metadata = sa.MetaData()\n"},
        driver="psycopg2",
    ),
    E("advanced-alchemy", ALCHEMY, runs=False),
    E("several databases", MULTIDB),
    E("a connection that is passed on", ATTRIBUTES.format(key="connection")),
    E("as pytest-alembic has it", ATTRIBUTES.format(key="connectable")),
    E("a schema that env.py creates", SCHEMA_FIRST, schema="billing"),
    E("a tenant by -x", TENANT_ARGUMENT, arguments=("-x", "tenant=acme"), schema="acme", driver="psycopg2"),
    E("a transaction of env.py", BEGIN),
    E("an advisory lock of env.py", OWN_LOCK),
    E("a server that is waited for", RETRIES),
    E(
        "a function of a package",
        "from logging.config import fileConfig\n\nfrom alembic import context\n\nfrom pkg.alembic_env import run_shared_migrations\n\n"
        "config = context.config\n\n\nrun_shared_migrations()\n",
        files=WRAPPED,
    ),
    E(
        "a function of a package, with context",
        "import os\n\nfrom alembic import context\n\nfrom pkg.alembic_env import run_shared_migrations\n\n\ndef main():\n"
        "    dbname = os.path.basename(os.path.dirname(__file__))\n    run_shared_migrations(context)\n\n\nmain()\n",
        files=WRAPPED,
    ),
    E(
        "only when Alembic runs it",
        'from alembic import context\nfrom pkg.alembic_env import run_shared_migrations\n\nif hasattr(context, "script"):\n'
        "    run_shared_migrations()\n",
        files=WRAPPED,
    ),
    E(
        "a class in env.py",
        'import os\n\nfrom alembic import context\nfrom sqlalchemy import create_engine, pool\n\n\nclass Environment:\n    """Runs the migrations."""\n\n'
        "    def __init__(self, url):\n        self.engine = create_engine(url, poolclass=pool.NullPool)\n\n    def run(self):\n"
        "        with self.engine.connect() as connection:\n            context.configure(connection=connection)\n"
        '            with context.begin_transaction():\n                context.run_migrations()\n\n\nEnvironment(os.environ["DATABASE_URL"]).run()\n',
    ),
    E(
        "no functions",
        "import os\nfrom sqlalchemy import create_engine\nfrom sqlalchemy import pool\nfrom alembic import context\n\nconfig = context.config\n\n"
        'connectable = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)\n\nwith connectable.connect() as connection:\n'
        "    context.configure(connection=connection, target_metadata=None)\n\n    with context.begin_transaction():\n        context.run_migrations()\n",
    ),
    E(
        "geoalchemy2 and alembic_utils",
        "import os\n\nfrom alembic_utils.replaceable_entity import register_entities\nfrom geoalchemy2 import alembic_helpers\n\n"
        f"from alembic import context\n{IMPORTS}\nregister_entities([])\n"
        + body().replace(
            "target_metadata=target_metadata)",
            "include_object=alembic_helpers.include_object, process_revision_directives=alembic_helpers.writer)",
        ),
        files={
            "alembic_utils/__init__.py": "",
            "alembic_utils/replaceable_entity.py": "def register_entities(entities):\n    pass\n",
            "geoalchemy2/__init__.py": "",
            "geoalchemy2/alembic_helpers.py": "def include_object(*_):\n    return True\n\n\ndef writer(*_):\n    pass\n",
        },
    ),
    E(
        "settings of the application",
        f"from logging.config import fileConfig\nimport os\n\n{IMPORTS}from alembic import context\n\nfrom app import models\nfrom app.config import get_settings\n\n"
        f"settings = get_settings()\n{body()}".replace('os.environ["DATABASE_URL"]', "settings.DATABASE_URL"),
        files=APP,
    ),
    E(
        ".env and sys.path before the imports",
        "import os\nimport sys\nfrom pathlib import Path\n\nfrom dotenv import load_dotenv\n\nROOT = Path(__file__).resolve().parents[1]\n"
        'if str(ROOT) not in sys.path:\n    sys.path.insert(0, str(ROOT))\nload_dotenv(ROOT / ".env")\n\n'
        f"from alembic import context  # noqa: E402\n{IMPORTS}\nfrom app.models import Base  # noqa: E402\n{body()}",
        files=APP,
    ),
    E(
        "the import after the functions",
        f'import os\n{IMPORTS}\n\ndef get_url():\n    return os.environ["DATABASE_URL"]\n\n\ndef include_object(object, name, type_, reflected, compare_to):\n'
        f'    return not name.startswith("tmp_")\n\n\nengine = create_engine(get_url())\n\nfrom alembic import context\n{body()}',
    ),
    E(
        "logging of its own",
        f"import logging\nimport logging.config\nimport os\n\nfrom alembic import context\n{IMPORTS}\nlogging.config.dictConfig(\n"
        '    {\n        "version": 1,\n        "handlers": {"console": {"class": "logging.StreamHandler"}},\n'
        f'        "root": {{"handlers": ["console"], "level": "WARNING"}},\n    }}\n)\nlogger = logging.getLogger(__name__)\n{body()}',
    ),
    E(
        "types and casts",
        '"""The environment of the migrations."""\n\nfrom __future__ import annotations\n\nimport os\nfrom typing import TYPE_CHECKING, Any, cast\n\n'
        f"from alembic import context  # type: ignore[attr-defined]\n{IMPORTS}\nif TYPE_CHECKING:\n    from alembic.config import Config\n"
        f"    from sqlalchemy import MetaData\n{body()}".replace(
            "config = context.config", 'config = cast("Config", context.config)'
        ),
    ),
    E(
        "a loop over schemas",
        f'import os\n\nfrom alembic import context\n{IMPORTS.rstrip()}, text\n\n\ndef get_schemas():\n    return ["public"]\n\n\n'
        'engine = create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool)\nfor schema in get_schemas():\n'
        "    with engine.connect() as connection:\n"
        "        connection.execute(text(f'SET search_path TO \"{schema}\"'))\n        connection.commit()\n"
        "        context.configure(connection=connection, version_table_schema=schema)\n        with context.begin_transaction():\n"
        "            context.run_migrations()\n",
    ),
]
