"""The queries of the parts of tables. Only names that the results show depend on the search path."""

from collections.abc import Iterable

from dbkit.postgres.sql_quote import quote_literal


def for_version(version: int, query: str) -> str:
    """Replace each /*part*/ of a query by what a server of this version (server_version_num) has."""
    for name, (since, new, old) in PARTS.items():
        query = query.replace(f"/*{name}*/", new if version >= since * 10000 else old)
    return query


def settings(names: Iterable[str]) -> str:
    """The query of the present values of settings."""
    values = ", ".join(f"({quote_literal(name)}::pg_catalog.text)" for name in names)
    return (
        "SELECT setting.name, pg_catalog.current_setting(setting.name) AS value"
        f" FROM (VALUES {values}) AS setting (name)"
    )


PARTS = {
    "not valid": (
        18,
        """(SELECT pg_catalog.quote_ident(v.conname::pg_catalog.text) FROM pg_catalog.pg_constraint AS v
            WHERE v.conrelid = a.attrelid AND v.contype = 'n' AND NOT v.convalidated
                AND v.conkey = ARRAY[a.attnum])""",
        "NULL",
    ),
    "nulls": (15, "x.indnullsnotdistinct", "false"),
    "as its table": (15, "s.relpersistence = c.relpersistence", "true"),
}

DEFAULT_SCHEMA = "SELECT pg_catalog.current_schema()::pg_catalog.text AS schema"

# for a query with pg_class AS c and pg_namespace AS n
OF_PROJECT = """
    c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
    AND n.nspname <> 'information_schema' AND NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_')
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS member
        WHERE member.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND member.objid = c.oid
            AND member.deptype = 'e')
"""

TABLES = f"""
    SELECT c.oid, n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
        pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
        CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END AS partition_key,
        c.relispartition AS is_partition,
        ARRAY(SELECT p.relname::pg_catalog.text
              FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
              WHERE i.inhrelid = c.oid ORDER BY i.inhseqno) AS parent_names,
        ARRAY(SELECT s.nspname::pg_catalog.text
              FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
                  JOIN pg_catalog.pg_namespace AS s ON s.oid = p.relnamespace
              WHERE i.inhrelid = c.oid ORDER BY i.inhseqno) AS parent_schemas,
        c.relpersistence = 'u' AS is_unlogged,
        ARRAY(SELECT o.option
              FROM (SELECT pg_catalog.unnest(c.reloptions)
                    UNION ALL SELECT 'toast.' || pg_catalog.unnest(t.reloptions)) AS o (option)
              ORDER BY o.option) AS parameters,
        (SELECT pg_catalog.quote_ident(am.amname::pg_catalog.text) FROM pg_catalog.pg_am AS am
         WHERE am.oid = c.relam AND am.amname <> 'heap') AS access_method,
        (SELECT pg_catalog.quote_ident(s.spcname::pg_catalog.text) FROM pg_catalog.pg_tablespace AS s
         WHERE s.oid = c.reltablespace) AS tablespace,
        pg_catalog.format_type(NULLIF(c.reloftype, 0), NULL) AS of_type,
        pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound,
        c.oid::pg_catalog.regclass::pg_catalog.text AS sql
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class AS t ON t.oid = c.reltoastrelid
    WHERE {OF_PROJECT}
    ORDER BY n.nspname, c.relname
"""

COLUMNS = f"""
    SELECT a.attrelid AS table_oid, a.attname::pg_catalog.text AS name,
        pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
        pg_catalog.quote_ident(a.attname::pg_catalog.text) AS sql,
        pg_catalog.format_type(CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END, NULL) AS type_name,
        CASE WHEN t.typelem <> 0 AND t.typlen = -1 AND t.typtype = 'b' THEN (
            SELECT pg_catalog.format_type(CASE e.typtype WHEN 'd' THEN e.typbasetype ELSE e.oid END, NULL)
            FROM pg_catalog.pg_type AS e WHERE e.oid = t.typelem) END AS element,
        t.typcategory::pg_catalog.text AS category, /*not valid*/ AS unvalidated,
        used.typtype::pg_catalog.text AS used_kind, used.typname::pg_catalog.text AS used_name,
        used_schema.nspname::pg_catalog.text AS used_schema,
        CASE WHEN a.attcollation <> t.typcollation
             THEN a.attcollation::pg_catalog.regcollation::pg_catalog.text END AS collation,
        pg_catalog.pg_get_expr(d.adbin, d.adrelid, a.attgenerated <> '') AS default,
        a.attgenerated::pg_catalog.text AS generated, a.attidentity::pg_catalog.text AS identity,
        a.attnotnull AS is_required, NOT a.attislocal AS is_inherited,
        pg_catalog.col_description(a.attrelid, a.attnum::pg_catalog.int4) AS comment,
        q.seqrelid::pg_catalog.regclass::pg_catalog.text AS sequence,
        sequence_schema.nspname::pg_catalog.text AS sequence_schema, s.relname::pg_catalog.text AS sequence_name,
        pg_catalog.format_type(q.seqtypid, NULL) AS sequence_type, q.seqincrement AS sequence_increment,
        q.seqmin AS sequence_least, q.seqmax AS sequence_most, q.seqstart AS sequence_start,
        q.seqcache AS sequence_cache, q.seqcycle AS sequence_cycle,
        s.relpersistence = 'u' AS sequence_is_unlogged, /*as its table*/ AS sequence_is_as_its_table,
        pg_catalog.pg_get_expr(d.adbin, d.adrelid)
            = pg_catalog.format('nextval(''%s''::regclass)',  -- it prints backslashes without E''
                pg_catalog.replace(q.seqrelid::pg_catalog.regclass::pg_catalog.text, '''', ''''''))
            AS takes_sequence
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    LEFT JOIN pg_catalog.pg_type AS used ON used.oid = CASE WHEN t.typelem <> 0 AND t.typlen = -1 AND t.typtype = 'b'
            THEN t.typelem ELSE t.oid END AND used.typtype IN ('e', 'd', 'r', 'c', 'm') AND used.oid >= 16384
    LEFT JOIN pg_catalog.pg_namespace AS used_schema ON used_schema.oid = used.typnamespace
    LEFT JOIN LATERAL (
        SELECT owned.objid FROM pg_catalog.pg_depend AS owned
        WHERE owned.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND owned.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND owned.refobjid = a.attrelid AND owned.refobjsubid = a.attnum AND owned.deptype IN ('a', 'i')
            AND EXISTS (SELECT FROM pg_catalog.pg_sequence AS found WHERE found.seqrelid = owned.objid)
            AND (owned.deptype = 'i' OR EXISTS (
                SELECT FROM pg_catalog.pg_depend AS taken
                WHERE taken.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND taken.objid = d.oid
                    AND taken.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                    AND taken.refobjid = owned.objid))
        ORDER BY owned.objid LIMIT 1
    ) AS own ON true
    LEFT JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = own.objid
    LEFT JOIN pg_catalog.pg_class AS s ON s.oid = own.objid
    LEFT JOIN pg_catalog.pg_namespace AS sequence_schema ON sequence_schema.oid = s.relnamespace
    WHERE {OF_PROJECT} AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attrelid, a.attnum
"""

ACTIONS = "'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'"
CONSTRAINTS = f"""
    SELECT o.conrelid AS table_oid, o.conname::pg_catalog.text AS name,
        pg_catalog.quote_ident(o.conname::pg_catalog.text) AS sql, o.contype::pg_catalog.text AS kind,
        pg_catalog.pg_get_constraintdef(o.oid, true) AS definition,
        ARRAY(SELECT a.attname::pg_catalog.text
              FROM ROWS FROM (pg_catalog.unnest(o.conkey)) WITH ORDINALITY AS key (number, place)
              JOIN pg_catalog.pg_attribute AS a ON a.attrelid = o.conrelid AND a.attnum = key.number
              ORDER BY key.place) AS columns,
        referred_schema.nspname::pg_catalog.text AS referred_schema, referred.relname::pg_catalog.text AS referred_name,
        ARRAY(SELECT a.attname::pg_catalog.text
              FROM ROWS FROM (pg_catalog.unnest(o.confkey)) WITH ORDINALITY AS key (number, place)
              JOIN pg_catalog.pg_attribute AS a ON a.attrelid = o.confrelid AND a.attnum = key.number
              ORDER BY key.place) AS referred_columns,
        pg_catalog.obj_description(o.oid, 'pg_constraint') AS comment, NOT o.conislocal AS is_inherited,
        pg_catalog.pg_get_expr(o.conbin, o.conrelid, true) AS expression,
        ARRAY(SELECT a.attname::pg_catalog.text
              FROM ROWS FROM (pg_catalog.unnest(x.indkey::pg_catalog.int2[])) WITH ORDINALITY AS key (number, place)
              JOIN pg_catalog.pg_attribute AS a ON a.attrelid = o.conrelid AND a.attnum = key.number
              WHERE o.contype <> 'f' AND key.place > x.indnkeyatts
              ORDER BY key.place) AS included,
        i.relname::pg_catalog.text AS index_name,
        CASE WHEN o.contype = 'f' THEN '{{}}' ELSE pg_catalog.array_remove(ARRAY[
            'SET (' || pg_catalog.array_to_string(i.reloptions, ', ') || ')',
            'SET TABLESPACE ' || (SELECT pg_catalog.quote_ident(s.spcname::pg_catalog.text)
                                  FROM pg_catalog.pg_tablespace AS s WHERE s.oid = i.reltablespace)
        ], NULL) END AS index_settings,
        o.convalidated AS is_valid, o.condeferrable AS is_deferrable, o.condeferred AS is_deferred,
        CASE o.confupdtype WHEN {ACTIONS} END AS on_update, CASE o.confdeltype WHEN {ACTIONS} END AS on_delete,
        coalesce(/*nulls*/, false) AND o.contype = 'u' AS nulls_not_distinct
    FROM pg_catalog.pg_constraint AS o
    JOIN pg_catalog.pg_class AS c ON c.oid = o.conrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class AS referred ON referred.oid = o.confrelid
    LEFT JOIN pg_catalog.pg_namespace AS referred_schema ON referred_schema.oid = referred.relnamespace
    LEFT JOIN pg_catalog.pg_class AS i ON i.oid = o.conindid
    LEFT JOIN pg_catalog.pg_index AS x ON x.indexrelid = o.conindid
    WHERE {OF_PROJECT} AND o.contype IN ('c', 'f', 'p', 'u', 'x') AND NOT (o.contype = 'f' AND o.conparentid <> 0)
    ORDER BY o.conrelid, pg_catalog.array_position(ARRAY['p', 'u', 'x', 'c', 'f'], o.contype::pg_catalog.text),
        o.conname
"""

INDEXES = f"""
    SELECT x.indrelid AS table_oid, i.relname::pg_catalog.text AS name,
        i.oid::pg_catalog.regclass::pg_catalog.text AS sql,
        pg_catalog.pg_get_indexdef(x.indexrelid, 0, true) AS definition, x.indisunique AS is_unique,
        EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = x.indexrelid) AS is_attached,
        pg_catalog.obj_description(x.indexrelid, 'pg_class') AS comment, am.amname::pg_catalog.text AS method,
        ARRAY(SELECT a.attname::pg_catalog.text
              FROM ROWS FROM (pg_catalog.unnest(x.indkey::pg_catalog.int2[])) WITH ORDINALITY AS key (number, place)
              JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = key.number
              WHERE key.place > x.indnkeyatts
              ORDER BY key.place) AS included,
        ARRAY(SELECT o.option FROM ROWS FROM (pg_catalog.unnest(i.reloptions)) WITH ORDINALITY AS o (option, place)
              ORDER BY o.place) AS parameters,
        pg_catalog.pg_get_expr(x.indpred, x.indrelid, true) AS predicate,
        /*nulls*/ AS nulls_not_distinct, x.indisvalid AS is_valid,
        (SELECT pg_catalog.quote_ident(s.spcname::pg_catalog.text) FROM pg_catalog.pg_tablespace AS s
         WHERE s.oid = i.reltablespace) AS tablespace
    FROM pg_catalog.pg_index AS x
    JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
    JOIN pg_catalog.pg_am AS am ON am.oid = i.relam
    JOIN pg_catalog.pg_class AS c ON c.oid = x.indrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE {OF_PROJECT}
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_constraint AS o
            WHERE o.conrelid = x.indrelid AND o.conindid = x.indexrelid AND o.contype IN ('p', 'u', 'x'))
    ORDER BY x.indrelid, i.relname
"""

CASTS = """
    SELECT pg_catalog.format_type(k.castsource, NULL) AS source, pg_catalog.format_type(k.casttarget, NULL) AS target,
        k.castcontext::pg_catalog.text AS context
    FROM pg_catalog.pg_cast AS k
"""

RELATIONS = """
    SELECT n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid >= 16384
"""
