"""Cases of the draft battery: SQL files, comments, inheritance, partitions and declared renames."""

from collections.abc import Mapping

from support.draft_case import ModelChange, part

# fmt: off

TABLE = 'table("t", Column("a", String(20)), Column("b", Integer))'
WIDER = 'table("t", Column("a", Text), Column("b", Integer))'
VIEW = "CREATE VIEW v AS SELECT id, a FROM t WHERE b > 0;\n"
FUNCTION = """\
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.b := coalesce(NEW.b, 0) + 1;  -- 100% of :all
    RETURN NEW;
END
$$;
"""
TRIGGER = "CREATE TRIGGER bump_b BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION bump();\n"
POLICY = "CREATE POLICY own ON t USING (a = current_user);\n"


def files(
    name: str,
    after: Mapping[str, str],
    before: Mapping[str, str] = {},
    models: str = TABLE,
    models_before: str = TABLE,
    **more: object,
) -> ModelChange:
    """Return the case of SQL files that change."""
    return ModelChange(name, models, models_before, files=after, files_before=before, **more)  # type: ignore[arg-type]


def renamed(name: str, before: str, after: str, **more: object) -> ModelChange:
    """Return the case of a rename in table `t`, whose row is kept."""
    rows = {"rows": "INSERT INTO t (a) VALUES ('x')"}
    return part(name, before, after, **{**rows, **more})


CASES = (
    # SQL files
    files("view_comes", {"v.sql": VIEW}),
    files("view_changes", {"v.sql": VIEW.replace("> 0", "> 1")}, {"v.sql": VIEW}),
    files("view_loses_column", {"v.sql": VIEW.replace("id, a", "id")}, {"v.sql": VIEW}),
    files("view_goes", {}, {"v.sql": VIEW}),
    files("view_of_view", {"a.sql": "CREATE VIEW a AS SELECT a FROM v;\n", "v.sql": VIEW}),
    files(
        "view_below_view_changes",
        {"a.sql": "CREATE VIEW a AS SELECT a FROM v;\n", "v.sql": VIEW.replace("id, a", "a")},
        {"a.sql": "CREATE VIEW a AS SELECT a FROM v;\n", "v.sql": VIEW},
    ),
    files("view_above_changed_column", {"v.sql": VIEW}, {"v.sql": VIEW}, WIDER),
    files("view_of_new_table", {"v.sql": VIEW}, models_before='table("k")', drops=("table k",)),
    files("view_and_its_table_go", {}, {"v.sql": VIEW}, models='table("k")', models_before=TABLE + '\ntable("k")', loses=True),
    files("view_or_replace", {"v.sql": "CREATE OR REPLACE VIEW v AS SELECT '100%' AS percent, ':x' AS colon FROM t;\n"}),
    files("materialized_view_comes", {"m.sql": "CREATE MATERIALIZED VIEW m AS SELECT a, count(*) AS n FROM t GROUP BY a;\n"}),
    files(
        "materialized_view_changes",
        {"m.sql": "CREATE MATERIALIZED VIEW m AS SELECT a, max(b) AS n FROM t GROUP BY a;\n"},
        {"m.sql": "CREATE MATERIALIZED VIEW m AS SELECT a, count(*) AS n FROM t GROUP BY a;\n"},
    ),
    files("function_comes", {"bump.sql": FUNCTION}),
    files("function_changes", {"bump.sql": FUNCTION.replace("+ 1", "+ 2")}, {"bump.sql": FUNCTION}),
    files(
        "function_with_other_arguments",
        {"f.sql": "CREATE FUNCTION f(x integer, y integer) RETURNS integer LANGUAGE sql AS 'SELECT x + y';\n"},
        {"f.sql": "CREATE FUNCTION f(x integer) RETURNS integer LANGUAGE sql AS 'SELECT x';\n"},
    ),
    files(
        "function_with_other_result",
        {"f.sql": "CREATE FUNCTION f(x integer) RETURNS bigint LANGUAGE sql AS 'SELECT x::bigint';\n"},
        {"f.sql": "CREATE FUNCTION f(x integer) RETURNS integer LANGUAGE sql AS 'SELECT x';\n"},
    ),
    files("function_goes", {}, {"bump.sql": FUNCTION}),
    files(
        "function_that_a_default_uses",
        {"code.sql": "CREATE FUNCTION code() RETURNS text LANGUAGE sql AS $$SELECT 'c'$$;\n"},
        models='table("t", Column("a", String(20)), Column("b", Integer), Column("c", Text, server_default=text("code()")))',
    ),
    files("trigger_and_function_come", {"a_trigger.sql": TRIGGER, "bump.sql": FUNCTION}),
    files("trigger_changes", {"a.sql": TRIGGER.replace("INSERT", "INSERT OR UPDATE"), "bump.sql": FUNCTION}, {"a.sql": TRIGGER, "bump.sql": FUNCTION}),
    files("trigger_goes", {"bump.sql": FUNCTION}, {"a.sql": TRIGGER, "bump.sql": FUNCTION}),
    files("policy_comes", {"own.sql": POLICY}),
    files("policy_changes", {"own.sql": POLICY.replace("a = ", "a <> ")}, {"own.sql": POLICY}),
    files("policy_above_changed_column", {"own.sql": POLICY}, {"own.sql": POLICY}, WIDER),
    files("policy_goes", {}, {"own.sql": POLICY}),
    files("grant_comes", {"read.sql": "GRANT SELECT ON t TO PUBLIC;\n"}),
    # comments
    ModelChange("table_comment_comes", 'table("t", comment="it\'s 100% :new")', 'table("t")'),
    ModelChange("table_comment_changes", 'table("t", comment="new")', 'table("t", comment="old")'),
    ModelChange("table_comment_goes", 'table("t")', 'table("t", comment="old")'),
    part("column_comment_comes", 'Column("a", Text)', 'Column("a", Text, comment="two\\nlines \\\\ and \'quotes\'")'),
    part("column_comment_changes", 'Column("a", Text, comment="old")', 'Column("a", Text, comment="new")'),
    part("column_comment_goes", 'Column("a", Text, comment="old")', 'Column("a", Text)'),
    part("constraint_comment", 'CheckConstraint("id > 0", name="c")', 'CheckConstraint("id > 0", name="c", comment="why")'),
    # inheritance and partitions
    ModelChange(
        "child_with_parent",
        """
        table("zparent", Column("a", Integer))
        Table("achild", metadata, Column("b", Integer), postgresql_inherits="zparent")
        """,
    ),
    ModelChange(
        "child_gets_column",
        'table("p", Column("a", Integer))\nTable("c", metadata, Column("b", Integer), Column("d", Text), postgresql_inherits="p")',
        'table("p", Column("a", Integer))\nTable("c", metadata, Column("b", Integer), postgresql_inherits="p")',
    ),
    ModelChange(
        "parent_gets_column",
        'table("p", Column("a", Integer), Column("d", Text))\nTable("c", metadata, Column("b", Integer), postgresql_inherits="p")',
        'table("p", Column("a", Integer))\nTable("c", metadata, Column("b", Integer), postgresql_inherits="p")',
    ),
    ModelChange(
        "partitioned_table",
        """
        Table(
            "logs",
            metadata,
            Column("id", BigInteger, primary_key=True),
            Column("day", Date, primary_key=True),
            Column("note", Text, index=True),
            postgresql_partition_by="RANGE (day)",
        )
        """,
    ),
    *(
        ModelChange(
            f"partitioned_table_{name}",
            f'Table("logs", metadata, Column("day", Date, primary_key=True), Column("n", {after}), postgresql_partition_by="RANGE (day)")',
            'Table("logs", metadata, Column("day", Date, primary_key=True), Column("n", Integer), postgresql_partition_by="RANGE (day)")',
            follow="CREATE TABLE logs_2026 PARTITION OF logs FOR VALUES FROM ('2026-01-01') TO ('2027-01-01'); CREATE TABLE logs_default PARTITION OF logs DEFAULT",
            follow_undo="DROP TABLE logs_2026; DROP TABLE logs_default",
            rows="INSERT INTO logs VALUES ('2026-02-03', 1), ('2030-01-01', 2)",
            holds="SELECT count(*) = 2 FROM logs",
            without_create_all=True,
        )
        for name, after in (
            ("gets_column", 'Integer), Column("m", Text'),
            ("gets_index", "Integer, index=True"),
            ("gets_check", 'Integer, CheckConstraint("n >= 0", name="positive")'),
            ("gets_wider_column", "BigInteger"),
            ("gets_unique", 'Integer), UniqueConstraint("day", "n", name="once"'),
        )
    ),
    # renames
    ModelChange(
        "table_renamed",
        'table("u", Column("a", Text, index=True), Column("b", Integer, unique=True), info={"renamed_from": "t"})',
        'table("t", Column("a", Text, index=True), Column("b", Integer, unique=True))',
        rows="INSERT INTO t (a) VALUES ('x')",
        holds_after="SELECT a = 'x' FROM u",
    ),
    ModelChange(
        "table_with_references_renamed",
        'table("u", Column("up", ForeignKey("u.id")), info={"renamed_from": "t"})\ntable("k", Column("t_id", ForeignKey("u.id")))',
        'table("t", Column("up", ForeignKey("t.id")))\ntable("k", Column("t_id", ForeignKey("t.id")))',
        rows="INSERT INTO t DEFAULT VALUES; INSERT INTO k (t_id) SELECT id FROM t",
        holds_after="SELECT count(*) = 1 FROM u JOIN k ON k.t_id = u.id",
    ),
    ModelChange(
        "table_renamed_in_schema",
        'table("u", schema="s", info={"renamed_from": "t"})',
        'table("t", schema="s")',
        rows="INSERT INTO s.t DEFAULT VALUES",
        holds_after="SELECT count(*) = 1 FROM s.u",
    ),
    renamed("column_renamed", 'Column("a", Text)', 'Column("b", Text, info={"renamed_from": "a"})', holds_after="SELECT b = 'x' FROM t"),
    renamed("column_renamed_and_changed", 'Column("a", String(9))', 'Column("b", Text, nullable=False, server_default="n", info={"renamed_from": "a"})', holds_after="SELECT b = 'x' FROM t", loses=True),
    renamed("column_with_all_on_it_renamed", 'Column("a", Text, CheckConstraint("a <> \'\'"), unique=True, index=True)', 'Column("b", Text, CheckConstraint("b <> \'\'"), unique=True, index=True, info={"renamed_from": "a"})', holds_after="SELECT b = 'x' FROM t"),
    renamed("column_below_generated_renamed", 'Column("a", Text), Column("g", Text, Computed("a || \'y\'", persisted=True))', 'Column("b", Text, info={"renamed_from": "a"}), Column("g", Text, Computed("b || \'y\'", persisted=True))', holds_after="SELECT g = 'xy' FROM t"),
    part("index_renamed", 'Index("old", "a")', 'Index("new", "a", info={"renamed_from": "old"})', 'Column("a", Text)'),
    part("check_renamed", 'CheckConstraint("id > 0", name="old")', 'CheckConstraint("id > 0", name="new", info={"renamed_from": "old"})'),
    part("unique_renamed", 'UniqueConstraint("a", name="old")', 'UniqueConstraint("a", name="new", info={"renamed_from": "old"})', 'Column("a", Text)'),
    part("reference_renamed", 'ForeignKeyConstraint(["a"], ["t.id"], name="old")', 'ForeignKeyConstraint(["a"], ["t.id"], name="new", info={"renamed_from": "old"})', 'Column("a", Integer)'),
)
