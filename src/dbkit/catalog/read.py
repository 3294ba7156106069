"""The whole schema of a database as a set of facts, so that two states of it can be compared object by object.

A fact is one object under the name that people give it; its value is a definition that is equal exactly when the
object is equal. Owners, data and what only the server keeps (statistics, sequence positions, OIDs) are left out.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow, tuple_row

COLUMN_ORDER = "column order"
PLAIN = "plain"  # the definition of an object of which there is nothing more to say
FIRST_NORMAL_OID = 16384  # access/transam.h: below are the objects that initdb makes

SAID_WITH_VALUE = ("comment on ", "grants on ", "default privileges", "column settings")
MODELLED = {"column", "constraint", "index"}


@dataclass(frozen=True, order=True, slots=True)
class Fact:
    """An object under its name, such as ("column", "orders.placed_at"); only these two are compared."""

    kind: str
    identity: str
    """Without a prefix in schema public; "ix_a on orders" for what has its name within a table."""
    of: tuple["Fact", ...] = field(default=(), compare=False, repr=False)
    """The objects that this one comes and goes with: a column's table, a partition's index's parent."""
    uses: "Fact | None" = field(default=None, compare=False, repr=False)
    """The type of a column, where it is not one of PostgreSQL's own."""

    def __str__(self) -> str:
        return f"{self.kind} {self.identity}"


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that only one state has (the other is None), or that two states have differently."""

    fact: Fact
    before: str | None
    after: str | None

    @property
    def residue(self) -> bool:
        """Is it what PostgreSQL cannot take back: the order of columns, or a value added to an enum?"""
        if self.fact.kind == COLUMN_ORDER:
            return True
        if self.fact.kind != "enum" or self.before is None or self.after is None:
            return False
        former, present = _labels(self.before), _labels(self.after)
        return [label for label in present if label in set(former)] == former

    def words(self, only_after: str = "still there", only_before: str = "gone") -> str:
        """Such as "index ix_a on orders is still there"; several lines where the definitions have several."""
        verb = "are" if self.fact.kind.startswith(("grants", "default")) else "is"
        if self.before is None or self.after is None:
            side = only_after if self.before is None else only_before
            value = f": {self.after or self.before}" if self.fact.kind.startswith(SAID_WITH_VALUE) else ""
            return f"{self.fact} {verb} {side}{value}"
        if self.fact.kind == COLUMN_ORDER:
            return f"{self.fact}: {', '.join(_moved(_names(self.before), _names(self.after)))} elsewhere"
        if "\n" in self.before + self.after:
            lines = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), lineterm="", n=0)
            changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
            return "\n  ".join([f"{self.fact} {verb} not the same (- was, + is):", *changed])
        return f"{self.fact}: {self.before} was, {self.after} is"


def differences(before: Mapping[Fact, str], after: Mapping[Fact, str]) -> list[Difference]:
    """What differs, sorted by kind and name, without what follows from another difference.

    A table that is gone is one difference, not one for each of its columns, indexes and comments. What partitions
    and inheriting tables have because of a change to their parent is told with the parent.
    """
    changed = {
        fact: Difference(fact, before.get(fact), after.get(fact))
        for fact in before.keys() | after.keys()
        if before.get(fact) != after.get(fact)
    }
    found = (difference for fact, difference in sorted(changed.items()) if not _follows(difference, changed))
    return [difference for difference in found if _is_told(difference)]


def of_tables(facts: Mapping[Fact, str], tables: Collection[str]) -> dict[Fact, str]:
    """What models say of `tables` (as in Fact.identity): columns, constraints, indexes, and the enums of the columns.

    Left out is what they cannot say: the order of columns, storage, statistics targets, comments, grants.
    """
    kept = {
        fact: definition
        for fact, definition in facts.items()
        if fact.kind in MODELLED and any(owner.kind == "table" and owner.identity in tables for owner in fact.of)
    }
    enums = {fact.uses for fact in kept if fact.uses and fact.uses.kind == "enum"}
    return kept | {fact: definition for fact, definition in facts.items() if fact in enums}


def read(
    connection: psycopg.Connection[Any], *, version_tables: Collection[str] = ("alembic_version",)
) -> dict[Fact, str]:
    """Everything in the database but PostgreSQL's own schemas, temporary objects and what extensions own.

    `version_tables` (names, in any schema) are left out with all that belongs to them. The caller's transaction and
    settings are as before afterwards; where there is no transaction, none is left open.

    Raises psycopg.Error; the caller's transaction is then aborted.
    """
    with _settings_for_reading(connection):
        reading = _Reading(psycopg.Cursor(connection, row_factory=tuple_row), list(version_tables))
        _extensions(reading)
        _schemas(reading)
        _types(reading)
        _relations(reading)
        _sequences(reading)
        _columns(reading)
        _indexes(reading)
        _constraints(reading)
        _functions(reading)
        _triggers(reading)
        _rules(reading)
        _policies(reading)
        _statistics(reading)
        _rare_objects(reading)
        _extension_dependencies(reading)
        _grants(reading)
        _comments(reading)
    return reading.facts


def _labels(definition: str) -> list[str]:
    return re.findall(r"E?'(?:[^']|'')*'", definition)


def _names(definition: str) -> list[str]:
    return re.findall(r'"(?:[^"]|"")*"|[^,\s]+', definition)


def _moved(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """What is not in the same order as the rest."""
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    changed = [opcode for opcode in matcher.get_opcodes() if opcode[0] != "equal"]
    here = [name for _, _, _, first, end in changed for name in after[first:end]]
    gone = {name for _, first, end, _, _ in changed for name in before[first:end]}
    return [name for name in here if name in gone]


def _follows(difference: Difference, changed: Mapping[Fact, Difference]) -> bool:
    """Does an object that this one belongs to tell the same?"""
    for owner in difference.fact.of:
        other = changed.get(owner)
        if other is None:
            continue
        if (difference.before is None and other.before is None) or (difference.after is None and other.after is None):
            return True
        if owner.kind == difference.fact.kind and _uninherited(difference) == _uninherited(other):
            return True
    return False


def _uninherited(difference: Difference) -> tuple[str | None, str | None]:
    before, after = difference.before, difference.after
    return before and before.removesuffix(INHERITED), after and after.removesuffix(INHERITED)


def _is_told(difference: Difference) -> bool:
    """A column that comes or goes changes nothing in the order of the others."""
    if difference.fact.kind != COLUMN_ORDER:
        return True
    if difference.before is None or difference.after is None:
        return False
    before, after = _names(difference.before), _names(difference.after)
    return [name for name in before if name in after] != [name for name in after if name in before]


INHERITED = " (inherited)"

# What decides how PostgreSQL writes a definition; with no search path every name outside pg_catalog has its schema
SETTINGS = {
    "search_path": "",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "quote_all_identifiers": "off",
}


@contextmanager
def _settings_for_reading(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Set what definitions depend on, for a transaction of our own or for a while within the caller's."""
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    with connection.transaction() if idle else nullcontext():
        cursor = psycopg.Cursor(connection, row_factory=tuple_row)
        query = "SELECT name, current_setting(name) FROM unnest(%s::text[]) AS name"
        former: dict[str, str] = dict(cursor.execute(query, [list(SETTINGS)]).fetchall())
        _set_locally(cursor, SETTINGS)
        try:
            yield
        finally:
            # after an error the caller's rollback puts them back
            if connection.info.transaction_status == TransactionStatus.INTRANS:
                _set_locally(cursor, former)


def _set_locally(cursor: psycopg.Cursor[TupleRow], settings: Mapping[str, str]) -> None:
    cursor.execute(
        "SELECT set_config(name, value, true) FROM unnest(%s::text[], %s::text[]) AS setting (name, value)",
        [list(settings), list(settings.values())],
    )


def identity(name: str, schema: str = "public") -> str:
    """How facts name what is in a schema."""
    return _quoted(name) if schema == "public" else f"{_quoted(schema)}.{_quoted(name)}"


def qualified(schema: str, name: str) -> str:
    """A name as SQL takes it anywhere."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in (schema, name))


@lru_cache(maxsize=10_000)
def _quoted(name: str) -> str:
    """The name as people write it; quoted only where it could be taken for something else."""
    return name if re.fullmatch(r"[^\W\d][\w$]*", name) else '"' + name.replace('"', '""') + '"'


@dataclass
class _Reading:
    """The facts found so far, and which object of which system catalog each of them is."""

    cursor: psycopg.Cursor[TupleRow]
    version_tables: list[str]
    facts: dict[Fact, str] = field(default_factory=dict)
    objects: dict[tuple[str, int], Fact] = field(default_factory=dict)
    schemas: dict[int, str] = field(default_factory=dict)
    members: dict[str, list[int]] = field(default_factory=dict)
    """By system catalog, the objects that extensions own."""
    dependents: list[tuple[str, int, str]] = field(default_factory=list)
    """System catalog, object, and the extension that it depends on without being its own."""
    types: list[int] = field(default_factory=list)
    relations: list[int] = field(default_factory=list)
    parents: dict[int, list[int]] = field(default_factory=dict)
    """The tables that a table inherits from, or is a partition of."""
    identities: dict[tuple[int, int], tuple[str, str, str]] = field(default_factory=dict)
    """By table and column number: schema, name and options of an identity column's sequence."""
    index_settings: dict[int, str] = field(default_factory=dict)
    """By constraint, what its index has that the constraint's definition does not say."""

    @property
    def version(self) -> int:
        return self.cursor.connection.info.server_version

    def rows(self, query: str, **parameters: object) -> Iterable[TupleRow]:
        return self.cursor.execute(query, parameters or None).fetchall()

    def since(self, version: int, query: str, **parts: tuple[str, str]) -> str:
        """The query with the first text of each part where the server has `version`, else with the second."""
        for name, (new, old) in parts.items():
            query = query.replace(f"/*{name}*/", new if self.version >= version * 10000 else old)
        return query

    def add(self, catalog: str, oid: int, fact: Fact, definition: str | None) -> None:
        self.facts[fact] = definition or PLAIN
        self.objects[catalog, oid] = fact

    def name(self, schema: int, name: str) -> str:
        return identity(name, self.schemas[schema])

    def column(self, relation: int, name: str, of: Iterable[Fact] = (), uses: Fact | None = None) -> Fact:
        table = self.objects["pg_class", relation]
        return Fact("column", f"{table.identity}.{_quoted(name)}", (table, *of), uses)

    def within(self, kind: str, name: str, owner: Fact, of: Iterable[Fact] = ()) -> Fact:
        """What has its name within a table (or a domain)."""
        return Fact(kind, f"{_quoted(name)} on {owner.identity}", (owner, *of))

    def inherited(self, relation: int) -> list[Fact]:
        return [
            self.objects["pg_class", oid] for oid in self.parents.get(relation, ()) if ("pg_class", oid) in self.objects
        ]


EXTENSIONS = """
    SELECT e.oid, e.extname, concat_ws(' ', 'VERSION', e.extversion, 'SCHEMA', e.extnamespace::regnamespace)
    FROM pg_extension AS e
"""
# what an extension owns (e), and what goes when it goes (x: ALTER FUNCTION … DEPENDS ON EXTENSION)
MEMBERS = """
    SELECT d.classid::regclass::text, d.objid, d.deptype = 'e', e.extname
    FROM pg_depend AS d
    JOIN pg_extension AS e ON e.oid = d.refobjid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype IN ('e', 'x')
"""


def _extensions(reading: _Reading) -> None:
    for oid, name, definition in reading.rows(EXTENSIONS):
        reading.add("pg_extension", oid, Fact("extension", _quoted(name)), definition)
    for catalog, oid, is_member, name in reading.rows(MEMBERS):
        if is_member:
            reading.members.setdefault(catalog, []).append(oid)
        else:
            reading.dependents.append((catalog, oid, name))


def _extension_dependencies(reading: _Reading) -> None:
    for catalog, oid, name in reading.dependents:
        fact = reading.objects.get((catalog, oid))
        if fact is not None:
            dependency = Fact("dependency on extension", f"{_quoted(name)} of {fact}", (fact, *fact.of))
            reading.facts[dependency] = PLAIN


SCHEMAS = """
    SELECT oid, nspname
    FROM pg_namespace
    WHERE nspname <> 'information_schema' AND NOT starts_with(nspname, 'pg_')
"""


def _schemas(reading: _Reading) -> None:
    members = reading.members.get("pg_namespace", [])
    for oid, name in reading.rows(SCHEMAS):
        reading.schemas[oid] = name
        if oid not in members:
            reading.add("pg_namespace", oid, Fact("schema", _quoted(name)), None)


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
# sorted by name: the order is a fact of its own
ATTRIBUTES = """
    SELECT a.attrelid, a.attname,
        format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || a.attcollation::regcollation ELSE '' END
    FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = ANY (%(relations)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attrelid, a.attnum
"""


def _types(reading: _Reading) -> None:
    query = reading.since(14, TYPES, multirange=(",\n'MULTIRANGE ' || format_type(r.rngmultitypid, NULL)", ""))
    members = reading.members.get("pg_type", [])
    composites: dict[int, Fact] = {}
    for oid, schema, name, array, relation, kind, definition in reading.rows(
        query, schemas=list(reading.schemas), members=members
    ):
        fact = Fact(kind, reading.name(schema, name))
        reading.add("pg_type", oid, fact, definition)
        reading.types.append(oid)
        if array:
            reading.objects["array", array] = fact
        if relation:
            composites[relation] = reading.objects["pg_class", relation] = fact
    attributes: dict[int, dict[str, str]] = {relation: {} for relation in composites}
    if composites:
        for relation, name, type_name in reading.rows(ATTRIBUTES, relations=list(composites)):
            attributes[relation][_quoted(name)] = type_name
    for relation, fact in composites.items():
        members_of_type = sorted(attributes[relation].items())
        reading.facts[fact] = "(" + ", ".join(f"{name} {type_name}" for name, type_name in members_of_type) + ")"
        reading.facts[Fact(COLUMN_ORDER, fact.identity, (fact,))] = ", ".join(attributes[relation])


RELATIONS = """
    SELECT c.oid, c.relnamespace, c.relname,
        CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                       WHEN 'S' THEN 'sequence' ELSE 'table' END,
        inheritance.parents,
        concat_ws(' ',
            CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED' END,
            'OF ' || format_type(NULLIF(c.reloftype, 0), NULL),
            'PARTITION OF ' || CASE WHEN c.relispartition THEN inheritance.names END,
            pg_get_expr(c.relpartbound, c.oid),
            'INHERITS (' || CASE WHEN NOT c.relispartition THEN inheritance.names END || ')',
            'PARTITION BY ' || CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
            'USING ' || NULLIF((SELECT quote_ident(am.amname) FROM pg_am AS am WHERE am.oid = c.relam), 'heap'),
            (SELECT concat_ws(' ', 'SERVER', quote_ident(s.srvname), 'OPTIONS (' || (
                 SELECT string_agg(option, ', ' ORDER BY option) FROM unnest(f.ftoptions) AS option) || ')')
             FROM pg_foreign_table AS f JOIN pg_foreign_server AS s ON s.oid = f.ftserver WHERE f.ftrelid = c.oid),
            'WITH (' || (
                SELECT string_agg(option, ', ' ORDER BY option)
                FROM (SELECT unnest(c.reloptions) UNION ALL SELECT 'toast.' || unnest(toast.reloptions)) AS o (option)
            ) || ')',
            'TABLESPACE ' || (SELECT quote_ident(s.spcname) FROM pg_tablespace AS s WHERE s.oid = c.reltablespace),
            CASE WHEN c.relrowsecurity THEN 'ENABLE ROW LEVEL SECURITY' END,
            CASE WHEN c.relforcerowsecurity THEN 'FORCE ROW LEVEL SECURITY' END,
            CASE WHEN c.relkind IN ('r', 'p') THEN 'REPLICA IDENTITY ' || CASE c.relreplident
                WHEN 'f' THEN 'FULL'
                WHEN 'n' THEN 'NOTHING'
                WHEN 'i' THEN (
                    SELECT 'USING INDEX that is gone'
                    WHERE NOT EXISTS (SELECT FROM pg_index AS x WHERE x.indrelid = c.oid AND x.indisreplident)
                ) END END,
            CASE WHEN c.relkind IN ('v', 'm') THEN E'AS\n' || pg_get_viewdef(c.oid) END,
            CASE WHEN c.relkind = 'v' THEN (
                SELECT string_agg('DEFAULT OF ' || quote_ident(a.attname) || ' ' || pg_get_expr(d.adbin, d.adrelid),
                                  ' ' ORDER BY a.attname)
                FROM pg_attrdef AS d JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
                WHERE d.adrelid = c.oid
            ) END,
            CASE WHEN c.relkind = 'm' AND NOT c.relispopulated THEN E'\nWITH NO DATA' END)
    FROM pg_class AS c
    LEFT JOIN pg_class AS toast ON toast.oid = c.reltoastrelid
    LEFT JOIN LATERAL (
        SELECT array_agg(i.inhparent::bigint) AS parents,
            string_agg(i.inhparent::regclass::text/*detaching*/, ', ' ORDER BY i.inhseqno) AS names
        FROM pg_inherits AS i
        WHERE i.inhrelid = c.oid
    ) AS inheritance ON c.relkind IN ('r', 'p', 'f')
    WHERE c.relnamespace = ANY (%(schemas)s::oid[])
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND c.oid <> ALL (%(members)s::oid[])
      AND NOT (c.relkind IN ('r', 'p') AND c.relname = ANY (%(version_tables)s::text[]))
"""


def _relations(reading: _Reading) -> None:
    query = reading.since(
        14, RELATIONS, detaching=(" || CASE WHEN i.inhdetachpending THEN ' (being detached)' ELSE '' END", "")
    )
    for oid, schema, name, kind, parents, definition in reading.rows(
        query,
        schemas=list(reading.schemas),
        members=reading.members.get("pg_class", []),
        version_tables=reading.version_tables,
    ):
        reading.add("pg_class", oid, Fact(kind, reading.name(schema, name)), definition)
        reading.relations.append(oid)
        if parents:
            reading.parents[oid] = parents


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


def _sequences(reading: _Reading) -> None:
    """Owned sequences come and go with their table; an identity column's is told with the column."""
    for oid, schema, name, how, table, column, column_name, *options in reading.rows(
        SEQUENCES, relations=reading.relations
    ):
        former = reading.objects.pop(("pg_class", oid))
        former_definition = reading.facts.pop(former)
        if how is not None and ("pg_class", table) not in reading.objects:
            continue  # the version table's
        owner = () if how is None else (reading.objects["pg_class", table],)
        if how == "i":
            reading.identities[table, column] = (reading.schemas[schema], name, _sequence_options(*options))
            reading.objects["pg_class", oid] = Fact("sequence", former.identity, owner)
            continue
        persistence = "" if former_definition == PLAIN else former_definition
        if owner and reading.version >= 150000:
            # PostgreSQL gives it the persistence of its table
            usual = "UNLOGGED" if reading.facts[owner[0]].startswith("UNLOGGED") else ""
            persistence = "" if persistence == usual else persistence or "LOGGED"
        parts = [persistence, options[0], _sequence_options(*options)]
        if owner:
            parts.append(f"OWNED BY {owner[0].identity}.{column_name}")
        reading.add("pg_class", oid, Fact("sequence", former.identity, owner), " ".join(filter(None, parts)))


def _sequence_options(
    type_name: str, increment: int, least: int, most: int, start: int, cache: int, cycle: bool
) -> str:
    """The options that are not what CREATE SEQUENCE would choose."""
    limit = LIMITS[type_name]
    usual = (1, limit - 1) if increment > 0 else (-limit, -1)
    return " ".join(
        text
        for said, text in (
            (increment != 1, f"INCREMENT BY {increment}"),
            (least != usual[0], f"MINVALUE {least}"),
            (most != usual[1], f"MAXVALUE {most}"),
            (start != (least if increment > 0 else most), f"START WITH {start}"),
            (cache != 1, f"CACHE {cache}"),
            (cycle, "CYCLE"),
        )
        if said
    )


# PostgreSQL 15.20 keeps a number of its own among the options of each column, pg_attver: see dump.py
COLUMNS = """
    SELECT a.attrelid, a.attnum, a.attname, a.atttypid,
        concat_ws(' ',
            regexp_replace(format_type(a.atttypid, a.atttypmod), '^character varying', 'varchar'),
            CASE WHEN a.attcollation <> t.typcollation THEN 'COLLATE ' || a.attcollation::regcollation END),
        CASE a.attidentity WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY'
                           WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY' END,
        concat_ws(' ',
            CASE a.attgenerated WHEN '' THEN 'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)
                                ELSE 'GENERATED ALWAYS AS (' || pg_get_expr(d.adbin, d.adrelid) || ')' END,
            CASE a.attgenerated WHEN 's' THEN 'STORED' WHEN 'v' THEN 'VIRTUAL' END,
            CASE WHEN a.attnotnull THEN 'NOT NULL' END/*notnull*/,
            'OPTIONS (' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(a.attfdwoptions) AS o) || ')'),
        NOT a.attislocal,
        concat_ws(' ',
            CASE WHEN a.attstorage <> t.typstorage THEN 'STORAGE ' || CASE a.attstorage
                WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
            /*compression*/
            'STATISTICS ' || NULLIF(a.attstattarget, -1),
            '(' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(a.attoptions) AS o WHERE o !~ '^pg_') || ')')
    FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum/*join*/
    WHERE a.attrelid = ANY (%(relations)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attrelid, a.attnum
"""
COMPRESSION = "'COMPRESSION ' || CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,"
# PostgreSQL 18 has NOT NULL as a constraint too, with a name that nobody chose
NOT_NULL = """,
            CASE WHEN NOT n.convalidated THEN 'NOT VALID' END,
            CASE WHEN n.connoinherit THEN 'NO INHERIT' END"""
NOT_NULL_JOIN = """
    LEFT JOIN pg_constraint AS n ON n.conrelid = a.attrelid AND n.contype = 'n' AND n.conkey = ARRAY[a.attnum]"""


def _columns(reading: _Reading) -> None:
    query = reading.since(14, COLUMNS, compression=(COMPRESSION, ""))
    query = reading.since(18, query, notnull=(NOT_NULL, ""), join=(NOT_NULL_JOIN, ""))
    known = ((oid, reading.objects.get(("pg_class", oid))) for oid in reading.relations)
    tables = [oid for oid, fact in known if fact and fact.kind in ("table", "foreign table", "materialized view")]
    order: dict[int, list[str]] = {}
    for table, number, name, type_oid, type_name, generated, rest, is_inherited, settings in reading.rows(
        query, relations=tables
    ):
        parents = [Fact("column", f"{parent.identity}.{_quoted(name)}") for parent in reading.inherited(table)]
        uses = reading.objects.get(("pg_type", type_oid)) or reading.objects.get(("array", type_oid))
        fact = reading.column(table, name, parents, uses)
        sequence = ""
        if generated:
            schema, sequence_name, options = reading.identities[table, number]
            generated = f"{generated} ({options})" if options else generated
            named = identity(sequence_name, schema)
            if named != f"{fact.of[0].identity}_{name}_seq":
                sequence = f"SEQUENCE NAME {named}"
        if fact.of[0].kind != "materialized view":  # its definition has them
            definition = " ".join(filter(None, [type_name, generated, rest]))
            reading.facts[fact] = definition + (INHERITED if is_inherited else "")
            order.setdefault(table, []).append(_quoted(name))
        settings = " ".join(filter(None, [sequence, settings]))
        if settings:
            above = [Fact("column settings", parent.identity) for parent in parents]
            reading.facts[Fact("column settings", fact.identity, (fact, *above))] = settings
    for table, names in order.items():
        owner = reading.objects["pg_class", table]
        reading.facts[Fact(COLUMN_ORDER, owner.identity, (owner,))] = ", ".join(names)


INDEXES = """
    SELECT x.indexrelid, x.indrelid, c.relname, o.oid, o.conname, p.inhparent,
        pg_get_indexdef(x.indexrelid, 0, true),
        concat_ws(' ',
            CASE WHEN o.oid IS NOT NULL
                 THEN 'WITH (' || (SELECT string_agg(r, ', ' ORDER BY r) FROM unnest(c.reloptions) AS r) || ')' END,
            'TABLESPACE ' || (SELECT quote_ident(s.spcname) FROM pg_tablespace AS s WHERE s.oid = c.reltablespace),
            CASE WHEN NOT x.indisvalid THEN 'INVALID' END,
            CASE WHEN NOT x.indisready THEN 'NOT READY' END,
            CASE WHEN x.indisclustered THEN 'CLUSTER' END,
            CASE WHEN x.indisreplident THEN 'REPLICA IDENTITY' END,
            (SELECT string_agg('STATISTICS OF ' || a.attnum || ' ' || a.attstattarget, ' ' ORDER BY a.attnum)
             FROM pg_attribute AS a
             WHERE a.attrelid = x.indexrelid AND a.attstattarget >= 0 AND x.indexprs IS NOT NULL),
            'ATTACHED TO ' || p.inhparent::regclass)
    FROM pg_index AS x
    JOIN pg_class AS c ON c.oid = x.indexrelid
    LEFT JOIN pg_constraint AS o
        ON o.conrelid = x.indrelid AND o.conindid = x.indexrelid AND o.contype IN ('p', 'u', 'x')
    LEFT JOIN pg_inherits AS p ON p.inhrelid = x.indexrelid
    WHERE x.indrelid = ANY (%(relations)s::oid[])
"""


def _indexes(reading: _Reading) -> None:
    """An index that belongs to a constraint is told with the constraint; it has a name only for its comment."""
    parents: dict[int, int] = {}
    definitions: dict[int, str] = {}
    for oid, table, name, constraint, constraint_name, parent, definition, settings in reading.rows(
        INDEXES, relations=reading.relations
    ):
        owner = reading.objects["pg_class", table]
        if constraint:
            reading.index_settings[constraint] = settings
            belongs_to = (reading.within("constraint", constraint_name, owner),)
            reading.objects["pg_class", oid] = reading.within("index", name, owner, belongs_to)
            continue
        reading.objects["pg_class", oid] = reading.within("index", name, owner)
        definitions[oid] = " ".join(filter(None, [definition, settings]))
        if parent:
            parents[oid] = parent
    for oid, definition in definitions.items():
        fact = reading.objects["pg_class", oid]
        if oid in parents and ("pg_class", parents[oid]) in reading.objects:
            fact = Fact(fact.kind, fact.identity, (*fact.of, reading.objects["pg_class", parents[oid]]))
        reading.add("pg_class", oid, fact, definition)


CONSTRAINTS = """
    SELECT o.oid, o.conrelid, o.contypid, o.conname, o.contype = 'n', parent.conname, parent.conrelid,
        CASE WHEN o.contype <> 'n' THEN concat_ws(' ',
            pg_get_constraintdef(o.oid, true),
            CASE WHEN o.contype = 'f' AND EXISTS (
                SELECT FROM pg_trigger AS t WHERE t.tgconstraint = o.oid AND t.tgenabled <> 'O'
            ) THEN '(its triggers are disabled)' END) END,
        o.conrelid <> 0 AND NOT o.conislocal
    FROM pg_constraint AS o
    LEFT JOIN pg_constraint AS parent ON parent.oid = NULLIF(o.conparentid, 0)
    WHERE (o.conrelid = ANY (%(relations)s::oid[]) OR o.contypid = ANY (%(types)s::oid[]))
      AND o.contype IN ('c', 'f', 'p', 'u', 'x', 'n')
      AND NOT (o.contype = 'f' AND o.conparentid <> 0)
"""


def _constraints(reading: _Reading) -> None:
    for oid, table, domain, name, is_not_null, parent, parent_table, definition, is_inherited in reading.rows(
        CONSTRAINTS, relations=reading.relations, types=reading.types
    ):
        owner = reading.objects["pg_class", table] if table else reading.objects["pg_type", domain]
        above = [reading.within("constraint", name, inherited) for inherited in reading.inherited(table)]
        if parent and ("pg_class", parent_table) in reading.objects:
            above.append(reading.within("constraint", parent, reading.objects["pg_class", parent_table]))
        fact = reading.within("constraint", name, owner, above)
        if is_not_null:
            reading.objects["pg_constraint", oid] = fact
            continue
        definition = " ".join(filter(None, [definition, reading.index_settings.get(oid)]))
        reading.add("pg_constraint", oid, fact, definition + (INHERITED if is_inherited else ""))


FUNCTIONS = """
    SELECT p.oid, p.pronamespace, p.proname, oidvectortypes(p.proargtypes),
        CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END,
        CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE (
            SELECT concat_ws(' ',
                pg_get_function_arguments(p.oid),
                'RETURNS', format_type(p.prorettype, NULL),
                'KIND', a.aggkind, 'DIRECT', a.aggnumdirectargs,
                'SFUNC', a.aggtransfn::regprocedure, 'STYPE', format_type(a.aggtranstype, NULL),
                'SSPACE', a.aggtransspace,
                'FINALFUNC ' || NULLIF(a.aggfinalfn::oid, 0)::regprocedure, a.aggfinalextra, a.aggfinalmodify,
                'COMBINEFUNC ' || NULLIF(a.aggcombinefn::oid, 0)::regprocedure,
                'SERIALFUNC ' || NULLIF(a.aggserialfn::oid, 0)::regprocedure,
                'DESERIALFUNC ' || NULLIF(a.aggdeserialfn::oid, 0)::regprocedure,
                'INITCOND ' || quote_literal(a.agginitval),
                'MSFUNC ' || NULLIF(a.aggmtransfn::oid, 0)::regprocedure,
                'MINVFUNC ' || NULLIF(a.aggminvtransfn::oid, 0)::regprocedure,
                'MSTYPE ' || format_type(NULLIF(a.aggmtranstype, 0), NULL), 'MSSPACE', a.aggmtransspace,
                'MFINALFUNC ' || NULLIF(a.aggmfinalfn::oid, 0)::regprocedure, a.aggmfinalextra, a.aggmfinalmodify,
                'MINITCOND ' || quote_literal(a.aggminitval),
                'SORTOP ' || NULLIF(a.aggsortop, 0)::regoperator,
                'PARALLEL', p.proparallel)
            FROM pg_aggregate AS a WHERE a.aggfnoid = p.oid
        ) END
    FROM pg_proc AS p
    WHERE p.pronamespace = ANY (%(schemas)s::oid[])
      AND p.oid <> ALL (%(members)s::oid[])
      -- a range type brings constructors that nobody wrote
      AND NOT EXISTS (
          SELECT FROM pg_depend AS d
          WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i'
            AND d.refclassid = 'pg_type'::regclass
      )
"""


def _functions(reading: _Reading) -> None:
    for oid, schema, name, arguments, kind, definition in reading.rows(
        FUNCTIONS,
        schemas=list(reading.schemas),
        members=reading.members.get("pg_proc", []),
    ):
        reading.add("pg_proc", oid, Fact(kind, f"{reading.name(schema, name)}({arguments})"), definition)


TRIGGERS = """
    SELECT t.oid, t.tgrelid, t.tgname, parent.tgname, parent.tgrelid,
        pg_get_triggerdef(t.oid)
        || CASE t.tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ' DISABLED' WHEN 'R' THEN ' ENABLED REPLICA'
                            ELSE ' ENABLED ALWAYS' END
    FROM pg_trigger AS t
    LEFT JOIN pg_trigger AS parent ON parent.oid = NULLIF(t.tgparentid, 0)
    WHERE t.tgrelid = ANY (%(relations)s::oid[])
      AND (NOT t.tgisinternal OR NOT parent.tgisinternal)
"""


def _triggers(reading: _Reading) -> None:
    for oid, table, name, parent, parent_table, definition in reading.rows(TRIGGERS, relations=reading.relations):
        owner = reading.objects["pg_class", table]
        above = []
        if parent and ("pg_class", parent_table) in reading.objects:
            above.append(reading.within("trigger", parent, reading.objects["pg_class", parent_table]))
        reading.add("pg_trigger", oid, reading.within("trigger", name, owner, above), definition)


RULES = """
    SELECT r.oid, r.ev_class, r.rulename,
        pg_get_ruledef(r.oid)
        || CASE r.ev_enabled WHEN 'O' THEN '' WHEN 'D' THEN ' DISABLED' WHEN 'R' THEN ' ENABLED REPLICA'
                             ELSE ' ENABLED ALWAYS' END
    FROM pg_rewrite AS r
    WHERE r.ev_class = ANY (%(relations)s::oid[]) AND r.rulename <> '_RETURN'
"""


def _rules(reading: _Reading) -> None:
    for oid, table, name, definition in reading.rows(RULES, relations=reading.relations):
        reading.add("pg_rewrite", oid, reading.within("rule", name, reading.objects["pg_class", table]), definition)


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


def _policies(reading: _Reading) -> None:
    for oid, table, name, definition in reading.rows(POLICIES, relations=reading.relations):
        reading.add("pg_policy", oid, reading.within("policy", name, reading.objects["pg_class", table]), definition)


STATISTICS = """
    SELECT s.oid, s.stxrelid, s.stxnamespace, s.stxname,
        pg_get_statisticsobjdef(s.oid) || coalesce(' STATISTICS ' || NULLIF(s.stxstattarget, -1), '')
    FROM pg_statistic_ext AS s
    WHERE s.stxrelid = ANY (%(relations)s::oid[])
"""


def _statistics(reading: _Reading) -> None:
    for oid, table, schema, name, definition in reading.rows(STATISTICS, relations=reading.relations):
        owner = reading.objects["pg_class", table]
        reading.add("pg_statistic_ext", oid, Fact("statistics", reading.name(schema, name), (owner,)), definition)


# Most databases have none of these. A row: OID, schema or NULL, name, what follows the name unquoted, kind, definition
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
      -- a range type brings one that nobody wrote
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
COLLATIONS = """
    SELECT c.oid, s.nspname, c.collname, NULL, 'collation',
        concat_ws(' ',
            'PROVIDER', c.collprovider, 'ENCODING', c.collencoding,
            'LC_COLLATE ' || c.collcollate, 'LC_CTYPE ' || c.collctype/*locale*//*rules*/,
            CASE WHEN NOT c.collisdeterministic THEN 'NOT DETERMINISTIC' END)
    FROM pg_collation AS c
    JOIN pg_namespace AS s ON s.oid = c.collnamespace

    WHERE c.oid = ANY (%(oids)s::oid[])
"""
CONVERSIONS = """
    SELECT c.oid, s.nspname, c.conname, NULL, 'conversion',
        concat_ws(' ',
            CASE WHEN c.condefault THEN 'DEFAULT' END, 'FOR', pg_encoding_to_char(c.conforencoding),
            'TO', pg_encoding_to_char(c.contoencoding), 'FROM', c.conproc::regproc)
    FROM pg_conversion AS c
    JOIN pg_namespace AS s ON s.oid = c.connamespace

    WHERE c.oid = ANY (%(oids)s::oid[])
"""
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
# options may hold passwords, and are seen by those who read a report
FOREIGN_DATA_WRAPPERS = """
    SELECT w.oid, NULL, w.fdwname, NULL, 'foreign-data wrapper',
        concat_ws(' ',
            'HANDLER ' || NULLIF(w.fdwhandler, 0)::regproc, 'VALIDATOR ' || NULLIF(w.fdwvalidator, 0)::regproc,
            'OPTIONS (' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(w.fdwoptions) AS o
                            WHERE o !~* '^[^=]*(pass|secret|token|key)') || ')')
    FROM pg_foreign_data_wrapper AS w

    WHERE w.oid = ANY (%(oids)s::oid[])
"""
FOREIGN_SERVERS = """
    SELECT s.oid, NULL, s.srvname, NULL, 'server',
        concat_ws(' ',
            'TYPE ' || s.srvtype, 'VERSION ' || s.srvversion, 'FOREIGN DATA WRAPPER', quote_ident(w.fdwname),
            'OPTIONS (' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(s.srvoptions) AS o
                            WHERE o !~* '^[^=]*(pass|secret|token|key)') || ')')
    FROM pg_foreign_server AS s
    JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw

    WHERE s.oid = ANY (%(oids)s::oid[])
"""
USER_MAPPINGS = """
    SELECT m.umid, NULL, NULL, 'for ' || m.usename || ' on ' || m.srvname, 'user mapping',
        'OPTIONS (' || (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(m.umoptions) AS o
                        WHERE o !~* '^[^=]*(pass|secret|token|key)') || ')'
    FROM pg_user_mappings AS m
    WHERE m.srvid = ANY (%(oids)s::oid[])
"""
PUBLICATIONS = """
    SELECT p.oid, NULL, p.pubname, NULL, 'publication',
        concat_ws(' ',
            CASE WHEN p.puballtables THEN 'FOR ALL TABLES' END,
            'FOR TABLE ' || (
                SELECT string_agg(concat_ws(' ', r.prrelid::regclass/*part*/), ', ' ORDER BY r.prrelid::regclass::text)
                FROM pg_publication_rel AS r
                WHERE r.prpubid = p.oid AND r.prrelid = ANY (%(relations)s::oid[])
            )/*schemas*/,
            'PUBLISH',
            CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
            CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END,
            CASE WHEN p.pubviaroot THEN 'VIA ROOT' END/*generated*/)
    FROM pg_publication AS p

    WHERE p.oid = ANY (%(oids)s::oid[])
"""
PUBLISHED_PART = """,
                    '(' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname) FROM pg_attribute AS a
                            WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)) || ')',
                    'WHERE ' || pg_get_expr(r.prqual, r.prrelid)"""
PUBLISHED_SCHEMAS = """,
            'FOR TABLES IN SCHEMA ' || (
                SELECT string_agg(n.pnnspid::regnamespace::text, ', ' ORDER BY n.pnnspid::regnamespace::text)
                FROM pg_publication_namespace AS n WHERE n.pnpubid = p.oid
            )"""
PUBLISHED_GENERATED = ", CASE WHEN p.pubgencols <> 'n' THEN 'GENERATED COLUMNS STORED' END"
DEFAULT_PRIVILEGES = """
    SELECT d.oid, NULL, NULL,
        concat_ws(' ',
            'for', CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
                                        WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END,
            'of', pg_get_userbyid(d.defaclrole), 'in ' || NULLIF(d.defaclnamespace, 0)::regnamespace),
        'default privileges', NULL
    FROM pg_default_acl AS d
"""
RARE = {
    "pg_cast": CASTS,
    "pg_operator": OPERATORS,
    "pg_opclass": OPERATOR_CLASSES,
    "pg_opfamily": OPERATOR_FAMILIES,
    "pg_collation": COLLATIONS,
    "pg_conversion": CONVERSIONS,
    "pg_ts_config": TEXT_SEARCH_CONFIGURATIONS,
    "pg_ts_dict": TEXT_SEARCH_DICTIONARIES,
    "pg_language": LANGUAGES,
    "pg_transform": TRANSFORMS,
    "pg_am": ACCESS_METHODS,
    "pg_event_trigger": EVENT_TRIGGERS,
    "pg_foreign_data_wrapper": FOREIGN_DATA_WRAPPERS,
    "pg_foreign_server": FOREIGN_SERVERS,
    "pg_publication": PUBLICATIONS,
    "pg_default_acl": DEFAULT_PRIVILEGES,
}


def _rare_objects(reading: _Reading) -> None:
    every = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, oid FROM {} WHERE oid >= {}").format(
            catalog, sql.Identifier(catalog), sql.Literal(FIRST_NORMAL_OID)
        )
        for catalog in RARE
    )
    found: dict[str, list[int]] = {}
    for catalog, oid in reading.cursor.execute(every).fetchall():
        if oid not in reading.members.get(catalog, ()):
            found.setdefault(catalog, []).append(oid)
    for catalog, oids in found.items():
        _rare_objects_of(reading, catalog, _for_version(reading, RARE[catalog]), oids)
    if "pg_foreign_server" in found:
        _rare_objects_of(reading, "pg_user_mapping", USER_MAPPINGS, found["pg_foreign_server"])


def _for_version(reading: _Reading, query: str) -> str:
    query = reading.since(15, query, part=(PUBLISHED_PART, ""), schemas=(PUBLISHED_SCHEMAS, ""))
    query = reading.since(15, query, locale=(", 'LOCALE ' || c./*name*/", ""))
    query = reading.since(16, query, rules=(", 'RULES ' || c.collicurules", ""))
    query = reading.since(17, query, name=("colllocale", "colliculocale"))
    return reading.since(18, query, generated=(PUBLISHED_GENERATED, ""))


def _rare_objects_of(reading: _Reading, catalog: str, query: str, oids: list[int]) -> None:
    schemas = {None, *reading.schemas.values()}
    parameters = {"relations": reading.relations} if "%(relations)s" in query else {}
    for oid, schema, name, rest, kind, definition in reading.rows(query, oids=oids, **parameters):
        if schema not in schemas:
            continue
        prefix = f"{_quoted(schema)}." if schema not in (None, "public") else ""
        named = _quoted(name) if name is not None else ""
        fact = Fact(kind, f"{prefix}{named}{rest or ''}")
        reading.objects[catalog, oid] = fact
        if kind != "default privileges":
            reading.facts[fact] = definition or PLAIN


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


def _grants(reading: _Reading) -> None:
    """What each role has that it does not have from the start; "none" where it lost that."""
    for catalog, oid, column, grantee, privileges in reading.rows(
        GRANTS, relations=reading.relations, schemas=list(reading.schemas)
    ):
        fact = reading.objects.get((catalog, oid))
        if fact is None:
            continue
        if catalog == "pg_default_acl":
            reading.facts[Fact(fact.kind, f"{fact.identity} to {_quoted(grantee)}")] = privileges or "none"
            continue
        fact = reading.column(oid, column) if column is not None else fact
        identity = f"{fact.identity} to {_quoted(grantee)}"
        reading.facts[Fact(f"grants on {fact.kind}", identity, (fact, *fact.of))] = privileges or "none"


# initdb's own objects have comments too; of these only schema public can be a user's
COMMENTS = """
    SELECT d.classoid::regclass::text, d.objoid, a.attname, quote_literal(d.description)
    FROM pg_description AS d
    LEFT JOIN pg_attribute AS a
        ON d.classoid = 'pg_class'::regclass AND d.objsubid > 0 AND a.attrelid = d.objoid AND a.attnum = d.objsubid
    WHERE d.objoid >= %(first)s OR d.classoid = 'pg_namespace'::regclass
"""


def _comments(reading: _Reading) -> None:
    for catalog, oid, column, comment in reading.rows(COMMENTS, first=FIRST_NORMAL_OID):
        fact = reading.objects.get((catalog, oid))
        if fact is None:
            continue
        fact = reading.column(oid, column) if column is not None else fact
        reading.facts[Fact(f"comment on {fact.kind}", fact.identity, (fact, *fact.of))] = comment
