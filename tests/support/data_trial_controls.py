"""Honest migrations of many trades: nothing but `proven` is right.

Written without knowledge of the code that plants rows, to try it.
"""

from support.data_case import CaseList, Step, python, table

CASES = CaseList()
f, c = CASES.fault, CASES.control

c(
    "k_berths",
    "the old class is kept beside",
    "INSERT INTO kberths (length_m, tier) VALUES (18.5, 'std'), (5, 'std')",
    table("kberths", "length_m numeric(5,2) NOT NULL, tier text NOT NULL"),
    Step(
        "ALTER TABLE kberths ADD COLUMN tier_old text; UPDATE kberths SET tier_old = tier, tier = 'wide' WHERE length_m > 15 AND tier <> 'wide'",
        "UPDATE kberths SET tier = tier_old WHERE tier_old IS NOT NULL; ALTER TABLE kberths DROP COLUMN tier_old",
    ),
)

c(
    "k_enum_map",
    "two-step map through CHECK, one to one",
    "INSERT INTO kparcels (leg) VALUES ('first'), ('mid'), ('last')",
    table("kparcels", "leg text NOT NULL CONSTRAINT ck_kleg CHECK (leg IN ('first', 'mid', 'last'))"),
    Step(
        python("""
    op.drop_constraint("ck_kleg", "kparcels")
    for old, new in LEGS.items():
        op.execute(sa.text("UPDATE kparcels SET leg = :new WHERE leg = :old").bindparams(new=new, old=old))
    op.create_check_constraint("ck_kleg", "kparcels", sa.column("leg").in_(list(LEGS.values())))
  """),
        python("""
    op.drop_constraint("ck_kleg", "kparcels")
    for old, new in LEGS.items():
        op.execute(sa.text("UPDATE kparcels SET leg = :old WHERE leg = :new").bindparams(new=new, old=old))
    op.create_check_constraint("ck_kleg", "kparcels", sa.column("leg").in_(list(LEGS)))
  """),
        before="LEGS = {'first': 'pickup', 'mid': 'linehaul', 'last': 'delivery'}",
    ),
)

c(
    "k_archive",
    "rows moved to an archive and moved back",
    "INSERT INTO klogs (msg, at) VALUES ('a', '2011-01-01'), ('b', '2022-01-01')",
    table("klogs", "msg text, at date NOT NULL"),
    Step(
        "CREATE TABLE klogs_archive (LIKE klogs INCLUDING ALL); WITH d AS (DELETE FROM klogs WHERE at < '2015-01-01' RETURNING *) INSERT INTO klogs_archive SELECT * FROM d",
        "INSERT INTO klogs SELECT * FROM klogs_archive; DROP TABLE klogs_archive",
    ),
)

c(
    "k_lookup",
    "text to lookup with a NOT NULL key, each text has its row",
    "INSERT INTO kbreads (flour) VALUES ('rye'), ('spelt'), ('rye')",
    table("kbreads", "flour text NOT NULL"),
    Step(
        "CREATE TABLE kflours (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE); INSERT INTO kflours (name) SELECT DISTINCT flour FROM kbreads; ALTER TABLE kbreads ADD COLUMN flour_id int REFERENCES kflours; UPDATE kbreads b SET flour_id = f.id FROM kflours f WHERE f.name = b.flour; ALTER TABLE kbreads ALTER flour_id SET NOT NULL; ALTER TABLE kbreads DROP COLUMN flour",
        "ALTER TABLE kbreads ADD COLUMN flour text; UPDATE kbreads SET flour = f.name FROM kflours f WHERE f.id = flour_id; ALTER TABLE kbreads ALTER flour SET NOT NULL; ALTER TABLE kbreads DROP COLUMN flour_id; DROP TABLE kflours",
    ),
)

c(
    "k_jsonwrap",
    "payload wrapped under a key and unwrapped",
    """INSERT INTO kevents (payload) VALUES ('{"a": 1}'), ('[]'), (NULL)""",
    table("kevents", "payload jsonb"),
    Step(
        "UPDATE kevents SET payload = jsonb_build_object('v1', payload) WHERE payload IS NOT NULL",
        "UPDATE kevents SET payload = payload -> 'v1' WHERE payload IS NOT NULL",
    ),
)

c(
    "k_do",
    "DO block that numbers positions in a new column",
    "INSERT INTO kchap (book, title) VALUES ('x', 'a'), ('x', 'b')",
    table("kchap", "book text NOT NULL, title text"),
    Step(
        """DO $$
DECLARE r record; n int;
BEGIN
  ALTER TABLE kchap ADD COLUMN pos int;
  FOR r IN SELECT DISTINCT book FROM kchap LOOP
    n := 0;
    UPDATE kchap k SET pos = s.p FROM (SELECT id, row_number() OVER (ORDER BY id) AS p FROM kchap WHERE book = r.book) s WHERE s.id = k.id;
  END LOOP;
END $$""",
        "ALTER TABLE kchap DROP COLUMN pos",
    ),
)

c(
    "k_batch",
    "batches over ids that fill a new column",
    "INSERT INTO kmiles (km) SELECT g FROM generate_series(1, 25) g",
    table("kmiles", "km int NOT NULL"),
    Step(
        python("""
    op.add_column("kmiles", sa.Column("meters", sa.BigInteger))
    bind = op.get_bind()
    while True:
        done = bind.execute(sa.text("UPDATE kmiles SET meters = km::bigint * 1000 WHERE id IN (SELECT id FROM kmiles WHERE meters IS NULL ORDER BY id LIMIT 10)")).rowcount
        if done == 0:
            break
    op.alter_column("kmiles", "meters", nullable=False)
  """),
        python("""
    op.drop_column("kmiles", "meters")
  """),
    ),
)

c(
    "k_genexpr",
    "a generated column takes the place of a plain one that had to be equal",
    "INSERT INTO kareas (w, h, area) VALUES (2, 3, 6)",
    table(
        "kareas",
        "w smallint NOT NULL, h smallint NOT NULL, area int NOT NULL, CONSTRAINT ck_kareas CHECK (area = w\\:\\:int * h)",
    ),
    Step(
        "ALTER TABLE kareas DROP CONSTRAINT ck_kareas; ALTER TABLE kareas DROP COLUMN area; ALTER TABLE kareas ADD COLUMN area int GENERATED ALWAYS AS (w\\:\\:int * h) STORED",
        "ALTER TABLE kareas DROP COLUMN area; ALTER TABLE kareas ADD COLUMN area int; UPDATE kareas SET area = w\\:\\:int * h; ALTER TABLE kareas ALTER area SET NOT NULL; ALTER TABLE kareas ADD CONSTRAINT ck_kareas CHECK (area = w\\:\\:int * h)",
    ),
)

c(
    "k_bool_enum",
    "boolean to text and back",
    "INSERT INTO kdoors (locked) VALUES (true), (false), (NULL)",
    table("kdoors", "locked boolean"),
    Step(
        "ALTER TABLE kdoors ALTER locked TYPE text USING CASE WHEN locked THEN 'locked' WHEN NOT locked THEN 'open' END",
        "ALTER TABLE kdoors ALTER locked TYPE boolean USING CASE locked WHEN 'locked' THEN true WHEN 'open' THEN false END",
    ),
)

c(
    "k_rename",
    "table and column renamed, new column filled by condition",
    "INSERT INTO kwagon (axles) VALUES (2), (6)",
    table("kwagon", "axles int NOT NULL"),
    Step(
        python("""
    op.rename_table("kwagon", "kcars")
    op.alter_column("kcars", "axles", new_column_name="axle_count")
    op.add_column("kcars", sa.Column("heavy", sa.Boolean, nullable=False, server_default=sa.false()))
    cars = sa.table("kcars", sa.column("axle_count"), sa.column("heavy"))
    op.execute(cars.update().where(cars.c.axle_count >= 6).values(heavy=True))
  """),
        python("""
    op.drop_column("kcars", "heavy")
    op.alter_column("kcars", "axle_count", new_column_name="axles")
    op.rename_table("kcars", "kwagon")
  """),
    ),
)

c(
    "k_split",
    "a table is split one to one and joined back",
    "INSERT INTO kguest (name, diet, allergy) VALUES ('a', 'vegan', NULL), ('b', NULL, 'nuts')",
    table("kguest", "name text, diet text, allergy text"),
    Step(
        "CREATE TABLE kguest_food (guest_id int PRIMARY KEY REFERENCES kguest ON DELETE CASCADE, diet text, allergy text); INSERT INTO kguest_food SELECT id, diet, allergy FROM kguest WHERE diet IS NOT NULL OR allergy IS NOT NULL; ALTER TABLE kguest DROP COLUMN diet, DROP COLUMN allergy",
        "ALTER TABLE kguest ADD COLUMN diet text, ADD COLUMN allergy text; UPDATE kguest SET diet = f.diet, allergy = f.allergy FROM kguest_food f WHERE f.guest_id = kguest.id; DROP TABLE kguest_food",
    ),
)

c(
    "k_conflict",
    "seed rows with DO NOTHING, those that were inserted are noted",
    "INSERT INTO kroles VALUES ('admin', 'x')",
    Step("CREATE TABLE kroles (name text PRIMARY KEY, note text)", "DROP TABLE kroles"),
    Step(
        "CREATE TABLE kroles_seeded AS WITH i AS (INSERT INTO kroles (name) VALUES ('admin'), ('auditor'), ('guest') ON CONFLICT DO NOTHING RETURNING name) SELECT name FROM i".replace(
            "CREATE TABLE kroles_seeded AS WITH i AS (",
            "CREATE TABLE kroles_seeded (name text PRIMARY KEY); WITH i AS (",
        ).replace("SELECT name FROM i", "INSERT INTO kroles_seeded SELECT name FROM i"),
        "DELETE FROM kroles WHERE name IN (SELECT name FROM kroles_seeded); DROP TABLE kroles_seeded",
    ),
)

c(
    "k_softdel",
    "is_deleted becomes deleted_at; the flag follows from it",
    "INSERT INTO kpins (gone) VALUES (true), (false)",
    table("kpins", "gone boolean NOT NULL DEFAULT false"),
    Step(
        "ALTER TABLE kpins ADD COLUMN removed_at timestamptz; UPDATE kpins SET removed_at = '2000-01-01' WHERE gone; ALTER TABLE kpins DROP COLUMN gone",
        "ALTER TABLE kpins ADD COLUMN gone boolean NOT NULL DEFAULT false; UPDATE kpins SET gone = true WHERE removed_at IS NOT NULL; ALTER TABLE kpins DROP COLUMN removed_at",
    ),
)

c(
    "k_swap",
    "composite code to parts where a CHECK gives the form",
    "INSERT INTO kseats (code) VALUES ('A-12'), ('F-03')",
    table("kseats", "code varchar(4) NOT NULL CONSTRAINT ck_kseats CHECK (code ~ '^[A-F]-[0-9]{2}$')"),
    Step(
        "ALTER TABLE kseats ADD COLUMN letter char(1), ADD COLUMN num char(2); UPDATE kseats SET letter = split_part(code, '-', 1), num = split_part(code, '-', 2); ALTER TABLE kseats DROP COLUMN code",
        "ALTER TABLE kseats ADD COLUMN code varchar(4); UPDATE kseats SET code = letter || '-' || num; ALTER TABLE kseats ALTER code SET NOT NULL; ALTER TABLE kseats ADD CONSTRAINT ck_kseats CHECK (code ~ '^[A-F]-[0-9]{2}$'); ALTER TABLE kseats DROP COLUMN letter, DROP COLUMN num",
    ),
)

c(
    "k_cents",
    "money in cents, checked not negative",
    "INSERT INTO ktolls (fee) VALUES (1.55), (0)",
    table("ktolls", "fee numeric(7,2) NOT NULL"),
    Step(
        "ALTER TABLE ktolls ALTER fee TYPE bigint USING (fee * 100)\\:\\:bigint",
        "ALTER TABLE ktolls ALTER fee TYPE numeric(7,2) USING (fee / 100.0)\\:\\:numeric(7,2)",
    ),
)

c(
    "k_view",
    "a view is replaced around a column that is widened",
    "INSERT INTO kpools (depth) VALUES (3)",
    Step(
        "CREATE TABLE kpools (id serial PRIMARY KEY, depth smallint NOT NULL); CREATE VIEW kdeep AS SELECT id FROM kpools WHERE depth > 2",
        "DROP VIEW kdeep; DROP TABLE kpools",
    ),
    Step(
        "DROP VIEW kdeep; ALTER TABLE kpools ALTER depth TYPE int; ALTER TABLE kpools ADD COLUMN deep boolean; UPDATE kpools SET deep = depth > 2; CREATE VIEW kdeep AS SELECT id FROM kpools WHERE deep",
        "DROP VIEW kdeep; ALTER TABLE kpools DROP COLUMN deep; ALTER TABLE kpools ALTER depth TYPE smallint; CREATE VIEW kdeep AS SELECT id FROM kpools WHERE depth > 2",
    ),
)

c(
    "k_negate",
    "sign convention flipped for one kind, involution",
    "INSERT INTO ktides (kind, cm) VALUES ('ebb', 12), ('flood', 3)",
    table("ktides", "kind text NOT NULL, cm numeric(6,2) NOT NULL"),
    Step("UPDATE ktides SET cm = -cm WHERE kind = 'ebb'", "UPDATE ktides SET cm = -cm WHERE kind = 'ebb'"),
)

c(
    "k_orm",
    "ORM loop that fills a new column by branches",
    "INSERT INTO kkeys (tone) VALUES ('C'), ('F#'), ('Bb')",
    table("kkeys", "tone text NOT NULL"),
    Step(
        python("""
    op.add_column("kkeys", sa.Column("kind", sa.String(8)))
    bind = op.get_bind()
    t = sa.table("kkeys", sa.column("id"), sa.column("tone"), sa.column("kind"))
    for row in bind.execute(sa.select(t.c.id, t.c.tone)).mappings():
        if row["tone"].endswith("#"):
            kind = "sharp"
        elif row["tone"].endswith("b"):
            kind = "flat"
        else:
            kind = "natural"
        bind.execute(t.update().where(t.c.id == row["id"]).values(kind=kind))
  """),
        python("""
    op.drop_column("kkeys", "kind")
  """),
    ),
)

c(
    "k_pk",
    "composite key replaced by a surrogate, old columns stay",
    "INSERT INTO kgrid VALUES (1, 2, 'x')",
    Step("CREATE TABLE kgrid (x int, y int, what text, CONSTRAINT kgrid_pkey PRIMARY KEY (x, y))", "DROP TABLE kgrid"),
    Step(
        "ALTER TABLE kgrid DROP CONSTRAINT kgrid_pkey; ALTER TABLE kgrid ADD COLUMN id bigserial; ALTER TABLE kgrid ADD CONSTRAINT kgrid_pkey PRIMARY KEY (id); ALTER TABLE kgrid ADD CONSTRAINT kgrid_xy UNIQUE (x, y)",
        "ALTER TABLE kgrid DROP CONSTRAINT kgrid_xy; ALTER TABLE kgrid DROP CONSTRAINT kgrid_pkey; ALTER TABLE kgrid DROP COLUMN id; ALTER TABLE kgrid ADD CONSTRAINT kgrid_pkey PRIMARY KEY (x, y)",
    ),
)

c(
    "k_fn",
    "a function with a CASE that fills a new column",
    "INSERT INTO kwinds (bft) VALUES (0), (7), (12)",
    table("kwinds", "bft int NOT NULL CHECK (bft BETWEEN 0 AND 12)"),
    Step(
        python("""
    op.add_column("kwinds", sa.Column("label", sa.Text))
    op.execute(\"\"\"CREATE FUNCTION pg_temp.wind_label(b int) RETURNS text LANGUAGE sql AS $$
      SELECT CASE WHEN b = 0 THEN 'calm' WHEN b < 8 THEN 'breeze' ELSE 'storm' END $$\"\"\")
    op.execute("UPDATE kwinds SET label = pg_temp.wind_label(bft)")
  """),
        "ALTER TABLE kwinds DROP COLUMN label",
    ),
)

c(
    "k_merge_noted",
    "duplicates merged, the merged ones kept with their references",
    "INSERT INTO kauthors VALUES (1, 'Ann'), (2, 'ann'); INSERT INTO kbooks VALUES (1, 1), (2, 2)",
    Step(
        "CREATE TABLE kauthors (id int PRIMARY KEY, name text NOT NULL); CREATE TABLE kbooks (id int PRIMARY KEY, author_id int NOT NULL REFERENCES kauthors)",
        "DROP TABLE kbooks; DROP TABLE kauthors",
    ),
    Step(
        "CREATE TABLE kmerged AS SELECT a.id, a.name, m.keep FROM kauthors a JOIN (SELECT lower(name) AS n, min(id) AS keep FROM kauthors GROUP BY lower(name)) m ON m.n = lower(a.name) WHERE a.id <> m.keep; CREATE TABLE kmoved AS SELECT id, author_id FROM kbooks WHERE author_id IN (SELECT id FROM kmerged); UPDATE kbooks SET author_id = m.keep FROM kmerged m WHERE m.id = author_id; DELETE FROM kauthors WHERE id IN (SELECT id FROM kmerged)",
        "INSERT INTO kauthors SELECT id, name FROM kmerged; UPDATE kbooks SET author_id = m.author_id FROM kmoved m WHERE m.id = kbooks.id; DROP TABLE kmoved; DROP TABLE kmerged",
    ),
)

c(
    "m_check_dom",
    "domain with a CHECK; labels prefixed and un-prefixed",
    "INSERT INTO mvats (code) VALUES ('V001'), ('V999')",
    Step(
        "CREATE DOMAIN mvat AS text CHECK (VALUE ~ '^V[0-9]{3}$'); CREATE TABLE mvats (id serial PRIMARY KEY, code mvat NOT NULL)",
        "DROP TABLE mvats; DROP DOMAIN mvat",
    ),
    Step(
        "ALTER TABLE mvats ALTER code TYPE text USING 'BREW-' || code\\:\\:text",
        "ALTER TABLE mvats ALTER code TYPE mvat USING substr(code, 6)\\:\\:mvat",
    ),
)

c(
    "m_exclusive",
    "CHECK says exactly one of two; a kind column says which",
    "INSERT INTO mpay (card, iban) VALUES ('4', NULL), (NULL, 'DE')",
    table("mpay", "card text, iban text, CONSTRAINT ck_mpay CHECK ((card IS NULL) <> (iban IS NULL))"),
    Step(
        "ALTER TABLE mpay ADD COLUMN kind text, ADD COLUMN ref text; UPDATE mpay SET kind = CASE WHEN card IS NOT NULL THEN 'card' ELSE 'iban' END, ref = coalesce(card, iban); ALTER TABLE mpay DROP CONSTRAINT ck_mpay; ALTER TABLE mpay DROP COLUMN card, DROP COLUMN iban; ALTER TABLE mpay ALTER kind SET NOT NULL, ALTER ref SET NOT NULL",
        "ALTER TABLE mpay ADD COLUMN card text, ADD COLUMN iban text; UPDATE mpay SET card = ref WHERE kind = 'card'; UPDATE mpay SET iban = ref WHERE kind = 'iban'; ALTER TABLE mpay ADD CONSTRAINT ck_mpay CHECK ((card IS NULL) <> (iban IS NULL)); ALTER TABLE mpay DROP COLUMN kind, DROP COLUMN ref",
    ),
)

c(
    "m_uniq_lower",
    "UNIQUE index on lower(): a dedupe that finds nothing by construction",
    "INSERT INTO mtags (name) VALUES ('Red'), ('blue')",
    Step(
        "CREATE TABLE mtags (id serial PRIMARY KEY, name text NOT NULL); CREATE UNIQUE INDEX ux_mtags ON mtags (lower(name))",
        "DROP TABLE mtags",
    ),
    Step(
        "ALTER TABLE mtags ADD COLUMN slug text; UPDATE mtags SET slug = lower(name); ALTER TABLE mtags ALTER slug SET NOT NULL; CREATE UNIQUE INDEX ux_mtags_slug ON mtags (slug)",
        "ALTER TABLE mtags DROP COLUMN slug",
    ),
)

c(
    "m_jsoncol",
    "columns packed into json and unpacked, with types",
    "INSERT INTO mrobots (arm, speed, on_) VALUES ('L', 1.50, true), (NULL, NULL, NULL)",
    table("mrobots", "arm text, speed numeric(6,2), on_ boolean"),
    Step(
        "ALTER TABLE mrobots ADD COLUMN spec jsonb; UPDATE mrobots SET spec = jsonb_build_object('arm', arm, 'speed', speed, 'on', on_); ALTER TABLE mrobots DROP COLUMN arm, DROP COLUMN speed, DROP COLUMN on_",
        "ALTER TABLE mrobots ADD COLUMN arm text, ADD COLUMN speed numeric(6,2), ADD COLUMN on_ boolean; UPDATE mrobots SET arm = spec ->> 'arm', speed = (spec ->> 'speed')\\:\\:numeric, on_ = (spec ->> 'on')\\:\\:boolean; ALTER TABLE mrobots DROP COLUMN spec",
    ),
)

c(
    "m_pos",
    "gapless positions added for each list by a window",
    "INSERT INTO mitems (list, what) VALUES (1, 'a'), (1, 'b'), (2, 'c')",
    table("mitems", "list int NOT NULL, what text"),
    Step(
        "ALTER TABLE mitems ADD COLUMN pos int; WITH n AS (SELECT id, row_number() OVER (PARTITION BY list ORDER BY id) AS r FROM mitems) UPDATE mitems SET pos = n.r FROM n WHERE n.id = mitems.id; ALTER TABLE mitems ALTER pos SET NOT NULL; ALTER TABLE mitems ADD CONSTRAINT uq_mitems UNIQUE (list, pos)",
        "ALTER TABLE mitems DROP CONSTRAINT uq_mitems; ALTER TABLE mitems DROP COLUMN pos",
    ),
)

c(
    "m_tree",
    "path built for a tree by a recursive query",
    "INSERT INTO mtaxa VALUES (1, NULL, 'a'), (2, 1, 'b')",
    Step(
        "CREATE TABLE mtaxa (id int PRIMARY KEY, parent_id int REFERENCES mtaxa, name text NOT NULL)",
        "DROP TABLE mtaxa",
    ),
    Step(
        "ALTER TABLE mtaxa ADD COLUMN path text; WITH RECURSIVE t AS (SELECT id, name AS p FROM mtaxa WHERE parent_id IS NULL UNION ALL SELECT m.id, t.p || '/' || m.name FROM mtaxa m JOIN t ON t.id = m.parent_id) UPDATE mtaxa SET path = t.p FROM t WHERE t.id = mtaxa.id",
        "ALTER TABLE mtaxa DROP COLUMN path",
    ),
)

c(
    "m_aggr",
    "a counter column filled from children with FILTER",
    "INSERT INTO mposts VALUES (1); INSERT INTO mvotes VALUES (1, 1, true), (2, 1, false)",
    Step(
        "CREATE TABLE mposts (id int PRIMARY KEY); CREATE TABLE mvotes (id int PRIMARY KEY, post_id int NOT NULL REFERENCES mposts, up boolean NOT NULL)",
        "DROP TABLE mvotes; DROP TABLE mposts",
    ),
    Step(
        "ALTER TABLE mposts ADD COLUMN ups int NOT NULL DEFAULT 0; UPDATE mposts SET ups = v.n FROM (SELECT post_id, count(*) FILTER (WHERE up) AS n FROM mvotes GROUP BY post_id HAVING count(*) > 1) v WHERE v.post_id = mposts.id",
        "ALTER TABLE mposts DROP COLUMN ups",
    ),
)

c(
    "m_minutes",
    "interval of whole minutes by CHECK to integer",
    "INSERT INTO mclass (len) VALUES (45), (90)",
    table("mclass", "len int NOT NULL CONSTRAINT ck_mclass CHECK (len BETWEEN 1 AND 600)"),
    Step(
        "ALTER TABLE mclass DROP CONSTRAINT ck_mclass; ALTER TABLE mclass ALTER len TYPE interval USING make_interval(mins => len)",
        "ALTER TABLE mclass ALTER len TYPE int USING (extract(epoch FROM len) / 60)\\:\\:int; ALTER TABLE mclass ADD CONSTRAINT ck_mclass CHECK (len BETWEEN 1 AND 600)",
    ),
)

c(
    "m_many",
    "a foreign key becomes a link table with one row each, and back",
    "INSERT INTO mteams VALUES (1); INSERT INTO mrunners VALUES (1, 1), (2, NULL)",
    Step(
        "CREATE TABLE mteams (id int PRIMARY KEY); CREATE TABLE mrunners (id int PRIMARY KEY, team_id int CONSTRAINT fk_mteam REFERENCES mteams)",
        "DROP TABLE mrunners; DROP TABLE mteams",
    ),
    Step(
        "CREATE TABLE mteam_runners (runner_id int NOT NULL REFERENCES mrunners, team_id int NOT NULL REFERENCES mteams, PRIMARY KEY (runner_id, team_id)); INSERT INTO mteam_runners SELECT id, team_id FROM mrunners WHERE team_id IS NOT NULL; ALTER TABLE mrunners DROP COLUMN team_id",
        "ALTER TABLE mrunners ADD COLUMN team_id int CONSTRAINT fk_mteam REFERENCES mteams; UPDATE mrunners SET team_id = t.team_id FROM mteam_runners t WHERE t.runner_id = mrunners.id; DROP TABLE mteam_runners",
    ),
)

c(
    "m_noop_guard",
    "UPDATE on a value that the CHECK forbids can meet no row",
    "INSERT INTO mlamps (kind) VALUES ('led')",
    table("mlamps", "kind text NOT NULL CHECK (kind IN ('led', 'oil'))"),
    Step(
        "ALTER TABLE mlamps ADD COLUMN watt int; UPDATE mlamps SET watt = CASE WHEN kind = 'led' THEN 5 WHEN kind = 'oil' THEN 0 END",
        "ALTER TABLE mlamps DROP COLUMN watt",
    ),
)

c(
    "m_tz",
    "timestamp in a known zone to timestamptz and back, zone fixed",
    "INSERT INTO mdeps (at) VALUES ('2022-01-01 10:00')",
    table("mdeps", "at timestamp NOT NULL"),
    Step(
        "ALTER TABLE mdeps ALTER at TYPE timestamptz USING at AT TIME ZONE 'UTC'",
        "ALTER TABLE mdeps ALTER at TYPE timestamp USING at AT TIME ZONE 'UTC'",
    ),
)

c(
    "m_enumadd",
    "a label is added by a new type; rows keep theirs",
    "INSERT INTO mgates (st) VALUES ('open'), ('shut')",
    Step(
        "CREATE TYPE mst AS ENUM ('open', 'shut'); CREATE TABLE mgates (id serial PRIMARY KEY, st mst NOT NULL DEFAULT 'open')",
        "DROP TABLE mgates; DROP TYPE mst",
    ),
    Step(
        "ALTER TYPE mst RENAME TO mst_old; CREATE TYPE mst AS ENUM ('open', 'shut', 'broken'); ALTER TABLE mgates ALTER st DROP DEFAULT; ALTER TABLE mgates ALTER st TYPE mst USING CAST(CAST(st AS text) AS mst); ALTER TABLE mgates ALTER st SET DEFAULT 'open'; DROP TYPE mst_old",
        "UPDATE mgates SET st = 'shut' WHERE st = 'broken'; ALTER TYPE mst RENAME TO mst_new; CREATE TYPE mst AS ENUM ('open', 'shut'); ALTER TABLE mgates ALTER st DROP DEFAULT; ALTER TABLE mgates ALTER st TYPE mst USING CAST(CAST(st AS text) AS mst); ALTER TABLE mgates ALTER st SET DEFAULT 'open'; DROP TYPE mst_new",
    ),
)

c(
    "m_seed_ref",
    "seed lookup and reference it where NULL, marks kept",
    "INSERT INTO mlots VALUES (1, NULL)",
    Step(
        "CREATE TABLE mzones (id int PRIMARY KEY, name text NOT NULL UNIQUE); CREATE TABLE mlots (id int PRIMARY KEY, zone_id int REFERENCES mzones)",
        "DROP TABLE mlots; DROP TABLE mzones",
    ),
    Step(
        "INSERT INTO mzones VALUES (0, '(none)'); UPDATE mlots SET zone_id = 0 WHERE zone_id IS NULL; ALTER TABLE mlots ALTER zone_id SET NOT NULL",
        "ALTER TABLE mlots ALTER zone_id DROP NOT NULL; UPDATE mlots SET zone_id = NULL WHERE zone_id = 0; DELETE FROM mzones WHERE id = 0",
    ),
)

c(
    "m_hstore_arr",
    "nullable text to one-element array and back",
    "INSERT INTO mnotes (txt) VALUES ('x'), (NULL), ('')",
    table("mnotes", "txt text"),
    Step(
        "ALTER TABLE mnotes ALTER txt TYPE text[] USING CASE WHEN txt IS NULL THEN NULL ELSE ARRAY[txt] END",
        "ALTER TABLE mnotes ALTER txt TYPE text USING txt[1]",
    ),
)

c(
    "m_refuse",
    "a guard refuses rows that would not come back",
    "INSERT INTO mrisk (lvl) VALUES ('a')",
    table("mrisk", "lvl text NOT NULL"),
    Step(
        """DO $$ BEGIN
  IF EXISTS (SELECT 1 FROM mrisk WHERE lvl = 'b2') THEN RAISE EXCEPTION 'b2 is in use already'; END IF;
  UPDATE mrisk SET lvl = 'b2' WHERE lvl = 'b1';
END $$""",
        "UPDATE mrisk SET lvl = 'b1' WHERE lvl = 'b2'",
    ),
)

c(
    "n_bulk_ids",
    "op.bulk_insert with fixed ids, referenced by a condition, removed again by id",
    "INSERT INTO nrooms VALUES (5000001, 'x', NULL)",
    Step(
        "CREATE TABLE nkinds (id int PRIMARY KEY, name text NOT NULL UNIQUE); CREATE TABLE nrooms (id int PRIMARY KEY, label text, kind_id int REFERENCES nkinds)",
        "DROP TABLE nrooms; DROP TABLE nkinds",
    ),
    Step(
        python("""
    op.bulk_insert(sa.table("nkinds", sa.column("id"), sa.column("name")), [{"id": 1, "name": "office"}, {"id": 2, "name": "lab"}])
    op.execute("UPDATE nrooms SET kind_id = 1 WHERE kind_id IS NULL")
  """),
        python("""
    op.execute("UPDATE nrooms SET kind_id = NULL WHERE kind_id = 1")
    op.execute("DELETE FROM nkinds WHERE id IN (1, 2)")
  """),
    ),
)

c(
    "n_seed_name",
    "seed by natural key with INSERT of literals, undone by the same literals",
    "INSERT INTO nperms VALUES ('read')",
    Step("CREATE TABLE nperms (code text PRIMARY KEY)", "DROP TABLE nperms"),
    Step("INSERT INTO nperms VALUES ('export'), ('import')", "DELETE FROM nperms WHERE code IN ('export', 'import')"),
)

c(
    "n_seed_py",
    "seed row by row with text() and parameters in a loop",
    "INSERT INTO nlangs VALUES ('xx', 'X')",
    Step("CREATE TABLE nlangs (iso char(2) PRIMARY KEY, name text NOT NULL)", "DROP TABLE nlangs"),
    Step(
        python("""
    bind = op.get_bind()
    for iso, name in LANGS:
        bind.execute(sa.text("INSERT INTO nlangs (iso, name) VALUES (:i, :n)"), {"i": iso, "n": name})
  """),
        python("""
    op.get_bind().execute(sa.text("DELETE FROM nlangs WHERE iso IN :isos").bindparams(sa.bindparam("isos", [i for i, _ in LANGS], expanding=True)))
  """),
        before="LANGS = [('de', 'Deutsch'), ('fi', 'Suomi')]",
    ),
)

c(
    "n_temp",
    "a temporary table holds the map",
    "INSERT INTO ncells (c) VALUES ('a'), ('b')",
    table("ncells", "c text NOT NULL CHECK (c IN ('a', 'b', 'x', 'y'))"),
    Step(
        python("""
    op.execute("ALTER TABLE ncells ADD COLUMN d text")
    op.execute("CREATE TEMPORARY TABLE ncell_map (o text, n text) ON COMMIT DROP")
    op.execute("INSERT INTO ncell_map VALUES ('a', 'x'), ('b', 'y')")
    op.execute("UPDATE ncells SET d = n FROM ncell_map WHERE o = c")
  """),
        "ALTER TABLE ncells DROP COLUMN d",
    ),
)

c(
    "n_post_check",
    "a check after the fill that every row has its value",
    "INSERT INTO nreps (kind) VALUES ('w'), ('m')",
    table("nreps", "kind char(1) NOT NULL CHECK (kind IN ('w', 'm'))"),
    Step(
        python("""
    op.add_column("nreps", sa.Column("days", sa.Integer))
    op.execute("UPDATE nreps SET days = CASE kind WHEN 'w' THEN 7 WHEN 'm' THEN 30 END")
    left = op.get_bind().scalar(sa.text("SELECT count(*) FROM nreps WHERE days IS NULL"))
    if left:
        raise RuntimeError(f"{left} rows without days")
    op.alter_column("nreps", "days", nullable=False)
  """),
        "ALTER TABLE nreps DROP COLUMN days",
    ),
)

c(
    "n_setval",
    "identity in place of a plain integer key, sequence set",
    "INSERT INTO nseq VALUES (5, 'x')",
    Step("CREATE TABLE nseq (id int PRIMARY KEY, v text)", "DROP TABLE nseq"),
    Step(
        "ALTER TABLE nseq ALTER id ADD GENERATED BY DEFAULT AS IDENTITY; SELECT setval(pg_get_serial_sequence('nseq', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM nseq), false)",
        "ALTER TABLE nseq ALTER id DROP IDENTITY",
    ),
)

c(
    "n_excl",
    "exclusion of overlapping ranges; two dates become one range and back",
    "INSERT INTO nbook (room, a, b) VALUES (1, '2020-01-01', '2020-01-05')",
    table("nbook", "room int NOT NULL, a date NOT NULL, b date NOT NULL, CONSTRAINT ck_nbook CHECK (a < b)"),
    Step(
        "ALTER TABLE nbook ADD COLUMN span daterange; UPDATE nbook SET span = daterange(a, b); ALTER TABLE nbook DROP COLUMN a, DROP COLUMN b; ALTER TABLE nbook ALTER span SET NOT NULL",
        "ALTER TABLE nbook ADD COLUMN a date, ADD COLUMN b date; UPDATE nbook SET a = lower(span), b = upper(span); ALTER TABLE nbook ALTER a SET NOT NULL, ALTER b SET NOT NULL; ALTER TABLE nbook ADD CONSTRAINT ck_nbook CHECK (a < b); ALTER TABLE nbook DROP COLUMN span",
    ),
)

c(
    "n_trig_off",
    "triggers disabled around a fill",
    "INSERT INTO naud (v, touched) VALUES (1, '2000-01-01')",
    Step(
        python("""
    op.execute("CREATE TABLE naud (id serial PRIMARY KEY, v int, touched timestamptz)")
    op.execute("CREATE FUNCTION naud_t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := now(); RETURN NEW; END $$")
    op.execute("CREATE TRIGGER naud_t BEFORE UPDATE ON naud FOR EACH ROW EXECUTE FUNCTION naud_t()")
  """),
        "DROP TABLE naud; DROP FUNCTION naud_t()",
    ),
    Step(
        "ALTER TABLE naud ADD COLUMN w bigint; ALTER TABLE naud DISABLE TRIGGER naud_t; UPDATE naud SET w = v WHERE v > 100; ALTER TABLE naud ENABLE TRIGGER naud_t",
        "ALTER TABLE naud DROP COLUMN w",
    ),
)

c(
    "n_part",
    "a plain table attached below a partitioned parent, rows stay",
    "INSERT INTO nmeas VALUES (1, '2021-01-01', 5)",
    Step(
        "CREATE TABLE nmeas (id int NOT NULL, on_ date NOT NULL, v int, CONSTRAINT ck_nmeas CHECK (on_ >= '2021-01-01' AND on_ < '2022-01-01'))",
        "DROP TABLE nmeas",
    ),
    Step(
        "CREATE TABLE nmeas_all (id int NOT NULL, on_ date NOT NULL, v int) PARTITION BY RANGE (on_); ALTER TABLE nmeas_all ATTACH PARTITION nmeas FOR VALUES FROM ('2021-01-01') TO ('2022-01-01'); UPDATE nmeas_all SET v = v WHERE v > 3",
        "ALTER TABLE nmeas_all DETACH PARTITION nmeas; DROP TABLE nmeas_all",
    ),
)

c(
    "n_case_swap",
    "two values swapped by one CASE, an involution",
    "INSERT INTO nsides (s) VALUES ('port'), ('starboard'), ('bow')",
    table("nsides", "s text NOT NULL"),
    Step(
        "UPDATE nsides SET s = CASE s WHEN 'port' THEN 'starboard' ELSE 'port' END WHERE s IN ('port', 'starboard')",
        "UPDATE nsides SET s = CASE s WHEN 'port' THEN 'starboard' ELSE 'port' END WHERE s IN ('port', 'starboard')",
    ),
)

c(
    "n_prefix",
    "keys prefixed and the prefix cut, FK with ON UPDATE CASCADE",
    "INSERT INTO nsup VALUES ('7'); INSERT INTO nord VALUES (1, '7')",
    Step(
        "CREATE TABLE nsup (code text PRIMARY KEY); CREATE TABLE nord (id int PRIMARY KEY, sup text NOT NULL REFERENCES nsup ON UPDATE CASCADE)",
        "DROP TABLE nord; DROP TABLE nsup",
    ),
    Step("UPDATE nsup SET code = 'S-' || code", "UPDATE nsup SET code = substr(code, 3)"),
)

c(
    "n_stamp_marker",
    "a marker in a new text column tells what to undo",
    "INSERT INTO nsubs (st) VALUES ('trial'), ('free')",
    table("nsubs", "st text NOT NULL, note text"),
    Step(
        python("""
    s = sa.table("nsubs", sa.column("st"), sa.column("st_before"))
    op.add_column("nsubs", sa.Column("st_before", sa.Text))
    op.execute(s.update().where(s.c.st.in_(["trial", "promo"])).values(st="free", st_before=s.c.st))
  """),
        python("""
    s = sa.table("nsubs", sa.column("st"), sa.column("st_before"))
    op.execute(s.update().where(s.c.st_before.isnot(None)).values(st=s.c.st_before))
    op.drop_column("nsubs", "st_before")
  """),
    ),
)

c(
    "n_orm_two",
    "ORM with relationship fills a new column by the parent's value",
    "INSERT INTO nfarm VALUES (1, 'org'); INSERT INTO ncow VALUES (1, 1)",
    Step(
        "CREATE TABLE nfarm (id int PRIMARY KEY, kind text NOT NULL); CREATE TABLE ncow (id int PRIMARY KEY, farm_id int NOT NULL REFERENCES nfarm)",
        "DROP TABLE ncow; DROP TABLE nfarm",
    ),
    Step(
        python("""
    op.add_column("ncow", sa.Column("organic", sa.Boolean))
    s = Session(bind=op.get_bind())
    for cow in s.query(Cow).options(joinedload(Cow.farm)):
        cow.organic = cow.farm.kind == "org"
    s.commit()
  """),
        "ALTER TABLE ncow DROP COLUMN organic",
        before="""
  from sqlalchemy.orm import Session, declarative_base, joinedload, relationship
  Base = declarative_base()
  class Farm(Base):
      __tablename__ = "nfarm"
      id = sa.Column(sa.Integer, primary_key=True)
      kind = sa.Column(sa.Text)
  class Cow(Base):
      __tablename__ = "ncow"
      id = sa.Column(sa.Integer, primary_key=True)
      farm_id = sa.Column(sa.ForeignKey("nfarm.id"))
      organic = sa.Column(sa.Boolean)
      farm = relationship(Farm)
  """,
    ),
)

c(
    "n_guard_py",
    "a Python guard in downgrade refuses what would not come back",
    "INSERT INTO nwide (n) VALUES (5)",
    table("nwide", "n smallint NOT NULL"),
    Step(
        "ALTER TABLE nwide ALTER n TYPE int",
        python("""
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM nwide WHERE n > 32767")):
        raise RuntimeError("too large for smallint")
    op.alter_column("nwide", "n", type_=sa.SmallInteger())
  """),
    ),
)

c(
    "n_exact_num",
    "numeric text with a CHECK to numeric and back in the same form",
    "INSERT INTO nver (v) VALUES ('10'), ('0')",
    table("nver", "v text NOT NULL CONSTRAINT ck_nver CHECK (v ~ '^(0|[1-9][0-9]{0,6})$')"),
    Step(
        "ALTER TABLE nver DROP CONSTRAINT ck_nver; ALTER TABLE nver ALTER v TYPE int USING v\\:\\:int",
        "ALTER TABLE nver ALTER v TYPE text; ALTER TABLE nver ADD CONSTRAINT ck_nver CHECK (v ~ '^(0|[1-9][0-9]{0,6})$')",
    ),
)

c(
    "n_del_by_up",
    "rows that the upgrade adds per parent are deleted by their mark",
    "INSERT INTO nclub VALUES (1); INSERT INTO nfees (club_id, what, src) VALUES (1, 'entry', 'user')",
    Step(
        "CREATE TABLE nclub (id int PRIMARY KEY); CREATE TABLE nfees (id serial PRIMARY KEY, club_id int NOT NULL REFERENCES nclub, what text NOT NULL, src text NOT NULL CHECK (src IN ('user', 'import')))",
        "DROP TABLE nfees; DROP TABLE nclub",
    ),
    Step(
        "ALTER TABLE nfees DROP CONSTRAINT nfees_src_check; ALTER TABLE nfees ADD CONSTRAINT nfees_src_check CHECK (src IN ('user', 'import', 'migration')); INSERT INTO nfees (club_id, what, src) SELECT id, 'annual', 'migration' FROM nclub",
        "DELETE FROM nfees WHERE src = 'migration'; ALTER TABLE nfees DROP CONSTRAINT nfees_src_check; ALTER TABLE nfees ADD CONSTRAINT nfees_src_check CHECK (src IN ('user', 'import'))",
    ),
)

c(
    "n_newcol_default_down",
    "downgrade maps values that only the new column type has",
    "INSERT INTO nvis (pub) VALUES (true), (false)",
    table("nvis", "pub boolean NOT NULL"),
    Step(
        "ALTER TABLE nvis ADD COLUMN vis text NOT NULL DEFAULT 'private'; UPDATE nvis SET vis = 'public' WHERE pub; ALTER TABLE nvis DROP COLUMN pub",
        "ALTER TABLE nvis ADD COLUMN pub boolean NOT NULL DEFAULT false; UPDATE nvis SET pub = true WHERE vis IN ('public', 'unlisted'); ALTER TABLE nvis ALTER pub DROP DEFAULT; ALTER TABLE nvis DROP COLUMN vis",
    ),
)

c(
    "n_status_added",
    "a new status is allowed; downgrade folds it back before the old CHECK",
    "INSERT INTO nleads (st) VALUES ('new'), ('won')",
    table("nleads", "st text NOT NULL CONSTRAINT ck_nleads CHECK (st IN ('new', 'won'))"),
    Step(
        python("""
    op.drop_constraint("ck_nleads", "nleads")
    op.create_check_constraint("ck_nleads", "nleads", "st IN ('new', 'won', 'parked')")
  """),
        python("""
    op.drop_constraint("ck_nleads", "nleads")
    op.execute("UPDATE nleads SET st = 'new' WHERE st = 'parked'")
    op.create_check_constraint("ck_nleads", "nleads", "st IN ('new', 'won')")
  """),
    ),
)

c(
    "n_null_down",
    "nullable made; downgrade fills NULL before NOT NULL again",
    "INSERT INTO nopt (v) VALUES ('x')",
    table("nopt", "v text NOT NULL"),
    Step(
        "ALTER TABLE nopt ALTER v DROP NOT NULL",
        "UPDATE nopt SET v = '' WHERE v IS NULL; ALTER TABLE nopt ALTER v SET NOT NULL",
    ),
)

c(
    "n_widen_down",
    "widened varchar; downgrade cuts what is too long",
    "INSERT INTO nshort (v) VALUES ('x')",
    table("nshort", "v varchar(10) NOT NULL"),
    Step(
        "ALTER TABLE nshort ALTER v TYPE varchar(50)",
        "UPDATE nshort SET v = left(v, 10) WHERE length(v) > 10; ALTER TABLE nshort ALTER v TYPE varchar(10)",
    ),
)

c(
    "o_setval2",
    "identity, sequence set by max",
    "INSERT INTO oseq VALUES (5, 'x')",
    Step("CREATE TABLE oseq (id int PRIMARY KEY, v text)", "DROP TABLE oseq"),
    Step(
        "ALTER TABLE oseq ALTER id ADD GENERATED BY DEFAULT AS IDENTITY; SELECT setval(pg_get_serial_sequence('oseq', 'id'), max(id)) FROM oseq",
        "ALTER TABLE oseq ALTER id DROP IDENTITY",
    ),
)
c(
    "o_setval3",
    "a sequence made and owned, set by coalesce(max, 1)",
    "INSERT INTO oseq3 VALUES (5, 'x')",
    Step("CREATE TABLE oseq3 (id int PRIMARY KEY, v text)", "DROP TABLE oseq3"),
    Step(
        "CREATE SEQUENCE oseq3_s OWNED BY oseq3.id; SELECT setval('oseq3_s', (SELECT coalesce(max(id), 0) + 1 FROM oseq3), false); ALTER TABLE oseq3 ALTER id SET DEFAULT nextval('oseq3_s')",
        "ALTER TABLE oseq3 ALTER id DROP DEFAULT; DROP SEQUENCE oseq3_s",
    ),
)
c(
    "o_setval4",
    "identity WITH restart by a computed number",
    "INSERT INTO oseq4 VALUES (5, 'x')",
    Step("CREATE TABLE oseq4 (id bigint PRIMARY KEY, v text)", "DROP TABLE oseq4"),
    Step(
        python("""
    bind = op.get_bind()
    top = bind.scalar(sa.text("SELECT coalesce(max(id), 0) FROM oseq4"))
    op.execute(f"ALTER TABLE oseq4 ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (START WITH {top + 1})")
  """),
        "ALTER TABLE oseq4 ALTER id DROP IDENTITY",
    ),
)
c(
    "o_temp_keep",
    "a temporary table without ON COMMIT DROP",
    "INSERT INTO ocells (c) VALUES ('a')",
    table("ocells", "c text NOT NULL"),
    Step(
        "CREATE TEMP TABLE ocell_map AS SELECT id, upper(c) AS u FROM ocells WHERE c <> ''; ALTER TABLE ocells ADD COLUMN d text; UPDATE ocells SET d = m.u FROM ocell_map m WHERE m.id = ocells.id",
        "ALTER TABLE ocells DROP COLUMN d",
    ),
)
c(
    "o_refuse_down",
    "DO block in downgrade refuses a label that came after",
    "INSERT INTO oshift (k) VALUES ('day')",
    table("oshift", "k text NOT NULL CONSTRAINT ck_oshift CHECK (k IN ('day', 'night'))"),
    Step(
        "ALTER TABLE oshift DROP CONSTRAINT ck_oshift; ALTER TABLE oshift ADD CONSTRAINT ck_oshift CHECK (k IN ('day', 'night', 'split'))",
        """DO $$ BEGIN
  IF EXISTS (SELECT FROM oshift WHERE k = 'split') THEN RAISE EXCEPTION 'split shifts are in use'; END IF;
  ALTER TABLE oshift DROP CONSTRAINT ck_oshift; ALTER TABLE oshift ADD CONSTRAINT ck_oshift CHECK (k IN ('day', 'night'));
END $$""",
    ),
)
c(
    "o_refuse_up_py",
    "Python guard in upgrade, then a one-to-one change",
    "INSERT INTO oroute (r) VALUES ('old')",
    table("oroute", "r text NOT NULL"),
    Step(
        python("""
    bind = op.get_bind()
    if bind.scalar(sa.text("SELECT EXISTS (SELECT 1 FROM oroute WHERE r = 'new')")):
        raise RuntimeError("'new' exists already; rename it first")
    bind.execute(sa.text("UPDATE oroute SET r = 'new' WHERE r = 'old'"))
  """),
        "UPDATE oroute SET r = 'old' WHERE r = 'new'",
    ),
)
c(
    "o_del_new_only",
    "downgrade deletes rows of a kind that only the new version writes, with a CHECK against them before",
    "INSERT INTO odoc (kind) VALUES ('pdf')",
    table("odoc", "kind text NOT NULL CONSTRAINT ck_odoc CHECK (kind <> 'link')"),
    Step(
        "ALTER TABLE odoc DROP CONSTRAINT ck_odoc",
        "DELETE FROM odoc WHERE kind = 'link'; ALTER TABLE odoc ADD CONSTRAINT ck_odoc CHECK (kind <> 'link')",
    ),
)
c(
    "o_fk_new_child",
    "downgrade unlinks what refers to rows of the new table",
    "INSERT INTO osong VALUES (1, 'a')",
    Step("CREATE TABLE osong (id int PRIMARY KEY, title text)", "DROP TABLE osong"),
    Step(
        "CREATE TABLE oalbum (id int PRIMARY KEY, title text); ALTER TABLE osong ADD COLUMN album_id int REFERENCES oalbum",
        "UPDATE osong SET title = osong.title || ' (' || a.title || ')' FROM oalbum a WHERE a.id = osong.album_id; ALTER TABLE osong DROP COLUMN album_id; DROP TABLE oalbum",
    ),
)
c(
    "o_inverse_money",
    "tax rate as percent to fraction with exact numerics",
    "INSERT INTO otax (p) VALUES (19.00), (7.50)",
    table("otax", "p numeric(5,2) NOT NULL CHECK (p BETWEEN 0 AND 100)"),
    Step(
        "ALTER TABLE otax DROP CONSTRAINT otax_p_check; ALTER TABLE otax ALTER p TYPE numeric(7,4) USING p / 100",
        "ALTER TABLE otax ALTER p TYPE numeric(5,2) USING p * 100; ALTER TABLE otax ADD CONSTRAINT otax_p_check CHECK (p BETWEEN 0 AND 100)",
    ),
)
c(
    "o_dedupe_under_unique",
    "dedupe of what a unique constraint forbids already can meet no row",
    "INSERT INTO oiban (iban) VALUES ('DE1')",
    table("oiban", "iban text NOT NULL UNIQUE"),
    Step(
        "DELETE FROM oiban a USING oiban b WHERE a.iban = b.iban AND a.id > b.id; ALTER TABLE oiban ADD COLUMN ok boolean NOT NULL DEFAULT true",
        "ALTER TABLE oiban DROP COLUMN ok",
    ),
)
c(
    "o_null_under_nn",
    "fill of NULLs under NOT NULL can meet no row",
    "INSERT INTO onn (v) VALUES (1)",
    table("onn", "v int NOT NULL"),
    Step(
        "UPDATE onn SET v = 0 WHERE v IS NULL; ALTER TABLE onn ALTER v SET DEFAULT 0",
        "ALTER TABLE onn ALTER v DROP DEFAULT",
    ),
)
c(
    "o_orphan_under_fk",
    "orphans under a validated foreign key cannot be",
    "INSERT INTO op_ VALUES (1); INSERT INTO oc_ VALUES (1, 1)",
    Step(
        "CREATE TABLE op_ (id int PRIMARY KEY); CREATE TABLE oc_ (id int PRIMARY KEY, op_id int NOT NULL REFERENCES op_)",
        "DROP TABLE oc_; DROP TABLE op_",
    ),
    Step(
        "DELETE FROM oc_ WHERE NOT EXISTS (SELECT 1 FROM op_ WHERE op_.id = oc_.op_id); ALTER TABLE oc_ ADD COLUMN n int",
        "ALTER TABLE oc_ DROP COLUMN n",
    ),
)
c(
    "o_code_check",
    "hex colour by a CHECK to integer and back",
    "INSERT INTO ohex (c) VALUES ('#00ff7f')",
    table("ohex", "c char(7) NOT NULL CONSTRAINT ck_ohex CHECK (c ~ '^#[0-9a-f]{6}$')"),
    Step(
        "ALTER TABLE ohex DROP CONSTRAINT ck_ohex; ALTER TABLE ohex ALTER c TYPE int USING ('x' || lpad(substr(c, 2), 8, '0'))\\:\\:bit(32)\\:\\:int",
        "ALTER TABLE ohex ALTER c TYPE char(7) USING '#' || lpad(to_hex(c), 6, '0'); ALTER TABLE ohex ADD CONSTRAINT ck_ohex CHECK (c ~ '^#[0-9a-f]{6}$')",
    ),
)
c(
    "o_code_check2",
    "airport codes by a CHECK, joined and split",
    "INSERT INTO oleg (a, b) VALUES ('HAM', 'OSL')",
    table("oleg", "a char(3) NOT NULL CHECK (a ~ '^[A-Z]{3}$'), b char(3) NOT NULL CHECK (b ~ '^[A-Z]{3}$')"),
    Step(
        "ALTER TABLE oleg ADD COLUMN leg text; UPDATE oleg SET leg = a || '-' || b; ALTER TABLE oleg ALTER leg SET NOT NULL",
        "ALTER TABLE oleg DROP COLUMN leg",
    ),
)
c(
    "o_plate_check",
    "licence plates by a CHECK with alternatives",
    "INSERT INTO oplate (p) VALUES ('AB 123')",
    table("oplate", "p text NOT NULL CHECK (p ~ '^[A-Z]{1,3} [1-9][0-9]{0,3}(E|H)?$')"),
    Step(
        "ALTER TABLE oplate ADD COLUMN electric boolean; UPDATE oplate SET electric = p LIKE '%E'",
        "ALTER TABLE oplate DROP COLUMN electric",
    ),
)
