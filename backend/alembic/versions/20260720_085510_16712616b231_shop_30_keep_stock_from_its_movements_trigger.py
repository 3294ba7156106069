"""SHOP-30 keep stock from its movements (trigger)"""

# Code that writes a movement and then the stock gets the two apart sooner or later; the trigger writes both or
# neither. It never reads a total to write it back: it adds in one UPDATE, so two movements at once both count.
# The function is an object of its own: dropping the table takes the trigger along, not the function.

import sqlalchemy as sa
from alembic import op

revision = "16712616b231"
down_revision = "7c3228c8b0cb"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stock_movements",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("moved_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("change <> 0", name=op.f("ck_stock_movements_change_not_zero")),
        sa.ForeignKeyConstraint(
            ["product_id"], ["products.id"], name=op.f("fk_stock_movements_product_id_products"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_movements")),
    )
    op.create_index(op.f("ix_stock_movements_product_id"), "stock_movements", ["product_id"])
    op.execute(
        """
        CREATE FUNCTION stock_apply_movement() RETURNS trigger
        LANGUAGE plpgsql
        AS $$
        BEGIN
            INSERT INTO stock (product_id)
            VALUES (NEW.product_id)
            ON CONFLICT (product_id) DO NOTHING;

            UPDATE stock
            SET quantity = quantity + NEW.change
            WHERE product_id = NEW.product_id;

            RETURN NULL;
        END
        $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER stock_movements_apply
        AFTER INSERT ON stock_movements
        FOR EACH ROW EXECUTE FUNCTION stock_apply_movement()
        """
    )


def downgrade() -> None:
    op.drop_table("stock_movements")
    op.execute("DROP FUNCTION stock_apply_movement()")
