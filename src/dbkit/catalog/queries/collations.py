"""Collations and conversions."""

COLLATIONS = """
    SELECT c.oid, s.nspname, c.collname, NULL, 'collation',
        concat_ws(' ',
            'PROVIDER', c.collprovider, 'ENCODING', c.collencoding,
            'LC_COLLATE ' || c.collcollate, 'LC_CTYPE ' || c.collctype/*locale*//*rules*/,
            CASE WHEN NOT c.collisdeterministic THEN 'NOT DETERMINISTIC' END)
    FROM pg_collation AS c
    JOIN pg_namespace AS s ON s.oid = c.collnamespace

    WHERE c.oid = ANY (%(oids)s::oid[])
"""
CONVERSIONS = """
    SELECT c.oid, s.nspname, c.conname, NULL, 'conversion',
        concat_ws(' ',
            CASE WHEN c.condefault THEN 'DEFAULT' END, 'FOR', pg_encoding_to_char(c.conforencoding),
            'TO', pg_encoding_to_char(c.contoencoding), 'FROM', c.conproc::regproc)
    FROM pg_conversion AS c
    JOIN pg_namespace AS s ON s.oid = c.connamespace

    WHERE c.oid = ANY (%(oids)s::oid[])
"""
