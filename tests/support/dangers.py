"""Migrations that would hurt a live database, and ones that would not, each to be written in several styles.

In the statements {t} is a table with rows, {p} the one that it references, {q} a partitioned one, {n} a number of the
case's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

SETUP = """
CREATE TABLE p{n} (id bigint PRIMARY KEY, name text);
CREATE TABLE t{n} (id bigint PRIMARY KEY, p_id bigint NOT NULL REFERENCES p{n}, note text, code varchar(20), count int,
    price numeric(10, 2), at timestamp, full_ text CHECK (coalesce(full_, '') <> ''), checked text, unkeyed bigint);
ALTER TABLE t{n} ADD CONSTRAINT ck_not_valid{n} CHECK (count IS NULL OR count > -2147483648 OR true) NOT VALID;
ALTER TABLE t{n} ADD CONSTRAINT fk_not_valid{n} FOREIGN KEY (p_id) REFERENCES p{n} NOT VALID;
ALTER TABLE t{n} ADD CONSTRAINT ck_checked{n} CHECK (checked IS NOT NULL);
CREATE UNIQUE INDEX ux{n} ON t{n} (id, note);
INSERT INTO p{n} SELECT i + 100, 'name' FROM generate_series(1, 9) AS i;
INSERT INTO t{n} SELECT i, i + 100, '1', 'x', i, i, now(), 'x', 'x', i FROM generate_series(1, 9) AS i;
"""
PIECE = """
CREATE TABLE q{n} (id bigint NOT NULL) PARTITION BY HASH (id);
CREATE TABLE piece{n} (id bigint NOT NULL);
INSERT INTO piece{n} SELECT generate_series(1, 9);
"""


@dataclass(frozen=True)
class Case:
    """`sql` in order; `ops` and `batch` are the same as Alembic's calls."""

    sql: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    ops: str = ""
    batch: str = ""
    block: bool = False
    """Whether it is in an autocommit_block."""
    before: tuple[str, ...] = field(default=())
    """What a revision of its own does first."""


def numbered(text: str, number: int) -> str:
    """With the names of one case."""
    for mark, value in {"{t}": "t{n}", "{p}": "p{n}", "{q}": "q{n}", "{n}": str(number)}.items():
        text = text.replace(mark, value)
    return text


def tables(case: Case, number: int) -> str:
    """What makes its tables anew, with rows."""
    setup = ("DROP SCHEMA public CASCADE; CREATE SCHEMA public", SETUP, PIECE, *case.before)
    return numbered("; ".join(setup), number)


def styles(case: Case) -> Iterator[tuple[str, str]]:
    """The bodies of a module, by style: functions and upgrade()."""
    block = "    with op.get_context().autocommit_block():\n    " if case.block else ""

    def upgrade(*lines: str) -> str:
        return "def upgrade():\n" + "".join(f"{block}    {line}\n" for line in lines)

    yield "one by one", upgrade(*(f"op.execute({each!r})" for each in case.sql))
    yield (
        "loop and format",
        upgrade(*(f"[op.execute(f{each!r}.replace('TABLE', table)) for table in ('TABLE',)]" for each in case.sql)),
    )
    helper = "def helper(run):\n" + "".join(f"    run({each!r})\n" for each in case.sql)
    yield "helper and get_bind", helper + upgrade("helper(op.get_bind().exec_driver_sql)")
    if not case.block:
        yield "one string", upgrade(f"op.execute({';'.join(case.sql)!r})")
        body = "; ".join(case.sql).replace("'", "''") + ";"
        made = f"CREATE FUNCTION do{{n}}() RETURNS void LANGUAGE plpgsql AS 'BEGIN {body} END'"
        yield "function in the database", upgrade(f"op.execute({made!r})", "op.execute('SELECT do{n}()')")
    if case.ops:
        yield "op calls", upgrade(*case.ops.splitlines())
    if case.batch:
        yield "batch", upgrade('with op.batch_alter_table("{t}") as batch:', f"    {case.batch}")


F_OF_INT = "CREATE FUNCTION f{n}(a int) RETURNS int LANGUAGE sql AS $f$ SELECT a + 1 $f$"
DANGERS = {
    "index": Case(("CREATE INDEX ix{n} ON {t} (note)",), ("index-without-concurrently",),
        'op.create_index("ix{n}", "{t}", ["note"])', 'batch.create_index("ix{n}", ["note"])'),
    "unique index": Case(("CREATE UNIQUE INDEX uq{n} ON {t} (id, code)",), ("index-without-concurrently",),
        'op.create_index("uq{n}", "{t}", ["id", "code"], unique=True)'),
    "index on an expression": Case(("CREATE INDEX ix{n} ON {t} (lower(note)) WHERE count > 0",), ("index-without-concurrently",),
        'op.create_index("ix{n}", "{t}", [sa.text("lower(note)")], postgresql_where=sa.text("count > 0"))'),
    "unique constraint": Case(("ALTER TABLE {t} ADD CONSTRAINT uq{n} UNIQUE (id, code)",), ("constraint-builds-index",),
        'op.create_unique_constraint("uq{n}", "{t}", ["id", "code"])', 'batch.create_unique_constraint("uq{n}", ["id", "code"])'),
    "primary key": Case(("ALTER TABLE piece{n} ADD CONSTRAINT pk{n} PRIMARY KEY (id)",), ("constraint-builds-index",),
        'op.create_primary_key("pk{n}", "piece{n}", ["id"])', before=("ALTER TABLE piece{n} ADD CONSTRAINT u{n} UNIQUE (id)",)),
    "exclusion": Case(("ALTER TABLE {t} ADD CONSTRAINT ex{n} EXCLUDE (id WITH =)",), ("constraint-builds-index",),
        'op.create_exclude_constraint("ex{n}", "{t}", ("id", "="), using="btree")'),
    "foreign key": Case(("ALTER TABLE {t} ADD CONSTRAINT fk{n} FOREIGN KEY (p_id) REFERENCES {p} (id)",), ("foreign-key-in-one-step",),
        'op.create_foreign_key("fk{n}", "{t}", "{p}", ["p_id"], ["id"])', 'batch.create_foreign_key("fk{n}", "{p}", ["p_id"], ["id"])'),
    "foreign key, validated with it": Case(
        ("ALTER TABLE {t} ADD CONSTRAINT fk{n} FOREIGN KEY (p_id) REFERENCES {p} (id) NOT VALID", "ALTER TABLE {t} VALIDATE CONSTRAINT fk{n}"),
        ("foreign-key-in-one-step",)),
    "foreign key, validated with a column": Case(
        ("ALTER TABLE {t} ADD COLUMN more text", "ALTER TABLE {t} VALIDATE CONSTRAINT fk_not_valid{n}"), ("foreign-key-in-one-step",)),
    "foreign key of a new table": Case(("CREATE TABLE new{n} (id bigint PRIMARY KEY, p_id bigint REFERENCES {p})",), ("foreign-key-of-new-table",),
        'op.create_table("new{n}", sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("p_id", sa.BigInteger, sa.ForeignKey("{p}.id")))'),
    "check": Case(("ALTER TABLE {t} ADD CONSTRAINT ck{n} CHECK (id IS NOT NULL OR note = 'x')",), ("check-in-one-step",),
        """op.create_check_constraint("ck{n}", "{t}", "id IS NOT NULL OR note = 'x'")""",
        """batch.create_check_constraint("ck{n}", "id IS NOT NULL OR note = 'x'")"""),
    "check, validated with it": Case(
        ("ALTER TABLE {t} ADD CONSTRAINT ck{n} CHECK (id IS NOT NULL OR note = 'x') NOT VALID", "ALTER TABLE {t} VALIDATE CONSTRAINT ck{n}"),
        ("check-in-one-step",)),
    "check of a new column": Case(("ALTER TABLE {t} ADD COLUMN sign int DEFAULT 1 CHECK (sign > 0)",), ("check-in-one-step",)),
    "not null": Case(("ALTER TABLE {t} ALTER COLUMN full_ SET NOT NULL",), ("not-null-by-scan",),
        'op.alter_column("{t}", "full_", nullable=False)', 'batch.alter_column("full_", nullable=False)'),
    "wider number": Case(("ALTER TABLE {t} ALTER COLUMN count TYPE bigint",), ("type-change-rewrites",),
        'op.alter_column("{t}", "count", type_=sa.BigInteger())', 'batch.alter_column("count", type_=sa.BigInteger())'),
    "text to varchar": Case(("ALTER TABLE {t} ALTER COLUMN note TYPE varchar(9000)",), ("type-change-rewrites",),
        'op.alter_column("{t}", "note", type_=sa.String(9000))'),
    "timestamp with zone": Case(("SET LOCAL timezone = 'Europe/Berlin'", "ALTER TABLE {t} ALTER COLUMN at TYPE timestamptz"), ("type-change-rewrites",)),
    "to json": Case(("ALTER TABLE {t} ALTER COLUMN note TYPE jsonb USING to_jsonb(note)",), ("type-change-rewrites",),
        'op.alter_column("{t}", "note", type_=postgresql.JSONB(), postgresql_using="to_jsonb(note)")'),
    "random default": Case(("ALTER TABLE {t} ADD COLUMN luck float DEFAULT random()",), ("volatile-default",),
        'op.add_column("{t}", sa.Column("luck", sa.Float, server_default=sa.text("random()")))',
        'batch.add_column(sa.Column("luck", sa.Float, server_default=sa.text("random()")))'),
    "uuid default": Case(("ALTER TABLE {t} ADD COLUMN key uuid NOT NULL DEFAULT gen_random_uuid()",), ("volatile-default",)),
    "serial": Case(("ALTER TABLE {t} ADD COLUMN number serial",), ("volatile-default",)),
    "identity": Case(("ALTER TABLE {t} ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY",), ("volatile-default",),
        'op.add_column("{t}", sa.Column("number", sa.BigInteger, sa.Identity(always=True)))'),
    "stored generated": Case(("ALTER TABLE {t} ADD COLUMN double int GENERATED ALWAYS AS (length(note)) STORED",), ("volatile-default",),
        'op.add_column("{t}", sa.Column("double", sa.Integer, sa.Computed("length(note)", persisted=True)))'),
    "domain with constraints": Case(("ALTER TABLE {t} ADD COLUMN zip zip{n} NOT NULL",), ("volatile-default",), before=("CREATE DOMAIN zip{n} AS text CHECK (VALUE <> '') DEFAULT '0'",)),
    "type changed beside a new column": Case(("ALTER TABLE {t} ADD COLUMN more text, ALTER COLUMN count TYPE bigint",), ("type-change-rewrites",)),
    "unlogged": Case(("ALTER TABLE {t} SET UNLOGGED",), ("rewrite-under-lock",)),
    "cluster": Case(("CLUSTER {t} USING {t}_pkey",), ("rewrite-under-lock",)),
    "vacuum full": Case(("VACUUM FULL {t}",), ("rewrite-under-lock",), block=True),
    "materialized view": Case(("REFRESH MATERIALIZED VIEW mv{n}",), ("rewrite-under-lock",),
        before=("CREATE MATERIALIZED VIEW mv{n} AS SELECT id, note FROM {t}",)),
    "reindex": Case(("REINDEX TABLE {t}",), ("scan-under-lock",)),
    "type of a key": Case(("ALTER TABLE {p} ALTER COLUMN id TYPE numeric",), ("type-change-rewrites", "foreign-key-in-one-step"),
        'op.alter_column("{p}", "id", type_=sa.Numeric())'),
    "attached partition": Case(("ALTER TABLE {q} ATTACH PARTITION piece{n} FOR VALUES WITH (MODULUS 1, REMAINDER 0)",), ("scan-under-lock",)),
    "type stored alike, with a check": Case(("ALTER TABLE {t} ALTER COLUMN full_ TYPE varchar",), ("scan-under-lock",)),
    "another collation": Case(('ALTER TABLE {t} ALTER COLUMN note TYPE text COLLATE "C"',), ("scan-under-lock",)),
    "rows under a new column": Case(("ALTER TABLE {t} ADD COLUMN slug text", "UPDATE {t} SET slug = lower(note)"),
        ("lock-kept-during-data-change", "data-in-one-transaction"),
        'op.add_column("{t}", sa.Column("slug", sa.Text))\nop.execute("UPDATE {t} SET slug = lower(note)")'),
    "no row under a new column": Case(("ALTER TABLE {t} ADD COLUMN slug text", "UPDATE {t} SET note = 'x' WHERE slug = 'one'"),
        ("lock-kept-during-data-change", "data-in-one-transaction"),
        'op.add_column("{t}", sa.Column("slug", sa.Text))\nop.execute("UPDATE {t} SET note = \'x\' WHERE slug = \'one\'")'),
    "no row to delete under a lock": Case(("ALTER TABLE {t} ADD COLUMN slug text", "DELETE FROM ONLY public.{t} WHERE slug = 'one'"),
        ("lock-kept-during-data-change", "data-in-one-transaction")),
    "no row of a second update": Case(("UPDATE {t} SET note = 'x' WHERE code = 'one'", 'UPDATE "{t}" AS a SET note = \'y\' WHERE code = \'two\''),
        ("data-in-one-transaction",)),
    "no row of a merge": Case(("ALTER TABLE {t} ADD COLUMN slug text",
        "MERGE INTO {t} USING {p} ON note = name AND slug = 'one' WHEN MATCHED THEN UPDATE SET note = 'x'"),
        ("lock-kept-during-data-change", "data-in-one-transaction")),
    "no row to copy under a lock": Case(("ALTER TABLE {t} ADD COLUMN slug text", "INSERT INTO {p} SELECT id + 1000, slug FROM {t} WHERE slug = 'one'"),
        ("lock-kept-during-data-change",)),
    "index of a materialized view": Case(("CREATE INDEX im{n} ON mv{n} (note)",), ("index-without-concurrently",),
        'op.create_index("im{n}", "mv{n}", ["note"])', before=("CREATE MATERIALIZED VIEW mv{n} AS SELECT id, note FROM {t}",)),
    "rows of another table under a lock": Case(("ALTER TABLE {t} ADD COLUMN slug text", "UPDATE {p} SET name = upper(name)"),
        ("lock-kept-during-data-change", "data-in-one-transaction")),
    "rows copied under a foreign key": Case(
        ("CREATE TABLE new{n} (id bigint PRIMARY KEY REFERENCES {p})", "INSERT INTO new{n} SELECT id FROM {p}"), ("lock-kept-during-data-change",)),
    "update": Case(("UPDATE {t} SET note = upper(note)",), ("data-in-one-transaction",)),
    "delete": Case(("DELETE FROM {t} WHERE note IS NULL",), ("data-in-one-transaction",)),
    "update outside": Case(("UPDATE {t} SET note = upper(note)",), ("data-in-one-transaction",), block=True),
    "rename table": Case(("ALTER TABLE piece{n} RENAME TO other{n}",), ("rename-breaks-code",), 'op.rename_table("piece{n}", "other{n}")'),
    "rename column": Case(("ALTER TABLE {t} RENAME COLUMN note TO remark",), ("rename-breaks-code",),
        'op.alter_column("{t}", "note", new_column_name="remark")', 'batch.alter_column("note", new_column_name="remark")'),
    "drop table": Case(("DROP TABLE piece{n}",), ("drop-breaks-code",), 'op.drop_table("piece{n}")'),
    "drop column": Case(("ALTER TABLE {t} DROP COLUMN note",), ("drop-breaks-code",), 'op.drop_column("{t}", "note")', 'batch.drop_column("note")'),
    "truncate": Case(("TRUNCATE {t}",), ("table-emptied",)),
    "truncate by cascade": Case(("TRUNCATE {p} CASCADE",), ("table-emptied",)),
    "copy and swap": Case(
        ("CREATE TABLE tmp{n} (id bigint NOT NULL)", "INSERT INTO tmp{n} SELECT id FROM piece{n}", "DROP TABLE piece{n}", "ALTER TABLE tmp{n} RENAME TO piece{n}"),
        ("copy-without-lock",)),
    "copy and rename": Case(
        ("CREATE TABLE tmp{n} AS SELECT id FROM piece{n}", "ALTER TABLE piece{n} RENAME TO old{n}", "ALTER TABLE tmp{n} RENAME TO piece{n}"),
        ("copy-without-lock",)),
    "drop view": Case(("DROP VIEW v{n}",), ("drop-breaks-code",), before=("CREATE VIEW v{n} AS SELECT id, note FROM {t}",)),
    "view without a column": Case(("DROP VIEW v{n}", "CREATE VIEW v{n} AS SELECT id FROM {t}"), ("drop-breaks-code",),
        before=("CREATE VIEW v{n} AS SELECT id, note FROM {t}",)),
    "rename view": Case(("ALTER VIEW v{n} RENAME TO w{n}",), ("rename-breaks-code",), before=("CREATE VIEW v{n} AS SELECT id FROM {t}",)),
    "rename column of a view": Case(("ALTER VIEW v{n} RENAME COLUMN note TO remark",), ("rename-breaks-code",),
        before=("CREATE VIEW v{n} AS SELECT id, note FROM {t}",)),
    "drop function": Case(("DROP FUNCTION f{n}(int)",), ("drop-breaks-code",), before=(F_OF_INT,)),
    "function of another argument": Case(("DROP FUNCTION f{n}", F_OF_INT.replace("(a int)", "(a text)").replace("a + 1", "1")), ("drop-breaks-code",),
        before=(F_OF_INT,)),
    "function renamed": Case(("ALTER FUNCTION f{n} RENAME TO g{n}",), ("rename-breaks-code",), before=(F_OF_INT,)),
    "enum renamed": Case(("ALTER TYPE mood{n} RENAME TO spirit{n}",), ("rename-breaks-code",), before=("CREATE TYPE mood{n} AS ENUM ('a', 'b')",)),
    "label renamed": Case(("ALTER TYPE mood{n} RENAME VALUE 'a' TO 'c'",), ("rename-breaks-code",), before=("CREATE TYPE mood{n} AS ENUM ('a', 'b')",)),
    "enum swapped for one without a label": Case(
        ("ALTER TYPE mood{n} RENAME TO old{n}", "CREATE TYPE mood{n} AS ENUM ('a')", "DROP TYPE old{n}"), ("drop-breaks-code",),
        before=("CREATE TYPE mood{n} AS ENUM ('a', 'b')",)),
    "schema renamed": Case(("ALTER SCHEMA s{n} RENAME TO z{n}",), ("rename-breaks-code",),
        before=("DROP SCHEMA IF EXISTS s{n} CASCADE", "DROP SCHEMA IF EXISTS z{n} CASCADE", "CREATE SCHEMA s{n}")),
    "another schema": Case(("CREATE SCHEMA IF NOT EXISTS y{n}", "ALTER VIEW v{n} SET SCHEMA y{n}"), ("rename-breaks-code",),
        before=("DROP SCHEMA IF EXISTS y{n} CASCADE", "CREATE VIEW v{n} AS SELECT id FROM {t}",)),
    "key by cascade": Case(("ALTER TABLE {p} DROP CONSTRAINT p{n}_pkey CASCADE",), ("cascade-drops-more",)),
    "view by cascade": Case(("ALTER TABLE {t} DROP COLUMN note CASCADE",), ("cascade-drops-more", "drop-breaks-code"),
        before=("CREATE VIEW v{n} AS SELECT id, note FROM {t}",)),
    "detached partition": Case(("ALTER TABLE {q} DETACH PARTITION {q}a",), ("drop-breaks-code",),
        before=("CREATE TABLE {q}a PARTITION OF {q} FOR VALUES WITH (MODULUS 2, REMAINDER 0)",)),
    "default dropped": Case(("ALTER TABLE {t} ALTER COLUMN kind DROP DEFAULT",), ("write-breaks-code",),
        'op.alter_column("{t}", "kind", server_default=None)', 'batch.alter_column("kind", server_default=None)',
        before=("ALTER TABLE {t} ADD COLUMN kind text NOT NULL DEFAULT 'x'",)),
    "default only for the rows of before": Case(
        ("ALTER TABLE {t} ADD COLUMN kind text NOT NULL DEFAULT 'x'", "ALTER TABLE {t} ALTER COLUMN kind DROP DEFAULT"), ("write-breaks-code",),
        'op.add_column("{t}", sa.Column("kind", sa.Text, nullable=False, server_default="x"))\nop.alter_column("{t}", "kind", server_default=None)'),
    "identity dropped": Case(("ALTER TABLE {t} ALTER COLUMN number DROP IDENTITY",), ("write-breaks-code",),
        before=("ALTER TABLE {t} ADD COLUMN number int GENERATED BY DEFAULT AS IDENTITY",)),
    "generated always": Case(("ALTER TABLE {t} ALTER COLUMN number SET GENERATED ALWAYS",), ("write-breaks-code",),
        before=("ALTER TABLE {t} ADD COLUMN number int GENERATED BY DEFAULT AS IDENTITY",)),
    "check that refuses a row of defaults": Case(("ALTER TABLE {t} ADD CONSTRAINT ck{n} CHECK (note IS NOT NULL) NOT VALID",), ("write-breaks-code",),
        'op.create_check_constraint("ck{n}", "{t}", "note IS NOT NULL", postgresql_not_valid=True)'),
    "check that refuses a default": Case(("ALTER TABLE {t} ADD CONSTRAINT ck{n} CHECK (kind <> 'x') NOT VALID",), ("write-breaks-code",),
        before=("ALTER TABLE {t} ADD COLUMN kind text NOT NULL DEFAULT 'x'",)),
    "trigger that raises": Case((
        "CREATE FUNCTION no{n}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'no'; END $f$",
        "CREATE TRIGGER tr{n} BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION no{n}()"), ("write-breaks-code",)),
    "trigger that discards": Case((
        "CREATE FUNCTION no{n}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NULL; END $f$",
        "CREATE TRIGGER tr{n} BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION no{n}()"), ("write-breaks-code",)),
    "unique index dropped": Case(("DROP INDEX CONCURRENTLY ux{n}",), ("write-breaks-code",), 'op.drop_index("ux{n}", postgresql_concurrently=True)', block=True),
    "trigger dropped": Case(("DROP TRIGGER tr{n} ON {t}", "DROP FUNCTION touch{n}"), ("drop-breaks-code",),
        before=("CREATE FUNCTION touch{n}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END $f$",
            "CREATE TRIGGER tr{n} BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION touch{n}()")),
    "rule": Case(("CREATE RULE r{n} AS ON DELETE TO {t} DO INSTEAD NOTHING",), ("write-breaks-code",)),
    "row security": Case(("ALTER TABLE {t} ENABLE ROW LEVEL SECURITY",), ("row-security-without-policy",)),
    "row security with a policy to read": Case(
        ("ALTER TABLE {t} ENABLE ROW LEVEL SECURITY", "CREATE POLICY po{n} ON {t} FOR SELECT USING (true)"), ("row-security-without-policy",)),
    "row security, forced": Case(("ALTER TABLE {t} FORCE ROW LEVEL SECURITY",), ("row-security-without-policy",),
        before=("ALTER TABLE {t} ENABLE ROW LEVEL SECURITY",)),
    "last policy dropped": Case(("DROP POLICY po{n} ON {t}",), ("row-security-without-policy",),
        before=("ALTER TABLE {t} ENABLE ROW LEVEL SECURITY", "CREATE POLICY po{n} ON {t} USING (true)")),
    "revoke": Case(("REVOKE SELECT ON {t} FROM PUBLIC",), ("privilege-revoked",), before=("GRANT SELECT, INSERT ON {t} TO PUBLIC",)),
    "revoke of a column": Case(("REVOKE SELECT (note) ON {t} FROM PUBLIC",), ("privilege-revoked",), before=("GRANT SELECT (id, note) ON {t} TO PUBLIC",)),
    "revoke of a function": Case(("REVOKE EXECUTE ON FUNCTION f{n} FROM PUBLIC",), ("privilege-revoked",), before=(F_OF_INT,)),
    "role of a replica": Case(
        ("SET LOCAL session_replication_role = replica", "INSERT INTO {t} (id, p_id, full_, checked) VALUES (99, -5, 'x', 'x')", "SET LOCAL session_replication_role = origin"),
        ("checks-switched-off",)),
    "triggers disabled": Case(
        ("ALTER TABLE {t} DISABLE TRIGGER ALL", "INSERT INTO {t} (id, p_id, full_, checked) VALUES (99, -5, 'x', 'x')", "ALTER TABLE {t} ENABLE TRIGGER ALL"),
        ("checks-switched-off",)),
    "catalog": Case(("UPDATE pg_constraint SET convalidated = true WHERE conname = 'ck_not_valid{n}'",), ("catalog-written",)),
    "sequence restarted": Case(("ALTER SEQUENCE number{n} RESTART WITH 1",), ("sequence-behind",),
        before=("CREATE SEQUENCE number{n} START 10", "ALTER TABLE {t} ALTER COLUMN id SET DEFAULT nextval('number{n}')", "SELECT nextval('number{n}')")),
    "sequence set to a constant": Case(("DO $d$ BEGIN PERFORM setval('number{n}', 1000); END $d$",), ("sequence-behind",),
        before=("CREATE SEQUENCE number{n} START 10", "ALTER TABLE {t} ALTER COLUMN id SET DEFAULT nextval('number{n}')")),
    "timestamp with zone, in UTC": Case(("ALTER TABLE {t} ALTER COLUMN at TYPE timestamptz",), ("type-change-rewrites",),
        'op.alter_column("{t}", "at", type_=sa.DateTime(timezone=True))'),
    "lock, then work": Case(("LOCK TABLE {t} IN SHARE MODE", "UPDATE {t} SET note = upper(note)"), ("lock-kept-during-data-change",)),
    "primary key by an index with NULLs": Case(("ALTER TABLE {t} DROP CONSTRAINT t{n}_pkey", "ALTER TABLE {t} ADD CONSTRAINT pk{n} PRIMARY KEY USING INDEX ux_keyed{n}"),
        ("not-null-by-scan",), before=("CREATE UNIQUE INDEX ux_keyed{n} ON {t} (unkeyed)",)),
    "partition beside a default": Case(("CREATE TABLE e{n}b PARTITION OF e{n} FOR VALUES FROM (10) TO (20)",), ("scan-under-lock",),
        before=("CREATE TABLE e{n} (id bigint) PARTITION BY RANGE (id)", "CREATE TABLE e{n}a PARTITION OF e{n} DEFAULT", "INSERT INTO e{n} VALUES (1)")),
    "if not exists": Case(("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix{n} ON {t} (note)",), ("concurrently-if-not-exists",),
        'op.create_index("ix{n}", "{t}", ["note"], postgresql_concurrently=True, if_not_exists=True)', block=True),
    "concurrent index with a column": Case(("ALTER TABLE {t} ADD COLUMN more text", "CREATE INDEX CONCURRENTLY ix{n} ON {t} (note)"),
        ("autocommit-block-shared",), block=True),
}  # fmt: skip

SAFE = {
    "nullable column": Case(("ALTER TABLE {t} ADD COLUMN more text",), ops='op.add_column("{t}", sa.Column("more", sa.Text))',
        batch='batch.add_column(sa.Column("more", sa.Text))'),
    "constant default": Case(("ALTER TABLE {t} ADD COLUMN more int NOT NULL DEFAULT 5",),
        ops='op.add_column("{t}", sa.Column("more", sa.Integer, nullable=False, server_default="5"))'),
    "time of the statement as default": Case(("ALTER TABLE {t} ADD COLUMN since timestamptz NOT NULL DEFAULT now()",),
        ops='op.add_column("{t}", sa.Column("since", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()))'),
    "concurrent index": Case(("CREATE INDEX CONCURRENTLY ix{n} ON {t} (note)",),
        ops='op.create_index("ix{n}", "{t}", ["note"], postgresql_concurrently=True)', block=True),
    "concurrent drop": Case(("DROP INDEX CONCURRENTLY ix{n}",), block=True, ops='op.drop_index("ix{n}", postgresql_concurrently=True)',
        before=("CREATE INDEX ix{n} ON {t} (note)",)),
    "concurrent drop of one of two unique indexes": Case(("DROP INDEX CONCURRENTLY ux{n}",), block=True,
        before=("CREATE UNIQUE INDEX ux_again{n} ON {t} (id, note)",)),
    "check, not valid": Case(("ALTER TABLE {t} ADD CONSTRAINT ck{n} CHECK (note <> 'x') NOT VALID",),
        ops="""op.create_check_constraint("ck{n}", "{t}", "note <> 'x'", postgresql_not_valid=True)"""),
    "check validated": Case(("ALTER TABLE {t} VALIDATE CONSTRAINT ck_not_valid{n}",)),
    "foreign key, not valid": Case(("ALTER TABLE {t} ADD CONSTRAINT fk{n} FOREIGN KEY (p_id) REFERENCES {p} NOT VALID",),
        ops='op.create_foreign_key("fk{n}", "{t}", "{p}", ["p_id"], ["id"], postgresql_not_valid=True)'),
    "foreign key validated": Case(("ALTER TABLE {t} VALIDATE CONSTRAINT fk_not_valid{n}",)),
    "not null that a check says": Case(("ALTER TABLE {t} ALTER COLUMN checked SET NOT NULL",), ops='op.alter_column("{t}", "checked", nullable=False)',
        batch='batch.alter_column("checked", nullable=False)'),
    "not null, not valid": Case(("ALTER TABLE {t} ADD CONSTRAINT nn{n} NOT NULL full_ NOT VALID",)),
    "text to varchar of any length, with an index": Case(("ALTER TABLE {t} ALTER COLUMN note TYPE varchar",)),
    "wider varchar": Case(("ALTER TABLE {t} ALTER COLUMN code TYPE varchar(40)",), ops='op.alter_column("{t}", "code", type_=sa.String(40))'),
    "varchar to text": Case(("ALTER TABLE {t} ALTER COLUMN code TYPE text",), ops='op.alter_column("{t}", "code", type_=sa.Text())'),
    "wider numeric": Case(("ALTER TABLE {t} ALTER COLUMN price TYPE numeric(12, 2)",), ops='op.alter_column("{t}", "price", type_=sa.Numeric(12, 2))'),
    "default": Case(("ALTER TABLE {t} ALTER COLUMN note SET DEFAULT 'x'", "ALTER TABLE {t} ALTER COLUMN count DROP DEFAULT"),
        ops="""op.alter_column("{t}", "note", server_default="x")"""),
    "a new table with all of its own": Case((
        "CREATE TABLE a{n} (id bigint PRIMARY KEY, x int)", "INSERT INTO a{n} SELECT i, i FROM generate_series(1, 9) AS i",
        "CREATE INDEX ax{n} ON a{n} (x)", "CREATE TABLE b{n} (id bigint REFERENCES a{n})", "UPDATE a{n} SET x = 2",
        "ALTER TABLE a{n} ALTER COLUMN x SET NOT NULL", "ALTER TABLE a{n} ADD CHECK (x > 0)", "ALTER TABLE a{n} ALTER COLUMN x TYPE bigint")),
    "unique by an index": Case(("ALTER TABLE {t} ADD CONSTRAINT u{n} UNIQUE USING INDEX ux{n}",)),
    "a materialized view, concurrently": Case(("REFRESH MATERIALIZED VIEW CONCURRENTLY mv{n}",),
        before=("CREATE MATERIALIZED VIEW mv{n} AS SELECT id, note FROM {t}", "CREATE UNIQUE INDEX um{n} ON mv{n} (id)")),
    "reindex, concurrently": Case(("REINDEX TABLE CONCURRENTLY {t}",), block=True),
    "vacuum": Case(("VACUUM (ANALYZE) {t}",), block=True),
    "index of a materialized view, concurrently": Case(("CREATE INDEX CONCURRENTLY im{n} ON mv{n} (note)",), block=True,
        before=("CREATE MATERIALIZED VIEW mv{n} AS SELECT id, note FROM {t}",)),
    "a look by key under a lock": Case(("ALTER TABLE {t} ADD COLUMN slug text", "UPDATE {t} SET slug = 'x' WHERE id = -1")),
    "a comment that speaks of commits": Case(("COMMENT ON TABLE {t} IS 'dbkit_journal; COMMIT; limit'", "/* dbkit_backfill; COMMIT */ ALTER TABLE {t} ADD COLUMN slug text")),
    "a view": Case(("CREATE VIEW v{n} AS SELECT id FROM {t}", "COMMENT ON TABLE {t} IS 'x'")),
    "a trigger": Case(("CREATE FUNCTION touch{n}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END $f$",
        "CREATE TRIGGER tr{n} BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION touch{n}()")),
    "a table renamed behind a view": Case(("ALTER TABLE piece{n} RENAME TO other{n}", "CREATE VIEW piece{n} AS SELECT * FROM other{n}")),
    "some rows of a lookup": Case(("INSERT INTO {p} VALUES (1, 'x'), (2, 'y')",)),
    "a constraint dropped": Case(("ALTER TABLE {t} DROP CONSTRAINT fk_not_valid{n}",), ops='op.drop_constraint("fk_not_valid{n}", "{t}")'),
    "an enum value": Case(("CREATE TYPE mood{n} AS ENUM ('a')", "ALTER TYPE mood{n} ADD VALUE 'b'")),
    "a view replaced": Case(("DROP VIEW v{n}", "CREATE VIEW v{n} AS SELECT note, id, code FROM {t}"), before=("CREATE VIEW v{n} AS SELECT id, note FROM {t}",)),
    "a function with one argument more": Case(("DROP FUNCTION f{n}", F_OF_INT.replace("(a int)", "(a int, b int DEFAULT 0)")), before=(F_OF_INT,)),
    "a function replaced": Case((F_OF_INT.replace("CREATE", "CREATE OR REPLACE").replace("a + 1", "a + 2"),), before=(F_OF_INT,)),
    "a trigger replaced": Case(("DROP TRIGGER tr{n} ON {t}", "CREATE TRIGGER tr2{n} BEFORE INSERT ON {t} FOR EACH ROW EXECUTE FUNCTION touch{n}()"),
        before=("CREATE FUNCTION touch{n}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END $f$",
            "CREATE TRIGGER tr{n} BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION touch{n}()")),
    "an enum swapped for one with more labels": Case(
        ("ALTER TYPE mood{n} RENAME TO old{n}", "CREATE TYPE mood{n} AS ENUM ('a', 'b', 'c')", "DROP TYPE old{n}"),
        before=("CREATE TYPE mood{n} AS ENUM ('a', 'b')",)),
    "row security with a policy": Case(("ALTER TABLE {t} ENABLE ROW LEVEL SECURITY", "CREATE POLICY po{n} ON {t} USING (true)")),
    "revoked, and granted again": Case(("REVOKE ALL ON {t} FROM PUBLIC", "GRANT SELECT ON {t} TO PUBLIC"), before=("GRANT SELECT ON {t} TO PUBLIC",)),
    "a new function for few": Case((F_OF_INT, "REVOKE EXECUTE ON FUNCTION f{n} FROM PUBLIC")),
    "a sequence behind the rows": Case(("DO $d$ BEGIN PERFORM setval('number{n}', (SELECT max(id) FROM {t})); END $d$",),
        before=("CREATE SEQUENCE number{n} START 10", "ALTER TABLE {t} ALTER COLUMN id SET DEFAULT nextval('number{n}')")),
    "check that a default satisfies": Case(("ALTER TABLE {t} ADD CONSTRAINT ck{n} CHECK (kind IS NOT NULL) NOT VALID",),
        before=("ALTER TABLE {t} ADD COLUMN kind text DEFAULT 'x'",)),
    "rows by key": Case(("UPDATE {t} SET note = 'x' WHERE id = 1", "DELETE FROM {t} WHERE id IN (2, 3)", "UPDATE {t} SET note = 'x' WHERE id = 4 AND count > 0")),
    "rows by a unique index of two columns": Case(("UPDATE {t} AS a SET code = 'x' WHERE a.note = '1' AND (a.id = 5)",)),
    "a temporary table": Case(("CREATE TEMP TABLE tmp{n} AS SELECT id FROM {t}", "CREATE INDEX ix_tmp{n} ON tmp{n} (id)", "UPDATE tmp{n} SET id = id + 1",
        "ALTER TABLE tmp{n} ALTER COLUMN id SET NOT NULL", "TRUNCATE tmp{n}", "DROP TABLE tmp{n}")),
    "timestamp with zone, in the zone of its values": Case(("SET LOCAL timezone = 'UTC'", "ALTER TABLE {t} ALTER COLUMN at TYPE timestamptz")),
    "statistics": Case(("ALTER TABLE {t} ALTER COLUMN note SET STATISTICS 500",)),
}  # fmt: skip


def chain_of_dangers() -> Iterator[tuple[str, str | None, str, str]]:
    """Revisions for `plain.write_project`: for each case its tables, and then the statements."""
    parent = None
    for number, case in enumerate([*DANGERS.values(), *SAFE.values()]):
        if not case.sql:
            continue
        setup = numbered("; ".join((SETUP, PIECE, *case.before)), number)
        yield f"tables{number}", parent, setup, "SELECT 1"
        lines = [f"op.execute({numbered(statement, number)!r})" for statement in case.sql]
        if case.block:
            lines = ["with op.get_context().autocommit_block():", *(f"    {line}" for line in lines)]
        yield f"case{number}", f"tables{number}", "python:" + "\n    ".join(lines), "SELECT 1"
        parent = f"case{number}"
