"""Data faults in migrations that are programs: loops in Python and plpgsql, batches, constructs of SQLAlchemy, several steps."""

from support.data_case import Step, fault, python, table

CONSTRUCTS = [
    fault("core_case", "sa.case() turns two grades into one", "reviews.grade",
        "INSERT INTO reviews (grade) VALUES ('good'), ('fine'), ('bad')",
        table("reviews", "grade varchar(10) NOT NULL"),
        Step(python("""
            reviews = sa.table("reviews", sa.column("grade", sa.String))
            grade = sa.case((reviews.c.grade == "good", "positive"), (reviews.c.grade == "fine", "positive"), else_=reviews.c.grade)
            op.get_bind().execute(sa.update(reviews).values(grade=grade))
            """),
            "UPDATE reviews SET grade = 'good' WHERE grade = 'positive'")),
    fault("core_delete_by_select", "a Core delete with a subquery of two tables", "enrolments: ",
        "INSERT INTO courses VALUES (1, 'withdrawn'), (2, 'open'); INSERT INTO enrolments (course_id, paid) VALUES (1, false), (1, true), (2, false)",
        Step("CREATE TABLE courses (id int PRIMARY KEY, state text NOT NULL); CREATE TABLE enrolments (id serial PRIMARY KEY, course_id int NOT NULL REFERENCES courses, paid boolean NOT NULL)",
             "DROP TABLE enrolments; DROP TABLE courses"),
        Step(python("""
            courses = sa.table("courses", sa.column("id"), sa.column("state"))
            enrolments = sa.table("enrolments", sa.column("course_id"), sa.column("paid"))
            withdrawn = sa.select(courses.c.id).where(courses.c.state == "withdrawn")
            op.execute(enrolments.delete().where(enrolments.c.course_id.in_(withdrawn), enrolments.c.paid.is_(False)))
            """))),
    fault("core_between_dates", "a Core update with dates as parameters", "absences.reason",
        "INSERT INTO absences (reason, day) VALUES ('flu', '2020-04-02'), ('flu', '2021-04-02')",
        table("absences", "reason text, day date NOT NULL"),
        Step(python("""
            absences = sa.table("absences", sa.column("reason", sa.Text), sa.column("day", sa.Date))
            lockdown = absences.c.day.between(date(2020, 3, 22), date(2020, 5, 4))
            op.get_bind().execute(sa.update(absences).where(lockdown).values(reason="lockdown"))
            """),
            before="from datetime import date")),
    fault("text_with_parameters", "sa.text with bound parameters; the downgrade also changes the accounts that were 'closed' before", "patrons.standing",
        "INSERT INTO patrons (standing, fines) VALUES ('barred', 120), ('closed', 120), ('barred', 3)",
        table("patrons", "standing varchar(12) NOT NULL, fines numeric(8, 2) NOT NULL"),
        Step(python("""
            bind = op.get_bind()
            bind.execute(CHANGE, {"old": "barred", "new": "closed", "least": 100})
            """),
            python("""
            bind = op.get_bind()
            bind.execute(CHANGE, {"old": "closed", "new": "barred", "least": 100})
            """),
            before='CHANGE = sa.text("UPDATE patrons SET standing = :new WHERE standing = :old AND fines >= :least")')),
    fault("executemany_of_a_map", "executemany over a tuple of pairs, two of which have the same target", "flights.airline",
        "INSERT INTO flights (airline) VALUES ('AB'), ('4U'), ('LH')",
        table("flights", "airline varchar(3) NOT NULL"),
        Step(python("""
            op.get_bind().execute(
                sa.text("UPDATE flights SET airline = :new WHERE airline = :old"), [{"old": old, "new": new} for old, new in AIRLINES]
            )
            """),
            python("""
            op.get_bind().execute(
                sa.text("UPDATE flights SET airline = :old WHERE airline = :new"), [{"old": old, "new": new} for old, new in AIRLINES]
            )
            """),
            before='AIRLINES = (("AB", "EW"), ("4U", "EW"), ("TF", "BR"))')),
    fault("cursor_of_the_driver", "the cursor of the DBAPI: °C becomes C, and where it was C already the downgrade makes °C", "sensors.unit",
        "INSERT INTO sensors (unit) VALUES ('°C'), ('C'), ('hPa')",
        table("sensors", "unit varchar(8) NOT NULL"),
        Step(python("""
            with op.get_bind().connection.cursor() as cursor:
                cursor.execute("UPDATE sensors SET unit = %s WHERE unit = %s", ("C", "°C"))
            """),
            python("""
            with op.get_bind().connection.cursor() as cursor:
                cursor.execute("UPDATE sensors SET unit = %s WHERE unit = %s", ("°C", "C"))
            """))),
    fault("orm_by_relationship", "a Session goes from owners to pets and forgets the chip numbers of the deceased", "pets.chip",
        "INSERT INTO owners VALUES (1, 'deceased'), (2, 'active'); INSERT INTO pets (owner_id, chip) VALUES (1, '276'), (2, '277')",
        Step("CREATE TABLE owners (id int PRIMARY KEY, state text NOT NULL); CREATE TABLE pets (id serial PRIMARY KEY, owner_id int NOT NULL REFERENCES owners, chip text)",
             "DROP TABLE pets; DROP TABLE owners"),
        Step(python("""
            with orm.Session(op.get_bind()) as session:
                for owner in session.scalars(sa.select(Owner).filter_by(state="deceased")):
                    for pet in owner.pets:
                        pet.chip = None
                session.commit()
            """),
            before="""
            from sqlalchemy import orm

            Base = orm.declarative_base()


            class Owner(Base):
                __tablename__ = "owners"
                id = sa.Column(sa.Integer, primary_key=True)
                state = sa.Column(sa.Text)
                pets = orm.relationship("Pet")


            class Pet(Base):
                __tablename__ = "pets"
                id = sa.Column(sa.Integer, primary_key=True)
                owner_id = sa.Column(sa.ForeignKey("owners.id"))
                chip = sa.Column(sa.Text)
            """)),
]  # fmt: skip

LOOPS = [
    fault("branch_in_a_loop", "one branch of the loop forgets the old kind", "rooms.kind",
        "INSERT INTO rooms (kind, beds) VALUES ('double', 1), ('suite', 4), ('single', 1)",
        table("rooms", "kind varchar(20) NOT NULL, beds int NOT NULL CHECK (beds BETWEEN 1 AND 4)"),
        Step(python("""
            bind = op.get_bind()
            for room in bind.execute(sa.text("SELECT id, kind, beds FROM rooms")).mappings().all():
                if room["kind"] == "double" and room["beds"] == 1:
                    bind.execute(sa.text("UPDATE rooms SET kind = 'single' WHERE id = :id"), {"id": room["id"]})
                elif room["kind"] == "suite":
                    bind.execute(sa.text("UPDATE rooms SET kind = 'premium' WHERE id = :id"), {"id": room["id"]})
            """),
            "UPDATE rooms SET kind = 'suite' WHERE kind = 'premium'")),
    fault("in_tuple_of_python", "two spellings of a code are replaced in Python", "partners.country",
        "INSERT INTO partners (country) VALUES ('UK'), ('GB-ENG'), ('FR')",
        table("partners", "country varchar(10)"),
        Step(python("""
            bind = op.get_bind()
            for key, country in bind.execute(sa.text("SELECT id, country FROM partners ORDER BY id")):
                if country in ("UK", "GB-ENG", "England"):
                    bind.execute(sa.text("UPDATE partners SET country = 'GB' WHERE id = :id"), {"id": key})
            """))),
    fault("https_by_prefix", "the downgrade makes http of every link, also of those that were https before", "bookmarks.url",
        "INSERT INTO bookmarks (url) VALUES ('http://example.org'), ('https://example.net')",
        table("bookmarks", "url text NOT NULL"),
        Step(python("""
            bind = op.get_bind()
            rows = bind.execute(sa.text("SELECT id, url FROM bookmarks")).all()
            for row in rows:
                if row.url.startswith("http://"):
                    bind.execute(sa.text("UPDATE bookmarks SET url = :url WHERE id = :id"), {"id": row.id, "url": "https://" + row.url[7:]})
            """),
            python("""
            bind = op.get_bind()
            rows = bind.execute(sa.text("SELECT id, url FROM bookmarks")).all()
            for row in rows:
                if row.url.startswith("https://"):
                    bind.execute(sa.text("UPDATE bookmarks SET url = :url WHERE id = :id"), {"id": row.id, "url": "http://" + row.url[8:]})
            """))),
    fault("match_statement", "a match over the kind; the last arm but one deletes", "ledger: ",
        "INSERT INTO ledger (kind, amount) VALUES ('credit', 5), ('void', 7), ('debit', 9)",
        table("ledger", "kind text NOT NULL, amount int NOT NULL"),
        Step(python("""
            bind = op.get_bind()
            for key, kind in bind.execute(sa.text("SELECT id, kind FROM ledger")).all():
                match kind:
                    case "credit" | "debit":
                        continue
                    case "void" | "reversed":
                        bind.execute(sa.text("DELETE FROM ledger WHERE id = :id"), {"id": key})
                    case _:
                        print("kept", key)
            """))),
    fault("nested_lines_in_python", "units in a JSON array are renamed in Python; the downgrade renames those that were 'piece' before, too", "baskets.content",
        """INSERT INTO baskets (content) VALUES ('{"lines": [{"unit": "pcs"}, {"unit": "kg"}]}'), ('{"lines": [{"unit": "piece"}]}')""",
        table("baskets", "content jsonb NOT NULL"),
        Step('python:rename_unit("pcs", "piece")', 'python:rename_unit("piece", "pcs")', before="""
            from sqlalchemy.dialects.postgresql import JSONB

            baskets = sa.table("baskets", sa.column("id", sa.Integer), sa.column("content", JSONB))


            def rename_unit(old, new):
                bind = op.get_bind()
                for key, content in bind.execute(sa.select(baskets.c.id, baskets.c.content)).all():
                    if not isinstance(content, dict) or not isinstance(content.get("lines"), list):
                        continue
                    changed = False
                    for line in content["lines"]:
                        if isinstance(line, dict) and line.get("unit") == old:
                            line["unit"] = new
                            changed = True
                    if changed:
                        bind.execute(baskets.update().where(baskets.c.id == key).values(content=content))
            """)),
    fault("helper_with_a_branch", "a function of a helper module makes NULL of three placeholders", "suppliers.phone",
        "INSERT INTO suppliers (phone) VALUES ('unknown'), ('tbd'), ('+49 30 1'), (NULL)",
        table("suppliers", "phone varchar(30)"),
        Step(python("""
            bind = op.get_bind()
            for row in bind.execute(sa.text("SELECT id, phone FROM suppliers")).all():
                cleaned = clean(row.phone)
                if cleaned != row.phone:
                    bind.execute(sa.text("UPDATE suppliers SET phone = :phone WHERE id = :id"), {"id": row.id, "phone": cleaned})
            """),
            before="from helper_with_a_branch_helper import clean"),
        helper='''
        """Cleaning of values that people have typed."""

        PLACEHOLDERS = frozenset({"unknown", "tbd", "n.a."})


        def clean(value):
            """Return the value, or None for a placeholder."""
            return None if value is not None and value.lower() in PLACEHOLDERS else value
        '''),
    fault("regular_expression_in_python", "a compiled pattern finds old order numbers; their year is cut off", "orders.number",
        "INSERT INTO orders (number) VALUES ('2019-000123'), ('A-7')",
        table("orders", "number varchar(30) NOT NULL"),
        Step(python("""
            bind = op.get_bind()
            for row in bind.execute(sa.text("SELECT id, number FROM orders")).all():
                if found := OLD.fullmatch(row.number):
                    bind.execute(sa.text("UPDATE orders SET number = :number WHERE id = :id"), {"id": row.id, "number": found["running"]})
            """),
            before='import re\n\nOLD = re.compile(r"(?P<year>20[01]\\d)-(?P<running>\\d{6})")')),
    fault("batches_with_limit", "old logins are deleted in batches until none is left", "audit_log: ",
        "INSERT INTO audit_log (action, at) SELECT 'login', '2020-01-01' FROM generate_series(1, 7); INSERT INTO audit_log (action, at) VALUES ('payment', '2020-01-01')",
        table("audit_log", "action text NOT NULL, at timestamptz NOT NULL"),
        Step(python("""
            bind = op.get_bind()
            statement = sa.text(
                "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE action = 'login' AND at < '2022-01-01' LIMIT :batch)"
            )
            while bind.execute(statement, {"batch": 3}).rowcount:
                pass
            """))),
    fault("batches_by_key", "markup is rewritten in pages by key; the downgrade is empty", "bulletins.body",
        "INSERT INTO bulletins (format, body) SELECT 'bbcode', '[b]' || n || '[/b]' FROM generate_series(1, 5) AS n",
        table("bulletins", "format varchar(10) NOT NULL, body text NOT NULL"),
        Step(python("""
            bind, last = op.get_bind(), 0
            while page := bind.execute(PAGE, {"last": last, "size": 2}).all():
                for row in page:
                    body = row.body.replace("[b]", "**").replace("[/b]", "**")
                    bind.execute(sa.text("UPDATE bulletins SET body = :body WHERE id = :id"), {"id": row.id, "body": body})
                last = page[-1].id
            """),
            before='PAGE = sa.text("SELECT id, body FROM bulletins WHERE id > :last AND format = \'bbcode\' ORDER BY id LIMIT :size")')),
    fault("grouped_in_python", "itertools.groupby finds the doubles, and all but the newest are deleted", "registrations: ",
        "INSERT INTO registrations (mail, at) VALUES ('a@x', '2024-01-01'), ('A@x', '2024-02-01'), ('b@x', '2024-01-01')",
        table("registrations", "mail text NOT NULL, at date NOT NULL"),
        Step(python("""
            bind = op.get_bind()
            rows = bind.execute(sa.text("SELECT id, lower(mail) AS mail FROM registrations ORDER BY 2, at DESC, id")).all()
            for _, group in itertools.groupby(rows, key=lambda row: row.mail):
                doubles = [row.id for row in group][1:]
                if doubles:
                    bind.execute(sa.text("DELETE FROM registrations WHERE id = ANY (:ids)"), {"ids": doubles})
            """),
            before="import itertools")),
]  # fmt: skip

IN_THE_SERVER = [
    fault("do_block_with_a_loop", "a DO block moves fax numbers to the notes of companies, and overwrites those", "companies.note|companies.fax",
        "INSERT INTO companies (kind, fax, note) VALUES ('supplier', '030 1', 'pays late'), ('supplier', NULL, 'x')",
        table("companies", "kind text NOT NULL, fax varchar(20), note text"),
        Step("DO $$ DECLARE r record; BEGIN FOR r IN SELECT id, fax FROM companies WHERE kind = 'supplier' AND fax IS NOT NULL LOOP "
             "UPDATE companies SET note = 'fax ' || r.fax, fax = NULL WHERE id = r.id; END LOOP; END $$")),
    fault("function_that_merges", "a function that the revision makes and calls merges one tag into another", "taggings.tag",
        "INSERT INTO taggings (tag) VALUES ('colour'), ('color')",
        table("taggings", "tag varchar(30) NOT NULL"),
        Step("CREATE FUNCTION merge_tags(kept text, gone text) RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN "
             "UPDATE taggings SET tag = kept WHERE tag = gone; GET DIAGNOSTICS n = ROW_COUNT; RETURN n; END $$; "
             "SELECT merge_tags('color', 'colour'); DROP FUNCTION merge_tags(text, text)")),
    fault("function_of_an_older_revision", "a function of an older revision is called with a limit", "sessions: ",
        "INSERT INTO sessions (device, idle) VALUES ('kiosk', '40 days'), ('phone', '40 days')",
        table("sessions", "device text NOT NULL, idle interval NOT NULL"),
        Step("CREATE FUNCTION end_sessions(kind text, longest interval) RETURNS void LANGUAGE plpgsql AS $$ BEGIN "
             "IF kind = 'kiosk' THEN DELETE FROM sessions WHERE device = kind AND idle > longest; END IF; END $$",
             "DROP FUNCTION end_sessions(text, interval)"),
        Step("SELECT end_sessions('kiosk', interval '30 days')")),
    fault("trigger_normalises", "a new trigger, fired for all rows, writes currencies of three letters in capitals", "wallets.currency",
        "INSERT INTO wallets (currency) VALUES ('eur'), ('EUR')",
        table("wallets", "currency varchar(3) NOT NULL"),
        Step("CREATE FUNCTION upper_currency() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.currency := upper(NEW.currency); RETURN NEW; END $$; "
             "CREATE TRIGGER upper_currency BEFORE INSERT OR UPDATE ON wallets FOR EACH ROW WHEN (NEW.currency IN ('eur', 'usd', 'chf')) EXECUTE FUNCTION upper_currency(); "
             "UPDATE wallets SET id = id",
             "DROP TRIGGER upper_currency ON wallets; DROP FUNCTION upper_currency()")),
    fault("merge_statement", "MERGE deletes what has no stock any more, and raises the rest", "inventory: |inventory.quantity",
        "INSERT INTO inventory VALUES ('A1', 0), ('B2', 5)",
        Step("CREATE TABLE inventory (sku varchar(8) PRIMARY KEY, quantity int NOT NULL)", "DROP TABLE inventory"),
        Step("MERGE INTO inventory AS i USING (VALUES ('A1', 0), ('B2', 3)) AS n (sku, quantity) ON n.sku = i.sku "
             "WHEN MATCHED AND n.quantity = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET quantity = i.quantity + n.quantity"), server=15),
    fault("on_conflict_overwrites", "a setting that exists already is overwritten, and deleted by the downgrade", "options: |options.value",
        "INSERT INTO options VALUES ('smtp_port', '2525')",
        Step("CREATE TABLE options (key varchar(40) PRIMARY KEY, value text)", "DROP TABLE options"),
        Step("INSERT INTO options (key, value) VALUES ('smtp_port', '587'), ('smtp_tls', 'on') ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value",
             "DELETE FROM options WHERE key IN ('smtp_port', 'smtp_tls')")),
    fault("moved_by_a_cte", "done tasks go to an archive that has no column for the day; the downgrade brings them back without it", "tasks.closed_on",
        "INSERT INTO tasks (title, closed_on, state) VALUES ('a', '2020-02-01', 'done'), ('b', NULL, 'open')",
        table("tasks", "title text NOT NULL, closed_on date, state text NOT NULL"),
        Step("CREATE TABLE tasks_archive (id int PRIMARY KEY, title text NOT NULL); WITH moved AS (DELETE FROM tasks WHERE state = 'done' AND closed_on < '2021-01-01' RETURNING id, title) "
             "INSERT INTO tasks_archive SELECT id, title FROM moved",
             "INSERT INTO tasks (id, title, state) SELECT id, title, 'done' FROM tasks_archive; DROP TABLE tasks_archive")),
]  # fmt: skip

SEVERAL_STEPS = [
    fault("temporary_table_of_ids", "a temporary table has the keys of accounts that are then deleted", "logins: ",
        "INSERT INTO logins (verified, last_seen) VALUES (false, '2019-01-01'), (true, '2019-01-01')",
        table("logins", "verified boolean NOT NULL, last_seen date NOT NULL"),
        Step("CREATE TEMPORARY TABLE doomed ON COMMIT DROP AS SELECT id FROM logins WHERE NOT verified AND last_seen < '2020-01-01'; "
             "DELETE FROM logins USING doomed WHERE doomed.id = logins.id; DROP TABLE doomed")),
    fault("marked_one_revision_before", "one revision marks old offers as obsolete, the next one deletes those that are marked", "offers: ",
        "INSERT INTO offers (ends_on, is_obsolete) VALUES ('2018-12-31', true), ('2025-12-31', false)",
        table("offers", "ends_on date"),
        Step("ALTER TABLE offers ADD is_obsolete boolean NOT NULL DEFAULT false; UPDATE offers SET is_obsolete = true WHERE ends_on < '2020-01-01'",
             "ALTER TABLE offers DROP is_obsolete"),
        Step("DELETE FROM offers WHERE is_obsolete AND ends_on IS NOT NULL")),
    fault("mapped_by_a_new_column", "a column takes the new code before the old one is dropped; two types share a code", "invoices.type",
        "INSERT INTO invoices (type) VALUES ('proforma'), ('draft'), ('final')",
        table("invoices", "type text NOT NULL CHECK (type IN ('draft', 'proforma', 'final'))"),
        Step("ALTER TABLE invoices ADD type_code smallint; UPDATE invoices SET type_code = 1 WHERE type = 'draft' OR type = 'proforma'; UPDATE invoices SET type_code = 2 WHERE type_code IS NULL; "
             "ALTER TABLE invoices DROP type",
             "ALTER TABLE invoices ADD type text; UPDATE invoices SET type = CASE type_code WHEN 1 THEN 'draft' ELSE 'final' END; "
             "ALTER TABLE invoices ALTER type SET NOT NULL, ADD CONSTRAINT invoices_type_check CHECK (type IN ('draft', 'proforma', 'final')); ALTER TABLE invoices DROP type_code")),
]  # fmt: skip

GROUPS = {"constructs": CONSTRUCTS, "loops": LOOPS, "in the server": IN_THE_SERVER, "several steps": SEVERAL_STEPS}
