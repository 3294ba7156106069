"""SHOP-37 create prices that cannot overlap (exclusion)"""

# No unique constraint can say "no two ranges overlap", and a check in the application can be raced. GiST
# compares ranges out of the box, but plain numbers only with the extension btree_gist; so product_id
# is written as a range of one number, and nothing needs to be installed.

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "3a04fb83cc78"
down_revision = "13a5eed6ba55"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "prices",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.Numeric(12, 2), nullable=False),
        sa.Column("validity", postgresql.DATERANGE(), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_prices_amount_not_negative")),
        sa.CheckConstraint("NOT isempty(validity)", name=op.f("ck_prices_validity_not_empty")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_prices_product_id_products"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
        postgresql.ExcludeConstraint(
            (sa.text("int8range(product_id, product_id, '[]')"), "&&"),
            ("validity", "&&"),
            using="gist",
            name=op.f("ex_prices_one_at_a_time"),
        ),
    )
    op.create_index(op.f("ix_prices_product_id"), "prices", ["product_id"])


def downgrade() -> None:
    op.drop_table("prices")
