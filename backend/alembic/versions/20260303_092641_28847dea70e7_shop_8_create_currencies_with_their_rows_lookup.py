"""SHOP-8 create currencies with their rows (lookup)"""

# Rows that the code relies on belong to the schema, so they come with the migration and not with a seed.
# The second INSERT adds whatever code an order already uses: without it the foreign key
# that follows (SHOP-9, SHOP-10) would fail on old data, in production first.

import sqlalchemy as sa
from alembic import op

revision = "28847dea70e7"
down_revision = "99689249e91b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "currencies",
        sa.Column("code", sa.CHAR(3), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("minor_units", sa.SmallInteger(), server_default=sa.text("2"), nullable=False),
        sa.CheckConstraint("minor_units BETWEEN 0 AND 4", name=op.f("ck_currencies_minor_units_in_range")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_currencies")),
    )
    op.execute(
        """
        INSERT INTO currencies (code, name, minor_units)
        VALUES
            ('CHF', 'Swiss franc', 2),
            ('EUR', 'Euro', 2),
            ('GBP', 'Pound sterling', 2),
            ('JPY', 'Yen', 0),
            ('USD', 'US dollar', 2)
        """
    )
    op.execute(
        """
        INSERT INTO currencies (code, name)
        SELECT DISTINCT currency, 'Unnamed'
        FROM orders
        ON CONFLICT (code) DO NOTHING
        """
    )


def downgrade() -> None:
    op.drop_table("currencies")
