"""Statements that hurt nobody, as they are written in migrations, each with the reason: a danger or a warning is wrong."""

from support.data_case import Step, python
from support.lint_guises_case import safe

NOTHING = "SELECT 1"
POSTGRESQL = "from sqlalchemy.dialects import postgresql"

SAFE = [
    # tables of revisions that are not released
    safe("unreleased_constraints", "both tables came with revisions that nobody has run",
        Step(python("""
            op.create_table("carriers", sa.Column("id", sa.Integer, primary_key=True), sa.Column("code", sa.Text, nullable=False))
            op.create_table("parcels", sa.Column("id", sa.Integer, primary_key=True), sa.Column("carrier_id", sa.Integer))
            """), "DROP TABLE parcels; DROP TABLE carriers"),
        Step(python("""
            op.create_unique_constraint("uq_carriers_code", "carriers", ["code"])
            op.create_foreign_key("fk_parcels_carrier", "parcels", "carriers", ["carrier_id"], ["id"])
            op.create_check_constraint("ck_parcels_id", "parcels", "id IS NOT NULL")
            """), "ALTER TABLE parcels DROP CONSTRAINT ck_parcels_id; ALTER TABLE parcels DROP CONSTRAINT fk_parcels_carrier; ALTER TABLE carriers DROP CONSTRAINT uq_carriers_code"),
        released=1),
    safe("unreleased_type_change", "no rows, and no code that runs, is of the unreleased table",
        Step('CREATE TABLE sales."Offers" ("Id" int PRIMARY KEY, "Sum" int)', 'DROP TABLE sales."Offers"'),
        Step(python('op.alter_column("Offers", "Sum", type_=sa.Numeric(12, 2), schema="sales")'), python('op.alter_column("Offers", "Sum", type_=sa.Integer(), schema="sales")')),
        released=1),
    safe("unreleased_table_renamed", "no code that runs knows the name of two revisions before",
        Step("CREATE TABLE parcel (id int PRIMARY KEY, weigth int)", "DROP TABLE parcel"),
        Step("ALTER TABLE parcel RENAME COLUMN weigth TO weight", "ALTER TABLE parcel RENAME COLUMN weight TO weigth"),
        Step(python('op.rename_table("parcel", "parcels")'), python('op.rename_table("parcels", "parcel")')), released=1),
    safe("unreleased_table_dropped", "the idea was given up before its release",
        Step("CREATE TABLE ideas (id int PRIMARY KEY, words text)", "DROP TABLE ideas"),
        Step("DROP TABLE ideas", "CREATE TABLE ideas (id int PRIMARY KEY, words text)"), released=1),
    safe("unreleased_partitions", "the partitioned table came with the revision before",
        Step("CREATE TABLE logs (day date NOT NULL, line text) PARTITION BY RANGE (day); CREATE TABLE logs_rest PARTITION OF logs DEFAULT", "DROP TABLE logs"),
        Step("CREATE INDEX ix_logs_day ON logs (day); CREATE TABLE logs_2030 PARTITION OF logs FOR VALUES FROM ('2030-01-01') TO ('2031-01-01')",
             "DROP TABLE logs_2030; DROP INDEX ix_logs_day"), released=1),
    # some rows, by their keys
    safe("row_of_a_composite_key", "one row by both columns of its key, as parameters",
        Step(python("""
            op.get_bind().execute(
                sa.text("UPDATE translations SET label = :label WHERE lang = :lang AND key = :key"),
                {"label": "Warenkorb", "lang": "de", "key": "cart.title"},
            )
            """), NOTHING)),
    safe("rows_deleted_by_core", "two rows by their keys, in an IN of parameters",
        Step(python("""
            settings = sa.table("settings", sa.column("name"), sa.column("value"))
            op.execute(sa.delete(settings).where(settings.c.name.in_(["beta_banner", "old_checkout"])))
            """), NOTHING)),
    safe("row_by_on_conflict", "one row is inserted, or set by its key",
        Step(python("""
            settings = sa.table("settings", sa.column("name"), sa.column("value"))
            insert = postgresql.insert(settings).values(name="currency", value="CHF")
            op.get_bind().execute(insert.on_conflict_do_update(index_elements=["name"], set_={"value": insert.excluded.value}))
            """), "DELETE FROM settings WHERE name = 'currency'", before=POSTGRESQL)),
    safe("row_of_quoted_names", "one row by the key of a table with a schema and upper case",
        Step('UPDATE ONLY "sales"."Leads" AS l SET "Done" = true WHERE l."Id" = 42', 'UPDATE sales."Leads" SET "Done" = false WHERE "Id" = 42')),
    safe("row_in_a_do_block", "one row by its key, from within a block",
        Step("DO $$ BEGIN IF EXISTS (SELECT FROM settings WHERE name = 'theme') THEN UPDATE settings SET value = 'dark' WHERE name = 'theme'; END IF; END $$", NOTHING)),
    safe("rows_of_a_values_list", "three rows, by the keys in VALUES",
        Step("UPDATE translations AS t SET label = v.label FROM (VALUES ('de', 'yes', 'Ja'), ('fr', 'yes', 'Oui'), ('it', 'yes', 'Sì')) AS v (lang, key, label) "
             "WHERE t.lang = v.lang AND t.key = v.key", NOTHING)),
    safe("row_by_any_of_an_array", "two rows by their keys, as an array",
        Step(python("""op.get_bind().exec_driver_sql("DELETE FROM customers WHERE id = ANY (%s)", ([-1, -2],))"""), NOTHING)),
    safe("row_locked_by_its_key", "one row is locked and set",
        Step(python("""
            bind = op.get_bind()
            bind.execute(sa.text("SELECT value FROM settings WHERE name = 'api_url' FOR UPDATE")).scalar()
            bind.execute(sa.text("UPDATE settings SET value = 'https\\\\://api.example' WHERE name = 'api_url'"))
            """), NOTHING)),
    safe("rows_of_a_lookup_loaded", "rows are added, by their keys or not at all",
        Step(python("""
            for lang, label in {"de": "Nein", "fr": "Non"}.items():
                op.execute(sa.text("INSERT INTO translations VALUES (:lang, 'no', :label) ON CONFLICT DO NOTHING").bindparams(lang=lang, label=label))
            """), "DELETE FROM translations WHERE lang IN ('de', 'fr') AND key = 'no'")),
    # tables of its own
    safe("temporary_table", "no other session sees the temporary table",
        Step("CREATE TEMPORARY TABLE big_orders ON COMMIT DROP AS SELECT id FROM orders WHERE total > 100; CREATE UNIQUE INDEX ON big_orders (id);"
             "UPDATE big_orders SET id = id + 1; DELETE FROM big_orders", NOTHING)),
    safe("temporary_table_dropped", "no other session sees the temporary table",
        Step(python("""
            op.create_table("seen", sa.Column("id", sa.Integer), prefixes=["TEMPORARY"])
            op.execute("INSERT INTO seen SELECT generate_series(1, 100)")
            op.execute("TRUNCATE seen")
            op.drop_table("seen")
            """), NOTHING)),
    safe("select_into_a_new_table", "the table is made by SELECT INTO; orders are read, and no one waits",
        Step("SELECT customer_id, count(*) AS n INTO customer_orders FROM orders GROUP BY customer_id; ALTER TABLE customer_orders ADD CONSTRAINT pk_customer_orders PRIMARY KEY (customer_id);"
             "ALTER TABLE customer_orders ALTER n SET NOT NULL; CREATE INDEX ix_customer_orders ON customer_orders (n)",
             "DROP TABLE customer_orders")),
    safe("like_an_old_table", "the table is made in the form of another one, and emptied after a trial",
        Step("CREATE TABLE settings_draft (LIKE settings INCLUDING ALL); INSERT INTO settings_draft VALUES ('a', 'b'); UPDATE settings_draft SET value = 'c'; TRUNCATE settings_draft",
             "DROP TABLE settings_draft")),
    safe("partitions_in_a_loop", "the partitioned table, its partitions and their index are made together",
        Step("CREATE TABLE visits (day date NOT NULL, page text) PARTITION BY RANGE (day);"
             "DO $$ BEGIN FOR m IN 1..6 LOOP EXECUTE format('CREATE TABLE visits_%s PARTITION OF visits FOR VALUES FROM (%L) TO (%L)', m, "
             "make_date(2027, m, 1), make_date(2027, m + 1, 1)); END LOOP; END $$; CREATE INDEX ix_visits_day ON visits (day)",
             "DROP TABLE visits")),
    safe("index_on_an_empty_partition", "the partition is made here and has no row; there is no default partition to be read",
        Step("CREATE TABLE readings_2027 PARTITION OF readings FOR VALUES FROM ('2027-01-01') TO ('2028-01-01'); CREATE INDEX ix_readings_2027 ON readings_2027 (sensor)",
             "DROP TABLE readings_2027")),
    # definitions
    safe("validate_in_a_loop", "VALIDATE has a revision to itself, and neither reads nor writes wait",
        Step("ALTER TABLE orders ADD CONSTRAINT ck_total CHECK (total IS NOT NULL) NOT VALID", "ALTER TABLE orders DROP CONSTRAINT ck_total"),
        Step(python("""
            for name in ["ck_total"]:
                op.execute(f'ALTER TABLE public.orders VALIDATE CONSTRAINT "{name}"')
            """), NOTHING)),
    safe("not_null_by_a_wider_check", "a valid check implies it, so no row is read",
        Step("ALTER TABLE orders ADD CONSTRAINT ck_quantity CHECK (quantity IS NOT NULL AND quantity IS NOT NULL) NOT VALID; ALTER TABLE orders ALTER quantity DROP NOT NULL",
             "ALTER TABLE orders ALTER quantity SET NOT NULL; ALTER TABLE orders DROP CONSTRAINT ck_quantity"),
        Step("ALTER TABLE orders VALIDATE CONSTRAINT ck_quantity", NOTHING),
        Step(python("""
            op.alter_column("orders", "quantity", nullable=False)
            op.drop_constraint("ck_quantity", "orders")
            """), "ALTER TABLE orders ADD CONSTRAINT ck_quantity CHECK (quantity IS NOT NULL) NOT VALID; ALTER TABLE orders ALTER quantity DROP NOT NULL")),
    safe("function_replaced", "the same arguments and result",
        Step("CREATE OR REPLACE FUNCTION order_worth(o bigint) RETURNS numeric LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT coalesce(sum(price * pieces), 0) FROM order_lines WHERE order_id = o); END $$",
             "CREATE OR REPLACE FUNCTION order_worth(o bigint) RETURNS numeric LANGUAGE sql STABLE AS $$ SELECT sum(price * pieces) FROM order_lines WHERE order_id = o $$")),
    safe("view_with_one_more_column", "CREATE OR REPLACE VIEW can only add columns",
        Step("CREATE OR REPLACE VIEW shipped_orders AS SELECT id, shipped, total FROM orders WHERE shipped IS NOT NULL",
             "DROP VIEW shipped_orders; CREATE VIEW shipped_orders AS SELECT id, shipped FROM orders WHERE shipped IS NOT NULL")),
    safe("view_made_again", "the view has the same columns when the transaction ends, as others see it",
        Step("DROP VIEW IF EXISTS paid_totals; CREATE VIEW paid_totals AS SELECT o.customer_id, sum(o.total) AS total FROM paid_orders AS o GROUP BY 1",
             "CREATE OR REPLACE VIEW paid_totals AS SELECT customer_id, sum(total) AS total FROM paid_orders GROUP BY customer_id")),
    safe("function_made_again", "the function has the same arguments and result when the transaction ends",
        Step("DROP FUNCTION order_worth(bigint); CREATE FUNCTION order_worth(order_id_ bigint) RETURNS numeric LANGUAGE sql STABLE AS $$ SELECT sum(price * pieces) FROM order_lines WHERE order_id = order_id_ $$",
             "DROP FUNCTION order_worth(bigint); CREATE FUNCTION order_worth(o bigint) RETURNS numeric LANGUAGE sql STABLE AS $$ SELECT sum(price * pieces) FROM order_lines WHERE order_id = o $$")),
    safe("trigger_that_only_fills", "the trigger raises nothing, and its lock is short",
        Step("CREATE FUNCTION lower_email() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.email = lower(NEW.email); RETURN NEW; END $$;"
             "CREATE TRIGGER customers_email BEFORE INSERT OR UPDATE OF email ON customers FOR EACH ROW EXECUTE FUNCTION lower_email()",
             "DROP TRIGGER customers_email ON customers; DROP FUNCTION lower_email()")),
    safe("longer_values", "neither type needs a rewrite, and no index has the columns",
        Step(python("""
            for table, column, kind in [("translations", "label", sa.Text()), ("orders", "reference", sa.String(80)), ("customers", "country", sa.String(3))]:
                op.alter_column(table, column, type_=kind)
            """), NOTHING)),
    safe("time_zone_in_utc", "the session is in UTC by its own setting, so no row is written anew on any server",
        Step("SET LOCAL TimeZone = 'UTC'; ALTER TABLE customers ALTER COLUMN created TYPE timestamptz", "SET LOCAL TimeZone = 'UTC'; ALTER TABLE customers ALTER COLUMN created TYPE timestamp")),
    safe("comments", "a comment is no change to any code",
        Step(python("""
            op.create_table_comment("orders", "one row per checkout; TRUNCATE is not for it")
            op.alter_column("orders", "shipped", comment="the carrier''s number")
            """), NOTHING)),
    safe("default_added", "an INSERT that names no value gets one where it got NULL",
        Step(python('op.alter_column("hits", "n", server_default=sa.text("0"))'), python('op.alter_column("hits", "n", server_default=None)'))),
    safe("index_dropped_concurrently", "neither reads nor writes wait, and the index is not unique",
        Step(python("""
            with op.get_context().autocommit_block():
                op.execute("DROP INDEX CONCURRENTLY IF EXISTS public.ix_orders_customer")
            """), "CREATE INDEX ix_orders_customer ON orders (customer_id)")),
    safe("enum_value_alone", "a value is added, and used by no statement here",
        Step(python("""
            with op.get_context().autocommit_block():
                op.execute("ALTER TYPE order_state ADD VALUE IF NOT EXISTS 'packed' AFTER 'paid'")
            """), NOTHING)),
    safe("granted", "more is allowed than before",
        Step("GRANT USAGE ON SCHEMA sales TO PUBLIC; GRANT SELECT ON ALL TABLES IN SCHEMA sales TO PUBLIC; ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT SELECT ON TABLES TO PUBLIC",
             "ALTER DEFAULT PRIVILEGES IN SCHEMA sales REVOKE SELECT ON TABLES FROM PUBLIC; REVOKE SELECT ON ALL TABLES IN SCHEMA sales FROM PUBLIC; REVOKE USAGE ON SCHEMA sales FROM PUBLIC")),
    safe("sequence_set_to_the_greatest", "the next number is above all that exist",
        Step("SELECT setval(pg_get_serial_sequence('customers', 'id'), greatest(coalesce(max(id), 1), 1)) FROM customers", NOTHING)),
    safe("tighter_timeouts", "it waits for less long than the session would",
        Step("SET LOCAL lock_timeout = '500ms'; SET LOCAL statement_timeout = '10s'; ALTER TABLE customers ADD COLUMN vip boolean", "ALTER TABLE customers DROP COLUMN vip")),
    safe("lock_then_a_column", "the lock is the one that the ALTER TABLE takes, and is kept as short",
        Step("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; ALTER TABLE orders ADD COLUMN gift boolean NOT NULL DEFAULT false", "ALTER TABLE orders DROP COLUMN gift")),
    safe("row_security_with_a_policy", "the policy is for all, before row security is on: everybody sees and writes as before",
        Step("CREATE POLICY everything ON contacts FOR ALL TO PUBLIC USING (true) WITH CHECK (true); ALTER TABLE contacts ENABLE ROW LEVEL SECURITY",
             "ALTER TABLE contacts DISABLE ROW LEVEL SECURITY; DROP POLICY everything ON contacts")),
    safe("storage_parameters", "settings for rows to come, under a lock that neither reads nor writes wait for",
        Step("ALTER TABLE orders SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02); ALTER TABLE orders ALTER COLUMN state SET STATISTICS 300",
             "ALTER TABLE orders RESET (fillfactor, autovacuum_vacuum_scale_factor); ALTER TABLE orders ALTER COLUMN state SET STATISTICS -1")),
    safe("index_renamed", "no code names an index",
        Step("ALTER INDEX ix_orders_customer RENAME TO orders_customer_idx", "ALTER INDEX orders_customer_idx RENAME TO ix_orders_customer")),
    safe("catalog_only_read", "the catalogs are read to decide, not written",
        Step("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = 'customers'::regclass AND attname = 'fax') "
             "THEN ALTER TABLE customers ADD COLUMN fax text; END IF; END $$", "ALTER TABLE customers DROP COLUMN IF EXISTS fax")),
]  # fmt: skip
