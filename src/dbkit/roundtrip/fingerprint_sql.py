"""The SQL that catalog fingerprints are read with: a list of what each object's fingerprint covers."""

# One text for each system table, read only when the server counts a change there.
# With OIDs: two objects that have swapped their names would look the same, and what depends on them names them only.
COMMON = {
    "pg_type": """
        SELECT array_agg(ROW(t.oid, t.oid::regtype, t.typtype, t.typisdefined, format_type(t.typbasetype, t.typtypmod),
            NULLIF(t.typcollation, 0)::regcollation, t.typnotnull, t.typdefault, t.typacl)::text
            ORDER BY t.oid::regtype)
        FROM pg_type AS t
        WHERE t.oid >= {first} AND t.typrelid = 0 AND (t.typelem = 0 OR t.typcategory <> 'A')
    """,
    "pg_enum": """
        SELECT array_agg(ROW(e.enumtypid::regtype, e.enumlabel)::text ORDER BY e.enumtypid::regtype, e.enumsortorder)
        FROM pg_enum AS e
    """,
    # of domains; a table's constraints are part of the table
    "pg_constraint": """
        SELECT array_agg(ROW(o.contypid::regtype, o.conname, pg_get_constraintdef(o.oid), o.convalidated)::text
                         ORDER BY o.contypid::regtype, o.conname)
        FROM pg_constraint AS o
        WHERE o.contypid > 0
    """,
    "pg_proc": """
        SELECT array_agg(ROW(p.oid, p.oid::regprocedure, p.proacl,
                             CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END)::text
                         ORDER BY p.oid::regprocedure::text)
        FROM pg_proc AS p
        WHERE p.oid >= {first} AND NOT EXISTS (
            SELECT FROM pg_depend AS d
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i')
        )
    """,
    # of anything but tables, columns and indexes, whose comments are part of the table
    "pg_description": """
        SELECT array_agg(ROW(pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description)::text
                         ORDER BY pg_describe_object(d.classoid, d.objoid, d.objsubid))
        FROM pg_description AS d
        WHERE (d.objoid >= {first} OR d.classoid = 'pg_namespace'::regclass) AND d.classoid <> 'pg_class'::regclass
    """,
    "pg_statistic_ext": """
        SELECT array_agg(ROW(pg_get_statisticsobjdef(s.oid), s.stxstattarget)::text
                         ORDER BY s.stxnamespace::regnamespace, s.stxname)
        FROM pg_statistic_ext AS s
    """,
}
# Few migrations write to these. Where one has changed, only the whole catalog is trusted.
RARE = (
    *("pg_aggregate", "pg_am", "pg_amop", "pg_amproc", "pg_cast", "pg_collation", "pg_conversion", "pg_default_acl"),
    *("pg_event_trigger", "pg_extension", "pg_foreign_data_wrapper", "pg_foreign_server", "pg_foreign_table"),
    *("pg_language", "pg_largeobject_metadata", "pg_namespace", "pg_opclass", "pg_operator", "pg_opfamily"),
    *("pg_publication", "pg_publication_namespace", "pg_publication_rel", "pg_range", "pg_seclabel"),
    *("pg_subscription", "pg_transform", "pg_ts_config", "pg_ts_config_map", "pg_ts_dict", "pg_ts_parser"),
    *("pg_ts_template", "pg_user_mapping"),
    # of Citus
    *("pg_dist_colocation", "pg_dist_partition"),
    # of the whole server
    *("pg_auth_members", "pg_authid", "pg_database", "pg_db_role_setting", "pg_parameter_acl", "pg_tablespace"),
)

# What this transaction has locked, but not to read it: OID, and whether it is the lock of a writer of rows
HELD = """
    SELECT json_agg(ARRAY[l.relation::bigint, (l.mode = 'RowExclusiveLock')::int])
    FROM pg_locks AS l
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.relation >= {first}
      AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
"""
READ = "SELECT array_to_json(ARRAY[{counters}]), current_setting('search_path'), ({held})"
BEGIN = "SELECT pg_current_xact_id()::xid, array_to_json(ARRAY[{counters}])"
# What is written without a strong lock on the relation: by GRANT, and by an UPDATE of the system's tables
WRITTEN = {
    "pg_class": """
        SELECT oid FROM pg_class
        WHERE oid >= {first} AND relkind NOT IN ('i', 'I', 't') AND age(xmin) <= age($1::xid)
    """,
    "pg_attribute": "SELECT attrelid FROM pg_attribute WHERE attrelid >= {first} AND age(xmin) <= age($1::xid)",
    "pg_index": "SELECT indrelid FROM pg_index WHERE indrelid >= {first} AND age(xmin) <= age($1::xid)",
    "pg_constraint": "SELECT conrelid FROM pg_constraint WHERE conrelid >= {first} AND age(xmin) <= age($1::xid)",
    "pg_trigger": "SELECT tgrelid FROM pg_trigger WHERE tgrelid >= {first} AND age(xmin) <= age($1::xid)",
}
ALL_RELATIONS = "SELECT oid FROM pg_class WHERE oid >= {first} AND relkind NOT IN ('i', 'I', 't')"
# an index is part of its table
RELATIONS = """
    SELECT c.oid, c.relnamespace::regnamespace::text || '.' || quote_ident(c.relname), {relation}
    FROM pg_class AS c
    WHERE c.oid = ANY (ARRAY(
              SELECT coalesce(x.indrelid, o.oid)
              FROM unnest($1::oid[]) AS o (oid)
              LEFT JOIN pg_index AS x ON x.indexrelid = o.oid))
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
"""
RELATION = """
    md5(ROW(
        c.relkind, c.relpersistence, c.reloptions, c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relacl,
        NULLIF(c.reloftype, 0)::regtype, NULLIF(c.relam, 0), NULLIF(c.reltablespace, 0), c.relispartition,
        CASE WHEN c.reltoastrelid <> 0 THEN (SELECT t.reloptions FROM pg_class AS t WHERE t.oid = c.reltoastrelid) END,
        CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
        CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END,
        CASE WHEN c.relkind IN ('v', 'm') THEN ROW(pg_get_viewdef(c.oid), c.relispopulated) END,
        (SELECT array_agg(i.inhparent::regclass ORDER BY i.inhseqno) FROM pg_inherits AS i WHERE i.inhrelid = c.oid),
        CASE WHEN c.relkind = 'S' THEN (
            SELECT ROW(s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle,
                (SELECT array_agg(ROW(d.deptype, d.refobjid::regclass, a.attname))
                 FROM pg_depend AS d
                 LEFT JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                 WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
                   AND d.deptype IN ('a', 'i')))
            FROM pg_sequence AS s WHERE s.seqrelid = c.oid) END,
        (SELECT array_agg(ROW(
                a.attname, format_type(a.atttypid, a.atttypmod), NULLIF(a.attcollation, 0)::regcollation, a.attnotnull,
                a.attidentity, a.attgenerated, a.attstorage, {compression}, a.attstattarget, {options}, a.attacl,
                a.attfdwoptions, a.attislocal, a.attinhcount,
                CASE WHEN a.atthasdef THEN (
                    SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d
                    WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) END) ORDER BY a.attnum)
         FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
        (SELECT array_agg(ROW(a.attname, d.description) ORDER BY d.objsubid)
         FROM pg_description AS d
         LEFT JOIN pg_attribute AS a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
         WHERE d.objoid = c.oid AND d.classoid = 'pg_class'::regclass),
        CASE WHEN c.relkind IN ('r', 'p', 'f') THEN (
            -- PostgreSQL 18 has NOT NULL as a constraint, too, with a generated name
            SELECT array_agg(ROW(
                CASE WHEN o.contype <> 'n' THEN o.conname END, pg_get_constraintdef(o.oid), o.conislocal,
                o.coninhcount, o.connoinherit, o.convalidated, o.conparentid <> 0)
                ORDER BY o.contype, CASE WHEN o.contype <> 'n' THEN o.conname END, o.conkey)
            FROM pg_constraint AS o WHERE o.conrelid = c.oid) END,
        CASE WHEN c.relhasindex THEN (
            SELECT array_agg(ROW(
                pg_get_indexdef(x.indexrelid), x.indisvalid, x.indisready, x.indisclustered, x.indisreplident,
                n.reloptions, NULLIF(n.reltablespace, 0),
                (SELECT d.description FROM pg_description AS d
                 WHERE d.objoid = n.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0),
                CASE WHEN n.relispartition THEN (
                    SELECT i.inhparent::regclass FROM pg_inherits AS i WHERE i.inhrelid = n.oid) END,
                CASE WHEN x.indexprs IS NOT NULL THEN (
                    SELECT array_agg(a.attstattarget ORDER BY a.attnum) FROM pg_attribute AS a
                    WHERE a.attrelid = n.oid) END) ORDER BY n.relname)
            FROM pg_index AS x JOIN pg_class AS n ON n.oid = x.indexrelid WHERE x.indrelid = c.oid) END,
        CASE WHEN c.relhastriggers THEN (
            SELECT array_agg(ROW(
                -- the triggers of a foreign key have numbers in their names
                CASE WHEN t.tgisinternal THEN t.tgfoid::regproc::text ELSE pg_get_triggerdef(t.oid) END,
                t.tgenabled, t.tgparentid <> 0,
                (SELECT d.description FROM pg_description AS d
                 WHERE d.objoid = t.oid AND d.classoid = 'pg_trigger'::regclass))
                ORDER BY t.tgisinternal, CASE WHEN t.tgisinternal THEN t.tgfoid::regproc::text ELSE t.tgname END,
                    t.tgenabled)
            FROM pg_trigger AS t WHERE t.tgrelid = c.oid) END,
        CASE WHEN c.relhasrules THEN (
            SELECT array_agg(ROW(pg_get_ruledef(r.oid), r.ev_enabled,
                (SELECT d.description FROM pg_description AS d
                 WHERE d.objoid = r.oid AND d.classoid = 'pg_rewrite'::regclass)) ORDER BY r.rulename)
            FROM pg_rewrite AS r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN') END,
        (SELECT array_agg(ROW(p.polname, p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
                pg_get_expr(p.polwithcheck, p.polrelid),
                (SELECT array_agg(role::regrole ORDER BY role) FROM unnest(p.polroles) AS role),
                (SELECT d.description FROM pg_description AS d
                 WHERE d.objoid = p.oid AND d.classoid = 'pg_policy'::regclass)) ORDER BY p.polname)
         FROM pg_policy AS p WHERE p.polrelid = c.oid)
    )::text)
"""
