"""Write a linear chain of revisions as a project that has grown would have it; the same for the same size."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from string import Template

FIRST = datetime(2020, 1, 6, 9)
PAUSE = timedelta(hours=7)

FILE = Template('''\
"""$message"""

import sqlalchemy as sa
from alembic import op

revision = "$revision"
down_revision = $down_revision
branch_labels = None
depends_on = None


def upgrade() -> None:
$upgrade


def downgrade() -> None:
$downgrade
''')


@dataclass(frozen=True)
class Step:
    """One kind of migration. The code is for a function's body; $table is the table it is about."""

    message: str
    upgrade: str
    downgrade: str


CREATE_TABLE = """\
    op.create_table(
        "$table",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("price", sa.Numeric(precision=12, scale=2), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_$table")),
    )"""
INSERT_ROWS = '''\
    op.execute("""
        INSERT INTO $table (code, name, quantity)
        SELECT 'c' || number, 'item ' || number, number % 5
        FROM generate_series(1, 20) AS number
    """)'''
FILL_STATUS = '''\
    op.execute("""
        UPDATE $table
        SET status = CASE quantity WHEN 0 THEN 'empty' ELSE 'stocked' END
        WHERE status IS NULL
    """)'''
ADD_PARENT = """\
    op.add_column("$table", sa.Column("parent_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(
        op.f("fk_${table}_parent_id_$table"), "$table", "$table", ["parent_id"], ["id"], ondelete="SET NULL"
    )"""
DROP_PARENT = """\
    op.drop_constraint(op.f("fk_${table}_parent_id_$table"), "$table", type_="foreignkey")
    op.drop_column("$table", "parent_id")"""
ADD_KIND = """\
    kind = sa.Enum("small", "large", name="${table}_kind")
    kind.create(op.get_bind())
    op.add_column("$table", sa.Column("kind", kind, nullable=True))"""
DROP_KIND = """\
    op.drop_column("$table", "kind")
    sa.Enum(name="${table}_kind").drop(op.get_bind())"""
WIDEN_CODE = """\
    op.alter_column("$table", "code", existing_type=sa.String(length=40), type_=sa.String(length=80))"""
NARROW_CODE = """\
    op.alter_column("$table", "code", existing_type=sa.String(length=80), type_=sa.String(length=40))"""
PARTIAL_INDEX = """\
    op.create_index(
        op.f("ix_${table}_status"),
        "$table",
        ["status"],
        unique=False,
        postgresql_where=sa.text("status <> 'stocked'"),
    )"""

STEPS = (
    Step("create $table", CREATE_TABLE, '    op.drop_table("$table")'),
    Step(
        "add $table.note",
        '    op.add_column("$table", sa.Column("note", sa.Text(), nullable=True))',
        '    op.drop_column("$table", "note")',
    ),
    Step(
        "index $table.created_at",
        '    op.create_index(op.f("ix_${table}_created_at"), "$table", ["created_at"], unique=False)',
        '    op.drop_index(op.f("ix_${table}_created_at"), table_name="$table")',
    ),
    Step(
        "check $table.quantity",
        '    op.create_check_constraint(op.f("ck_${table}_quantity"), "$table", "quantity >= 0")',
        '    op.drop_constraint(op.f("ck_${table}_quantity"), "$table", type_="check")',
    ),
    Step("first rows of $table", INSERT_ROWS, '    op.execute("DELETE FROM $table")'),
    Step(
        "add $table.status",
        '    op.add_column("$table", sa.Column("status", sa.String(length=20), nullable=True))',
        '    op.drop_column("$table", "status")',
    ),
    Step("fill $table.status", FILL_STATUS, '    op.execute("UPDATE $table SET status = NULL")'),
    Step(
        "require $table.status",
        '    op.alter_column("$table", "status", existing_type=sa.String(length=20), nullable=False)',
        '    op.alter_column("$table", "status", existing_type=sa.String(length=20), nullable=True)',
    ),
    Step("add $table.parent_id", ADD_PARENT, DROP_PARENT),
    Step("index $table.status", PARTIAL_INDEX, '    op.drop_index(op.f("ix_${table}_status"), table_name="$table")'),
    Step("add $table.kind", ADD_KIND, DROP_KIND),
    Step("widen $table.code", WIDEN_CODE, NARROW_CODE),
)


FINDINGS = ("first rows of $table", "fill $table.status", "check $table.quantity", "require $table.status")
"""The steps that lose rows, and those that have preconditions: a third of STEPS."""
CLEAN = tuple(step for step in STEPS if step.message not in FINDINGS)
"""Without any of these: every revision is proven, and for all rows."""


def write(directory: Path, count: int, steps: Sequence[Step] = STEPS) -> None:
    """Write revisions 0 to `count` - 1 into `directory`: all steps for each table, each after the one before."""
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (directory / _file_name(number, steps)).write_text(_content(number, steps), encoding="utf-8")


def _content(number: int, steps: Sequence[Step]) -> str:
    step = steps[number % len(steps)]
    table = _table(number, steps)
    return FILE.substitute(
        message=Template(step.message).substitute(table=table),
        revision=revision_id(number),
        down_revision=f'"{revision_id(number - 1)}"' if number else None,
        upgrade=Template(step.upgrade).substitute(table=table),
        downgrade=Template(step.downgrade).substitute(table=table),
    )


def _file_name(number: int, steps: Sequence[Step]) -> str:
    slug = Template(steps[number % len(steps)].message).substitute(table=_table(number, steps))
    when = FIRST + number * PAUSE
    return f"{when:%Y%m%d_%H%M%S}_{revision_id(number)}_{slug.replace(' ', '_').replace('.', '_')}.py"


def _table(number: int, steps: Sequence[Step]) -> str:
    return f"item_{number // len(steps):03}"


def revision_id(number: int) -> str:
    """Return the id of a revision by its place in the chain."""
    return hashlib.sha256(f"revision {number}".encode()).hexdigest()[:12]
