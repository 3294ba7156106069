"""Indexes."""

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import Fact

INDEXES = """
    SELECT x.indexrelid, x.indrelid, c.relname, o.oid, o.conname, p.inhparent,
        pg_get_indexdef(x.indexrelid, 0, true),
        concat_ws(' ',
            CASE WHEN o.oid IS NOT NULL
                 THEN 'WITH (' || (SELECT string_agg(r, ', ' ORDER BY r) FROM unnest(c.reloptions) AS r) || ')' END,
            'TABLESPACE ' || (SELECT quote_ident(s.spcname) FROM pg_tablespace AS s WHERE s.oid = c.reltablespace),
            CASE WHEN NOT x.indisvalid THEN 'INVALID' END,
            CASE WHEN NOT x.indisready THEN 'NOT READY' END,
            CASE WHEN x.indisclustered THEN 'CLUSTER' END,
            CASE WHEN x.indisreplident THEN 'REPLICA IDENTITY' END,
            (SELECT string_agg('STATISTICS OF ' || a.attnum || ' ' || a.attstattarget, ' ' ORDER BY a.attnum)
             FROM pg_attribute AS a
             WHERE a.attrelid = x.indexrelid AND a.attstattarget >= 0 AND x.indexprs IS NOT NULL),
            'ATTACHED TO ' || p.inhparent::regclass)
    FROM pg_index AS x
    JOIN pg_class AS c ON c.oid = x.indexrelid
    LEFT JOIN pg_constraint AS o
        ON o.conrelid = x.indrelid AND o.conindid = x.indexrelid AND o.contype IN ('p', 'u', 'x')
    LEFT JOIN pg_inherits AS p ON p.inhrelid = x.indexrelid
    WHERE x.indrelid = ANY (%(relations)s::oid[])
"""


def read_indexes(collector: FactCollector) -> None:
    """Read indexes. That of a constraint is part of the constraint's fact; it has a name only for its comment."""
    parents: dict[int, int] = {}
    definitions: dict[int, str] = {}
    for oid, table, name, constraint, constraint_name, parent, definition, settings in collector.fetch(
        INDEXES, relations=collector.relations
    ):
        owner = collector.relation(table)
        if constraint:
            collector.index_settings[constraint] = settings
            belongs_to = (collector.fact_within("constraint", constraint_name, owner),)
            collector.objects["pg_class", oid] = collector.fact_within("index", name, owner, belongs_to)
            continue
        collector.objects["pg_class", oid] = collector.fact_within("index", name, owner)
        definitions[oid] = " ".join(filter(None, [definition, settings]))
        if parent:
            parents[oid] = parent
    for oid, definition in definitions.items():
        fact = collector.relation(oid)
        if oid in parents and collector.has_relation(parents[oid]):
            fact = Fact(fact.kind, fact.identity, (*fact.of, collector.relation(parents[oid])))
        collector.add_fact("pg_class", oid, fact, definition)
