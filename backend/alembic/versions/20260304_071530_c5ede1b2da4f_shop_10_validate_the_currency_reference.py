"""SHOP-10 validate the currency reference"""

# A revision of its own: in one transaction with SHOP-9 the strong lock taken there would be held
# during this scan, and nothing would be gained. If it finds a bad row it names the key and changes nothing:
# mend the data and run it again. There is no INVALIDATE, so the way down drops and adds the constraint.

from alembic import op

revision = "c5ede1b2da4f"
down_revision = "1abdb8495a2b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE orders VALIDATE CONSTRAINT fk_orders_currency_currencies")


def downgrade() -> None:
    op.drop_constraint(op.f("fk_orders_currency_currencies"), "orders", type_="foreignkey")
    op.create_foreign_key(
        op.f("fk_orders_currency_currencies"),
        "orders",
        "currencies",
        ["currency"],
        ["code"],
        ondelete="RESTRICT",
        postgresql_not_valid=True,
    )
