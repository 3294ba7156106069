"""Preconditions of CHECK and NOT NULL."""

from support.data_case import Step, python
from support.precondition_case import ConditionList

# fmt: off
CHECK = ConditionList()
CHECK.ask("stock_not_negative", "a condition on one column; NULL satisfies a check",
    "CREATE TABLE stock_items (id serial PRIMARY KEY, quantity int)",
    'python:op.create_check_constraint("ck_stock_items_quantity", "stock_items", "quantity >= 0")',
    'python:op.drop_constraint("ck_stock_items_quantity", "stock_items")',
    good="INSERT INTO stock_items (quantity) VALUES (0), (5)",
    bad=("INSERT INTO stock_items (quantity) VALUES (0), (-1), (-7)", 2),
    nulls="INSERT INTO stock_items (quantity) VALUES (NULL)")
CHECK.ask("stay_ends_after_it_begins", "a condition on two columns",
    "CREATE TABLE stays (id serial PRIMARY KEY, arrives date NOT NULL, leaves date)",
    "ALTER TABLE stays ADD CONSTRAINT ck_stays_order CHECK (leaves > arrives)",
    "ALTER TABLE stays DROP CONSTRAINT ck_stays_order",
    good="INSERT INTO stays (arrives, leaves) VALUES ('2026-05-01', '2026-05-03')",
    bad=("INSERT INTO stays (arrives, leaves) VALUES ('2026-05-01', '2026-05-01'), ('2026-05-01', '2026-05-02')", 1),
    nulls="INSERT INTO stays (arrives) VALUES ('2026-05-01')")
CHECK.ask("either_mail_or_phone", "two columns of which one must have a value: here NULL violates",
    "CREATE TABLE leads (id serial PRIMARY KEY, mail text, phone text)",
    "ALTER TABLE leads ADD CONSTRAINT ck_leads_reachable CHECK (mail IS NOT NULL OR phone IS NOT NULL)",
    "ALTER TABLE leads DROP CONSTRAINT ck_leads_reachable",
    good="INSERT INTO leads (mail, phone) VALUES ('a@x', NULL), (NULL, '1')",
    bad=("INSERT INTO leads (mail, phone) VALUES ('a@x', NULL), (NULL, NULL)", 1),
    nulls=("INSERT INTO leads DEFAULT VALUES", 1))
CHECK.ask("name_without_blanks_around", "a condition with functions",
    "CREATE TABLE suppliers (id serial PRIMARY KEY, name text)",
    'python:op.create_check_constraint("ck_suppliers_name", "suppliers", "name = btrim(name) AND char_length(name) BETWEEN 1 AND 40")',
    'python:op.drop_constraint("ck_suppliers_name", "suppliers", type_="check")',
    good="INSERT INTO suppliers (name) VALUES ('Miller'), ('O''Neil')",
    bad=("INSERT INTO suppliers (name) VALUES ('Miller'), (' Smith'), (''), (repeat('x', 41))", 3),
    nulls="INSERT INTO suppliers (name) VALUES (NULL)")
CHECK.ask("settings_is_an_object", "a condition on jsonb",
    "CREATE TABLE profiles (id serial PRIMARY KEY, settings jsonb)",
    "ALTER TABLE profiles ADD CONSTRAINT ck_profiles_settings CHECK (jsonb_typeof(settings) = 'object' AND settings ? 'theme')",
    "ALTER TABLE profiles DROP CONSTRAINT ck_profiles_settings",
    good="""INSERT INTO profiles (settings) VALUES ('{"theme": "dark"}')""",
    bad=("""INSERT INTO profiles (settings) VALUES ('{"theme": "dark"}'), ('{}'), ('["theme"]'), ('null')""", 3),
    nulls="INSERT INTO profiles (settings) VALUES (NULL)")
CHECK.ask("plate_has_the_pattern", "a condition on a pattern of text",
    "CREATE TABLE vehicles (id serial PRIMARY KEY, plate varchar(12))",
    r"ALTER TABLE vehicles ADD CONSTRAINT ck_vehicles_plate CHECK (plate ~ '^[A-Z]{1,3}-[A-Z]{1,2} \d{1,4}$')",
    "ALTER TABLE vehicles DROP CONSTRAINT ck_vehicles_plate",
    good="INSERT INTO vehicles (plate) VALUES ('B-XY 123')",
    bad=("INSERT INTO vehicles (plate) VALUES ('B-XY 123'), ('b-xy 123'), ('')", 2),
    nulls="INSERT INTO vehicles (plate) VALUES (NULL)")
CHECK.ask("column_renamed_before_check", "the constraint has the new name of the column, the rows of before have the old one",
    "CREATE TABLE parcels (id serial PRIMARY KEY, wt numeric)",
    python("""
        op.alter_column("parcels", "wt", new_column_name="weight")
        op.create_check_constraint("ck_parcels_weight", "parcels", "weight > 0 AND weight < 1000")
        """),
    python("""
        op.drop_constraint("ck_parcels_weight", "parcels")
        op.alter_column("parcels", "weight", new_column_name="wt")
        """),
    good="INSERT INTO parcels (wt) VALUES (1.5)",
    bad=("INSERT INTO parcels (wt) VALUES (1.5), (0), (1000)", 2),
    nulls="INSERT INTO parcels (wt) VALUES (NULL)")
CHECK.ask("table_renamed_before_check", "the table has another name in the state before",
    "CREATE TABLE bills (id serial PRIMARY KEY, amount int)",
    "ALTER TABLE bills RENAME TO invoices_sent; ALTER TABLE invoices_sent ADD CONSTRAINT ck_invoices_amount CHECK (amount <> 0)",
    "ALTER TABLE invoices_sent DROP CONSTRAINT ck_invoices_amount; ALTER TABLE invoices_sent RENAME TO bills",
    good="INSERT INTO bills (amount) VALUES (-1), (1)", bad=("INSERT INTO bills (amount) VALUES (-1), (0)", 1),
    nulls="INSERT INTO bills (amount) VALUES (NULL)")
CHECK.ask("mixed_case_names", "names that must be quoted, one with a quote in it",
    'CREATE TABLE "Order Lines" ("Id" serial PRIMARY KEY, "unit""Price" numeric, "Qty" int)',
    'ALTER TABLE "Order Lines" ADD CONSTRAINT "CK Price" CHECK ("unit""Price" >= 0 AND "Qty" > 0)',
    'ALTER TABLE "Order Lines" DROP CONSTRAINT "CK Price"',
    good="""INSERT INTO "Order Lines" ("unit""Price", "Qty") VALUES (1, 1)""",
    bad=("""INSERT INTO "Order Lines" ("unit""Price", "Qty") VALUES (-1, 1), (1, 0), (1, 1)""", 2),
    nulls=("""INSERT INTO "Order Lines" ("unit""Price", "Qty") VALUES (NULL, 1), (NULL, 0)""", 1))
CHECK.ask("reserved_words", "table and columns are named by keywords",
    'CREATE TABLE "order" (id serial PRIMARY KEY, "from" date, "to" date, "user" text)',
    python("""
        op.create_check_constraint("ck_order_span", "order", '"to" >= "from"')
        """),
    'python:op.drop_constraint("ck_order_span", "order")',
    good="""INSERT INTO "order" ("from", "to") VALUES ('2026-01-01', '2026-01-01')""",
    bad=("""INSERT INTO "order" ("from", "to") VALUES ('2026-01-02', '2026-01-01')""", 1),
    nulls="""INSERT INTO "order" ("from") VALUES ('2026-01-02')""")
CHECK.ask("check_in_another_schema", "the table is not on the search path, and uses a function and a type of that schema",
    "CREATE SCHEMA ledger; CREATE TYPE ledger.side AS ENUM ('debit', 'credit'); CREATE TABLE ledger.entries (id serial PRIMARY KEY, side ledger.side, amount numeric)",
    'python:op.create_check_constraint("ck_entries_sign", "entries", "(side = \'debit\') = (amount < 0)", schema="ledger")',
    'python:op.drop_constraint("ck_entries_sign", "entries", schema="ledger")',
    good="INSERT INTO ledger.entries (side, amount) VALUES ('debit', -1), ('credit', 1)",
    bad=("INSERT INTO ledger.entries (side, amount) VALUES ('debit', 1), ('credit', 1)", 1),
    nulls="INSERT INTO ledger.entries (side) VALUES ('debit')")
CHECK.ask("check_validated_later", "the constraint is there, not valid; the later revision validates it",
    "CREATE TABLE readings (id serial PRIMARY KEY, celsius numeric)",
    'python:op.execute("ALTER TABLE readings VALIDATE CONSTRAINT ck_readings_celsius")',
    "python:pass  # it stays valid: the revision before drops it",
    between=[Step('python:op.create_check_constraint("ck_readings_celsius", "readings", "celsius > -273.15", postgresql_not_valid=True)',
                  'python:op.drop_constraint("ck_readings_celsius", "readings")')],
    good="INSERT INTO readings (celsius) VALUES (20)", bad=("INSERT INTO readings (celsius) VALUES (20), (-300)", 1),
    nulls="INSERT INTO readings (celsius) VALUES (NULL)")
CHECK.ask("all_validated_in_a_block", "a DO block validates all constraints of a table by dynamic SQL",
    "CREATE TABLE meters (id serial PRIMARY KEY, low int, high int)",
    "DO $$ DECLARE c record; BEGIN FOR c IN SELECT conname FROM pg_constraint WHERE conrelid = 'meters'::regclass AND NOT convalidated LOOP EXECUTE format('ALTER TABLE meters VALIDATE CONSTRAINT %I', c.conname); END LOOP; END $$",
    "python:pass  # they stay valid",
    between=[Step("ALTER TABLE meters ADD CONSTRAINT ck_meters_low CHECK (low >= 0) NOT VALID; ALTER TABLE meters ADD CONSTRAINT ck_meters_high CHECK (high >= low) NOT VALID",
                  "ALTER TABLE meters DROP CONSTRAINT ck_meters_high; ALTER TABLE meters DROP CONSTRAINT ck_meters_low")],
    good="INSERT INTO meters (low, high) VALUES (0, 1)", bad=("INSERT INTO meters (low, high) VALUES (-1, 1), (3, 2), (1, 1)", 2),
    nulls="INSERT INTO meters (low) VALUES (1)", conditions=2)
CHECK.ask("checks_by_dynamic_sql", "a DO block adds the same condition to two tables",
    "CREATE TABLE gross_prices (id serial PRIMARY KEY, cents int); CREATE TABLE net_prices (id serial PRIMARY KEY, cents int)",
    "DO $$ DECLARE t text; BEGIN FOREACH t IN ARRAY ARRAY['gross_prices', 'net_prices'] LOOP EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (cents > 0)', t, 'ck_' || t); END LOOP; END $$",
    "ALTER TABLE gross_prices DROP CONSTRAINT ck_gross_prices; ALTER TABLE net_prices DROP CONSTRAINT ck_net_prices",
    good="INSERT INTO gross_prices (cents) VALUES (1); INSERT INTO net_prices (cents) VALUES (1)",
    bad=("INSERT INTO gross_prices (cents) VALUES (1); INSERT INTO net_prices (cents) VALUES (0)", 1),
    nulls="INSERT INTO gross_prices DEFAULT VALUES; INSERT INTO net_prices DEFAULT VALUES", conditions=2)
CHECK.ask("added_column_with_a_check", "a column with a default and a check that compares it with an old column",
    "CREATE TABLE loans (id serial PRIMARY KEY, sum int)",
    "ALTER TABLE loans ADD cap int NOT NULL DEFAULT 1000, ADD CONSTRAINT ck_loans_cap CHECK (sum <= cap)",
    "ALTER TABLE loans DROP CONSTRAINT ck_loans_cap, DROP cap",
    good="INSERT INTO loans (sum) VALUES (1000)", bad=("INSERT INTO loans (sum) VALUES (1000), (1001)", 1),
    nulls="INSERT INTO loans (sum) VALUES (NULL)")
CHECK.ask("check_with_a_function_of_ours", "a function of the schema public, where the session has no search path",
    "CREATE FUNCTION is_even(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 2 = 0'; CREATE TABLE pairs (id serial PRIMARY KEY, size int)",
    "ALTER TABLE pairs ADD CONSTRAINT ck_pairs_size CHECK (is_even(size))", "ALTER TABLE pairs DROP CONSTRAINT ck_pairs_size",
    good="INSERT INTO pairs (size) VALUES (2)", bad=("INSERT INTO pairs (size) VALUES (2), (3)", 1),
    nulls="INSERT INTO pairs (size) VALUES (NULL)")
CHECK.ask("check_of_a_table_with_heirs", "a check of the parent is asked of the rows of its heirs, too",
    "CREATE TABLE machines (id serial, watts int); CREATE TABLE pumps (litres int) INHERITS (machines)",
    "ALTER TABLE machines ADD CONSTRAINT ck_machines_watts CHECK (watts > 0)", "ALTER TABLE machines DROP CONSTRAINT ck_machines_watts",
    good="INSERT INTO machines (watts) VALUES (1); INSERT INTO pumps (watts) VALUES (1)",
    bad=("INSERT INTO machines (watts) VALUES (1); INSERT INTO pumps (watts) VALUES (0)", 1),
    nulls="INSERT INTO pumps (litres) VALUES (1)")

NOT_NULL = ConditionList()
NOT_NULL.ask("currency_set", "alter_column, as Alembic has it",
    "CREATE TABLE purchases (id serial PRIMARY KEY, currency char(3))",
    'python:op.alter_column("purchases", "currency", nullable=False)',
    'python:op.alter_column("purchases", "currency", nullable=True)',
    good="INSERT INTO purchases (currency) VALUES ('EUR')",
    bad=("INSERT INTO purchases (currency) VALUES ('EUR'), (NULL), (NULL)", 2), nulls=("INSERT INTO purchases DEFAULT VALUES", 1))
NOT_NULL.ask("not_null_without_a_key", "the table has no primary key",
    "CREATE TABLE clicks (page text, at timestamptz)",
    "ALTER TABLE clicks ALTER page SET NOT NULL, ALTER at SET NOT NULL",
    "ALTER TABLE clicks ALTER page DROP NOT NULL, ALTER at DROP NOT NULL",
    good="INSERT INTO clicks VALUES ('/', now()), ('/', now())", bad=("INSERT INTO clicks VALUES ('/', now()), ('/', NULL)", 1),
    nulls=("INSERT INTO clicks VALUES (NULL, NULL)", 2), conditions=2)
NOT_NULL.ask("required_column_no_default", "on any row it fails: the table must be empty",
    "CREATE TABLE branches (id serial PRIMARY KEY, city text)",
    'python:op.add_column("branches", sa.Column("country", sa.String(2), nullable=False))',
    'python:op.drop_column("branches", "country")',
    good="SELECT 1", bad=("INSERT INTO branches (city) VALUES ('Bonn'), ('Kiel')", 2), nulls=("INSERT INTO branches DEFAULT VALUES", 1))
NOT_NULL.ask("identity_of_a_nullable_column", "a column must be NOT NULL to become an identity",
    "CREATE TABLE tickets (key text PRIMARY KEY, number int)",
    "ALTER TABLE tickets ALTER number SET NOT NULL; ALTER TABLE tickets ALTER number ADD GENERATED BY DEFAULT AS IDENTITY",
    "ALTER TABLE tickets ALTER number DROP IDENTITY; ALTER TABLE tickets ALTER number DROP NOT NULL",
    good="INSERT INTO tickets VALUES ('a', 1)", bad=("INSERT INTO tickets VALUES ('a', 1), ('b', NULL)", 1))
NOT_NULL.ask("named_not_null", "the constraint syntax of PostgreSQL 18",
    "CREATE TABLE badges (id serial PRIMARY KEY, holder text)",
    "ALTER TABLE badges ADD CONSTRAINT badges_holder_set NOT NULL holder", "ALTER TABLE badges DROP CONSTRAINT badges_holder_set",
    good="INSERT INTO badges (holder) VALUES ('x')", bad=("INSERT INTO badges (holder) VALUES ('x'), (NULL)", 1), server=18)
NOT_NULL.ask("named_not_null_validated", "a NOT NULL constraint of PostgreSQL 18 that was not valid",
    "CREATE TABLE lockers (id serial PRIMARY KEY, owner text)",
    "ALTER TABLE lockers VALIDATE CONSTRAINT lockers_owner_set", "python:pass  # it stays valid",
    between=[Step("ALTER TABLE lockers ADD CONSTRAINT lockers_owner_set NOT NULL owner NOT VALID", "ALTER TABLE lockers DROP CONSTRAINT lockers_owner_set")],
    good="INSERT INTO lockers (owner) VALUES ('x')", bad=("INSERT INTO lockers (owner) VALUES ('x'), (NULL)", 1), server=18)
NOT_NULL.ask("partly_backfilled", "the same revision repairs some of the values only",
    "CREATE TABLE visitors (id serial PRIMARY KEY, country text NOT NULL, language text)",
    "UPDATE visitors SET language = 'de' WHERE language IS NULL AND country = 'DE'; ALTER TABLE visitors ALTER language SET NOT NULL",
    "ALTER TABLE visitors ALTER language DROP NOT NULL",
    good="INSERT INTO visitors (country, language) VALUES ('DE', NULL), ('FR', 'fr')",
    bad=("INSERT INTO visitors (country, language) VALUES ('DE', NULL), ('FR', NULL)", 1),
    nulls="INSERT INTO visitors (country) VALUES ('DE')", may_lose=True)
NOT_NULL.ask("backfilled_by_the_one_before", "an earlier pending revision fills the column; in between, new rows can have NULL again",
    "CREATE TABLE shipments (id serial PRIMARY KEY, carrier text)",
    'python:op.alter_column("shipments", "carrier", nullable=False)', 'python:op.alter_column("shipments", "carrier", nullable=True)',
    between=[Step("UPDATE shipments SET carrier = 'post' WHERE carrier IS NULL", "python:pass  # the filled values are right")],
    good="INSERT INTO shipments (carrier) VALUES ('dhl'), (NULL)",
    nulls="INSERT INTO shipments (carrier) VALUES (NULL)", late=("INSERT INTO shipments (carrier) VALUES ('dhl'), (NULL)", 1))
NOT_NULL.ask("check_not_valid_is_no_proof", "the check of the same is not valid, so all rows are asked",
    "CREATE TABLE permits (id serial PRIMARY KEY, holder text)",
    "ALTER TABLE permits ALTER holder SET NOT NULL", "ALTER TABLE permits ALTER holder DROP NOT NULL",
    between=[Step("ALTER TABLE permits ADD CONSTRAINT ck_permits_holder CHECK (holder IS NOT NULL) NOT VALID", "ALTER TABLE permits DROP CONSTRAINT ck_permits_holder")],
    good="INSERT INTO permits (holder) VALUES ('x')", bad=("INSERT INTO permits (holder) VALUES ('x'), (NULL)", 1))
NOT_NULL.ask("column_of_a_partitioned_table", "NOT NULL on the parent is asked of the rows of each partition",
    "CREATE TABLE measures (id int NOT NULL, place text) PARTITION BY HASH (id); CREATE TABLE measures_0 PARTITION OF measures FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE measures_1 PARTITION OF measures FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
    "ALTER TABLE measures ALTER place SET NOT NULL", "ALTER TABLE measures ALTER place DROP NOT NULL",
    good="INSERT INTO measures SELECT n, 'x' FROM generate_series(1, 9) AS n",
    bad=("INSERT INTO measures SELECT n, CASE WHEN n > 3 THEN 'x' END FROM generate_series(1, 9) AS n", 3))

GROUPS = {"check": CHECK, "not null": NOT_NULL}
