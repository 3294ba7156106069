"""SHOP-15 backfill orders.reference in batches"""

# One UPDATE over all orders would lock every row until its end and leave as many dead rows at once. This block
# commits after each 5,000. Cut short, by a timeout or by hand, it keeps what it has done: run it again and it
# takes only the rows still NULL. COMMIT inside DO needs a session without a transaction, hence the autocommit.
# The way down clears exactly what the way up would write, and keeps a reference that somebody chose.

from alembic import op

revision = "2bb7eed78d89"
down_revision = "0d88a8286111"
branch_labels = None
depends_on = None

# dbkit: rerunnable, each batch takes only the rows that are not done yet


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(
            """
            DO $$
            DECLARE
                done bigint := (SELECT min(id) - 1 FROM orders);
                batch_end bigint;
            BEGIN
                LOOP
                    SELECT max(id) INTO batch_end
                    FROM (
                        SELECT id
                        FROM orders
                        WHERE id > done AND reference IS NULL
                        ORDER BY id
                        LIMIT 5000
                    ) AS batch;
                    EXIT WHEN batch_end IS NULL;

                    UPDATE orders
                    SET reference = 'SO-' || id
                    WHERE id > done AND id <= batch_end AND reference IS NULL;
                    COMMIT;
                    done := batch_end;
                END LOOP;
            END
            $$
            """
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(
            """
            DO $$
            DECLARE
                done bigint := (SELECT min(id) - 1 FROM orders);
                batch_end bigint;
            BEGIN
                LOOP
                    SELECT max(id) INTO batch_end
                    FROM (
                        SELECT id
                        FROM orders
                        WHERE id > done AND reference = 'SO-' || id
                        ORDER BY id
                        LIMIT 5000
                    ) AS batch;
                    EXIT WHEN batch_end IS NULL;

                    UPDATE orders
                    SET reference = NULL
                    WHERE id > done AND id <= batch_end AND reference = 'SO-' || id;
                    COMMIT;
                    done := batch_end;
                END LOOP;
            END
            $$
            """
        )
