"""Dangerous statements as they are written in migrations, each with who is hurt, and the words that a finding must have."""

from support.data_case import Step, python
from support.lint_guises_case import danger

GONE = python("raise NotImplementedError('the rows are gone')")

DANGERS = [
    # rows and objects that go with others
    danger("truncate_parents", "orders and their lines are emptied with the customers that they reference", "order_lines|truncat|emptied",
        Step(python('op.get_bind().execute(sa.text("TRUNCATE TABLE customers RESTART IDENTITY CASCADE"))'), GONE)),
    danger("truncate_in_a_do_loop", "each table of a list that was there is emptied", "truncat|emptied|all rows",
        Step("DO $$ DECLARE name text; BEGIN FOREACH name IN ARRAY ARRAY['hits', 'settings'] LOOP EXECUTE format('TRUNCATE %I', name); END LOOP; END $$", GONE)),
    danger("schema_dropped_with_all", "the tables of the schema go with it", 'Leads',
        Step("DROP SCHEMA IF EXISTS sales CASCADE", GONE)),
    danger("type_dropped_with_its_column", "the column of the type is dropped from orders with it", "orders.state|column state|state of orders|orders: state",
        Step(python("""
            op.execute("ALTER TABLE orders ADD COLUMN state_text text")
            op.execute("DROP TYPE IF EXISTS order_state CASCADE")
            """), GONE)),
    danger("view_dropped_with_a_view", "the view is made again, but not the one that was made on it", "paid_totals",
        Step("DROP VIEW IF EXISTS paid_orders CASCADE; CREATE VIEW paid_orders AS SELECT id, customer_id, total FROM orders WHERE state IN ('paid', 'sent')", GONE)),
    danger("column_dropped_with_a_view", "a report reads the view that goes with the column", "shipped_orders",
        Step('ALTER TABLE "orders" DROP COLUMN IF EXISTS "shipped" CASCADE', GONE)),
    danger("function_dropped_with_trigger", "the trigger that trims references goes with its function", "orders_trim|trigger",
        Step("DROP FUNCTION trim_reference() CASCADE", GONE)),
    danger("key_dropped_with_foreign_keys", "orders may have customers that do not exist, from now on", "foreign key|orders_customer_id_fkey",
        Step("ALTER TABLE IF EXISTS public.customers DROP CONSTRAINT IF EXISTS customers_pkey CASCADE", GONE)),
    danger("unique_index_of_an_upsert", "ON CONFLICT (page) of running code finds no unique index, and fails", "on conflict|unique",
        Step(python('op.drop_index("ux_hits_page", table_name="hits")'), python('op.create_index("ux_hits_page", "hits", ["page"], unique=True)'))),
    danger("index_of_a_concurrent_refresh", "REFRESH … CONCURRENTLY of a job fails without a unique index", "refresh|unique",
        Step(python("""
            with op.get_context().autocommit_block():
                op.execute("DROP INDEX CONCURRENTLY ux_daily_totals")
            """), "CREATE UNIQUE INDEX ux_daily_totals ON daily_totals (day)")),
    danger("trigger_dropped", "running code relies on what the trigger writes", "trigger",
        Step("DROP TRIGGER orders_trim ON orders", "CREATE TRIGGER orders_trim BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION trim_reference()"),
        ids="drop-breaks-code"),
    danger("function_with_another_argument", "a call with one argument of running code finds no function", "order_worth",
        Step("DROP FUNCTION order_worth(bigint); CREATE FUNCTION order_worth(o bigint, net boolean) RETURNS numeric LANGUAGE sql AS $$ SELECT 1.0 $$",
             "DROP FUNCTION order_worth(bigint, boolean); CREATE FUNCTION order_worth(o bigint) RETURNS numeric LANGUAGE sql STABLE AS $$ SELECT sum(price * pieces) FROM order_lines WHERE order_id = o $$")),
    danger("partition_detached", "readings of a year are no longer in the table that code reads", "readings_2025",
        Step(python("""
            for year in (2025,):
                op.execute(f"ALTER TABLE readings DETACH PARTITION readings_{year}")
            """), "ALTER TABLE readings ATTACH PARTITION readings_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')")),
    danger("child_no_longer_inherits", "old documents are no longer found by a query of all documents", "inherit|old_documents",
        Step("ALTER TABLE old_documents NO INHERIT documents", "ALTER TABLE old_documents INHERIT documents")),
    # names
    danger("view_renamed", "running code reads the view by its old name", "paid_totals",
        Step("ALTER VIEW paid_totals RENAME TO customer_totals", "ALTER VIEW customer_totals RENAME TO paid_totals")),
    danger("view_in_another_schema", "the view is not on the search path of running code any more", "shipped_orders|schema",
        Step("ALTER VIEW public.shipped_orders SET SCHEMA sales", "ALTER VIEW sales.shipped_orders SET SCHEMA public")),
    danger("function_renamed", "running code calls the function by its old name", "order_worth",
        Step("ALTER FUNCTION order_worth(bigint) RENAME TO value_of_order", "ALTER FUNCTION value_of_order(bigint) RENAME TO order_worth")),
    danger("schema_renamed", "running code qualifies its tables with the old name", "sales",
        Step(python("""
            names = ("sales", "crm")
            op.execute("ALTER SCHEMA {} RENAME TO {}".format(*names))
            """), "ALTER SCHEMA crm RENAME TO sales")),
    danger("sequence_renamed", "nextval('invoice_numbers') of running code fails", "invoice_numbers",
        Step("ALTER SEQUENCE invoice_numbers RENAME TO invoices_number_seq", "ALTER SEQUENCE invoices_number_seq RENAME TO invoice_numbers")),
    danger("type_renamed", "a cast to the type by its old name, which drivers write, fails", "order_state",
        Step("ALTER TYPE order_state RENAME TO order_status", "ALTER TYPE order_status RENAME TO order_state")),
    danger("column_of_a_view_renamed", "running code reads the column of the view", "paid_orders|total",
        Step("ALTER VIEW paid_orders RENAME COLUMN total TO amount", "ALTER VIEW paid_orders RENAME COLUMN amount TO total")),
    # INSERT of running code
    danger("default_only_while_added", "running code does not know the column, which has no default after the migration", "default|insert",
        Step(python("""
            op.add_column("customers", sa.Column("locale", sa.String(8), nullable=False, server_default="de"))
            op.alter_column("customers", "locale", server_default=None)
            """), python('op.drop_column("customers", "locale")'))),
    danger("default_of_a_sequence_dropped", "running code leaves the number to the default", "default|insert",
        Step('ALTER TABLE public."invoices" ALTER "number" DROP DEFAULT', "ALTER TABLE invoices ALTER number SET DEFAULT nextval('invoice_numbers')")),
    danger("identity_dropped", "running code leaves the id to the identity", "identity|default|insert",
        Step("ALTER TABLE customers ALTER COLUMN id DROP IDENTITY IF EXISTS", "ALTER TABLE customers ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY")),
    danger("check_against_the_default", "an INSERT that leaves the quantity to its default of 1 is refused from now on", "default|insert|running code|old code",
        Step(python('op.create_check_constraint("ck_by_pairs", "orders", "quantity >= 2", postgresql_not_valid=True)'), python('op.drop_constraint("ck_by_pairs", "orders")'))),
    danger("check_of_an_unknown_column", "running code does not know the column that the check demands", "insert|running code|old code|default",
        Step("ALTER TABLE invoices ADD COLUMN currency char(3); ALTER TABLE invoices ADD CONSTRAINT ck_currency CHECK (currency IS NOT NULL) NOT VALID",
             "ALTER TABLE invoices DROP COLUMN currency")),
    danger("column_no_longer_computed", "running code does not write the column, which stays NULL in new rows", "expression|generated|computed",
        Step("ALTER TABLE order_lines ALTER COLUMN worth DROP EXPRESSION", GONE)),
    danger("smaller_sequence", "nextval() fails once it is at 32767", "sequence|invoice_numbers|smallint|32767",
        Step("ALTER SEQUENCE invoice_numbers AS smallint", "ALTER SEQUENCE invoice_numbers AS bigint")),
    danger("sequence_set_to_1", "the next numbers are those of invoices that exist: duplicate key", "setval|duplicate|existing|invoice_numbers",
        Step(python("""op.get_bind().execute(sa.text("SELECT setval(CAST(:s AS regclass), 1, false)"), {"s": "invoice_numbers"})"""), "SELECT 1")),
    danger("identity_restarted", "the next ids are those of customers that exist: duplicate key", "restart|duplicate|existing|sequence|identity",
        Step("ALTER TABLE customers ALTER COLUMN id RESTART WITH 1", "SELECT 1")),
    danger("on_delete_taken_away", "running code that deletes an order with lines gets an error", "on delete|cascade",
        Step(python("""
            op.drop_constraint("order_lines_order_id_fkey", "order_lines", type_="foreignkey")
            op.create_foreign_key("order_lines_order_id_fkey", "order_lines", "orders", ["order_id"], ["id"], postgresql_not_valid=True)
            """), "ALTER TABLE order_lines DROP CONSTRAINT order_lines_order_id_fkey; ALTER TABLE order_lines ADD CONSTRAINT order_lines_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders ON DELETE CASCADE NOT VALID")),
    danger("trigger_that_raises", "each UPDATE of running code fails", "trigger|raise",
        Step("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'orders are frozen while we migrate'; END $$;"
             "CREATE TRIGGER orders_frozen BEFORE UPDATE OR DELETE ON orders FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
             "DROP TRIGGER orders_frozen ON orders; DROP FUNCTION refuse()")),
    danger("rule_that_swallows", "INSERTs of running code succeed, and write nothing", "rule",
        Step("CREATE RULE hits_off AS ON INSERT TO hits DO INSTEAD NOTHING", "DROP RULE hits_off ON hits")),
    danger("rule_disabled", "the rule that keeps settings from being deleted is off", "rule",
        Step("CREATE RULE settings_kept AS ON DELETE TO settings DO INSTEAD NOTHING", "DROP RULE settings_kept ON settings"),
        Step("ALTER TABLE settings DISABLE RULE settings_kept", "ALTER TABLE settings ENABLE RULE settings_kept")),
    # what protects rows
    danger("triggers_left_disabled", "foreign keys of order_lines are not checked any more", "trigger|foreign key",
        Step(python("""
            op.execute("ALTER TABLE order_lines DISABLE TRIGGER ALL")
            op.execute("INSERT INTO order_lines (order_id, line, sku) VALUES (-1, 1, 'sample')")
            """), "DELETE FROM order_lines WHERE order_id = -1 AND line = 1; ALTER TABLE order_lines ENABLE TRIGGER ALL")),
    danger("replica_by_set_config", "an order of a customer who does not exist is written, unchecked", "session_replication_role|trigger|foreign key|replica",
        Step(python("""
            bind = op.get_bind()
            bind.execute(sa.select(sa.func.set_config("session_replication_role", "replica", True)))
            bind.execute(sa.text("INSERT INTO orders (id, customer_id) VALUES (-7, -7)"))
            """), "DELETE FROM orders WHERE id = -7")),
    danger("not_null_by_the_catalog", "rows with NULL stay in a column that PostgreSQL takes for NOT NULL", "catalog|pg_attribute",
        Step("DO $$ BEGIN UPDATE pg_attribute SET attnotnull = true WHERE attrelid = 'hits'::regclass AND attname = 'page'; END $$",
             "UPDATE pg_attribute SET attnotnull = false WHERE attrelid = 'hits'::regclass AND attname = 'page'")),
    danger("index_switched_off", "the planner does not use the index any more, and nothing repairs it", "catalog|pg_index",
        Step(python("""
            index = sa.table("pg_index", sa.column("indexrelid"), sa.column("indisvalid"), schema="pg_catalog")
            op.get_bind().execute(index.update().where(index.c.indexrelid == sa.text("'ix_orders_customer'::regclass")).values(indisvalid=False))
            """), "UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'ix_orders_customer'::regclass")),
    danger("row_security_read_only", "there is a policy for SELECT alone, so each INSERT and UPDATE of the application fails", "policy|row security|row-level|row level",
        Step("CREATE POLICY all_read ON orders FOR SELECT USING (true); ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
             "ALTER TABLE orders DISABLE ROW LEVEL SECURITY; DROP POLICY all_read ON orders")),
    danger("row_security_forced", "the owner, as whom the application works, sees no row without app.tenant", "policy|row security|row-level|row level|owner",
        Step("CREATE POLICY own ON customers USING (country = current_setting('app.tenant', true)); ALTER TABLE customers ENABLE ROW LEVEL SECURITY",
             "ALTER TABLE customers DISABLE ROW LEVEL SECURITY; DROP POLICY own ON customers"),
        Step("ALTER TABLE customers FORCE ROW LEVEL SECURITY", "ALTER TABLE customers NO FORCE ROW LEVEL SECURITY")),
    danger("last_policy_dropped", "row security stays on, and without a policy no row is seen", "policy",
        Step("CREATE POLICY anybody ON invoices USING (true); ALTER TABLE invoices ENABLE ROW LEVEL SECURITY",
             "ALTER TABLE invoices DISABLE ROW LEVEL SECURITY; DROP POLICY anybody ON invoices"),
        Step("DROP POLICY anybody ON invoices", "CREATE POLICY anybody ON invoices USING (true)")),
    danger("column_privilege_revoked", "the application's role may not change the total any more", "revoke|privilege",
        Step("GRANT SELECT, UPDATE (total, state) ON orders TO PUBLIC", "REVOKE ALL ON orders FROM PUBLIC"),
        Step("REVOKE UPDATE (total) ON orders FROM PUBLIC", "GRANT UPDATE (total) ON orders TO PUBLIC")),
    danger("execute_revoked", "the application's role may not call the function any more", "revoke|privilege",
        Step(python("""
            for name in ("order_worth(bigint)",):
                op.execute(f"REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC")
            """), "GRANT EXECUTE ON FUNCTION order_worth(bigint) TO PUBLIC")),
    danger("default_privileges_taken", "functions of later revisions cannot be called by the application's role", "privilege|revoke",
        Step("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC", "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC")),
    danger("another_owner", "the application, as the old owner, may not use the table any more", "owner",
        Step("ALTER TABLE settings OWNER TO pg_monitor", "ALTER TABLE settings OWNER TO CURRENT_USER")),
    danger("definer_without_search_path", "whoever calls it can put a table in front of the function's, and acts as its owner", "security definer|search_path",
        Step("ALTER FUNCTION order_worth(bigint) SECURITY DEFINER", "ALTER FUNCTION order_worth(bigint) SECURITY INVOKER")),
    danger("view_of_the_invoker", "readers of the view who may not read orders are refused", "security_invoker|invoker|privilege",
        Step("ALTER VIEW paid_orders SET (security_invoker = true)", "ALTER VIEW paid_orders RESET (security_invoker)"), server=15),
    # replication, storage
    danger("not_published_any_more", "subscribers get no more changes of orders, and no error", "publication",
        Step("CREATE PUBLICATION feed FOR TABLE orders, customers", "DROP PUBLICATION feed"),
        Step("ALTER PUBLICATION feed DROP TABLE orders", "ALTER PUBLICATION feed ADD TABLE orders")),
    danger("published_without_a_key", "UPDATE and DELETE of a published table without a replica identity fail", "publication|replica identity",
        Step("CREATE PUBLICATION pages FOR TABLE hits", "DROP PUBLICATION pages")),
    danger("replica_identity_nothing", "UPDATE and DELETE of the published table fail", "replica identity",
        Step("CREATE PUBLICATION names FOR TABLE settings", "DROP PUBLICATION names"),
        Step("ALTER TABLE settings REPLICA IDENTITY NOTHING", "ALTER TABLE settings REPLICA IDENTITY DEFAULT")),
    danger("autovacuum_off", "dead rows of orders are never removed again", "autovacuum",
        Step("ALTER TABLE orders SET (fillfactor = 90, autovacuum_enabled = false)", "ALTER TABLE orders RESET (fillfactor, autovacuum_enabled)")),
    danger("unpopulated_view", "each query of the materialized view fails until it is refreshed", "populated|no data",
        Step("REFRESH MATERIALIZED VIEW daily_totals WITH NO DATA", "REFRESH MATERIALIZED VIEW daily_totals")),
    danger("logged_again", "the table is written anew while reads and writes wait", "",
        Step("ALTER TABLE hits SET UNLOGGED", "ALTER TABLE hits SET LOGGED"),
        Step(python("""op.execute("ALTER TABLE IF EXISTS ONLY hits SET LOGGED")"""), "ALTER TABLE hits SET UNLOGGED"), ids="rewrite-under-lock"),
    danger("one_index_rebuilt", "writes wait, and so do queries that would use the index", "",
        Step("DO $$ BEGIN EXECUTE 'REINDEX INDEX ' || quote_ident('ix_orders_customer'); END $$", "SELECT 1"),
        ids="scan-under-lock squawk/require-concurrent-reindex"),
    # copies
    danger("batch_that_copies", "batch mode copies the table, drops it and renames the copy: rows written meanwhile are lost", "copied|copy|swap|meanwhile|lost",
        Step(python("""
            with op.batch_alter_table("settings", recreate="always") as batch:
                batch.add_column(sa.Column("changed", sa.DateTime))
            """), python('op.drop_column("settings", "changed")'))),
    danger("swap_by_two_renames", "rows that are written between the copy and the first rename stay in the old table", "copied|copy|swap|meanwhile|lost",
        Step(python("""
            op.execute("CREATE TABLE translations_v2 (LIKE translations INCLUDING ALL)")
            op.execute("INSERT INTO translations_v2 SELECT * FROM translations")
            op.rename_table("translations", "translations_v1")
            op.rename_table("translations_v2", "translations")
            """), "DROP TABLE translations; ALTER TABLE translations_v1 RENAME TO translations")),
    danger("renamed_then_copied", "the old table is locked first, so all wait while its rows are copied", "",
        Step("ALTER TABLE hits RENAME TO hits_old; CREATE TABLE hits AS SELECT page, n::bigint AS n FROM hits_old; CREATE UNIQUE INDEX ux_hits_page_2 ON hits (page)",
             "DROP TABLE hits; ALTER TABLE hits_old RENAME TO hits"),
        ids="lock-kept-during-data-change"),
    # locks and data
    danger("lock_then_copy", "writes wait while all rows are copied", "lock table|under the lock",
        Step("CREATE TABLE order_copy (id bigint, total numeric)", "DROP TABLE order_copy"),
        Step("LOCK TABLE orders IN SHARE MODE; INSERT INTO order_copy SELECT id, total FROM orders", "TRUNCATE order_copy"),
        ids="lock-kept-during-data-change"),
    danger("lock_all_then_work", "all reads of orders wait while every customer is written", "",
        Step(python("""
            bind = op.get_bind()
            for table in ("orders", "customers"):
                bind.exec_driver_sql(f"LOCK {table}")
            bind.execute(sa.text("UPDATE customers SET country = upper(country)"))
            """), "SELECT 1"), ids="lock-kept-during-data-change"),
    danger("all_rows_for_update", "each row of orders is locked against writers until the migration ends", "for update|rows are locked|rows of orders|every row",
        Step(python("""
            orders = sa.table("orders", sa.column("id"))
            op.get_bind().execute(sa.select(orders.c.id).with_for_update()).all()
            """), "SELECT 1"), ids="data-in-one-transaction"),
    danger("lock_timeout_reset", "the ALTER TABLE waits for its lock without end, and all others wait behind it", "lock_timeout",
        Step("RESET lock_timeout; ALTER TABLE customers ADD COLUMN vip boolean", "ALTER TABLE customers DROP COLUMN vip"), ids="no-lock-timeout"),
    danger("lock_timeout_of_an_hour", "all queries of customers may wait for an hour behind the ALTER TABLE", "lock_timeout",
        Step(python("""
            op.get_bind().execute(sa.text("SELECT set_config('lock_timeout', '1h', true)"))
            op.add_column("customers", sa.Column("vip", sa.Boolean))
            """), "ALTER TABLE customers DROP COLUMN vip"), ids="no-lock-timeout"),
    danger("each_row_by_its_key", "a loop over all keys writes all rows in one transaction", "",
        Step(python("""
            bind = op.get_bind()
            for (key,) in bind.execute(sa.text("SELECT id FROM customers")).all():
                bind.execute(sa.text("UPDATE customers SET name = initcap(name) WHERE id = :id"), {"id": key})
            """), "SELECT 1"), ids="data-in-one-transaction"),
    danger("range_of_keys", "the range has all rows, though the condition is on the key", "",
        Step("UPDATE orders SET reference = 'A-' || id WHERE id BETWEEN 0 AND 9223372036854775807", "SELECT 1"), ids="data-in-one-transaction"),
    danger("keys_of_a_subquery", "the keys are those of all orders without a reference", "",
        Step("UPDATE orders SET reference = 'none' WHERE id IN (SELECT o.id FROM orders AS o WHERE o.reference IS NULL OR o.reference <> 'none')", "SELECT 1"),
        ids="data-in-one-transaction"),
    danger("rows_moved_by_a_cte", "old orders are deleted in one transaction, which is read in full", "",
        Step("CREATE TABLE order_archive (id bigint, total numeric)", "DROP TABLE order_archive"),
        Step("WITH moved AS (DELETE FROM orders WHERE placed < '2024-01-01' OR shipped IS NOT NULL RETURNING id, total) INSERT INTO order_archive SELECT id, total FROM moved", GONE),
        ids="data-in-one-transaction"),
    danger("upsert_of_all", "an INSERT … SELECT writes all rows that exist through ON CONFLICT DO UPDATE", "",
        Step("INSERT INTO translations (lang, key, label) SELECT lang, key, upper(label) FROM translations ON CONFLICT (lang, key) DO UPDATE SET label = excluded.label", "SELECT 1"),
        ids="data-in-one-transaction"),
    danger("procedure_that_writes_all", "the procedure, which was there, writes all rows in one transaction", "",
        Step("CREATE PROCEDURE rebuild() LANGUAGE plpgsql AS $$ BEGIN UPDATE order_lines SET pieces = greatest(pieces, 0); END $$", "DROP PROCEDURE rebuild()"),
        Step("CALL rebuild()", "SELECT 1"), ids="data-in-one-transaction"),
    # types
    danger("enum_value_in_one_transaction", "env.py runs all revisions in one transaction, in which the new value cannot be used", "enum|new value|one transaction|unsafe|refunded",
        Step("ALTER TYPE order_state ADD VALUE 'refunded'", "SELECT 1"),
        Step(python("""op.alter_column("orders", "state", server_default="refunded")"""), python("""op.alter_column("orders", "state", server_default="new")""")),
        released=1, one_transaction=True),
    danger("time_zone_of_each_column", "outside UTC each row is written anew while all wait", "time zone|timezone|timestamp",
        Step("DO $$ DECLARE c record; BEGIN FOR c IN SELECT column_name FROM information_schema.columns WHERE table_name = 'customers' AND data_type = 'timestamp without time zone' "
             "LOOP EXECUTE format('ALTER TABLE customers ALTER %I TYPE timestamptz', c.column_name); END LOOP; END $$",
             GONE),
        ids="type-change-rewrites"),
    danger("cents_by_using", "every row is written anew, and running code reads cents for francs", "",
        Step("DROP VIEW paid_totals; DROP VIEW paid_orders; DROP MATERIALIZED VIEW daily_totals", GONE),
        Step(python("""op.alter_column("orders", "total", type_=sa.BigInteger(), postgresql_using="(total * 100)::bigint", existing_nullable=False)"""), GONE),
        ids="type-change-rewrites"),
    danger("domain_not_null", "each table with a column of the domain is read under a lock", "",
        Step("ALTER DOMAIN email_address SET NOT NULL", "ALTER DOMAIN email_address DROP NOT NULL"), ids="scan-under-lock not-null-by-scan"),
    danger("index_of_a_released_table", "the table is new with --from, but the one that gets the index is not", "",
        Step("CREATE TABLE carriers (id int PRIMARY KEY, name text)", "DROP TABLE carriers"),
        Step("CREATE INDEX ix_carriers ON carriers (name); CREATE INDEX ix_orders_placed ON public.orders USING brin (placed)", "DROP INDEX ix_orders_placed; DROP INDEX ix_carriers"),
        released=1, ids="index-without-concurrently"),
    danger("extension_dropped_with_columns", "the column of the extension's type is dropped from the table with it", "accounts",
        Step("CREATE EXTENSION citext; CREATE TABLE accounts (id int PRIMARY KEY, login citext)", "DROP TABLE accounts; DROP EXTENSION citext"),
        Step("DROP EXTENSION citext CASCADE", GONE)),
]  # fmt: skip
