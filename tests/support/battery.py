"""Migrations with planted faults, and clean ones that fool those who compare: one chain, each following the one before."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from support.kit import REPOSITORY


@dataclass(frozen=True)
class Planted:
    """One revision: what it does, the verdict it must get, and words that must be said of it.

    `up` and `down` are SQL statements, or "python:" and the function's body.
    """

    name: str
    up: str
    down: str
    verdict: str
    words: str = ""


def alone(*statements: str) -> str:
    """Statements outside of a transaction, as Alembic documents it."""
    lines = "".join(f"\n        op.execute({statement!r})" for statement in statements)
    return f"python:with op.get_context().autocommit_block():{lines}"


P = Planted
NOTHING = "SELECT 1"

BATTERY = [
    P("tables", "CREATE TABLE a (id int PRIMARY KEY, x text); CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE parent (id int PRIMARY KEY, x int); CREATE TABLE wide (id int PRIMARY KEY, y bigint)", "DROP TABLE a, b, parent, wide", "proven"),
    # 1. What a downgrade leaves behind, or does not put back
    P("table left", "CREATE TABLE IF NOT EXISTS t_left (x int)", NOTHING, "dirty", "table t_left is still there"),
    P("column left", "ALTER TABLE a ADD COLUMN IF NOT EXISTS left_over int", NOTHING, "dirty", "column a.left_over is still there"),
    P("index left", "CREATE INDEX IF NOT EXISTS ix_left ON a (id)", NOTHING, "dirty", "index ix_left on a is still there"),
    P("enum left", "CREATE TYPE mood AS ENUM ('x'); CREATE TABLE m (m mood)", "DROP TABLE m", "broken", 'type "mood" already exists'),
    P("sequence left", "CREATE SEQUENCE s_left", NOTHING, "broken", 'relation "s_left" already exists'),
    P("domain left", "CREATE DOMAIN d_left AS int CHECK (VALUE > 0)", NOTHING, "broken", "domain d_left is still there"),
    P("composite left", "CREATE TYPE c_left AS (x int)", NOTHING, "broken", "composite type c_left is still there"),
    P("function left", "CREATE OR REPLACE FUNCTION f_left() RETURNS int LANGUAGE sql AS 'SELECT 1'", NOTHING, "dirty", "function f_left() is still there"),
    P("view left", "CREATE OR REPLACE VIEW v_left AS SELECT id FROM b", NOTHING, "dirty", "view v_left is still there"),
    P("materialized view left", "CREATE MATERIALIZED VIEW IF NOT EXISTS mv_left AS SELECT id FROM b", NOTHING, "dirty", "materialized view mv_left is still there"),
    P("trigger left", "DROP TRIGGER IF EXISTS tr_left ON b; CREATE TRIGGER tr_left BEFORE UPDATE ON b FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()", NOTHING, "dirty", "trigger tr_left on b is still there"),
    P("rule left", "CREATE OR REPLACE RULE r_left AS ON DELETE TO b DO INSTEAD NOTHING", NOTHING, "dirty", "rule r_left on b is still there"),
    P("policy left", "python:op.execute('DROP POLICY IF EXISTS p_left ON b')\n    op.execute('CREATE POLICY p_left ON b USING (id > 0)')", NOTHING, "dirty", "policy p_left on b is still there"),
    P("statistics left", "CREATE STATISTICS IF NOT EXISTS st_left ON id, x FROM parent", NOTHING, "dirty", "statistics st_left is still there"),
    P("schema left", "CREATE SCHEMA IF NOT EXISTS apart", NOTHING, "dirty", "schema apart is still there"),
    P("extension left", "CREATE EXTENSION IF NOT EXISTS hstore", NOTHING, "dirty", "extension hstore is still there"),
    P("comment left", "COMMENT ON TABLE b IS 'new'", NOTHING, "dirty", "comment on table b is still there"),
    P("comment on a column left", "COMMENT ON COLUMN a.x IS 'new'", NOTHING, "dirty", "comment on column a.x is still there"),
    P("grant left", "GRANT SELECT ON b TO PUBLIC", NOTHING, "dirty", "grants on table b to PUBLIC"),
    P("grant on a column left", "GRANT SELECT (x) ON a TO PUBLIC", NOTHING, "dirty", "grants on column a.x to PUBLIC"),
    P("default privileges left", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC", NOTHING, "dirty", "default privileges"),
    P("default privileges taken back", "ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC", "proven"),
    P("publication left", "CREATE PUBLICATION pub_left FOR TABLE b", NOTHING, "broken", "publication pub_left is still there"),
    P("cast left", "CREATE CAST (int AS mood) WITH INOUT", NOTHING, "broken", "cast"),
    P("type not narrowed", "ALTER TABLE parent ALTER x TYPE bigint", NOTHING, "dirty", "column parent.x: was integer, is bigint"),
    P("length not narrowed", "ALTER TABLE a ALTER x TYPE varchar(100)", "ALTER TABLE a ALTER x TYPE varchar(50)", "dirty", "column a.x: was text, is varchar(50)"),
    P("default left", "ALTER TABLE a ALTER left_over SET DEFAULT 7", NOTHING, "dirty", "column a.left_over"),
    P("not null left", "ALTER TABLE a ALTER left_over SET NOT NULL", NOTHING, "dirty", "column a.left_over"),
    P("collation left", 'ALTER TABLE a ALTER x TYPE varchar(100) COLLATE "C"', NOTHING, "dirty", "column a.x"),
    P("identity left", "python:op.execute('ALTER TABLE b ALTER id DROP IDENTITY IF EXISTS')\n    op.execute('ALTER TABLE b ALTER id ADD GENERATED BY DEFAULT AS IDENTITY')", NOTHING, "dirty", "column b.id"),
    P("storage left", "ALTER TABLE a ALTER x SET STORAGE EXTERNAL", NOTHING, "dirty", "column settings a.x"),
    P("statistics target left", "ALTER TABLE a ALTER x SET STATISTICS 500", NOTHING, "dirty", "column settings a.x"),
    P("storage parameter left", "ALTER TABLE b SET (fillfactor = 50)", NOTHING, "dirty", "fillfactor"),
    P("row security left", "ALTER TABLE b ENABLE ROW LEVEL SECURITY", NOTHING, "dirty", "ROW LEVEL SECURITY"),
    P("replica identity left", "ALTER TABLE b REPLICA IDENTITY FULL", NOTHING, "dirty", "REPLICA IDENTITY FULL"),
    P("unlogged left", "ALTER TABLE t_left SET UNLOGGED", NOTHING, "dirty", "UNLOGGED"),
    P("trigger disabled", "CREATE TRIGGER t BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()", "ALTER TABLE b DISABLE TRIGGER t", "broken", "trigger t on b"),
    P("foreign key", "ALTER TABLE a ADD CONSTRAINT fk_a FOREIGN KEY (left_over) REFERENCES b", "ALTER TABLE a DROP CONSTRAINT fk_a", "proven"),
    P("foreign key's action", "python:op.execute('ALTER TABLE a DROP CONSTRAINT fk_a')\n    op.execute('ALTER TABLE a ADD CONSTRAINT fk_a FOREIGN KEY (left_over) REFERENCES b ON DELETE CASCADE')", NOTHING, "dirty", "constraint fk_a on a"),
    P("deferrable left", "ALTER TABLE a ALTER CONSTRAINT fk_a DEFERRABLE INITIALLY DEFERRED", NOTHING, "dirty", "constraint fk_a on a"),
    P("constraint weaker", "ALTER TABLE a ADD CONSTRAINT ck_a CHECK (left_over > 0)", "ALTER TABLE a DROP CONSTRAINT ck_a; ALTER TABLE a ADD CONSTRAINT ck_a CHECK (left_over > 0) NOT VALID", "broken", "constraint ck_a on a"),
    P("check's text", "ALTER TABLE a DROP CONSTRAINT ck_a; ALTER TABLE a ADD CONSTRAINT ck_a CHECK (left_over > 1)", "ALTER TABLE a DROP CONSTRAINT ck_a; ALTER TABLE a ADD CONSTRAINT ck_a CHECK (left_over > 2)", "dirty", "constraint ck_a on a: was CHECK (left_over > 0), is CHECK (left_over > 2)"),
    P("index's predicate", "DROP INDEX ix_left; CREATE INDEX ix_left ON a (id) WHERE id > 0", "DROP INDEX ix_left; CREATE INDEX ix_left ON a (id) WHERE id > 1", "dirty", "index ix_left on a"),
    P("index's order", "DROP INDEX ix_left; CREATE INDEX ix_left ON a (id DESC)", "DROP INDEX ix_left; CREATE INDEX ix_left ON a (id)", "dirty", "index ix_left on a"),
    P("function's body", "CREATE OR REPLACE FUNCTION f_left() RETURNS int LANGUAGE sql AS 'SELECT 2'", "CREATE OR REPLACE FUNCTION f_left() RETURNS int LANGUAGE sql AS 'SELECT 3'", "dirty", "function f_left()"),
    P("view's text", "CREATE OR REPLACE VIEW v_left AS SELECT id FROM b WHERE id > 1", NOTHING, "dirty", "view v_left"),
    P("enum's order", "CREATE TYPE size AS ENUM ('s', 'l')", "DROP TYPE size; CREATE TYPE size AS ENUM ('l', 's')", "broken", "enum size is still there"),
    P("enum value renamed", "ALTER TYPE mood RENAME VALUE 'x' TO 'y'", NOTHING, "broken", "enum mood"),
    P("sequence's step", "ALTER SEQUENCE s_left INCREMENT BY 5", NOTHING, "dirty", "sequence s_left"),
    P("too much dropped", NOTHING, "DROP INDEX ix_left", "dirty", "index ix_left on a is gone"),
    P("in another schema", "CREATE TABLE apart.z (x int)", "DROP TABLE apart.z; CREATE TABLE apart.y (x int)", "dirty", "table apart.y is still there"),
    P("partition left", "python:op.execute('CREATE TABLE IF NOT EXISTS days (day date) PARTITION BY RANGE (day)')\n    op.execute(\"CREATE TABLE IF NOT EXISTS days_1 PARTITION OF days FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')\")", "ALTER TABLE days DETACH PARTITION days_1; DROP TABLE days", "dirty", "table days_1 is still there"),
    # 2. Errors
    P("error in the downgrade", NOTHING, "DROP TABLE not_there", "broken", 'table "not_there" does not exist'),
    P("something depends on it", "CREATE TABLE base (id int PRIMARY KEY); CREATE VIEW on_base AS SELECT id FROM base", "DROP TABLE base", "broken", "cannot drop table base because other objects depend on it"),
    P("bug in the downgrade", NOTHING, "python:op.drop_nothing('x')", "broken", "AttributeError"),
    P("says that it cannot", "ALTER TABLE a ADD gone int", "python:raise NotImplementedError(\n        'rows are gone'\n    )", "irreversible", "rows are gone"),
    P("rows stay", "INSERT INTO parent VALUES (1)", NOTHING, "broken", "duplicate key value violates unique constraint"),
    P("rows go", "INSERT INTO parent VALUES (2)", "DELETE FROM parent WHERE id = 2", "proven"),
    # 3. Outside of the transaction
    P("concurrent index left", alone("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_c ON b (id)"), NOTHING, "dirty", "index ix_c on b is still there"),
    P("commits in a statement", "CREATE TABLE half (x int)", "DROP TABLE half; COMMIT; CREATE TABLE other_half (x int)", "dirty", "table other_half is still there"),
    P("commits by the connection", "CREATE TABLE whole (x int)", "python:op.execute('DROP TABLE whole')\n    op.get_bind().commit()\n    op.execute('CREATE TABLE other_whole (x int)')", "broken", "ended without an error, but alembic_version was not changed"),
    P("commits by the driver", "CREATE TABLE deep (x int)", "python:op.execute('DROP TABLE deep')\n    op.get_bind().connection.commit()\n    op.execute('CREATE TABLE IF NOT EXISTS other_deep (x int)')", "dirty", "table other_deep is still there"),
    P("breaks half-way, outside", "CREATE TABLE first (x int)", alone("DROP TABLE first", "SELECT 1 / 0"), "broken", "division by zero"),
    # 4. Clean, with shapes that fool
    P("concurrent index", alone("CREATE INDEX CONCURRENTLY ix_d ON b (id)"), alone("DROP INDEX CONCURRENTLY ix_d"), "proven"),
    P("vacuum", alone("VACUUM b"), NOTHING, "proven"),
    P("enum grows", alone("ALTER TYPE size ADD VALUE IF NOT EXISTS 'm'"), NOTHING, "proven", "enum size"),
    P("enum grows and is used", "python:with op.get_context().autocommit_block():\n        op.execute(\"ALTER TYPE size ADD VALUE IF NOT EXISTS 'xl'\")\n    op.execute(\"CREATE TABLE sized (s size DEFAULT 'xl')\")", "DROP TABLE sized", "proven", "enum size"),
    P("renamed and back", "ALTER TABLE parent RENAME TO grand; ALTER TABLE grand RENAME x TO y", "ALTER TABLE grand RENAME y TO x; ALTER TABLE grand RENAME TO parent", "proven"),
    P("dropped column comes back", "ALTER TABLE wide DROP y", "ALTER TABLE wide ADD y bigint", "proven"),
    P("column order", "ALTER TABLE a DROP x", 'ALTER TABLE a ADD x varchar(100) COLLATE "C"; ALTER TABLE a ALTER x SET STORAGE EXTERNAL; ALTER TABLE a ALTER x SET STATISTICS 500; COMMENT ON COLUMN a.x IS \'new\'; GRANT SELECT (x) ON a TO PUBLIC', "proven", "column order"),
    P("serial and identity", "CREATE TABLE numbered (s serial PRIMARY KEY, i int GENERATED ALWAYS AS IDENTITY (START WITH 5), g int GENERATED ALWAYS AS (s * 2) STORED)", "DROP TABLE numbered", "proven"),
    P("serial column", "ALTER TABLE grand ADD n bigserial", "ALTER TABLE grand DROP n", "proven"),
    P("partitions", "python:op.execute('CREATE TABLE parts (k int, v text, PRIMARY KEY (k)) PARTITION BY LIST (k)')\n    for n in range(3):\n        op.execute(f'CREATE TABLE parts_{n} PARTITION OF parts FOR VALUES IN ({n})')\n    op.execute('CREATE INDEX ix_parts ON parts (v)')", "DROP TABLE parts", "proven"),
    P("partition added", "CREATE TABLE parts_9 PARTITION OF parts DEFAULT", "DROP TABLE parts_9", "proven"),
    P("indexes made anew", "DROP INDEX ix_parts; CREATE INDEX ix_parts ON parts (lower(v)) WHERE k > 0", "DROP INDEX ix_parts; CREATE INDEX ix_parts ON parts (v)", "proven"),
    P("views on views", "CREATE VIEW v1 AS SELECT k, v FROM parts; CREATE VIEW v2 AS SELECT k FROM v1; CREATE VIEW v3 AS SELECT count(*) FROM v2", "DROP VIEW v1 CASCADE", "proven"),
    P("view made anew", "DROP VIEW v3; CREATE VIEW v3 AS SELECT count(k) AS n FROM v2", "DROP VIEW v3; CREATE VIEW v3 AS SELECT count(*) FROM v2", "proven"),
    P("enum swap", "python:op.execute(\"CREATE TYPE colour AS ENUM ('red')\")\n    op.execute('CREATE TABLE paint (c colour)')", "DROP TABLE paint; DROP TYPE colour", "proven"),
    P("enum swapped", "python:op.execute('ALTER TYPE colour RENAME TO colour_old')\n    op.execute(\"CREATE TYPE colour AS ENUM ('red', 'blue')\")\n    op.execute('ALTER TABLE paint ALTER c TYPE colour USING c::text::colour')\n    op.execute('DROP TYPE colour_old')", "python:op.execute('ALTER TYPE colour RENAME TO colour_new')\n    op.execute(\"CREATE TYPE colour AS ENUM ('red')\")\n    op.execute('ALTER TABLE paint ALTER c TYPE colour USING c::text::colour')\n    op.execute('DROP TYPE colour_new')", "proven"),
    P("enum by SQLAlchemy", "python:op.create_table('by_sa', sa.Column('e', sa.Enum('p', 'q', name='by_sa_e')))", "python:op.drop_table('by_sa')\n    sa.Enum(name='by_sa_e').drop(op.get_bind())", "proven"),
    P("extension's objects", "CREATE EXTENSION citext; CREATE TABLE ci (c citext); CREATE INDEX ix_ci ON ci (c)", "DROP TABLE ci; DROP EXTENSION citext", "proven"),
    P("comments and grants", "COMMENT ON TABLE grand IS 'one'; GRANT SELECT ON grand TO PUBLIC", "COMMENT ON TABLE grand IS NULL; REVOKE SELECT ON grand FROM PUBLIC", "proven"),
    P("several schemas", "CREATE SCHEMA s1; CREATE SCHEMA s2; CREATE TABLE s1.t (id int PRIMARY KEY); CREATE TABLE s2.t (id int REFERENCES s1.t)", "DROP SCHEMA s2 CASCADE; DROP SCHEMA s1 CASCADE", "proven"),
    P("schema renamed", "ALTER SCHEMA s1 RENAME TO s3", "ALTER SCHEMA s3 RENAME TO s1", "proven"),
    P("function and trigger", "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; CREATE TRIGGER touch BEFORE UPDATE ON s3.t FOR EACH ROW EXECUTE FUNCTION touch()", "DROP TRIGGER touch ON s3.t; DROP FUNCTION touch()", "proven"),
    P("deferred constraint", "python:op.execute('CREATE TABLE tree (id int PRIMARY KEY, up int REFERENCES tree DEFERRABLE INITIALLY DEFERRED)')\n    op.execute('INSERT INTO tree VALUES (1, 2), (2, 1)')", "DROP TABLE tree", "proven"),
    P("merge of nothing", "python:pass", "python:pass", "proven"),
    # 5. On the way up
    P("fails on the way up", "CREATE TABLE left_by_failure (x int); COMMIT; SELECT 1 / 0", NOTHING, "broken", "division by zero"),
    P("after the failure", "CREATE TABLE never (x int)", "DROP TABLE never", "unproven", "which could not be applied"),
]  # fmt: skip


AT = "CREATE FUNCTION at() RETURNS bigint LANGUAGE sql"
# A second chain: how people write migrations, and what else touches a schema
HABITS = [
    P('base','CREATE TABLE a (id int PRIMARY KEY, x text, n int); CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a); CREATE SEQUENCE sq; CREATE VIEW v AS SELECT id, x FROM a','DROP VIEW v; DROP SEQUENCE sq; DROP TABLE b, a','proven'),
    P('batch',"python:with op.batch_alter_table('a') as b:\n        b.add_column(sa.Column('q', sa.Integer()))\n        b.create_unique_constraint('uq_q', ['q'])","python:with op.batch_alter_table('a') as b:\n        b.drop_constraint('uq_q')\n        b.drop_column('q')",'proven'),
    P('bulk',"python:t = op.create_table('bt', sa.Column('id', sa.Integer(), primary_key=True), sa.Column('x', sa.JSON()))\n    op.bulk_insert(t, [{'id': 1, 'x': {'a': 1}}])","DROP TABLE bt",'proven'),
    P('orm',"python:from sqlalchemy.orm import Session\n    s = Session(bind=op.get_bind())\n    s.execute(sa.text(\"INSERT INTO a VALUES (1,'x',2)\"))\n    s.commit()","python:from sqlalchemy.orm import Session\n    s = Session(bind=op.get_bind())\n    s.execute(sa.text('DELETE FROM a'))\n    s.commit()",'proven'),
    P('temp','CREATE TEMP TABLE tt AS SELECT 1; CREATE TABLE from_tt (x int); DROP TABLE tt','DROP TABLE from_tt','proven'),
    P('temp left','CREATE TEMP TABLE IF NOT EXISTS ttl (x int)',NOTHING,'proven'),
    P('nested',"python:bind = op.get_bind()\n    with bind.begin_nested():\n        op.execute('CREATE TABLE nested (x int)')\n    try:\n        with bind.begin_nested():\n            op.execute('SELECT 1/0')\n    except sa.exc.DBAPIError:\n        pass",'DROP TABLE nested','proven'),
    P('search path',"SET search_path TO public; CREATE TABLE sp (x int)",'DROP TABLE sp','proven'),
    P('trigger ddl',"CREATE FUNCTION mk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE TABLE IF NOT EXISTS made_by_trigger (x int)'; RETURN NEW; END $$; CREATE TRIGGER mk BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION mk()",'DROP TRIGGER mk ON b; DROP FUNCTION mk()','proven'),
    P('by trigger',"INSERT INTO b VALUES (5, NULL) ON CONFLICT DO NOTHING","DELETE FROM b",'dirty','made_by_trigger'),
    P('do grant',"python:op.execute(\"DO $$ BEGIN GRANT UPDATE (x) ON a TO PUBLIC; END $$\")",NOTHING,'dirty','grants on column'),
    P('seq rename','ALTER SEQUENCE sq RENAME TO sq2','ALTER SEQUENCE sq2 RENAME TO sq','proven'),
    P('seq grant','GRANT USAGE ON SEQUENCE sq2 TO PUBLIC',NOTHING,'dirty','sq2'),
    P('schema grant','GRANT CREATE ON SCHEMA public TO pg_monitor',NOTHING,'dirty','schema public'),
    P('func grant','CREATE FUNCTION fg() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$; REVOKE EXECUTE ON FUNCTION fg() FROM PUBLIC','DROP FUNCTION fg()','proven'),
    P('func revoke left','REVOKE EXECUTE ON FUNCTION fg() FROM PUBLIC; GRANT EXECUTE ON FUNCTION fg() TO PUBLIC',NOTHING,'dirty','fg'),
    P('matview refresh','CREATE MATERIALIZED VIEW mv AS SELECT * FROM a WITH NO DATA','DROP MATERIALIZED VIEW mv','proven'),
    P('refresh left','REFRESH MATERIALIZED VIEW mv',NOTHING,'dirty','mv'),
    P('cluster','ALTER TABLE a CLUSTER ON a_pkey',NOTHING,'dirty','a_pkey'),
    P('inherits','CREATE TABLE ia (y int) INHERITS (a)','DROP TABLE ia','proven'),
    P('parent col','ALTER TABLE a ADD pc int','ALTER TABLE a DROP pc','proven'),
    P('rename constraint','ALTER TABLE b RENAME CONSTRAINT b_a_id_fkey TO fk','ALTER TABLE b RENAME CONSTRAINT fk TO b_a_id_fkey','proven'),
    P('view col default','ALTER VIEW v ALTER x SET DEFAULT 1',NOTHING,'dirty','view v'),
    P('atomic',f"python:has_it = op.get_bind().dialect.server_version_info >= (14,)\n    op.execute('{AT} ' + ('BEGIN ATOMIC SELECT count(*) FROM a; END' if has_it else 'AS $$ SELECT count(*) FROM a $$'))",'DROP FUNCTION at()','proven'),
    P('domain on domain','CREATE DOMAIN d1 AS int; CREATE DOMAIN d2 AS d1 CHECK (VALUE > 0); CREATE TABLE dt (d d2)','DROP TABLE dt; DROP DOMAIN d2; DROP DOMAIN d1','proven'),
    P('domain check left','ALTER DOMAIN d2 ADD CONSTRAINT more CHECK (VALUE < 9)','ALTER DOMAIN d2 DROP CONSTRAINT more','proven'),
    P('exclusion','CREATE TABLE ex (r int4range, EXCLUDE USING gist (r WITH &&))','DROP TABLE ex','proven'),
    P('event trigger',"CREATE FUNCTION et() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION et()",'DROP EVENT TRIGGER et; DROP FUNCTION et()','proven'),
    P('type rename','CREATE TYPE ty AS ENUM (\'a\'); CREATE TABLE tyt (t ty); CREATE TABLE tyu (t ty)','DROP TABLE tyt, tyu; DROP TYPE ty','proven'),
    P('type renamed','ALTER TYPE ty RENAME TO ty2','ALTER TYPE ty2 RENAME TO ty','proven'),
    P('uses after rename','ALTER TABLE tyu ADD z int','ALTER TABLE tyu DROP z','proven'),
    P('table rename with view','ALTER TABLE a RENAME TO aa','ALTER TABLE aa RENAME TO a','proven'),
    P('fk after rename','ALTER TABLE b ADD w int','ALTER TABLE b DROP w','proven'),
    P('no downgrade body','python:pass','python:pass','proven'),
    P('assert down','python:pass',"python:assert False, 'no'",'broken','AssertionError'),
    P('lock table','LOCK TABLE aa IN ACCESS EXCLUSIVE MODE','LOCK TABLE aa','proven'),
    P('large object',"python:op.execute(\"SELECT lo_create(4242)\")","python:op.execute(\"SELECT lo_unlink(4242)\")",'proven'),
    P('generated','ALTER TABLE aa ADD g int GENERATED ALWAYS AS (n * 2) STORED','ALTER TABLE aa DROP g','proven'),
    P('generated dropped expr','ALTER TABLE aa ALTER g DROP EXPRESSION','ALTER TABLE aa DROP g; ALTER TABLE aa ADD g int GENERATED ALWAYS AS (n * 2) STORED','proven'),
    P('setval',"python:op.execute(\"SELECT setval('sq2', 5)\")",NOTHING,'proven'),
]  # fmt: skip


def body(text: str) -> str:
    """The body of upgrade() or downgrade()."""
    if text.startswith("python:"):
        return text.removeprefix("python:")
    if "$$" in text:
        return f"op.execute({text!r})"
    return "\n    ".join(f"op.execute({statement.strip()!r})" for statement in text.split(";"))


def revision_file(revision: str, parents: object, message: str, up: str, down: str, depends_on: object = None) -> str:
    """The text of a revision file."""
    return (
        f'"""{message}"""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\nrevision = {revision!r}\ndown_revision = {parents!r}\n'
        f"branch_labels = None\ndepends_on = {depends_on!r}\n\n\n"
        f"def upgrade():\n    {body(up)}\n\n\ndef downgrade():\n    {body(down)}\n"
    )


def make_project(directory: Path, cases: list[Planted]) -> Path:
    """A project with this checkout's env.py and one revision per case. Returns its alembic.ini."""
    (directory / "backend").mkdir(parents=True)
    shutil.copy(REPOSITORY / "alembic.ini", directory)
    shutil.copytree(
        REPOSITORY / "backend/alembic", directory / "backend/alembic", ignore=shutil.ignore_patterns("2*.py")
    )
    versions = directory / "backend/alembic/versions"
    parent = None
    for number, case in enumerate(cases):
        revision = f"case{number:02}"
        (versions / f"{revision}.py").write_text(revision_file(revision, parent, case.name, case.up, case.down))
        parent = revision
    return directory / "alembic.ini"
