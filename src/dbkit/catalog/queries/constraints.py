"""Constraints of tables and domains."""

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import INHERITED

CONSTRAINTS = """
    SELECT o.oid, o.conrelid, o.contypid, o.conname, o.contype = 'n', parent.conname, parent.conrelid,
        CASE WHEN o.contype <> 'n' THEN concat_ws(' ',
            pg_get_constraintdef(o.oid, true),
            CASE WHEN o.contype = 'f' AND EXISTS (
                SELECT FROM pg_trigger AS t WHERE t.tgconstraint = o.oid AND t.tgenabled <> 'O'
            ) THEN '(its triggers are disabled)' END) END,
        o.conrelid <> 0 AND NOT o.conislocal
    FROM pg_constraint AS o
    LEFT JOIN pg_constraint AS parent ON parent.oid = NULLIF(o.conparentid, 0)
    WHERE (o.conrelid = ANY (%(relations)s::oid[]) OR o.contypid = ANY (%(types)s::oid[]))
      AND o.contype IN ('c', 'f', 'p', 'u', 'x', 'n')
      AND NOT (o.contype = 'f' AND o.conparentid <> 0)
"""


def read_constraints(collector: FactCollector) -> None:
    for oid, table, domain, name, is_not_null, parent, parent_table, definition, is_inherited in collector.fetch(
        CONSTRAINTS, relations=collector.relations, types=collector.types
    ):
        owner = collector.relation(table) if table else collector.objects["pg_type", domain]
        above = [collector.fact_within("constraint", name, inherited) for inherited in collector.parent_facts(table)]
        if parent and collector.has_relation(parent_table):
            above.append(collector.fact_within("constraint", parent, collector.relation(parent_table)))
        fact = collector.fact_within("constraint", name, owner, above)
        if is_not_null:
            collector.objects["pg_constraint", oid] = fact
            continue
        definition = " ".join(filter(None, [definition, collector.index_settings.get(oid)]))
        collector.add_fact("pg_constraint", oid, fact, definition + (INHERITED if is_inherited else ""))
