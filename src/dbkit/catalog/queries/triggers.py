"""Triggers."""

from dbkit.catalog.collector import FactCollector

TRIGGERS = """
    SELECT t.oid, t.tgrelid, t.tgname, parent.tgname, parent.tgrelid,
        pg_get_triggerdef(t.oid)
        || CASE t.tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ' DISABLED' WHEN 'R' THEN ' ENABLED REPLICA'
                            ELSE ' ENABLED ALWAYS' END
    FROM pg_trigger AS t
    LEFT JOIN pg_trigger AS parent ON parent.oid = NULLIF(t.tgparentid, 0)
    WHERE t.tgrelid = ANY (%(relations)s::oid[])
      AND (NOT t.tgisinternal OR NOT parent.tgisinternal)
"""


def read_triggers(collector: FactCollector) -> None:
    for oid, table, name, parent, parent_table, definition in collector.fetch(TRIGGERS, relations=collector.relations):
        owner = collector.relation(table)
        above = []
        if parent and collector.has_relation(parent_table):
            above.append(collector.fact_within("trigger", parent, collector.relation(parent_table)))
        collector.add_fact("pg_trigger", oid, collector.fact_within("trigger", name, owner, above), definition)
