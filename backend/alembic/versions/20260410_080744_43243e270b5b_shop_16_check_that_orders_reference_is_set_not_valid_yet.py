"""SHOP-16 check that orders.reference is set, not valid yet"""

# SET NOT NULL by itself reads the whole table under a lock that stops even SELECT. A CHECK that is NOT VALID
# takes that lock for a moment and holds for every row written from now on. Beware: it also holds for an
# UPDATE of an old row that is still NULL, so the backfill comes first.

# dbkit: ok write-breaks-code, all running code has given a reference since SHOP-14

from alembic import op

revision = "43243e270b5b"
down_revision = "2bb7eed78d89"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_check_constraint(
        op.f("ck_orders_reference_not_null"), "orders", "reference IS NOT NULL", postgresql_not_valid=True
    )


def downgrade() -> None:
    op.drop_constraint(op.f("ck_orders_reference_not_null"), "orders", type_="check")
