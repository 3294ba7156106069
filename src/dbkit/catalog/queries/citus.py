"""The distribution of tables by the extension Citus, as its own catalog has it."""

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import Fact

EXTENSION = Fact("extension", "citus")
HAS_CATALOG = """
    SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL
       AND to_regclass('pg_catalog.pg_dist_colocation') IS NOT NULL
"""
# A group of colocated tables has another number when they are distributed again: it is named after the first of its
# tables. The distribution column is the text of an expression node, with the number of the column in it.
DISTRIBUTION = """
    SELECT p.logicalrelid::oid,
        concat_ws(' ',
            CASE p.partmethod
                WHEN 'h' THEN 'DISTRIBUTED BY HASH' WHEN 'r' THEN 'DISTRIBUTED BY RANGE'
                WHEN 'a' THEN 'DISTRIBUTED BY APPEND'
                WHEN 'n' THEN CASE WHEN p.repmodel = 't' THEN 'REFERENCE TABLE'
                                   WHEN p.colocationid > 0 THEN 'SINGLE SHARD' ELSE 'LOCAL TABLE' END
                ELSE 'METHOD ' || p.partmethod::text END,
            '(' || quote_ident(a.attname) || ')',
            CASE WHEN p.partmethod <> 'n' THEN 'SHARDS ' || c.shardcount END,
            CASE WHEN p.partmethod <> 'n' AND c.replicationfactor > 1 THEN 'REPLICAS ' || c.replicationfactor END,
            CASE WHEN p.colocationid > 0 AND p.repmodel <> 't' THEN 'COLOCATED WITH ' || (
                SELECT min(o.logicalrelid::oid::regclass::text) FROM pg_catalog.pg_dist_partition AS o
                WHERE o.colocationid = p.colocationid) END)
    FROM pg_catalog.pg_dist_partition AS p
    LEFT JOIN pg_catalog.pg_dist_colocation AS c ON c.colocationid = p.colocationid
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = p.logicalrelid::oid
        AND a.attnum = substring(p.partkey FROM ':varattno (\\d+)')::int2
    WHERE p.logicalrelid::oid = ANY (%(relations)s::oid[])
"""


def read_distribution(collector: FactCollector) -> None:
    if EXTENSION not in collector.facts or list(collector.fetch(HAS_CATALOG)) != [(True,)]:
        return
    for oid, definition in collector.fetch(DISTRIBUTION, relations=collector.relations):
        table = collector.relation(oid)
        collector.facts[Fact("distribution", table.identity, (table,))] = definition
