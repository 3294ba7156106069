"""Languages, transforms, access methods and event triggers."""

LANGUAGES = """
    SELECT l.oid, NULL, l.lanname, NULL, 'language',
        concat_ws(' ',
            CASE WHEN l.lanpltrusted THEN 'TRUSTED' END, 'HANDLER', l.lanplcallfoid::regproc,
            'INLINE ' || NULLIF(l.laninline::oid, 0)::regproc, 'VALIDATOR ' || NULLIF(l.lanvalidator::oid, 0)::regproc)
    FROM pg_language AS l

    WHERE l.oid = ANY (%(oids)s::oid[])
"""
TRANSFORMS = """
    SELECT t.oid, NULL, NULL, 'FOR ' || format_type(t.trftype, NULL) || ' LANGUAGE ' || l.lanname, 'transform',
        concat_ws(' ', 'FROM SQL', t.trffromsql::regproc, 'TO SQL', t.trftosql::regproc)
    FROM pg_transform AS t
    JOIN pg_language AS l ON l.oid = t.trflang

    WHERE t.oid = ANY (%(oids)s::oid[])
"""
ACCESS_METHODS = """
    SELECT a.oid, NULL, a.amname, NULL, 'access method', concat_ws(' ', 'TYPE', a.amtype, 'HANDLER', a.amhandler)
    FROM pg_am AS a

    WHERE a.oid = ANY (%(oids)s::oid[])
"""
EVENT_TRIGGERS = """
    SELECT e.oid, NULL, e.evtname, NULL, 'event trigger',
        concat_ws(' ',
            'ON', e.evtevent,
            'WHEN TAG IN (' || (SELECT string_agg(tag, ', ' ORDER BY tag) FROM unnest(e.evttags) AS tag) || ')',
            'EXECUTE', e.evtfoid::regprocedure,
            CASE e.evtenabled WHEN 'D' THEN 'DISABLED' WHEN 'R' THEN 'ENABLED REPLICA'
                              WHEN 'A' THEN 'ENABLED ALWAYS' END)
    FROM pg_event_trigger AS e

    WHERE e.oid = ANY (%(oids)s::oid[])
"""
