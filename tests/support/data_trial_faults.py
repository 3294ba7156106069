"""Data faults of many trades, each with a condition on its rows.

Written without knowledge of the code that plants rows, to try it.
"""

from support.data_case import CaseList, Step, python, table

CASES = CaseList()
f, c = CASES.fault, CASES.control

f(
    "berths",
    "tier swapped by a cross-column condition, no way back",
    "berths.tier",
    "INSERT INTO berths (length_m, beam_m, tier) VALUES (18.5, 6.5, 'std'), (5, 2, 'std')",
    table("berths", "length_m numeric(5,2) NOT NULL, beam_m numeric(4,2) NOT NULL, tier text NOT NULL"),
    Step(
        "UPDATE berths SET tier = 'wide' WHERE beam_m * 3 >= length_m AND length_m > 15 AND tier <> 'wide'",
        "python:pass",
    ),
)

f(
    "loans",
    "overdue loans closed through a join with the copy's branch code",
    "loans.state",
    "INSERT INTO branches VALUES ('NORTH-2', true); INSERT INTO copies VALUES (1, 'NORTH-2'); INSERT INTO loans VALUES (1, 1, 'out', '2015-01-01')",
    Step(
        "CREATE TABLE branches (code text PRIMARY KEY, closed boolean NOT NULL); CREATE TABLE copies (id int PRIMARY KEY, branch text NOT NULL REFERENCES branches); CREATE TABLE loans (id int PRIMARY KEY, copy_id int NOT NULL REFERENCES copies, state text NOT NULL, due date NOT NULL)",
        "DROP TABLE loans; DROP TABLE copies; DROP TABLE branches",
    ),
    Step(
        "UPDATE loans SET state = 'lost' FROM copies c JOIN branches b ON b.code = c.branch WHERE c.id = loans.copy_id AND b.closed AND b.code LIKE 'NORTH-%' AND loans.state = 'out' AND loans.due < DATE '2018-07-01'",
        "python:pass",
    ),
)

f(
    "dosages",
    "units converted with truncation for mcg only",
    "dosages.amount|dosages.unit",
    "INSERT INTO dosages (drug, amount, unit) VALUES ('x', 1234, 'mcg'), ('y', 1, 'mg')",
    table("dosages", "drug text NOT NULL, amount int NOT NULL, unit text NOT NULL CHECK (unit IN ('mg', 'mcg', 'g'))"),
    Step(
        "UPDATE dosages SET amount = amount / 1000, unit = 'mg' WHERE unit = 'mcg' AND amount >= 1000",
        "UPDATE dosages SET amount = amount * 1000, unit = 'mcg' WHERE unit = 'mg' AND amount < 10",
    ),
)

f(
    "meters",
    "core update with bind params and in_",
    "meters.phase",
    "INSERT INTO meters (serial, phase, kind) VALUES ('A', 3, 'EHZ-21')",
    table("meters", "serial text NOT NULL, phase int, kind varchar(12) NOT NULL"),
    Step(
        python("""
    m = sa.table("meters", sa.column("phase"), sa.column("kind"))
    stmt = m.update().where(sa.and_(m.c.kind.in_(["EHZ-21", "EHZ-22"]), m.c.phase == sa.bindparam("old"))).values(phase=sa.bindparam("new"))
    for old, new in ((1, 10), (2, 20), (3, 10)):
        op.get_bind().execute(stmt, {"old": old, "new": new})
  """),
        python("""
    m = sa.table("meters", sa.column("phase"), sa.column("kind"))
    for old, new in ((10, 1), (20, 2)):
        op.execute(m.update().where(m.c.phase == old).where(m.c.kind.in_(["EHZ-21", "EHZ-22"])).values(phase=new))
  """),
    ),
)

f(
    "fleet",
    "ORM loop with branches by attribute: the odd branch drops the plate's suffix",
    "vehicles.plate",
    "INSERT INTO vehicles (plate, class_) VALUES ('HH-AB 123H', 'vintage'), ('HH-AB 1', 'van')",
    table("vehicles", "plate text NOT NULL, class_ text NOT NULL"),
    Step(
        python("""
    session = Session(bind=op.get_bind())
    for v in session.query(Vehicle).order_by(Vehicle.id):
        if v.class_ == "vintage" and v.plate.endswith("H"):
            v.plate = v.plate[:-1]
        elif v.class_ == "trailer":
            v.class_ = "trl"
    session.flush()
  """),
        python("""
    op.execute("UPDATE vehicles SET class_ = 'trailer' WHERE class_ = 'trl'")
  """),
        before="""
  from sqlalchemy.orm import Session, declarative_base
  Base = declarative_base()
  class Vehicle(Base):
      __tablename__ = "vehicles"
      id = sa.Column(sa.Integer, primary_key=True)
      plate = sa.Column(sa.Text)
      class_ = sa.Column(sa.Text)
  """,
    ),
)

f(
    "quakes",
    "DO block with ELSIF that rounds magnitudes",
    "quakes.magnitude",
    "INSERT INTO quakes (magnitude, agency) VALUES (5.47, 'usgs'), (4.1, 'emsc')",
    table("quakes", "magnitude numeric(4,2) NOT NULL, agency text NOT NULL"),
    Step(
        """DO $$
DECLARE q record;
BEGIN
  FOR q IN SELECT * FROM quakes LOOP
    IF q.agency = 'jma' THEN
      UPDATE quakes SET agency = 'JMA' WHERE id = q.id;
    ELSIF q.agency = 'usgs' AND q.magnitude > 5 THEN
      UPDATE quakes SET magnitude = round(q.magnitude, 1) WHERE id = q.id;
    END IF;
  END LOOP;
END $$""",
        "UPDATE quakes SET agency = 'jma' WHERE agency = 'JMA'",
    ),
)

f(
    "silos",
    "CTE with DELETE RETURNING into an archive that the downgrade drops",
    "silo_readings",
    "INSERT INTO silo_readings (silo, kg, at) VALUES ('S1', 10, '2011-05-05')",
    table("silo_readings", "silo text NOT NULL, kg int NOT NULL, at timestamptz NOT NULL"),
    Step(
        "CREATE TABLE silo_archive (LIKE silo_readings); WITH gone AS (DELETE FROM silo_readings WHERE at < timestamptz '2012-01-01 00-00' RETURNING *) INSERT INTO silo_archive SELECT * FROM gone".replace(
            "00-00", ""
        ),
        "DROP TABLE silo_archive",
    ),
)

f(
    "chess",
    "HAVING count: players with more than three forfeits lose them",
    "forfeits",
    "INSERT INTO forfeits (player, round) SELECT 'p', g FROM generate_series(1, 5) g",
    table("forfeits", "player text NOT NULL, round int NOT NULL"),
    Step(
        "DELETE FROM forfeits WHERE round = 1 AND player IN (SELECT player FROM forfeits GROUP BY player HAVING count(*) > 3)",
        "python:pass",
    ),
)

f(
    "sensors_json",
    "nested JSON path with value comparison",
    "stations.config",
    """INSERT INTO stations (config) VALUES ('{"radio": {"band": 868, "mode": "lora"}}')""",
    table("stations", "config jsonb NOT NULL"),
    Step(
        "UPDATE stations SET config = jsonb_set(config, '{radio,band}', '915') WHERE config #>> '{radio,mode}' = 'lora' AND (config -> 'radio' ->> 'band')\\:\\:int = 868".replace(
            "\\\\", "\\"
        ),
        "python:pass",
    ),
)

f(
    "crews",
    "array containment: removes a badge",
    "crews.badges",
    "INSERT INTO crews (name, badges) VALUES ('a', ARRAY['diver', 'medic'])",
    table("crews", "name text NOT NULL, badges text[] NOT NULL DEFAULT '{}'"),
    Step(
        "UPDATE crews SET badges = array_remove(badges, 'medic') WHERE badges @> ARRAY['diver', 'medic']", "python:pass"
    ),
)

f(
    "rentals",
    "range that overlaps a season is clipped",
    "rentals.during",
    "INSERT INTO rentals (during) VALUES ('[2020-12-20,2021-01-10)')",
    table("rentals", "during daterange NOT NULL"),
    Step(
        "UPDATE rentals SET during = during * daterange('2021-01-01', '2022-01-01') WHERE during && daterange('2021-01-01', '2022-01-01') AND NOT during <@ daterange('2021-01-01', '2022-01-01')",
        "python:pass",
    ),
)

f(
    "isbns",
    "regex: hyphens removed of what looks like an ISBN-13",
    "editions.isbn",
    "INSERT INTO editions (isbn) VALUES ('978-3-16-148410-0')",
    table("editions", "isbn text NOT NULL"),
    Step(r"UPDATE editions SET isbn = replace(isbn, '-', '') WHERE isbn ~ '^97[89](-[0-9]+){4}$'", "python:pass"),
)

f(
    "managers",
    "self join: employees whose boss is in another site get the boss's site",
    "staff.site",
    "INSERT INTO staff VALUES (1, NULL, 'OSL'), (2, 1, 'BGO')",
    Step(
        "CREATE TABLE staff (id int PRIMARY KEY, boss_id int REFERENCES staff, site text NOT NULL)", "DROP TABLE staff"
    ),
    Step(
        "UPDATE staff SET site = b.site FROM staff b WHERE b.id = staff.boss_id AND b.site = 'OSL' AND staff.site <> b.site",
        "python:pass",
    ),
)

f(
    "beds",
    "window: only the newest open stay per bed is kept open",
    "stays.left_on",
    "INSERT INTO stays (bed, came, left_on) VALUES ('b', '2020-01-01', NULL), ('b', '2020-02-01', NULL)",
    table("stays", "bed text NOT NULL, came date NOT NULL, left_on date"),
    Step(
        "UPDATE stays SET left_on = came FROM (SELECT id, rank() OVER (PARTITION BY bed ORDER BY came DESC, id DESC) AS r FROM stays WHERE left_on IS NULL) w WHERE w.id = stays.id AND w.r > 1",
        "python:pass",
    ),
)

f(
    "distincton",
    "DISTINCT ON keeps one row in the new table, the old one is dropped",
    "readings",
    "INSERT INTO readings (probe, v) VALUES ('p', 1), ('p', 2)",
    table("readings", "probe text NOT NULL, v int NOT NULL"),
    Step(
        "CREATE TABLE latest AS SELECT DISTINCT ON (probe) * FROM readings ORDER BY probe, id DESC; DROP TABLE readings",
        "CREATE TABLE readings (id serial PRIMARY KEY, probe text NOT NULL, v int NOT NULL); INSERT INTO readings (id, probe, v) SELECT id, probe, v FROM latest; DROP TABLE latest",
    ),
)

f(
    "orphans",
    "NOT EXISTS: exhibits without loan papers are purged",
    "exhibits",
    "INSERT INTO exhibits VALUES (1, 'loan'), (2, 'own')",
    Step(
        "CREATE TABLE exhibits (id int PRIMARY KEY, origin text NOT NULL); CREATE TABLE papers (id int PRIMARY KEY, exhibit_id int NOT NULL REFERENCES exhibits ON DELETE CASCADE, signed boolean NOT NULL)",
        "DROP TABLE papers; DROP TABLE exhibits",
    ),
    Step(
        "DELETE FROM exhibits e WHERE e.origin = 'loan' AND NOT EXISTS (SELECT 1 FROM papers p WHERE p.exhibit_id = e.id AND p.signed)",
        "python:pass",
    ),
)

f(
    "enum_collapse",
    "two labels of an enum become one",
    "cargo.hazard",
    "INSERT INTO cargo (hazard) VALUES ('toxic'), ('corrosive'), ('none')",
    Step(
        "CREATE TYPE hazard AS ENUM ('none', 'toxic', 'corrosive', 'flammable'); CREATE TABLE cargo (id serial PRIMARY KEY, hazard hazard NOT NULL)",
        "DROP TABLE cargo; DROP TYPE hazard",
    ),
    Step(
        "CREATE TYPE hazard2 AS ENUM ('none', 'harmful', 'flammable'); ALTER TABLE cargo ALTER hazard TYPE hazard2 USING (CASE WHEN hazard IN ('toxic', 'corrosive') THEN 'harmful'::hazard2 ELSE hazard::text::hazard2 END); DROP TYPE hazard".replace(
            "::", "\\:\\:"
        ),
        "CREATE TYPE hazard AS ENUM ('none', 'toxic', 'corrosive', 'flammable'); ALTER TABLE cargo ALTER hazard TYPE hazard USING (CASE hazard WHEN 'harmful' THEN 'toxic' ELSE CAST(hazard AS text) END)\\:\\:hazard; DROP TYPE hazard2",
    ),
)

f(
    "partitioned",
    "rows of one partition only are changed",
    "calls_2021|calls_2022|calls.tariff|calls",
    "INSERT INTO calls VALUES (1, '2022-03-01', 'roam', 5)",
    Step(
        "CREATE TABLE calls (id int, on_ date NOT NULL, tariff text NOT NULL, secs int NOT NULL, PRIMARY KEY (id, on_)) PARTITION BY RANGE (on_); CREATE TABLE calls_2021 PARTITION OF calls FOR VALUES FROM ('2021-01-01') TO ('2022-01-01'); CREATE TABLE calls_2022 PARTITION OF calls FOR VALUES FROM ('2022-01-01') TO ('2023-01-01')",
        "DROP TABLE calls",
    ),
    Step("UPDATE calls SET tariff = 'eu' WHERE tariff = 'roam' AND on_ >= '2022-01-01'", "python:pass"),
)

f(
    "schemas",
    "another schema and quoted names",
    "Dossier",
    """INSERT INTO "Klinik"."Dossier" ("Nr", "Diagnose Code") VALUES (1, 'J45')""",
    Step(
        """CREATE SCHEMA "Klinik"; CREATE TABLE "Klinik"."Dossier" ("Nr" int PRIMARY KEY, "Diagnose Code" varchar(8))""",
        """DROP TABLE "Klinik"."Dossier"; DROP SCHEMA "Klinik" """,
    ),
    Step(
        """UPDATE "Klinik"."Dossier" SET "Diagnose Code" = 'J45.9' WHERE "Diagnose Code" = 'J45'""",
        """UPDATE "Klinik"."Dossier" SET "Diagnose Code" = NULL WHERE "Diagnose Code" = 'J45.9'""",
    ),
)

f(
    "onconflict",
    "ON CONFLICT DO UPDATE overwrites a setting that exists",
    "toggles.on_",
    "INSERT INTO toggles VALUES ('dark_mode', false)",
    Step("CREATE TABLE toggles (key text PRIMARY KEY, on_ boolean NOT NULL)", "DROP TABLE toggles"),
    Step(
        "INSERT INTO toggles (key, on_) VALUES ('dark_mode', true) ON CONFLICT (key) DO UPDATE SET on_ = EXCLUDED.on_",
        "DELETE FROM toggles WHERE key = 'never_there'",
    ),
)

f(
    "tz_slots",
    "wall clock shifted to UTC only for one city; the way back shifts all",
    "slots.at",
    "INSERT INTO slots (city, at) VALUES ('Lima', '2022-01-01 10:00'), ('Bogota', '2022-01-01 10:00')",
    table("slots", "city text NOT NULL, at timestamp NOT NULL"),
    Step(
        "UPDATE slots SET at = at + interval '5 hours' WHERE city = 'Lima'",
        "UPDATE slots SET at = at - interval '5 hours' WHERE city IN ('Lima', 'Bogota')",
    ),
)

f(
    "renamed_first",
    "column renamed in the same revision, then updated under the new name",
    "lockers.",
    "INSERT INTO lockers (sz) VALUES ('XS'), ('M')",
    table("lockers", "sz text NOT NULL"),
    Step(
        python("""
    op.alter_column("lockers", "sz", new_column_name="size")
    op.execute("UPDATE lockers SET size = 'S' WHERE size = 'XS'")
  """),
        python("""
    op.alter_column("lockers", "size", new_column_name="sz")
  """),
    ),
)

f(
    "premiums",
    "bulk executemany via a computed list: two old bands map to one",
    "policies.band",
    "INSERT INTO policies (band, age) VALUES ('B1', 30), ('B2', 40)",
    table("policies", "band char(2) NOT NULL, age int"),
    Step(
        python("""
    bind = op.get_bind()
    rows = [{"o": f"B{i}", "n": f"C{(i + 1) // 2}"} for i in range(1, 5)]
    bind.execute(sa.text("UPDATE policies SET band = :n WHERE band = :o"), rows)
  """),
        python("""
    bind = op.get_bind()
    bind.execute(sa.text("UPDATE policies SET band = :o WHERE band = :n"), [{"n": "C1", "o": "B1"}, {"n": "C2", "o": "B3"}])
  """),
    ),
)

f(
    "sims",
    "select ids first, then delete by id list in Python",
    "sims",
    "INSERT INTO sims (iccid, active, used_on) VALUES ('8949000000000000001', false, NULL), ('1', true, NULL)",
    table("sims", "iccid varchar(20) NOT NULL, active boolean NOT NULL, used_on date"),
    Step(
        python("""
    bind = op.get_bind()
    ids = [r.id for r in bind.execute(sa.text("SELECT id, iccid, active FROM sims WHERE used_on IS NULL")) if not r.active and r.iccid.startswith("8949")]
    if ids:
        bind.execute(sa.text("DELETE FROM sims WHERE id = ANY(:ids)"), {"ids": ids})
  """)
    ),
)

f(
    "galaxy",
    "Python dict lookup by row value with .get default",
    "galaxies.kind",
    "INSERT INTO galaxies (kind) VALUES ('Sb'), ('weird')",
    table("galaxies", "kind text NOT NULL"),
    Step(
        python("""
    t = sa.table("galaxies", sa.column("id"), sa.column("kind"))
    for gid, kind in op.get_bind().execute(sa.select(t.c.id, t.c.kind)).fetchall():
        new = HUBBLE.get(kind, kind)
        if new != kind:
            op.execute(t.update().where(t.c.id == gid).values(kind=new))
  """),
        before="HUBBLE = {'Sa': 'spiral', 'Sb': 'spiral', 'E0': 'elliptical'}",
    ),
)

f(
    "match_case",
    "match statement over a tuple of two columns",
    "valves.state",
    "INSERT INTO valves (maker, state) VALUES ('Krohne', 7)",
    table("valves", "maker text NOT NULL, state int NOT NULL"),
    Step(
        python("""
    bind = op.get_bind()
    for vid, maker, state in bind.execute(sa.text("SELECT id, maker, state FROM valves")).all():
        match (maker, state):
            case ("Krohne", 7):
                bind.execute(sa.text("UPDATE valves SET state = 0 WHERE id = :i"), {"i": vid})
            case _:
                continue
  """)
    ),
)

f(
    "slug_fn",
    "plpgsql function created, called, dropped: folds accents of some slugs",
    "wines.slug",
    "INSERT INTO wines (slug, vintage) VALUES ('chateau_d''yquem', 1999)",
    table("wines", "slug text NOT NULL, vintage int NOT NULL"),
    Step(
        python("""
    op.execute(\"\"\"CREATE FUNCTION fix_slug(s text) RETURNS text LANGUAGE plpgsql AS $f$
    BEGIN
      IF position('_' in s) > 0 AND s LIKE 'chateau%' THEN RETURN translate(s, '_''', '--'); END IF;
      RETURN s;
    END $f$\"\"\")
    op.execute("UPDATE wines SET slug = fix_slug(slug) WHERE vintage < 2000")
    op.execute("DROP FUNCTION fix_slug(text)")
  """)
    ),
)

f(
    "union_src",
    "INSERT … SELECT UNION of two tables, sources dropped",
    "old_donors|new_donors",
    "INSERT INTO old_donors VALUES (1, 'ann'); INSERT INTO new_donors VALUES (1, 'ann')",
    Step(
        "CREATE TABLE old_donors (id int PRIMARY KEY, name text); CREATE TABLE new_donors (id int PRIMARY KEY, name text)",
        "DROP TABLE new_donors; DROP TABLE old_donors",
    ),
    Step(
        "CREATE TABLE donors (origin text, id int, name text); INSERT INTO donors SELECT 'old', id, name FROM old_donors UNION ALL SELECT 'new', id, name FROM new_donors WHERE name NOT IN (SELECT name FROM old_donors WHERE name IS NOT NULL); DROP TABLE old_donors; DROP TABLE new_donors",
        "CREATE TABLE old_donors (id int PRIMARY KEY, name text); CREATE TABLE new_donors (id int PRIMARY KEY, name text); INSERT INTO old_donors SELECT id, name FROM donors WHERE origin = 'old'; INSERT INTO new_donors SELECT id, name FROM donors WHERE origin = 'new'; DROP TABLE donors",
    ),
)

f(
    "uniq_user",
    "case folding under a UNIQUE constraint on the email column: fails for two spellings",
    "unique|duplicate|pilots.login",
    "INSERT INTO pilots (login) VALUES ('Ann'), ('ann')",
    table("pilots", "login text NOT NULL UNIQUE"),
    Step("UPDATE pilots SET login = lower(login) WHERE login <> lower(login)", "python:pass"),
    fails=True,
)

f(
    "notnull",
    "NOT NULL set with a filler that the way back takes for NULL",
    "catches.species",
    "INSERT INTO catches (species, kg) VALUES (NULL, 3), ('unknown', 4)",
    table("catches", "species text, kg int"),
    Step(
        "UPDATE catches SET species = 'unknown' WHERE species IS NULL; ALTER TABLE catches ALTER species SET NOT NULL",
        "ALTER TABLE catches ALTER species DROP NOT NULL; UPDATE catches SET species = NULL WHERE species = 'unknown'",
    ),
)

f(
    "two_step",
    "swap by a temporary value that exists already",
    "turbines.mode",
    "INSERT INTO turbines (mode) VALUES ('idle'), ('run'), ('tmp')",
    table("turbines", "mode text NOT NULL"),
    Step(
        "UPDATE turbines SET mode = 'tmp' WHERE mode = 'idle'; UPDATE turbines SET mode = 'idle' WHERE mode = 'run'; UPDATE turbines SET mode = 'run' WHERE mode = 'tmp'",
        "UPDATE turbines SET mode = 'tmp' WHERE mode = 'idle'; UPDATE turbines SET mode = 'idle' WHERE mode = 'run'; UPDATE turbines SET mode = 'run' WHERE mode = 'tmp'",
    ),
)

f(
    "trunc",
    "varchar shortened with USING left()",
    "plaques.text_",
    "INSERT INTO plaques (text_) VALUES (repeat('x', 40))",
    table("plaques", "text_ varchar(60) NOT NULL"),
    Step(
        "ALTER TABLE plaques ALTER text_ TYPE varchar(30) USING left(text_, 30)",
        "ALTER TABLE plaques ALTER text_ TYPE varchar(60)",
    ),
)

f(
    "merge15",
    "MERGE with two WHEN branches",
    "stocks",
    "INSERT INTO stocks VALUES ('A', 5); INSERT INTO counts VALUES ('A', 0)",
    Step(
        "CREATE TABLE stocks (sku text PRIMARY KEY, qty int NOT NULL); CREATE TABLE counts (sku text PRIMARY KEY, qty int NOT NULL CHECK (qty >= 0))",
        "DROP TABLE counts; DROP TABLE stocks",
    ),
    Step(
        "MERGE INTO stocks s USING counts c ON c.sku = s.sku WHEN MATCHED AND c.qty = 0 THEN DELETE WHEN MATCHED AND c.qty <> s.qty THEN UPDATE SET qty = c.qty",
        "python:pass",
    ),
    server=15,
)

f(
    "rowcmp",
    "row comparison of year and month",
    "ledgers.open",
    "INSERT INTO ledgers (y, m, open) VALUES (2019, 3, true), (2022, 1, true)",
    table("ledgers", "y int NOT NULL, m int NOT NULL CHECK (m BETWEEN 1 AND 12), open boolean NOT NULL"),
    Step("UPDATE ledgers SET open = false WHERE (y, m) < (2019, 4) AND open", "python:pass"),
)

f(
    "genkey",
    "condition on a generated column",
    "pallets.label",
    "INSERT INTO pallets (w, d, label) VALUES (120, 80, 'EUR')",
    table("pallets", "w int NOT NULL, d int NOT NULL, area int GENERATED ALWAYS AS (w * d) STORED, label text"),
    Step(
        "UPDATE pallets SET label = 'EPAL' WHERE area = 9600 AND label = 'EUR'",
        "UPDATE pallets SET label = NULL WHERE label = 'EPAL'",
    ),
)

f(
    "viewupd",
    "update through a view with its own condition",
    "grants.phase",
    "INSERT INTO grants (phase, eur) VALUES ('draft', 60000)",
    Step(
        "CREATE TABLE grants (id serial PRIMARY KEY, phase text NOT NULL, eur int NOT NULL); CREATE VIEW big_grants AS SELECT id, phase FROM grants WHERE eur > 50000",
        "DROP VIEW big_grants; DROP TABLE grants",
    ),
    Step("UPDATE big_grants SET phase = 'review' WHERE phase = 'draft'", "python:pass"),
)

f(
    "down_loses",
    "only the downgrade loses: it folds a new label into an old one with a row that had it",
    "hives.strain",
    "INSERT INTO hives (strain) VALUES ('carnica'), ('buckfast')",
    table("hives", "strain text NOT NULL"),
    Step(
        "ALTER TABLE hives ADD COLUMN checked boolean NOT NULL DEFAULT false",
        "UPDATE hives SET strain = 'mixed' WHERE strain IN ('buckfast', 'ligustica'); ALTER TABLE hives DROP COLUMN checked",
    ),
)

f(
    "dates_rel",
    "older than ten years relative to today, deleted",
    "donations",
    "INSERT INTO donations (at, cents) VALUES (now() - interval '12 years', 100)",
    table("donations", "at timestamptz NOT NULL, cents bigint NOT NULL, keep boolean NOT NULL DEFAULT false"),
    Step(
        "DELETE FROM donations WHERE date_trunc('year', at) < date_trunc('year', now() - interval '10 years') AND NOT keep",
        "python:pass",
    ),
)

f(
    "compfk",
    "composite foreign key, update parents with cascade to a case folded code",
    "aisles|bins",
    "INSERT INTO aisles VALUES ('w1', 'A'); INSERT INTO bins VALUES (1, 'w1', 'A')",
    Step(
        "CREATE TABLE aisles (wh text, aisle text, PRIMARY KEY (wh, aisle)); CREATE TABLE bins (id int PRIMARY KEY, wh text NOT NULL, aisle text NOT NULL, FOREIGN KEY (wh, aisle) REFERENCES aisles ON UPDATE CASCADE)",
        "DROP TABLE bins; DROP TABLE aisles",
    ),
    Step("UPDATE aisles SET wh = upper(wh) WHERE wh LIKE 'w_'", "python:pass"),
)

f(
    "lookup_merge",
    "lookup rows merged: duplicates by trimmed name, references repointed",
    "skippers|boats",
    "INSERT INTO skippers VALUES (1, 'Bo'), (2, ' Bo'); INSERT INTO boats VALUES (1, 1), (2, 2)",
    Step(
        "CREATE TABLE skippers (id int PRIMARY KEY, name text NOT NULL); CREATE TABLE boats (id int PRIMARY KEY, skipper_id int NOT NULL REFERENCES skippers)",
        "DROP TABLE boats; DROP TABLE skippers",
    ),
    Step(
        """WITH m AS (SELECT id, min(id) OVER (PARTITION BY btrim(name)) AS keep FROM skippers) UPDATE boats SET skipper_id = m.keep FROM m WHERE m.id = skipper_id AND m.keep <> m.id; DELETE FROM skippers s WHERE EXISTS (SELECT 1 FROM skippers t WHERE btrim(t.name) = btrim(s.name) AND t.id < s.id)""",
        "python:pass",
    ),
)

f(
    "xorcase",
    "CASE with several columns in one WHEN",
    "orbits.class_",
    "INSERT INTO orbits (a_au, e, class_) VALUES (1.2, 0.3, 'NEO')",
    table(
        "orbits", "a_au numeric(6,3) NOT NULL, e numeric(4,3) NOT NULL CHECK (e >= 0 AND e < 1), class_ text NOT NULL"
    ),
    Step(
        "UPDATE orbits SET class_ = CASE WHEN a_au > 1 AND a_au * (1 - e) < 1.017 THEN 'Apollo' WHEN a_au < 1 THEN 'Aten' ELSE class_ END WHERE class_ = 'NEO'",
        "UPDATE orbits SET class_ = 'NEO' WHERE class_ = 'Aten'",
    ),
)

f(
    "batch_del",
    "keyset batch loop deleting a kind of row",
    "pings",
    "INSERT INTO pings (host, ms) SELECT 'h', -1 FROM generate_series(1, 7)",
    table("pings", "host text NOT NULL, ms int NOT NULL"),
    Step(
        python("""
    bind = op.get_bind()
    last = 0
    while True:
        ids = bind.execute(sa.text("SELECT id FROM pings WHERE id > :last AND ms < 0 ORDER BY id LIMIT 3"), {"last": last}).scalars().all()
        if not ids:
            break
        bind.execute(sa.text("DELETE FROM pings WHERE id IN :ids").bindparams(sa.bindparam("ids", expanding=True)), {"ids": ids})
        last = ids[-1]
  """)
    ),
)

f(
    "helper_json",
    "helper module walks JSON documents in Python and drops a key",
    "forms.doc",
    """INSERT INTO forms (doc) VALUES ('{"fields": [{"type": "captcha", "id": 1}]}')""",
    table("forms", "doc jsonb NOT NULL"),
    Step(
        python("""
    rewrite(op.get_bind(), "forms", drop_captcha)
  """),
        before="from helper_json_helper import rewrite, drop_captcha",
    ),
    helper="""
  import json
  import sqlalchemy as sa

  def drop_captcha(doc):
      fields = doc.get("fields") if isinstance(doc, dict) else None
      if isinstance(fields, list):
          doc["fields"] = [each for each in fields if not (isinstance(each, dict) and each.get("type") == "captcha")]
      return doc

  def rewrite(bind, table, change):
      for key, doc in bind.execute(sa.text(f"SELECT id, doc FROM {table}")).all():
          before = json.dumps(doc, sort_keys=True)
          after = json.dumps(change(doc), sort_keys=True)
          if after != before:
              bind.execute(sa.text(f"UPDATE {table} SET doc = CAST(:d AS jsonb) WHERE id = :i"), {"d": after, "i": key})
  """,
)

f(
    "trigger_side",
    "UPDATE fires a trigger that clears another table's note",
    "audits|tanks.level",
    "INSERT INTO tanks VALUES (1, 'full'); INSERT INTO audits VALUES (1, 1, 'ok')",
    Step(
        python("""
    op.execute("CREATE TABLE tanks (id int PRIMARY KEY, level text NOT NULL)")
    op.execute("CREATE TABLE audits (id int PRIMARY KEY, tank_id int NOT NULL REFERENCES tanks, note text)")
    op.execute("CREATE FUNCTION tank_t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.level = '100' THEN UPDATE audits SET note = NULL WHERE tank_id = NEW.id; END IF; RETURN NEW; END $$")
    op.execute("CREATE TRIGGER tank_t AFTER UPDATE ON tanks FOR EACH ROW EXECUTE FUNCTION tank_t()")
  """),
        "DROP TABLE audits; DROP TABLE tanks; DROP FUNCTION tank_t()",
    ),
    Step("UPDATE tanks SET level = '100' WHERE level = 'full'", "UPDATE tanks SET level = 'full' WHERE level = '100'"),
)

f(
    "s_false",
    "SET boolean false for one kind",
    "sfalse.vip",
    "INSERT INTO sfalse (kind, vip) VALUES ('guest', true)",
    table("sfalse", "kind text NOT NULL, vip boolean NOT NULL"),
    Step("UPDATE sfalse SET vip = false WHERE kind = 'guest'", "python:pass"),
)
f(
    "s_true",
    "SET boolean true for one kind",
    "strue.vip",
    "INSERT INTO strue (kind, vip) VALUES ('guest', false)",
    table("strue", "kind text NOT NULL, vip boolean NOT NULL"),
    Step("UPDATE strue SET vip = true WHERE kind = 'guest'", "python:pass"),
)
f(
    "s_empty",
    "SET text '' for one kind",
    "sempty.memo",
    "INSERT INTO sempty (kind, memo) VALUES ('guest', 'x')",
    table("sempty", "kind text NOT NULL, memo text NOT NULL"),
    Step("UPDATE sempty SET memo = '' WHERE kind = 'guest'", "python:pass"),
)
f(
    "s_one",
    "SET 1",
    "sone.n",
    "INSERT INTO sone (kind, n) VALUES ('guest', 5)",
    table("sone", "kind text NOT NULL, n int NOT NULL"),
    Step("UPDATE sone SET n = 1 WHERE kind = 'guest'", "UPDATE sone SET n = 1 WHERE kind = 'guest'"),
)
f(
    "s_json",
    "SET '{}'",
    "sjson.j",
    """INSERT INTO sjson (kind, j) VALUES ('guest', '{"a": 1}')""",
    table("sjson", "kind text NOT NULL, j jsonb NOT NULL"),
    Step("UPDATE sjson SET j = '{}' WHERE kind = 'guest'", "python:pass"),
)
f(
    "s_numeric",
    "SET 0.00",
    "snum.j",
    "INSERT INTO snum (kind, j) VALUES ('guest', 4)",
    table("snum", "kind text NOT NULL, j numeric(8,2) NOT NULL"),
    Step("UPDATE snum SET j = 0 WHERE kind IN ('guest', 'host')", "python:pass"),
)
f(
    "s_mult",
    "multiplied by 100 for one unit; 0 does not show it",
    "smul.cm",
    "INSERT INTO smul (u, cm) VALUES ('m', 2)",
    table("smul", "u text NOT NULL, cm int NOT NULL"),
    Step("UPDATE smul SET cm = cm * 100 WHERE u = 'm'", "python:pass"),
)
f(
    "s_abs",
    "abs() for one kind; only a negative one shows it",
    "sabs.v",
    "INSERT INTO sabs (u, v) VALUES ('debit', -2)",
    table("sabs", "u text NOT NULL, v int NOT NULL"),
    Step("UPDATE sabs SET v = abs(v) WHERE u = 'debit'", "python:pass"),
)
f(
    "s_round",
    "round for one currency; only fractions show it",
    "sround.v",
    "INSERT INTO sround (cur, v) VALUES ('JPY', 2.5)",
    table("sround", "cur char(3) NOT NULL, v numeric(10,2) NOT NULL"),
    Step("UPDATE sround SET v = round(v) WHERE cur = 'JPY'", "python:pass"),
)
f(
    "s_lower",
    "lower of another column for one kind",
    "slow.handle",
    "INSERT INTO slow (src, handle) VALUES ('twitter', 'AbC')",
    table("slow", "src text NOT NULL, handle text NOT NULL"),
    Step("UPDATE slow SET handle = lower(handle) WHERE src = 'twitter'", "python:pass"),
)
f(
    "s_left",
    "cut for one kind",
    "sleft.body",
    "INSERT INTO sleft (src, body) VALUES ('sms', repeat('x', 60))",
    table("sleft", "src text NOT NULL, body text NOT NULL"),
    Step("UPDATE sleft SET body = left(body, 50) WHERE src = 'sms'", "python:pass"),
)
f(
    "s_trunc_date",
    "date_trunc hour for one source",
    "strunc.at",
    "INSERT INTO strunc (src, at) VALUES ('gps', '2020-01-01 10:05')",
    table("strunc", "src text NOT NULL, at timestamp NOT NULL"),
    Step("UPDATE strunc SET at = date_trunc('hour', at) WHERE src = 'gps'", "python:pass"),
)
f(
    "s_coal",
    "coalesce for one kind: NULL shows it",
    "scoal.v",
    "INSERT INTO scoal (k, v) VALUES ('a1', NULL)",
    table("scoal", "k text NOT NULL, v text"),
    Step("UPDATE scoal SET v = coalesce(v, 'none') WHERE k = 'a1'", "python:pass"),
)
f(
    "s_pairs",
    "(a, b) = (b, a) for one kind, no way back",
    "spair.",
    "INSERT INTO spair (k, a, b) VALUES ('rev', 1, 2)",
    table("spair", "k text NOT NULL, a int NOT NULL, b int NOT NULL"),
    Step("UPDATE spair SET (a, b) = (b, a) WHERE k = 'rev'", "python:pass"),
)
f(
    "s_copy",
    "one column over the other for one kind",
    "scopy.b",
    "INSERT INTO scopy (k, a, b) VALUES ('sync', 1, 2)",
    table("scopy", "k text NOT NULL, a int NOT NULL, b int NOT NULL"),
    Step("UPDATE scopy SET b = a WHERE k = 'sync'", "python:pass"),
)
f(
    "s_fkset",
    "FK column set to one parent for one kind",
    "schild.p_id",
    "INSERT INTO spar VALUES (1, 'main'), (2, 'x'); INSERT INTO schild VALUES (1, 2, 'old')",
    Step(
        "CREATE TABLE spar (id int PRIMARY KEY, code text NOT NULL UNIQUE); CREATE TABLE schild (id int PRIMARY KEY, p_id int NOT NULL REFERENCES spar, k text NOT NULL)",
        "DROP TABLE schild; DROP TABLE spar",
    ),
    Step(
        "UPDATE schild SET p_id = (SELECT id FROM spar WHERE code = 'main') WHERE k = 'old' AND EXISTS (SELECT 1 FROM spar WHERE code = 'main')",
        "python:pass",
    ),
)
f(
    "s_core0",
    "Core with values(0) and a bind",
    "score.n",
    "INSERT INTO score (k, n) VALUES ('void', 8)",
    table("score", "k text NOT NULL, n int NOT NULL"),
    Step(
        python("""
    t = sa.table("score", sa.column("k", sa.Text), sa.column("n", sa.Integer))
    op.execute(t.update().where(t.c.k == "void").values(n=0))
  """)
    ),
)
f(
    "s_enumset",
    "enum default label",
    "senum.st",
    "INSERT INTO senum (k, st) VALUES ('bot', 'on')",
    Step(
        "CREATE TYPE sst AS ENUM ('off', 'on'); CREATE TABLE senum (id serial PRIMARY KEY, k text NOT NULL, st sst NOT NULL)",
        "DROP TABLE senum; DROP TYPE sst",
    ),
    Step("UPDATE senum SET st = 'off' WHERE k = 'bot'", "python:pass"),
)
f(
    "s_checked",
    "SET status within a CHECK for old rows by date",
    "schk.st",
    "INSERT INTO schk (at, st) VALUES ('2010-01-01', 'open')",
    table("schk", "at date NOT NULL, st text NOT NULL CHECK (st IN ('closed', 'open'))"),
    Step("UPDATE schk SET st = 'closed' WHERE at < '2012-01-01'", "python:pass"),
)

c(
    "t_orm_commit",
    "ORM with commit fills a new column",
    "INSERT INTO tcom (kind) VALUES ('a'), ('b')",
    table("tcom", "kind text NOT NULL"),
    Step(
        python("""
    op.add_column("tcom", sa.Column("n", sa.Integer))
    s = Session(bind=op.get_bind())
    for x in s.query(T):
        x.n = 1 if x.kind == "a" else 2
    s.commit()
  """),
        "ALTER TABLE tcom DROP COLUMN n",
        before="""
  from sqlalchemy.orm import Session, declarative_base
  Base = declarative_base()
  class T(Base):
      __tablename__ = "tcom"
      id = sa.Column(sa.Integer, primary_key=True)
      kind = sa.Column(sa.Text)
      n = sa.Column(sa.Integer)
  """,
    ),
)
c(
    "t_orm_close",
    "ORM with commit and close in finally",
    "INSERT INTO tclo (kind) VALUES ('a'), ('b')",
    table("tclo", "kind text NOT NULL"),
    Step(
        python("""
    op.add_column("tclo", sa.Column("n", sa.Integer))
    s = sessionmaker(bind=op.get_bind())()
    try:
        for x in s.query(T):
            x.n = 1 if x.kind == "a" else 2
        s.commit()
    except Exception:
        s.rollback()
        raise
    finally:
        s.close()
  """),
        "ALTER TABLE tclo DROP COLUMN n",
        before="""
  from sqlalchemy.orm import sessionmaker, declarative_base
  Base = declarative_base()
  class T(Base):
      __tablename__ = "tclo"
      id = sa.Column(sa.Integer, primary_key=True)
      kind = sa.Column(sa.Text)
      n = sa.Column(sa.Integer)
  """,
    ),
)
c(
    "t_orm_close2",
    "ORM with rollback-free close only",
    "INSERT INTO tclo2 (kind) VALUES ('a'), ('b')",
    table("tclo2", "kind text NOT NULL"),
    Step(
        python("""
    op.add_column("tclo2", sa.Column("n", sa.Integer))
    with Session(op.get_bind()) as s, s.begin():
        for x in s.scalars(sa.select(T)):
            x.n = 1 if x.kind == "a" else 2
  """),
        "ALTER TABLE tclo2 DROP COLUMN n",
        before="""
  from sqlalchemy.orm import Session, declarative_base
  Base = declarative_base()
  class T(Base):
      __tablename__ = "tclo2"
      id = sa.Column(sa.Integer, primary_key=True)
      kind = sa.Column(sa.Text)
      n = sa.Column(sa.Integer)
  """,
    ),
)
c(
    "t_nocol_ids",
    "INSERT without a column list, key 10, removed by key",
    "INSERT INTO tncl VALUES (3, 'x')",
    Step("CREATE TABLE tncl (id int PRIMARY KEY, n text)", "DROP TABLE tncl"),
    Step("INSERT INTO tncl VALUES (10, 'ten'), (11, 'eleven')", "DELETE FROM tncl WHERE id BETWEEN 10 AND 11"),
)
c(
    "t_sel_ins",
    "INSERT … SELECT of literals where it does not exist, removed by a marker",
    "INSERT INTO tcfg VALUES ('a', 'b')",
    Step("CREATE TABLE tcfg (k text PRIMARY KEY, v text NOT NULL)", "DROP TABLE tcfg"),
    Step(
        "CREATE TABLE tcfg_new (k text PRIMARY KEY); INSERT INTO tcfg_new SELECT 'smtp.port' WHERE NOT EXISTS (SELECT 1 FROM tcfg WHERE k = 'smtp.port'); INSERT INTO tcfg SELECT k, '25' FROM tcfg_new",
        "DELETE FROM tcfg USING tcfg_new n WHERE n.k = tcfg.k; DROP TABLE tcfg_new",
    ),
)
c(
    "t_sel_only",
    "INSERT … SELECT FROM parents where a unique pair, undone exactly by mark",
    "INSERT INTO tpar VALUES (1)",
    Step(
        "CREATE TABLE tpar (id int PRIMARY KEY); CREATE TABLE tset (p_id int NOT NULL REFERENCES tpar, k text NOT NULL, v text, auto boolean NOT NULL DEFAULT false CHECK (NOT auto), PRIMARY KEY (p_id, k))",
        "DROP TABLE tset; DROP TABLE tpar",
    ),
    Step(
        "ALTER TABLE tset DROP CONSTRAINT tset_auto_check; INSERT INTO tset SELECT id, 'lang', 'en', true FROM tpar ON CONFLICT DO NOTHING",
        "DELETE FROM tset WHERE auto; ALTER TABLE tset ADD CONSTRAINT tset_auto_check CHECK (NOT auto)",
    ),
)
