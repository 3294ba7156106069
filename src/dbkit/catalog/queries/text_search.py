"""Text search configurations and dictionaries."""

TEXT_SEARCH_CONFIGURATIONS = """
    SELECT c.oid, s.nspname, c.cfgname, NULL, 'text search configuration',
        concat_ws(' ',
            'PARSER', quote_ident(ps.nspname) || '.' || quote_ident(p.prsname),
            (SELECT string_agg(token.alias || ': ' || m.mapdict::regdictionary, ', ' ORDER BY token.alias, m.mapseqno)
             FROM pg_ts_config_map AS m
             JOIN ts_token_type(p.oid) AS token ON token.tokid = m.maptokentype
             WHERE m.mapcfg = c.oid))
    FROM pg_ts_config AS c
    JOIN pg_namespace AS s ON s.oid = c.cfgnamespace
    JOIN pg_ts_parser AS p ON p.oid = c.cfgparser
    JOIN pg_namespace AS ps ON ps.oid = p.prsnamespace

    WHERE c.oid = ANY (%(oids)s::oid[])
"""
TEXT_SEARCH_DICTIONARIES = """
    SELECT d.oid, s.nspname, d.dictname, NULL, 'text search dictionary',
        concat_ws(' ', 'TEMPLATE', quote_ident(ts.nspname) || '.' || quote_ident(t.tmplname), d.dictinitoption)
    FROM pg_ts_dict AS d
    JOIN pg_namespace AS s ON s.oid = d.dictnamespace
    JOIN pg_ts_template AS t ON t.oid = d.dicttemplate
    JOIN pg_namespace AS ts ON ts.oid = t.tmplnamespace

    WHERE d.oid = ANY (%(oids)s::oid[])
"""
