"""Publications."""

PUBLICATIONS = """
    SELECT p.oid, NULL, p.pubname, NULL, 'publication',
        concat_ws(' ',
            CASE WHEN p.puballtables THEN 'FOR ALL TABLES' END,
            'FOR TABLE ' || (
                SELECT string_agg(concat_ws(' ', r.prrelid::regclass/*part*/), ', ' ORDER BY r.prrelid::regclass::text)
                FROM pg_publication_rel AS r
                WHERE r.prpubid = p.oid AND r.prrelid = ANY (%(relations)s::oid[])
            )/*schemas*/,
            'PUBLISH',
            CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
            CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END,
            CASE WHEN p.pubviaroot THEN 'VIA ROOT' END/*generated*/)
    FROM pg_publication AS p

    WHERE p.oid = ANY (%(oids)s::oid[])
"""
PUBLISHED_PART = """,
                    '(' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname) FROM pg_attribute AS a
                            WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)) || ')',
                    'WHERE ' || pg_get_expr(r.prqual, r.prrelid)"""
PUBLISHED_SCHEMAS = """,
            'FOR TABLES IN SCHEMA ' || (
                SELECT string_agg(n.pnnspid::regnamespace::text, ', ' ORDER BY n.pnnspid::regnamespace::text)
                FROM pg_publication_namespace AS n WHERE n.pnpubid = p.oid
            )"""
PUBLISHED_GENERATED = ", CASE WHEN p.pubgencols <> 'n' THEN 'GENERATED COLUMNS STORED' END"
