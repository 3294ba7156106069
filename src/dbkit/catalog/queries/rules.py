"""Rewrite rules, but for those of views."""

from dbkit.catalog.collector import FactCollector

RULES = """
    SELECT r.oid, r.ev_class, r.rulename,
        pg_get_ruledef(r.oid)
        || CASE r.ev_enabled WHEN 'O' THEN '' WHEN 'D' THEN ' DISABLED' WHEN 'R' THEN ' ENABLED REPLICA'
                             ELSE ' ENABLED ALWAYS' END
    FROM pg_rewrite AS r
    WHERE r.ev_class = ANY (%(relations)s::oid[]) AND r.rulename <> '_RETURN'
"""


def read_rules(collector: FactCollector) -> None:
    for oid, table, name, definition in collector.fetch(RULES, relations=collector.relations):
        collector.add_fact(
            "pg_rewrite", oid, collector.fact_within("rule", name, collector.relation(table)), definition
        )
