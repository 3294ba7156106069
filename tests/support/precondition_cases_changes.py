"""What constraints of before have guaranteed already, and preconditions of rows that a revision changes or merges."""

from support.precondition_case import ConditionList

# fmt: off
GUARANTEED = ConditionList()
"""Nothing is asked: constraints of before demand it."""
GUARANTEED.control("partial_index_narrowed", "a unique index gets a narrower predicate",
    "CREATE TABLE profiles_of_browsers (id serial PRIMARY KEY, name text, managed bool NOT NULL, deleted_at date); CREATE UNIQUE INDEX uq_profiles ON profiles_of_browsers (name) WHERE managed = false",
    "DROP INDEX uq_profiles; CREATE UNIQUE INDEX uq_profiles ON profiles_of_browsers (name) WHERE managed = false AND deleted_at IS NULL",
    "DROP INDEX uq_profiles; CREATE UNIQUE INDEX uq_profiles ON profiles_of_browsers (name) WHERE managed = false",
    rows="INSERT INTO profiles_of_browsers (name, managed) VALUES ('a', true), ('a', true), ('a', false), (NULL, false)")
GUARANTEED.control("index_of_values_that_are_there", "rows with NULL are equal to none, in the whole index, too",
    "CREATE TABLE phones (id serial PRIMARY KEY, number text); CREATE UNIQUE INDEX uq_phones ON phones (number) WHERE number IS NOT NULL",
    "DROP INDEX uq_phones; ALTER TABLE phones ADD CONSTRAINT uq_phones UNIQUE (number)",
    "ALTER TABLE phones DROP CONSTRAINT uq_phones; CREATE UNIQUE INDEX uq_phones ON phones (number) WHERE number IS NOT NULL",
    rows="INSERT INTO phones (number) VALUES ('1'), (NULL), (NULL)")
GUARANTEED.control("key_with_one_more_column", "a wider key, with a predicate that a NOT NULL column guarantees",
    "CREATE TABLE tags_of_posts (id serial PRIMARY KEY, post int NOT NULL, tag text); CREATE UNIQUE INDEX uq_post ON tags_of_posts (post) WHERE post IS NOT NULL",
    "DROP INDEX uq_post; CREATE UNIQUE INDEX uq_post ON tags_of_posts (post, tag)",
    "DROP INDEX uq_post; CREATE UNIQUE INDEX uq_post ON tags_of_posts (post) WHERE post IS NOT NULL",
    rows="INSERT INTO tags_of_posts (post, tag) VALUES (1, 'a'), (2, 'a'), (3, NULL)")
GUARANTEED.control("key_renamed", "the column of the primary key gets another name, and stays unique",
    "CREATE TABLE parcels_sent (id serial PRIMARY KEY, note text)",
    """ALTER TABLE parcels_sent RENAME id TO old_id; ALTER TABLE parcels_sent ADD id uuid NOT NULL DEFAULT gen_random_uuid();
    ALTER TABLE parcels_sent DROP CONSTRAINT parcels_sent_pkey; ALTER TABLE parcels_sent ADD PRIMARY KEY (id); ALTER TABLE parcels_sent ADD CONSTRAINT uq_parcels UNIQUE (old_id)""",
    """ALTER TABLE parcels_sent DROP CONSTRAINT uq_parcels; ALTER TABLE parcels_sent DROP CONSTRAINT parcels_sent_pkey; ALTER TABLE parcels_sent DROP id;
    ALTER TABLE parcels_sent RENAME old_id TO id; ALTER TABLE parcels_sent ADD PRIMARY KEY (id)""",
    rows="INSERT INTO parcels_sent (note) VALUES ('a'), (NULL)")
GUARANTEED.control("check_divided", "one check becomes two, which demand no more together",
    "CREATE TABLE boxes_of_tea (id serial PRIMARY KEY, width int, height int, CONSTRAINT ck_sides CHECK (width > 0 AND height > 0))",
    "ALTER TABLE boxes_of_tea DROP CONSTRAINT ck_sides, ADD CONSTRAINT ck_width CHECK (width > 0), ADD CONSTRAINT ck_height CHECK (height > 0)",
    "ALTER TABLE boxes_of_tea DROP CONSTRAINT ck_width, DROP CONSTRAINT ck_height, ADD CONSTRAINT ck_sides CHECK (width > 0 AND height > 0)",
    rows="INSERT INTO boxes_of_tea (width, height) VALUES (1, 1), (NULL, 1), (NULL, NULL)")
GUARANTEED.control("checks_joined", "two checks and a NOT NULL column become one check",
    "CREATE TABLE crates (id serial PRIMARY KEY, width int NOT NULL CONSTRAINT ck_w CHECK (width > 0), height int CONSTRAINT ck_h CHECK (height > 0))",
    "ALTER TABLE crates DROP CONSTRAINT ck_w, DROP CONSTRAINT ck_h, ADD CONSTRAINT ck_both CHECK (width IS NOT NULL AND width > 0 AND height > 0)",
    "ALTER TABLE crates DROP CONSTRAINT ck_both, ADD CONSTRAINT ck_w CHECK (width > 0), ADD CONSTRAINT ck_h CHECK (height > 0)",
    rows="INSERT INTO crates (width, height) VALUES (1, 1), (2, NULL)")
GUARANTEED.control("conflicts_left_out", "what is there already is not inserted: by ON CONFLICT, and by NOT EXISTS",
    "CREATE TABLE old_words (id int PRIMARY KEY); CREATE TABLE more_words (id int PRIMARY KEY); CREATE TABLE known_words (id int PRIMARY KEY)",
    """CREATE TABLE words_before AS TABLE known_words;
    INSERT INTO known_words SELECT id FROM old_words ON CONFLICT DO NOTHING;
    INSERT INTO known_words SELECT id FROM more_words AS m WHERE NOT EXISTS (SELECT FROM known_words AS k WHERE k.id = m.id)""",
    "DELETE FROM known_words WHERE id NOT IN (SELECT id FROM words_before); DROP TABLE words_before",
    rows="INSERT INTO old_words VALUES (1), (2); INSERT INTO more_words VALUES (2), (3); INSERT INTO known_words VALUES (1)")
GUARANTEED.control("new_keys_made", "each inserted row gets a key of its own",
    "CREATE TABLE cats_seen (id serial PRIMARY KEY, name text); CREATE TABLE dogs_seen (id serial PRIMARY KEY, name text)",
    """CREATE TABLE pets_seen (id serial PRIMARY KEY, kind text, old_id int, name text);
    INSERT INTO pets_seen (kind, old_id, name) SELECT 'cat', id, name FROM cats_seen UNION ALL SELECT 'dog', id, name FROM dogs_seen""",
    "DROP TABLE pets_seen",
    rows="INSERT INTO cats_seen (name) VALUES ('a'); INSERT INTO dogs_seen (name) VALUES ('a')")

CHANGED = ConditionList()
"""What is asked of rows as statements leave them."""
CHANGED.ask("mail_in_lower_case", "an UPDATE makes keys equal that differed, under a constraint that stays",
    "CREATE TABLE users_by_mail (id serial PRIMARY KEY, email text UNIQUE)",
    "UPDATE users_by_mail SET email = lower(email)", "python:pass  # the letters of before are not known",
    good="INSERT INTO users_by_mail (email) VALUES ('a@x'), ('B@x')",
    bad=("INSERT INTO users_by_mail (email) VALUES ('a@x'), ('A@x'), ('b@x')", 2),
    nulls="INSERT INTO users_by_mail (email) VALUES (NULL), (NULL)", may_lose=True)
CHANGED.ask("unique_again_after_trimming", "the constraint is dropped meanwhile",
    "CREATE TABLE skus (id serial PRIMARY KEY, code text, CONSTRAINT uq_skus UNIQUE (code))",
    "ALTER TABLE skus DROP CONSTRAINT uq_skus; UPDATE skus SET code = btrim(code); ALTER TABLE skus ADD CONSTRAINT uq_skus UNIQUE (code)",
    "python:pass  # the spaces of before are not known",
    good="INSERT INTO skus (code) VALUES ('a'), (' b')", bad=("INSERT INTO skus (code) VALUES ('a'), (' a')", 2), may_lose=True)
CHANGED.ask("checked_again_after_an_update", "the same check as before, on other values",
    "CREATE TABLE levels_of_water (id serial PRIMARY KEY, level int CONSTRAINT ck_level CHECK (level > 0))",
    "UPDATE levels_of_water SET level = level - 1", "UPDATE levels_of_water SET level = level + 1",
    good="INSERT INTO levels_of_water (level) VALUES (2), (3)", bad=("INSERT INTO levels_of_water (level) VALUES (1), (3)", 1),
    nulls="INSERT INTO levels_of_water (level) VALUES (NULL)")
CHANGED.ask("tables_merged", "a UNION ALL into a new table, whose keys were those of two tables",
    "CREATE TABLE cars (id int PRIMARY KEY, name text); CREATE TABLE vans (id int PRIMARY KEY, name text)",
    """CREATE TABLE vehicles (id int PRIMARY KEY, kind text NOT NULL, name text);
    INSERT INTO vehicles SELECT id, 'car', name FROM cars UNION ALL SELECT id, 'van', name FROM vans; DROP TABLE cars; DROP TABLE vans""",
    """CREATE TABLE cars (id int PRIMARY KEY, name text); CREATE TABLE vans (id int PRIMARY KEY, name text);
    INSERT INTO cars SELECT id, name FROM vehicles WHERE kind = 'car'; INSERT INTO vans SELECT id, name FROM vehicles WHERE kind = 'van'; DROP TABLE vehicles""",
    good="INSERT INTO cars VALUES (1, 'a'); INSERT INTO vans VALUES (2, 'a')",
    bad=("INSERT INTO cars VALUES (1, 'a'), (3, 'a'); INSERT INTO vans VALUES (1, 'a'), (2, 'b')", 1),
    nulls="INSERT INTO cars VALUES (1, NULL); INSERT INTO vans VALUES (2, NULL)")
CHANGED.ask("two_inserts_into_one_table", "two statements, into a key of two columns",
    "CREATE TABLE likes (person int, post int, PRIMARY KEY (person, post)); CREATE TABLE hearts (person int, post int, PRIMARY KEY (person, post))",
    """CREATE TABLE votes (person int, post int, PRIMARY KEY (person, post));
    INSERT INTO votes SELECT person, post FROM likes; INSERT INTO votes (post, person) SELECT post, person FROM hearts""",
    "DROP TABLE votes",
    good="INSERT INTO likes VALUES (1, 1); INSERT INTO hearts VALUES (1, 2)",
    bad=("INSERT INTO likes VALUES (1, 1), (1, 2); INSERT INTO hearts VALUES (1, 1), (2, 1)", 1))
CHANGED.ask("rows_moved_into_a_table", "the other table has rows, and its key stays unique",
    "CREATE TABLE clients (id int PRIMARY KEY, name text NOT NULL); CREATE TABLE leads (id int PRIMARY KEY, name text NOT NULL)",
    "ALTER TABLE clients ADD is_lead bool NOT NULL DEFAULT false; INSERT INTO clients (id, name, is_lead) SELECT id, name, true FROM leads; DROP TABLE leads",
    """CREATE TABLE leads (id int PRIMARY KEY, name text NOT NULL); INSERT INTO leads SELECT id, name FROM clients WHERE is_lead;
    DELETE FROM clients WHERE is_lead; ALTER TABLE clients DROP is_lead""",
    good="INSERT INTO clients VALUES (1, 'a'); INSERT INTO leads VALUES (2, 'a')",
    bad=("INSERT INTO clients VALUES (1, 'a'); INSERT INTO leads VALUES (1, 'b'), (2, 'c')", 1))
CHANGED.ask("read_from_a_table_that_stays", "the table that is read is neither changed nor referred to",
    "CREATE TABLE notes_in_text (id serial PRIMARY KEY, amount text)",
    "CREATE TABLE amounts_noted (id int PRIMARY KEY, amount int); INSERT INTO amounts_noted SELECT id, amount::int FROM notes_in_text",
    "DROP TABLE amounts_noted",
    good="INSERT INTO notes_in_text (amount) VALUES ('1'), ('2')", bad=("INSERT INTO notes_in_text (amount) VALUES ('1'), ('one')", 1),
    nulls="INSERT INTO notes_in_text (amount) VALUES (NULL)")

CHANGED.ask("filled_in_a_renamed_table", "what the UPDATE fills is part of the query, also after a renaming",
    "CREATE TABLE bowls (id serial PRIMARY KEY, v text, k int NOT NULL)",
    "ALTER TABLE bowls RENAME TO dishes; UPDATE dishes SET v = 'x' WHERE v IS NULL AND k > 3; ALTER TABLE dishes ALTER v SET NOT NULL",
    "ALTER TABLE dishes ALTER v DROP NOT NULL; ALTER TABLE dishes RENAME TO bowls",
    good="INSERT INTO bowls (v, k) VALUES ('a', 1), (NULL, 5)", bad=("INSERT INTO bowls (v, k) VALUES (NULL, 1), (NULL, 5)", 1), may_lose=True)
CHANGED.ask("filled_under_the_new_name", "the same with the new name of the column",
    "CREATE TABLE spoons (id serial PRIMARY KEY, v text, k int NOT NULL)",
    "ALTER TABLE spoons RENAME v TO w; UPDATE spoons SET w = 'x' WHERE w IS NULL AND k > 3; ALTER TABLE spoons ALTER w SET NOT NULL",
    "ALTER TABLE spoons ALTER w DROP NOT NULL; ALTER TABLE spoons RENAME w TO v",
    good="INSERT INTO spoons (v, k) VALUES ('a', 1), (NULL, 5)", bad=("INSERT INTO spoons (v, k) VALUES (NULL, 1), (NULL, 5)", 1), may_lose=True)
CHANGED.ask("prices_with_fewer_digits", "another modifier of the type makes keys equal",
    "CREATE TABLE coins (id serial PRIMARY KEY, price numeric(10,4) UNIQUE)",
    "ALTER TABLE coins ALTER price TYPE numeric(10,2)", "ALTER TABLE coins ALTER price TYPE numeric(10,4)",
    good="INSERT INTO coins (price) VALUES (1.1), (1.2)", bad=("INSERT INTO coins (price) VALUES (1.101), (1.1), (2)", 2), nulls="INSERT INTO coins (price) VALUES (NULL), (NULL)", may_lose=True)
CHANGED.ask("moments_by_the_second", "two moments within a second",
    "CREATE TABLE ticks (id serial PRIMARY KEY, at timestamptz UNIQUE)",
    "ALTER TABLE ticks ALTER at TYPE timestamptz(0)", "ALTER TABLE ticks ALTER at TYPE timestamptz",
    good="INSERT INTO ticks (at) VALUES ('2024-01-01 00:00:00+00'), ('2024-01-01 00:00:01+00')",
    bad=("INSERT INTO ticks (at) VALUES ('2024-01-01 00:00:00+00'), ('2024-01-01 00:00:00.2+00')", 2), may_lose=True)
GUARANTEED.control("types_with_more_digits", "wider modifiers keep unique columns as they are",
    "CREATE TABLE gauges (id serial PRIMARY KEY, v numeric(10,2) UNIQUE, at timestamptz(0) UNIQUE, c varchar(20) UNIQUE)",
    "ALTER TABLE gauges ALTER v TYPE numeric(12,4), ALTER at TYPE timestamptz, ALTER c TYPE varchar(50)",
    "ALTER TABLE gauges ALTER v TYPE numeric(10,2), ALTER at TYPE timestamptz(0), ALTER c TYPE varchar(20)",
    rows="INSERT INTO gauges (v, at, c) VALUES (1.25, '2024-01-01', 'a'), (NULL, NULL, NULL)")

GROUPS = {"guaranteed": GUARANTEED, "changed": CHANGED}
