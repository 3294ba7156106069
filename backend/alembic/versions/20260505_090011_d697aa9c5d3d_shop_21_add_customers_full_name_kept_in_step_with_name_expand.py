"""SHOP-21 add customers.full_name, kept in step with name (expand)"""

# RENAME COLUMN is instant, and breaks every process of the running release at that instant. Instead both
# columns exist for a while: old code writes name, new code writes full_name, and the trigger copies
# each way. Column and trigger come in one transaction, so that no row slips in between.

import sqlalchemy as sa
from alembic import op

revision = "d697aa9c5d3d"
down_revision = "9e22a3442416"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("customers", sa.Column("full_name", sa.Text(), nullable=True))
    op.execute(
        """
        CREATE FUNCTION customers_keep_names_in_step() RETURNS trigger
        LANGUAGE plpgsql
        AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                NEW.name := coalesce(NEW.name, NEW.full_name);
                NEW.full_name := NEW.name;
            ELSIF NEW.name IS DISTINCT FROM OLD.name THEN
                NEW.full_name := NEW.name;
            ELSIF NEW.full_name IS DISTINCT FROM OLD.full_name THEN
                NEW.name := coalesce(NEW.full_name, NEW.name);
            END IF;
            RETURN NEW;
        END
        $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER customers_names_in_step
        BEFORE INSERT OR UPDATE ON customers
        FOR EACH ROW EXECUTE FUNCTION customers_keep_names_in_step()
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER customers_names_in_step ON customers")
    op.execute("DROP FUNCTION customers_keep_names_in_step()")
    op.drop_column("customers", "full_name")
