"""Data faults of tables in other forms, and of downgrades whose upgrade is fine."""

from support.data_case import Step, fault, python, table

TABLES = [
    fault("partition_of_2023", "values of one year, and so of one partition, are deleted where the probe was calibrating", "measurements",
        "INSERT INTO measurements VALUES ('t1', '2023-05-01', 0), ('t1', '2024-05-01', 0)",
        Step(
            "CREATE TABLE measurements (probe text NOT NULL, taken_on date NOT NULL, value float8) PARTITION BY RANGE (taken_on); "
            "CREATE TABLE measurements_2023 PARTITION OF measurements FOR VALUES FROM ('2023-01-01') TO ('2024-01-01'); "
            "CREATE TABLE measurements_rest PARTITION OF measurements DEFAULT",
            "DROP TABLE measurements"),
        Step("DELETE FROM measurements WHERE taken_on >= '2023-01-01' AND taken_on < '2024-01-01' AND value = 0")),
    fault("regions_joined", "two regions become one, which moves rows to another partition; all of it comes back as one of the two", "shops",
        "INSERT INTO shops VALUES (1, 'eu'), (2, 'mea'), (3, 'apac')",
        Step(
            "CREATE TABLE shops (id int NOT NULL, region text NOT NULL, PRIMARY KEY (id, region)) PARTITION BY LIST (region); "
            "CREATE TABLE shops_west PARTITION OF shops FOR VALUES IN ('eu', 'mea'); CREATE TABLE shops_rest PARTITION OF shops DEFAULT",
            "DROP TABLE shops"),
        Step("UPDATE shops SET region = 'emea' WHERE region IN ('eu', 'mea')", "UPDATE shops SET region = 'eu' WHERE region = 'emea'")),
    fault("parent_with_its_children", "an update of the parent also reaches the rows of the child table", "vehicles.plate|trucks.plate",
        "INSERT INTO vehicles VALUES (1, 'B-AB 12'); INSERT INTO trucks VALUES (2, 'M-XY 99', 3)",
        Step("CREATE TABLE vehicles (id int PRIMARY KEY, plate text NOT NULL); CREATE TABLE trucks (axles int) INHERITS (vehicles)",
             "DROP TABLE trucks; DROP TABLE vehicles"),
        Step("UPDATE vehicles SET plate = replace(plate, '-', ' ') WHERE plate ~ '^[A-Z]{1,3}-'")),
    fault("by_a_generated_column", "orders whose generated total is above 1000 lose their discount", "quotes.discount",
        "INSERT INTO quotes (quantity, unit_price, discount) VALUES (10, 200, 15), (1, 5, 15)",
        table("quotes", "quantity int NOT NULL CHECK (quantity BETWEEN 1 AND 50), unit_price int NOT NULL CHECK (unit_price BETWEEN 1 AND 900), "
              "discount int NOT NULL, total int GENERATED ALWAYS AS (quantity * unit_price) STORED"),
        Step("UPDATE quotes SET discount = 0 WHERE total > 1000 AND discount <> 0")),
    fault("domain_of_article_numbers", "temporary numbers become old ones; the downgrade is empty", "stock.sku",
        "INSERT INTO stock (sku) VALUES ('TMP-0001'), ('ABC-0002')",
        Step("CREATE DOMAIN article_number AS text CHECK (VALUE ~ '^[A-Z]{3}-[0-9]{4}$'); CREATE TABLE stock (id serial PRIMARY KEY, sku article_number NOT NULL)",
             "DROP TABLE stock; DROP DOMAIN article_number"),
        Step("UPDATE stock SET sku = 'OLD-' || right(sku, 4) WHERE sku LIKE 'TMP-%'")),
    fault("delete_through_a_view", "a trigger of the view turns the delete into an end of membership", "members.left_on",
        "INSERT INTO members (branch) VALUES ('Atlantis'), ('Bonn')",
        Step("CREATE TABLE members (id serial PRIMARY KEY, branch text NOT NULL, left_on date); CREATE VIEW active_members AS SELECT id, branch FROM members WHERE left_on IS NULL; "
             "CREATE FUNCTION end_membership() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE members SET left_on = current_date WHERE id = OLD.id; RETURN OLD; END $$; "
             "CREATE TRIGGER end_membership INSTEAD OF DELETE ON active_members FOR EACH ROW EXECUTE FUNCTION end_membership()",
             "DROP VIEW active_members; DROP FUNCTION end_membership(); DROP TABLE members"),
        Step("DELETE FROM active_members WHERE branch = 'Atlantis'")),
    fault("sandbox_teams_cascade", "the teams are saved and come back, their memberships were deleted by the cascade", "memberships: ",
        "INSERT INTO teams VALUES (1, 'Sandbox'), (2, 'Core'); INSERT INTO memberships VALUES (1, 5), (2, 5)",
        Step("CREATE TABLE teams (id int PRIMARY KEY, name text NOT NULL); CREATE TABLE memberships (team_id int REFERENCES teams ON DELETE CASCADE, person int, PRIMARY KEY (team_id, person))",
             "DROP TABLE memberships; DROP TABLE teams"),
        Step("CREATE TABLE teams_removed AS SELECT * FROM teams WHERE name = 'Sandbox'; DELETE FROM teams WHERE name = 'Sandbox'",
             "INSERT INTO teams SELECT * FROM teams_removed; DROP TABLE teams_removed")),
    fault("shelves_set_null", "the shelves are saved and come back, the books do not know theirs any more", "books.shelf_id",
        "INSERT INTO shelves VALUES (1, 'X1'), (2, 'A1'); INSERT INTO books (shelf_id) VALUES (1), (2)",
        Step("CREATE TABLE shelves (id int PRIMARY KEY, code varchar(4) NOT NULL); CREATE TABLE books (id serial PRIMARY KEY, shelf_id int REFERENCES shelves ON DELETE SET NULL)",
             "DROP TABLE books; DROP TABLE shelves"),
        Step("CREATE TABLE shelves_removed AS TABLE shelves WITH NO DATA; INSERT INTO shelves_removed SELECT * FROM shelves WHERE code LIKE 'X_'; DELETE FROM shelves WHERE code LIKE 'X_'",
             "INSERT INTO shelves SELECT * FROM shelves_removed; DROP TABLE shelves_removed")),
    fault("licences_with_new_keys", "expired licences come back from the archive with other keys", "licences: |licences.id",
        "INSERT INTO licences (key, tier) VALUES ('k1', 'paid'), ('k2', 'trial'), ('k3', 'paid'); SELECT setval(pg_get_serial_sequence('licences', 'id'), 50)",
        Step("CREATE TABLE licences (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL, tier text NOT NULL)", "DROP TABLE licences"),
        Step("CREATE TABLE licences_old AS SELECT key, tier FROM licences WHERE tier = 'trial'; DELETE FROM licences WHERE tier = 'trial'",
             "INSERT INTO licences (key, tier) SELECT key, tier FROM licences_old; DROP TABLE licences_old")),
    fault("empty_bins", "stock levels of a composite key are deleted where an outer join says that the bin is closed", "stock_levels: ",
        "INSERT INTO bins VALUES ('N', 1, true), ('N', 2, false); INSERT INTO stock_levels VALUES ('N', 1, 0), ('N', 2, 0), ('N', 3, 7)",
        Step("CREATE TABLE bins (hall char(1), number int, closed boolean NOT NULL, PRIMARY KEY (hall, number)); "
             "CREATE TABLE stock_levels (hall char(1), number int, quantity int NOT NULL, PRIMARY KEY (hall, number))",
             "DROP TABLE stock_levels; DROP TABLE bins"),
        Step("DELETE FROM stock_levels WHERE quantity = 0 AND (hall, number) IN (SELECT hall, number FROM bins WHERE closed)")),
    fault("names_in_quotes", "a unit in a table whose names need quotes is translated, and all come back as the German one", "Unit of Sale",
        """INSERT INTO "Order Lines" ("Unit of Sale") VALUES ('Stk.'), ('pcs')""",
        Step("""CREATE TABLE "Order Lines" ("Id" serial PRIMARY KEY, "Unit of Sale" varchar(10) NOT NULL)""", 'DROP TABLE "Order Lines"'),
        Step("""UPDATE "Order Lines" SET "Unit of Sale" = 'pcs' WHERE "Unit of Sale" = 'Stk.'""",
             """UPDATE "Order Lines" SET "Unit of Sale" = 'Stk.' WHERE "Unit of Sale" = 'pcs'""")),
    fault("in_another_schema", "reminders in a schema are reset where the third was sent", "dunning.level",
        "INSERT INTO billing.dunning (level, paid) VALUES (3, 'no'), (1, 'no')",
        Step("CREATE SCHEMA billing; CREATE TABLE billing.dunning (id serial PRIMARY KEY, level int NOT NULL, paid text NOT NULL)",
             "DROP TABLE billing.dunning; DROP SCHEMA billing"),
        Step(python("""
            dunning = sa.table("dunning", sa.column("level", sa.Integer), sa.column("paid", sa.String), schema="billing")
            op.execute(dunning.update().where(dunning.c.level == 3, dunning.c.paid == "no").values(level=0))
            """))),
    fault("composite_type", "the country within a composite value is overwritten", "sites.place",
        "INSERT INTO sites (place) VALUES (ROW('Prag', 'CSSR')::place), (ROW('Bonn', 'DE')::place)",
        Step("CREATE TYPE place AS (city text, country text); CREATE TABLE sites (id serial PRIMARY KEY, place place)", "DROP TABLE sites; DROP TYPE place"),
        Step("UPDATE sites SET place.country = 'CZ' WHERE (place).country = 'CSSR'")),
]  # fmt: skip

DOWNGRADES = [
    fault("role_that_existed", "where the role existed the upgrade does nothing, and the downgrade deletes it", "user_roles: ",
        "INSERT INTO user_roles (name, note) VALUES ('auditor', 'made by hand')",
        table("user_roles", "name varchar(20) NOT NULL UNIQUE, note text"),
        Step("INSERT INTO user_roles (name) VALUES ('auditor'), ('steward') ON CONFLICT (name) DO NOTHING", "DELETE FROM user_roles WHERE name IN ('auditor', 'steward')")),
    fault("timezone_default", "NULL becomes UTC, and the downgrade makes NULL of all that is UTC", "calendars.zone",
        "INSERT INTO calendars (zone) VALUES (NULL), ('UTC'), ('Europe/Rome')",
        table("calendars", "zone varchar(40)"),
        Step("UPDATE calendars SET zone = 'UTC' WHERE zone IS NULL; ALTER TABLE calendars ALTER zone SET NOT NULL",
             "ALTER TABLE calendars ALTER zone DROP NOT NULL; UPDATE calendars SET zone = NULL WHERE zone = 'UTC'")),
    fault("welcome_messages", "the downgrade deletes welcome messages that were sent before, too", "notices: ",
        "INSERT INTO people VALUES (1), (2), (3); INSERT INTO notices (person, kind) VALUES (1, 'welcome'), (2, 'bill')",
        Step("CREATE TABLE people (id int PRIMARY KEY); CREATE TABLE notices (id serial PRIMARY KEY, person int NOT NULL, kind text NOT NULL)", "DROP TABLE notices; DROP TABLE people"),
        Step("INSERT INTO notices (person, kind) SELECT id, 'welcome' FROM people AS p WHERE NOT EXISTS (SELECT FROM notices AS n WHERE n.person = p.id)",
             "DELETE FROM notices WHERE kind = 'welcome'")),
    fault("rates_of_the_new_year", "the upgrade inserts the rate of 2024; the downgrade deletes whatever begins in 2024 or later", "pension_rates: ",
        "INSERT INTO pension_rates VALUES ('2023-01-01', 18.6), ('2025-01-01', 18.9)",
        Step("CREATE TABLE pension_rates (valid_from date PRIMARY KEY, percent numeric(4, 1) NOT NULL)", "DROP TABLE pension_rates"),
        Step(python("""
            rates = sa.table("pension_rates", sa.column("valid_from", sa.Date), sa.column("percent", sa.Numeric))
            op.bulk_insert(rates, [{"valid_from": date(2024, 1, 1), "percent": 18.7}])
            """),
            "DELETE FROM pension_rates WHERE valid_from >= '2024-01-01'", before="from datetime import date")),
    fault("flag_by_the_text", "the upgrade only marks drafts in a new column; the downgrade cuts the mark off their texts", "memos.body",
        "INSERT INTO memos (body) VALUES ('[draft] x'), ('y')",
        table("memos", "body text NOT NULL"),
        Step("ALTER TABLE memos ADD is_draft boolean NOT NULL DEFAULT false; UPDATE memos SET is_draft = true WHERE body LIKE '[draft]%'",
             "UPDATE memos SET body = ltrim(substr(body, 8)) WHERE is_draft; ALTER TABLE memos DROP is_draft")),
    fault("downgrade_in_a_loop", "the downgrade's loop in Python removes the key 'v2' from settings that always had it", "profiles.extra",
        """INSERT INTO profiles (extra) VALUES ('{"v2": true}'), ('{"x": 1}')""",
        table("profiles", "extra jsonb NOT NULL DEFAULT '{}'"),
        Step("ALTER TABLE profiles ADD locale varchar(5)",
             python("""
             bind = op.get_bind()
             profiles = sa.table("profiles", sa.column("id"), sa.column("extra", JSONB))
             for key, extra in bind.execute(sa.select(profiles.c.id, profiles.c.extra)).all():
                 if isinstance(extra, dict) and extra.pop("v2", None):
                     bind.execute(profiles.update().where(profiles.c.id == key).values(extra=extra))
             op.drop_column("profiles", "locale")
             """),
             before="from sqlalchemy.dialects.postgresql import JSONB")),
    fault("old_partner_deleted", "the downgrade removes the lookup row, and its products with it", "products: ",
        "INSERT INTO brands VALUES (1, 'generic'), (2, 'Acme'); INSERT INTO products (brand_id) VALUES (1), (2)",
        Step("CREATE TABLE brands (id int PRIMARY KEY, slug text NOT NULL UNIQUE); CREATE TABLE products (id serial PRIMARY KEY, brand_id int REFERENCES brands)",
             "DROP TABLE products; DROP TABLE brands"),
        Step("INSERT INTO brands VALUES (77, 'generic-2')",
             "DELETE FROM products USING brands AS b WHERE b.id = brand_id AND b.slug LIKE 'generic%'; DELETE FROM brands WHERE slug = 'generic-2'")),
]  # fmt: skip

GROUPS = {"other tables": TABLES, "downgrades": DOWNGRADES}
