"""The queries for the SQL that creates each object of a database."""


def name_sql(schema: str, name: str, is_visible: str) -> str:
    """SQL for the name of an object: with its schema, unless it is created and found there without."""
    return (
        f"CASE WHEN {schema} IN (current_schema(), 'pg_catalog') AND {is_visible} THEN quote_ident({name})"
        f" ELSE quote_ident({schema}) || '.' || quote_ident({name}) END"
    )


TYPE_NAME = name_sql("n.nspname", "t.typname", "pg_type_is_visible(t.oid)")
RELATION_NAME = name_sql("n.nspname", "c.relname", "pg_table_is_visible(c.oid)")
ROUTINE_NAME = name_sql("n.nspname", "p.proname", "pg_function_is_visible(p.oid)")
COLLATION_NAME = name_sql("cn.nspname", "co.collname", "pg_collation_is_visible(co.oid)")
COLLATION_OF = f"""
    (SELECT ' COLLATE ' || {COLLATION_NAME}
     FROM pg_collation AS co JOIN pg_namespace AS cn ON cn.oid = co.collnamespace WHERE co.oid = %s)"""
OPTIONS = """
    (SELECT string_agg(quote_ident(split_part(o, '=', 1)) || '=' || CASE
         WHEN substr(o, strpos(o, '=') + 1) ~ '^[a-z0-9_]+$' THEN substr(o, strpos(o, '=') + 1)
         ELSE quote_literal(substr(o, strpos(o, '=') + 1)) END, ', ')
     FROM unnest(c.reloptions) AS o)"""

# OID, schema, name, kind, labels, base, default, NOT NULL, relation, bare name, multirange, definition of a range
TYPES = f"""
    SELECT t.oid::bigint, n.nspname, {TYPE_NAME}, t.typtype,
        ARRAY(SELECT e.enumlabel::text FROM pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder),
        CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) || coalesce((
            SELECT {COLLATION_OF % "t.typcollation"} FROM pg_type AS base
            WHERE base.oid = t.typbasetype AND base.typcollation <> t.typcollation), '') END,
        coalesce(pg_get_expr(t.typdefaultbin, 0), quote_literal(t.typdefault)), t.typnotnull, t.typrelid::bigint,
        t.typname, /*name*/,
        (SELECT concat_ws(', ',
             'SUBTYPE = ' || format_type(r.rngsubtype, NULL),
             CASE WHEN NOT o.opcdefault THEN 'SUBTYPE_OPCLASS = ' || {
    name_sql("os.nspname", "o.opcname", "pg_opclass_is_visible(o.oid)")
} END,
             'COLLATION =' || CASE WHEN r.rngcollation <> subtype.typcollation
                 THEN substr({COLLATION_OF % "r.rngcollation"}, length(' COLLATE ')) END,
             'CANONICAL = ' || NULLIF(r.rngcanonical::oid, 0)::regproc,
             'SUBTYPE_DIFF = ' || NULLIF(r.rngsubdiff::oid, 0)::regproc/*multirange*/)
         FROM pg_range AS r JOIN pg_opclass AS o ON o.oid = r.rngsubopc
         JOIN pg_namespace AS os ON os.oid = o.opcnamespace JOIN pg_type AS subtype ON subtype.oid = r.rngsubtype
         WHERE r.rngtypid = t.oid)
    FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
    WHERE t.oid = ANY (%(oids)s::oid[]) AND t.typtype IN ('e', 'd', 'c', 'r')
"""
MULTIRANGE = f""",
             'MULTIRANGE_TYPE_NAME = ' || (
                 SELECT {name_sql("mn.nspname", "m.typname", "pg_type_is_visible(m.oid)")}
                 FROM pg_type AS m JOIN pg_namespace AS mn ON mn.oid = m.typnamespace
                 WHERE m.oid = r.rngmultitypid AND (m.typnamespace, m.typname) <> (t.typnamespace,
                     CASE WHEN strpos(t.typname, 'range') > 0 THEN regexp_replace(t.typname, 'range', 'multirange')
                          ELSE t.typname || '_multirange' END))"""
MULTIRANGE_NAME = f"""
        (SELECT {name_sql("mn.nspname", "m.typname", "pg_type_is_visible(m.oid)")}
         FROM pg_range AS r JOIN pg_type AS m ON m.oid = r.rngmultitypid JOIN pg_namespace AS mn
             ON mn.oid = m.typnamespace WHERE r.rngtypid = t.oid)"""
ATTRIBUTES = f"""
    SELECT a.attrelid::bigint, quote_ident(a.attname),
        format_type(a.atttypid, a.atttypmod) || coalesce((
            SELECT {COLLATION_OF % "a.attcollation"} WHERE a.attcollation <> t.typcollation), '')
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = ANY (%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attrelid, a.attnum
"""
SEQUENCES = f"""
    SELECT c.oid::bigint, n.nspname, {RELATION_NAME}, c.relpersistence = 'u',
        format_type(s.seqtypid, NULL), s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, s.seqcycle,
        EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i'))
    FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = s.seqrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = ANY (%(oids)s::oid[])
"""
# tables as well: their comments, grants and row security need the name
RELATIONS = f"""
    SELECT c.oid::bigint, n.nspname, {RELATION_NAME}, c.relkind, c.relrowsecurity, c.relforcerowsecurity,
        CASE WHEN c.relkind IN ('v', 'm') THEN rtrim(pg_get_viewdef(c.oid), ';') END, {OPTIONS},
        (SELECT quote_ident(am.amname) FROM pg_am AS am WHERE am.oid = c.relam AND am.amname <> 'heap'),
        (SELECT quote_ident(s.spcname) FROM pg_tablespace AS s WHERE s.oid = c.reltablespace), c.relispopulated,
        CASE WHEN c.relkind IN ('v', 'm') THEN
            ARRAY(SELECT concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), a.attcollation)
                  FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum) END,
        CASE WHEN c.relkind = 'v' THEN
            ARRAY(SELECT quote_ident(a.attname) || ' SET DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)
                  FROM pg_attrdef AS d JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                  WHERE d.adrelid = c.oid ORDER BY a.attnum) END
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = ANY (%(oids)s::oid[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
COLUMNS = f"""
    SELECT a.attrelid::bigint, a.attnum, a.attname, quote_ident(a.attname), a.attgenerated,
        format_type(a.atttypid, a.atttypmod) || coalesce((
            SELECT {COLLATION_OF % "a.attcollation"} WHERE a.attcollation <> t.typcollation), ''),
        a.attnotnull, pg_get_expr(d.adbin, d.adrelid), d.oid::bigint
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = ANY (%(oids)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
"""
INDEXES = f"""
    SELECT c.oid::bigint, n.nspname, {RELATION_NAME}, pg_get_indexdef(c.oid, 0, true)
    FROM pg_index AS x JOIN pg_class AS c ON c.oid = x.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = ANY (%(oids)s::oid[]) AND NOT c.relispartition
"""
CONSTRAINTS = f"""
    SELECT o.oid::bigint, n.nspname, coalesce({RELATION_NAME}, ''), quote_ident(o.conname),
        pg_get_constraintdef(o.oid), o.contypid::bigint
    FROM pg_constraint AS o JOIN pg_namespace AS n ON n.oid = o.connamespace
    LEFT JOIN pg_class AS c ON c.oid = o.conrelid
    WHERE o.oid = ANY (%(oids)s::oid[]) AND o.contype IN ('c', 'f', 'p', 'u', 'x')
      AND o.conparentid = 0 AND (o.contypid <> 0 OR o.conislocal)
"""
ROUTINES = f"""
    SELECT p.oid::bigint, n.nspname, {ROUTINE_NAME}, quote_ident(n.nspname) || '.' || quote_ident(p.proname),
        CASE p.prokind WHEN 'a' THEN 'AGGREGATE' WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
        pg_get_function_identity_arguments(p.oid),
        CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END,
        concat_ws(' ', p.prokind, coalesce(pg_get_function_result(p.oid), ''), p.proallargtypes::regtype[]::text,
                  p.proargmodes::text),
        coalesce(p.proargnames, '{{}}'), p.pronargdefaults
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid = ANY (%(oids)s::oid[])
"""
TRIGGERS = f"""
    SELECT t.oid::bigint, n.nspname, {RELATION_NAME}, quote_ident(t.tgname), pg_get_triggerdef(t.oid, true),
        t.tgenabled
    FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE t.oid = ANY (%(oids)s::oid[]) AND NOT t.tgisinternal AND (to_jsonb(t) ->> 'tgparentid')::bigint = 0
"""
RULES = f"""
    SELECT r.oid::bigint, n.nspname, {RELATION_NAME}, quote_ident(r.rulename),
        rtrim(pg_get_ruledef(r.oid, true), ';'), r.ev_enabled
    FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE r.oid = ANY (%(oids)s::oid[]) AND r.rulename <> '_RETURN'
"""
POLICIES = f"""
    SELECT p.oid::bigint, n.nspname, {RELATION_NAME}, quote_ident(p.polname),
        ARRAY(SELECT pg_get_userbyid(role)::text FROM unnest(p.polroles) AS role
              WHERE role <> 0 AND pg_get_userbyid(role) <> current_user),
        concat_ws(' ',
            CASE WHEN NOT p.polpermissive THEN 'AS RESTRICTIVE' END,
            'FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                    WHEN 'd' THEN 'DELETE' END,
            'TO ' || NULLIF((SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC'
                                               ELSE quote_ident(pg_get_userbyid(role)) END, ', ')
                             FROM unnest(p.polroles) AS role), 'PUBLIC'),
            'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
            'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
    FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE p.oid = ANY (%(oids)s::oid[])
"""
STATISTICS = f"""
    SELECT s.oid::bigint, n.nspname, {name_sql("n.nspname", "s.stxname", "pg_statistics_obj_is_visible(s.oid)")},
        pg_get_statisticsobjdef(s.oid)
    FROM pg_statistic_ext AS s JOIN pg_namespace AS n ON n.oid = s.stxnamespace
    WHERE s.oid = ANY (%(oids)s::oid[])
"""
SCHEMAS = "SELECT oid::bigint, nspname, quote_ident(nspname) FROM pg_namespace WHERE oid = ANY (%(oids)s::oid[])"
EXTENSIONS = """
    SELECT e.oid::bigint, n.nspname, quote_ident(e.extname), quote_ident(n.nspname), n.nspname = current_schema()
    FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.oid = ANY (%(oids)s::oid[])
"""
# any other object: only what DROP needs
OTHERS = """
    SELECT catalog, oid::bigint, found.schema, found.identity,
        upper(replace(found.type, '-', ' ')) || ' ' || found.identity
    FROM unnest(%(catalogs)s::text[], %(oids)s::oid[]) AS object (catalog, oid)
    CROSS JOIN LATERAL pg_identify_object(to_regclass('pg_catalog.' || catalog), oid, 0) AS found
    WHERE found.identity IS NOT NULL
"""
# what an object depends on, but for the objects of PostgreSQL itself; a view is its rule, a default its pg_attrdef
DEPENDENCIES = """
    SELECT DISTINCT d.classid::regclass::text, d.objid::bigint, d.objsubid, d.refclassid::regclass::text,
        d.refobjid::bigint, d.refobjsubid
    FROM pg_depend AS d
    WHERE d.objid >= %(first)s AND d.refobjid >= %(first)s AND d.deptype IN ('n', 'a', 'i', 'P', 'S')
"""
VIEW_RULES = """
    SELECT oid::bigint, ev_class::bigint FROM pg_rewrite
    WHERE ev_class = ANY (%(oids)s::oid[]) AND rulename = '_RETURN'
"""
CONSTRAINT_INDEXES = """
    SELECT conindid::bigint, oid::bigint FROM pg_constraint
    WHERE conrelid = ANY (%(oids)s::oid[]) AND contype IN ('p', 'u', 'x')
"""
ROW_TYPES = "SELECT reltype::bigint, oid::bigint FROM pg_class WHERE oid = ANY (%(oids)s::oid[]) AND reltype <> 0"
MEMBERS = """
    SELECT d.classid::regclass::text, d.objid::bigint, d.refobjid::bigint FROM pg_depend AS d
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
"""
