"""SHOP-40 comment tables and columns"""

# What a name cannot say: units, currency, who writes it. Kept in the database, where psql, a report tool
# and the next team see it, and in the models, because `alembic check` compares the two. It writes the catalog
# only; the lock is brief and no row is read.

from alembic import op

revision = "c96d09ae7993"
down_revision = "3a04fb83cc78"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        COMMENT ON TABLE prices
        IS 'Price history: the price on a day is the row whose validity holds that day.'
        """
    )
    op.execute("COMMENT ON TABLE stock IS 'What is on the shelf now; written by the trigger on stock_movements.'")
    op.execute("COMMENT ON COLUMN customers.public_id IS 'Shown in URLs instead of the id.'")
    op.execute("COMMENT ON COLUMN currencies.minor_units IS 'Digits after the decimal point: 2 for EUR, 0 for JPY.'")
    op.execute(
        """
        COMMENT ON COLUMN order_lines.unit_price
        IS 'As agreed when ordered, in the order''s currency; not the list price.'
        """
    )
    op.execute("COMMENT ON COLUMN orders.reference IS 'What the customer quotes; never changes, unlike the status.'")
    op.execute("COMMENT ON COLUMN payments.amount IS 'In the order''s currency; a refund is negative.'")
    op.execute("COMMENT ON COLUMN prices.amount IS 'In EUR, without VAT.'")


def downgrade() -> None:
    op.execute("COMMENT ON TABLE prices IS NULL")
    op.execute("COMMENT ON TABLE stock IS NULL")
    op.execute("COMMENT ON COLUMN customers.public_id IS NULL")
    op.execute("COMMENT ON COLUMN currencies.minor_units IS NULL")
    op.execute("COMMENT ON COLUMN order_lines.unit_price IS NULL")
    op.execute("COMMENT ON COLUMN orders.reference IS NULL")
    op.execute("COMMENT ON COLUMN payments.amount IS NULL")
    op.execute("COMMENT ON COLUMN prices.amount IS NULL")
