"""Changes of tables with rows, as a draft writes them, each to be staged for a live database.

In the texts {n} is a number of the case's own: {t} is a table with rows, {p} one that it references. A line is SQL, or
a call of Alembic's op.
"""

from dataclasses import dataclass

TABLES = """
CREATE TABLE {p} (id bigint PRIMARY KEY, code text NOT NULL, name text);
CREATE TABLE {t} (id bigint PRIMARY KEY, p_id bigint, note text NOT NULL, code varchar(20) NOT NULL,
    status text NOT NULL DEFAULT 'new', count int NOT NULL DEFAULT 0, filled text)
"""


@dataclass(frozen=True)
class StagedCase:
    """A change: what is there before, the draft's upgrade and downgrade, and the messages of its revisions."""

    upgrade: tuple[str, ...]
    downgrade: tuple[str, ...]
    messages: tuple[str, ...]
    before: tuple[str, ...] = ()
    undecided: str = ""
    """A part of the sentence where something cannot be staged."""
    is_lossy: bool = False
    """Whether the draft drops data."""


STAGED = {
    "index": StagedCase(
        ('op.create_index("ix{n}", "{t}", ["note"])',),
        ('op.drop_index("ix{n}", "{t}")',),
        ("",),
    ),
    "two indexes": StagedCase(
        ('op.create_index("ix{n}", "{t}", ["note"])', 'op.create_index("iy{n}", "{t}", ["code", "count"])'),
        ('op.drop_index("iy{n}", "{t}")', 'op.drop_index("ix{n}", "{t}")'),
        ("create index ix{n}", "create index iy{n}"),
    ),
    "unique index on an expression": StagedCase(
        ("""op.create_index("ix{n}", "{t}", [sa.text("lower(note)"), "id"], unique=True, postgresql_where=sa.text("count > 0"))""",),
        ('op.drop_index("ix{n}", "{t}")',),
        ("",),
    ),
    "index in SQL": StagedCase(
        ("CREATE INDEX ix{n} ON {t} USING btree (note text_pattern_ops) INCLUDE (code) WITH (fillfactor=70)",),
        ("DROP INDEX ix{n}",),
        ("",),
    ),
    "index with an odd name": StagedCase(
        ('op.create_index("Ix %% {n} \\"a\\":b", "{t}", ["note"])',),
        ('op.drop_index("Ix %% {n} \\"a\\":b", "{t}")',),
        ("",),
    ),
    "index dropped": StagedCase(
        ('op.drop_index("ix{n}", "{t}")',),
        ('op.create_index("ix{n}", "{t}", ["note"])',),
        ("",),
        before=("CREATE INDEX ix{n} ON {t} (note)",),
    ),
    "index dropped with its column": StagedCase(
        ('op.drop_index("ix{n}", "{t}")', 'op.drop_column("{t}", "filled")', 'op.create_index("iy{n}", "{t}", ["code"])'),
        ('op.drop_index("iy{n}", "{t}")', 'op.add_column("{t}", sa.Column("filled", sa.Text))', 'op.create_index("ix{n}", "{t}", ["filled"])'),
        ("", "create index iy{n}"),
        before=("CREATE INDEX ix{n} ON {t} (filled)",),
        is_lossy=True,
    ),
    "index replaced": StagedCase(
        ('op.drop_index("ix{n}", "{t}")', 'op.create_index("ix{n}", "{t}", ["note", "code"])'),
        ('op.drop_index("ix{n}", "{t}")', 'op.create_index("ix{n}", "{t}", ["note"])'),
        ("create index ix{n}_new", "use the indexes", "drop indexes"),
        before=("CREATE INDEX ix{n} ON {t} (note)",),
    ),
    "unique constraint": StagedCase(
        ('op.create_unique_constraint("uq{n}", "{t}", ["id", "code"])',),
        ('op.drop_constraint("uq{n}", "{t}", type_="unique")',),
        ("create index uq{n}", "use the indexes"),
    ),
    "unique constraint, deferrable": StagedCase(
        ('op.create_unique_constraint("uq{n}", "{t}", ["id", "code"], deferrable=True, initially="DEFERRED")',),
        ('op.drop_constraint("uq{n}", "{t}", type_="unique")',),
        ("create index uq{n}", "use the indexes"),
    ),
    "unique constraint in SQL": StagedCase(
        ("ALTER TABLE {t} ADD CONSTRAINT uq{n} UNIQUE (id, code) INCLUDE (note) DEFERRABLE",),
        ("ALTER TABLE {t} DROP CONSTRAINT uq{n}",),
        ("create index uq{n}", "use the indexes"),
    ),
    "unique constraint replaced": StagedCase(
        ('op.drop_constraint("uq{n}", "{t}", type_="unique")', 'op.create_unique_constraint("uq{n}", "{t}", ["id", "code"])'),
        ('op.drop_constraint("uq{n}", "{t}", type_="unique")', 'op.create_unique_constraint("uq{n}", "{t}", ["id"])'),
        ("create index uq{n}_new", "use the indexes"),
        before=("ALTER TABLE {t} ADD CONSTRAINT uq{n} UNIQUE (id)",),
    ),
    "primary key": StagedCase(
        ('op.create_primary_key("pk{n}", "keyless{n}", ["id", "code"])',),
        ('op.drop_constraint("pk{n}", "keyless{n}", type_="primary")',),
        ("create index pk{n}", "use the indexes"),
        before=("CREATE TABLE keyless{n} (id bigint NOT NULL, code text NOT NULL)", "ALTER TABLE keyless{n} ADD CONSTRAINT u{n} UNIQUE (id, code)"),
    ),
    "primary key replaced": StagedCase(
        ('op.drop_constraint("{t}_pkey", "{t}", type_="primary")', 'op.create_primary_key("{t}_pkey", "{t}", ["id", "code"])'),
        ('op.drop_constraint("{t}_pkey", "{t}", type_="primary")', 'op.create_primary_key("{t}_pkey", "{t}", ["id"])'),
        ("create index {t}_pkey_new", "use the indexes"),
    ),
    "exclusion": StagedCase(
        ('op.create_exclude_constraint("ex{n}", "{t}", ("id", "="), using="btree")',),
        ('op.drop_constraint("ex{n}", "{t}")',),
        ("",),
        undecided="An exclusion constraint cannot be built concurrently",
    ),
    "foreign key": StagedCase(
        ('op.create_foreign_key("fk{n}", "{t}", "{p}", ["p_id"], ["id"], ondelete="CASCADE")',),
        ('op.drop_constraint("fk{n}", "{t}", type_="foreignkey")',),
        ("", "validate fk{n}"),
    ),
    "foreign key in SQL": StagedCase(
        ("ALTER TABLE {t} ADD CONSTRAINT fk{n} FOREIGN KEY (p_id) REFERENCES {p} (id) DEFERRABLE INITIALLY DEFERRED;",),
        ("ALTER TABLE {t} DROP CONSTRAINT fk{n}",),
        ("", "validate fk{n}"),
    ),
    "foreign key replaced": StagedCase(
        ('op.drop_constraint("fk{n}", "{t}", type_="foreignkey")', 'op.create_foreign_key("fk{n}", "{t}", "{p}", ["p_id"], ["id"], ondelete="CASCADE")'),
        ('op.drop_constraint("fk{n}", "{t}", type_="foreignkey")', 'op.create_foreign_key("fk{n}", "{t}", "{p}", ["p_id"], ["id"])'),
        ("", "validate fk{n}"),
        before=("ALTER TABLE {t} ADD CONSTRAINT fk{n} FOREIGN KEY (p_id) REFERENCES {p} (id)",),
    ),
    "foreign key of a new column": StagedCase(
        ('op.add_column("{t}", sa.Column("q_id", sa.BigInteger))', 'op.create_foreign_key("fk{n}", "{t}", "{p}", ["q_id"], ["id"])'),
        ('op.drop_constraint("fk{n}", "{t}", type_="foreignkey")', 'op.drop_column("{t}", "q_id")'),
        ("", "validate fk{n}"),
    ),
    "foreign key to a new table": StagedCase(
        ('op.create_table("new{n}", sa.Column("id", sa.BigInteger, primary_key=True))', 'op.add_column("{t}", sa.Column("q_id", sa.BigInteger))',
            'op.create_foreign_key("fk{n}", "{t}", "new{n}", ["q_id"], ["id"])'),
        ('op.drop_constraint("fk{n}", "{t}", type_="foreignkey")', 'op.drop_column("{t}", "q_id")', 'op.drop_table("new{n}")'),
        ("", "validate fk{n}"),
    ),
    "foreign key to a new unique constraint": StagedCase(
        ('op.add_column("{t}", sa.Column("p_code", sa.Text))', 'op.create_unique_constraint("uq{n}", "{p}", ["id", "code"])',
            'op.create_foreign_key("fk{n}", "{t}", "{p}", ["p_id", "p_code"], ["id", "code"])'),
        ('op.drop_constraint("fk{n}", "{t}", type_="foreignkey")', 'op.drop_constraint("uq{n}", "{p}", type_="unique")', 'op.drop_column("{t}", "p_code")'),
        ("", "create index uq{n}", "use the indexes", "validate what needs them fk{n}"),
    ),
    "foreign key to a replaced unique constraint": StagedCase(
        ('op.drop_constraint("fk{n}", "{t}", type_="foreignkey")', 'op.drop_constraint("uq{n}", "{p}", type_="unique")',
            'ALTER TABLE {p} ADD CONSTRAINT uq{n} UNIQUE (id) INCLUDE (name)',
            'op.create_foreign_key("fk{n}", "{t}", "{p}", ["p_id"], ["id"], ondelete="CASCADE")'),
        ('op.drop_constraint("fk{n}", "{t}", type_="foreignkey")', 'op.drop_constraint("uq{n}", "{p}", type_="unique")',
            'op.create_unique_constraint("uq{n}", "{p}", ["id"])', 'op.create_foreign_key("fk{n}", "{t}", "{p}", ["p_id"], ["id"])'),
        ("create index uq{n}_new", "use the indexes", "validate what needs them fk{n}"),
        before=("ALTER TABLE {p} DROP CONSTRAINT {p}_pkey", "ALTER TABLE {p} ADD CONSTRAINT uq{n} UNIQUE (id)",
            "ALTER TABLE {t} ADD CONSTRAINT fk{n} FOREIGN KEY (p_id) REFERENCES {p} (id)"),
    ),
    "check": StagedCase(
        ("""op.create_check_constraint("ck{n}", "{t}", "id IS NOT NULL OR note ~ '^[[\\\\:alpha\\\\:]]'")""",),
        ('op.drop_constraint("ck{n}", "{t}", type_="check")',),
        ("", "validate ck{n}"),
    ),
    "check replaced": StagedCase(
        ('op.drop_constraint("ck{n}", "{t}", type_="check")', """op.create_check_constraint("ck{n}", "{t}", "count IS NOT NULL")"""),
        ('op.drop_constraint("ck{n}", "{t}", type_="check")', """op.create_check_constraint("ck{n}", "{t}", "id IS NOT NULL")"""),
        ("", "validate ck{n}"),
        before=("ALTER TABLE {t} ADD CONSTRAINT ck{n} CHECK (id IS NOT NULL)",),
    ),
    "check that was not valid": StagedCase(
        ("ALTER TABLE {t} VALIDATE CONSTRAINT ck{n}",),
        ("ALTER TABLE {t} DROP CONSTRAINT ck{n}", "ALTER TABLE {t} ADD CONSTRAINT ck{n} CHECK (count IS NOT NULL) NOT VALID"),
        ("",),
        before=("ALTER TABLE {t} ADD CONSTRAINT ck{n} CHECK (count IS NOT NULL) NOT VALID",),
    ),
    "not null": StagedCase(
        ('op.alter_column("{t}", "must", existing_type=sa.Text(), nullable=False)',),
        ('op.alter_column("{t}", "must", existing_type=sa.Text(), nullable=True)',),
        ("", "validate ck_{t}_must_not_null", "set not null {t}.must"),
        before=("ALTER TABLE {t} ADD COLUMN must text CHECK (must <> '') DEFAULT 'x'", "ALTER TABLE {t} ADD CONSTRAINT must{n} CHECK (coalesce(must, '') <> '')"),
    ),
    "not null in SQL": StagedCase(
        ("ALTER TABLE {t} ALTER COLUMN must SET NOT NULL",),
        ("ALTER TABLE {t} ALTER COLUMN must DROP NOT NULL",),
        ("", "validate ck_{t}_must_not_null", "set not null {t}.must"),
        before=("ALTER TABLE {t} ADD COLUMN must text", "ALTER TABLE {t} ADD CONSTRAINT must{n} CHECK (coalesce(must, '') <> '')"),
    ),
    "not null and a default": StagedCase(
        ("""op.alter_column("{t}", "must", existing_type=sa.Text(), nullable=False, server_default=sa.text("'x'"))""",),
        ('op.alter_column("{t}", "must", existing_type=sa.Text(), nullable=True, server_default=None)',),
        ("", "validate ck_{t}_must_not_null", "set not null {t}.must"),
        before=("ALTER TABLE {t} ADD COLUMN must text", "ALTER TABLE {t} ADD CONSTRAINT must{n} CHECK (coalesce(must, '') <> '')"),
    ),
    "random default": StagedCase(
        ('op.add_column("{t}", sa.Column("luck", sa.Float, server_default=sa.text("random()")))',),
        ('op.drop_column("{t}", "luck")',),
        ("", "backfill {t}.luck"),
    ),
    "random default, required": StagedCase(
        ('op.add_column("{t}", sa.Column("Key", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")))',),
        ('op.drop_column("{t}", "Key")',),
        ("", "backfill {t}.Key", "check what was filled {t}.Key", "validate ck_{t}_Key_not_null", "set not null {t}.Key"),
    ),
    "serial": StagedCase(
        ("ALTER TABLE {t} ADD COLUMN number serial NOT NULL",),
        ('op.drop_column("{t}", "number")',),
        ("", "backfill {t}.number", "check what was filled {t}.number", "validate ck_{t}_number_not_null", "set not null {t}.number"),
    ),
    "serial of an unlogged table": StagedCase(
        ("ALTER TABLE unlogged{n} ADD COLUMN number serial NOT NULL",),
        ('op.drop_column("unlogged{n}", "number")',),
        ("", "backfill unlogged{n}.number", "check what was filled unlogged{n}.number", "validate ck_unlogged{n}_number_not_null", "set not null unlogged{n}.number"),
        before=("CREATE UNLOGGED TABLE unlogged{n} (id bigint PRIMARY KEY)",),
    ),
    "serial in parts": StagedCase(
        ('CREATE SEQUENCE "Numbers{n}" AS bigint INCREMENT BY 2', """op.add_column("{t}", sa.Column("number", sa.BigInteger, server_default=sa.text("nextval('\\"Numbers{n}\\"'::regclass)")))""",
            'ALTER SEQUENCE "Numbers{n}" OWNED BY {t}.number'),
        ('op.drop_column("{t}", "number")',),
        ("", "backfill {t}.number"),
    ),
    "identity": StagedCase(
        ('op.add_column("{t}", sa.Column("number", sa.BigInteger, sa.Identity(always=True, start=100, increment=5)))',),
        ('op.drop_column("{t}", "number")',),
        ("", "backfill {t}.number", "check what was filled {t}.number", "validate ck_{t}_number_not_null", "set not null {t}.number"),
    ),
    "identity in SQL, in another schema": StagedCase(
        ('ALTER TABLE "S{n}".{t} ADD COLUMN "Number" int GENERATED BY DEFAULT AS IDENTITY',),
        ('ALTER TABLE "S{n}".{t} DROP COLUMN "Number"',),
        ("", 'backfill "S{n}".{t}.Number', 'check what was filled "S{n}".{t}.Number', "validate ck_{t}_Number_not_null", 'set not null "S{n}".{t}.Number'),
        before=('CREATE SCHEMA "S{n}"', 'CREATE TABLE "S{n}".{t} (id bigint PRIMARY KEY)'),
    ),
    "identity of a column that is there": StagedCase(
        ("ALTER TABLE {t} ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY", "SELECT setval(pg_get_serial_sequence('{t}', 'id'), max(id)) FROM {t}"),
        ("ALTER TABLE {t} ALTER COLUMN id DROP IDENTITY",),
        ("",),
    ),
    "random default without a key": StagedCase(
        ('op.add_column("keyless{n}", sa.Column("luck", sa.Float, server_default=sa.text("random()")))',),
        ('op.drop_column("keyless{n}", "luck")',),
        ("",),
        before=("CREATE TABLE keyless{n} (id bigint)",),
        undecided="every row is rewritten for luck",
    ),
    "required, filled by an UPDATE": StagedCase(
        ('op.add_column("{t}", sa.Column("slug", sa.Text))', "UPDATE {t} SET slug = lower(note) || coalesce((SELECT code FROM {p} WHERE code <> 'SET' LIMIT 1), 'x')",
            "ALTER TABLE {t} ALTER COLUMN slug SET NOT NULL"),
        ('op.drop_column("{t}", "slug")',),
        ("", "backfill {t}.slug", "check what was filled {t}.slug", "validate ck_{t}_slug_not_null", "set not null {t}.slug"),
    ),
    "required, NULL replaced by the default": StagedCase(
        ("UPDATE {t} SET filled = 'x: % y' WHERE filled IS NULL", """op.alter_column("{t}", "filled", existing_type=sa.Text(), nullable=False, server_default=sa.text("'x\\\\: % y'"))"""),
        ('op.alter_column("{t}", "filled", existing_type=sa.Text(), nullable=True, server_default=None)',),
        ("", "backfill {t}.filled", "check what was filled {t}.filled", "validate ck_{t}_filled_not_null", "set not null {t}.filled"),
    ),
    "comments on what comes later": StagedCase(
        ('op.create_index("ix{n}", "{t}", ["note"])', "COMMENT ON INDEX ix{n} IS 'x'", "ALTER TABLE {t} ADD CONSTRAINT uq{n} UNIQUE (id, code)",
            "COMMENT ON CONSTRAINT uq{n} ON {t} IS 'y'", "ALTER INDEX uq{n} SET (fillfactor=70)"),
        ("ALTER TABLE {t} DROP CONSTRAINT uq{n}", 'op.drop_index("ix{n}", "{t}")'),
        ("create index ix{n}", "create index uq{n}", "use the indexes"),
    ),
    "comments on what is made again": StagedCase(
        ('op.drop_index("ix{n}", "{t}")', 'op.create_foreign_key("fk{n}", "{t}", "{p}", ["p_id"], ["id"])', "COMMENT ON CONSTRAINT fk{n} ON {t} IS 'z'"),
        ('op.drop_constraint("fk{n}", "{t}", type_="foreignkey")', 'op.create_index("ix{n}", "{t}", ["note"])', "COMMENT ON INDEX ix{n} IS 'x'"),
        ("", "validate fk{n}", "drop indexes"),
        before=("CREATE INDEX ix{n} ON {t} (note)", "COMMENT ON INDEX ix{n} IS 'x'"),
    ),
    "table that references a new unique constraint": StagedCase(
        ("ALTER TABLE {p} ADD CONSTRAINT uq{n} UNIQUE (id, code)",
            "CREATE TABLE new{n} (id bigint PRIMARY KEY, p_id bigint, p_code text, CONSTRAINT fk{n} FOREIGN KEY (p_id, p_code) REFERENCES {p} (id, code))",
            'op.create_index("ix{n}", "new{n}", ["p_id"])'),
        ('op.drop_index("ix{n}", "new{n}")', 'op.drop_table("new{n}")', 'op.drop_constraint("uq{n}", "{p}", type_="unique")'),
        ("create index uq{n}", "use the indexes", "what needs them"),
    ),
    "foreign key of a new table to a new unique constraint": StagedCase(
        ("ALTER TABLE {p} ADD CONSTRAINT uq{n} UNIQUE (id, code)", "CREATE TABLE new{n} (id bigint PRIMARY KEY, p_id bigint, p_code text)",
            "ALTER TABLE new{n} ADD CONSTRAINT fk{n} FOREIGN KEY (p_id, p_code) REFERENCES {p} (id, code)"),
        ('op.drop_constraint("fk{n}", "new{n}", type_="foreignkey")', 'op.drop_table("new{n}")', 'op.drop_constraint("uq{n}", "{p}", type_="unique")'),
        ("", "create index uq{n}", "use the indexes", "validate what needs them fk{n}"),
    ),
    "view of a new column": StagedCase(
        ('op.add_column("{t}", sa.Column("key", sa.Uuid, server_default=sa.text("gen_random_uuid()")))', "CREATE VIEW v{n} AS SELECT id, key FROM {t}"),
        ("DROP VIEW v{n}", 'op.drop_column("{t}", "key")'),
        ("", "backfill {t}.key"),
    ),
    "stored generated": StagedCase(
        ('op.add_column("{t}", sa.Column("double", sa.Integer, sa.Computed("length(note)", persisted=True)))',),
        ('op.drop_column("{t}", "double")',),
        ("",),
        undecided="a generated column is written",
    ),
    "domain with constraints": StagedCase(
        ("CREATE DOMAIN zip{n} AS text NOT NULL", "ALTER TABLE {t} ADD COLUMN zip zip{n} DEFAULT '0'"),
        ('op.drop_column("{t}", "zip")', "DROP DOMAIN zip{n}"),
        ("",),
        undecided="every row is rewritten for zip",
    ),
    "wider number": StagedCase(
        ('op.alter_column("{t}", "count", existing_type=sa.Integer(), type_=sa.BigInteger())',),
        ('op.alter_column("{t}", "count", existing_type=sa.BigInteger(), type_=sa.Integer())',),
        ("",),
        undecided="every row is rewritten",
    ),
    "materialized view of a changed table": StagedCase(
        ('op.add_column("{t}", sa.Column("slug", sa.Text))', "CREATE MATERIALIZED VIEW mv{n} AS SELECT id, slug FROM {t}"),
        ("DROP MATERIALIZED VIEW mv{n}", 'op.drop_column("{t}", "slug")'),
        ("", "what needs them"),
    ),
    "materialized view made again on a changed table": StagedCase(
        ('op.add_column("{t}", sa.Column("slug", sa.Text))', "DROP MATERIALIZED VIEW mv{n}", "CREATE MATERIALIZED VIEW mv{n} AS SELECT id, slug FROM {t}"),
        ("DROP MATERIALIZED VIEW mv{n}", "CREATE MATERIALIZED VIEW mv{n} AS SELECT id FROM {t}", 'op.drop_column("{t}", "slug")'),
        ("", "what needs them"),
        before=("CREATE MATERIALIZED VIEW mv{n} AS SELECT id FROM {t}",),
    ),
    "nothing dangerous": StagedCase(
        ('op.add_column("{t}", sa.Column("kind", sa.Text, nullable=False, server_default="x"))', 'op.alter_column("{t}", "code", type_=sa.String(40))'),
        ('op.alter_column("{t}", "code", type_=sa.String(20))', 'op.drop_column("{t}", "kind")'),
        ("",),
    ),
    "all at once": StagedCase(
        ('op.add_column("{t}", sa.Column("key", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")))',
            'op.alter_column("{t}", "must", existing_type=sa.Text(), nullable=False)',
            'op.create_unique_constraint("uq{n}", "{t}", ["key", "id"])',
            'op.create_index("ix{n}", "{t}", ["key"])',
            'op.create_foreign_key("fk{n}", "{t}", "{p}", ["p_id"], ["id"])'),
        ('op.drop_constraint("fk{n}", "{t}", type_="foreignkey")', 'op.drop_constraint("uq{n}", "{t}", type_="unique")',
            'op.alter_column("{t}", "must", existing_type=sa.Text(), nullable=True)', 'op.drop_column("{t}", "key")'),
        ("", "backfill {t}.key", "check what was filled {t}.key", "validate ck_{t}_key_not_null, ck_{t}_must_not_null, fk{n}",
            "set not null {t}.key, {t}.must", "create index uq{n}", "create index ix{n}", "use the indexes"),
        before=("ALTER TABLE {t} ADD COLUMN must text", "ALTER TABLE {t} ADD CONSTRAINT must{n} CHECK (coalesce(must, '') <> '')"),
    ),
}  # fmt: skip


def numbered(text: str, number: int) -> str:
    """Return a text with the names of one case."""
    for mark, value in {"{t}": "t{n}", "{p}": "p{n}", "{n}": str(number)}.items():
        text = text.replace(mark, value)
    return text
