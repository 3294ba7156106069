"""The tables of a project: not those of PostgreSQL and of extensions, and no temporary ones."""

# for a query with pg_class AS c and pg_namespace AS n
IS_PROJECT_TABLE = """\
c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend AS member
                    WHERE member.classid = 'pg_class'::regclass AND member.objid = c.oid AND member.deptype = 'e')"""
