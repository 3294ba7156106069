"""Preconditions of type changes, domains and partitions."""

from support.data_case import Step, python
from support.precondition_case import ConditionList

# fmt: off
TYPE = ConditionList()


def cast(name: str, old: str, new: str, good: str, bad: str, keys: int, *, why: str = "", may_lose: bool = False, assignment: bool = False, back: str = "") -> None:
    """Add a change of the type of one column, with USING unless the cast is one of assignment."""
    using = "" if assignment else f" USING value::{new}"
    TYPE.ask(name, why or f"{old} to {new}",
        f"CREATE TABLE {name} (id serial PRIMARY KEY, value {old})",
        f"ALTER TABLE {name} ALTER value TYPE {new}{using}",
        f"ALTER TABLE {name} ALTER value TYPE {old} USING value::{back or old}",
        good=f"INSERT INTO {name} (value) VALUES {good}", bad=(f"INSERT INTO {name} (value) VALUES {good}, {bad}", keys),
        nulls=f"INSERT INTO {name} (value) VALUES (NULL)", may_lose=may_lose)


cast("text_to_integer", "text", "integer", "('1'), ('-7'), (' 42 '), ('+3')", "('x'), (''), ('1.5'), ('2147483648')", 4, may_lose=True)
cast("text_to_date", "text", "date", "('2026-02-28'), ('2028-02-29'), ('infinity')", "('2026-02-29'), ('soon'), ('')", 3, may_lose=True)
cast("text_to_timestamp", "text", "timestamp", "('2026-02-28 23:59:59'), ('2026-02-28')", "('2026-02-28 25:00'), ('n/a')", 2, may_lose=True)
cast("text_to_timestamptz", "text", "timestamptz", "('2026-02-28 23:59:59+01')", "('2026-13-01'), ('2026-02-28 10:00 Nowhere/City')", 2, may_lose=True)
cast("text_to_uuid", "text", "uuid", "('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), ('{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}')", "('a0eebc99'), ('')", 2, may_lose=True)
cast("text_to_jsonb", "text", "jsonb", """('{"a": 1}'), ('null'), ('"x"')""", "('{a: 1}'), ('x'), ('')", 3, may_lose=True)
cast("text_to_boolean", "text", "boolean", "('t'), ('FALSE'), ('on'), ('0')", "('maybe'), ('2'), ('')", 3, may_lose=True)
cast("text_to_numeric", "text", "numeric(10,2)", "('1.5'), ('99999999.99'), ('1e3')", "('99999999.995'), ('1,5'), ('')", 3, may_lose=True)
cast("bigint_to_integer", "bigint", "integer", "(2147483647), (-2147483648)", "(2147483648), (-2147483649)", 2, assignment=True)
cast("integer_to_smallint", "integer", "smallint", "(32767), (-32768)", "(32768), (-40000)", 2, assignment=True)
cast("numeric_narrower", "numeric(12,2)", "numeric(8,2)", "(999999.99), (-1)", "(1000000), (-1000000.00)", 2, assignment=True)
cast("numeric_to_integer", "numeric", "integer", "(1.5), (2147483647.4)", "(2147483647.5), (3e9)", 2, assignment=True, may_lose=True, why="values are rounded, and must fit after that")
cast("varchar_shorter", "varchar(200)", "varchar(20)", "('x'), (repeat('x', 20)), ('x' || repeat(' ', 30))", "(repeat('x', 21)), (repeat('ä', 21))", 2, assignment=True, may_lose=True, why="blanks at the end are cut, nothing else is")
cast("text_to_varchar", "text", "varchar(10)", "(''), (repeat('ä', 10))", "(repeat('x', 11)), ('x' || repeat(' ', 11) || 'x')", 2, assignment=True, may_lose=True)
cast("text_to_char", "text", "char(3)", "('EUR'), ('x'), ('')", "('EURO')", 1, assignment=True, may_lose=True)
cast("double_to_real", "double precision", "real", "(1.5), (0), (3e38), ('NaN')", "(1e39), (-1e300), (1e-60)", 3, assignment=True, may_lose=True, why="out of range on both ends")
cast("double_to_integer", "double precision", "integer", "(1.5), (-2147483648)", "(2147483648), ('NaN'), ('-Infinity')", 3, assignment=True, may_lose=True)
cast("text_to_inet", "text", "inet", "('10.0.0.1'), ('::1'), ('10.0.0.0/8')", "('10.0.0.256'), ('host')", 2, may_lose=True)
cast("texts_to_integers", "text[]", "integer[]", "(ARRAY['1', '2']), ('{}'), (ARRAY[NULL])", "(ARRAY['1', 'x']), (ARRAY[''])", 2, may_lose=True)
cast("jsonb_to_integer", "jsonb", "integer", "('1'), ('2.4')", """('"1"'), ('{}'), ('true')""", 3, may_lose=True, back="text::jsonb")
cast("text_to_time", "text", "time", "('23:59:59'), ('04:05 PM')", "('25:00'), ('noon o''clock')", 2, may_lose=True)
cast("text_to_interval", "text", "interval", "('1 day'), ('P1M')", "('one day'), ('')", 2, may_lose=True)
TYPE.ask("name_in_using_is_quoted", "alter_column of Alembic with postgresql_using, on a quoted name in another schema",
    'CREATE SCHEMA "Import"; CREATE TABLE "Import"."Raw" ("Id" serial PRIMARY KEY, "the Year" text)',
    python("""
        op.alter_column("Raw", "the Year", type_=sa.Integer(), schema="Import", postgresql_using='nullif(btrim("the Year"), \\'\\')::integer')
        """),
    python("""
        op.alter_column("Raw", "the Year", type_=sa.Text(), schema="Import")
        """),
    good="""INSERT INTO "Import"."Raw" ("the Year") VALUES ('2026'), (' '), ('')""",
    bad=("""INSERT INTO "Import"."Raw" ("the Year") VALUES ('2026'), (' '), ('MMXXVI')""", 1),
    nulls="""INSERT INTO "Import"."Raw" DEFAULT VALUES""", may_lose=True)
TYPE.ask("enum_from_text", "each text must be a label",
    "CREATE TABLE claims (id serial PRIMARY KEY, state text)",
    "CREATE TYPE claim_state AS ENUM ('open', 'closed'); ALTER TABLE claims ALTER state TYPE claim_state USING state::claim_state",
    "ALTER TABLE claims ALTER state TYPE text; DROP TYPE claim_state",
    good="INSERT INTO claims (state) VALUES ('open'), ('closed')", bad=("INSERT INTO claims (state) VALUES ('open'), ('Open'), ('')", 2),
    nulls="INSERT INTO claims (state) VALUES (NULL)")
TYPE.ask("enum_swapped", "a label is taken out: rename, create, alter, drop; the default goes and comes",
    "CREATE TYPE ticket_state AS ENUM ('new', 'open', 'done'); CREATE TABLE helpdesk_tickets (id serial PRIMARY KEY, state ticket_state DEFAULT 'new')",
    "ALTER TYPE ticket_state RENAME TO ticket_state_old; CREATE TYPE ticket_state AS ENUM ('new', 'done'); ALTER TABLE helpdesk_tickets ALTER state DROP DEFAULT; ALTER TABLE helpdesk_tickets ALTER state TYPE ticket_state USING state::text::ticket_state; ALTER TABLE helpdesk_tickets ALTER state SET DEFAULT 'new'; DROP TYPE ticket_state_old",
    "ALTER TYPE ticket_state RENAME TO ticket_state_new; CREATE TYPE ticket_state AS ENUM ('new', 'open', 'done'); ALTER TABLE helpdesk_tickets ALTER state DROP DEFAULT; ALTER TABLE helpdesk_tickets ALTER state TYPE ticket_state USING state::text::ticket_state; ALTER TABLE helpdesk_tickets ALTER state SET DEFAULT 'new'; DROP TYPE ticket_state_new",
    good="INSERT INTO helpdesk_tickets (state) VALUES ('new'), ('done')", bad=("INSERT INTO helpdesk_tickets (state) VALUES ('new'), ('open'), ('open')", 2),
    nulls="INSERT INTO helpdesk_tickets (state) VALUES (NULL)")
TYPE.ask("varchar_to_domain", "the column gets a domain: old values must fit its length, and its check",
    "CREATE DOMAIN postcode AS varchar(5) CHECK (VALUE ~ '^[0-9]{5}'); CREATE TABLE addresses (id serial PRIMARY KEY, zip varchar(10))",
    "ALTER TABLE addresses ALTER zip TYPE postcode", "ALTER TABLE addresses ALTER zip TYPE varchar(10)",
    good="INSERT INTO addresses (zip) VALUES ('53111')", bad=("INSERT INTO addresses (zip) VALUES ('53111'), ('5311'), ('531111')", 2),
    nulls="INSERT INTO addresses (zip) VALUES (NULL)", conditions=(1, 2))
TYPE.ask("unique_after_the_cast", "two texts are different, and one number: the index of the column is built again",
    "CREATE TABLE coupons (id serial PRIMARY KEY, number text CONSTRAINT uq_coupons UNIQUE)",
    "ALTER TABLE coupons ALTER number TYPE integer USING number::integer", "ALTER TABLE coupons ALTER number TYPE text",
    good="INSERT INTO coupons (number) VALUES ('1'), ('2')", bad=("INSERT INTO coupons (number) VALUES ('1'), ('01'), ('3')", 2),
    nulls="INSERT INTO coupons (number) VALUES (NULL), (NULL)", conditions=2, may_lose=True)

DOMAIN = ConditionList()
DOMAIN.ask("domain_gets_a_check", "asked of each column that has the domain",
    "CREATE DOMAIN percentage AS numeric; CREATE TABLE discounts (id serial PRIMARY KEY, rate percentage); CREATE TABLE taxes (id serial PRIMARY KEY, rate percentage)",
    "ALTER DOMAIN percentage ADD CONSTRAINT ck_percentage CHECK (VALUE BETWEEN 0 AND 100)", "ALTER DOMAIN percentage DROP CONSTRAINT ck_percentage",
    good="INSERT INTO discounts (rate) VALUES (0), (100); INSERT INTO taxes (rate) VALUES (19)",
    bad=("INSERT INTO discounts (rate) VALUES (0), (101); INSERT INTO taxes (rate) VALUES (-1)", 2),
    nulls="INSERT INTO discounts (rate) VALUES (NULL)", conditions=(1, 2))
DOMAIN.ask("domain_check_validated", "the check of the domain is there, not valid",
    "CREATE DOMAIN iban AS text; CREATE TABLE payees (id serial PRIMARY KEY, account iban)",
    "ALTER DOMAIN iban VALIDATE CONSTRAINT ck_iban", "python:pass  # it stays valid; the revision before drops it",
    between=[Step("ALTER DOMAIN iban ADD CONSTRAINT ck_iban CHECK (VALUE ~ '^[A-Z]{2}[0-9]{2}') NOT VALID", "ALTER DOMAIN iban DROP CONSTRAINT ck_iban")],
    good="INSERT INTO payees (account) VALUES ('DE12')", bad=("INSERT INTO payees (account) VALUES ('DE12'), ('de12')", 1),
    nulls="INSERT INTO payees (account) VALUES (NULL)")
DOMAIN.ask("domain_not_null", "SET NOT NULL of a domain",
    "CREATE DOMAIN colour_code AS text; CREATE TABLE paints (id serial PRIMARY KEY, colour colour_code)",
    "ALTER DOMAIN colour_code SET NOT NULL", "ALTER DOMAIN colour_code DROP NOT NULL",
    good="INSERT INTO paints (colour) VALUES ('#fff')", bad=("INSERT INTO paints (colour) VALUES ('#fff'), (NULL)", 1))
DOMAIN.ask("column_becomes_a_domain", "the domain comes in the same revision, and refuses NULL",
    "CREATE TABLE members (id serial PRIMARY KEY, mail text)",
    "CREATE DOMAIN mail_address AS text NOT NULL CHECK (VALUE LIKE '%@%'); ALTER TABLE members ALTER mail TYPE mail_address",
    "ALTER TABLE members ALTER mail TYPE text; DROP DOMAIN mail_address",
    good="INSERT INTO members (mail) VALUES ('a@x')", bad=("INSERT INTO members (mail) VALUES ('a@x'), ('a')", 1),
    nulls=("INSERT INTO members (mail) VALUES (NULL)", 1), conditions=(1, 2))

PARTITION = ConditionList()
PARTITION.ask("attached_out_of_bounds", "rows of the table must be within the bounds of the partition; a NULL key is in none",
    "CREATE TABLE sales (day date, amount int) PARTITION BY RANGE (day); CREATE TABLE sales_2026 (day date, amount int)",
    "ALTER TABLE sales ATTACH PARTITION sales_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')", "ALTER TABLE sales DETACH PARTITION sales_2026",
    good="INSERT INTO sales_2026 VALUES ('2026-01-01', 1), ('2026-12-31', NULL)",
    bad=("INSERT INTO sales_2026 VALUES ('2026-01-01', 1), ('2027-01-01', 2), ('2025-12-31', 3)", 2),
    nulls=("INSERT INTO sales_2026 VALUES (NULL, 1), ('2026-01-01', 1)", 1))
PARTITION.ask("attached_to_a_list", "a list with NULL in it",
    "CREATE TABLE offers (region text, id int) PARTITION BY LIST (region); CREATE TABLE offers_north (region text, id int)",
    "ALTER TABLE offers ATTACH PARTITION offers_north FOR VALUES IN ('no', 'se', NULL)", "ALTER TABLE offers DETACH PARTITION offers_north",
    good="INSERT INTO offers_north VALUES ('no', 1), ('se', 2)", bad=("INSERT INTO offers_north VALUES ('no', 1), ('de', 2)", 1),
    nulls="INSERT INTO offers_north VALUES (NULL, 1)")
PARTITION.ask("partition_beside_a_default", "the default partition must not have rows of the new one",
    "CREATE TABLE visits (year int, page text) PARTITION BY LIST (year); CREATE TABLE visits_other PARTITION OF visits DEFAULT",
    "CREATE TABLE visits_2026 PARTITION OF visits FOR VALUES IN (2026)", "DROP TABLE visits_2026",
    good="INSERT INTO visits VALUES (2025, 'x')", bad=("INSERT INTO visits VALUES (2025, 'x'), (2026, 'x'), (2026, 'y')", 2),
    nulls="INSERT INTO visits VALUES (NULL, 'x')")

GROUPS = {"type": TYPE, "domain": DOMAIN, "partition": PARTITION}
