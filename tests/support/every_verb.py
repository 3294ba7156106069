"""Runs of every verb that touches a database, on a project that has something for each."""

from support.pair import Pair

UPGRADES = (
    ("op.create_table('item', sa.Column('code', sa.String(20), primary_key=True), sa.Column('note', sa.Text()))",
     "op.drop_table('item')"),
    ("op.add_column('item', sa.Column('extra', sa.Text(), server_default='x'))", "op.drop_column('item', 'extra')"),
    ("from dbkit.backfill import backfill\nbackfill(op, 'item', \"note = 'n'\", where='note IS NULL')", "pass"),
)  # fmt: skip


MODELS = """\
    import sqlalchemy as sa

    metadata = sa.MetaData()
    columns = sa.Column("note", sa.Text()), sa.Column("extra", sa.Text(), server_default="x")
    sa.Table("item", metadata, sa.Column("code", sa.String(20), primary_key=True), *columns)
    return metadata"""


# Each way into the database, in an order that does something: the arguments after `python -m dbkit`
VERBS_RUN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("migrate", ()),
    ("status", ()),
    ("log", ()),
    ("graph", ()),
    ("mark", ()),
    ("mark", ("test",)),
    ("wait", ("--at-head",)),
    ("accept", ("rev1",)),
    ("seed", ()),
    ("backfill", ("item", "--set", "note = 'm'", "--where", "extra = 'x'")),
    ("rollback", ("--to", "rev1")),
    ("status", ()),
    ("sql", ("--out", "-")),
    ("preflight", ()),
    ("migrate", ()),
    ("restore", ()),
    ("redo", ()),
    ("psql", ("-c", "SHOW search_path")),
    ("drift", ()),
    ("check", ()),
    ("schema", ()),
    ("rollback", ("--to", "base")),
    ("resolve", ("rev1",)),
    ("reset", ()),
)


def prepare(pair: Pair) -> None:
    """Write a chain, its models and its sample rows."""
    pair.write(*UPGRADES)
    (pair.gated.root / "backend/seed.sql").write_text(
        "INSERT INTO item (code) VALUES ('a'), ('b') ON CONFLICT DO NOTHING"
    )
    env_py = pair.gated.env_py
    env_py.write_text(env_py.read_text().replace("    from app.models import Base\n\n    return Base.metadata", MODELS))
