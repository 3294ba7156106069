"""SHOP-4 drop products.stock_quantity, which can come back"""

# Drop a column one release after the code stopped reading it, never in the same one. The numbers
# live on in stock, so the way down restores the column and its data; a product without a row in stock
# would come back with 0. Where no other place has the data, a downgrade can only restore an empty column:
# copy what matters to a table of its own before such a drop.
# dbkit: ok lossy, each product has a row in stock: SHOP-3 has made them, and all code does since then
# dbkit: ok drop-breaks-code, all code reads stock since the release after SHOP-3

import sqlalchemy as sa
from alembic import op

revision = "7908f0b0ad74"
down_revision = "b19e8311e41b"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("products", "stock_quantity")


def downgrade() -> None:
    op.add_column("products", sa.Column("stock_quantity", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.create_check_constraint(op.f("ck_products_stock_quantity_not_negative"), "products", "stock_quantity >= 0")
    op.execute(
        """
        UPDATE products
        SET stock_quantity = stock.quantity
        FROM stock
        WHERE stock.product_id = products.id
        """
    )
