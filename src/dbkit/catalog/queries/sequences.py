"""Sequences: their options and owners. Those of identity columns belong to the column's fact."""

from dbkit.catalog.collector import FactCollector
from dbkit.catalog.facts import PLAIN, Fact

SEQUENCES = """
    SELECT s.seqrelid, c.relnamespace, c.relname, d.deptype, d.refobjid::bigint, d.refobjsubid,
        quote_ident(a.attname), format_type(s.seqtypid, NULL), s.seqincrement, s.seqmin, s.seqmax, s.seqstart,
        s.seqcache, s.seqcycle
    FROM pg_sequence AS s
    JOIN pg_class AS c ON c.oid = s.seqrelid
    LEFT JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    LEFT JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE s.seqrelid = ANY (%(relations)s::oid[])
"""
LIMITS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}


def read_sequences(collector: FactCollector) -> None:
    """Read sequences. Owned ones depend on their table; those of identity columns are part of the column's fact."""
    for oid, schema, name, how, table, column, column_name, *options in collector.fetch(
        SEQUENCES, relations=collector.relations
    ):
        former = collector.objects.pop(("pg_class", oid))
        former_definition = collector.facts.pop(former)
        if how is not None and not collector.has_relation(table):
            continue  # it belongs to the version table
        owner = () if how is None else (collector.relation(table),)
        if how == "i":
            collector.identities[table, column] = (collector.schemas[schema], name, sequence_options(*options))
            collector.objects["pg_class", oid] = Fact("sequence", former.identity, owner)
            continue
        persistence = "" if former_definition == PLAIN else former_definition
        if owner and collector.version >= 150000:
            # an owned sequence has the persistence of its table
            usual = "UNLOGGED" if collector.facts[owner[0]].startswith("UNLOGGED") else ""
            persistence = "" if persistence == usual else persistence or "LOGGED"
        parts = [persistence, options[0], sequence_options(*options)]
        if owner:
            parts.append(f"OWNED BY {owner[0].identity}.{column_name}")
        collector.add_fact("pg_class", oid, Fact("sequence", former.identity, owner), " ".join(filter(None, parts)))


def sequence_options(type_name: str, increment: int, least: int, most: int, start: int, cache: int, cycle: bool) -> str:
    """The options that differ from the defaults of CREATE SEQUENCE."""
    limit = LIMITS[type_name]
    usual = (1, limit - 1) if increment > 0 else (-limit, -1)
    return " ".join(
        text
        for differs, text in (
            (increment != 1, f"INCREMENT BY {increment}"),
            (least != usual[0], f"MINVALUE {least}"),
            (most != usual[1], f"MAXVALUE {most}"),
            (start != (least if increment > 0 else most), f"START WITH {start}"),
            (cache != 1, f"CACHE {cache}"),
            (cycle, "CYCLE"),
        )
        if differs
    )
