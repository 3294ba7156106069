"""Honest migrations in the shapes of the data faults: whatever rows their tables may have, all of them come back."""

from support.data_case import Step, control, python, table

KEPT = [
    control("bounces_kept", "the reason is kept in a column of the revision",
        "INSERT INTO subscribers (bounce_reason, bounces) VALUES ('mailbox-full', 1), ('greylisted', 2), ('unknown-user', 9), (NULL, 0)",
        table("subscribers", "bounce_reason varchar(40), bounces int NOT NULL DEFAULT 0"),
        Step("ALTER TABLE subscribers ADD bounce_before varchar(40); UPDATE subscribers SET bounce_before = bounce_reason, bounce_reason = NULL "
             "WHERE bounce_reason IN ('mailbox-full', 'greylisted') AND bounces <= 2",
             "UPDATE subscribers SET bounce_reason = bounce_before WHERE bounce_before IS NOT NULL; ALTER TABLE subscribers DROP bounce_before")),
    control("invitations_archived", "old invitations go to a table of the revision, with all columns, and come back",
        "INSERT INTO invitations (email, sent_at) VALUES ('a@example.org', now() - interval '1 year'), ('b@example.org', now())",
        table("invitations", "email text NOT NULL, sent_at timestamptz NOT NULL, accepted_at timestamptz"),
        Step("CREATE TABLE invitations_old (LIKE invitations); WITH moved AS (DELETE FROM invitations WHERE accepted_at IS NULL AND sent_at < now() - interval '90 days' RETURNING *) "
             "INSERT INTO invitations_old SELECT * FROM moved",
             "INSERT INTO invitations SELECT * FROM invitations_old; DROP TABLE invitations_old")),
    control("toggles_recorded", "a table has the state of before, by key",
        "INSERT INTO toggles (state, rollout) VALUES ('disabled', 50), ('beta', 0), ('off', 1), ('on', 100)",
        table("toggles", "state text NOT NULL CHECK (state IN ('on', 'beta', 'disabled', 'off')), rollout int NOT NULL CHECK (rollout BETWEEN 0 AND 100)"),
        Step("CREATE TABLE toggles_before AS SELECT id, state FROM toggles WHERE state = 'disabled' OR (state = 'beta' AND rollout = 0); "
             "UPDATE toggles SET state = 'off' FROM toggles_before AS b WHERE b.id = toggles.id",
             "UPDATE toggles SET state = b.state FROM toggles_before AS b WHERE b.id = toggles.id; DROP TABLE toggles_before")),
    control("devices_archived", "devices of two kinds of reason are archived, and come back",
        "INSERT INTO devices (id, os) VALUES (1, 'symbian'), (2, 'android'), (3, 'ios'); INSERT INTO pushes (device_id, error_code) VALUES (2, 410), (3, 200)",
        Step("CREATE TABLE devices (id int PRIMARY KEY, os text NOT NULL); CREATE TABLE pushes (device_id int NOT NULL, error_code int)",
             "DROP TABLE pushes; DROP TABLE devices"),
        Step("CREATE TABLE devices_gone AS SELECT * FROM devices WHERE os = 'symbian' UNION SELECT d.* FROM devices AS d JOIN pushes AS p ON p.device_id = d.id WHERE p.error_code = 410; "
             "DELETE FROM devices WHERE id IN (SELECT id FROM devices_gone)",
             "INSERT INTO devices SELECT * FROM devices_gone; DROP TABLE devices_gone")),
    control("archive_section_recorded", "which stories were in the section is recorded",
        "INSERT INTO sections VALUES (1, 'archive'), (2, 'news'); INSERT INTO stories (section_id) VALUES (1), (2), (NULL)",
        Step("CREATE TABLE sections (id int PRIMARY KEY, slug varchar(30) NOT NULL UNIQUE); CREATE TABLE stories (id serial PRIMARY KEY, section_id int REFERENCES sections)",
             "DROP TABLE stories; DROP TABLE sections"),
        Step("CREATE TABLE stories_detached AS SELECT t.id, t.section_id FROM stories AS t JOIN sections AS s ON s.id = t.section_id WHERE s.slug = 'archive'; "
             "UPDATE stories SET section_id = NULL WHERE id IN (SELECT id FROM stories_detached)",
             "UPDATE stories SET section_id = d.section_id FROM stories_detached AS d WHERE d.id = stories.id; DROP TABLE stories_detached")),
    control("doubles_archived", "doubles are archived before the unique index, and come back after it is dropped",
        "INSERT INTO votes (voter, poll, choice) VALUES (1, 1, 'a'), (1, 1, 'b'), (2, 1, 'a')",
        table("votes", "voter int NOT NULL, poll int NOT NULL, choice text"),
        Step("CREATE TABLE votes_double AS SELECT * FROM votes AS v WHERE EXISTS (SELECT FROM votes AS o WHERE o.voter = v.voter AND o.poll = v.poll AND o.id < v.id); "
             "DELETE FROM votes WHERE id IN (SELECT id FROM votes_double); CREATE UNIQUE INDEX ux_votes ON votes (voter, poll)",
             "DROP INDEX ux_votes; INSERT INTO votes SELECT * FROM votes_double; DROP TABLE votes_double")),
    control("limit_recorded", "the limits of before are recorded for the accounts with much turnover",
        "INSERT INTO accounts VALUES (1, 700), (2, 900); INSERT INTO postings (account_id, amount) VALUES (1, 15000), (1, 9000), (2, 10)",
        Step("CREATE TABLE accounts (id int PRIMARY KEY, credit_limit int); CREATE TABLE postings (id serial PRIMARY KEY, account_id int NOT NULL REFERENCES accounts, amount numeric(12, 2) NOT NULL)",
             "DROP TABLE postings; DROP TABLE accounts"),
        Step("CREATE TABLE limits_before AS SELECT id, credit_limit FROM accounts WHERE id IN (SELECT account_id FROM postings GROUP BY account_id HAVING sum(amount) > 20000); "
             "UPDATE accounts SET credit_limit = 5000 WHERE id IN (SELECT id FROM limits_before)",
             "UPDATE accounts SET credit_limit = b.credit_limit FROM limits_before AS b WHERE b.id = accounts.id; DROP TABLE limits_before")),
    control("preferences_kept", "the whole document of before is kept beside the new one",
        """INSERT INTO settings (prefs) VALUES ('{"theme": "auto"}'), ('{"theme": "dark"}'), ('{"theme": "system"}')""",
        table("settings", "prefs jsonb NOT NULL DEFAULT '{}'"),
        Step("""ALTER TABLE settings ADD prefs_before jsonb; UPDATE settings SET prefs_before = prefs, prefs = prefs || '{"theme": "system"}' WHERE prefs->>'theme' = 'auto'""",
             "UPDATE settings SET prefs = prefs_before WHERE prefs_before IS NOT NULL; ALTER TABLE settings DROP prefs_before")),
    control("months_archived", "a Core insert from a select archives rows that a row comparison finds",
        "INSERT INTO monthly_reports (year, month) VALUES (2019, 12), (2020, 6), (2020, 7)",
        table("monthly_reports", "year smallint NOT NULL, month smallint NOT NULL CHECK (month BETWEEN 1 AND 12)"),
        Step(python("""
            op.execute("CREATE TABLE monthly_reports_old (LIKE monthly_reports)")
            before = sa.tuple_(reports.c.year, reports.c.month) < sa.tuple_(2020, 7)
            op.execute(sa.insert(old).from_select(["id", "year", "month"], sa.select(reports).where(before)))
            op.execute(sa.delete(reports).where(before))
            """),
            python("""
            op.execute(sa.insert(reports).from_select(["id", "year", "month"], sa.select(old)))
            op.drop_table("monthly_reports_old")
            """),
            before="""
            reports, old = (
                sa.table(name, sa.column("id", sa.Integer), sa.column("year", sa.Integer), sa.column("month", sa.Integer))
                for name in ("monthly_reports", "monthly_reports_old")
            )
            """)),
    control("teams_with_memberships", "what the cascade deletes is archived, too",
        "INSERT INTO teams VALUES (1, 'Sandbox'), (2, 'Core'); INSERT INTO memberships VALUES (1, 5), (2, 5)",
        Step("CREATE TABLE teams (id int PRIMARY KEY, name text NOT NULL); CREATE TABLE memberships (team_id int REFERENCES teams ON DELETE CASCADE, person int, PRIMARY KEY (team_id, person))",
             "DROP TABLE memberships; DROP TABLE teams"),
        Step("CREATE TABLE teams_removed AS SELECT * FROM teams WHERE name = 'Sandbox'; CREATE TABLE memberships_removed AS SELECT m.* FROM memberships AS m JOIN teams_removed AS t ON t.id = m.team_id; "
             "DELETE FROM teams WHERE name = 'Sandbox'",
             "INSERT INTO teams SELECT * FROM teams_removed; INSERT INTO memberships SELECT * FROM memberships_removed; DROP TABLE memberships_removed; DROP TABLE teams_removed")),
    control("licences_with_their_keys", "archived licences come back with the keys that they had",
        "INSERT INTO licences (key, tier) VALUES ('k1', 'paid'), ('k2', 'trial'), ('k3', 'paid')",
        Step("CREATE TABLE licences (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL, tier text NOT NULL)", "DROP TABLE licences"),
        Step("CREATE TABLE licences_old AS SELECT id, key, tier FROM licences WHERE tier = 'trial'; DELETE FROM licences WHERE tier = 'trial'",
             "INSERT INTO licences (id, key, tier) OVERRIDING SYSTEM VALUE SELECT id, key, tier FROM licences_old; DROP TABLE licences_old")),
    control("options_added", "what ON CONFLICT DO NOTHING has really inserted is recorded, and only that is deleted",
        "INSERT INTO options VALUES ('smtp_port', '2525')",
        Step("CREATE TABLE options (key varchar(40) PRIMARY KEY, value text)", "DROP TABLE options"),
        Step("CREATE TABLE options_added (key varchar(40)); WITH added AS (INSERT INTO options (key, value) VALUES ('smtp_port', '587'), ('smtp_tls', 'on') ON CONFLICT (key) DO NOTHING RETURNING key) "
             "INSERT INTO options_added SELECT key FROM added",
             "DELETE FROM options WHERE key IN (SELECT key FROM options_added); DROP TABLE options_added")),
    control("zones_recorded", "the calendars without a zone are recorded before they get UTC",
        "INSERT INTO calendars (zone) VALUES (NULL), ('UTC'), ('Europe/Rome')",
        table("calendars", "zone varchar(40)"),
        Step("CREATE TABLE calendars_without_zone AS SELECT id FROM calendars WHERE zone IS NULL; UPDATE calendars SET zone = 'UTC' WHERE zone IS NULL; ALTER TABLE calendars ALTER zone SET NOT NULL",
             "ALTER TABLE calendars ALTER zone DROP NOT NULL; UPDATE calendars SET zone = NULL WHERE id IN (SELECT id FROM calendars_without_zone); DROP TABLE calendars_without_zone")),
    control("regions_recorded", "the region of before is in a column, and rows go back to their partition",
        "INSERT INTO shops VALUES (1, 'eu'), (2, 'mea'), (3, 'apac')",
        Step(
            "CREATE TABLE shops (id int PRIMARY KEY, region text NOT NULL, open boolean) ; CREATE TABLE shop_days (shop int NOT NULL, region text NOT NULL) PARTITION BY LIST (region); "
            "CREATE TABLE shop_days_west PARTITION OF shop_days FOR VALUES IN ('eu', 'mea'); CREATE TABLE shop_days_rest PARTITION OF shop_days DEFAULT",
            "DROP TABLE shop_days; DROP TABLE shops"),
        Step("ALTER TABLE shop_days ADD region_before text; UPDATE shop_days SET region_before = region, region = 'emea' WHERE region IN ('eu', 'mea'); "
             "ALTER TABLE shops ADD region_before text; UPDATE shops SET region_before = region, region = 'emea' WHERE region = 'eu' OR region = 'mea'",
             "UPDATE shops SET region = region_before WHERE region_before IS NOT NULL; ALTER TABLE shops DROP region_before; "
             "UPDATE shop_days SET region = region_before WHERE region_before IS NOT NULL; ALTER TABLE shop_days DROP region_before")),
    control("marked_then_archived", "offers that an older revision has marked are archived with the mark",
        "INSERT INTO offers (ends_on, is_obsolete) VALUES ('2018-12-31', true), ('2025-12-31', false)",
        table("offers", "ends_on date"),
        Step("ALTER TABLE offers ADD is_obsolete boolean NOT NULL DEFAULT false; UPDATE offers SET is_obsolete = true WHERE ends_on < '2020-01-01'",
             "ALTER TABLE offers DROP is_obsolete"),
        Step("CREATE TABLE offers_gone AS TABLE offers WITH NO DATA; INSERT INTO offers_gone SELECT * FROM offers WHERE is_obsolete; DELETE FROM offers WHERE is_obsolete",
             "INSERT INTO offers SELECT * FROM offers_gone; DROP TABLE offers_gone")),
    control("merged_with_a_log", "a function merges tags and writes a log, from which they come back",
        "INSERT INTO taggings (tag) VALUES ('colour'), ('color')",
        table("taggings", "tag varchar(30) NOT NULL"),
        Step("CREATE TABLE merged_tags (id int PRIMARY KEY, tag varchar(30) NOT NULL); CREATE FUNCTION merge_tags(kept text, gone text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN "
             "INSERT INTO merged_tags SELECT id, tag FROM taggings WHERE tag = gone; UPDATE taggings SET tag = kept WHERE tag = gone; END $$; "
             "SELECT merge_tags('color', 'colour')",
             "UPDATE taggings SET tag = m.tag FROM merged_tags AS m WHERE m.id = taggings.id; DROP FUNCTION merge_tags(text, text); DROP TABLE merged_tags")),
    control("loop_with_a_log", "a loop in Python writes the old value of each row that it changes",
        "INSERT INTO partners (country) VALUES ('UK'), ('GB-ENG'), ('GB'), ('FR'), (NULL)",
        table("partners", "country varchar(10)"),
        Step(python("""
            op.add_column("partners", sa.Column("country_before", sa.String(10)))
            bind = op.get_bind()
            for key, country in bind.execute(sa.text("SELECT id, country FROM partners ORDER BY id")).all():
                if country in ("UK", "GB-ENG", "England"):
                    bind.execute(sa.text("UPDATE partners SET country = 'GB', country_before = :old WHERE id = :id"), {"id": key, "old": country})
            """),
            "UPDATE partners SET country = country_before WHERE country_before IS NOT NULL; ALTER TABLE partners DROP country_before")),
]  # fmt: skip

ONE_TO_ONE = [
    control("sides_swapped", "two labels are swapped, in both directions by the same statement",
        "INSERT INTO seats (side) VALUES ('left'), ('right'), ('middle'), (NULL)",
        table("seats", "side varchar(10)"),
        Step("UPDATE seats SET side = CASE side WHEN 'left' THEN 'right' WHEN 'right' THEN 'left' END WHERE side IN ('left', 'right')",
             "UPDATE seats SET side = CASE side WHEN 'left' THEN 'right' WHEN 'right' THEN 'left' END WHERE side IN ('left', 'right')")),
    control("levels_one_to_one", "each arm has a result that no other one has, and a check says that there are no others",
        "INSERT INTO log_rules (level) VALUES ('warn'), ('inf'), ('err'), ('fatal')",
        table("log_rules", "level text NOT NULL CONSTRAINT ck_level CHECK (level IN ('inf', 'warn', 'err', 'fatal'))"),
        Step("ALTER TABLE log_rules DROP CONSTRAINT ck_level; UPDATE log_rules SET level = CASE level WHEN 'inf' THEN 'info' WHEN 'warn' THEN 'warning' WHEN 'err' THEN 'error' ELSE level END",
             "UPDATE log_rules SET level = CASE level WHEN 'info' THEN 'inf' WHEN 'warning' THEN 'warn' WHEN 'error' THEN 'err' ELSE level END; "
             "ALTER TABLE log_rules ADD CONSTRAINT ck_level CHECK (level IN ('inf', 'warn', 'err', 'fatal'))")),
    control("media_only", "a check says that all paths are below the old prefix, and later below the new one",
        "INSERT INTO assets (path) VALUES ('/static/a.png'), ('/static//media/b.png')",
        table("assets", "path text NOT NULL CONSTRAINT ck_path CHECK (path LIKE '/static/%')"),
        Step("ALTER TABLE assets DROP CONSTRAINT ck_path; UPDATE assets SET path = '/media/' || substr(path, 9) WHERE starts_with(path, '/static/'); "
             "ALTER TABLE assets ADD CONSTRAINT ck_path CHECK (path LIKE '/media/%')",
             "ALTER TABLE assets DROP CONSTRAINT ck_path; UPDATE assets SET path = '/static/' || substr(path, 8) WHERE starts_with(path, '/media/'); "
             "ALTER TABLE assets ADD CONSTRAINT ck_path CHECK (path LIKE '/static/%')")),
    control("postcodes_of_four_digits", "all postcodes have four digits, so the zero in front can be cut off again",
        "INSERT INTO depots (postcode) VALUES ('1067'), ('0312')",
        table("depots", "postcode varchar(5) NOT NULL CONSTRAINT ck_postcode CHECK (postcode ~ '^[0-9]{4}$')"),
        Step("ALTER TABLE depots DROP CONSTRAINT ck_postcode; UPDATE depots SET postcode = lpad(postcode, 5, '0') WHERE length(postcode) = 4",
             "UPDATE depots SET postcode = substr(postcode, 2) WHERE length(postcode) = 5; ALTER TABLE depots ADD CONSTRAINT ck_postcode CHECK (postcode ~ '^[0-9]{4}$')")),
    control("theme_by_check", "a check forbids the new name of the theme before",
        """INSERT INTO settings (prefs) VALUES ('{"theme": "auto", "x": 1}'), ('{"theme": "dark"}'), ('{}')""",
        table("settings", "prefs jsonb NOT NULL CONSTRAINT ck_theme CHECK (prefs->>'theme' IN ('auto', 'dark', 'light'))"),
        Step("""ALTER TABLE settings DROP CONSTRAINT ck_theme; UPDATE settings SET prefs = jsonb_set(prefs, '{theme}', '"system"') WHERE prefs->>'theme' = 'auto'""",
             """UPDATE settings SET prefs = jsonb_set(prefs, '{theme}', '"auto"') WHERE prefs->>'theme' = 'system'; """
             """ALTER TABLE settings ADD CONSTRAINT ck_theme CHECK (prefs->>'theme' IN ('auto', 'dark', 'light'))""")),
    control("default_queue", "a check says that no array has the element which is appended",
        "INSERT INTO workers (queues) VALUES ('{legacy,mail}'), ('{}')",
        table("workers", "queues text[] NOT NULL CONSTRAINT ck_queues CHECK (array_position(queues, 'default') IS NULL)"),
        Step("ALTER TABLE workers DROP CONSTRAINT ck_queues; UPDATE workers SET queues = array_append(queues, 'default')",
             "UPDATE workers SET queues = array_remove(queues, 'default'); ALTER TABLE workers ADD CONSTRAINT ck_queues CHECK (array_position(queues, 'default') IS NULL)")),
    control("label_renamed", "the label of the enum is renamed, which changes no row",
        "INSERT INTO campaigns (state) VALUES ('live'), ('paused')",
        Step("CREATE TYPE campaign_state AS ENUM ('draft', 'live', 'paused', 'ended'); CREATE TABLE campaigns (id serial PRIMARY KEY, state campaign_state NOT NULL)",
             "DROP TABLE campaigns; DROP TYPE campaign_state"),
        Step("ALTER TYPE campaign_state RENAME VALUE 'paused' TO 'halted'", "ALTER TYPE campaign_state RENAME VALUE 'halted' TO 'paused'")),
    control("consent_in_words", "three values of a boolean become two words and NULL",
        "INSERT INTO consents (granted) VALUES (true), (false), (NULL)",
        table("consents", "granted boolean"),
        Step("ALTER TABLE consents ALTER granted TYPE text USING CASE WHEN granted THEN 'yes' WHEN NOT granted THEN 'no' END",
             "ALTER TABLE consents ALTER granted TYPE boolean USING CASE granted WHEN 'yes' THEN true WHEN 'no' THEN false END")),
    control("kilograms_to_grams", "three digits after the point go into an integer and come back",
        "INSERT INTO parcels (weight_kg) VALUES (1.234), (0), (99999)",
        table("parcels", "weight_kg numeric(8, 3) NOT NULL CHECK (weight_kg BETWEEN 0 AND 99999)"),
        Step("ALTER TABLE parcels ADD weight_g int; UPDATE parcels SET weight_g = weight_kg * 1000; ALTER TABLE parcels ALTER weight_g SET NOT NULL; ALTER TABLE parcels DROP weight_kg",
             "ALTER TABLE parcels ADD weight_kg numeric(8, 3); UPDATE parcels SET weight_kg = weight_g / 1000.0; ALTER TABLE parcels ALTER weight_kg SET NOT NULL; "
             "ALTER TABLE parcels ADD CHECK (weight_kg BETWEEN 0 AND 99999); ALTER TABLE parcels DROP weight_g")),
    control("range_in_two_columns", "a range that is never empty goes into its two ends",
        "INSERT INTO stays (during) VALUES ('[2023-12-23,2023-12-27)'), ('[2024-02-01,)')",
        table("stays", "during daterange NOT NULL CONSTRAINT ck_during CHECK (NOT isempty(during) AND isfinite(lower(during)) AND isfinite(upper(during)))"),
        Step("ALTER TABLE stays ADD arrival date, ADD departure date; UPDATE stays SET arrival = lower(during), departure = upper(during); ALTER TABLE stays DROP during",
             "ALTER TABLE stays ADD during daterange; UPDATE stays SET during = daterange(arrival, departure); "
             "ALTER TABLE stays ALTER during SET NOT NULL, ADD CONSTRAINT ck_during CHECK (NOT isempty(during) AND isfinite(lower(during)) AND isfinite(upper(during))); ALTER TABLE stays DROP arrival, DROP departure")),
    control("airlines_of_a_check", "executemany over a map that is one to one on what the check allows",
        "INSERT INTO flights (airline) VALUES ('AB'), ('4U'), ('LH')",
        table("flights", "airline varchar(3) NOT NULL CONSTRAINT ck_airline CHECK (airline IN ('AB', '4U', 'LH'))"),
        Step(python("""
            op.drop_constraint("ck_airline", "flights")
            op.get_bind().execute(CHANGE, [{"old": old, "new": new} for old, new in AIRLINES.items()])
            """),
            python("""
            op.get_bind().execute(CHANGE, [{"old": new, "new": old} for old, new in AIRLINES.items()])
            op.create_check_constraint("ck_airline", "flights", "airline IN ('AB', '4U', 'LH')")
            """),
            before="""
            AIRLINES = {"AB": "BER", "4U": "GWI", "LH": "DLH"}
            CHANGE = sa.text("UPDATE flights SET airline = :new WHERE airline = :old")
            """)),
    control("sensors_by_the_driver", "the cursor of the DBAPI, over units that a check names",
        "INSERT INTO sensors (unit) VALUES ('°C'), ('hPa')",
        table("sensors", "unit varchar(8) NOT NULL CONSTRAINT ck_unit CHECK (unit IN ('°C', 'hPa'))"),
        Step(python("""
            with op.get_bind().connection.cursor() as cursor:
                cursor.execute("ALTER TABLE sensors DROP CONSTRAINT ck_unit")
                cursor.execute("UPDATE sensors SET unit = %s WHERE unit = %s", ("Cel", "°C"))
            """),
            python("""
            with op.get_bind().connection.cursor() as cursor:
                cursor.execute("UPDATE sensors SET unit = %s WHERE unit = %s", ("°C", "Cel"))
                cursor.execute("ALTER TABLE sensors ADD CONSTRAINT ck_unit CHECK (unit IN ('°C', 'hPa'))")
            """))),
    control("swapped_through_a_view", "the trigger of a view swaps two branches, in both directions",
        "INSERT INTO members (branch) VALUES ('North'), ('South'), ('West')",
        Step("CREATE TABLE members (id serial PRIMARY KEY, branch text NOT NULL); CREATE VIEW member_list AS SELECT id, branch FROM members; "
             "CREATE FUNCTION change_branch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE members SET branch = NEW.branch WHERE id = OLD.id; RETURN NEW; END $$; "
             "CREATE TRIGGER change_branch INSTEAD OF UPDATE ON member_list FOR EACH ROW EXECUTE FUNCTION change_branch()",
             "DROP VIEW member_list; DROP FUNCTION change_branch(); DROP TABLE members"),
        Step("UPDATE member_list SET branch = CASE branch WHEN 'North' THEN 'South' ELSE 'North' END WHERE branch IN ('North', 'South')",
             "UPDATE member_list SET branch = CASE branch WHEN 'North' THEN 'South' ELSE 'North' END WHERE branch IN ('North', 'South')")),
]  # fmt: skip

NEW_ONLY = [
    control("gold_in_a_new_column", "what EXISTS finds is written to a column of the revision",
        "INSERT INTO customers VALUES (1, 'silver'), (2, 'gold'); INSERT INTO sales (customer_id, total) VALUES (1, 25000), (2, 12000)",
        Step("CREATE TABLE customers (id int PRIMARY KEY, tier text); CREATE TABLE sales (id serial PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, total numeric(10, 2) NOT NULL)",
             "DROP TABLE sales; DROP TABLE customers"),
        Step("ALTER TABLE customers ADD is_gold boolean; UPDATE customers AS c SET is_gold = true WHERE EXISTS (SELECT FROM sales AS s WHERE s.customer_id = c.id AND s.total >= 10000)",
             "ALTER TABLE customers DROP is_gold")),
    control("rows_with_their_origin", "missing rows are inserted with a mark in a new column, and deleted by it",
        "INSERT INTO people VALUES (1), (2); INSERT INTO notices (person, kind) VALUES (1, 'welcome'), (1, 'bill')",
        Step("CREATE TABLE people (id int PRIMARY KEY); CREATE TABLE notices (id serial PRIMARY KEY, person int NOT NULL, kind text NOT NULL)", "DROP TABLE notices; DROP TABLE people"),
        Step("ALTER TABLE notices ADD origin text; INSERT INTO notices (person, kind, origin) SELECT id, 'welcome', 'backfill' FROM people AS p "
             "WHERE NOT EXISTS (SELECT FROM notices AS n WHERE n.person = p.id AND n.kind = 'welcome')",
             "DELETE FROM notices WHERE origin = 'backfill'; ALTER TABLE notices DROP origin")),
    control("depth_of_folders", "a recursive query fills the depth, from the roots down",
        "INSERT INTO folders VALUES (1, NULL, 'Trash'), (2, 1, 'old'), (3, NULL, 'Inbox')",
        Step("CREATE TABLE folders (id int PRIMARY KEY, parent_id int REFERENCES folders, name text NOT NULL)", "DROP TABLE folders"),
        Step("ALTER TABLE folders ADD depth int; WITH RECURSIVE tree (id, depth) AS (SELECT id, 0 FROM folders WHERE parent_id IS NULL UNION ALL "
             "SELECT f.id, t.depth + 1 FROM folders AS f JOIN tree AS t ON f.parent_id = t.id) UPDATE folders SET depth = t.depth FROM tree AS t WHERE t.id = folders.id",
             "ALTER TABLE folders DROP depth")),
    control("versions_marked", "row_number() marks versions, and nothing is deleted",
        "INSERT INTO document_versions (document, saved_at) SELECT 1, timestamp '2024-01-01' + n * interval '1 day' FROM generate_series(1, 5) AS n",
        table("document_versions", "document int NOT NULL, saved_at timestamp NOT NULL"),
        Step("ALTER TABLE document_versions ADD is_current boolean NOT NULL DEFAULT false; UPDATE document_versions AS v SET is_current = true FROM "
             "(SELECT id, row_number() OVER (PARTITION BY document ORDER BY saved_at DESC, id DESC) AS n FROM document_versions) AS d WHERE d.id = v.id AND d.n = 1",
             "ALTER TABLE document_versions DROP is_current")),
    control("batches_into_a_new_column", "a search column is filled in batches until none is empty",
        "INSERT INTO leaflets (title) SELECT 'Title ' || n FROM generate_series(1, 7) AS n",
        table("leaflets", "title text NOT NULL"),
        Step(python("""
            op.add_column("leaflets", sa.Column("search", sa.Text))
            statement = sa.text(
                "UPDATE leaflets SET search = lower(title) WHERE id IN (SELECT id FROM leaflets WHERE search IS NULL LIMIT :batch)"
            )
            while op.get_bind().execute(statement, {"batch": 3}).rowcount:
                pass
            """),
            'python:op.drop_column("leaflets", "search")')),
    control("pages_into_a_new_table", "pages by key are copied to a new table by bulk_insert",
        "INSERT INTO bulletins (format, body) SELECT CASE WHEN n % 2 = 0 THEN 'bbcode' ELSE 'plain' END, '[b]' || n || '[/b]' FROM generate_series(1, 5) AS n",
        table("bulletins", "format varchar(10) NOT NULL, body text NOT NULL"),
        Step(python("""
            html = op.create_table("bulletin_html", sa.Column("bulletin_id", sa.Integer, sa.ForeignKey("bulletins.id"), primary_key=True), sa.Column("html", sa.Text))
            bind, last = op.get_bind(), 0
            while page := bind.execute(PAGE, {"last": last, "size": 2}).all():
                op.bulk_insert(html, [{"bulletin_id": row.id, "html": row.body.replace("[b]", "<b>")} for row in page])
                last = page[-1].id
            """),
            'python:op.drop_table("bulletin_html")',
            before='PAGE = sa.text("SELECT id, body FROM bulletins WHERE id > :last AND format = \'bbcode\' ORDER BY id LIMIT :size")')),
    control("day_in_a_new_column", "the day of events for the whole day is written to a new column",
        "INSERT INTO events (kind, starts_at) VALUES ('all-day', '2024-05-01 09:30'), ('talk', '2024-05-01 09:30')",
        table("events", "kind varchar(10) NOT NULL, starts_at timestamp NOT NULL"),
        Step("ALTER TABLE events ADD day date; UPDATE events SET day = date_trunc('day', starts_at) WHERE kind = 'all-day'", "ALTER TABLE events DROP day")),
    control("temporary_keys", "a temporary table has the keys of rows whose new column is filled",
        "INSERT INTO logins (verified, last_seen) VALUES (false, '2019-01-01'), (true, '2019-01-01')",
        table("logins", "verified boolean NOT NULL, last_seen date NOT NULL"),
        Step("ALTER TABLE logins ADD expires_on date; CREATE TEMPORARY TABLE idle ON COMMIT DROP AS SELECT id FROM logins WHERE NOT verified AND last_seen < '2020-01-01'; "
             "UPDATE logins SET expires_on = last_seen + 3650 FROM idle WHERE idle.id = logins.id AND last_seen > '1990-01-01'; DROP TABLE idle",
             "ALTER TABLE logins DROP expires_on")),
    control("children_with_a_new_column", "the new column of the parent is filled in the child, too, and dropped in both",
        "INSERT INTO vehicles VALUES (1, 'B-AB 12'); INSERT INTO trucks VALUES (2, 'M-XY 99', 3)",
        Step("CREATE TABLE vehicles (id int PRIMARY KEY, plate text NOT NULL); CREATE TABLE trucks (axles int) INHERITS (vehicles)",
             "DROP TABLE trucks; DROP TABLE vehicles"),
        Step("ALTER TABLE vehicles ADD plate_letters text; UPDATE vehicles SET plate_letters = split_part(plate, '-', 1) WHERE plate ~ '^[A-Z]{1,3}-'",
             "ALTER TABLE vehicles DROP plate_letters")),
    control("log_of_a_trigger", "a new trigger writes to a new table when all rows are touched",
        "INSERT INTO wallets (currency) VALUES ('eur'), ('EUR')",
        table("wallets", "currency varchar(3) NOT NULL"),
        Step("CREATE TABLE wallet_changes (wallet int, currency varchar(3)); CREATE FUNCTION log_wallet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
             "INSERT INTO wallet_changes VALUES (NEW.id, NEW.currency); RETURN NEW; END $$; "
             "CREATE TRIGGER log_wallet AFTER UPDATE ON wallets FOR EACH ROW WHEN (NEW.currency IN ('eur', 'usd')) EXECUTE FUNCTION log_wallet(); UPDATE wallets SET id = id",
             "DROP TRIGGER log_wallet ON wallets; DROP FUNCTION log_wallet(); DROP TABLE wallet_changes")),
    control("merge_into_a_new_table", "MERGE counts into a table of the revision",
        "INSERT INTO inventory VALUES ('A1', 0), ('B2', 5)",
        Step("CREATE TABLE inventory (sku varchar(8) PRIMARY KEY, quantity int NOT NULL)", "DROP TABLE inventory"),
        Step("CREATE TABLE low_stock (sku varchar(8) PRIMARY KEY); MERGE INTO low_stock AS l USING (SELECT sku, quantity FROM inventory WHERE quantity < 3) AS i ON i.sku = l.sku "
             "WHEN NOT MATCHED AND i.quantity = 0 THEN INSERT VALUES (i.sku) WHEN MATCHED THEN DELETE", "DROP TABLE low_stock"), server=15),
    control("do_block_into_a_new_column", "a DO block fills a new column of suppliers in a loop",
        "INSERT INTO companies (kind, fax) VALUES ('supplier', '030 1'), ('supplier', NULL), ('shop', '030 2')",
        table("companies", "kind text NOT NULL, fax varchar(20)"),
        Step("ALTER TABLE companies ADD note text; DO $$ DECLARE r record; BEGIN FOR r IN SELECT id, fax FROM companies WHERE kind = 'supplier' AND fax IS NOT NULL LOOP "
             "UPDATE companies SET note = 'fax ' || r.fax WHERE id = r.id; END LOOP; END $$",
             "ALTER TABLE companies DROP note")),
    control("session_into_a_new_column", "a Session sets a new column of the pets of the deceased",
        "INSERT INTO owners VALUES (1, 'deceased'), (2, 'active'); INSERT INTO pets (owner_id) VALUES (1), (2)",
        Step("CREATE TABLE owners (id int PRIMARY KEY, state text NOT NULL); CREATE TABLE pets (id serial PRIMARY KEY, owner_id int NOT NULL REFERENCES owners)",
             "DROP TABLE pets; DROP TABLE owners"),
        Step(python("""
            op.add_column("pets", sa.Column("needs_home", sa.Boolean))
            with orm.Session(op.get_bind()) as session:
                for pet in session.scalars(sa.select(Pet).join(Owner, Owner.id == Pet.owner_id).where(Owner.state == "deceased")):
                    pet.needs_home = True
                session.flush()
            """),
            'python:op.drop_column("pets", "needs_home")',
            before="""
            from sqlalchemy import orm

            Base = orm.declarative_base()


            class Owner(Base):
                __tablename__ = "owners"
                id = sa.Column(sa.Integer, primary_key=True)
                state = sa.Column(sa.Text)


            class Pet(Base):
                __tablename__ = "pets"
                id = sa.Column(sa.Integer, primary_key=True)
                owner_id = sa.Column(sa.ForeignKey("owners.id"))
                needs_home = sa.Column(sa.Boolean)
            """)),
    control("quoted_new_column", "a new column of a table whose names need quotes",
        """INSERT INTO "Order Lines" ("Unit of Sale") VALUES ('Stk.'), ('pcs')""",
        Step("""CREATE TABLE "Order Lines" ("Id" serial PRIMARY KEY, "Unit of Sale" varchar(10) NOT NULL)""", 'DROP TABLE "Order Lines"'),
        Step("""ALTER TABLE "Order Lines" ADD "Unit (en)" text; UPDATE "Order Lines" SET "Unit (en)" = 'pcs' WHERE "Unit of Sale" IN ('Stk.', 'pcs')""",
             """ALTER TABLE "Order Lines" DROP "Unit (en)" """)),
    control("schema_with_a_new_table", "what is overdue in a schema is copied to another one, which is dropped",
        "INSERT INTO billing.dunning (level, paid) VALUES (3, 'no'), (1, 'no')",
        Step("CREATE SCHEMA billing; CREATE TABLE billing.dunning (id serial PRIMARY KEY, level int NOT NULL, paid text NOT NULL)",
             "DROP TABLE billing.dunning; DROP SCHEMA billing"),
        Step("CREATE SCHEMA legal; CREATE TABLE legal.claims AS SELECT id AS dunning_id FROM billing.dunning WHERE level = 3 AND paid = 'no'; UPDATE billing.dunning SET level = level WHERE level > 2",
             "DROP TABLE legal.claims; DROP SCHEMA legal")),
]  # fmt: skip

GROUPS = {"kept": KEPT, "one to one": ONE_TO_ONE, "new only": NEW_ONLY}
