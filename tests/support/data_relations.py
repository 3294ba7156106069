"""Data faults and honest migrations that depend on how rows and values go together.

Parents without children and with several, flags that are both true, values that a function makes equal, names that only
a search path of the migration's own finds, and rows that the migration itself inserts.
"""

from support.data_case import CaseList, Step, python, table

# fmt: off
FAULTS = CaseList()
FAULTS.fault("flag_of_profiles", "a flag moves to a table that has a row for some users only", "vip_users.vip",
    "INSERT INTO vip_users (vip) VALUES (true), (true); INSERT INTO vip_profiles (u_id) SELECT min(id) FROM vip_users",
    Step("CREATE TABLE vip_users (id serial PRIMARY KEY, vip bool NOT NULL DEFAULT false); CREATE TABLE vip_profiles (id serial PRIMARY KEY, u_id int NOT NULL UNIQUE REFERENCES vip_users)",
         "DROP TABLE vip_profiles; DROP TABLE vip_users"),
    Step("ALTER TABLE vip_profiles ADD vip bool; UPDATE vip_profiles AS p SET vip = u.vip FROM vip_users AS u WHERE u.id = p.u_id; ALTER TABLE vip_users DROP vip",
         "ALTER TABLE vip_users ADD vip bool NOT NULL DEFAULT false; UPDATE vip_users AS u SET vip = p.vip FROM vip_profiles AS p WHERE u.id = p.u_id; ALTER TABLE vip_profiles DROP vip"))
FAULTS.fault("one_group_of_several", "a table of members becomes a column, which holds one group", "memberships: ",
    "INSERT INTO clubs VALUES (1), (2); INSERT INTO club_members VALUES (1); INSERT INTO memberships VALUES (1, 1), (1, 2)",
    Step("CREATE TABLE clubs (id int PRIMARY KEY); CREATE TABLE club_members (id int PRIMARY KEY); CREATE TABLE memberships (member int NOT NULL REFERENCES club_members, club int NOT NULL REFERENCES clubs, PRIMARY KEY (member, club))",
         "DROP TABLE memberships; DROP TABLE club_members; DROP TABLE clubs"),
    Step("ALTER TABLE club_members ADD club int REFERENCES clubs; UPDATE club_members SET club = m.club FROM memberships AS m WHERE m.member = id; DROP TABLE memberships",
         "CREATE TABLE memberships (member int NOT NULL REFERENCES club_members, club int NOT NULL REFERENCES clubs, PRIMARY KEY (member, club)); "
         "INSERT INTO memberships SELECT id, club FROM club_members WHERE club IS NOT NULL; ALTER TABLE club_members DROP club"))
FAULTS.fault("role_of_two_flags", "an administrator who is staff, too, is only an administrator", "people_of_ours.is_staff",
    "INSERT INTO people_of_ours (is_admin, is_staff) VALUES (true, true), (false, true)",
    table("people_of_ours", "is_admin bool NOT NULL, is_staff bool NOT NULL"),
    Step("ALTER TABLE people_of_ours ADD role text; UPDATE people_of_ours SET role = CASE WHEN is_admin THEN 'admin' WHEN is_staff THEN 'staff' ELSE 'user' END; "
         "ALTER TABLE people_of_ours ALTER role SET NOT NULL, DROP is_admin, DROP is_staff",
         "ALTER TABLE people_of_ours ADD is_admin bool, ADD is_staff bool; UPDATE people_of_ours SET is_admin = role = 'admin', is_staff = role = 'staff'; "
         "ALTER TABLE people_of_ours ALTER is_admin SET NOT NULL, ALTER is_staff SET NOT NULL, DROP role"))
FAULTS.fault("archived_over_the_state", "each archived page comes back as live", "pages_shown.state",
    "INSERT INTO pages_shown (state, archived) VALUES ('draft', true), ('live', true)",
    table("pages_shown", "state text NOT NULL CONSTRAINT ck_pages_state CHECK (state IN ('draft', 'live')), archived bool NOT NULL DEFAULT false"),
    Step("ALTER TABLE pages_shown DROP CONSTRAINT ck_pages_state; UPDATE pages_shown SET state = 'archived' WHERE archived; ALTER TABLE pages_shown DROP archived",
         "ALTER TABLE pages_shown ADD archived bool NOT NULL DEFAULT false; UPDATE pages_shown SET archived = true, state = 'live' WHERE state = 'archived'; "
         "ALTER TABLE pages_shown ADD CONSTRAINT ck_pages_state CHECK (state IN ('draft', 'live'))"))
FAULTS.fault("one_of_four_states", "a state among four is overwritten where a rare condition holds", "lots.state",
    "INSERT INTO lots (state, price) VALUES ('sold', 2000000), ('live', 3000000)",
    table("lots", "state text NOT NULL CONSTRAINT ck_lots_state CHECK (state IN ('live', 'draft', 'sold', 'gone')), price int"),
    Step("ALTER TABLE lots DROP CONSTRAINT ck_lots_state; UPDATE lots SET state = 'big' WHERE price > 1000000",
         "UPDATE lots SET state = 'live' WHERE state = 'big'; ALTER TABLE lots ADD CONSTRAINT ck_lots_state CHECK (state IN ('live', 'draft', 'sold', 'gone'))"))
FAULTS.fault("hour_that_comes_twice", "local times say nothing of which of two equal hours it was", "train_stops.at",
    "INSERT INTO train_stops (at) VALUES ('2024-10-27 00:30+00'), ('2024-10-27 01:30+00')",
    table("train_stops", "at timestamptz NOT NULL"),
    Step("ALTER TABLE train_stops ALTER at TYPE timestamp USING at AT TIME ZONE 'Europe/Berlin'", "ALTER TABLE train_stops ALTER at TYPE timestamptz USING at AT TIME ZONE 'Europe/Berlin'"))
FAULTS.fault("hour_that_never_was", "a local time that the clocks have skipped", "bus_stops.at",
    "INSERT INTO bus_stops (at) VALUES ('2024-03-10 02:30')",
    table("bus_stops", "at timestamp"),
    Step("ALTER TABLE bus_stops ALTER at TYPE timestamptz USING at AT TIME ZONE 'America/New_York'", "ALTER TABLE bus_stops ALTER at TYPE timestamp USING at AT TIME ZONE 'America/New_York'"))
FAULTS.fault("rounded_although_unique", "a unique column has fractions, too", "prices_of_gold.price",
    "INSERT INTO prices_of_gold (price) VALUES (1.2345)",
    table("prices_of_gold", "price numeric(10,4) NOT NULL UNIQUE"),
    Step("ALTER TABLE prices_of_gold ALTER price TYPE numeric(10,2)", "ALTER TABLE prices_of_gold ALTER price TYPE numeric(10,4)"))
FAULTS.fault("looked_up_in_any_case", "the name comes back as the other table spells it", "cities_lived_in.name",
    "INSERT INTO towns (name) VALUES ('Foo'); INSERT INTO cities_lived_in (name) VALUES ('foo')",
    Step("CREATE TABLE towns (id serial PRIMARY KEY, name text NOT NULL UNIQUE); CREATE TABLE cities_lived_in (id serial PRIMARY KEY, name text)",
         "DROP TABLE cities_lived_in; DROP TABLE towns"),
    Step("ALTER TABLE cities_lived_in ADD town int REFERENCES towns; UPDATE cities_lived_in AS c SET town = t.id FROM towns AS t WHERE lower(t.name) = lower(c.name); UPDATE cities_lived_in SET name = NULL WHERE town IS NOT NULL",
         "UPDATE cities_lived_in AS c SET name = t.name FROM towns AS t WHERE t.id = c.town; ALTER TABLE cities_lived_in DROP town"))
FAULTS.fault("path_of_the_migration", "the migration sets the search path by which its table is found", "depot.wagons.state",
    "INSERT INTO depot.wagons (state) VALUES ('zz')",
    Step("CREATE SCHEMA depot; CREATE TABLE depot.wagons (id serial PRIMARY KEY, state text NOT NULL)", "DROP SCHEMA depot CASCADE"),
    Step("SET LOCAL search_path TO depot; UPDATE wagons SET state = 'y' WHERE state = 'zz'; SET LOCAL search_path TO public"))
FAULTS.fault("path_of_a_function", "a function sets the search path by which its table is found", "shed.tools.state",
    "INSERT INTO shed.tools (state) VALUES ('zz')",
    Step("CREATE SCHEMA shed; CREATE TABLE shed.tools (id serial PRIMARY KEY, state text NOT NULL)", "DROP SCHEMA shed CASCADE"),
    Step("CREATE FUNCTION shed.mend() RETURNS void LANGUAGE plpgsql SET search_path = shed AS $$ BEGIN UPDATE tools SET state = 'y' WHERE state = 'zz'; END $$; SELECT shed.mend(); DROP FUNCTION shed.mend()"))
FAULTS.fault("key_of_a_document", "the loop goes on to the next row where a key is missing", "layouts.doc",
    "INSERT INTO layouts (doc) VALUES ('{\"mode\": 1}')",
    table("layouts", "doc jsonb NOT NULL"),
    Step(python("""
        bind = op.get_bind()
        for row in bind.execute(sa.text("SELECT id, doc FROM layouts")).all():
            if "mode" not in row.doc:
                continue
            bind.execute(sa.text("UPDATE layouts SET doc = '{}' WHERE id = :id"), {"id": row.id})
        """)))
FAULTS.fault("exact_decimal", "Python compares with a Decimal", "bills_paid.state",
    "INSERT INTO bills_paid (amount, state) VALUES (1234.56, 'open')",
    table("bills_paid", "amount numeric(12,2) NOT NULL, state text NOT NULL"),
    Step(python("""
        bind = op.get_bind()
        for row in bind.execute(sa.text("SELECT id, amount FROM bills_paid")).all():
            if row.amount == Decimal("1234.56"):
                bind.execute(sa.text("UPDATE bills_paid SET state = 'done' WHERE id = :id"), {"id": row.id})
        """), before="from decimal import Decimal"))

FAULTS.fault("moved_to_another_schema", "an UPDATE names the table where it has been moved to", "chests.v",
    "INSERT INTO chests (v) VALUES ('new')",
    table("chests", "v text NOT NULL"),
    Step("CREATE SCHEMA attic; ALTER TABLE chests SET SCHEMA attic; UPDATE attic.chests SET v = 'new' WHERE v = 'old'",
         "UPDATE attic.chests SET v = 'old' WHERE v = 'new'; ALTER TABLE attic.chests SET SCHEMA public; DROP SCHEMA attic"))
FAULTS.fault("schema_gets_another_name", "an UPDATE names the new schema", "cellar_before.jars.v",
    "INSERT INTO cellar_before.jars (v, k) VALUES (NULL, 5)",
    Step("CREATE SCHEMA cellar_before; CREATE TABLE cellar_before.jars (id serial PRIMARY KEY, v text, k int NOT NULL)", "DROP SCHEMA cellar_before CASCADE"),
    Step("ALTER SCHEMA cellar_before RENAME TO cellar; UPDATE cellar.jars SET v = 'x' WHERE v IS NULL AND k > 3", "ALTER SCHEMA cellar RENAME TO cellar_before"))
FAULTS.fault("column_gets_another_name", "NULLs are filled under the new name, and come back as they were filled", "lids.v",
    "INSERT INTO lids (v, k) VALUES (NULL, 5), ('a', 1)",
    table("lids", "v text, k int NOT NULL"),
    Step("ALTER TABLE lids RENAME v TO w; UPDATE lids SET w = 'x' WHERE w IS NULL AND k > 3", "ALTER TABLE lids RENAME w TO v"))

CONTROLS = CaseList()
CONTROLS.control("depth_of_a_tree", "each row is below a root, as in any tree",
    "INSERT INTO branches_of_trees VALUES (1, NULL), (2, 1), (3, 2)",
    Step("CREATE TABLE branches_of_trees (id int PRIMARY KEY, parent int REFERENCES branches_of_trees)", "DROP TABLE branches_of_trees"),
    Step("ALTER TABLE branches_of_trees ADD depth int; WITH RECURSIVE t AS (SELECT id, 0 AS d FROM branches_of_trees WHERE parent IS NULL UNION ALL SELECT n.id, t.d + 1 FROM branches_of_trees AS n JOIN t ON n.parent = t.id) "
         "UPDATE branches_of_trees AS n SET depth = t.d FROM t WHERE t.id = n.id; ALTER TABLE branches_of_trees ALTER depth SET NOT NULL",
         "ALTER TABLE branches_of_trees DROP depth"))
CONTROLS.control("seeds_by_a_cte", "rows that are inserted through WITH, and deleted by name",
    "INSERT INTO roles_known (name) VALUES ('mine')",
    Step("CREATE TABLE roles_known (id serial PRIMARY KEY, name text NOT NULL UNIQUE); CREATE TABLE perms_known (id serial PRIMARY KEY, role int NOT NULL REFERENCES roles_known, code text NOT NULL)",
         "DROP TABLE perms_known; DROP TABLE roles_known"),
    Step("WITH r AS (INSERT INTO roles_known (name) VALUES ('guest') RETURNING id) INSERT INTO perms_known (role, code) SELECT id, c FROM r, unnest(ARRAY['read', 'list']) AS c",
         "DELETE FROM perms_known USING roles_known AS r WHERE r.id = role AND r.name = 'guest'; DELETE FROM roles_known WHERE name = 'guest'"))
CONTROLS.control("seeds_by_unnest", "rows of an array, in a column that is not unique",
    "INSERT INTO greetings (word) VALUES ('mine')",
    table("greetings", "word text NOT NULL"),
    Step("INSERT INTO greetings (word) SELECT unnest(ARRAY['hello', 'hi'])", "DELETE FROM greetings WHERE word IN ('hello', 'hi')"))
CONTROLS.control("seeds_by_copy", "rows that psycopg copies",
    "INSERT INTO codes_copied VALUES (7, 'mine')",
    Step("CREATE TABLE codes_copied (id int PRIMARY KEY, code text NOT NULL)", "DROP TABLE codes_copied"),
    Step(python("""
        with op.get_bind().connection.cursor().copy("COPY codes_copied (id, code) FROM STDIN") as copy:
            copy.write_row((1, "a"))
            copy.write_row((2, "b"))
        """), "DELETE FROM codes_copied WHERE id IN (1, 2)"))
CONTROLS.control("documents_of_one_kind", "a CHECK allows only arrays, objects with a key, and texts",
    "INSERT INTO documents_kept (tags, head, word) VALUES ('[1]', '{\"version\": 1}', '\"a\"')",
    table("documents_kept", "tags jsonb NOT NULL CHECK (jsonb_typeof(tags) = 'array'), head jsonb NOT NULL CHECK (head ? 'version'), word jsonb NOT NULL CHECK (jsonb_typeof(word) = 'string')"),
    Step("ALTER TABLE documents_kept ADD n int; UPDATE documents_kept SET n = jsonb_array_length(tags)", "ALTER TABLE documents_kept DROP n"))

GROUPS = {"relations": FAULTS}
CONTROL_GROUPS = {"related controls": CONTROLS}
