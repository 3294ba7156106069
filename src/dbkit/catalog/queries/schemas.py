"""Schemas."""

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import Fact, display_name

SCHEMAS = """
    SELECT oid, nspname
    FROM pg_namespace
    WHERE nspname <> 'information_schema' AND NOT starts_with(nspname, 'pg_')
"""


def read_schemas(collector: FactCollector) -> None:
    members = collector.members.get("pg_namespace", [])
    for oid, name in collector.fetch(SCHEMAS):
        collector.schemas[oid] = name
        if oid not in members:
            collector.add_fact("pg_namespace", oid, Fact("schema", display_name(name)), None)
