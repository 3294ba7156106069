"""Row security policies."""

from dbkit.catalog.collector import FactCollector

POLICIES = """
    SELECT p.oid, p.polrelid, p.polname,
        concat_ws(' ',
            CASE WHEN NOT p.polpermissive THEN 'AS RESTRICTIVE' END,
            'FOR', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                 WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
            'TO', (SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(role)::text END, ', '
                                     ORDER BY pg_get_userbyid(role))
                   FROM unnest(p.polroles) AS role),
            'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
            'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
    FROM pg_policy AS p
    WHERE p.polrelid = ANY (%(relations)s::oid[])
"""


def read_policies(collector: FactCollector) -> None:
    for oid, table, name, definition in collector.fetch(POLICIES, relations=collector.relations):
        collector.add_fact(
            "pg_policy", oid, collector.fact_within("policy", name, collector.relation(table)), definition
        )
