"""SHOP-9 reference currencies from orders, not valid yet"""

# A plain ADD FOREIGN KEY reads every order while writes to both tables wait. NOT VALID checks only
# the rows written from now on, so its lock is brief; SHOP-10 checks the old ones under a weaker lock.
# No index on orders.currency: currencies are as good as never deleted, and the code has few values.

from alembic import op

revision = "1abdb8495a2b"
down_revision = "28847dea70e7"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_foreign_key(
        op.f("fk_orders_currency_currencies"),
        "orders",
        "currencies",
        ["currency"],
        ["code"],
        ondelete="RESTRICT",
        postgresql_not_valid=True,
    )


def downgrade() -> None:
    op.drop_constraint(op.f("fk_orders_currency_currencies"), "orders", type_="foreignkey")
