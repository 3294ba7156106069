"""Migrations that fail where rows have met a condition: they work on all rows that do not."""

from support.data_case import Step, control, fault, python, table

FAILURES = [
    fault("codes_that_became_longer", "the downgrade narrows the column, in which old codes have got a suffix", "too long",
        "INSERT INTO cost_centres (code) VALUES ('L0042'), ('K1')",
        table("cost_centres", "code varchar(6) NOT NULL"),
        Step("ALTER TABLE cost_centres ALTER code TYPE varchar(20); UPDATE cost_centres SET code = code || '-legacy' WHERE code ~ '^L[0-9]{4}$'",
             "ALTER TABLE cost_centres ALTER code TYPE varchar(6)"), fails=True),
    fault("placeholder_became_null", "the downgrade makes the column NOT NULL again, and does not fill it", "null values",
        "INSERT INTO doctors (phone) VALUES ('unknown'), ('112')",
        table("doctors", "phone varchar(20) NOT NULL"),
        Step("ALTER TABLE doctors ALTER phone DROP NOT NULL; UPDATE doctors SET phone = NULL WHERE phone IN ('unknown', 'none', '0')",
             "ALTER TABLE doctors ALTER phone SET NOT NULL"), fails=True),
    fault("slugs_not_unique_any_more", "two spellings are merged, so the unique key cannot be made again", "uq_topics_slug",
        "INSERT INTO topics (slug) VALUES ('colour'), ('color')",
        Step("CREATE TABLE topics (id serial PRIMARY KEY, slug varchar(40) NOT NULL, CONSTRAINT uq_topics_slug UNIQUE (slug))", "DROP TABLE topics"),
        Step("ALTER TABLE topics DROP CONSTRAINT uq_topics_slug; UPDATE topics SET slug = 'color' WHERE slug = 'colour'",
             "ALTER TABLE topics ADD CONSTRAINT uq_topics_slug UNIQUE (slug)"), fails=True),
    fault("rates_with_a_word", "one rate becomes a word, which the downgrade cannot read as a number", "invalid input syntax",
        "INSERT INTO freight_rates (rate) VALUES (12.50), (3)",
        table("freight_rates", "rate numeric(6, 2) NOT NULL"),
        Step("ALTER TABLE freight_rates ALTER rate TYPE text USING CASE WHEN rate = 12.5 THEN 'standard' ELSE rate::text END",
             "ALTER TABLE freight_rates ALTER rate TYPE numeric(6, 2) USING rate::numeric"), fails=True),
    fault("district_without_its_parent", "a district is deleted while no foreign key protects it, and the downgrade makes that key", "fk_streets_district",
        "INSERT INTO districts VALUES ('XX'), ('MI'); INSERT INTO streets (district) VALUES ('XX'), ('MI')",
        Step("CREATE TABLE districts (code char(2) PRIMARY KEY); CREATE TABLE streets (id serial PRIMARY KEY, district char(2) NOT NULL CONSTRAINT fk_streets_district REFERENCES districts)",
             "DROP TABLE streets; DROP TABLE districts"),
        Step("ALTER TABLE streets DROP CONSTRAINT fk_streets_district; DELETE FROM districts WHERE code = 'XX'",
             "ALTER TABLE streets ADD CONSTRAINT fk_streets_district FOREIGN KEY (district) REFERENCES districts"), fails=True),
    fault("key_that_the_map_has_not", "a dictionary has no entry for a kind that open cases may have", "KeyError",
        "INSERT INTO cases (kind, state) VALUES ('loan', 'open'), ('fraud', 'open'), ('odd', 'closed')",
        table("cases", "kind varchar(12) NOT NULL, state varchar(12) NOT NULL"),
        Step(python("""
            op.add_column("cases", sa.Column("queue", sa.Text))
            bind = op.get_bind()
            for row in bind.execute(sa.text("SELECT id, kind FROM cases WHERE state = 'open'")).all():
                bind.execute(sa.text("UPDATE cases SET queue = :queue WHERE id = :id"), {"id": row.id, "queue": QUEUES[row.kind]})
            """),
            'python:op.drop_column("cases", "queue")',
            before='QUEUES = {"loan": "credit", "card": "payments"}'), fails=True),
    fault("amount_per_part", "the share is divided by a number of parts that may be zero where a contract is active", "division by zero",
        "INSERT INTO contracts (status, total, parts) VALUES ('active', 100, 0), ('ended', 100, 0), ('active', 90, 3)",
        table("contracts", "status varchar(10) NOT NULL, total int NOT NULL, parts int NOT NULL"),
        Step("ALTER TABLE contracts ADD share numeric; UPDATE contracts SET share = total::numeric / parts WHERE status = 'active'",
             "ALTER TABLE contracts DROP share"), fails=True),
]  # fmt: skip

WORKING = [
    control("codes_that_get_shorter_again", "the suffix is cut off before the column is narrowed; no code of before could have it",
        "INSERT INTO cost_centres (code) VALUES ('L0042'), ('K1')",
        table("cost_centres", "code varchar(6) NOT NULL"),
        Step("ALTER TABLE cost_centres ALTER code TYPE varchar(20); UPDATE cost_centres SET code = code || '-legacy' WHERE code ~ '^L[0-9]{4}$'",
             "UPDATE cost_centres SET code = left(code, length(code) - 7) WHERE length(code) > 7 AND code LIKE '%-legacy'; ALTER TABLE cost_centres ALTER code TYPE varchar(6)")),
    control("key_that_the_map_may_miss", "the dictionary has a default, and the column is a new one",
        "INSERT INTO cases (kind, state) VALUES ('loan', 'open'), ('fraud', 'open'), ('odd', 'closed')",
        table("cases", "kind varchar(12) NOT NULL, state varchar(12) NOT NULL"),
        Step(python("""
            op.add_column("cases", sa.Column("queue", sa.Text))
            bind = op.get_bind()
            for row in bind.execute(sa.text("SELECT id, kind FROM cases WHERE state = 'open'")).all():
                bind.execute(sa.text("UPDATE cases SET queue = :queue WHERE id = :id"), {"id": row.id, "queue": QUEUES.get(row.kind, "others")})
            """),
            'python:op.drop_column("cases", "queue")',
            before='QUEUES = {"loan": "credit", "card": "payments"}')),
    control("share_of_parts_or_nothing", "no division where there are no parts",
        "INSERT INTO contracts (status, total, parts) VALUES ('active', 100, 0), ('ended', 100, 0), ('active', 90, 3)",
        table("contracts", "status varchar(10) NOT NULL, total int NOT NULL, parts int NOT NULL"),
        Step("ALTER TABLE contracts ADD share numeric; UPDATE contracts SET share = total::numeric / NULLIF(parts, 0) WHERE status = 'active'",
             "ALTER TABLE contracts DROP share")),
]  # fmt: skip

FAULT_GROUPS = {"failures": FAILURES}
CONTROL_GROUPS = {"no failures": WORKING}
