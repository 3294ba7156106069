"""Casts, operators, operator families and operator classes."""

CASTS = """
    SELECT c.oid, NULL, NULL,
        '(' || format_type(c.castsource, NULL) || ' AS ' || format_type(c.casttarget, NULL) || ')',
        'cast',
        concat_ws(' ',
            CASE c.castmethod WHEN 'f' THEN 'WITH FUNCTION ' || c.castfunc::regprocedure WHEN 'i' THEN 'WITH INOUT'
                              ELSE 'WITHOUT FUNCTION' END,
            CASE c.castcontext WHEN 'i' THEN 'AS IMPLICIT' WHEN 'a' THEN 'AS ASSIGNMENT' END)
    FROM pg_cast AS c
    WHERE c.oid = ANY (%(oids)s::oid[])
      -- not the one that comes with a range type
      AND NOT EXISTS (
          SELECT FROM pg_depend AS d
          WHERE d.classid = 'pg_cast'::regclass AND d.objid = c.oid AND d.deptype = 'i'
      )
"""
OPERATORS = """
    SELECT o.oid, s.nspname, NULL,
        o.oprname || ' (' || coalesce(format_type(NULLIF(o.oprleft, 0), NULL), 'NONE') || ', '
            || coalesce(format_type(NULLIF(o.oprright, 0), NULL), 'NONE') || ')',
        'operator',
        concat_ws(' ',
            'FUNCTION', o.oprcode::regproc, 'COMMUTATOR ' || NULLIF(o.oprcom, 0)::regoperator,
            'NEGATOR ' || NULLIF(o.oprnegate, 0)::regoperator,
            'RESTRICT ' || NULLIF(o.oprrest::oid, 0)::regproc, 'JOIN ' || NULLIF(o.oprjoin::oid, 0)::regproc,
            CASE WHEN o.oprcanhash THEN 'HASHES' END, CASE WHEN o.oprcanmerge THEN 'MERGES' END)
    FROM pg_operator AS o
    JOIN pg_namespace AS s ON s.oid = o.oprnamespace

    WHERE o.oid = ANY (%(oids)s::oid[])
"""
OPERATOR_FAMILIES = """
    SELECT f.oid, s.nspname, f.opfname, ' USING ' || am.amname, 'operator family',
        concat_ws(', ',
            (SELECT string_agg(concat_ws(' ',
                 'OPERATOR', o.amopstrategy, o.amopopr::regoperator,
                 'FOR ORDER BY ' || (
                     SELECT quote_ident(sortns.nspname) || '.' || quote_ident(sort.opfname)
                     FROM pg_opfamily AS sort JOIN pg_namespace AS sortns ON sortns.oid = sort.opfnamespace
                     WHERE sort.oid = o.amopsortfamily)), ', '
                 ORDER BY o.amopstrategy, o.amopopr::regoperator::text)
             FROM pg_amop AS o WHERE o.amopfamily = f.oid),
            (SELECT string_agg(concat_ws(' ',
                 'FUNCTION', p.amprocnum, '(' || format_type(p.amproclefttype, NULL) || ',',
                 format_type(p.amprocrighttype, NULL) || ')', p.amproc::regprocedure), ', '
                 ORDER BY p.amprocnum, p.amproc::regprocedure::text)
             FROM pg_amproc AS p WHERE p.amprocfamily = f.oid))
    FROM pg_opfamily AS f
    JOIN pg_am AS am ON am.oid = f.opfmethod
    JOIN pg_namespace AS s ON s.oid = f.opfnamespace

    WHERE f.oid = ANY (%(oids)s::oid[])
"""
OPERATOR_CLASSES = """
    SELECT o.oid, s.nspname, o.opcname, ' USING ' || am.amname, 'operator class',
        concat_ws(' ',
            CASE WHEN o.opcdefault THEN 'DEFAULT' END, 'FOR TYPE', format_type(o.opcintype, NULL),
            'FAMILY', quote_ident(fs.nspname) || '.' || quote_ident(f.opfname),
            'STORAGE ' || format_type(NULLIF(o.opckeytype, 0), NULL))
    FROM pg_opclass AS o
    JOIN pg_am AS am ON am.oid = o.opcmethod
    JOIN pg_namespace AS s ON s.oid = o.opcnamespace
    JOIN pg_opfamily AS f ON f.oid = o.opcfamily
    JOIN pg_namespace AS fs ON fs.oid = f.opfnamespace

    WHERE o.oid = ANY (%(oids)s::oid[])
"""
