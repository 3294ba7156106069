"""The project behind the gate of a pair, with an env.py of its own: Alembic's template, a driver, and the gate's line."""

from dataclasses import replace

from support.alembic_templates import initialized
from support.foreign_projects import INSTALL
from support.foreign_shapes import CONTEXT, swap, url_from
from support.pair import Pair

DRIVERS = ("psycopg", "psycopg2", "asyncpg")
PER_MIGRATION = (
    "connection=connection, target_metadata=target_metadata",
    "connection=connection, target_metadata=target_metadata, transaction_per_migration=True",
)


def with_driver(pair: Pair, driver: str, *changes: tuple[str, str], per_migration: bool = True) -> Pair:
    """Replace the env.py of the project behind the gate, with further changes.

    With `per_migration` each migration has its own transaction, as in the kit; without, all share one, as Alembic does.
    """
    text = (initialized("async" if driver == "asyncpg" else "generic") / "migrations/env.py").read_text()
    imports = ("from logging.config import fileConfig\n", "import os\nfrom logging.config import fileConfig\n")
    text = swap(text, imports, url_from("DATABASE_URL"), *changes, (CONTEXT, INSTALL))
    pair.gated.env_py.write_text(swap(text, PER_MIGRATION) if per_migration else text)
    return Pair(pair.bare, replace(pair.gated, driver=driver))
