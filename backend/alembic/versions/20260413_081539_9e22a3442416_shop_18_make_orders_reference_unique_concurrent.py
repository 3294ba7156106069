"""SHOP-18 make orders.reference unique (concurrent)"""

# A unique index is where a concurrent build really fails: on the first duplicate it stops and leaves
# an invalid index, under which new duplicates still get in. Find them first:
# SELECT reference, count(*) FROM orders GROUP BY reference HAVING count(*) > 1

from alembic import op

revision = "9e22a3442416"
down_revision = "de4d862936da"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(op.f("ix_orders_reference"), "orders", postgresql_concurrently=True, if_exists=True)
        op.create_index(op.f("ix_orders_reference"), "orders", ["reference"], unique=True, postgresql_concurrently=True)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(op.f("ix_orders_reference"), "orders", postgresql_concurrently=True, if_exists=True)
