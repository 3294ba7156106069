"""Foreign-data wrappers, foreign servers and user mappings."""

# options may hold passwords, and reports show these definitions
FOREIGN_DATA_WRAPPERS = """
    SELECT w.oid, NULL, w.fdwname, NULL, 'foreign-data wrapper',
        concat_ws(' ',
            'HANDLER ' || NULLIF(w.fdwhandler, 0)::regproc, 'VALIDATOR ' || NULLIF(w.fdwvalidator, 0)::regproc,
            'OPTIONS (' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(w.fdwoptions) AS o
                            WHERE o !~* '^[^=]*(pass|secret|token|key)') || ')')
    FROM pg_foreign_data_wrapper AS w

    WHERE w.oid = ANY (%(oids)s::oid[])
"""
FOREIGN_SERVERS = """
    SELECT s.oid, NULL, s.srvname, NULL, 'server',
        concat_ws(' ',
            'TYPE ' || s.srvtype, 'VERSION ' || s.srvversion, 'FOREIGN DATA WRAPPER', quote_ident(w.fdwname),
            'OPTIONS (' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(s.srvoptions) AS o
                            WHERE o !~* '^[^=]*(pass|secret|token|key)') || ')')
    FROM pg_foreign_server AS s
    JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw

    WHERE s.oid = ANY (%(oids)s::oid[])
"""
USER_MAPPINGS = """
    SELECT m.umid, NULL, NULL, 'for ' || m.usename || ' on ' || m.srvname, 'user mapping',
        'OPTIONS (' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(m.umoptions) AS o
                        WHERE o !~* '^[^=]*(pass|secret|token|key)') || ')'
    FROM pg_user_mappings AS m
    WHERE m.srvid = ANY (%(oids)s::oid[])
"""
