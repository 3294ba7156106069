"""SHOP-28 create view order_totals"""

# Autogenerate does not see views: they are written by hand. CREATE VIEW, not CREATE OR REPLACE: if one of that
# name is there already, its definition would be gone, and the downgrade could not bring it back. To change
# a view later, drop and create it, with the old text in the downgrade. Lines and payments are summed apart,
# because joined together each line would count once for every payment.

from alembic import op

revision = "7c3228c8b0cb"
down_revision = "f897519607d1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE VIEW order_totals AS
        SELECT
            orders.id AS order_id,
            orders.reference,
            orders.status,
            orders.currency,
            coalesce(lines.total, 0) AS total,
            coalesce(received.paid, 0) AS paid
        FROM orders
        LEFT JOIN (
            SELECT order_id, sum(quantity * unit_price) AS total
            FROM order_lines
            GROUP BY order_id
        ) AS lines ON lines.order_id = orders.id
        LEFT JOIN (
            SELECT order_id, sum(amount) AS paid
            FROM payments
            WHERE received_at IS NOT NULL
            GROUP BY order_id
        ) AS received ON received.order_id = orders.id
        """
    )


def downgrade() -> None:
    op.execute("DROP VIEW order_totals")
