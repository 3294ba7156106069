"""The cases of test_draft_objects.py."""

from dbkit.drafts.steps import Phase
from support.object_drafts import Case

TYPES = [
    Case("enum comes", after="CREATE TYPE mood AS ENUM ('sad', 'ok')"),
    Case("enum goes", before="CREATE TYPE mood AS ENUM ('sad', 'ok'); COMMENT ON TYPE mood IS 'x'"),
    Case(
        "enum with odd names",
        after="""CREATE SCHEMA "a.b c"; CREATE TYPE "a.b c"."Re""act ü" AS ENUM
            (':smile:', '50%', 'it''s', 'a :b', E'back\\\\slash', 'x::y', '$$', '');
            COMMENT ON TYPE "a.b c"."Re""act ü" IS '%s :x $$ \\';
            GRANT USAGE ON TYPE "a.b c"."Re""act ü" TO postgres""",
    ),
    Case(
        "value added at the end",
        before="CREATE TYPE mood AS ENUM ('sad', 'ok')",
        after="CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s')",
        both="",
        has=("ADD VALUE IF NOT EXISTS 'it''s'",),
        has_not=("autocommit", "RENAME"),
    ),
    Case(
        "values added in places",
        before="""CREATE TYPE mood AS ENUM ('b', 'd'); CREATE TABLE t (m mood DEFAULT 'b')""",
        after="""CREATE TYPE mood AS ENUM ('a', 'b', 'c', 'd', 'e', 'f'); CREATE TABLE t (m mood DEFAULT 'b')""",
        rows="INSERT INTO t VALUES ('b'), ('d')",
        more_rows="INSERT INTO t VALUES ('a'), ('f')",
        has=("BEFORE 'b'", "AFTER 'b'"),
        has_not=("RENAME",),
    ),
    Case(
        "value added to no values",
        before="CREATE TYPE mood AS ENUM ()",
        after="CREATE TYPE mood AS ENUM ('a', 'b')",
    ),
    Case(
        "value added and used as default",
        before="CREATE TYPE mood AS ENUM ('b', 'd'); CREATE TABLE t (m mood DEFAULT 'b')",
        after="CREATE TYPE mood AS ENUM ('a', 'b', 'd'); CREATE TABLE t (m mood DEFAULT 'a')",
        up=((Phase.ALTER_COLUMN, "ALTER TABLE t ALTER m SET DEFAULT 'a'", "column t.m"),),
        down=((Phase.ALTER_COLUMN, "ALTER TABLE t ALTER m SET DEFAULT 'b'", "column t.m"),),
        has=("/* autocommit */ ALTER TYPE mood ADD VALUE IF NOT EXISTS 'a' BEFORE 'b'",),
    ),
    Case(
        "label removed",
        before="""CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('a', 'b', 'c');
            CREATE TABLE t (m s.mood NOT NULL DEFAULT 'a', ms s.mood[] DEFAULT '{a,b}', n int);
            CREATE INDEX ix ON t (m) WHERE m = 'a'; CREATE INDEX ix2 ON t (m);
            ALTER TABLE t ADD CONSTRAINT ck CHECK (m <> 'b' OR n > 0);
            COMMENT ON CONSTRAINT ck ON t IS 'why'""",
        after="""CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('a', 'b');
            CREATE TABLE t (m s.mood NOT NULL DEFAULT 'a', ms s.mood[] DEFAULT '{a,b}', n int);
            CREATE INDEX ix ON t (m) WHERE m = 'a'; CREATE INDEX ix2 ON t (m);
            ALTER TABLE t ADD CONSTRAINT ck CHECK (m <> 'b' OR n > 0);
            COMMENT ON CONSTRAINT ck ON t IS 'why'""",
        left="CREATE TABLE other (m s.mood DEFAULT 'b'); CREATE VIEW v AS SELECT m FROM t WHERE m = 'a'",
        rows="INSERT INTO t VALUES ('a', '{a,b}', 0), ('b', NULL, 1)",
    ),
    Case(
        "labels in another order",
        before="CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE t (m mood)",
        after="CREATE TYPE mood AS ENUM ('b', 'a', 'c'); CREATE TABLE t (m mood)",
        rows="INSERT INTO t VALUES ('a'), ('b'), (NULL)",
        more_rows="INSERT INTO t VALUES ('c')",
    ),
    Case(
        "enum in other types",
        before="""CREATE TYPE mood AS ENUM ('a', 'b', 'c'); CREATE DOMAIN good AS mood CHECK (VALUE <> 'b');
            CREATE TYPE pair AS (m mood, n int); CREATE TYPE span AS RANGE (SUBTYPE = mood);
            CREATE TABLE t (g good DEFAULT 'a', p pair, s span, ps pair[])""",
        after="""CREATE TYPE mood AS ENUM ('c', 'b', 'a'); CREATE DOMAIN good AS mood CHECK (VALUE <> 'b');
            CREATE TYPE pair AS (m mood, n int); CREATE TYPE span AS RANGE (SUBTYPE = mood);
            CREATE TABLE t (g good DEFAULT 'a', p pair, s span, ps pair[])""",
        rows="INSERT INTO t VALUES ('a', '(b,1)', '[a,a]', '{\"(a,1)\"}')",
    ),
    Case(
        "enum with functions, foreign keys and generated columns",
        before="""CREATE TYPE mood AS ENUM ('a', 'b', 'c');
            CREATE FUNCTION f(m mood) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
            CREATE TABLE p (m mood PRIMARY KEY);
            CREATE TABLE t (m mood REFERENCES p, x int GENERATED ALWAYS AS (CASE WHEN m = 'a' THEN 1 END) STORED,
                y int DEFAULT f('a'), CHECK (f(m) > 0));
            CREATE INDEX ix ON t (x); COMMENT ON COLUMN t.x IS 'generated'""",
        after="""CREATE TYPE mood AS ENUM ('a', 'c');
            CREATE FUNCTION f(m mood) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
            CREATE TABLE p (m mood PRIMARY KEY);
            CREATE TABLE t (m mood REFERENCES p, x int GENERATED ALWAYS AS (CASE WHEN m = 'a' THEN 1 END) STORED,
                y int DEFAULT f('a'), CHECK (f(m) > 0));
            CREATE INDEX ix ON t (x); COMMENT ON COLUMN t.x IS 'generated'""",
        rows="INSERT INTO p VALUES ('a'); INSERT INTO t VALUES ('a')",
    ),
]
DOMAINS = [
    Case(
        "domain comes",
        after="""CREATE TYPE m AS ENUM ('a'); CREATE DOMAIN z AS m DEFAULT 'a' NOT NULL;
            CREATE DOMAIN "e mail" AS varchar(40) COLLATE "C" CONSTRAINT "%" CHECK (VALUE LIKE '%@:x%');
            COMMENT ON DOMAIN "e mail" IS 'd'; COMMENT ON CONSTRAINT "%" ON DOMAIN "e mail" IS 'c'""",
    ),
    Case(
        "domain changes",
        before="CREATE DOMAIN d AS text DEFAULT 'x' CONSTRAINT a CHECK (VALUE <> 'a'); CREATE TABLE t (d d)",
        after="""CREATE DOMAIN d AS text NOT NULL DEFAULT 'y' CONSTRAINT a CHECK (VALUE <> 'b')
            CONSTRAINT c CHECK (VALUE <> ''); CREATE TABLE t (d d); COMMENT ON DOMAIN d IS 'x'""",
        rows="INSERT INTO t VALUES ('x')",
        has_not=("RENAME",),
    ),
    Case(
        "domain of another type, with a view",
        before="CREATE DOMAIN d AS int CHECK (VALUE > 0); CREATE TABLE t (d d)",
        after="CREATE DOMAIN d AS bigint CHECK (VALUE > 1); CREATE TABLE t (d d)",
        left="CREATE VIEW v AS SELECT d FROM t; CREATE MATERIALIZED VIEW w AS SELECT d FROM v; CREATE INDEX wi ON w (d)",
        rows="INSERT INTO t VALUES (2)",
    ),
    Case(
        "domain in arrays gets a check",
        before="CREATE DOMAIN d AS int; CREATE TABLE t (d d[])",
        after="CREATE DOMAIN d AS int CHECK (VALUE > 1); CREATE TABLE t (d d[])",
        rows="INSERT INTO t VALUES ('{2}')",
    ),
]
OTHER_TYPES = [
    Case(
        "composite types",
        before="""CREATE TYPE a AS (x int, y text COLLATE "C", z int); CREATE TYPE used AS (x int, y int);
            CREATE TABLE t (u used, us used[])""",
        after="""CREATE TYPE a AS (x bigint, y text, n numeric(10,2)); CREATE TYPE used AS (x bigint, y int);
            CREATE TYPE c AS ("A b" int); CREATE TABLE t (u used, us used[])""",
        rows="INSERT INTO t VALUES ('(1,2)', '{\"(1,2)\"}')",
    ),
    Case(
        "ranges",
        before="CREATE TYPE r AS RANGE (SUBTYPE = float8); CREATE TABLE t (r r)",
        after="""CREATE TYPE r AS RANGE (SUBTYPE = numeric); CREATE TABLE t (r r);
            CREATE TYPE q AS RANGE (SUBTYPE = text, COLLATION = "C", SUBTYPE_OPCLASS = text_pattern_ops)""",
        rows="INSERT INTO t VALUES ('[1,2]')",
    ),
]
SEQUENCES = [
    Case(
        "sequences",
        before="CREATE SEQUENCE a START 5; CREATE SEQUENCE b AS int; CREATE SEQUENCE d MINVALUE 1 MAXVALUE 10",
        after="""CREATE SEQUENCE a START 7 INCREMENT 2 CYCLE CACHE 3; CREATE SEQUENCE b AS bigint;
            CREATE SCHEMA "x y"; CREATE SEQUENCE "x y"."n'o" START 1000 MINVALUE 10; CREATE SEQUENCE c INCREMENT -1;
            CREATE SEQUENCE d MINVALUE 3 MAXVALUE 9; COMMENT ON SEQUENCE c IS 'x'""",
        rows="SELECT nextval('a')",
    ),
]
CASES = [*TYPES, *DOMAINS, *OTHER_TYPES, *SEQUENCES]
T = "CREATE TABLE t (id int PRIMARY KEY, a int, b text);"
SQL_OBJECTS = [
    Case(
        "views come, with all that belongs to them",
        both=T,
        after="""CREATE VIEW "v w" WITH (security_barrier, check_option=local) AS SELECT id, '%:x $$'::text AS "B c" FROM t;
            COMMENT ON VIEW "v w" IS 'it''s'; COMMENT ON COLUMN "v w".id IS 'x'; GRANT SELECT ON "v w" TO PUBLIC;
            CREATE MATERIALIZED VIEW m AS SELECT * FROM "v w" WITH NO DATA; CREATE UNIQUE INDEX mi ON m (id);
            CREATE FUNCTION ins() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END $f$;
            CREATE TRIGGER i INSTEAD OF INSERT ON "v w" FOR EACH ROW EXECUTE FUNCTION ins();
            CREATE RULE r AS ON DELETE TO "v w" DO INSTEAD NOTHING""",
        rows="INSERT INTO t VALUES (1)",
    ),
    Case(
        "view gets a column at its end",
        both=T,
        before="CREATE VIEW v AS SELECT id FROM t; CREATE VIEW w AS SELECT id FROM v",
        after="CREATE VIEW v AS SELECT id, a FROM t; CREATE VIEW w AS SELECT id FROM v",
        has=("CREATE OR REPLACE VIEW v",),
        has_not=("DROP",),
    ),
    Case(
        "view loses a column under others",
        both=T + "CREATE VIEW u AS SELECT 1 AS x",
        before="CREATE VIEW v AS SELECT id, a FROM t; CREATE VIEW w AS SELECT id FROM v; GRANT SELECT ON w TO PUBLIC",
        after="CREATE VIEW v AS SELECT id FROM t; CREATE VIEW w AS SELECT id FROM v; GRANT SELECT ON w TO PUBLIC",
        left="""CREATE MATERIALIZED VIEW z AS SELECT id FROM w; CREATE INDEX zi ON z (id); COMMENT ON INDEX zi IS 'x';
            COMMENT ON MATERIALIZED VIEW z IS 'left'""",
    ),
    Case(
        "functions",
        both=T,
        before="""CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION same() RETURNS text
            LANGUAGE sql AS $$ SELECT 'a%' $$; CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'""",
        after="""CREATE FUNCTION f(b int, c int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1';
            CREATE FUNCTION same() RETURNS text LANGUAGE sql STABLE AS $$ SELECT E'b:%\\n' -- x$$;
            CREATE FUNCTION "o d"(VARIADIC x text[], OUT y int, OUT z int) LANGUAGE sql AS 'SELECT 1, id FROM t';
            CREATE FUNCTION atomic() RETURNS bigint RETURN (SELECT count(*) FROM t);
            REVOKE ALL ON FUNCTION same() FROM PUBLIC; COMMENT ON FUNCTION f(int, int) IS 'f'""",
        has=("CREATE OR REPLACE FUNCTION same",),
    ),
    Case(
        "function with another result under its users",
        before="""CREATE FUNCTION f(x int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
            CREATE TABLE u (a int DEFAULT f(1), b int GENERATED ALWAYS AS (f(a)) STORED, CHECK (f(a) > 0));
            CREATE INDEX ui ON u (f(a)); CREATE VIEW v AS SELECT f(a) > 0 AS x FROM u;
            CREATE POLICY p ON u USING (f(a) > 0); CREATE DOMAIN d AS int CHECK (f(VALUE) > 0)""",
        after="""CREATE FUNCTION f(y int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1';
            CREATE TABLE u (a int DEFAULT f(1), b int GENERATED ALWAYS AS (f(a)) STORED, CHECK (f(a) > 0));
            CREATE INDEX ui ON u (f(a)); CREATE VIEW v AS SELECT f(a) > 0 AS x FROM u;
            CREATE POLICY p ON u USING (f(a) > 0); CREATE DOMAIN d AS int CHECK (f(VALUE) > 0)""",
        rows="INSERT INTO u VALUES (1)",
    ),
    Case(
        "triggers, policies, row security, grants, rules, statistics",
        both=T + "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        before="""CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); CREATE POLICY p ON t USING (a > 0);
            GRANT SELECT, UPDATE ON t TO PUBLIC; GRANT SELECT (a) ON t TO PUBLIC""",
        after="""CREATE TRIGGER a BEFORE INSERT OR UPDATE OF b ON t FOR EACH ROW WHEN (NEW.b <> '%') EXECUTE FUNCTION f();
            ALTER TABLE t DISABLE TRIGGER a; CREATE POLICY p ON t AS RESTRICTIVE FOR SELECT TO PUBLIC USING (a > 1);
            CREATE POLICY q ON t FOR INSERT WITH CHECK (b <> ':x'); ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
            GRANT SELECT ON t TO PUBLIC WITH GRANT OPTION; GRANT UPDATE (b), INSERT (b) ON t TO PUBLIC;
            CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING; CREATE STATISTICS s ON a, b FROM t;
            COMMENT ON POLICY q ON t IS 'x'; COMMENT ON TRIGGER a ON t IS 'y'""".replace(
            "TO PUBLIC WITH GRANT OPTION", "TO PUBLIC"
        ),
    ),
    Case(
        "new table with triggers and policies",
        after=T
        + """CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
            CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); CREATE POLICY p ON t USING (a > 0);
            ALTER TABLE t ENABLE ROW LEVEL SECURITY; GRANT SELECT ON t TO PUBLIC; COMMENT ON POLICY p ON t IS 'x'""",
        up=((Phase.CREATE_TABLE, T, "table t"),),
        down=((Phase.DROP_TABLE, "DROP TABLE t", "table t"),),
    ),
    Case("extension", after="CREATE EXTENSION citext; CREATE DOMAIN c AS citext"),
]
DEPENDENTS = [
    Case(
        "column of views gets another type",
        before=T,
        after="CREATE TABLE t (id int PRIMARY KEY, a bigint, b text)",
        left="""CREATE VIEW v AS SELECT a, b FROM t; CREATE MATERIALIZED VIEW w AS SELECT a FROM v; CREATE INDEX wi ON w (a);
            CREATE POLICY p ON t USING (a > 0); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
            CREATE TRIGGER tr BEFORE UPDATE OF a ON t FOR EACH ROW WHEN (NEW.a > 0) EXECUTE FUNCTION f();
            CREATE RULE r AS ON DELETE TO t WHERE OLD.a > 0 DO INSTEAD NOTHING;
            CREATE FUNCTION at() RETURNS bigint RETURN (SELECT max(a) FROM t);
            COMMENT ON VIEW v IS 'x'; GRANT SELECT ON v TO PUBLIC; COMMENT ON RULE r ON t IS 'x'""",
        rows="INSERT INTO t VALUES (1, 2, 'x')",
        up=((Phase.ALTER_COLUMN, "ALTER TABLE t ALTER a TYPE bigint", "column t.a"),),
        down=((Phase.ALTER_COLUMN, "ALTER TABLE t ALTER a TYPE int", "column t.a"),),
    ),
    Case(
        "column under generated column gets another type",
        before="CREATE TABLE t (a int, g int GENERATED ALWAYS AS (a + 1) STORED NOT NULL UNIQUE); CREATE INDEX i ON t (g)",
        after="CREATE TABLE t (a bigint, g int GENERATED ALWAYS AS (a + 1) STORED NOT NULL UNIQUE); CREATE INDEX i ON t (g)",
        left="CREATE VIEW v AS SELECT g FROM t",
        rows="INSERT INTO t VALUES (1)",
        up=((Phase.ALTER_COLUMN, "ALTER TABLE t ALTER a TYPE bigint", "column t.a"),),
        down=((Phase.ALTER_COLUMN, "ALTER TABLE t ALTER a TYPE int", "column t.a"),),
    ),
    Case(
        "column of a left view is dropped",
        before=T,
        after="CREATE TABLE t (id int PRIMARY KEY, b text)",
        left="CREATE VIEW v AS SELECT a FROM t; CREATE VIEW w AS SELECT * FROM v; CREATE VIEW k AS SELECT id FROM t",
        up=((Phase.DROP_COLUMN, "ALTER TABLE t DROP a", "column t.a"),),
        down=((Phase.ADD_COLUMN, "ALTER TABLE t ADD a int", "column t.a"),),
        lost=("view v", "view w"),
    ),
    Case(
        "table of a left view is dropped",
        before=T,
        left="CREATE VIEW v AS SELECT a FROM t; COMMENT ON VIEW v IS 'x'",
        up=((Phase.DROP_TABLE, "DROP TABLE t", "table t"),),
        down=((Phase.CREATE_TABLE, T, "table t"),),
        lost=("view v",),
    ),
    Case(
        "column is dropped and the view goes without",
        before=T + "CREATE VIEW v AS SELECT id, a FROM t; CREATE VIEW w AS SELECT id FROM t WHERE a > 0",
        after="CREATE TABLE t (id int PRIMARY KEY, b text); CREATE VIEW v AS SELECT id FROM t; CREATE VIEW w AS SELECT id FROM t WHERE id > 0",
        up=((Phase.DROP_COLUMN, "ALTER TABLE t DROP a", "column t.a"),),
        down=((Phase.ADD_COLUMN, "ALTER TABLE t ADD a int", "column t.a"),),
    ),
]
CASES += [*SQL_OBJECTS, *DEPENDENTS]
CASES.append(
    Case(
        "roles that are not there",
        both=T + """DO $$ BEGIN CREATE ROLE "a to 'b"; EXCEPTION WHEN duplicate_object THEN NULL; END $$""",
        after="""GRANT SELECT, INSERT (a) ON t TO "a to 'b"; CREATE POLICY p ON t TO "a to 'b" USING (true)""",
        has=("""CREATE ROLE "a to 'b";""",),
    )
)
CASES += [
    Case(
        "objects that only their file can create",
        after="""CREATE FUNCTION plus(a int, b int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT a + b';
            CREATE AGGREGATE total(int) (SFUNC = plus, STYPE = int, INITCOND = '0');
            CREATE OPERATOR === (FUNCTION = plus, LEFTARG = int, RIGHTARG = int);
            CREATE COLLATION plain (PROVIDER = libc, LOCALE = 'C');
            CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
            CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN NULL; END';
            CREATE EVENT TRIGGER watched ON ddl_command_end WHEN TAG IN ('CREATE CAST') EXECUTE FUNCTION on_ddl();
            CREATE VIEW v AS SELECT total(x) FROM generate_series(1, 3) AS x""",
    ),
    Case(
        "function becomes a procedure, view a materialized view",
        both=T,
        before="CREATE FUNCTION f() RETURNS void LANGUAGE sql AS ''; CREATE VIEW v AS SELECT id FROM t",
        after="CREATE PROCEDURE f() LANGUAGE sql AS ''; CREATE MATERIALIZED VIEW v AS SELECT id FROM t",
    ),
    Case(
        "function of a new table's row, for its index",
        after=T
        + "CREATE FUNCTION f(r t) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT r.a'; CREATE INDEX i ON t (f(t.*))",
        up=((Phase.CREATE_TABLE, T, "table t"), (Phase.CREATE_INDEX, "CREATE INDEX i ON t (f(t.*))", "index i on t")),
        down=((Phase.DROP_TABLE, "DROP TABLE t", "table t"),),
    ),
    Case(
        "enum under everything",
        before="""CREATE TYPE m AS ENUM ('a', 'b'); CREATE TABLE t (id int, m m); CREATE TABLE l (m m) PARTITION BY RANGE (m);
            CREATE TABLE c () INHERITS (t)""",
        after="""CREATE TYPE m AS ENUM ('b', 'a'); CREATE TABLE t (id int, m m NOT NULL DEFAULT 'b');
            CREATE TABLE c () INHERITS (t)""",
        left="""CREATE VIEW v AS SELECT * FROM t WHERE m = 'a'; CREATE MATERIALIZED VIEW w AS SELECT m FROM v; CREATE INDEX wi ON w (m);
            CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE FUNCTION g() RETURNS m[]
            LANGUAGE sql AS 'SELECT NULL::m[]'; CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.m = 'a') EXECUTE FUNCTION f();
            CREATE POLICY p ON t USING (m = 'b'); CREATE RULE r AS ON DELETE TO t WHERE OLD.m = 'a' DO INSTEAD NOTHING;
            CREATE STATISTICS s ON m, id FROM t; CREATE FUNCTION k(x m, y int DEFAULT 1) RETURNS m LANGUAGE sql AS 'SELECT x'""",
        rows="INSERT INTO t VALUES (1, 'a'); INSERT INTO c VALUES (2, 'b')",
        up=(
            (Phase.DROP_TABLE, "DROP TABLE l", "table l"),
            (Phase.ALTER_COLUMN, "ALTER TABLE t ALTER m SET NOT NULL, ALTER m SET DEFAULT 'b'", "column t.m"),
        ),
        down=(
            (Phase.CREATE_TABLE, "CREATE TABLE l (m m) PARTITION BY RANGE (m)", "table l"),
            (Phase.ALTER_COLUMN, "ALTER TABLE t ALTER m DROP NOT NULL, ALTER m DROP DEFAULT", "column t.m"),
        ),
    ),
]
