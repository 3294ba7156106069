"""Changes of tables: what is there before, and after."""

import enum
from typing import Any

import sqlalchemy as sa

from support.draft_states import DraftCase, Side

ENUM = "CREATE TYPE state AS ENUM ('new', 'old'); CREATE TYPE other AS ENUM ('new', 'old', 'x')"
ODD = 'CREATE SCHEMA "Sales 10%"; CREATE SCHEMA "a.b"'
NAME_63 = "n" * 63
REFERENCED = "CREATE TABLE a (id int PRIMARY KEY, n int UNIQUE);"


def model(*columns: sa.Column[Any], name: str = "t", **options: Any) -> Side:
    """One table."""
    return lambda metadata: sa.Table(name, metadata, *(each._copy() for each in columns), **options)


def former_orders(metadata: sa.MetaData) -> None:
    """Orders and their lines, before they are renamed."""
    sa.Table(
        "Order s",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("qty", sa.Integer, sa.CheckConstraint("qty > 0", name="ck_old"), index=True),
        sa.Column("n", sa.Text, unique=True),
        sa.Column("s", sa.Enum("a", "b%", name="st")),
    )
    sa.Table(
        "lines",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("order_id", sa.ForeignKey("Order s.id")),
        sa.Index("ix_l", "order_id"),
    )


class Kind(enum.Enum):
    """An enum with a renamed label."""

    __renamed_labels__ = {"new": "a"}  # noqa: RUF012
    new = 1
    other = 2


def renamed_orders(metadata: sa.MetaData) -> None:
    """The same, renamed."""
    sa.Table(
        "purchases",
        metadata,
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column(
            "quantity",
            sa.Integer,
            sa.CheckConstraint("quantity > 0", name="ck_new", info={"renamed_from": "ck_old"}),
            index=True,
            info={"renamed_from": "qty"},
        ),
        sa.Column("n", sa.Text, unique=True),
        sa.Column("qty", sa.Text),
        sa.Column("s", sa.Enum("z:%", "b%", name="st"), info={"renamed_labels": {"z:%": "a"}}),
        schema="new 1",
        info={"renamed_from": "public.Order s"},
    )
    sa.Table(
        "lines",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("order_id", sa.ForeignKey("new 1.purchases.id")),
        sa.Index("ix_lines", "order_id", info={"renamed_from": "ix_l"}),
        info={"renamed_from": "gone"},
    )


ID = sa.Column("id", sa.Integer, primary_key=True)

CASES = [
    DraftCase("new table", "CREATE TABLE a (id serial PRIMARY KEY)", "CREATE TABLE a (id serial PRIMARY KEY); CREATE TABLE b (id bigserial PRIMARY KEY, a_id int NOT NULL REFERENCES a ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, n text DEFAULT 'x:y%z' CHECK (n <> ':b%'), UNIQUE (n, a_id)); COMMENT ON TABLE b IS 'it''s :x 100%'; COMMENT ON COLUMN b.n IS 'n'; CREATE INDEX ix_b ON b (lower(n) text_pattern_ops DESC, a_id) WHERE n LIKE '%:a'"),
    DraftCase("circular foreign keys", "CREATE TABLE z (id int)", "CREATE TABLE z (id int); CREATE TABLE shops (id serial PRIMARY KEY, logo_id int); CREATE TABLE pictures (id serial PRIMARY KEY, shop_id int NOT NULL REFERENCES shops, prev_id int REFERENCES pictures); ALTER TABLE shops ADD FOREIGN KEY (logo_id) REFERENCES pictures", rows="INSERT INTO z VALUES (1)"),
    DraftCase("circle of three", "", "CREATE TABLE a (id int PRIMARY KEY, x int); CREATE TABLE b (id int PRIMARY KEY, x int REFERENCES a); CREATE TABLE c (id int PRIMARY KEY, x int REFERENCES b); ALTER TABLE a ADD FOREIGN KEY (x) REFERENCES c"),
    DraftCase("new tables with every constraint", "", "CREATE TABLE a (x int, y int, r int4range, n text, PRIMARY KEY (x, y), UNIQUE (y) INCLUDE (n), CONSTRAINT ck CHECK (x > 0) NO INHERIT, EXCLUDE USING gist (r WITH &&) WHERE (x > 1) DEFERRABLE); CREATE TABLE b (x int, y int, z int, CONSTRAINT fk FOREIGN KEY (x, y) REFERENCES a MATCH FULL ON UPDATE CASCADE ON DELETE SET NULL, UNIQUE (z) DEFERRABLE INITIALLY DEFERRED); ALTER TABLE b ADD CONSTRAINT late FOREIGN KEY (x, y) REFERENCES a NOT VALID; ALTER TABLE b ADD CONSTRAINT late_ck CHECK (z > 0) NOT VALID; COMMENT ON CONSTRAINT fk ON b IS 'c'; CREATE INDEX i ON a (n); COMMENT ON INDEX i IS 'ix'"),
    DraftCase("new key kinds of 15", "CREATE TABLE t (a int, b int, c int)", "CREATE TABLE t (a int, b int, c int, CONSTRAINT u UNIQUE NULLS NOT DISTINCT (a)); CREATE UNIQUE INDEX x ON t (b) NULLS NOT DISTINCT; CREATE TABLE t2 (id int PRIMARY KEY, x int, y int, UNIQUE (x, y)); CREATE TABLE t3 (x int, y int, FOREIGN KEY (x, y) REFERENCES t2 (x, y) ON DELETE SET NULL (y))", since=15),
    DraftCase("keys without a serial", "", "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id bigint PRIMARY KEY REFERENCES a); CREATE TABLE c (id smallint PRIMARY KEY DEFAULT 5); CREATE TABLE d (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE e (id smallserial PRIMARY KEY); CREATE TABLE f (a serial, b int, PRIMARY KEY (b, a)); CREATE TABLE g (a serial, b serial, c int PRIMARY KEY)"),
    DraftCase("sequences of other names and options", "", "CREATE SEQUENCE odd AS int INCREMENT 5; CREATE TABLE a (id int PRIMARY KEY DEFAULT nextval('odd')); ALTER SEQUENCE odd OWNED BY a.id"),
    DraftCase("identity kinds in a new table", "", "CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 5 CACHE 7 CYCLE MAXVALUE 1000) PRIMARY KEY, b int GENERATED BY DEFAULT AS IDENTITY (INCREMENT BY -1))"),
    DraftCase("partitioned, inherited, unlogged", "CREATE TABLE old (x int) PARTITION BY LIST (x); CREATE TABLE old_1 PARTITION OF old FOR VALUES IN (1); CREATE INDEX ON old (x)", "CREATE TABLE logs (id bigint, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); CREATE INDEX ON logs (note); CREATE TABLE zparent (a int NOT NULL, b text DEFAULT 'x', CHECK (a > 0)); CREATE TABLE child (c int, UNIQUE (a)) INHERITS (zparent); CREATE UNLOGGED TABLE u (a serial); CREATE TABLE w (a int) WITH (fillfactor=70, autovacuum_enabled=false)"),
    DraftCase("inherited from two, in a schema", "", 'CREATE TABLE "a.b".p1 (a int); CREATE TABLE p2 (b int); CREATE TABLE child (c int) INHERITS ("a.b".p1, p2); ALTER TABLE child ALTER a SET NOT NULL, ALTER b SET DEFAULT 3', prepare=ODD),
    DraftCase("table properties", "CREATE TABLE a (x int) WITH (fillfactor=70, autovacuum_enabled=false); CREATE UNLOGGED TABLE b (x int)", "CREATE TABLE a (x int) WITH (fillfactor=80, parallel_workers=2); CREATE TABLE b (x int)"),
    DraftCase("serials come to an unlogged table, and go", "CREATE UNLOGGED TABLE t (a int, c int, i int GENERATED ALWAYS AS IDENTITY, s serial)", "CREATE UNLOGGED TABLE t (a serial, b serial, c int GENERATED ALWAYS AS IDENTITY, i serial, s int GENERATED BY DEFAULT AS IDENTITY, d smallint GENERATED ALWAYS AS IDENTITY (INCREMENT BY 2))", rows="INSERT INTO t VALUES (1, 2)"),
    DraftCase("serials of other names and options of an unlogged table", "CREATE UNLOGGED TABLE t (a int)", "CREATE UNLOGGED SEQUENCE q INCREMENT BY -1; CREATE UNLOGGED TABLE t (a int, b bigint DEFAULT nextval('q')); ALTER SEQUENCE q OWNED BY t.b; CREATE UNLOGGED SEQUENCE r INCREMENT BY 5; CREATE UNLOGGED TABLE u (a serial, b bigint DEFAULT nextval('r')); ALTER SEQUENCE r OWNED BY u.b", since=15),
    DraftCase("a sequence that is not unlogged as its table is", "CREATE SEQUENCE q; CREATE UNLOGGED TABLE t (a int, b bigint DEFAULT nextval('q')); ALTER SEQUENCE q OWNED BY t.b", "CREATE UNLOGGED SEQUENCE q; CREATE UNLOGGED TABLE t (a int, b bigint DEFAULT nextval('q')); ALTER SEQUENCE q OWNED BY t.b", since=15),
    DraftCase("a table becomes unlogged and gets a serial", "CREATE TABLE t (a serial); CREATE UNLOGGED TABLE u (a serial, x int)", "CREATE UNLOGGED TABLE t (a serial, b serial, c int GENERATED ALWAYS AS IDENTITY); CREATE TABLE u (a serial, b serial, c int GENERATED ALWAYS AS IDENTITY, x serial)"),
    DraftCase("a sequence that is not as its table becomes", "CREATE SEQUENCE q; CREATE TABLE t (a int, b bigint DEFAULT nextval('q')); ALTER SEQUENCE q OWNED BY t.b; CREATE UNLOGGED TABLE u (a serial)", "CREATE SEQUENCE q; CREATE UNLOGGED TABLE t (a int, b bigint DEFAULT nextval('q')); ALTER SEQUENCE q OWNED BY t.b; CREATE TABLE u (a serial); ALTER SEQUENCE u_a_seq SET UNLOGGED", since=15),
    DraftCase("a sequence that is not as its new table", "", "CREATE SEQUENCE q; CREATE UNLOGGED TABLE t (a int, b bigint DEFAULT nextval('q')); ALTER SEQUENCE q OWNED BY t.b; CREATE UNLOGGED SEQUENCE r; CREATE TABLE u (a int DEFAULT nextval('r')); ALTER SEQUENCE r OWNED BY u.a", since=15),
    DraftCase("unlogged key and logged key", "", "CREATE UNLOGGED TABLE t (a serial primary key); CREATE TABLE u (a serial PRIMARY KEY); ALTER SEQUENCE u_a_seq SET UNLOGGED; CREATE UNLOGGED TABLE v (a serial primary key); ALTER SEQUENCE v_a_seq SET LOGGED", since=15),
    DraftCase("inheritance begins", "CREATE TABLE p (x int); CREATE TABLE c (x int)", "CREATE TABLE p (x int); CREATE TABLE c () INHERITS (p)", undecided="inherits from p"),
    DraftCase("partitioned later", "CREATE TABLE p (x int)", "CREATE TABLE p (x int) PARTITION BY RANGE (x)", undecided="partitioned by RANGE (x)"),
    DraftCase("parent and partition change", "CREATE TABLE p (x int, n text) PARTITION BY RANGE (x); CREATE TABLE p1 PARTITION OF p DEFAULT; CREATE TABLE q (x int); CREATE TABLE q1 () INHERITS (q)", "CREATE TABLE p (x int, n varchar(9) NOT NULL, m int DEFAULT 3) PARTITION BY RANGE (x); CREATE TABLE p1 PARTITION OF p DEFAULT; CREATE INDEX ip ON p (n); ALTER TABLE p ADD CHECK (x > 0); ALTER TABLE p ADD UNIQUE (x); CREATE TABLE q (x bigint, y text); CREATE TABLE q1 () INHERITS (q); ALTER TABLE q ADD CHECK (x > 0)", rows="INSERT INTO p VALUES (1, 'a'); INSERT INTO q VALUES (1)"),
    DraftCase("odd names", 'CREATE TABLE "Doc.Lines" (id int PRIMARY KEY); CREATE TABLE keep (x int)', f'''CREATE TABLE "Sales 10%"."Owner-1" ("or""d,e.r" serial PRIMARY KEY, "User" text, "50% :x" int DEFAULT 5, "{NAME_63}" int); CREATE TABLE "Sales 10%"."Doc.Lines" (id serial PRIMARY KEY, o int NOT NULL REFERENCES "Sales 10%"."Owner-1"); CREATE TABLE "a.b"."order" ("end" int PRIMARY KEY, "select" int UNIQUE, "ünï" int CHECK ("ünï" > 0)); CREATE TABLE "my-odd table" (id int REFERENCES "a.b"."order"); CREATE INDEX "ix 10% :y" ON "Sales 10%"."Owner-1" ("User", "50% :x", lower("User")); CREATE TABLE "Doc.Lines" (id int PRIMARY KEY, "x.y" int UNIQUE, p int REFERENCES "Doc.Lines" ("x.y"), "a:b" text); CREATE TABLE "{NAME_63}" (id serial PRIMARY KEY); CREATE TABLE keep (x int, "group" int); CREATE INDEX ON keep ("group"); COMMENT ON COLUMN keep."group" IS E'back\\\\slash %s :x ''' + "''q'''", prepare=ODD),
    DraftCase("drop tables", "CREATE TABLE a (id serial PRIMARY KEY, x int); CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a, c int REFERENCES b); ALTER TABLE a ADD FOREIGN KEY (x) REFERENCES b; CREATE TABLE k (a_id int REFERENCES a)", "CREATE TABLE k (a_id int)", rows="INSERT INTO a VALUES (1, NULL); INSERT INTO b VALUES (1, 1)"),
    DraftCase("add columns", "CREATE TABLE a (id int)", "CREATE TABLE a (id int, n text, q int NOT NULL DEFAULT 0, s serial, g int GENERATED ALWAYS AS (q * 2) STORED, i bigint GENERATED ALWAYS AS IDENTITY, c text COLLATE \"C\", ts timestamptz(3) DEFAULT now()); COMMENT ON COLUMN a.n IS 'n'; COMMENT ON COLUMN a.s IS 's'", rows="INSERT INTO a VALUES (1), (2)"),
    DraftCase("add serial of another name", "CREATE TABLE a (x int)", "CREATE SEQUENCE q AS int INCREMENT 2; CREATE TABLE a (x int, id int NOT NULL DEFAULT nextval('q')); ALTER SEQUENCE q OWNED BY a.id", rows="INSERT INTO a VALUES (1), (2)"),
    DraftCase("drop columns with what belongs to them", "CREATE TABLE a (id serial PRIMARY KEY, n text UNIQUE, q int CHECK (q > 0), r int, g int GENERATED ALWAYS AS (q + 1) STORED, CONSTRAINT u UNIQUE (q, r)); CREATE INDEX i ON a (r) WHERE q > 3; CREATE INDEX e ON a (lower(n)); CREATE TABLE b (n text REFERENCES a (n))", "CREATE TABLE a (id serial PRIMARY KEY); CREATE TABLE b (n text)", rows="INSERT INTO a (n, q) VALUES ('a', 1), ('b', 2)"),
    DraftCase("serial to identity", "CREATE TABLE geo (id serial PRIMARY KEY, name text)", "CREATE TABLE geo (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text)", rows="INSERT INTO geo (name) VALUES ('a'), ('b'); DELETE FROM geo WHERE name = 'b'", holds="SELECT nextval('geo_id_seq') = 3"),
    DraftCase("serial to identity, of rows with values of their own", "CREATE TABLE geo (id serial PRIMARY KEY, name text)", "CREATE TABLE geo (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text)", rows="INSERT INTO geo VALUES (7, 'a')", holds="SELECT nextval('geo_id_seq') = 8"),
    DraftCase("serial to identity of another type, odd name", 'CREATE TABLE "G eo" ("I%d" serial PRIMARY KEY)', 'CREATE TABLE "G eo" ("I%d" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)', rows='INSERT INTO "G eo" DEFAULT VALUES'),
    DraftCase("serial becomes bigint", "CREATE TABLE geo (id serial PRIMARY KEY, name text); CREATE TABLE x (g int REFERENCES geo)", "CREATE TABLE geo (id bigserial PRIMARY KEY, name text); CREATE TABLE x (g bigint REFERENCES geo)", rows="INSERT INTO geo (name) VALUES ('a'), ('b')"),
    DraftCase("serial comes and goes", "CREATE TABLE a (id serial PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id serial PRIMARY KEY)", "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id serial PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY DEFAULT 7)", rows="INSERT INTO b VALUES (5)", holds="SELECT nextval('b_id_seq') = 6"),
    DraftCase("identity comes, goes and changes", "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int GENERATED ALWAYS AS IDENTITY); CREATE TABLE c (id int GENERATED ALWAYS AS IDENTITY); CREATE TABLE d (id int GENERATED BY DEFAULT AS IDENTITY (START 10 INCREMENT 5 CYCLE)); CREATE TABLE e (id int DEFAULT 4)", "CREATE TABLE a (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY); CREATE TABLE b (id int); CREATE TABLE c (id int GENERATED BY DEFAULT AS IDENTITY (INCREMENT 7)); CREATE TABLE d (id int GENERATED BY DEFAULT AS IDENTITY (MINVALUE 100)); CREATE TABLE e (id int GENERATED ALWAYS AS IDENTITY)", rows="INSERT INTO a VALUES (9); INSERT INTO d DEFAULT VALUES; UPDATE d SET id = 200", holds="SELECT nextval('a_id_seq') = 10 AND nextval('d_id_seq') = 201"),
    DraftCase("identity of another type", "CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)", "CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)", rows="INSERT INTO a DEFAULT VALUES"),
    DraftCase("type changes with using", "CREATE TABLE subs (id int PRIMARY KEY, remote varchar(255) NOT NULL, state text NOT NULL DEFAULT 'new', flag boolean NOT NULL DEFAULT false); CREATE INDEX ix ON subs (remote)", "CREATE TABLE subs (id int PRIMARY KEY, remote uuid NOT NULL, state state NOT NULL DEFAULT 'new', flag integer NOT NULL DEFAULT 0); CREATE INDEX ix ON subs (remote)", prepare=ENUM, rows="INSERT INTO subs VALUES (1, gen_random_uuid())"),
    DraftCase("type changes by assignment", "CREATE TABLE t (a int DEFAULT 1, b varchar(5) DEFAULT 'x', c timestamp DEFAULT now(), d numeric(5,2), e json, f state, g int[], h real)", "CREATE TABLE t (a bigint DEFAULT '1', b text DEFAULT 'x', c timestamptz DEFAULT now(), d numeric(9,4), e jsonb, f text, g bigint[], h double precision)", prepare=ENUM, rows="""INSERT INTO t VALUES (1, 'a', now(), 1.5, '{}', 'new', '{1}', 1)"""),
    DraftCase("type changes of arrays and booleans", "CREATE TABLE t (a text, b text[], c boolean DEFAULT true, d state, e text[] DEFAULT '{}', f boolean)", "CREATE TABLE t (a text[], b uuid[], c bigint DEFAULT 1, d other, e state[] DEFAULT '{}', f smallint)", prepare=ENUM, rows="INSERT INTO t VALUES ('a', '{}', true, 'new', '{new}', true)"),
    DraftCase("type in an index and a check", "CREATE TABLE t (a text, b varchar(9), CONSTRAINT ck CHECK (a <> 'x'), UNIQUE (b)); CREATE INDEX i ON t (a text_pattern_ops) WHERE a = 'new'; CREATE INDEX j ON t (lower(b))", "CREATE TABLE t (a state, b text, CONSTRAINT ck CHECK (a <> 'old'), UNIQUE (b)); CREATE INDEX i ON t (a) WHERE a = 'new'; CREATE INDEX j ON t (lower(b))", prepare=ENUM, rows="INSERT INTO t VALUES ('new', 'b')"),
    DraftCase("key and reference change type together", "CREATE TABLE a (id text PRIMARY KEY); CREATE TABLE b (a_id text REFERENCES a)", "CREATE TABLE a (id uuid PRIMARY KEY); CREATE TABLE b (a_id uuid REFERENCES a)", rows="INSERT INTO a VALUES ('00000000-0000-0000-0000-000000000001'); INSERT INTO b SELECT id FROM a"),
    DraftCase("no cast", "CREATE TABLE t (a date)", "CREATE TABLE t (a integer)", undecided="no cast from date to integer"),
    DraftCase("no cast, and not null", "CREATE TABLE t (a date)", "CREATE TABLE t (a integer NOT NULL DEFAULT 4)", undecided="no cast from date to integer", expect=["TYPE INTEGER", "SET NOT NULL", "SET DEFAULT"]),
    DraftCase("array to one value", "CREATE TABLE t (a text[])", "CREATE TABLE t (a text)", undecided="no cast from text[] to text"),
    DraftCase("declared using", model(ID, sa.Column("d", sa.Date)), model(ID, sa.Column("d", sa.Integer, info={"postgresql_using": "extract(year from d)::integer", "postgresql_using_downgrade": "make_date(d, 1, 1)"})), rows="INSERT INTO t VALUES (1, '2020-01-01')", holds="SELECT d = 2020 FROM t"),
    DraftCase("not null and defaults", "CREATE TABLE t (a int, b int NOT NULL, c text DEFAULT 'x', d text, e int NOT NULL DEFAULT 1)", "CREATE TABLE t (a int NOT NULL DEFAULT 5, b int, c text, d text DEFAULT '%x:y\\z', e int NOT NULL DEFAULT 2)", rows="INSERT INTO t VALUES (NULL, 1)", holds="SELECT a = 5 FROM t"),
    DraftCase("not null with a backfill", model(ID, sa.Column("d", sa.Text)), model(ID, sa.Column("d", sa.Text, nullable=False, info={"backfill": "'n' || id"}), sa.Column("e", sa.Integer, nullable=False, info={"backfill": "id * 2"})), rows="INSERT INTO t VALUES (4)", holds="SELECT d = 'n4' AND e = 8 FROM t"),
    DraftCase("new column not null", "CREATE TABLE t (a int)", "CREATE TABLE t (a int, b text NOT NULL)", undecided="column t.b is NOT NULL without a default"),
    DraftCase("dropped columns come back not null", REFERENCED + "CREATE TABLE t (x int, a text NOT NULL, b int NOT NULL UNIQUE, c int NOT NULL REFERENCES a, d uuid NOT NULL, e state NOT NULL, f text[] NOT NULL, g jsonb NOT NULL, h timestamptz NOT NULL)", REFERENCED + "CREATE TABLE t (x int)", prepare=ENUM, rows="INSERT INTO a VALUES (7, 7); INSERT INTO t VALUES (1, 'a', 1, 7, gen_random_uuid(), 'new', '{}', '1', now()), (2, 'b', 2, 7, gen_random_uuid(), 'new', '{}', '1', now())"),
    DraftCase("a column of two foreign keys comes back not null", REFERENCED + "CREATE TABLE b (id int PRIMARY KEY, x int, UNIQUE (x, id)); CREATE TABLE t (n int, x int, a int NOT NULL REFERENCES a REFERENCES b, FOREIGN KEY (x, a) REFERENCES b (x, id))", REFERENCED + "CREATE TABLE b (id int PRIMARY KEY, x int, UNIQUE (x, id)); CREATE TABLE t (n int, x int)", rows="INSERT INTO a (id) VALUES (1), (2), (3), (4); INSERT INTO b VALUES (2, 1), (3, 2), (5, 2), (4, 2); INSERT INTO t VALUES (1, 2, 3)"),
    DraftCase("generated columns", "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int, d int GENERATED ALWAYS AS (a) STORED, e int GENERATED ALWAYS AS (c) STORED UNIQUE, z int); CREATE INDEX ie ON t (e) WHERE e > 2; COMMENT ON COLUMN t.e IS 'e'; COMMENT ON INDEX ie IS 'ie'", "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 3) STORED, c bigint, d int, e int GENERATED ALWAYS AS (c) STORED UNIQUE, z int GENERATED ALWAYS AS (a + 1) STORED, n int, y int GENERATED ALWAYS AS (n) STORED); CREATE INDEX ie ON t (e) WHERE e > 2; COMMENT ON COLUMN t.e IS 'e'; COMMENT ON INDEX ie IS 'ie'", rows="INSERT INTO t (a, c) VALUES (1, 2)", holds="SELECT b = 3 AND e = 2 FROM t"),
    DraftCase("virtual generated columns", "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int GENERATED ALWAYS AS (a) VIRTUAL)", "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL, c int, d text GENERATED ALWAYS AS ('x:' || a) VIRTUAL); CREATE TABLE n (a int, b int GENERATED ALWAYS AS (a) VIRTUAL)", since=18),
    DraftCase("collations", "CREATE TABLE t (a text, b text COLLATE \"C\", c varchar(5) COLLATE \"C\"); CREATE INDEX i ON t (a)", "CREATE TABLE t (a text COLLATE \"C\", b text, c varchar(9) COLLATE \"POSIX\"); CREATE INDEX i ON t (a)", rows="INSERT INTO t VALUES ('a')"),
    DraftCase("primary key changes", "CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL); CREATE TABLE f (a_id int REFERENCES a)", "CREATE TABLE a (id int UNIQUE, b int NOT NULL PRIMARY KEY); CREATE TABLE f (a_id int REFERENCES a (id))", rows="INSERT INTO a VALUES (1, 2); INSERT INTO f VALUES (1)"),
    DraftCase("key of a foreign key is made again", "CREATE TABLE a (id int, n int, CONSTRAINT pk PRIMARY KEY (id)); CREATE TABLE f (a_id int REFERENCES a ON DELETE CASCADE); COMMENT ON CONSTRAINT f_a_id_fkey ON f IS 'c'", "CREATE TABLE a (id int, n int, CONSTRAINT pk PRIMARY KEY (id) INCLUDE (n)); CREATE TABLE f (a_id int REFERENCES a ON DELETE CASCADE); COMMENT ON CONSTRAINT f_a_id_fkey ON f IS 'c'", rows="INSERT INTO a VALUES (1, 2); INSERT INTO f VALUES (1)"),
    DraftCase("unique index of a foreign key is made again", "CREATE TABLE a (id int, n int); CREATE UNIQUE INDEX ui ON a (id); CREATE TABLE f (a_id int REFERENCES a (id))", "CREATE TABLE a (id int, n int); CREATE UNIQUE INDEX ui ON a (id) INCLUDE (n); CREATE TABLE f (a_id int REFERENCES a (id)); CREATE TABLE g (a_id int REFERENCES a (id))"),
    DraftCase("foreign keys change", REFERENCED + "CREATE TABLE f (a int, b int, c int, CONSTRAINT x FOREIGN KEY (a) REFERENCES a, CONSTRAINT y FOREIGN KEY (b) REFERENCES a (n) ON DELETE CASCADE, CONSTRAINT z FOREIGN KEY (c) REFERENCES a)", REFERENCED + "CREATE TABLE f (a int, b int, c int, CONSTRAINT x FOREIGN KEY (a) REFERENCES a ON DELETE SET NULL ON UPDATE RESTRICT DEFERRABLE, CONSTRAINT y FOREIGN KEY (b) REFERENCES a, FOREIGN KEY (c) REFERENCES a (n))"),
    DraftCase("checks and keys change", "CREATE TABLE t (a int, b int, n text, CONSTRAINT c1 CHECK (a > 0), CONSTRAINT c2 CHECK (b > 0) NO INHERIT, CONSTRAINT u UNIQUE (a), CONSTRAINT u2 UNIQUE (b) DEFERRABLE)", "CREATE TABLE t (a int, b int, n text, CONSTRAINT c1 CHECK (a > 1 AND n LIKE '%:x\\%' AND n <> '%(a)s'), CONSTRAINT c2 CHECK (b > 0), CONSTRAINT u UNIQUE (a, b), CONSTRAINT u2 UNIQUE (b) DEFERRABLE INITIALLY DEFERRED)"),
    DraftCase("validated", REFERENCED + "CREATE TABLE t (a int, b int); ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID; ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES a NOT VALID", REFERENCED + "CREATE TABLE t (a int, b int, CONSTRAINT c CHECK (a > 0), CONSTRAINT f FOREIGN KEY (b) REFERENCES a)", expect=["VALIDATE CONSTRAINT c", "VALIDATE CONSTRAINT f"]),
    DraftCase("not null is validated", "CREATE TABLE t (a int); ALTER TABLE t ADD CONSTRAINT nn NOT NULL a NOT VALID", "CREATE TABLE t (a int NOT NULL)", since=18, expect=["VALIDATE CONSTRAINT nn"]),
    DraftCase("exclusion constraints", "CREATE TABLE t (r tsrange, x int4range, CONSTRAINT e EXCLUDE USING gist (r WITH &&))", "CREATE TABLE t (r tsrange, x int4range, CONSTRAINT e EXCLUDE USING gist (r WITH &&, x WITH =) WHERE (lower(x) > 5) DEFERRABLE)"),
    DraftCase("indexes", "CREATE TABLE t (a text, b int, j jsonb, r int4range); CREATE INDEX i1 ON t (a); CREATE INDEX i2 ON t (b); CREATE UNIQUE INDEX i3 ON t (a, b); CREATE INDEX i4 ON t USING gin (j)", "CREATE TABLE t (a text, b int, j jsonb, r int4range); CREATE INDEX i1 ON t (a text_pattern_ops, b DESC NULLS LAST) INCLUDE (r) WITH (fillfactor=70, deduplicate_items=off) WHERE b > 3 AND a LIKE '%:x'; CREATE INDEX i2 ON t USING hash (b); CREATE INDEX i3 ON t (a COLLATE \"C\", (b + 1), lower(a)); CREATE INDEX i4 ON t USING gin (j jsonb_path_ops); CREATE INDEX i5 ON t USING gist (r); CREATE INDEX i6 ON t USING brin (b) WITH (pages_per_range=4); CREATE UNIQUE INDEX i7 ON t ((a || ':x%'))"),
    DraftCase("unique constraint and unique index", "CREATE TABLE t (a int, b int, CONSTRAINT u UNIQUE (a)); CREATE UNIQUE INDEX v ON t (b)", "CREATE TABLE t (a int, b int, CONSTRAINT v UNIQUE (b)); CREATE UNIQUE INDEX u ON t (a)"),
    DraftCase("settings of a key's index", "CREATE TABLE t (a int, CONSTRAINT u UNIQUE (a) WITH (fillfactor=70)); CREATE TABLE d (a int PRIMARY KEY) WITH (fillfactor=50)", "CREATE TABLE t (a int)"),
    DraftCase("comments", "CREATE TABLE t (a int, b int, CONSTRAINT u UNIQUE (a)); CREATE INDEX i ON t (b); COMMENT ON TABLE t IS 'x'; COMMENT ON COLUMN t.b IS 'b'; COMMENT ON INDEX i IS 'i'", "CREATE TABLE t (a int, b int, CONSTRAINT u UNIQUE (a)); CREATE INDEX i ON t (b); COMMENT ON TABLE t IS 'y :z 10% %s'; COMMENT ON COLUMN t.a IS E'it''s\\\\n'; COMMENT ON CONSTRAINT u ON t IS 'u'"),
    DraftCase("comment goes", "CREATE TABLE t (a int); COMMENT ON TABLE t IS 'x'", "CREATE TABLE t (a int)"),
    DraftCase("types without a class", "CREATE TABLE t (x int)", "CREATE TABLE t (x int, a pt, b tsvector, c dom, d dom[], e state[], f xid, g bit(3), h varbit(5), i interval day to second(3)); CREATE TABLE n (a pt NOT NULL)", prepare=ENUM + "; CREATE TYPE pt AS (x int, y int); CREATE DOMAIN dom AS text CHECK (VALUE <> '')"),
    DraftCase("declared renames, into another schema", former_orders, renamed_orders, after_sql='CREATE SCHEMA "new 1"', upgrade_sql='CREATE SCHEMA IF NOT EXISTS "new 1"', rows="""INSERT INTO "Order s" (qty, n, s) VALUES (5, 'x', 'a')""", holds="""SELECT quantity = 5 AND n = 'x' AND s = 'z:%%' FROM "new 1".purchases""", expect=["RENAME qty TO", "RENAME VALUE"]),
    DraftCase("renamed labels of an enum class", model(ID, sa.Column("k", sa.Enum("a", "other", name="kind"))), model(ID, sa.Column("k", sa.Enum(Kind, name="kind"))), rows="INSERT INTO t (k) VALUES ('a')", holds="SELECT k = 'new' FROM t"),
    DraftCase("a mark without the old name", model(ID), model(sa.Column("id", sa.Integer, primary_key=True, info={"renamed_from": "old"}), info={"renamed_from": "s"})),
    DraftCase("names only", REFERENCED + "CREATE TABLE t (id int CONSTRAINT p1 PRIMARY KEY, x int CONSTRAINT f1 REFERENCES a, CONSTRAINT c1 CHECK (x > 0), CONSTRAINT u1 UNIQUE (x)); CREATE INDEX i1 ON t (x); CREATE INDEX \"j.1\" ON t (lower(x::text)); CREATE TABLE r (x int REFERENCES t)", REFERENCED + "CREATE TABLE t (id int CONSTRAINT p2 PRIMARY KEY, x int CONSTRAINT \"f%2\" REFERENCES a, CONSTRAINT c2 CHECK (x > 0), CONSTRAINT u2 UNIQUE (x)); CREATE INDEX \"i %2\" ON t (x); CREATE INDEX j2 ON t (lower(x::text)); CREATE TABLE r (x int REFERENCES t)", expect=["RENAME CONSTRAINT c1 TO c2", "ALTER INDEX i1 RENAME"]),
    DraftCase("table with an identity is renamed", "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, n int GENERATED BY DEFAULT AS IDENTITY)", lambda metadata: sa.Table("U x", metadata, sa.Column("id", sa.Integer, sa.Identity(always=True), nullable=False), sa.Column("m", sa.Integer, sa.Identity(), nullable=False, info={"renamed_from": "n"}), info={"renamed_from": "t"}), expect=["ALTER SEQUENCE t_id_seq RENAME"], holds="""SELECT to_regclass('"U x_id_seq"') IS NOT NULL AND to_regclass('"U x_m_seq"') IS NOT NULL"""),
    DraftCase("identity within limits", "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id serial PRIMARY KEY); CREATE TABLE c (id int GENERATED ALWAYS AS IDENTITY); CREATE TABLE d (id int)", "CREATE TABLE a (id int GENERATED BY DEFAULT AS IDENTITY (START 100 INCREMENT 7 MAXVALUE 10000 CYCLE) PRIMARY KEY); CREATE TABLE b (id int GENERATED BY DEFAULT AS IDENTITY (MINVALUE 50) PRIMARY KEY); CREATE TABLE c (id int GENERATED ALWAYS AS IDENTITY (MAXVALUE 1000)); CREATE TABLE d (id serial)", rows="INSERT INTO a VALUES (1000005), (-3); INSERT INTO b DEFAULT VALUES; INSERT INTO c OVERRIDING SYSTEM VALUE VALUES (5000); INSERT INTO d VALUES (0), (-5)"),
    DraftCase("one value and an array", "CREATE TABLE t (a text, b int, c varchar(9), d uuid)", "CREATE TABLE t (a int[], b text[], c state[], d uuid[])", prepare=ENUM, rows="INSERT INTO t VALUES ('1', 2, 'new', gen_random_uuid())", holds="SELECT a = '{1}' AND b = '{2}' AND c = '{new}' FROM t"),
    DraftCase("type and not null with the new default", "CREATE TABLE t (a text, b int)", "CREATE TABLE t (a bigint NOT NULL DEFAULT 4, b int)", rows="INSERT INTO t VALUES (NULL), ('3')"),
    DraftCase("generated column goes with its base changed", "CREATE TABLE t (a int, g int GENERATED ALWAYS AS (a * 2) STORED)", "CREATE TABLE t (a boolean, h boolean GENERATED ALWAYS AS (NOT a) STORED)", rows="INSERT INTO t VALUES (1)"),
]  # fmt: skip
