"""Tables, views, materialized views, foreign tables and sequences."""

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import Fact

RELATIONS = """
    SELECT c.oid, c.relnamespace, c.relname,
        CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                       WHEN 'S' THEN 'sequence' ELSE 'table' END,
        inheritance.parents,
        concat_ws(' ',
            CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED' END,
            'OF ' || format_type(NULLIF(c.reloftype, 0), NULL),
            'PARTITION OF ' || CASE WHEN c.relispartition THEN inheritance.names END,
            pg_get_expr(c.relpartbound, c.oid),
            'INHERITS (' || CASE WHEN NOT c.relispartition THEN inheritance.names END || ')',
            'PARTITION BY ' || CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
            'USING ' || NULLIF((SELECT quote_ident(am.amname) FROM pg_am AS am WHERE am.oid = c.relam), 'heap'),
            (SELECT concat_ws(' ', 'SERVER', quote_ident(s.srvname), 'OPTIONS (' || (
                 SELECT string_agg(option, ', ' ORDER BY option) FROM unnest(f.ftoptions) AS option) || ')')
             FROM pg_foreign_table AS f JOIN pg_foreign_server AS s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid),
            'WITH (' || (
                SELECT string_agg(option, ', ' ORDER BY option)
                FROM (SELECT unnest(c.reloptions) UNION ALL SELECT 'toast.' || unnest(toast.reloptions)) AS o (option)
            ) || ')',
            'TABLESPACE ' || (SELECT quote_ident(s.spcname) FROM pg_tablespace AS s WHERE s.oid = c.reltablespace),
            CASE WHEN c.relrowsecurity THEN 'ENABLE ROW LEVEL SECURITY' END,
            CASE WHEN c.relforcerowsecurity THEN 'FORCE ROW LEVEL SECURITY' END,
            CASE WHEN c.relkind IN ('r', 'p') THEN 'REPLICA IDENTITY ' || CASE c.relreplident
                WHEN 'f' THEN 'FULL'
                WHEN 'n' THEN 'NOTHING'
                WHEN 'i' THEN (
                    SELECT 'USING INDEX that is gone'
                    WHERE NOT EXISTS (SELECT FROM pg_index AS x WHERE x.indrelid = c.oid AND x.indisreplident)
                ) END END,
            CASE WHEN c.relkind IN ('v', 'm') THEN E'AS\n' || pg_get_viewdef(c.oid) END,
            CASE WHEN c.relkind = 'v' THEN (
                SELECT string_agg('DEFAULT OF ' || quote_ident(a.attname) || ' ' || pg_get_expr(d.adbin, d.adrelid),
                                  ' ' ORDER BY a.attname)
                FROM pg_attrdef AS d JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                WHERE d.adrelid = c.oid
            ) END,
            CASE WHEN c.relkind = 'm' AND NOT c.relispopulated THEN E'\nWITH NO DATA' END)
    FROM pg_class AS c
    LEFT JOIN pg_class AS toast ON toast.oid = c.reltoastrelid
    LEFT JOIN LATERAL (
        SELECT array_agg(i.inhparent::bigint) AS parents,
            string_agg(i.inhparent::regclass::text/*detaching*/, ', ' ORDER BY i.inhseqno) AS names
        FROM pg_inherits AS i
        WHERE i.inhrelid = c.oid
    ) AS inheritance ON c.relkind IN ('r', 'p', 'f')
    WHERE c.relnamespace = ANY (%(schemas)s::oid[])
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND c.oid <> ALL (%(members)s::oid[])
      AND NOT (c.relkind IN ('r', 'p') AND c.relname = ANY (%(version_tables)s::text[]))
"""


def read_relations(collector: FactCollector) -> None:
    query = collector.for_version(
        14, RELATIONS, detaching=(" || CASE WHEN i.inhdetachpending THEN ' (being detached)' ELSE '' END", "")
    )
    for oid, schema, name, kind, parents, definition in collector.fetch(
        query,
        schemas=list(collector.schemas),
        members=collector.members.get("pg_class", []),
        version_tables=collector.version_tables,
    ):
        collector.add_fact("pg_class", oid, Fact(kind, collector.name_in_schema(schema, name)), definition)
        collector.relations.append(oid)
        if parents:
            collector.parents[oid] = parents
