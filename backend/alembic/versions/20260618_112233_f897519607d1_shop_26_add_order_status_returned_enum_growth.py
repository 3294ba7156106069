"""SHOP-26 add order status returned (enum growth)"""

# ALTER TYPE … ADD VALUE is shorter, but PostgreSQL cannot remove a value again, so its downgrade could not be
# true. Here the type is built anew, both ways, at the price of rewriting orders under an exclusive lock; on
# a table too large for that, take ADD VALUE in a revision of its own and accept that the value stays.
# Decided for the way down: a returned order becomes delivered again, the state it was in before.
# dbkit: ok type-change-rewrites, done at night, while orders were few enough

from alembic import op

revision = "f897519607d1"
down_revision = "28f59e98be90"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TYPE order_status RENAME TO order_status_old")
    op.execute(
        """
        CREATE TYPE order_status AS ENUM
            ('pending', 'paid', 'shipped', 'delivered', 'returned', 'cancelled')
        """
    )
    op.execute(
        """
        ALTER TABLE orders
            ALTER COLUMN status DROP DEFAULT,
            ALTER COLUMN status TYPE order_status USING status::text::order_status,
            ALTER COLUMN status SET DEFAULT 'pending'
        """
    )
    op.execute("DROP TYPE order_status_old")


def downgrade() -> None:
    op.execute("ALTER TYPE order_status RENAME TO order_status_new")
    op.execute("CREATE TYPE order_status AS ENUM ('pending', 'paid', 'shipped', 'delivered', 'cancelled')")
    op.execute(
        """
        ALTER TABLE orders
            ALTER COLUMN status DROP DEFAULT,
            ALTER COLUMN status TYPE order_status USING (
                CASE status
                    WHEN 'returned' THEN 'delivered'
                    ELSE status::text
                END
            )::order_status,
            ALTER COLUMN status SET DEFAULT 'pending'
        """
    )
    op.execute("DROP TYPE order_status_new")
