"""Privileges that differ from those an object has by default, and default privileges."""

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import Fact, display_name

DEFAULT_PRIVILEGES = """
    SELECT d.oid, NULL, NULL,
        concat_ws(' ',
            'for', CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
                                        WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END,
            'of', pg_get_userbyid(d.defaclrole), 'in ' || NULLIF(d.defaclnamespace, 0)::regnamespace),
        'default privileges', NULL
    FROM pg_default_acl AS d
"""
GRANTS = """
    WITH grantable AS (
        SELECT 'pg_class' AS catalog, c.oid, NULL::text AS name, c.relowner AS owner, c.relacl AS given,
            acldefault((CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", c.relowner) AS usual
        FROM pg_class AS c WHERE c.relacl IS NOT NULL AND c.oid = ANY (%(relations)s::oid[])
        UNION ALL
        SELECT 'pg_class', a.attrelid, a.attname, c.relowner, a.attacl, acldefault('c', c.relowner)
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid
        WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND a.attrelid = ANY (%(relations)s::oid[])
        UNION ALL
        SELECT 'pg_namespace', oid, NULL, nspowner, nspacl, acldefault('n', nspowner)
        FROM pg_namespace WHERE nspacl IS NOT NULL
        UNION ALL
        SELECT 'pg_proc', oid, NULL, proowner, proacl, acldefault('f', proowner)
        FROM pg_proc WHERE proacl IS NOT NULL AND pronamespace = ANY (%(schemas)s::oid[])
        UNION ALL
        SELECT 'pg_type', oid, NULL, typowner, typacl, acldefault('T', typowner)
        FROM pg_type WHERE typacl IS NOT NULL AND typnamespace = ANY (%(schemas)s::oid[])
        UNION ALL
        SELECT 'pg_language', oid, NULL, lanowner, lanacl, acldefault('l', lanowner)
        FROM pg_language WHERE lanacl IS NOT NULL
        UNION ALL
        SELECT 'pg_foreign_data_wrapper', oid, NULL, fdwowner, fdwacl, acldefault('F', fdwowner)
        FROM pg_foreign_data_wrapper WHERE fdwacl IS NOT NULL
        UNION ALL
        SELECT 'pg_foreign_server', oid, NULL, srvowner, srvacl, acldefault('S', srvowner)
        FROM pg_foreign_server WHERE srvacl IS NOT NULL
        UNION ALL
        SELECT 'pg_default_acl', oid, NULL, defaclrole, defaclacl,
            CASE WHEN defaclnamespace <> 0 THEN acldefault('c', defaclrole)
                 ELSE acldefault((CASE defaclobjtype WHEN 'S' THEN 's' ELSE defaclobjtype END)::"char", defaclrole) END
        FROM pg_default_acl
    )
    SELECT catalog, oid, name, grantee, given
    FROM (
        SELECT g.catalog, g.oid, g.name, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee) END,
            string_agg(x.privilege, ', ' ORDER BY x.privilege) FILTER (WHERE x.is_given),
            string_agg(x.privilege, ', ' ORDER BY x.privilege) FILTER (WHERE NOT x.is_given)
        FROM grantable AS g
        CROSS JOIN LATERAL (
            SELECT is_given, acl.grantee,
                acl.privilege_type || CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
                || CASE WHEN acl.grantor <> g.owner THEN ' GRANTED BY ' || pg_get_userbyid(acl.grantor) ELSE '' END
            FROM (VALUES (true, g.given), (false, g.usual)) AS side (is_given, acls)
            CROSS JOIN LATERAL aclexplode(side.acls) AS acl
        ) AS x (is_given, grantee, privilege)
        GROUP BY g.catalog, g.oid, g.name, x.grantee
    ) AS compared (catalog, oid, name, grantee, given, usual)
    WHERE given IS DISTINCT FROM usual
"""


def read_grants(collector: FactCollector) -> None:
    """Read the privileges of each role that differ from the default ones; "none" where those were revoked."""
    for catalog, oid, column, grantee, privileges in collector.fetch(
        GRANTS, relations=collector.relations, schemas=list(collector.schemas)
    ):
        fact = collector.objects.get((catalog, oid))
        if fact is None:
            continue
        if catalog == "pg_default_acl":
            collector.facts[Fact(fact.kind, f"{fact.identity} to {display_name(grantee)}")] = privileges or "none"
            continue
        fact = collector.column_fact(oid, column) if column is not None else fact
        identity = f"{fact.identity} to {display_name(grantee)}"
        collector.facts[Fact(f"grants on {fact.kind}", identity, (fact, *fact.of))] = privileges or "none"
