"""Fingerprints of what a transaction has touched so far: the quick way to see that two states of a schema are equal.

`dbkit.catalog` reads a whole schema and reports differences; on a large one that takes 20 to 40 ms. A migration touches
a table or two. What it touched is what its transaction holds a strong lock on (`pg_locks`), and what the server counts
as written in its system tables (`pg_stat_get_xact_tuples_*`); so only that is read, whatever the size of the schema.

The rule is one-sided: equal fingerprints mean equal catalog facts. Where fingerprints differ, or something was written
that they do not cover, `dbkit.catalog` decides. tests/postgres/test_fingerprint.py compares the two.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import OperationalError, pq

from dbkit.catalog import FIRST_NORMAL_OID
from dbkit.postgres.sql_quote import quote_literal
from dbkit.roundtrip.fingerprint_sql import ALL_RELATIONS, BEGIN, COMMON, HELD, RARE, READ, RELATION, RELATIONS, WRITTEN

Rows = list[list[str | None]]


@dataclass(frozen=True)
class TransactionFingerprints:
    """The fingerprints of what a transaction has touched, at one point of it."""

    touched: frozenset[int]
    """OIDs of the tables, views, sequences and composite types that were touched; some may be dropped by now."""
    relations: Mapping[int, tuple[str, str]]
    """By OID: name and fingerprint."""
    common: Mapping[str, str]
    """By system table where the server counted a change: the fingerprint of its user-defined objects."""
    written: frozenset[int]
    """OIDs of tables whose rows may have been written, and of sequences that may have been used."""
    is_complete: bool
    """False when something was written that no fingerprint covers, or when names have another meaning now."""


@dataclass
class KnownFingerprints:
    """The last fingerprints of a database's objects."""

    relations: dict[int, tuple[str, str]] = field(default_factory=dict)
    common: dict[str, str] = field(default_factory=dict)

    def update(self, found: TransactionFingerprints) -> None:
        """Replace what was touched."""
        for oid in found.touched:
            self.relations.pop(oid, None)
        self.relations.update(found.relations)
        self.common.update(found.common)

    def match(self, found: TransactionFingerprints) -> bool:
        """Whether what was touched is now as it is known. A table that was created again has another OID.

        A renamed relation does not match: what depends on it contains its name, and was not read.
        """
        if any(self.relations.get(oid, relation)[0] != relation[0] for oid, relation in found.relations.items()):
            return False
        known = sorted(self.relations[oid] for oid in found.touched if oid in self.relations)
        if known != sorted(found.relations.values()):
            return False
        return all(self.common[name] == fingerprint for name, fingerprint in found.common.items())

    def has_rows_written(self, found: TransactionFingerprints) -> bool:
        """Whether rows were written in a table that existed before."""
        return not self.relations.keys().isdisjoint(found.written)


def enable_write_counters(connection: pq.abc.PGconn) -> bool:
    """Turn track_counts on if it is off, which only a superuser may. Returns whether the server counts writes now."""
    query = """
        SELECT CASE 'on'
            WHEN pg_catalog.current_setting('track_counts') THEN 'on'
            WHEN pg_catalog.current_setting('is_superuser') THEN pg_catalog.set_config('track_counts', 'on', false)
        END
    """
    return _rows(connection.exec_(query.encode())) == [["on"]]


def read_known_fingerprints(
    connection: pq.abc.PGconn, oids: Collection[int], catalogs: Collection[str]
) -> KnownFingerprints:
    """Read the fingerprints of some relations, and of what some of the system tables of COMMON have."""
    statements = _content_statements(connection)
    rows = _rows(connection.exec_params(statements["relations"].encode(), [_array(oids)])) if oids else []
    common = {name: str(_rows(connection.exec_(statements[name].encode()))[0][0]) for name in catalogs}
    return KnownFingerprints(_as_relations(rows), common)


class FingerprintReader:
    """Reads fingerprints on a connection that is in use, between its statements and in its transaction.

    Sends statements through libpq: the state of psycopg and SQLAlchemy does not change. Raises
    psycopg.OperationalError when the server does not answer as it should; the transaction is then aborted.
    """

    def __init__(self, connection: pq.abc.PGconn, version_tables: Collection[str]) -> None:
        """Prepare the statements, in a transaction that the caller commits."""
        self.connection = connection
        self.execute("SET plan_cache_mode = force_generic_plan; SET jit = off")
        self._prepare()
        names = ", ".join(map(quote_literal, version_tables))
        rows = self.execute(f"SELECT oid FROM pg_class WHERE relname IN ({names})")  # noqa: S608
        self.ignored = {int(oid or 0) for (oid,) in rows}
        """OIDs of the version tables."""
        self.search_path = self.execute("SELECT current_setting('search_path')")[0][0]
        self.transaction = b""
        self.start: tuple[int, ...] = ()
        """The server's counters at `begin`."""

    def begin(self, savepoint: str, *, is_begun: bool = False) -> None:
        """Begin a transaction, if there is none, with a savepoint, and count writes from here.

        `is_begun`: there is one, although libpq does not know of it.
        """
        is_idle = self.connection.transaction_status == pq.TransactionStatus.IDLE
        begin = "BEGIN; " if is_idle and not is_begun else ""
        transaction, counters = self.execute(f"{begin}SAVEPOINT {savepoint}; EXECUTE dbkit_begin")[0]
        self.transaction = str(transaction).encode()
        self.start = tuple(json.loads(str(counters)))

    def read(self) -> TransactionFingerprints:
        """Read the fingerprints of what the transaction has touched since `begin`."""
        start = self.start
        counters, search_path, held = self._call("read")[0]
        now = tuple(json.loads(str(counters)))
        locks = json.loads(held) if held else []
        touched = {oid for oid, writes in locks if not writes}
        for name, before, after in zip(WRITTEN, start, now, strict=False):
            if before != after:
                touched.update(int(oid or 0) for (oid,) in self._call(f"written_{name}", self.transaction))
        relations = self._relations(touched) if touched else {}
        return TransactionFingerprints(
            touched=frozenset((touched | relations.keys()) - self.ignored),
            relations=relations,
            common={
                name: self._common(name)
                for name, before, after in zip(COMMON, start[len(WRITTEN) :], now[len(WRITTEN) :], strict=False)
                if before != after
            },
            written=frozenset({oid for oid, writes in locks if writes} - self.ignored),
            is_complete=search_path == self.search_path and now[-1] == start[-1],
        )

    def read_all(self) -> KnownFingerprints:
        """Read the fingerprints of the whole database."""
        oids = {int(oid or 0) for (oid,) in self.execute(ALL_RELATIONS.format(first=FIRST_NORMAL_OID))}
        return KnownFingerprints(self._relations(oids), {name: self._common(name) for name in COMMON})

    def execute(self, statements: str) -> Rows:
        """Execute statements, and return the rows of the last one as texts."""
        return _rows(self.connection.exec_(statements.encode()))

    def query(self, statements: Sequence[str]) -> Rows:
        """Execute statements at once, and return the rows of the only one that has a result."""
        self.connection.send_query("; ".join(statements).encode())
        results = []
        while (result := self.connection.get_result()) is not None:
            results.append(result)
        found: Rows = []
        for result in results:
            found += _rows(result)
        return found

    def _relations(self, oids: set[int]) -> dict[int, tuple[str, str]]:
        found = _as_relations(self._call("relations", _array(oids)))
        return {oid: value for oid, value in found.items() if oid not in self.ignored}

    def _common(self, name: str) -> str:
        return str(self._call(name)[0][0])

    def _call(self, name: str, *parameters: bytes) -> Rows:
        return _rows(self.connection.exec_prepared(f"dbkit_{name}".encode(), list(parameters)))

    def _prepare(self) -> None:
        names = ", ".join(map(quote_literal, (*COMMON, *RARE)))
        system = "relnamespace = 'pg_catalog'::regnamespace"
        rows = self.execute(f"SELECT relname, oid FROM pg_class WHERE {system} AND relname IN ({names})")  # noqa: S608
        oids = {str(name): str(oid) for name, oid in rows}
        counters = ", ".join(
            (
                *(f"pg_stat_get_xact_tuples_updated('{name}'::regclass)" for name in WRITTEN),
                *(_write_count(oids[name]) for name in COMMON),
                " + ".join(_write_count(oids[name]) for name in RARE if name in oids),
            )
        )
        statements = {
            "begin": BEGIN,
            "read": READ.replace("{held}", HELD),
            **{f"written_{name}": query for name, query in WRITTEN.items()},
        }
        texts = {
            name: statement.format(first=FIRST_NORMAL_OID, counters=counters) for name, statement in statements.items()
        }
        for name, text in (texts | _content_statements(self.connection)).items():
            _rows(self.connection.prepare(f"dbkit_{name}".encode(), text.encode()))


def _content_statements(connection: pq.abc.PGconn) -> dict[str, str]:
    """Return the statements that read fingerprints: of relations, and of what each system table of COMMON has."""
    # pg_attver is the server's own
    options = """
        CASE WHEN a.attoptions IS NOT NULL THEN (
            SELECT array_agg(o ORDER BY o) FROM unnest(a.attoptions) AS o WHERE o !~ '^pg_') END
    """
    has_compression = connection.server_version >= 14_00_00
    relation = RELATION.format(options=options, compression="a.attcompression" if has_compression else "NULL")
    common = {name: f"SELECT md5(coalesce(({query})::text, ''))" for name, query in COMMON.items()}
    statements = {"relations": RELATIONS, **common}
    return {name: text.format(first=FIRST_NORMAL_OID, relation=relation) for name, text in statements.items()}


def _array(oids: Collection[int]) -> bytes:
    return ("{" + ",".join(map(str, oids)) + "}").encode()


def _as_relations(rows: Rows) -> dict[int, tuple[str, str]]:
    return {int(oid or 0): (str(name), str(fingerprint)) for oid, name, fingerprint in rows}


def _write_count(oid: str) -> str:
    return " + ".join(f"pg_stat_get_xact_tuples_{how}({oid})" for how in ("inserted", "updated", "deleted"))


def _rows(result: pq.abc.PGresult) -> Rows:
    if result.status == pq.ExecStatus.FATAL_ERROR:
        raise OperationalError(result.error_message.decode(errors="replace").strip())
    columns = range(result.nfields)
    values = [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]
    return [[None if value is None else value.decode() for value in row] for row in values]
