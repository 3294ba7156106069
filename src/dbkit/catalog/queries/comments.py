"""Comments."""

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import FIRST_NORMAL_OID, Fact

# objects of initdb have comments, too; among these, only that of schema public may be a user's
COMMENTS = """
    SELECT d.classoid::regclass::text, d.objoid, a.attname, quote_literal(d.description)
    FROM pg_description AS d
    LEFT JOIN pg_attribute AS a
        ON d.classoid = 'pg_class'::regclass AND d.objsubid > 0 AND a.attrelid = d.objoid AND a.attnum = d.objsubid
    WHERE d.objoid >= %(first)s OR d.classoid = 'pg_namespace'::regclass
"""


def read_comments(collector: FactCollector) -> None:
    for catalog, oid, column, comment in collector.fetch(COMMENTS, first=FIRST_NORMAL_OID):
        fact = collector.objects.get((catalog, oid))
        if fact is None:
            continue
        fact = collector.column_fact(oid, column) if column is not None else fact
        collector.facts[Fact(f"comment on {fact.kind}", fact.identity, (fact, *fact.of))] = comment
