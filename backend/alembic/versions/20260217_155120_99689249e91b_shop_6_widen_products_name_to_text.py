"""SHOP-6 widen products.name to text"""

# varchar(80) to text changes the catalog only: no rewrite, no scan, even on a large table. The way down
# is another matter: it rewrites the table, and a name longer than 80 characters has to go somewhere.
# Decided: it is cut at 80. A bare ALTER would stop there with an error and leave the database between releases.

import sqlalchemy as sa
from alembic import op

revision = "99689249e91b"
down_revision = "7908f0b0ad74"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("products", "name", existing_type=sa.String(80), type_=sa.Text(), existing_nullable=False)


def downgrade() -> None:
    op.alter_column(
        "products",
        "name",
        existing_type=sa.Text(),
        type_=sa.String(80),
        existing_nullable=False,
        postgresql_using="left(name, 80)",
    )
