"""SHOP-15 backfill orders.reference in batches"""

# One UPDATE over all orders would lock every row until its end and leave as many dead rows at once. backfill() goes
# by the primary key, a transaction for each batch, and keeps its place: cut short, by a timeout or by kill -9, the
# next upgrade goes on from there. It leaves the revision's transaction, so it is alone in here.
# The way down clears exactly what the way up would write, and keeps a reference that somebody chose.
# dbkit: ok lossy, the way down cannot tell its own from what new code has written in the same form

from alembic import op

from dbkit.backfill import backfill

revision = "2bb7eed78d89"
down_revision = "0d88a8286111"
branch_labels = None
depends_on = None


def upgrade() -> None:
    backfill(op, "orders", "reference = 'SO-' || id", where="reference IS NULL")


def downgrade() -> None:
    backfill(op, "orders", "reference = NULL", where="reference = 'SO-' || id")
