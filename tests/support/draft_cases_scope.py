"""Cases of the draft battery: what is not the models' is left alone; and drafts that a person must decide."""

from support.draft_case import ModelChange, column, part

# fmt: off

BEFORE = 'table("t", Column("a", Text))'
AFTER = 'table("t", Column("a", Text), Column("b", Integer))'


def left_alone(name: str, sql: str, holds: str = "", **more: object) -> ModelChange:
    """Return the case of objects that others have made in the database."""
    given = {"outside": sql, "holds": holds, "without_create_all": True, **more}
    return ModelChange(name, AFTER, BEFORE, **given)  # type: ignore[arg-type]


def made_by_hand(name: str, sql: str, undo: str, holds: str = "", after: str = AFTER, **more: object) -> ModelChange:
    """Return the case of objects that a revision has made by hand, and that stay."""
    given = {"follow": sql, "follow_undo": undo, "holds": holds, "without_create_all": True, **more}
    return ModelChange(name, after, BEFORE, **given)  # type: ignore[arg-type]


CASES = (
    left_alone("table_of_others", "CREATE TABLE spatial_ref_sys (srid int); INSERT INTO spatial_ref_sys VALUES (1)", "SELECT count(*) = 1 FROM spatial_ref_sys"),
    ModelChange(
        "table_of_others_with_same_name",
        'table("events", Column("note", Text), schema="audit")',
        'table("events", schema="audit")',
        outside="CREATE TABLE public.events (id int PRIMARY KEY, payload text); INSERT INTO public.events VALUES (1, 'precious')",
        holds="SELECT count(*) = 1 FROM public.events WHERE payload = 'precious'",
        without_create_all=True,
    ),
    left_alone("schema_of_others", "CREATE SCHEMA theirs; CREATE TABLE theirs.t (id int); CREATE TYPE theirs.kind AS ENUM ('x'); CREATE SEQUENCE theirs.s", "SELECT to_regclass('theirs.t') IS NOT NULL"),
    left_alone("objects_of_others", "CREATE VIEW v_theirs AS SELECT 1 AS one; CREATE FUNCTION f_theirs() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE MATERIALIZED VIEW m_theirs AS SELECT 2 AS two; CREATE DOMAIN d_theirs AS text", "SELECT one = 1 FROM v_theirs", drifts=("view v_theirs", "function f_theirs()", "materialized view m_theirs", "domain d_theirs")),
    left_alone("odd_tables_of_others", 'CREATE TABLE "not-ours at all" (id int); CREATE TABLE "ünï" (id int); CREATE TABLE "a.b" (id int); CREATE TABLE "say ""x""" (id int)'),
    left_alone("extension_of_others", "CREATE EXTENSION hstore; CREATE TABLE member (id int); ALTER EXTENSION hstore ADD TABLE member", "SELECT to_regclass('member') IS NOT NULL", drifts=("extension hstore",)),
    made_by_hand("extension_member", "CREATE EXTENSION hstore; CREATE TABLE member (id int); ALTER EXTENSION hstore ADD TABLE member", "DROP EXTENSION hstore", "SELECT to_regclass('member') IS NOT NULL"),
    made_by_hand("view_and_function_by_hand", "CREATE VIEW v AS SELECT a FROM t; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE MATERIALIZED VIEW m AS SELECT a FROM t", "DROP MATERIALIZED VIEW m; DROP FUNCTION f(); DROP VIEW v", "SELECT count(*) = 0 FROM v"),
    made_by_hand("trigger_and_policy_by_hand", "CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); CREATE POLICY p ON t USING (true); GRANT SELECT ON t TO PUBLIC", "DROP POLICY p ON t; DROP TRIGGER tr ON t; REVOKE SELECT ON t FROM PUBLIC"),
    made_by_hand("inherited_child_by_hand", "CREATE TABLE child (extra text) INHERITS (t)", "DROP TABLE child", "SELECT to_regclass('child') IS NOT NULL"),
    made_by_hand("statistics_and_storage_by_hand", "CREATE STATISTICS st ON id, a FROM t; ALTER TABLE t ALTER a SET STORAGE EXTERNAL; ALTER TABLE t ALTER a SET STATISTICS 50", "DROP STATISTICS st; ALTER TABLE t ALTER a SET STORAGE EXTENDED; ALTER TABLE t ALTER a SET STATISTICS -1"),
    made_by_hand("types_by_hand", "CREATE TYPE pair AS (x int, y int); CREATE TYPE spare AS ENUM ('x'); CREATE SEQUENCE spare_no; CREATE DOMAIN spare_d AS text; CREATE SCHEMA spare_s", "DROP SCHEMA spare_s; DROP DOMAIN spare_d; DROP SEQUENCE spare_no; DROP TYPE spare; DROP TYPE pair"),
    made_by_hand("foreign_data_by_hand", "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; CREATE FOREIGN TABLE ft (a text) SERVER files OPTIONS (filename '/dev/null')", "DROP FOREIGN TABLE ft; DROP SERVER files; DROP EXTENSION file_fdw", "SELECT to_regclass('ft') IS NOT NULL"),
    ModelChange(
        "table_by_hand_that_no_model_has",
        AFTER,
        BEFORE,
        follow="CREATE TABLE forgotten (id int PRIMARY KEY, x text)",
        follow_undo="DROP TABLE forgotten",
        drops=("table forgotten",),
    ),
    *(
        ModelChange(
            f"table_that_no_model_has_below_{name}",
            'table("t", Column("a", Text), Column("b", Integer, server_default=text("seven()")))',
            BEFORE,
            setup="CREATE FUNCTION seven() RETURNS int LANGUAGE sql AS 'SELECT 7'",
            undo="DROP FUNCTION seven()",
            follow=f"CREATE TABLE forgotten (id int PRIMARY KEY, x text); {sql}",
            follow_undo=f"{undo}; DROP TABLE forgotten",
            drops=("table forgotten",),
        )
        for name, sql, undo in (
            ("a_view", "CREATE VIEW on_it AS SELECT id FROM forgotten", "DROP VIEW on_it"),
            ("views", "CREATE VIEW on_it AS SELECT id FROM forgotten; CREATE MATERIALIZED VIEW on_view AS SELECT id FROM on_it; CREATE VIEW of_all AS SELECT o.id FROM on_view AS o, t", "DROP VIEW of_all; DROP MATERIALIZED VIEW on_view; DROP VIEW on_it"),
            ("a_table_that_refers_to_it", "CREATE TABLE forgotten_too (id int REFERENCES forgotten)", "DROP TABLE forgotten_too"),
        )
    ),
    made_by_hand("table_marked_as_view", "CREATE VIEW totals AS SELECT count(*) AS n FROM t", "DROP VIEW totals", "SELECT n = 0 FROM totals", AFTER + '\nTable("totals", metadata, Column("n", BigInteger), info={"is_view": True})', excludes=("totals",)),
    made_by_hand("table_marked_as_view_that_is_a_table", "CREATE TABLE totals (n bigint)", "DROP TABLE totals", "SELECT to_regclass('totals') IS NOT NULL", AFTER + '\nTable("totals", metadata, Column("n", BigInteger), info={"is_view": True})', excludes=("totals",)),
    made_by_hand(
        "table_that_a_hook_excludes",
        "CREATE TABLE legacy (id int)",
        "DROP TABLE legacy",
        "SELECT to_regclass('legacy') IS NOT NULL",
        configure='include_object=lambda object, name, type_, reflected, compare_to: name != "legacy"',
    ),
    made_by_hand(
        "table_that_a_name_hook_excludes",
        "CREATE TABLE legacy (id int)",
        "DROP TABLE legacy",
        "SELECT to_regclass('legacy') IS NOT NULL",
        configure='include_name=lambda name, type_, parents: name != "legacy"',
    ),
    made_by_hand(
        "column_that_a_hook_excludes",
        "ALTER TABLE t ADD COLUMN legacy text",
        "ALTER TABLE t DROP COLUMN legacy",
        "SELECT count(legacy) = 0 FROM t",
        configure='include_object=lambda object, name, type_, reflected, compare_to: name != "legacy"',
    ),
    ModelChange(
        "model_that_a_hook_excludes",
        AFTER + '\ntable("elsewhere")',
        BEFORE,
        configure='include_object=lambda object, name, type_, reflected, compare_to: name != "elsewhere"',
        excludes=("elsewhere",),
        holds_after="SELECT to_regclass('elsewhere') IS NULL",
    ),
    ModelChange("own_env_file", AFTER, BEFORE, configure="compare_type=True"),
    ModelChange("own_env_file_with_enum", 'table("t", Column("a", Enum("x", "y", name="kind"), server_default="x"))', 'table("t")', configure="compare_type=True"),
    ModelChange(
        "several_metadata",
        """
        first, second = MetaData(), MetaData(schema="other")
        Table("a", first, Column("id", Integer, primary_key=True), Column("n", Text))
        Table("b", second, Column("id", Integer, primary_key=True), Column("kind", Enum("x", name="kind")))
        metadata = [first, second]
        """,
        """
        first, second = MetaData(), MetaData(schema="other")
        Table("a", first, Column("id", Integer, primary_key=True))
        metadata = [first, second]
        """,
    ),
    # decisions
    part("required_without_value", "", 'Column("b", Integer, nullable=False)', rows="INSERT INTO t DEFAULT VALUES", decides="b", is_staged=False),
    column("type_without_cast", "Date", "pg.DATERANGE", decides="a", is_staged=False),
    column("array_without_cast", "Integer", "pg.ARRAY(Integer)", may_decide=True, loses=True),
    column("json_to_integer", "pg.JSONB", "DateTime", decides="a", is_staged=False),
)
