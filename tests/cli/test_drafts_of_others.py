"""A draft drops what a revision of this project has made, and nothing else that the database has."""

import ast

import pytest

from support.pair import Pair, Project

HELPERS = """\
EXTRA = [sa.Column("splat", sa.Integer)]
NAME = "from_constant"


def make(name, schema=None):
    op.create_table(name, sa.Column("id", sa.Integer), *EXTRA, schema=schema)


"""
OURS = """\
op.execute("CREATE SCHEMA audit")
op.create_table("events", sa.Column("id", sa.Integer), schema="audit")
op.create_table("logs", sa.Column("day", sa.Date, nullable=False), postgresql_partition_by="RANGE (day)")
op.execute("CREATE TABLE logs_2026 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')")
op.execute("CREATE TABLE logs_rest PARTITION OF logs DEFAULT")
op.create_table("item", sa.Column("id", sa.Integer), sa.Column("note", sa.Text), sa.Column("old", sa.Text))
op.create_table("base", sa.Column("id", sa.Integer))
op.execute("CREATE TABLE child () INHERITS (base)")
op.create_table("my-odd table", sa.Column("id", sa.Integer))
op.create_table("ünï", sa.Column("id", sa.Integer))
op.create_table("before", sa.Column("id", sa.Integer))
op.rename_table("before", "renamed")
op.execute("CREATE TABLE former (id int); ALTER TABLE former RENAME TO latter; ALTER TABLE latter SET SCHEMA audit")
op.execute('CREATE UNLOGGED TABLE IF NOT EXISTS "with.dot ""and"" quote" (id int)')
op.execute(sa.text("CREATE TABLE taken AS SELECT id AS number FROM item"))
op.execute("SELECT id AS number INTO UNLOGGED selected FROM item")
op.execute(f"CREATE TABLE {NAME} (id int)")
make("from_helper")
make("events_of_helper", schema="audit")
for each in ("loop_1", "loop_2"):
    op.execute(f'CREATE TABLE "{each}" (id int)')
op.execute("DO $$ BEGIN IF true THEN CREATE TABLE in_block (id int); END IF; END $$")
op.create_table("given_up", sa.Column("id", sa.Integer))
op.drop_table("given_up")
op.execute("CREATE TABLE handed_over (id int)")
op.execute("ALTER TABLE item ADD COLUMN IF NOT EXISTS by_sql int, ADD CONSTRAINT c CHECK (id > 0)")
with op.batch_alter_table("item") as batch:
    batch.add_column(sa.Column("by_batch", sa.Integer))
    batch.alter_column("old", new_column_name="new")
"""
MODELS = """\
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass


sa.Table("events", Base.metadata, sa.Column("id", sa.Integer), schema="audit")
sa.Table("item", Base.metadata, sa.Column("id", sa.Integer))
sa.Table("base", Base.metadata, sa.Column("id", sa.Integer))
sa.Table(
    "logs", Base.metadata, sa.Column("day", sa.Date, nullable=False), postgresql_partition_by="RANGE (day)"
)
"""
OTHERS = """
    CREATE TABLE events (id int, payload text);
    CREATE TABLE audit.item (id int);
    CREATE TABLE audit.base (id int);
    CREATE SCHEMA theirs;
    CREATE TABLE theirs.events (id int);
    CREATE TABLE theirs.renamed (id int);
    CREATE TABLE logs_2027 PARTITION OF logs FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
    CREATE TABLE given_up (id int);
    CREATE TABLE before (id int);
    CREATE TABLE former (id int);
    CREATE TABLE spatial_ref_sys (srid int);
    ALTER TABLE item ADD COLUMN payload text;
    ALTER TABLE handed_over OWNER TO pg_monitor;
"""
DROPPED = {
    "my-odd table": None,
    "ünï": None,
    "renamed": None,
    "latter": "audit",
    'with.dot "and" quote': None,
    "taken": None,
    "selected": None,
    "from_constant": None,
    "from_helper": None,
    "events_of_helper": "audit",
    "loop_1": None,
    "loop_2": None,
    "in_block": None,
    "handed_over": None,
}


@pytest.fixture
def project(pair: Pair) -> Project:
    """The project behind the gate, at head, with the models above and with tables of others beside its own."""
    project = pair.gated
    pair.add("rev1", None, OURS, "pass")
    file = project.versions / "rev1.py"
    file.write_text(file.read_text().replace("def upgrade", HELPERS + "def upgrade", 1))
    package = project.root / "backend/app"
    package.mkdir()
    (package / "models.py").write_text(MODELS)
    ini = project.root / "alembic.ini"
    ini.write_text(ini.read_text().replace("prepend_sys_path =", "prepend_sys_path = %(here)s/backend"))
    migrated = project.alembic("upgrade", "head")
    assert migrated.returncode == 0, migrated.stderr
    project.query(OTHERS)
    return project


def drops_of(text: str) -> tuple[dict[str, str | None], set[str]]:
    """The tables with their schemas, and the columns, that a draft's upgrade drops."""
    upgrade = text[text.index("def upgrade") : text.index("def downgrade")]
    tables, columns = {}, set()
    for call in [node for node in ast.walk(ast.parse(upgrade)) if isinstance(node, ast.Call)]:
        verb = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if verb in ("drop_table", "drop_column"):
            names = [ast.literal_eval(each) for each in call.args]
            if verb == "drop_column":
                columns.add(".".join(names))
            else:
                schema = [ast.literal_eval(each.value) for each in call.keywords if each.arg == "schema"]
                tables[names[0]] = schema[0] if schema else None
    return tables, columns


def test_a_draft_drops_what_a_revision_made_and_nothing_else(project: Project) -> None:
    for road, *arguments in (
        (project.alembic, "revision", "--autogenerate", "-m", "draft"),
        (project.dbkit, "revision", "--message=draft"),
    ):
        typed = road(*arguments)
        assert typed.returncode == 0, typed.stderr
        (draft,) = set(project.versions.glob("*.py")) - {project.versions / "rev1.py"}
        tables, columns = drops_of(draft.read_text())
        assert tables == DROPPED
        assert columns == {"item.note", "item.new", "item.by_sql", "item.by_batch"}
        for silent in ("spatial_ref_sys", "theirs", "payload"):
            assert silent not in typed.stderr
        draft.unlink()
