"""The schema objects that are not tables, and the privileges: as the catalog has them, and how they changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from dbkit.trace.prepared_queries import PreparedQueries
from dbkit.trace.records import Change, ChangeKind

# xmin differs between transactions, cmin between the commands of one: not their sum, the next transaction has fewer
# commands
WRITTEN = "(hashint8extended(xmin::text::bigint, cmin::text::bigint) >> 16)"
ROW = f"oid::bigint * 31 + {WRITTEN}"
# One number for each of OBJECTS and one for PRIVILEGES, which changes whenever their rows do. It is read after each
# statement, so it is made of plain index scans, without the objects of the system.
VERSIONS = f"""
SELECT
    (SELECT sum({ROW} + coalesce((SELECT sum({WRITTEN})
            FROM pg_attribute WHERE attrelid = c.oid AND relkind <> 'S' AND attnum > 0), 0)
            + coalesce((SELECT {WRITTEN} FROM pg_sequence WHERE seqrelid = c.oid), 0))
        FROM pg_class AS c WHERE oid >= 16384 AND relkind IN ('v', 'S', 'c')),
    (SELECT sum({ROW}) FROM pg_proc WHERE oid >= 16384),
    (SELECT sum({ROW}) FROM pg_type WHERE oid >= 16384 AND typtype IN ('e', 'd', 'r'))
        + coalesce((SELECT sum({ROW}) FROM pg_enum WHERE oid >= 16384), 0),
    (SELECT sum({ROW}) FROM pg_namespace),
    (SELECT sum({ROW}) FROM pg_extension),
    (SELECT sum({ROW}) FROM pg_publication)
        + coalesce((SELECT sum(oid::bigint * 31) FROM pg_publication_rel), 0),
    coalesce((SELECT sum(hashtext(oid || relacl::text)::bigint) FROM pg_class
            WHERE oid >= 16384 AND relacl IS NOT NULL), 0)
        + coalesce((SELECT sum(hashtext(attrelid || attacl::text)::bigint) FROM pg_attribute
            WHERE attrelid >= 16384 AND attacl IS NOT NULL), 0)
        + coalesce((SELECT sum(hashtext(oid || proacl::text)::bigint) FROM pg_proc
            WHERE oid >= 16384 AND proacl IS NOT NULL), 0)
        + coalesce((SELECT sum(hashtext(oid || typacl::text)::bigint) FROM pg_type
            WHERE oid >= 16384 AND typacl IS NOT NULL), 0)
        + coalesce((SELECT sum(hashtext(oid || nspacl::text)::bigint) FROM pg_namespace WHERE nspacl IS NOT NULL), 0)
        + coalesce((SELECT sum(hashtext(oid || datacl::text)::bigint) FROM pg_database
            WHERE datname = current_database()), 0)
        + coalesce((SELECT sum(hashtext(oid || defaclacl::text)::bigint) FROM pg_default_acl), 0)
"""  # noqa: S608

NOT_OF_EXTENSION = """
NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = '{table}'::regclass AND d.objid = o.oid AND d.deptype = 'e')
"""
# The OID, and the fields of a CatalogObject
OBJECTS = (
    f"""
SELECT o.oid, CASE relkind WHEN 'v' THEN 'view' WHEN 'c' THEN 'composite type' WHEN 'S' THEN
        CASE WHEN EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = o.oid
            AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
        THEN 'sequence of a column' ELSE 'sequence' END END,
    relnamespace, nspname, relname, o.oid::regclass::text,
    ARRAY(SELECT attname FROM pg_attribute
        WHERE attrelid = o.oid AND attnum > 0 AND NOT attisdropped AND relkind <> 'S' ORDER BY attnum)::text[], '',
    CASE relkind WHEN 'S' THEN ARRAY(SELECT 'limit ' || seqmax FROM pg_sequence WHERE seqrelid = o.oid)
        ELSE ARRAY(SELECT 'security_invoker' FROM unnest(reloptions) AS option
            WHERE option ~* '^security_invoker=(t|y|on|1)') END
FROM pg_class AS o JOIN pg_namespace AS n ON n.oid = relnamespace
WHERE relkind IN ('v', 'S', 'c') AND relpersistence <> 't' AND o.oid >= 16384
    AND {NOT_OF_EXTENSION.format(table="pg_class")}
""",  # noqa: S608
    f"""
SELECT o.oid, CASE WHEN prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) THEN 'trigger function'
        WHEN prokind = 'p' THEN 'procedure' WHEN prokind = 'a' THEN 'aggregate' ELSE 'function' END,
    pronamespace, nspname, proname, o.oid::regprocedure::text,
    ARRAY(SELECT format('%s.%s(%s)', nspname, proname, array_to_string(ARRAY(
            SELECT format_type(t, NULL) FROM unnest(proargtypes::oid[]) WITH ORDINALITY AS a (t, i)
            WHERE i <= pronargs - omitted ORDER BY i), ', '))
        FROM generate_series(0, pronargdefaults) AS omitted), prosrc,
    ARRAY(SELECT 'security definer'
        WHERE prosecdef AND NOT coalesce(array_to_string(proconfig, ',') ~ 'search_path=', false))
FROM pg_proc AS o JOIN pg_namespace AS n ON n.oid = pronamespace
WHERE o.oid >= 16384 AND nspname NOT LIKE 'pg\\_temp%' AND {NOT_OF_EXTENSION.format(table="pg_proc")}
""",  # noqa: S608
    f"""
SELECT o.oid, CASE typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' ELSE 'range type' END,
    typnamespace, nspname, typname, o.oid::regtype::text,
    ARRAY(SELECT oid || ' ' || enumlabel FROM pg_enum WHERE enumtypid = o.oid ORDER BY enumsortorder), '',
    '{{}}'::text[]
FROM pg_type AS o JOIN pg_namespace AS n ON n.oid = typnamespace
WHERE o.oid >= 16384 AND typtype IN ('e', 'd', 'r') AND {NOT_OF_EXTENSION.format(table="pg_type")}
""",  # noqa: S608
    """
SELECT oid, 'schema', oid, '', nspname, nspname, '{}'::text[], '', '{}'::text[] FROM pg_namespace
WHERE (oid >= 16384 OR nspname = 'public') AND nspname !~ '^pg_(toast|temp)'
""",
    """
SELECT oid, 'extension', extnamespace, '', extname, extname, '{}'::text[], '', '{}'::text[] FROM pg_extension
WHERE oid >= 16384
""",
    """
SELECT oid, 'publication', 0, '', pubname, pubname,
    ARRAY(SELECT nspname || '.' || relname FROM pg_publication_rel
        JOIN pg_class AS c ON c.oid = prrelid JOIN pg_namespace AS n ON n.oid = relnamespace WHERE prpubid = p.oid),
    '', '{}'::text[]
FROM pg_publication AS p
""",
)
SCHEMAS = 3
"""Their place in OBJECTS."""
# Only objects whose privileges were changed; the others have the default ones
PRIVILEGES = """
SELECT kind, oid, sub, name,
    ARRAY(SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END || ': ' || privilege_type
        FROM aclexplode(acl)),
    ARRAY(SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END || ': ' || privilege_type
        FROM aclexplode(standard))
FROM (
    SELECT CASE relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' ELSE 'table' END, oid, 0, oid::regclass::text,
        relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, relowner)
    FROM pg_class WHERE oid >= 16384 AND relacl IS NOT NULL AND relpersistence <> 't'
    UNION ALL
    SELECT 'column', attrelid, attnum, attrelid::regclass::text || '.' || attname, attacl, acldefault('c', 10)
    FROM pg_attribute WHERE attrelid >= 16384 AND attacl IS NOT NULL AND NOT attisdropped
    UNION ALL
    SELECT 'function', oid, 0, oid::regprocedure::text, proacl, acldefault('f', proowner)
    FROM pg_proc WHERE oid >= 16384 AND proacl IS NOT NULL
    UNION ALL
    SELECT 'type', oid, 0, oid::regtype::text, typacl, acldefault('T', typowner)
    FROM pg_type WHERE oid >= 16384 AND typacl IS NOT NULL
    UNION ALL
    SELECT 'schema', oid, 0, nspname, nspacl, acldefault('n', nspowner)
    FROM pg_namespace WHERE nspacl IS NOT NULL AND (oid >= 16384 OR nspname = 'public')
    UNION ALL
    SELECT 'database', oid, 0, datname, datacl, acldefault('d', datdba)
    FROM pg_database WHERE datname = current_database() AND datacl IS NOT NULL
    UNION ALL
    SELECT 'default privileges', oid, 0, 'objects to come of ' || defaclrole::regrole, defaclacl,
        CASE WHEN defaclnamespace <> 0 THEN acldefault('c', 10)
            ELSE acldefault(CASE defaclobjtype WHEN 'S' THEN 's' ELSE defaclobjtype END, defaclrole) END
    FROM pg_default_acl
) AS o (kind, oid, sub, name, acl, standard)
"""
WITH_LABELS = "enum"
WITH_COLUMNS = ("view", "composite type", "publication")
WITHOUT_ENTRY = ("column", "default privileges")
"""The kinds that have no entry where nothing differs from the standard."""


class CatalogObject(NamedTuple):
    """A schema object that is no table."""

    kind: str
    """As people name it: view, function, trigger function, enum, schema…"""
    schema: int
    """Its OID."""
    schema_name: str
    name: str
    shown: str
    """The name, schema-qualified where it is not in the search path; of a function with its arguments."""
    words: tuple[str, ...]
    """The columns of a view, the labels of an enum with their OIDs, the signatures of a function, the tables of a
    publication."""
    source: str
    """Of a function."""
    options: tuple[str, ...]
    """What it is set to that decides who may use it, and how long."""


class Privileges(NamedTuple):
    """The privileges on an object, each as `role: SELECT`."""

    name: str
    granted: frozenset[str]
    standard: frozenset[str]
    """Those that it had without any GRANT or REVOKE."""


Versions = tuple[int | None, ...]


@dataclass(frozen=True)
class CatalogObjects:
    """The objects of a database, and their privileges."""

    versions: Versions = ()
    objects: tuple[Mapping[int, CatalogObject], ...] = ({},) * len(OBJECTS)
    """By OID, in the order of OBJECTS."""
    privileges: Mapping[tuple[str, int, int], Privileges] = field(default_factory=dict)
    """By kind, OID and number of a column."""

    @property
    def schemas(self) -> Mapping[int, CatalogObject]:
        """Return the schemas, by OID."""
        return self.objects[SCHEMAS]

    @property
    def names(self) -> set[str]:
        """Return the names of all objects, as they are shown."""
        return {each.shown for group in self.objects for each in group.values()}


def read_catalog_objects(queries: PreparedQueries, earlier: CatalogObjects) -> CatalogObjects:
    """Read the objects and the privileges, without those that have not changed since an earlier reading."""
    (row,) = queries.read("object_versions", VERSIONS)
    versions = tuple(row)
    if versions == earlier.versions:
        return earlier
    was = earlier.versions or (object(),) * len(versions)
    objects = tuple(
        _read_objects(queries, number, query) if versions[number] != was[number] else earlier.objects[number]
        for number, query in enumerate(OBJECTS)
    )
    privileges = _read_privileges(queries) if versions[-1] != was[-1] else earlier.privileges
    return CatalogObjects(versions, objects, privileges)


def _read_objects(queries: PreparedQueries, number: int, query: str) -> dict[int, CatalogObject]:
    return {
        oid: CatalogObject(kind, schema, schema_name, name, shown, tuple(words), source, tuple(options))
        for oid, kind, schema, schema_name, name, shown, words, source, options in queries.read(
            f"objects_{number}", query
        )
    }


def _read_privileges(queries: PreparedQueries) -> dict[tuple[str, int, int], Privileges]:
    return {
        (kind, oid, sub): Privileges(name, frozenset(granted), frozenset(standard))
        for kind, oid, sub, name, granted, standard in queries.read("privileges", PRIVILEGES)
    }


def find_renamed_schemas(was: CatalogObjects, now: CatalogObjects) -> set[int]:
    """Return the OIDs of the schemas that have another name."""
    return {oid for oid, each in now.schemas.items() if oid in was.schemas and was.schemas[oid].name != each.name}


def compare_objects(was: CatalogObjects, now: CatalogObjects) -> Iterator[Change]:
    """Yield the changes to objects and to their privileges."""
    if was is now:
        return
    for before, after in zip(was.objects, now.objects, strict=True):
        for oid in before.keys() | after.keys() if before is not after else ():
            yield from _compare_object(before.get(oid), after.get(oid))
    yield from _compare_privileges(was, now)


def _compare_object(was: CatalogObject | None, now: CatalogObject | None) -> Iterator[Change]:
    if was == now:
        return
    if was is None and now is not None:
        yield Change(ChangeKind.OBJECT_CREATED, now.shown, kind=now.kind, columns=_plain_words(now))
        yield from (Change(ChangeKind.OPTION_SET, now.shown, option, now.kind) for option in now.options)
    elif now is None and was is not None:
        yield Change(ChangeKind.OBJECT_DROPPED, was.shown, kind=was.kind, columns=_plain_words(was))
    elif was is not None and now is not None:
        yield from _compare_definition(was, now)


def _compare_definition(was: CatalogObject, now: CatalogObject) -> Iterator[Change]:
    if (was.name, was.schema) != (now.name, now.schema):
        yield Change(ChangeKind.OBJECT_RENAMED, was.shown, kind=was.kind, before=was.shown, after=now.shown)
    if was.kind == WITH_LABELS:
        yield from _compare_labels(was, now)
    elif was.kind in WITH_COLUMNS and set(was.words) - set(now.words):
        lost = tuple(word for word in was.words if word not in now.words)
        yield Change(ChangeKind.OBJECT_CHANGED, now.shown, kind=now.kind, columns=lost)
    for option in now.options:
        if option not in was.options:
            before = was.options[0] if was.options else ""
            yield Change(ChangeKind.OPTION_SET, now.shown, option, now.kind, before=before, after=option)
    if was.source != now.source:
        yield Change(ChangeKind.OBJECT_CHANGED, now.shown, kind=now.kind, before=was.source, after=now.source)


def _plain_words(each: CatalogObject) -> tuple[str, ...]:
    return tuple(word.partition(" ")[2] for word in each.words) if each.kind == WITH_LABELS else each.words


def _compare_labels(was: CatalogObject, now: CatalogObject) -> Iterator[Change]:
    before, after = (dict(word.split(" ", 1) for word in each.words) for each in (was, now))
    for oid, label in before.items():
        if oid not in after or after[oid] != label:
            yield Change(ChangeKind.LABEL_RENAMED, now.shown, label, "enum", label, after.get(oid, ""))
    for oid, label in after.items():
        if oid not in before:
            yield Change(ChangeKind.LABEL_ADDED, now.shown, label, "enum", after=label)


def _compare_privileges(was: CatalogObjects, now: CatalogObjects) -> Iterator[Change]:
    if was.privileges is now.privileges:
        return
    without = {key: each for key, each in was.privileges.items() if key[0] in WITHOUT_ENTRY} | dict(now.privileges)
    for key, known in without.items():
        had, has = (side.privileges[key].granted if key in side.privileges else known.standard for side in (was, now))
        for kind, changed in ((ChangeKind.PRIVILEGE_REVOKED, had - has), (ChangeKind.PRIVILEGE_GRANTED, has - had)):
            if changed:
                yield Change(kind, known.name, kind=key[0], columns=tuple(sorted(changed)))
