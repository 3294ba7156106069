"""What a statement asks of existing rows, before it is executed: the server is the judge of each answer."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect
from dbkit.postgres.own_statements import OwnConnection, Session
from dbkit.preconditions.ask import TimeOver, first_violations, reading
from dbkit.preconditions.statements import read_statement
from support.running import until

TABLES = """
CREATE SCHEMA other;
CREATE TYPE mood AS ENUM ('ok', 'bad');
CREATE DOMAIN code AS text;
CREATE DOMAIN filled AS text DEFAULT 'x';
CREATE DOMAIN hidden AS text;
CREATE FUNCTION is_odd(n int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT n % 2 = 1';
CREATE TABLE customer (id int PRIMARY KEY, email text, "Mixed Name" int, region text, UNIQUE (region, id));
CREATE TABLE purchase (
    id int PRIMARY KEY, customer_id int, amount numeric, quantity bigint, reference text, note varchar(40), state mood,
    region text, room int, during int4range, code code, hidden hidden, day date
);
CREATE TABLE other.plain (a int, b int);
CREATE TABLE parent (id int, x int);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE parted (id int, x int) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE base (id int);
CREATE TABLE derived (kind text NOT NULL) INHERITS (base);
INSERT INTO derived VALUES (1, 'a');
CREATE FOREIGN DATA WRAPPER wrapper;
CREATE SERVER far FOREIGN DATA WRAPPER wrapper;
CREATE TABLE spread (id int, x int) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE spread_1 PARTITION OF spread FOR VALUES FROM (0) TO (9) SERVER far;
CREATE EXTENSION citext;
CREATE TABLE shout (name citext UNIQUE, other citext, pad char(9) UNIQUE, plain text);
CREATE TABLE checked (a int, CONSTRAINT a_there CHECK (a IS NOT NULL));
"""
GOOD = """
INSERT INTO customer VALUES (1, 'a@x', 1, 'eu'), (2, 'b@x', 2, 'us');
INSERT INTO purchase VALUES
    (1, 1, 10, 5, 'r1', 'short', 'ok', 'eu', 1, '[1,3)', 'c1', 'h1', '2024-02-01'),
    (2, 2, 20, 7, 'r2', 'also', 'bad', 'us', 1, '[3,5)', 'c2', 'h2', '2024-02-02');
INSERT INTO other.plain VALUES (1, 1), (2, 2);
INSERT INTO parent VALUES (1, 1);
INSERT INTO child VALUES (2, 2);
INSERT INTO parted VALUES (1, 1), (2, 2);
INSERT INTO checked VALUES (1);
INSERT INTO shout VALUES ('ABC', 'abc', 'x', 'x  '), ('b', 'b', 'y', 'y');
"""
# after the rows
NOT_VALID = """
ALTER TABLE purchase ADD CONSTRAINT amount_positive CHECK (amount > 0) NOT VALID;
ALTER TABLE purchase ADD CONSTRAINT customer_known FOREIGN KEY (customer_id) REFERENCES customer NOT VALID;
ALTER DOMAIN hidden ADD CONSTRAINT known CHECK (VALUE <> 'value') NOT VALID;
"""
BAD = {
    "null": "INSERT INTO purchase (id) VALUES (17), (40)",
    "negative": "UPDATE purchase SET amount = -1 WHERE id = 2",
    "same": "INSERT INTO purchase (id, reference, region) VALUES (17, 'r1', 'eu'), (18, 'R2', 'us')",
    "orphan": "UPDATE purchase SET customer_id = 99 WHERE id = 2",
    "half": "UPDATE purchase SET customer_id = NULL WHERE id = 2",
    "big": "UPDATE purchase SET quantity = 3000000000 WHERE id = 2",
    "long": "UPDATE purchase SET note = 'more than ten letters  ' WHERE id = 2",
    "spaces": "UPDATE purchase SET note = 'short         ' WHERE id = 2",
    "booked": "UPDATE purchase SET during = '[2,4)' WHERE id = 2",
    "value": "UPDATE purchase SET code = 'value', hidden = 'value' WHERE id = 2",
    "plain": "INSERT INTO other.plain VALUES (NULL, 1), (1, 9)",
    "child": "INSERT INTO child VALUES (NULL, -1), (1, 1)",
    "parted": "INSERT INTO parted VALUES (3, NULL), (1, 1)",
    "shout": "INSERT INTO shout VALUES ('c', 'aBc')",
    "mixed key": 'UPDATE customer SET "Mixed Name" = 70 + id; UPDATE purchase SET room = 71',
    "mixed": 'UPDATE customer SET "Mixed Name" = NULL',
}


# (rows, statement, the words of what is violated; "" where nothing is, and the server executes the statement)
CASES = [
    ("null", "ALTER TABLE purchase ALTER COLUMN reference SET NOT NULL", "2 rows of purchase (id 17, 40) violate: purchase.reference is not NULL"),
    ("null", "alter table if exists only public.purchase alter reference set not null", "purchase.reference is not NULL"),
    ("null", "ALTER TABLE purchase ALTER id SET NOT NULL", ""),
    ("negative", "ALTER TABLE purchase ALTER COLUMN reference SET NOT NULL", ""),
    ("mixed", 'ALTER TABLE "customer" ALTER "Mixed Name" SET NOT NULL', "2 rows of customer (id 1, 2) violate: customer.Mixed Name is not NULL"),
    ("null", "ALTER TABLE checked ALTER a SET NOT NULL", ""),
    ("negative", "ALTER TABLE purchase ADD CONSTRAINT positive CHECK (amount > 0)", "1 row of purchase (id 2) violates: every row of purchase satisfies amount > 0"),
    ("negative", "ALTER TABLE purchase ADD CHECK (amount /* of ( */ > 0 -- more)\n)", "satisfies amount > 0"),
    ("negative", "ALTER TABLE purchase ADD CHECK (amount > 0) NOT VALID", ""),
    ("null", "ALTER TABLE purchase ADD CHECK (amount > 0)", ""),
    ("null", "ALTER TABLE purchase ADD CHECK (amount IS NOT NULL AND note <> ')')", "satisfies amount IS NOT NULL"),
    ("null", "ALTER TABLE purchase ADD CHECK (is_odd(quantity::int)), ALTER note SET NOT NULL", "purchase.note is not NULL"),
    ("big", "ALTER TABLE purchase ADD CHECK (is_odd((quantity % 10)::int))", "satisfies is_odd((quantity % 10)::int)"),
    ("negative", "ALTER TABLE purchase ADD CHECK (state IN ('ok', 'bad'))", ""),
    ("negative", "ALTER TABLE purchase ADD CHECK (state <> 'bad'::mood)", "satisfies state <> 'bad'::mood"),
    ("negative", "ALTER TABLE purchase VALIDATE CONSTRAINT amount_positive", "every row of purchase satisfies (amount > "),
    ("orphan", "ALTER TABLE purchase VALIDATE CONSTRAINT amount_positive", ""),
    ("orphan", "ALTER TABLE purchase VALIDATE CONSTRAINT customer_known", "1 row of purchase (id 2) violates: every purchase.customer_id is in customer.id"),
    ("null", "ALTER TABLE purchase VALIDATE CONSTRAINT customer_known", ""),
    ("orphan", "ALTER TABLE purchase ADD FOREIGN KEY (customer_id) REFERENCES customer (id) ON DELETE SET NULL", "every purchase.customer_id is in customer.id"),
    ("orphan", "ALTER TABLE purchase ADD CONSTRAINT f FOREIGN KEY (customer_id) REFERENCES customer NOT VALID", ""),
    ("null", "ALTER TABLE purchase ADD FOREIGN KEY (customer_id) REFERENCES customer DEFERRABLE", ""),
    ("half", "ALTER TABLE purchase ADD FOREIGN KEY (region, customer_id) REFERENCES customer (region, id) MATCH FULL", "every (region, customer_id) of purchase is in (region, id) of customer"),
    ("half", "ALTER TABLE purchase ADD FOREIGN KEY (region, customer_id) REFERENCES customer (region, id)", ""),
    ("same", "ALTER TABLE purchase ADD UNIQUE (reference)", "2 rows of purchase (id 1, 17) violate: no two rows of purchase have the same"),
    ("null", "ALTER TABLE purchase ADD CONSTRAINT u UNIQUE (reference)", ""),
    ("null", "ALTER TABLE purchase ADD UNIQUE NULLS NOT DISTINCT (reference)", "2 rows of purchase (id 17, 40)"),
    ("same", "ALTER TABLE purchase DROP CONSTRAINT purchase_pkey, ADD PRIMARY KEY (id)", ""),
    ("plain", "ALTER TABLE other.plain ADD PRIMARY KEY (a)", "1 row of other.plain (ctid (0,"),
    ("plain", "ALTER TABLE other.plain ADD PRIMARY KEY (b)", "2 rows of other.plain (ctid (0,"),
    ("same", "CREATE UNIQUE INDEX ON purchase (reference)", "2 rows of purchase (id 1, 17)"),
    ("same", "CREATE UNIQUE INDEX CONCURRENTLY u ON purchase USING btree (lower(reference) DESC NULLS LAST)", "at least 3 rows of purchase"),
    ("same", "CREATE UNIQUE INDEX u ON purchase (reference) INCLUDE (note) WHERE note IS NOT NULL", ""),
    ("same", "CREATE UNIQUE INDEX IF NOT EXISTS u ON ONLY purchase (reference text_pattern_ops) WHERE note IS NULL OR id = 1", "2 rows of purchase (id 1, 17)"),
    ("same", "CREATE UNIQUE INDEX u ON purchase (reference, id)", ""),
    ("same", 'CREATE UNIQUE INDEX u ON purchase ((reference || region) COLLATE "C")', "2 rows of purchase (id 1, 17)"),
    ("null", "CREATE UNIQUE INDEX u ON purchase (reference) NULLS NOT DISTINCT", "2 rows of purchase (id 17, 40)"),
    ("same", "CREATE UNIQUE INDEX IF NOT EXISTS customer_pkey ON purchase (reference)", ""),
    ("booked", "ALTER TABLE purchase ADD EXCLUDE USING gist (during WITH &&)", "2 rows of purchase (id 1, 2)"),
    ("booked", "ALTER TABLE purchase ADD EXCLUDE USING gist (during WITH &&) WHERE (id > 1)", ""),
    ("null", "ALTER TABLE purchase ADD EXCLUDE USING gist (during WITH &&)", ""),
    ("null", "ALTER TABLE purchase ADD COLUMN currency text NOT NULL", "at least 3 rows of purchase (id 1, 2, 17) violate: purchase has no rows"),
    ("null", "ALTER TABLE purchase ADD currency text NOT NULL DEFAULT 'EUR'", ""),
    ("null", "ALTER TABLE purchase ADD COLUMN IF NOT EXISTS note text NOT NULL", ""),
    ("null", "ALTER TABLE purchase ADD number bigserial NOT NULL", ""),
    ("null", "ALTER TABLE purchase ADD number int NOT NULL GENERATED ALWAYS AS IDENTITY", ""),
    ("null", "ALTER TABLE purchase ADD number filled NOT NULL", ""),
    ("null", "ALTER TABLE purchase ADD number numeric(8, 2) CHECK (number IS NOT NULL OR true)", ""),
    ("big", "ALTER TABLE purchase ALTER quantity TYPE integer", "1 row of purchase (id 2) violates: every purchase.quantity can be converted to integer"),
    ("big", "ALTER TABLE purchase ALTER COLUMN customer_id SET DATA TYPE smallint", ""),
    ("long", "ALTER TABLE purchase ALTER note TYPE varchar(10)", "every purchase.note can be converted to varchar(10)"),
    ("spaces", "ALTER TABLE purchase ALTER note TYPE character varying (10)", ""),
    ("long", "ALTER TABLE purchase ALTER note TYPE integer USING note::integer", "every purchase.note can be converted to integer"),
    ("long", "ALTER TABLE purchase ALTER note TYPE numeric(8, 2) USING CAST(note AS numeric(8, 2))", "every purchase.note can be converted to numeric"),
    ("long", "ALTER TABLE purchase ALTER note TYPE boolean USING (note::boolean)", "every purchase.note can be converted to boolean"),
    ("long", "ALTER TABLE purchase ALTER note TYPE mood USING note::mood", "every purchase.note can be converted to mood"),
    ("long", "ALTER TABLE purchase ALTER note TYPE varchar(10) USING note::varchar(10)", ""),
    ("big", "ALTER TABLE purchase ALTER quantity TYPE numeric(6, 2)", "every purchase.quantity can be converted to numeric"),
    ("long", "ALTER TABLE purchase ALTER note TYPE varchar(10) USING left(note, 10)", ""),
    ("long", "ALTER TABLE purchase ALTER note TYPE varchar(10) USING left(note, 10), ADD CHECK (length(note) < 11)", ""),
    ("long", "ALTER TABLE purchase DROP note, ADD note text DEFAULT 'x', ADD CHECK (length(note) < 11)", ""),
    ("value", "ALTER DOMAIN code ADD CONSTRAINT c CHECK (VALUE <> 'value')", "1 row of purchase (id 2) violates"),
    ("orphan", "ALTER DOMAIN code ADD CHECK (VALUE <> 'value')", ""),
    ("value", "ALTER DOMAIN code ADD CHECK (VALUE <> 'value') NOT VALID", ""),
    ("null", "ALTER DOMAIN code SET NOT NULL", "2 rows of purchase (id 17, 40) violate: purchase.code is not NULL"),
    ("value", "ALTER DOMAIN hidden VALIDATE CONSTRAINT known", "1 row of purchase (id 2) violates"),
    ("orphan", "ALTER DOMAIN hidden VALIDATE CONSTRAINT known", ""),
    ("child", "ALTER TABLE parent ADD CHECK (x > 0)", "1 row of parent (ctid (0,"),
    ("child", "ALTER TABLE parent ADD CHECK (x > 0) NO INHERIT", ""),
    ("child", "ALTER TABLE parent ADD UNIQUE (id)", ""),
    ("child", "ALTER TABLE parent ALTER id SET NOT NULL", "parent.id is not NULL"),
    ("parted", "ALTER TABLE parted ALTER x SET NOT NULL", "parted.x is not NULL"),
    ("parted", "CREATE UNIQUE INDEX ON parted (id, x)", "2 rows of parted"),
    ("parted", "CREATE UNIQUE INDEX ON ONLY parted (id, x)", ""),
    ("null", "ALTER TABLE base ADD kind text NOT NULL", ""),
    # the key that is referenced is not the one in the catalog
    ("mixed key", "ALTER TABLE customer DROP CONSTRAINT customer_pkey CASCADE, ADD PRIMARY KEY (\"Mixed Name\"); ALTER TABLE purchase ADD FOREIGN KEY (room) REFERENCES customer", ""),
    # equal, though not for pg_catalog's operators
    ("null", "ALTER TABLE shout ADD FOREIGN KEY (other) REFERENCES shout (name)", ""),
    ("null", "ALTER TABLE shout ADD CHECK (name = other)", ""),
    ("null", "ALTER TABLE shout ADD CHECK (lower(name) = other::text)", ""),
    ("shout", "CREATE UNIQUE INDEX ON shout (other)", "2 rows of shout"),
    ("shout", "ALTER TABLE shout ADD CHECK (other <> 'ABC')", "2 rows of shout"),
    # several statements in one text
    ("negative", "SET LOCAL lock_timeout = '1s'; ALTER TABLE purchase ADD CHECK (amount > 0)", "satisfies amount > 0"),
    ("negative", "UPDATE purchase SET amount = 1; ALTER TABLE purchase ADD CHECK (amount > 0)", ""),
    ("negative", "ALTER TABLE purchase DROP CONSTRAINT amount_positive; ALTER TABLE purchase ADD CONSTRAINT amount_positive CHECK (amount < 99) NOT VALID; ALTER TABLE purchase VALIDATE CONSTRAINT amount_positive", ""),
    ("long", "ALTER TABLE purchase RENAME note TO n; ALTER TABLE purchase RENAME reference TO note; ALTER TABLE purchase ADD CHECK (length(note) < 5)", ""),
    ("null", "ALTER TABLE purchase DROP COLUMN note; ALTER TABLE purchase ADD COLUMN note text DEFAULT 'x' NOT NULL; ALTER TABLE purchase ALTER note SET NOT NULL", ""),
]  # fmt: skip
# nothing is asked: what the tokens show is not enough, or the statement may be a different one than it looks
UNREAD = [
    "",
    "SELECT 1",
    "ALTER TABLE missing ALTER a SET NOT NULL",
    "ALTER TABLE purchase ALTER missing SET NOT NULL",
    "ALTER TABLE purchase ADD CHECK (amount > 0",
    "ALTER TABLE purchase ADD CHECK (missing > 0), ADD UNIQUE (missing), ADD FOREIGN KEY (reference) REFERENCES missing",
    "ALTER TABLE purchase ADD CHECK (1 / (amount - amount) > 0)",
    "ALTER TABLE purchase ADD CHECK ((SELECT true))",
    "ALTER TABLE purchase ADD FOREIGN KEY (customer_id, room) REFERENCES customer",
    "ALTER TABLE purchase ADD FOREIGN KEY (customer_id, PERIOD during) REFERENCES customer (id, PERIOD id)",
    "ALTER TABLE purchase ADD UNIQUE (reference, during WITHOUT OVERLAPS)",
    'ALTER TABLE purchase ALTER U&"reference" SET NOT NULL',
    "ALTER TABLE purchase ADD CONSTRAINT",
    "ALTER TABLE purchase ADD exclude text NOT NULL DEFAULT 'x'",
    "ALTER TABLE purchase ALTER CONSTRAINT customer_known DEFERRABLE, ALTER reference SET NOT NULL",
    "ALTER TABLE purchase ADD number unknown_type NOT NULL",
    "ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE pg_default",
    "CREATE UNIQUE INDEX u ON purchase USING hash (reference)",
    "CREATE UNIQUE INDEX u ON purchase (reference other.ops)",
    "CREATE INDEX u ON purchase (reference)",
    "CREATE FUNCTION is_odd(n bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true'; ALTER TABLE purchase ADD CHECK (is_odd(room))",
    "DO $$ BEGIN ALTER TABLE purchase ADD UNIQUE (reference); END $$",
    "ALTER DOMAIN missing SET NOT NULL",
    "ALTER DOMAIN code RENAME TO other",
    "ALTER VIEW purchase ALTER reference SET DEFAULT 'x'",
]
SLOW = """
CREATE FUNCTION slow(n int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(600);
    RETURN false;
END $$
"""


@pytest.fixture(scope="session")
def session(server: Cluster) -> Iterator[OwnConnection]:
    """A session as a migration has it, with tables and two rows in each."""
    with connect(server.create_database("asked"), session=Session.SHARED) as connection:
        connection.cursor().execute(f"{TABLES}; {GOOD}")
        connection.commit()
        yield connection


@pytest.fixture(autouse=True)
def rolled_back(session: OwnConnection) -> Iterator[None]:
    yield
    session.rollback()


def ask(connection: OwnConnection, statement: str) -> list[str]:
    """What a statement demands and rows violate, in words."""
    with reading(connection, 10):
        asked = read_statement(connection, statement)
    found = [first_violations(connection, each, 10) for each in asked]
    return [each.describe() for each in found if each]


def execute(connection: OwnConnection, statement: str) -> str:
    """Execute a statement; return its error."""
    try:
        connection.cursor().execute(statement.replace("CONCURRENTLY", ""))
    except psycopg.Error as error:
        return str(error)
    return ""


def state(connection: OwnConnection) -> list[object]:
    """What a question could leave behind: settings, locks on tables, a transaction that has written."""
    cursor = connection.cursor()
    settings = "SELECT name, setting FROM pg_settings WHERE context = 'user' ORDER BY name"
    locks = "SELECT relation::regclass::text, mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation >= 16384"
    found = [cursor.execute(query).fetchall() for query in (settings, locks, "SELECT pg_current_xact_id_if_assigned()")]
    return [*found, connection.info.transaction_status]


def skip_if_too_new(connection: OwnConnection, statement: str) -> None:
    if "NULLS NOT DISTINCT" in statement and connection.info.server_version < 15_00_00:
        pytest.skip("NULLS NOT DISTINCT is of PostgreSQL 15")


@pytest.mark.parametrize(("rows", "statement", "expected"), CASES)
def test_what_is_violated_is_what_the_server_refuses(
    session: OwnConnection, rows: str, statement: str, expected: str
) -> None:
    skip_if_too_new(session, statement)
    session.cursor().execute(f"{BAD[rows]}; {NOT_VALID}")
    violated = ask(session, statement)
    assert bool(violated) == bool(expected), violated
    assert not expected or expected in violated[0]
    assert bool(execute(session, statement)) == bool(expected)


@pytest.mark.parametrize("statement", sorted({statement for _, statement, _ in CASES}))
def test_an_empty_table_violates_nothing(session: OwnConnection, statement: str) -> None:
    skip_if_too_new(session, statement)
    session.cursor().execute(f"TRUNCATE purchase, customer, other.plain, parent, parted, checked, shout; {NOT_VALID}")
    assert ask(session, statement) == []
    assert execute(session, statement) == ""


@pytest.mark.parametrize("statement", UNREAD)
def test_what_is_not_recognised_asks_nothing(session: OwnConnection, statement: str) -> None:
    session.cursor().execute(f"{BAD['null']}; {BAD['negative']}; {NOT_VALID}")
    assert ask(session, statement) == []


def test_the_rows_of_foreign_tables_are_not_asked_for(session: OwnConnection) -> None:
    for statement in ("ALTER TABLE spread ALTER x SET NOT NULL", "ALTER TABLE spread ADD CHECK (x > 0)"):
        assert read_statement(session, statement) == []
        assert execute(session, statement) == ""


def test_an_included_column_is_no_part_of_a_primary_key(session: OwnConnection) -> None:
    session.cursor().execute("CREATE UNIQUE INDEX wide ON other.plain (a) INCLUDE (b); UPDATE other.plain SET b = NULL")
    statement = "ALTER TABLE other.plain ADD PRIMARY KEY USING INDEX wide"
    assert ask(session, statement) == []
    assert execute(session, statement) == ""


@pytest.mark.parametrize("is_autocommit", [False, True])
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE purchase ALTER customer_id SET NOT NULL, ADD UNIQUE (reference), ADD CHECK (amount > 0)",
        "ALTER TABLE purchase ADD CHECK (amount > 15), ADD FOREIGN KEY (customer_id) REFERENCES customer",
        "ALTER TABLE purchase ADD CHECK (1 / (amount - amount) > 0)",
    ],
)
def test_a_question_leaves_nothing_behind(session: OwnConnection, statement: str, is_autocommit: bool) -> None:
    session.autocommit = is_autocommit
    try:
        session.cursor().execute("SET lock_timeout = '3s'")
        before = state(session)
        with reading(session, 10):
            asked = read_statement(session, statement)
        assert asked
        for each in asked:
            first_violations(session, each, 10)
        assert state(session) == before
    finally:
        session.rollback()
        session.autocommit = False


def test_a_question_that_writes_is_not_answered(session: OwnConnection) -> None:
    session.cursor().execute(
        "CREATE FUNCTION note(n int) RETURNS boolean LANGUAGE sql AS 'INSERT INTO checked VALUES (n) RETURNING false'"
    )
    assert ask(session, "ALTER TABLE purchase ADD CHECK (note(id))") == []
    assert session.cursor().execute("SELECT count(*) FROM checked").fetchone() == (1,)


def test_a_question_is_given_up_in_time(session: OwnConnection) -> None:
    session.cursor().execute(SLOW)
    with reading(session, 10):
        [asked] = read_statement(session, "ALTER TABLE purchase ADD CHECK (slow(id))")
    with pytest.raises(TimeOver):
        first_violations(session, asked, 0.05)
    assert session.info.transaction_status == TransactionStatus.INTRANS


def test_a_question_that_is_cancelled_ends_the_run(session: OwnConnection, server: Cluster) -> None:
    session.cursor().execute(SLOW)
    with reading(session, 10):
        [asked] = read_statement(session, "ALTER TABLE purchase ADD CHECK (slow(id))")
    sleeping = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"
    with (
        psycopg.connect(**server.target("asked").parameters(), autocommit=True) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        asking = pool.submit(first_violations, session, asked, 600)
        until(lambda: other.execute(sleeping, [session.info.backend_pid]).fetchone())
        with pytest.raises(psycopg.errors.QueryCanceled):
            asking.result()


def test_a_locked_table_is_not_waited_for(session: OwnConnection, server: Cluster) -> None:
    with reading(session, 10):
        [asked] = read_statement(session, "ALTER TABLE purchase ADD CHECK (amount > 15)")
    assert first_violations(session, asked, 600)
    session.rollback()
    with psycopg.connect(**server.target("asked").parameters()) as other:
        other.execute("LOCK purchase IN ACCESS EXCLUSIVE MODE")
        assert first_violations(session, asked, 600) is None
