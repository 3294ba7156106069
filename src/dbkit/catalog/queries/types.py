"""Enums, domains, ranges, composite and base types."""

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import COLUMN_ORDER, Fact, display_name

TYPES = """
    SELECT t.oid, t.typnamespace, t.typname, t.typarray, t.typrelid,
        CASE WHEN NOT t.typisdefined THEN 'shell type'
             WHEN t.typtype = 'e' THEN 'enum'
             WHEN t.typtype = 'd' THEN 'domain'
             WHEN t.typtype = 'r' THEN 'range type'
             WHEN t.typtype = 'c' THEN 'composite type'
             ELSE 'base type' END,
        CASE t.typtype
            WHEN 'e' THEN (
                SELECT '(' || string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) || ')'
                FROM pg_enum AS e WHERE e.enumtypid = t.oid
            )
            WHEN 'd' THEN concat_ws(' ',
                format_type(t.typbasetype, t.typtypmod),
                (SELECT 'COLLATE ' || t.typcollation::regcollation FROM pg_type AS base
                 WHERE base.oid = t.typbasetype AND base.typcollation <> t.typcollation),
                'DEFAULT ' || coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault),
                CASE WHEN t.typnotnull THEN 'NOT NULL' END
            )
            WHEN 'r' THEN (
                SELECT concat_ws(' ',
                    'OF', format_type(r.rngsubtype, NULL),
                    'OPERATOR CLASS ' || quote_ident(s.nspname) || '.' || quote_ident(o.opcname),
                    'COLLATE ' || NULLIF(r.rngcollation, 0)::regcollation,
                    'CANONICAL ' || NULLIF(r.rngcanonical::oid, 0)::regprocedure,
                    'SUBTYPE_DIFF ' || NULLIF(r.rngsubdiff::oid, 0)::regprocedure/*multirange*/)
                FROM pg_range AS r
                JOIN pg_opclass AS o ON o.oid = r.rngsubopc
                JOIN pg_namespace AS s ON s.oid = o.opcnamespace
                WHERE r.rngtypid = t.oid
            )
            WHEN 'b' THEN concat_ws(' ',
                'INPUT', t.typinput, 'OUTPUT', t.typoutput,
                'RECEIVE ' || NULLIF(t.typreceive::oid, 0)::regproc, 'SEND ' || NULLIF(t.typsend::oid, 0)::regproc,
                'TYPMOD_IN ' || NULLIF(t.typmodin::oid, 0)::regproc,
                'TYPMOD_OUT ' || NULLIF(t.typmodout::oid, 0)::regproc,
                'LENGTH', t.typlen, 'BY VALUE', t.typbyval, 'ALIGNMENT', t.typalign, 'STORAGE', t.typstorage,
                'CATEGORY', t.typcategory, 'PREFERRED', t.typispreferred, 'DELIMITER', t.typdelim,
                'ELEMENT ' || format_type(NULLIF(t.typelem, 0), NULL),
                'DEFAULT ' || t.typdefault, 'COLLATABLE', t.typcollation <> 0
            )
        END
    FROM pg_type AS t
    WHERE t.typnamespace = ANY (%(schemas)s::oid[])
      AND t.oid <> ALL (%(members)s::oid[])
      AND (t.typtype IN ('e', 'd', 'r')
           OR (t.typtype = 'c' AND (SELECT c.relkind FROM pg_class AS c WHERE c.oid = t.typrelid) = 'c')
           OR (t.typtype = 'b' AND t.oid IS DISTINCT FROM (
                   SELECT element.typarray FROM pg_type AS element WHERE element.oid = t.typelem))
           OR NOT t.typisdefined)
"""
# a composite type's definition has them sorted by name: the order is another fact
ATTRIBUTES = """
    SELECT a.attrelid, a.attname,
        format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || a.attcollation::regcollation ELSE '' END
    FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = ANY (%(relations)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attrelid, a.attnum
"""


def read_types(collector: FactCollector) -> None:
    query = collector.for_version(14, TYPES, multirange=(",\n'MULTIRANGE ' || format_type(r.rngmultitypid, NULL)", ""))
    members = collector.members.get("pg_type", [])
    composites: dict[int, Fact] = {}
    for oid, schema, name, array, relation, kind, definition in collector.fetch(
        query, schemas=list(collector.schemas), members=members
    ):
        fact = Fact(kind, collector.name_in_schema(schema, name))
        collector.add_fact("pg_type", oid, fact, definition)
        collector.types.append(oid)
        if array:
            collector.objects["array", array] = fact
        if relation:
            composites[relation] = collector.objects["pg_class", relation] = fact
    attributes: dict[int, dict[str, str]] = {relation: {} for relation in composites}
    if composites:
        for relation, name, type_name in collector.fetch(ATTRIBUTES, relations=list(composites)):
            attributes[relation][display_name(name)] = type_name
    for relation, fact in composites.items():
        members_of_type = sorted(attributes[relation].items())
        collector.facts[fact] = "(" + ", ".join(f"{name} {type_name}" for name, type_name in members_of_type) + ")"
        collector.facts[Fact(COLUMN_ORDER, fact.identity, (fact,))] = ", ".join(attributes[relation])
