"""Extensions, the objects that they own, and the objects that depend on them."""

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import PLAIN, Fact, display_name

EXTENSIONS = """
    SELECT e.oid, e.extname, concat_ws(' ', 'VERSION', e.extversion, 'SCHEMA', e.extnamespace::regnamespace)
    FROM pg_extension AS e
"""
# the objects of an extension (e), and those dropped with it (x: ALTER FUNCTION … DEPENDS ON EXTENSION)
MEMBERS = """
    SELECT d.classid::regclass::text, d.objid, d.deptype = 'e', e.extname
    FROM pg_depend AS d
    JOIN pg_extension AS e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype IN ('e', 'x')
"""


def read_extensions(collector: FactCollector) -> None:
    for oid, name, definition in collector.fetch(EXTENSIONS):
        collector.add_fact("pg_extension", oid, Fact("extension", display_name(name)), definition)
    for catalog, oid, is_member, name in collector.fetch(MEMBERS):
        if is_member:
            collector.members.setdefault(catalog, []).append(oid)
        else:
            collector.dependents.append((catalog, oid, name))


def read_extension_dependencies(collector: FactCollector) -> None:
    for catalog, oid, name in collector.dependents:
        fact = collector.objects.get((catalog, oid))
        if fact is not None:
            dependency = Fact("dependency on extension", f"{display_name(name)} of {fact}", (fact, *fact.of))
            collector.facts[dependency] = PLAIN
