"""SHOP-33 add products.search (generated column)"""

# A generated column cannot fall behind its source, as a column filled by the application can. STORED
# rewrites the table under an exclusive lock: fine for products, not for orders. As the table is locked and new
# anyway, its index needs no CONCURRENTLY. 'simple' is spelled out because the setting may differ by session.
# dbkit: ok volatile-default, there are few products
# dbkit: ok index-without-concurrently, there are few products

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "3ef0538ba411"
down_revision = "16712616b231"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "products",
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed("to_tsvector('simple'::regconfig, name)", persisted=True),
            nullable=False,
        ),
    )
    op.create_index(op.f("ix_products_search"), "products", ["search"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_index(op.f("ix_products_search"), "products")
    op.drop_column("products", "search")
