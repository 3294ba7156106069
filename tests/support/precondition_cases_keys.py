"""Preconditions of UNIQUE, PRIMARY KEY, EXCLUDE and FOREIGN KEY."""

from support.data_case import Step, python
from support.precondition_case import ConditionList

# fmt: off
UNIQUE = ConditionList()
UNIQUE.ask("reference_unique", "a constraint by Alembic",
    "CREATE TABLE deals (id serial PRIMARY KEY, reference text)",
    'python:op.create_unique_constraint("uq_deals_reference", "deals", ["reference"])',
    'python:op.drop_constraint("uq_deals_reference", "deals")',
    good="INSERT INTO deals (reference) VALUES ('a'), ('b')",
    bad=("INSERT INTO deals (reference) VALUES ('a'), ('b'), ('a'), ('c'), ('c'), ('c')", 5),
    nulls="INSERT INTO deals (reference) VALUES (NULL), (NULL)")
UNIQUE.ask("index_unique", "an index by Alembic",
    "CREATE TABLE plans (id serial PRIMARY KEY, slug varchar(40))",
    'python:op.create_index("uq_plans_slug", "plans", ["slug"], unique=True)', 'python:op.drop_index("uq_plans_slug", "plans")',
    good="INSERT INTO plans (slug) VALUES ('a'), ('A')", bad=("INSERT INTO plans (slug) VALUES ('a'), ('a')", 2),
    nulls="INSERT INTO plans (slug) VALUES (NULL), (NULL)")
UNIQUE.ask("mail_unique_in_any_case", "an index on an expression",
    "CREATE TABLE subscribers (id serial PRIMARY KEY, email text)",
    'python:op.create_index("uq_subscribers_email", "subscribers", [sa.text("lower(email)")], unique=True)',
    'python:op.drop_index("uq_subscribers_email", "subscribers")',
    good="INSERT INTO subscribers (email) VALUES ('a@x'), ('b@x')",
    bad=("INSERT INTO subscribers (email) VALUES ('a@x'), ('A@X'), ('b@x')", 2),
    nulls="INSERT INTO subscribers (email) VALUES (NULL), (NULL)")
UNIQUE.ask("one_open_cart_per_client", "a partial index",
    "CREATE TABLE carts (id serial PRIMARY KEY, client int NOT NULL, state text)",
    python("""
        op.create_index("uq_carts_open", "carts", ["client"], unique=True, postgresql_where=sa.text("state = 'open'"))
        """),
    'python:op.drop_index("uq_carts_open", "carts")',
    good="INSERT INTO carts (client, state) VALUES (1, 'open'), (1, 'paid'), (1, 'paid'), (2, 'open')",
    bad=("INSERT INTO carts (client, state) VALUES (1, 'open'), (1, 'open'), (1, 'paid')", 2),
    nulls="INSERT INTO carts (client, state) VALUES (1, NULL), (1, NULL)")
UNIQUE.ask("seat_unique_in_a_row", "several columns, some with NULL",
    "CREATE TABLE seats (id serial PRIMARY KEY, hall int, line int, seat int)",
    "ALTER TABLE seats ADD CONSTRAINT uq_seats UNIQUE (hall, line, seat)", "ALTER TABLE seats DROP CONSTRAINT uq_seats",
    good="INSERT INTO seats (hall, line, seat) VALUES (1, 1, 1), (1, 1, 2)",
    bad=("INSERT INTO seats (hall, line, seat) VALUES (1, 1, 1), (1, 1, 1), (1, 2, NULL)", 2),
    nulls="INSERT INTO seats (hall, line, seat) VALUES (1, 2, NULL), (1, 2, NULL)")
UNIQUE.ask("nulls_not_distinct", "two NULLs are equal here",
    "CREATE TABLE labels (id serial PRIMARY KEY, owner int, label text)",
    "ALTER TABLE labels ADD CONSTRAINT uq_labels UNIQUE NULLS NOT DISTINCT (owner, label)", "ALTER TABLE labels DROP CONSTRAINT uq_labels",
    good="INSERT INTO labels (owner, label) VALUES (1, 'a'), (NULL, 'a')",
    bad=("INSERT INTO labels (owner, label) VALUES (1, 'a'), (1, 'a')", 2),
    nulls=("INSERT INTO labels (owner, label) VALUES (NULL, 'a'), (NULL, 'a'), (NULL, NULL)", 2), server=15)
UNIQUE.ask("unique_concurrently", "outside of a transaction",
    "CREATE TABLE devices (id serial PRIMARY KEY, serial_number text)",
    python("""
        with op.get_context().autocommit_block():
            op.create_index("uq_devices_serial", "devices", ["serial_number"], unique=True, postgresql_concurrently=True)
        """),
    python("""
        with op.get_context().autocommit_block():
            op.drop_index("uq_devices_serial", "devices", postgresql_concurrently=True)
        """),
    good="INSERT INTO devices (serial_number) VALUES ('a'), ('b')", bad=("INSERT INTO devices (serial_number) VALUES ('a'), ('a')", 2),
    nulls="INSERT INTO devices (serial_number) VALUES (NULL), (NULL)")
UNIQUE.ask("index_and_constraint_by_it", "the index is made and used in one revision: one condition",
    "CREATE TABLE vouchers (id serial PRIMARY KEY, code text NOT NULL)",
    "CREATE UNIQUE INDEX uq_vouchers_code ON vouchers (code); ALTER TABLE vouchers ADD CONSTRAINT uq_vouchers_code UNIQUE USING INDEX uq_vouchers_code",
    "ALTER TABLE vouchers DROP CONSTRAINT uq_vouchers_code",
    good="INSERT INTO vouchers (code) VALUES ('a'), ('b')", bad=("INSERT INTO vouchers (code) VALUES ('a'), ('a')", 2))
UNIQUE.ask("position_deferrable", "a deferred constraint is checked when it is added, too",
    "CREATE TABLE slides (id serial PRIMARY KEY, deck int, position int)",
    'python:op.create_unique_constraint("uq_slides_position", "slides", ["deck", "position"], deferrable=True, initially="DEFERRED")',
    'python:op.drop_constraint("uq_slides_position", "slides")',
    good="INSERT INTO slides (deck, position) VALUES (1, 1), (1, 2)", bad=("INSERT INTO slides (deck, position) VALUES (1, 1), (1, 1)", 2),
    nulls="INSERT INTO slides (deck, position) VALUES (1, NULL), (1, NULL)")
UNIQUE.ask("unique_in_a_collation", "the index has another collation than the column",
    "CREATE TABLE words (id serial PRIMARY KEY, word text)",
    'CREATE UNIQUE INDEX uq_words ON words (word COLLATE "C" text_pattern_ops)', "DROP INDEX uq_words",
    good="INSERT INTO words (word) VALUES ('a'), ('A'), ('ä')", bad=("INSERT INTO words (word) VALUES ('ä'), ('ä')", 2),
    nulls="INSERT INTO words (word) VALUES (NULL), (NULL)")
UNIQUE.ask("equal_in_other_spelling", "1.0 and 1.00 are two texts, and one number",
    "CREATE TABLE releases (id serial PRIMARY KEY, number numeric)",
    "ALTER TABLE releases ADD CONSTRAINT uq_releases UNIQUE (number)", "ALTER TABLE releases DROP CONSTRAINT uq_releases",
    good="INSERT INTO releases (number) VALUES (1.0), (1.01)", bad=("INSERT INTO releases (number) VALUES (1.0), (1.00), (2)", 2),
    nulls="INSERT INTO releases (number) VALUES (NULL), (NULL)")
UNIQUE.ask("unique_in_a_partitioned_table", "the key has the partition column in it",
    "CREATE TABLE events_by_year (year int NOT NULL, code text) PARTITION BY LIST (year); CREATE TABLE events_2025 PARTITION OF events_by_year FOR VALUES IN (2025); CREATE TABLE events_2026 PARTITION OF events_by_year FOR VALUES IN (2026)",
    "ALTER TABLE events_by_year ADD CONSTRAINT uq_events UNIQUE (year, code)", "ALTER TABLE events_by_year DROP CONSTRAINT uq_events",
    good="INSERT INTO events_by_year VALUES (2025, 'a'), (2026, 'a')", bad=("INSERT INTO events_by_year VALUES (2025, 'a'), (2026, 'b'), (2026, 'b')", 2),
    nulls="INSERT INTO events_by_year VALUES (2025, NULL), (2025, NULL)")
UNIQUE.ask("unique_generated_column", "the unique column is new, and generated from old ones",
    "CREATE TABLE books (id serial PRIMARY KEY, isbn text)",
    "ALTER TABLE books ADD isbn_digits text GENERATED ALWAYS AS (replace(isbn, '-', '')) STORED; ALTER TABLE books ADD CONSTRAINT uq_books UNIQUE (isbn_digits)",
    "ALTER TABLE books DROP isbn_digits",
    good="INSERT INTO books (isbn) VALUES ('1-2'), ('1-3')", bad=("INSERT INTO books (isbn) VALUES ('1-2'), ('12'), ('3')", 2),
    nulls="INSERT INTO books (isbn) VALUES (NULL), (NULL)")
UNIQUE.ask("unique_column_with_default", "each old row gets the same value: there must be one row at most",
    "CREATE TABLE tenants (id serial PRIMARY KEY, name text)",
    python("""
        op.add_column("tenants", sa.Column("slug", sa.Text, nullable=False, server_default="main"))
        op.create_unique_constraint("uq_tenants_slug", "tenants", ["slug"])
        """),
    'python:op.drop_column("tenants", "slug")',
    good="INSERT INTO tenants (name) VALUES ('a')", bad=("INSERT INTO tenants (name) VALUES ('a'), ('b'), ('c')", 3))

PRIMARY_KEY = ConditionList()
PRIMARY_KEY.ask("natural_key", "unique, and not NULL: two conditions",
    "CREATE TABLE airports (code text, city text)",
    'python:op.create_primary_key("pk_airports", "airports", ["code"])',
    'python:op.drop_constraint("pk_airports", "airports"); op.alter_column("airports", "code", nullable=True)',
    good="INSERT INTO airports VALUES ('FRA', 'x'), ('MUC', 'y')", bad=("INSERT INTO airports VALUES ('FRA', 'x'), ('FRA', 'y')", 2),
    nulls=("INSERT INTO airports VALUES (NULL, 'x'), ('FRA', 'y')", 1), conditions=2)
PRIMARY_KEY.ask("composite_key", "the columns are NOT NULL already",
    "CREATE TABLE memberships (club int NOT NULL, person int NOT NULL, since date)",
    "ALTER TABLE memberships ADD CONSTRAINT pk_memberships PRIMARY KEY (club, person)", "ALTER TABLE memberships DROP CONSTRAINT pk_memberships",
    good="INSERT INTO memberships VALUES (1, 1), (1, 2)", bad=("INSERT INTO memberships VALUES (1, 1, '2026-01-01'), (1, 1, '2026-01-02'), (1, 2, NULL)", 2))
PRIMARY_KEY.ask("key_replaced", "another column becomes the key",
    "CREATE TABLE warehouses (id int CONSTRAINT pk_warehouses PRIMARY KEY, code text NOT NULL)",
    "ALTER TABLE warehouses DROP CONSTRAINT pk_warehouses; ALTER TABLE warehouses ADD CONSTRAINT pk_warehouses PRIMARY KEY (code)",
    "ALTER TABLE warehouses DROP CONSTRAINT pk_warehouses; ALTER TABLE warehouses ADD CONSTRAINT pk_warehouses PRIMARY KEY (id)",
    good="INSERT INTO warehouses VALUES (1, 'a'), (2, 'b')", bad=("INSERT INTO warehouses VALUES (1, 'a'), (2, 'a')", 2))
PRIMARY_KEY.ask("key_by_a_unique_index", "the index is there: only NOT NULL is asked",
    "CREATE TABLE currencies (code char(3), name text); CREATE UNIQUE INDEX ix_currencies ON currencies (code)",
    "ALTER TABLE currencies ADD CONSTRAINT pk_currencies PRIMARY KEY USING INDEX ix_currencies",
    "ALTER TABLE currencies DROP CONSTRAINT pk_currencies; ALTER TABLE currencies ALTER code DROP NOT NULL; CREATE UNIQUE INDEX ix_currencies ON currencies (code)",
    good="INSERT INTO currencies VALUES ('EUR', 'x')", bad=("INSERT INTO currencies VALUES ('EUR', 'x'), (NULL, 'y'), (NULL, 'z')", 2))

EXCLUSION = ConditionList()
EXCLUSION.ask("ranges_do_not_overlap", "a range type, gist without an extension",
    "CREATE TABLE bookings (id serial PRIMARY KEY, during daterange)",
    "ALTER TABLE bookings ADD CONSTRAINT ex_bookings EXCLUDE USING gist (during WITH &&)", "ALTER TABLE bookings DROP CONSTRAINT ex_bookings",
    good="INSERT INTO bookings (during) VALUES ('[2026-01-01,2026-01-05)'), ('[2026-01-05,2026-01-07)'), ('empty'), ('empty')",
    bad=("INSERT INTO bookings (during) VALUES ('[2026-01-01,2026-01-05)'), ('[2026-01-04,2026-01-07)'), ('[2026-02-01,2026-02-02)')", 2),
    nulls="INSERT INTO bookings (during) VALUES (NULL), (NULL), ('[2026-01-01,)')")
EXCLUSION.ask("shifts_of_confirmed_people", "an expression, and a WHERE",
    "CREATE TABLE shifts (id serial PRIMARY KEY, starts date, ends date, confirmed boolean)",
    python("""
        op.create_exclude_constraint("ex_shifts", "shifts", (sa.func.daterange(sa.column("starts"), sa.column("ends")), "&&"), where=sa.text("confirmed"), using="gist")
        """),
    'python:op.drop_constraint("ex_shifts", "shifts")',
    good="INSERT INTO shifts (starts, ends, confirmed) VALUES ('2026-01-01', '2026-01-05', true), ('2026-01-02', '2026-01-05', false)",
    bad=("INSERT INTO shifts (starts, ends, confirmed) VALUES ('2026-01-01', '2026-01-05', true), ('2026-01-02', '2026-01-03', true), ('2026-01-02', '2026-01-03', false)", 2),
    nulls=("INSERT INTO shifts (starts, ends, confirmed) VALUES (NULL, '2026-01-05', true), ('2026-01-02', '2026-01-03', true), ('2026-01-02', '2026-01-05', NULL)", 2))

FOREIGN_KEY = ConditionList()
FOREIGN_KEY.ask("line_has_its_receipt", "a simple key with ON DELETE",
    "CREATE TABLE receipts (id int PRIMARY KEY); CREATE TABLE receipt_lines (id serial PRIMARY KEY, receipt_id int)",
    'python:op.create_foreign_key("fk_lines_receipt", "receipt_lines", "receipts", ["receipt_id"], ["id"], ondelete="CASCADE")',
    'python:op.drop_constraint("fk_lines_receipt", "receipt_lines")',
    good="INSERT INTO receipts VALUES (1); INSERT INTO receipt_lines (receipt_id) VALUES (1), (1)",
    bad=("INSERT INTO receipts VALUES (1); INSERT INTO receipt_lines (receipt_id) VALUES (1), (2), (2)", 2),
    nulls="INSERT INTO receipt_lines (receipt_id) VALUES (NULL)")
FOREIGN_KEY.ask("composite_foreign_key", "two columns; one NULL is enough to be let alone",
    "CREATE TABLE rooms (house int, number int, PRIMARY KEY (house, number)); CREATE TABLE guests (id serial PRIMARY KEY, house int, room int)",
    "ALTER TABLE guests ADD CONSTRAINT fk_guests_room FOREIGN KEY (house, room) REFERENCES rooms", "ALTER TABLE guests DROP CONSTRAINT fk_guests_room",
    good="INSERT INTO rooms VALUES (1, 1); INSERT INTO guests (house, room) VALUES (1, 1)",
    bad=("INSERT INTO rooms VALUES (1, 1); INSERT INTO guests (house, room) VALUES (1, 1), (1, 2)", 1),
    nulls="INSERT INTO guests (house, room) VALUES (1, NULL), (NULL, NULL)")
FOREIGN_KEY.ask("match_full", "one NULL of two violates",
    "CREATE TABLE lots (area int, number int, PRIMARY KEY (area, number)); CREATE TABLE pallets (id serial PRIMARY KEY, area int, lot int)",
    "ALTER TABLE pallets ADD CONSTRAINT fk_pallets_lot FOREIGN KEY (area, lot) REFERENCES lots MATCH FULL", "ALTER TABLE pallets DROP CONSTRAINT fk_pallets_lot",
    good="INSERT INTO lots VALUES (1, 1); INSERT INTO pallets (area, lot) VALUES (1, 1), (NULL, NULL)",
    bad=("INSERT INTO lots VALUES (1, 1); INSERT INTO pallets (area, lot) VALUES (1, 1), (2, 1)", 1),
    nulls=("INSERT INTO lots VALUES (1, 1); INSERT INTO pallets (area, lot) VALUES (1, NULL), (NULL, NULL)", 1))
FOREIGN_KEY.ask("tree_of_categories", "a key to the same table",
    "CREATE TABLE categories (id int PRIMARY KEY, parent_id int)",
    'python:op.create_foreign_key("fk_categories_parent", "categories", "categories", ["parent_id"], ["id"])', 'python:op.drop_constraint("fk_categories_parent", "categories")',
    good="INSERT INTO categories VALUES (1, NULL), (2, 1), (3, 3)", bad=("INSERT INTO categories VALUES (1, NULL), (2, 9)", 1),
    nulls="INSERT INTO categories VALUES (1, NULL)")
FOREIGN_KEY.ask("key_to_a_partitioned_table", "the row may be in any partition",
    "CREATE TABLE accounts (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE accounts_low PARTITION OF accounts FOR VALUES FROM (0) TO (100); CREATE TABLE accounts_high PARTITION OF accounts FOR VALUES FROM (100) TO (200); CREATE TABLE transfers (id serial PRIMARY KEY, account_id int)",
    "ALTER TABLE transfers ADD CONSTRAINT fk_transfers_account FOREIGN KEY (account_id) REFERENCES accounts", "ALTER TABLE transfers DROP CONSTRAINT fk_transfers_account",
    good="INSERT INTO accounts VALUES (1), (101); INSERT INTO transfers (account_id) VALUES (1), (101)",
    bad=("INSERT INTO accounts VALUES (1), (101); INSERT INTO transfers (account_id) VALUES (1), (102), (2)", 2),
    nulls="INSERT INTO transfers (account_id) VALUES (NULL)")
FOREIGN_KEY.ask("key_of_a_partitioned_table", "rows of all partitions are asked",
    "CREATE TABLE sensors (id int PRIMARY KEY); CREATE TABLE samples (day int NOT NULL, sensor int) PARTITION BY LIST (day); CREATE TABLE samples_1 PARTITION OF samples FOR VALUES IN (1); CREATE TABLE samples_2 PARTITION OF samples FOR VALUES IN (2)",
    'python:op.create_foreign_key("fk_samples_sensor", "samples", "sensors", ["sensor"], ["id"])', 'python:op.drop_constraint("fk_samples_sensor", "samples")',
    good="INSERT INTO sensors VALUES (1); INSERT INTO samples VALUES (1, 1), (2, 1)", bad=("INSERT INTO sensors VALUES (1); INSERT INTO samples VALUES (1, 1), (2, 7)", 1),
    nulls="INSERT INTO samples VALUES (1, NULL)")
FOREIGN_KEY.ask("key_validated_later", "the key is there, not valid",
    "CREATE TABLE teams (id int PRIMARY KEY); CREATE TABLE players (id serial PRIMARY KEY, team_id int)",
    'python:op.execute("ALTER TABLE players VALIDATE CONSTRAINT fk_players_team")', "python:pass  # it stays valid; the revision before drops it",
    between=[Step('python:op.create_foreign_key("fk_players_team", "players", "teams", ["team_id"], ["id"], postgresql_not_valid=True)',
                  'python:op.drop_constraint("fk_players_team", "players")')],
    good="INSERT INTO teams VALUES (1); INSERT INTO players (team_id) VALUES (1)", bad=("INSERT INTO players (team_id) VALUES (1), (2)", 2),
    nulls="INSERT INTO players (team_id) VALUES (NULL)")
FOREIGN_KEY.ask("table_filled_by_the_revision", "the rows that the key refers to come with the same revision",
    "CREATE TABLE visas (id serial PRIMARY KEY, status text)",
    python("""
        statuses = op.create_table("visa_statuses", sa.Column("code", sa.Text, primary_key=True))
        op.bulk_insert(statuses, [{"code": "granted"}, {"code": "refused"}])
        op.create_foreign_key("fk_visas_status", "visas", "visa_statuses", ["status"], ["code"])
        """),
    'python:op.drop_constraint("fk_visas_status", "visas"); op.drop_table("visa_statuses")',
    good="INSERT INTO visas (status) VALUES ('granted'), ('refused')", bad=("INSERT INTO visas (status) VALUES ('granted'), ('lost'), ('')", 2),
    nulls="INSERT INTO visas (status) VALUES (NULL)")
FOREIGN_KEY.ask("new_column_with_a_default_key", "each old row gets the default, which must be in the other table",
    "CREATE TABLE regions (id int PRIMARY KEY); CREATE TABLE outlets (id serial PRIMARY KEY, name text)",
    "ALTER TABLE outlets ADD region_id int NOT NULL DEFAULT 1 CONSTRAINT fk_outlets_region REFERENCES regions", "ALTER TABLE outlets DROP region_id",
    good="INSERT INTO regions VALUES (1); INSERT INTO outlets (name) VALUES ('a')",
    bad=("INSERT INTO regions VALUES (2); INSERT INTO outlets (name) VALUES ('a'), ('b')", 2))
FOREIGN_KEY.ask("key_between_schemas", "both tables are elsewhere, and the names must be quoted",
    'CREATE SCHEMA crm; CREATE SCHEMA "Sales"; CREATE TABLE crm.people (id bigint PRIMARY KEY); CREATE TABLE "Sales"."Quotes" ("Id" serial PRIMARY KEY, "personId" int)',
    'ALTER TABLE "Sales"."Quotes" ADD CONSTRAINT fk_quotes_person FOREIGN KEY ("personId") REFERENCES crm.people ON DELETE SET NULL',
    'ALTER TABLE "Sales"."Quotes" DROP CONSTRAINT fk_quotes_person',
    good="""INSERT INTO crm.people VALUES (1); INSERT INTO "Sales"."Quotes" ("personId") VALUES (1)""", bad=("""INSERT INTO "Sales"."Quotes" ("personId") VALUES (1)""", 1),
    nulls="""INSERT INTO "Sales"."Quotes" DEFAULT VALUES""")

GROUPS = {"unique": UNIQUE, "primary key": PRIMARY_KEY, "exclusion": EXCLUSION, "foreign key": FOREIGN_KEY}
