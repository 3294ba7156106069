"""SHOP-23 drop customers.name, now full_name (contract)"""

# Only when no process of the old release is left. On the way down the column that is there takes its old name
# back, and full_name is added anew: so name stands where it stood before, and its data needs no copy.
# NOT NULL goes and comes around the RENAME, because PostgreSQL 18 names that constraint after the column.
# customers is small enough for SET NOT NULL to scan it; SHOP-16 and SHOP-17 show the way for a large table.
# dbkit: ok not-null-by-scan, there are few customers
# dbkit: ok drop-breaks-code, all code reads full_name since the release after SHOP-22

import sqlalchemy as sa
from alembic import op

revision = "28f59e98be90"
down_revision = "cd24292d0cba"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP TRIGGER customers_names_in_step ON customers")
    op.execute("DROP FUNCTION customers_keep_names_in_step()")
    op.alter_column("customers", "full_name", existing_type=sa.Text(), nullable=False)
    op.drop_column("customers", "name")


def downgrade() -> None:
    op.alter_column("customers", "full_name", existing_type=sa.Text(), nullable=True)
    op.alter_column("customers", "full_name", existing_type=sa.Text(), new_column_name="name")
    op.alter_column("customers", "name", existing_type=sa.Text(), nullable=False)
    op.add_column("customers", sa.Column("full_name", sa.Text(), nullable=True))
    op.execute("UPDATE customers SET full_name = name")
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
