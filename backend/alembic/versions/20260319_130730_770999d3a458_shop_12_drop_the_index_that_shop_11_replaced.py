"""SHOP-12 drop the index that SHOP-11 replaced"""

# An index is replaced without a gap by creating the new one first and dropping the old one after, in
# two revisions: each can be run again after a failure without taking away the index that queries use.
# ix_orders_customer_id_ordered_at begins with customer_id, so it serves the foreign key as well.

from alembic import op

revision = "770999d3a458"
down_revision = "172e6f3da0a5"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(op.f("ix_orders_customer_id"), "orders", postgresql_concurrently=True, if_exists=True)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(op.f("ix_orders_customer_id"), "orders", postgresql_concurrently=True, if_exists=True)
        op.create_index(op.f("ix_orders_customer_id"), "orders", ["customer_id"], postgresql_concurrently=True)
