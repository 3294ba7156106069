"""Extended statistics."""

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import Fact

STATISTICS = """
    SELECT s.oid, s.stxrelid, s.stxnamespace, s.stxname,
        pg_get_statisticsobjdef(s.oid) || coalesce(' STATISTICS ' || NULLIF(s.stxstattarget, -1), '')
    FROM pg_statistic_ext AS s
    WHERE s.stxrelid = ANY (%(relations)s::oid[])
"""


def read_statistics(collector: FactCollector) -> None:
    for oid, table, schema, name, definition in collector.fetch(STATISTICS, relations=collector.relations):
        owner = collector.relation(table)
        collector.add_fact(
            "pg_statistic_ext", oid, Fact("statistics", collector.name_in_schema(schema, name), (owner,)), definition
        )
