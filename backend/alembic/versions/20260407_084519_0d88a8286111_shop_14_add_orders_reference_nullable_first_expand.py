"""SHOP-14 add orders.reference, nullable first (expand)"""

# NOT NULL at once would fail on the first row that is there, and a made-up default would be a lie in each
# of them. A nullable column without default is instant at any size, and the running release does not
# notice it. The next release writes it; SHOP-15 fills the old rows; SHOP-16 and SHOP-17 require it.

import sqlalchemy as sa
from alembic import op

revision = "0d88a8286111"
down_revision = "770999d3a458"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("reference", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("orders", "reference")
