"""SHOP-11 index orders by customer and date (concurrent)"""

# CREATE INDEX CONCURRENTLY lets writes go on, but cannot run in a transaction, so it is alone in its
# revision: nothing can be left half done beside it. A failed build leaves an invalid index behind, which
# if_not_exists would take for the finished one; so drop what may be there, then create, and let it fail aloud.

from alembic import op

revision = "172e6f3da0a5"
down_revision = "c5ede1b2da4f"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(op.f("ix_orders_customer_id_ordered_at"), "orders", postgresql_concurrently=True, if_exists=True)
        op.create_index(
            op.f("ix_orders_customer_id_ordered_at"),
            "orders",
            ["customer_id", "ordered_at"],
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(op.f("ix_orders_customer_id_ordered_at"), "orders", postgresql_concurrently=True, if_exists=True)
