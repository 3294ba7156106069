"""Preconditions of data statements, several in one revision, and those that the migrations themselves establish."""

from support.data_case import Step, python
from support.precondition_case import ConditionList

# fmt: off
CAST = ConditionList()
CAST.ask("number_from_a_note", "the cast is in an UPDATE, whose WHERE leaves rows out",
    "CREATE TABLE memos (id serial PRIMARY KEY, kind text NOT NULL, note text)",
    "ALTER TABLE memos ADD number int; UPDATE memos SET number = note::int WHERE kind = 'count'", "ALTER TABLE memos DROP number",
    good="INSERT INTO memos (kind, note) VALUES ('count', '7'), ('text', 'hello')",
    bad=("INSERT INTO memos (kind, note) VALUES ('count', '7'), ('count', 'seven'), ('text', 'hello')", 1),
    nulls="INSERT INTO memos (kind) VALUES ('count')")
CAST.ask("codes_into_a_new_table", "the cast is in an INSERT … SELECT",
    "CREATE TABLE legacy_codes (id serial PRIMARY KEY, code text)",
    "CREATE TABLE uuid_codes (code uuid); INSERT INTO uuid_codes SELECT code::uuid FROM legacy_codes", "DROP TABLE uuid_codes",
    good="INSERT INTO legacy_codes (code) VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')",
    bad=("INSERT INTO legacy_codes (code) VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), ('7')", 1),
    nulls="INSERT INTO legacy_codes (code) VALUES (NULL)")
CAST.ask("number_out_of_a_document", "the cast of a member of jsonb, by SQLAlchemy",
    "CREATE TABLE payloads (id serial PRIMARY KEY, body jsonb)",
    python("""
        op.add_column("payloads", sa.Column("total", sa.Numeric(8, 2)))
        op.execute("UPDATE payloads SET total = (body ->> 'total')::numeric")
        """),
    'python:op.drop_column("payloads", "total")',
    good="""INSERT INTO payloads (body) VALUES ('{"total": 1.5}'), ('{"total": "2"}'), ('{}')""",
    bad=("""INSERT INTO payloads (body) VALUES ('{"total": 1.5}'), ('{"total": "two"}'), ('{"total": 1000000}')""", 2),
    nulls="INSERT INTO payloads (body) VALUES (NULL)", conditions=(1, 2))
CAST.ask("unique_names_into_a_new_table", "rows are copied into a table with a unique and a NOT NULL column",
    "CREATE TABLE old_tags (id serial PRIMARY KEY, label text)",
    python("""
        op.create_table("new_tags", sa.Column("id", sa.Integer, primary_key=True), sa.Column("label", sa.Text, nullable=False, unique=True))
        op.execute("INSERT INTO new_tags (label) SELECT lower(label) FROM old_tags")
        """),
    'python:op.drop_table("new_tags")',
    good="INSERT INTO old_tags (label) VALUES ('a'), ('b')", bad=("INSERT INTO old_tags (label) VALUES ('a'), ('A'), ('b')", 2),
    nulls=("INSERT INTO old_tags (label) VALUES ('a'), (NULL)", 1), conditions=2)
CAST.ask("amount_divided", "the expression fails on some values, without a cast",
    "CREATE TABLE contracts_in_parts (id serial PRIMARY KEY, total int, parts int)",
    "ALTER TABLE contracts_in_parts ADD share numeric; UPDATE contracts_in_parts SET share = total::numeric / parts", "ALTER TABLE contracts_in_parts DROP share",
    good="INSERT INTO contracts_in_parts (total, parts) VALUES (1, 2), (0, 1)", bad=("INSERT INTO contracts_in_parts (total, parts) VALUES (1, 2), (1, 0)", 1),
    nulls="INSERT INTO contracts_in_parts (total, parts) VALUES (NULL, 0), (1, NULL)")
CAST.ask("narrow_target_of_an_update", "a text is written into a shorter column",
    "CREATE TABLE people_names (id serial PRIMARY KEY, given text, family text)",
    "ALTER TABLE people_names ADD initials varchar(5); UPDATE people_names SET initials = upper(given)", "ALTER TABLE people_names DROP initials",
    good="INSERT INTO people_names (given) VALUES ('ab')", bad=("INSERT INTO people_names (given) VALUES ('ab'), ('abcdef')", 1),
    nulls="INSERT INTO people_names (given) VALUES (NULL)")

SEVERAL = ConditionList()
SEVERAL.ask("three_in_one_revision", "NOT NULL, a check and a unique constraint of one table",
    "CREATE TABLE articles (id serial PRIMARY KEY, number text, price numeric)",
    python("""
        op.alter_column("articles", "number", nullable=False)
        op.create_check_constraint("ck_articles_price", "articles", "price > 0")
        op.create_unique_constraint("uq_articles_number", "articles", ["number"])
        """),
    python("""
        op.drop_constraint("uq_articles_number", "articles")
        op.drop_constraint("ck_articles_price", "articles")
        op.alter_column("articles", "number", nullable=True)
        """),
    good="INSERT INTO articles (number, price) VALUES ('a', 1), ('b', 2)",
    bad=("INSERT INTO articles (number, price) VALUES ('a', 1), ('a', 2), ('b', 0)", 3),
    nulls=("INSERT INTO articles (number, price) VALUES (NULL, NULL), (NULL, 1)", 2), conditions=3)
SEVERAL.ask("one_statement_three_conditions", "one ALTER TABLE with a type change, a foreign key and NOT NULL",
    "CREATE TABLE depots (id int PRIMARY KEY); CREATE TABLE crates (id serial PRIMARY KEY, weight text, depot int, label text)",
    "ALTER TABLE crates ALTER weight TYPE int USING weight::int, ADD CONSTRAINT fk_crates_depot FOREIGN KEY (depot) REFERENCES depots, ALTER label SET NOT NULL",
    "ALTER TABLE crates ALTER label DROP NOT NULL, DROP CONSTRAINT fk_crates_depot, ALTER weight TYPE text",
    good="INSERT INTO depots VALUES (1); INSERT INTO crates (weight, depot, label) VALUES ('1', 1, 'a')",
    bad=("INSERT INTO depots VALUES (1); INSERT INTO crates (weight, depot, label) VALUES ('1', 1, 'a'), ('x', 1, 'a'), ('1', 2, 'a')", 2),
    nulls=("INSERT INTO crates (weight, depot, label) VALUES (NULL, NULL, 'a'), (NULL, NULL, NULL)", 1), conditions=3, may_lose=True)
SEVERAL.ask("batch_of_changes", "batch_alter_table of Alembic, on quoted names",
    'CREATE TABLE "CaseFiles" (id serial PRIMARY KEY, "fileNo" text)',
    python("""
        with op.batch_alter_table("CaseFiles") as batch:
            batch.alter_column("fileNo", nullable=False)
            batch.create_unique_constraint("uq_case_files", ["fileNo"])
        """),
    python("""
        with op.batch_alter_table("CaseFiles") as batch:
            batch.drop_constraint("uq_case_files")
            batch.alter_column("fileNo", nullable=True)
        """),
    good="""INSERT INTO "CaseFiles" ("fileNo") VALUES ('a'), ('b')""", bad=("""INSERT INTO "CaseFiles" ("fileNo") VALUES ('a'), ('b'), ('a')""", 2),
    nulls=("""INSERT INTO "CaseFiles" DEFAULT VALUES""", 1), conditions=2)
SEVERAL.ask("type_change_then_check", "the check is one of the new type, the rows of before have the old one",
    "CREATE TABLE gauges (id serial PRIMARY KEY, level text NOT NULL)",
    "ALTER TABLE gauges ALTER level TYPE int USING level::int; ALTER TABLE gauges ADD CONSTRAINT ck_gauges_level CHECK (level BETWEEN 0 AND 9)",
    "ALTER TABLE gauges DROP CONSTRAINT ck_gauges_level; ALTER TABLE gauges ALTER level TYPE text",
    good="INSERT INTO gauges (level) VALUES ('0'), ('9')", bad=("INSERT INTO gauges (level) VALUES ('0'), ('10'), ('-1')", 2),
    conditions=2, may_lose=True)
SEVERAL.ask("some_duplicates_removed", "the revision removes duplicates of one state only",
    "CREATE TABLE signups (id serial PRIMARY KEY, mail text, state text NOT NULL)",
    "DELETE FROM signups AS a USING signups AS b WHERE a.mail = b.mail AND a.id > b.id AND a.state = 'pending'; CREATE UNIQUE INDEX uq_signups_mail ON signups (mail)",
    "DROP INDEX uq_signups_mail",
    good="INSERT INTO signups (mail, state) VALUES ('a', 'done'), ('a', 'pending'), ('b', 'pending')",
    bad=("INSERT INTO signups (mail, state) VALUES ('a', 'done'), ('a', 'done'), ('b', 'done'), ('b', 'pending')", 2),
    nulls="INSERT INTO signups (mail, state) VALUES (NULL, 'done'), (NULL, 'done')", may_lose=True)
SEVERAL.ask("column_from_two_revisions", "the column is added by an earlier pending revision, without values: any row violates",
    "CREATE TABLE depositors (id serial PRIMARY KEY, name text)",
    'python:op.alter_column("depositors", "rank", nullable=False)', 'python:op.alter_column("depositors", "rank", nullable=True)',
    between=[Step('python:op.add_column("depositors", sa.Column("rank", sa.Integer))', 'python:op.drop_column("depositors", "rank")')],
    good="SELECT 1", bad=("INSERT INTO depositors (name) VALUES ('a'), ('b')", 2),
    late=("INSERT INTO depositors (name, rank) VALUES ('a', 1), ('b', NULL)", 1))

NONE = ConditionList()
NONE.control("constraints_of_a_new_table", "there are no rows before",
    "CREATE TABLE firms (id serial PRIMARY KEY, name text)",
    "CREATE TABLE offices (id serial PRIMARY KEY, firm_id int NOT NULL REFERENCES firms, floor int CHECK (floor > 0), code text UNIQUE)", "DROP TABLE offices",
    rows="INSERT INTO firms (name) VALUES ('x'), (NULL)")
NONE.control("check_not_valid", "it is not asked of the old rows",
    "CREATE TABLE weights (id serial PRIMARY KEY, grams int)",
    "ALTER TABLE weights ADD CONSTRAINT ck_weights CHECK (grams > 0) NOT VALID", "ALTER TABLE weights DROP CONSTRAINT ck_weights",
    rows="INSERT INTO weights (grams) VALUES (-1), (NULL)")
NONE.control("types_that_widen", "each old value fits",
    "CREATE TABLE widths (id serial PRIMARY KEY, a int, b varchar(20), c numeric(8,2), d date)",
    "ALTER TABLE widths ALTER a TYPE bigint, ALTER b TYPE varchar(40), ALTER c TYPE numeric(10,2), ALTER d TYPE timestamp",
    "ALTER TABLE widths ALTER a TYPE int, ALTER b TYPE varchar(20), ALTER c TYPE numeric(8,2), ALTER d TYPE date",
    rows="INSERT INTO widths (a, b, c, d) VALUES (2147483647, repeat('x', 20), 999999.99, '2026-01-01'), (NULL, NULL, NULL, NULL)")
NONE.control("not_null_backed_by_a_check", "a valid check proves it",
    "CREATE TABLE proofs (id serial PRIMARY KEY, page int CONSTRAINT ck_proofs_page CHECK (page IS NOT NULL))",
    "ALTER TABLE proofs ALTER page SET NOT NULL", "ALTER TABLE proofs ALTER page DROP NOT NULL",
    rows="INSERT INTO proofs (page) VALUES (1)")
NONE.control("unique_already", "the columns have a unique key among them",
    "CREATE TABLE keys_of_doors (id serial PRIMARY KEY, number int NOT NULL UNIQUE, door text)",
    "CREATE UNIQUE INDEX uq_doors ON keys_of_doors (number, door)", "DROP INDEX uq_doors",
    rows="INSERT INTO keys_of_doors (number, door) VALUES (1, 'a'), (2, 'a')")
NONE.control("key_on_a_new_column", "the new column is NULL everywhere",
    "CREATE TABLE editors (id int PRIMARY KEY); CREATE TABLE pages_of_text (id serial PRIMARY KEY, title text)",
    python("""
        op.add_column("pages_of_text", sa.Column("editor_id", sa.Integer))
        op.create_foreign_key("fk_pages_editor", "pages_of_text", "editors", ["editor_id"], ["id"])
        """),
    'python:op.drop_column("pages_of_text", "editor_id")',
    rows="INSERT INTO pages_of_text (title) VALUES ('a'), ('b')")
NONE.control("required_column_with_default", "each old row gets the default",
    "CREATE TABLE doors (id serial PRIMARY KEY, colour text)",
    'python:op.add_column("doors", sa.Column("locked", sa.Boolean, nullable=False, server_default=sa.false()))', 'python:op.drop_column("doors", "locked")',
    rows="INSERT INTO doors (colour) VALUES ('red'), (NULL)")
NONE.control("new_column_filled_first", "the same revision fills the column before it is NOT NULL",
    "CREATE TABLE orders_of_goods (id serial PRIMARY KEY, cents int)",
    python("""
        op.add_column("orders_of_goods", sa.Column("currency", sa.String(3)))
        op.execute("UPDATE orders_of_goods SET currency = 'EUR'")
        op.alter_column("orders_of_goods", "currency", nullable=False)
        """),
    'python:op.drop_column("orders_of_goods", "currency")',
    rows="INSERT INTO orders_of_goods (cents) VALUES (1), (NULL)")
NONE.control("old_column_filled_first", "the same revision fills the gaps of an old column, and the downgrade knows which they were",
    "CREATE TABLE countries_of_birth (id serial PRIMARY KEY, code text CONSTRAINT ck_birth_code CHECK (code ~ '^[A-Z]{2}$'))",
    "ALTER TABLE countries_of_birth DROP CONSTRAINT ck_birth_code; UPDATE countries_of_birth SET code = 'unknown' WHERE code IS NULL; ALTER TABLE countries_of_birth ALTER code SET NOT NULL",
    "ALTER TABLE countries_of_birth ALTER code DROP NOT NULL; UPDATE countries_of_birth SET code = NULL WHERE code = 'unknown'; ALTER TABLE countries_of_birth ADD CONSTRAINT ck_birth_code CHECK (code ~ '^[A-Z]{2}$')",
    rows="INSERT INTO countries_of_birth (code) VALUES ('DE'), (NULL)")
NONE.control("not_null_of_a_key_column", "the column is in the primary key already, and the check of the type follows from it",
    "CREATE TABLE numbers_of_lines (id int PRIMARY KEY, n smallint)",
    "ALTER TABLE numbers_of_lines ALTER id SET NOT NULL; ALTER TABLE numbers_of_lines ALTER n TYPE int", "ALTER TABLE numbers_of_lines ALTER n TYPE smallint",
    rows="INSERT INTO numbers_of_lines VALUES (1, 32767), (2, NULL)")
NONE.control("new_column_checked", "the check is one of the new column alone, whose default satisfies it",
    "CREATE TABLE ladders (id serial PRIMARY KEY, metres int)",
    "ALTER TABLE ladders ADD steps int NOT NULL DEFAULT 5 CHECK (steps > 0)", "ALTER TABLE ladders DROP steps",
    rows="INSERT INTO ladders (metres) VALUES (1), (NULL)")
NONE.control("validated_already", "the constraint is valid: nothing is asked",
    "CREATE TABLE hooks_in_walls (id serial PRIMARY KEY, load int CONSTRAINT ck_hooks CHECK (load > 0))",
    "ALTER TABLE hooks_in_walls VALIDATE CONSTRAINT ck_hooks", "python:pass  # nothing was changed",
    rows="INSERT INTO hooks_in_walls (load) VALUES (1), (NULL)")

CHAINS = ConditionList()
"""Shapes that were judged wrongly in the chains of public projects."""
CHAINS.ask("filled_from_the_parent", "UPDATE … FROM fills a new column before it is NOT NULL; the old column is dropped",
    "CREATE TABLE persons_known (id int PRIMARY KEY, nick text UNIQUE); CREATE TABLE duties (id serial PRIMARY KEY, nick text)",
    """ALTER TABLE duties ADD person int; UPDATE duties SET person = p.id FROM persons_known AS p WHERE p.nick = duties.nick;
    ALTER TABLE duties ALTER person SET NOT NULL""",
    "ALTER TABLE duties DROP person",
    good="INSERT INTO persons_known VALUES (1, 'ada'); INSERT INTO duties (nick) VALUES ('ada'), ('ada')",
    bad=("INSERT INTO persons_known VALUES (1, 'ada'); INSERT INTO duties (nick) VALUES ('ada'), ('bob')", 1),
    nulls=("INSERT INTO persons_known VALUES (1, 'ada'); INSERT INTO duties (nick) VALUES (NULL)", 1))
CHAINS.ask("filled_by_a_subquery", "a subquery reads columns of its own table and of the updated one, without their tables",
    "CREATE TABLE forms (form_id int PRIMARY KEY, edition int); CREATE TABLE prints (id serial PRIMARY KEY, form int)",
    """ALTER TABLE prints ADD print_edition int; UPDATE prints SET print_edition = (SELECT edition FROM forms WHERE form_id = form);
    ALTER TABLE prints ALTER print_edition SET NOT NULL""",
    "ALTER TABLE prints DROP print_edition",
    good="INSERT INTO forms VALUES (1, 3); INSERT INTO prints (form) VALUES (1)",
    bad=("INSERT INTO forms VALUES (1, 3), (2, NULL); INSERT INTO prints (form) VALUES (1), (2), (5)", 2),
    nulls=("INSERT INTO prints (form) VALUES (NULL)", 1))
CHAINS.ask("key_of_a_new_empty_table", "an old column refers to a table that is created empty",
    "CREATE TABLE leaflets (id serial PRIMARY KEY, rack_id int)",
    """CREATE TABLE racks (id int PRIMARY KEY);
    ALTER TABLE leaflets ADD CONSTRAINT fk_leaflets FOREIGN KEY (rack_id) REFERENCES racks""",
    "ALTER TABLE leaflets DROP CONSTRAINT fk_leaflets; DROP TABLE racks",
    good="INSERT INTO leaflets (rack_id) VALUES (NULL)", bad=("INSERT INTO leaflets (rack_id) VALUES (7), (NULL)", 1))
CHAINS.ask("null_into_a_required_column", "an UPDATE writes what it does not find into a column that is NOT NULL",
    "CREATE TABLE kinds_of_ads (kind_id int PRIMARY KEY, weight int); CREATE TABLE ads (id serial PRIMARY KEY, kind int, rate int NOT NULL)",
    "UPDATE ads SET rate = (SELECT weight FROM kinds_of_ads WHERE kind_id = kind)",
    "python:pass  # the rates of before are not known",
    good="INSERT INTO kinds_of_ads VALUES (1, 3); INSERT INTO ads (kind, rate) VALUES (1, 2)",
    bad=("INSERT INTO kinds_of_ads VALUES (1, 3); INSERT INTO ads (kind, rate) VALUES (1, 2), (2, 2)", 1),
    nulls=("INSERT INTO ads (kind, rate) VALUES (NULL, 2)", 1), may_lose=True)
CHAINS.ask("computed_by_own_function", "a function of the project, without its schema, makes the values of a unique column",
    "CREATE FUNCTION plain_title(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(btrim($1)) $$; CREATE TABLE songs_sung (id serial PRIMARY KEY, title text)",
    """ALTER TABLE songs_sung ADD plain text; UPDATE songs_sung SET plain = plain_title(title);
    ALTER TABLE songs_sung ADD CONSTRAINT uq_songs UNIQUE (plain)""",
    "ALTER TABLE songs_sung DROP plain",
    good="INSERT INTO songs_sung (title) VALUES ('Hey'), ('Ho')",
    bad=("INSERT INTO songs_sung (title) VALUES ('Hey'), (' hey'), ('Ho')", 2),
    nulls="INSERT INTO songs_sung (title) VALUES (NULL), (NULL)")
CHAINS.control("unique_of_another_text_type", "values that differ still do: int to text, text to varchar",
    "CREATE TABLE badges (code text PRIMARY KEY, number int UNIQUE)",
    "ALTER TABLE badges ALTER code TYPE varchar; ALTER TABLE badges ALTER number TYPE text",
    "ALTER TABLE badges ALTER code TYPE text; ALTER TABLE badges ALTER number TYPE int USING number::int",
    rows="INSERT INTO badges VALUES ('a', 1), ('b', NULL)")

GROUPS = {"cast": CAST, "several": SEVERAL, "none": NONE, "chains": CHAINS}
