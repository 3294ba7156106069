"""SHOP-3 move stock into its own table (data migration)"""

# Rows move in SQL, not through the models: a model is what the code looks like today, and this file
# must still run when the model has changed. products.stock_quantity stays for the release that is
# running while this is applied; SHOP-4 drops it. The way down first carries the newer numbers back.
# dbkit: ok lock-kept-during-data-change, there are few products, and nobody changes them at night

import sqlalchemy as sa
from alembic import op

revision = "b19e8311e41b"
down_revision = "eab263c77589"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stock",
        sa.Column("product_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("quantity", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("quantity >= 0", name=op.f("ck_stock_quantity_not_negative")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_stock_product_id_products"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("product_id", name=op.f("pk_stock")),
    )
    op.execute(
        """
        INSERT INTO stock (product_id, quantity)
        SELECT id, stock_quantity
        FROM products
        """
    )


def downgrade() -> None:
    op.execute(
        """
        UPDATE products
        SET stock_quantity = stock.quantity
        FROM stock
        WHERE stock.product_id = products.id
            AND stock.quantity <> products.stock_quantity
        """
    )
    op.drop_table("stock")
