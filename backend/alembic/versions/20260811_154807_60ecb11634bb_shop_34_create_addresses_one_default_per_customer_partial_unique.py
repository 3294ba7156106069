"""SHOP-34 create addresses, one default per customer (partial unique)"""

# "At most one default per customer" in the application is a read and then a write, and two requests can both
# read "none yet". A unique index over only the default rows cannot be raced, and leaves the other rows alone.
# Written on another branch than SHOP-33 and at the same time: both follow SHOP-30, so there are two heads.

import sqlalchemy as sa
from alembic import op

revision = "60ecb11634bb"
down_revision = "16712616b231"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "addresses",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=True),
        sa.Column("street", sa.Text(), nullable=False),
        sa.Column("city", sa.Text(), nullable=False),
        sa.Column("postcode", sa.Text(), nullable=True),
        sa.Column("country", sa.CHAR(2), server_default=sa.text("'DE'"), nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_addresses_customer_id_customers"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_addresses")),
    )
    op.create_index(op.f("ix_addresses_customer_id"), "addresses", ["customer_id"])
    op.create_index(
        op.f("ix_addresses_one_default"),
        "addresses",
        ["customer_id"],
        unique=True,
        postgresql_where=sa.text("is_default"),
    )


def downgrade() -> None:
    op.drop_table("addresses")
