"""What a transaction has touched so far, as a short text per object: the quick way to see that two states are equal.

`catalog.py` reads a whole schema and says what differs; on a large one that takes 20 to 40 ms. A migration touches a
table or two. What it touched is what its transaction holds a strong lock on (`pg_locks`), and what the server counts
as written in its system tables (`pg_stat_get_xact_tuples_*`); so only that is read, whatever the size of the schema.

The rule is one-sided: equal fingerprints mean equal facts. Where fingerprints differ, or something was written that
they do not cover, `catalog.py` has the last word. tests/postgres/test_fingerprint.py holds the two against each other.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from psycopg import OperationalError, pq

from dbkit.catalog import FIRST_NORMAL_OID

# With OIDs: two that have changed their names look the same, and what depends on them is told by name and not read.
# What is read of each of these is one text; it is read only when the server counts a change.
COMMON = {
    "pg_type": """
        SELECT array_agg(ROW(t.oid, t.oid::regtype, t.typtype, t.typisdefined, format_type(t.typbasetype, t.typtypmod),
            NULLIF(t.typcollation, 0)::regcollation, t.typnotnull, t.typdefault, t.typacl)::text
            ORDER BY t.oid::regtype)
        FROM pg_type AS t
        WHERE t.oid >= {first} AND t.typrelid = 0 AND (t.typelem = 0 OR t.typcategory <> 'A')
    """,
    "pg_enum": """
        SELECT array_agg(ROW(e.enumtypid::regtype, e.enumlabel)::text ORDER BY e.enumtypid::regtype, e.enumsortorder)
        FROM pg_enum AS e
    """,
    # of domains; a table's are with the table
    "pg_constraint": """
        SELECT array_agg(ROW(o.contypid::regtype, o.conname, pg_get_constraintdef(o.oid), o.convalidated)::text
                         ORDER BY o.contypid::regtype, o.conname)
        FROM pg_constraint AS o
        WHERE o.contypid > 0
    """,
    "pg_proc": """
        SELECT array_agg(ROW(p.oid, p.oid::regprocedure, p.proacl,
                             CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END)::text
                         ORDER BY p.oid::regprocedure::text)
        FROM pg_proc AS p
        WHERE p.oid >= {first} AND NOT EXISTS (
            SELECT FROM pg_depend AS d
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i')
        )
    """,
    # of anything but tables, columns and indexes; a table's are with the table
    "pg_description": """
        SELECT array_agg(ROW(pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description)::text
                         ORDER BY pg_describe_object(d.classoid, d.objoid, d.objsubid))
        FROM pg_description AS d
        WHERE (d.objoid >= {first} OR d.classoid = 'pg_namespace'::regclass) AND d.classoid <> 'pg_class'::regclass
    """,
    "pg_statistic_ext": """
        SELECT array_agg(ROW(pg_get_statisticsobjdef(s.oid), s.stxstattarget)::text
                         ORDER BY s.stxnamespace::regnamespace, s.stxname)
        FROM pg_statistic_ext AS s
    """,
}
# Written by few migrations. Where one of these changed, only the whole catalog is trusted.
RARE = (
    *("pg_aggregate", "pg_am", "pg_amop", "pg_amproc", "pg_cast", "pg_collation", "pg_conversion", "pg_default_acl"),
    *("pg_event_trigger", "pg_extension", "pg_foreign_data_wrapper", "pg_foreign_server", "pg_foreign_table"),
    *("pg_language", "pg_largeobject_metadata", "pg_namespace", "pg_opclass", "pg_operator", "pg_opfamily"),
    *("pg_publication", "pg_publication_namespace", "pg_publication_rel", "pg_range", "pg_seclabel"),
    *("pg_subscription", "pg_transform", "pg_ts_config", "pg_ts_config_map", "pg_ts_dict", "pg_ts_parser"),
    *("pg_ts_template", "pg_user_mapping"),
    # of the whole server
    *("pg_auth_members", "pg_authid", "pg_database", "pg_db_role_setting", "pg_parameter_acl", "pg_tablespace"),
)

# What this transaction has locked, not by reading: OID, and whether it is the lock of a writer of rows
HELD = """
    SELECT json_agg(ARRAY[l.relation::bigint, (l.mode = 'RowExclusiveLock')::int])
    FROM pg_locks AS l
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.relation >= {first}
      AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
"""
LOOK = "SELECT array_to_json(ARRAY[{counters}]), current_setting('search_path'), ({held})"
BEGIN = "SELECT pg_current_xact_id()::xid, array_to_json(ARRAY[{counters}])"
# What is written without a strong lock on the relation: GRANT does, and whoever updates the system's tables by hand
WRITTEN = {
    "pg_class": """
        SELECT oid FROM pg_class
        WHERE oid >= {first} AND relkind NOT IN ('i', 'I', 't') AND age(xmin) <= age($1::xid)
    """,
    "pg_attribute": "SELECT attrelid FROM pg_attribute WHERE attrelid >= {first} AND age(xmin) <= age($1::xid)",
    "pg_index": "SELECT indrelid FROM pg_index WHERE indrelid >= {first} AND age(xmin) <= age($1::xid)",
    "pg_constraint": "SELECT conrelid FROM pg_constraint WHERE conrelid >= {first} AND age(xmin) <= age($1::xid)",
    "pg_trigger": "SELECT tgrelid FROM pg_trigger WHERE tgrelid >= {first} AND age(xmin) <= age($1::xid)",
}
EVERY = "SELECT oid FROM pg_class WHERE oid >= {first} AND relkind NOT IN ('i', 'I', 't')"
# an index is told with its table
RELATIONS = """
    SELECT c.oid, c.relnamespace::regnamespace::text || '.' || quote_ident(c.relname), {relation}
    FROM pg_class AS c
    WHERE c.oid = ANY (ARRAY(
              SELECT coalesce(x.indrelid, o.oid)
              FROM unnest($1::oid[]) AS o (oid)
              LEFT JOIN pg_index AS x ON x.indexrelid = o.oid))
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
"""
RELATION = """
    md5(ROW(
        c.relkind, c.relpersistence, c.reloptions, c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.relacl,
        NULLIF(c.reloftype, 0)::regtype, NULLIF(c.relam, 0), NULLIF(c.reltablespace, 0), c.relispartition,
        CASE WHEN c.reltoastrelid <> 0 THEN (SELECT t.reloptions FROM pg_class AS t WHERE t.oid = c.reltoastrelid) END,
        CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
        CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END,
        CASE WHEN c.relkind IN ('v', 'm') THEN ROW(pg_get_viewdef(c.oid), c.relispopulated) END,
        (SELECT array_agg(i.inhparent::regclass ORDER BY i.inhseqno) FROM pg_inherits AS i WHERE i.inhrelid = c.oid),
        CASE WHEN c.relkind = 'S' THEN (
            SELECT ROW(s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle,
                (SELECT array_agg(ROW(d.deptype, d.refobjid::regclass, a.attname))
                 FROM pg_depend AS d
                 LEFT JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                 WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
                   AND d.deptype IN ('a', 'i')))
            FROM pg_sequence AS s WHERE s.seqrelid = c.oid) END,
        (SELECT array_agg(ROW(
                a.attname, format_type(a.atttypid, a.atttypmod), NULLIF(a.attcollation, 0)::regcollation, a.attnotnull,
                a.attidentity, a.attgenerated, a.attstorage, {compression}, a.attstattarget, {options}, a.attacl,
                a.attfdwoptions, a.attislocal, a.attinhcount,
                CASE WHEN a.atthasdef THEN (
                    SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d
                    WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) END) ORDER BY a.attnum)
         FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
        (SELECT array_agg(ROW(a.attname, d.description) ORDER BY d.objsubid)
         FROM pg_description AS d
         LEFT JOIN pg_attribute AS a ON a.attrelid = d.objoid AND a.attnum = d.objsubid
         WHERE d.objoid = c.oid AND d.classoid = 'pg_class'::regclass),
        CASE WHEN c.relkind IN ('r', 'p', 'f') THEN (
            -- PostgreSQL 18 has NOT NULL as a constraint too, with a name that nobody chose
            SELECT array_agg(ROW(
                CASE WHEN o.contype <> 'n' THEN o.conname END, pg_get_constraintdef(o.oid), o.conislocal,
                o.coninhcount, o.connoinherit, o.convalidated, o.conparentid <> 0)
                ORDER BY o.contype, CASE WHEN o.contype <> 'n' THEN o.conname END, o.conkey)
            FROM pg_constraint AS o WHERE o.conrelid = c.oid) END,
        CASE WHEN c.relhasindex THEN (
            SELECT array_agg(ROW(
                pg_get_indexdef(x.indexrelid), x.indisvalid, x.indisready, x.indisclustered, x.indisreplident,
                n.reloptions, NULLIF(n.reltablespace, 0),
                (SELECT d.description FROM pg_description AS d
                 WHERE d.objoid = n.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0),
                CASE WHEN n.relispartition THEN (
                    SELECT i.inhparent::regclass FROM pg_inherits AS i WHERE i.inhrelid = n.oid) END,
                CASE WHEN x.indexprs IS NOT NULL THEN (
                    SELECT array_agg(a.attstattarget ORDER BY a.attnum) FROM pg_attribute AS a
                    WHERE a.attrelid = n.oid) END) ORDER BY n.relname)
            FROM pg_index AS x JOIN pg_class AS n ON n.oid = x.indexrelid WHERE x.indrelid = c.oid) END,
        CASE WHEN c.relhastriggers THEN (
            SELECT array_agg(ROW(
                -- a foreign key's own have numbers in their names
                CASE WHEN t.tgisinternal THEN t.tgfoid::regproc::text ELSE pg_get_triggerdef(t.oid) END,
                t.tgenabled, t.tgparentid <> 0,
                (SELECT d.description FROM pg_description AS d
                 WHERE d.objoid = t.oid AND d.classoid = 'pg_trigger'::regclass))
                ORDER BY t.tgisinternal, CASE WHEN t.tgisinternal THEN t.tgfoid::regproc::text ELSE t.tgname END,
                    t.tgenabled)
            FROM pg_trigger AS t WHERE t.tgrelid = c.oid) END,
        CASE WHEN c.relhasrules THEN (
            SELECT array_agg(ROW(pg_get_ruledef(r.oid), r.ev_enabled,
                (SELECT d.description FROM pg_description AS d
                 WHERE d.objoid = r.oid AND d.classoid = 'pg_rewrite'::regclass)) ORDER BY r.rulename)
            FROM pg_rewrite AS r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN') END,
        (SELECT array_agg(ROW(p.polname, p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
                pg_get_expr(p.polwithcheck, p.polrelid),
                (SELECT array_agg(role::regrole ORDER BY role) FROM unnest(p.polroles) AS role),
                (SELECT d.description FROM pg_description AS d
                 WHERE d.objoid = p.oid AND d.classoid = 'pg_policy'::regclass)) ORDER BY p.polname)
         FROM pg_policy AS p WHERE p.polrelid = c.oid)
    )::text)
"""


@dataclass(frozen=True)
class TransactionFingerprints:
    """What was found at one point of a transaction."""

    touched: frozenset[int]
    """OIDs of the tables, views, sequences and composite types that were touched; some may be gone."""
    relations: Mapping[int, tuple[str, str]]
    """By OID: name and fingerprint."""
    common: Mapping[str, str]
    """By system table: fingerprint of what it has of users, where the server counted a change."""
    written: frozenset[int]
    """OIDs of tables whose rows may have been written, and of sequences that may have been drawn from."""
    sure: bool
    """False when something was written that no fingerprint covers, or when names have another meaning now."""


@dataclass
class KnownFingerprints:
    """The last fingerprints of a database's objects."""

    relations: dict[int, tuple[str, str]] = field(default_factory=dict)
    common: dict[str, str] = field(default_factory=dict)

    def take(self, reading: TransactionFingerprints) -> None:
        """Remember what was read."""
        for oid in reading.touched:
            self.relations.pop(oid, None)
        self.relations.update(reading.relations)
        self.common.update(reading.common)

    def equals(self, reading: TransactionFingerprints) -> bool:
        """Whether what was touched is now as it is remembered. A table that was made anew has another OID.

        One that has another name than it had is not: what depends on it is told by its name, and was not read.
        """
        if any(self.relations.get(oid, relation)[0] != relation[0] for oid, relation in reading.relations.items()):
            return False
        remembered = sorted(self.relations[oid] for oid in reading.touched if oid in self.relations)
        if remembered != sorted(reading.relations.values()):
            return False
        return all(self.common[name] == fingerprint for name, fingerprint in reading.common.items())

    def has_rows_written(self, reading: TransactionFingerprints) -> bool:
        """Whether rows were written in a table that was there before."""
        return not self.relations.keys().isdisjoint(reading.written)


def enable_write_counters(connection: pq.abc.PGconn) -> bool:
    """Whether the server counts what is written, which fingerprints are told by; only a superuser may turn that on."""
    query = """
        SELECT CASE 'on'
            WHEN pg_catalog.current_setting('track_counts') THEN 'on'
            WHEN pg_catalog.current_setting('is_superuser') THEN pg_catalog.set_config('track_counts', 'on', false)
        END
    """
    return _rows(connection.exec_(query.encode())) == [["on"]]


class FingerprintReader:
    """Reads fingerprints on a connection that is in use, between its statements and in its transaction.

    Statements go to libpq itself: the state that psycopg 3 and SQLAlchemy keep is as before. Raises
    psycopg.OperationalError when the server does not answer as it should; the transaction is then aborted.
    """

    def __init__(self, connection: pq.abc.PGconn, version_tables: Collection[str]) -> None:
        """Prepare the statements, in a transaction that the caller commits."""
        self.connection = connection
        self.execute("SET plan_cache_mode = force_generic_plan; SET jit = off")
        self._prepare()
        named = ", ".join(map(_literal, version_tables))
        rows = self.execute(f"SELECT oid FROM pg_class WHERE relname IN ({named})")  # noqa: S608
        self.left_out = {int(oid or 0) for (oid,) in rows}
        self.search_path = self.execute("SELECT current_setting('search_path')")[0][0]
        self.transaction = b""
        self.start: tuple[int, ...] = ()

    def begin(self, savepoint: str) -> None:
        """Begin a transaction, if there is none, with a savepoint, and count from here."""
        begin = "BEGIN; " if self.connection.transaction_status == pq.TransactionStatus.IDLE else ""
        transaction, counters = self.execute(f"{begin}SAVEPOINT {savepoint}; EXECUTE dbkit_begin")[0]
        self.transaction = str(transaction).encode()
        self.start = tuple(json.loads(str(counters)))

    def read(self) -> TransactionFingerprints:
        """What the transaction has touched since `begin`."""
        start = self.start
        counters, search_path, held = self._call("look")[0]
        now = tuple(json.loads(str(counters)))
        locks = json.loads(held) if held else []
        touched = {oid for oid, writes in locks if not writes}
        for name, was, is_ in zip(WRITTEN, start, now, strict=False):
            if was != is_:
                touched.update(int(oid or 0) for (oid,) in self._call(f"written_{name}", self.transaction))
        relations = self._relations(touched) if touched else {}
        return TransactionFingerprints(
            touched=frozenset((touched | relations.keys()) - self.left_out),
            relations=relations,
            common={
                name: self._common(name)
                for name, was, is_ in zip(COMMON, start[len(WRITTEN) :], now[len(WRITTEN) :], strict=False)
                if was != is_
            },
            written=frozenset({oid for oid, writes in locks if writes} - self.left_out),
            sure=search_path == self.search_path and now[-1] == start[-1],
        )

    def everything(self) -> KnownFingerprints:
        """The fingerprints of the whole database."""
        oids = {int(oid or 0) for (oid,) in self.execute(EVERY.format(first=FIRST_NORMAL_OID))}
        return KnownFingerprints(self._relations(oids), {name: self._common(name) for name in COMMON})

    def execute(self, statements: str) -> list[list[str | None]]:
        """Run statements, and return the rows of the last one as texts."""
        return _rows(self.connection.exec_(statements.encode()))

    def _relations(self, oids: set[int]) -> dict[int, tuple[str, str]]:
        rows = self._call("relations", ("{" + ",".join(map(str, oids)) + "}").encode())
        found = {int(oid or 0): (str(name), str(fingerprint)) for oid, name, fingerprint in rows}
        return {oid: value for oid, value in found.items() if oid not in self.left_out}

    def _common(self, name: str) -> str:
        return str(self._call(name)[0][0])

    def _call(self, name: str, *parameters: bytes) -> list[list[str | None]]:
        return _rows(self.connection.exec_prepared(f"dbkit_{name}".encode(), parameters))

    def _prepare(self) -> None:
        names = ", ".join(map(_literal, (*COMMON, *RARE)))
        system = "relnamespace = 'pg_catalog'::regnamespace"
        rows = self.execute(f"SELECT relname, oid FROM pg_class WHERE {system} AND relname IN ({names})")  # noqa: S608
        oids = {str(name): str(oid) for name, oid in rows}
        counters = ", ".join(
            (
                *(f"pg_stat_get_xact_tuples_updated('{name}'::regclass)" for name in WRITTEN),
                *(_count(oids[name]) for name in COMMON),
                " + ".join(_count(oids[name]) for name in RARE if name in oids),
            )
        )
        # pg_attver is the server's own
        options = """
            CASE WHEN a.attoptions IS NOT NULL THEN (
                SELECT array_agg(o ORDER BY o) FROM unnest(a.attoptions) AS o WHERE o !~ '^pg_') END
        """
        relation = RELATION.format(
            options=options, compression="a.attcompression" if self.connection.server_version >= 14_00_00 else "NULL"
        )
        statements = {
            "begin": BEGIN,
            "look": LOOK.replace("{held}", HELD),
            **{f"written_{name}": query for name, query in WRITTEN.items()},
            "relations": RELATIONS,
            **{name: f"SELECT md5(coalesce(({query})::text, ''))" for name, query in COMMON.items()},
        }
        for name, statement in statements.items():
            text = statement.format(first=FIRST_NORMAL_OID, counters=counters, relation=relation)
            _rows(self.connection.prepare(f"dbkit_{name}".encode(), text.encode()))


def _count(oid: str) -> str:
    return " + ".join(f"pg_stat_get_xact_tuples_{how}({oid})" for how in ("inserted", "updated", "deleted"))


def _rows(result: pq.abc.PGresult) -> list[list[str | None]]:
    if result.status == pq.ExecStatus.FATAL_ERROR:
        raise OperationalError(result.error_message.decode(errors="replace").strip())
    columns = range(result.nfields)
    values = [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]
    return [[None if value is None else value.decode() for value in row] for row in values]


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
