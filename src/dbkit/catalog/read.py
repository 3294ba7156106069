"""Read the whole schema of a database as catalog facts."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow, tuple_row

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import Fact
from dbkit.catalog.queries.citus import read_distribution
from dbkit.catalog.queries.columns import read_columns
from dbkit.catalog.queries.comments import read_comments
from dbkit.catalog.queries.constraints import read_constraints
from dbkit.catalog.queries.extensions import read_extension_dependencies, read_extensions
from dbkit.catalog.queries.functions import read_functions
from dbkit.catalog.queries.grants import read_grants
from dbkit.catalog.queries.indexes import read_indexes
from dbkit.catalog.queries.policies import read_policies
from dbkit.catalog.queries.rare_objects import read_rare_objects
from dbkit.catalog.queries.relations import read_relations
from dbkit.catalog.queries.rules import read_rules
from dbkit.catalog.queries.schemas import read_schemas
from dbkit.catalog.queries.sequences import read_sequences
from dbkit.catalog.queries.statistics import read_statistics
from dbkit.catalog.queries.triggers import read_triggers
from dbkit.catalog.queries.types import read_types

# In this order: a query looks up the facts of the objects that its own objects belong to
QUERIES: tuple[Callable[[FactCollector], None], ...] = (
    read_extensions,
    read_schemas,
    read_types,
    read_relations,
    read_sequences,
    read_columns,
    read_distribution,
    read_indexes,
    read_constraints,
    read_functions,
    read_triggers,
    read_rules,
    read_policies,
    read_statistics,
    read_rare_objects,
    read_extension_dependencies,
    read_grants,
    read_comments,
)

# The settings on which a definition's text depends; without a search path, names outside pg_catalog have their schema
SETTINGS = {
    "search_path": "",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "quote_all_identifiers": "off",
}


def read_facts(
    connection: psycopg.Connection[Any], *, version_tables: Collection[str] = ("alembic_version",)
) -> dict[Fact, str]:
    """Read all facts but those of PostgreSQL's own schemas, temporary objects and objects of extensions.

    `version_tables` (names, in any schema) are left out with their columns, indexes and so on. The caller's transaction
    and settings stay as they are; where there is no transaction, none is left open.

    Raises psycopg.Error; the caller's transaction is then aborted.
    """
    return collect_facts(connection, version_tables=version_tables).facts


def collect_facts(
    connection: psycopg.Connection[Any], *, version_tables: Collection[str] = ("alembic_version",)
) -> FactCollector:
    """Read the facts as above, together with the OID of each object."""
    with settings_for_reading(connection, SETTINGS):
        collector = FactCollector(psycopg.Cursor(connection, row_factory=tuple_row), list(version_tables))
        for query in QUERIES:
            query(collector)
    return collector


@contextmanager
def settings_for_reading(connection: psycopg.Connection[Any], settings: Mapping[str, str]) -> Iterator[None]:
    """Apply settings in a transaction, which is the caller's or a new one, and restore the former values."""
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    with connection.transaction() if idle else nullcontext():
        cursor = psycopg.Cursor(connection, row_factory=tuple_row)
        query = "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name"
        former: dict[str, str] = dict(cursor.execute(query, [list(settings)]).fetchall())
        _set_locally(cursor, settings)
        try:
            yield
        finally:
            # after an error, the caller's rollback restores them
            if connection.info.transaction_status == TransactionStatus.INTRANS:
                _set_locally(cursor, former)


def _set_locally(cursor: psycopg.Cursor[TupleRow], settings: Mapping[str, str]) -> None:
    cursor.execute(
        "SELECT set_config(name, value, true) FROM unnest(%s::text[], %s::text[]) AS setting (name, value)",
        [list(settings), list(settings.values())],
    )
