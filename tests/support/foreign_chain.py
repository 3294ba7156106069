"""The chain of the foreign projects: three tables' worth of a shop's history, and the models at its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent

REVISION = '''\
"""{message}

Revision ID: {identifier}
Revises: {revises}
"""
import os

import sqlalchemy as sa
from alembic import op

revision = {identifier!r}
down_revision = {down!r}
branch_labels = None
depends_on = None
'''

SINGLE = '''

def upgrade() -> None:
    """Upgrade schema."""
{upgrade}


def downgrade() -> None:
    """Downgrade schema."""
{downgrade}
'''

# as the template multidb writes them
SEVERAL = '''

def upgrade(engine_name: str) -> None:
    """Upgrade schema."""
    globals()["upgrade_%s" % engine_name]()


def downgrade(engine_name: str) -> None:
    """Downgrade schema."""
    globals()["downgrade_%s" % engine_name]()
'''

ONE_OF_SEVERAL = '''

def upgrade_{name}() -> None:
    """Upgrade {name} schema."""
{upgrade}


def downgrade_{name}() -> None:
    """Downgrade {name} schema."""
{downgrade}
'''


@dataclass(frozen=True)
class Revision:
    """One revision file: what it does, up and down, in each database of the project ("": in the one)."""

    identifier: str
    down: str | None
    message: str
    bodies: Mapping[str, tuple[str, str]]

    @property
    def file(self) -> str:
        """Return its name, as Alembic would give it."""
        return f"{self.identifier}_{self.message.replace(' ', '_')}.py"

    def text(self) -> str:
        """Return what is in the file."""
        head = REVISION.format(
            message=self.message, identifier=self.identifier, revises=self.down or "", down=self.down
        )
        if tuple(self.bodies) == ("",):
            up, down = self.bodies[""]
            return head + SINGLE.format(upgrade=indent(up, "    "), downgrade=indent(down, "    "))
        parts = (
            ONE_OF_SEVERAL.format(name=name, upgrade=indent(up, "    "), downgrade=indent(down, "    "))
            for name, (up, down) in self.bodies.items()
        )
        return head + SEVERAL + "".join(parts)


# The ids of the shop's revisions, first to last
IDS = ("3a1f5e8c0b21", "7c2d9e4f1a32", "b5e8a1c7d043", "d90f3b6e2c54")
HEAD = IDS[-1]
CUSTOMERS = ("ada", "bob", "eve")
ORDERS = 12
"""How many orders the chain inserts."""


def tables_up(schema: str | None) -> str:
    """Return code that creates the two tables, with rows."""
    reference = f"{schema}.customers.id" if schema else "customers.id"
    prefix = f"{schema}." if schema else ""
    names = ", ".join(f"('{name}', '{name}@example.org')" for name in CUSTOMERS)
    return f"""\
op.create_table(
    "customers",
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("name", sa.String(length=80), nullable=False),
    sa.Column("email", sa.String(length=255), nullable=False),
    sa.PrimaryKeyConstraint("id"),
    schema={schema!r},
)
op.create_table(
    "orders",
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("customer_id", sa.Integer(), nullable=False),
    sa.Column("total", sa.Numeric(12, 2), nullable=False),
    sa.ForeignKeyConstraint(["customer_id"], ["{reference}"]),
    sa.PrimaryKeyConstraint("id"),
    schema={schema!r},
)
op.execute("INSERT INTO {prefix}customers (name, email) VALUES {names}")"""


def shop_bodies(schema: str | None = None, pause: str = "SHOP_PAUSE") -> list[tuple[str, str, str]]:
    """Return message, upgrade and downgrade of each revision.

    The second one sleeps in the server as long as the environment variable `pause` says.
    """
    prefix = f"{schema}." if schema else ""
    options = f", schema={schema!r}" if schema else ""
    return [
        (
            "customers and orders",
            tables_up(schema),
            f'op.drop_table("orders"{options})\nop.drop_table("customers"{options})',
        ),
        (
            "number the orders",
            f"""\
op.add_column("orders", sa.Column("reference", sa.String(length=20), nullable=True){options})
op.execute("SELECT pg_sleep(%s)" % os.environ.get("{pause}", "0"))
op.execute(
    "INSERT INTO {prefix}orders (customer_id, total) "
    "SELECT c.id, n * 10 FROM {prefix}customers AS c, generate_series(1, 4) AS n"
)
op.execute("UPDATE {prefix}orders SET reference = 'SO-' || id WHERE reference IS NULL")
op.alter_column("orders", "reference", nullable=False{options})""",
            f'op.drop_column("orders", "reference"{options})\nop.execute("DELETE FROM {prefix}orders")',
        ),
        (
            "index the customers",
            f'op.create_index("ix_customers_email", "customers", ["email"], unique=True{options})',
            f'op.drop_index("ix_customers_email", table_name="customers"{options})',
        ),
        (
            "phone numbers",
            f"""\
op.add_column("customers", sa.Column("phone", sa.String(length=40), nullable=True){options})
op.execute("UPDATE {prefix}customers SET phone = '+49 30 ' || id")""",
            f'op.drop_column("customers", "phone"{options})',
        ),
    ]


def shop_chain(schema: str | None = None) -> list[Revision]:
    """Return the chain for a project with one database."""
    parents = (None, *IDS)
    return [
        Revision(identifier, parent, message, {"": (up, down)})
        for identifier, parent, (message, up, down) in zip(IDS, parents, shop_bodies(schema), strict=False)
    ]


def chain_of_several(names: Sequence[str]) -> list[Revision]:
    """Return the chain for a project with several databases, each with the same tables and a pause of its own."""
    parents = (None, *IDS)
    bodies = {name: shop_bodies(pause=f"{name.upper()}_PAUSE") for name in names}
    return [
        Revision(
            identifier,
            parent,
            bodies[names[0]][number][0],
            {name: (bodies[name][number][1], bodies[name][number][2]) for name in names},
        )
        for number, (identifier, parent) in enumerate(zip(IDS, parents, strict=False))
    ]


MODELS = """\
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class {base}(DeclarativeBase):
    metadata = sa.MetaData({metadata})


class {prefix}Customer({base}):
    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(80))
    email: Mapped[str] = mapped_column(sa.String(255))
    phone: Mapped[str | None] = mapped_column(sa.String(40))

    __table_args__ = (sa.Index("ix_customers_email", "email", unique=True),)


class {prefix}Order({base}):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey({prefix}Customer.id))
    total: Mapped[float] = mapped_column(sa.Numeric(12, 2))
    reference: Mapped[str] = mapped_column(sa.String(20))
"""


def models(schema: str | None = None, base: str = "Base", prefix: str = "") -> str:
    """Return the code of the models."""
    return MODELS.format(metadata=f"schema={schema!r}" if schema else "", base=base, prefix=prefix)
