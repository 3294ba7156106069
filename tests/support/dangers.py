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
    "concurrent drop": Case(("DROP INDEX CONCURRENTLY ux{n}",), block=True, ops='op.drop_index("ux{n}", postgresql_concurrently=True)'),
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
    "a table made anew under its name": Case(
        ("CREATE TABLE tmp{n} (id bigint NOT NULL)", "INSERT INTO tmp{n} SELECT id FROM piece{n}", "DROP TABLE piece{n}", "ALTER TABLE tmp{n} RENAME TO piece{n}")),
    "some rows of a lookup": Case(("INSERT INTO {p} VALUES (1, 'x'), (2, 'y')",)),
    "a constraint dropped": Case(("ALTER TABLE {t} DROP CONSTRAINT fk_not_valid{n}",), ops='op.drop_constraint("fk_not_valid{n}", "{t}")'),
    "an enum value": Case(("CREATE TYPE mood{n} AS ENUM ('a')", "ALTER TYPE mood{n} ADD VALUE 'b'")),
    "a table emptied": Case(("TRUNCATE {t}",)),
    "statistics": Case(("ALTER TABLE {t} ALTER COLUMN note SET STATISTICS 500",)),
}  # fmt: skip
