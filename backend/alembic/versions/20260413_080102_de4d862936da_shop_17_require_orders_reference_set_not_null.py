"""SHOP-17 require orders.reference (set not null)"""

# VALIDATE reads the table while reads and writes go on. SET NOT NULL then finds a valid CHECK that
# proves there is no NULL, and skips its own scan; after that the CHECK has done its work.
# The UPDATE is for rows written between the backfill and the CHECK: there are few, and no new ones.
# dbkit: ok data-in-one-transaction, only the orders that came since SHOP-15

import sqlalchemy as sa
from alembic import op

revision = "de4d862936da"
down_revision = "43243e270b5b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE orders SET reference = 'SO-' || id WHERE reference IS NULL")
    op.execute("ALTER TABLE orders VALIDATE CONSTRAINT ck_orders_reference_not_null")
    op.alter_column("orders", "reference", existing_type=sa.Text(), nullable=False)
    op.drop_constraint(op.f("ck_orders_reference_not_null"), "orders", type_="check")


def downgrade() -> None:
    op.create_check_constraint(
        op.f("ck_orders_reference_not_null"), "orders", "reference IS NOT NULL", postgresql_not_valid=True
    )
    op.alter_column("orders", "reference", existing_type=sa.Text(), nullable=True)
