"""Cases of the draft battery: tables and columns."""

from support.draft_case import ModelChange, column, part, table

# fmt: off

ROWS = "INSERT INTO t (a) VALUES ('12'), ('7')"
KEPT = "SELECT count(*) = 2 FROM t"

CASES = (
    part("add_column", "", 'Column("a", Text)'),
    part(
        "add_required_column_with_default",
        "",
        'Column("a", Text, nullable=False, server_default="x")',
        rows="INSERT INTO t DEFAULT VALUES",
        holds_after="SELECT bool_and(a = 'x') FROM t",
    ),
    part("drop_column", 'Column("a", Text)', "", drops=("column t.a",)),
    part("drop_column_with_all_on_it", 'Column("a", Text, unique=True), Column("b", Integer, index=True)', "", loses=True),
    column("require", "Text", "Text, nullable=False", rows=ROWS, holds=KEPT),
    column("require_no_more", "Text, nullable=False", "Text", rows=ROWS, holds=KEPT),
    column("longer_varchar", "String(20)", "String(40)", rows=ROWS, holds=KEPT),
    column("shorter_varchar", "String(40)", "String(20)", may_decide=True, loses=True),
    column("varchar_to_text", "String(20)", "Text", rows=ROWS, holds=KEPT),
    column("varchar_without_length", "String(20)", "String"),
    column("integer_to_bigint", "Integer", "BigInteger", rows=ROWS, holds=KEPT),
    column("smallint_to_integer", 'SmallInteger, server_default="3"', 'Integer, server_default="3"'),
    column("integer_to_numeric", "Integer", "Numeric(12, 2)", loses=True),
    column("numeric_scale", "Numeric(10, 2)", "Numeric(12, 4)", loses=True),
    column("float_to_double", "REAL", "Double"),
    column("timestamp_with_zone", "DateTime", "DateTime(timezone=True)"),
    column("timestamp_precision", "pg.TIMESTAMP(precision=3)", "pg.TIMESTAMP(precision=0)", loses=True),
    column("interval_fields", "Interval", 'pg.INTERVAL(fields="DAY TO SECOND", precision=2)', loses=True),
    column("char_to_varchar", "CHAR(3)", "String(3)", loses=True),
    column("bit_to_varbit", "pg.BIT(3)", "pg.BIT(5, varying=True)"),
    column("text_to_integer", "Text", "Integer", rows=ROWS, holds=KEPT, loses=True),
    column("text_to_integer_with_default", 'Text, server_default="1"', 'Integer, server_default="1"', rows=ROWS, holds=KEPT, loses=True),
    column("integer_to_text", "Integer", "Text", rows=ROWS, holds="SELECT count(*) = 2 FROM t"),
    column(
        "varchar_to_uuid",
        "String(36)",
        "Uuid",
        rows="INSERT INTO t (a) VALUES ('6f1ed002-ab58-4b6e-9d44-4f4bb41e3e9a')",
        holds="SELECT a::text = '6f1ed002-ab58-4b6e-9d44-4f4bb41e3e9a' FROM t", loses=True,
    ),
    column("varchar_to_uuid_with_index", "String(255), index=True", "Uuid, index=True", loses=True),
    column("text_to_jsonb", "Text", "pg.JSONB", rows="INSERT INTO t (a) VALUES ('{\"b\": 1}')", holds="SELECT a::jsonb ->> 'b' = '1' FROM t", loses=True),
    column("json_to_jsonb", "JSON", "pg.JSONB", loses=True),
    column("json_to_jsonb_with_default", "JSON, server_default=text(\"'{}'\")", "pg.JSONB, server_default=text(\"'{}'\")", loses=True),
    column("boolean_to_integer", "Boolean, server_default=false()", 'Integer, server_default="0"', rows="INSERT INTO t DEFAULT VALUES", loses=True),
    column("integer_to_boolean", 'Integer, server_default="1"', "Boolean, server_default=true()", rows="INSERT INTO t DEFAULT VALUES", loses=True),
    column("text_to_date", "Text", "Date", rows="INSERT INTO t (a) VALUES ('2026-02-03')", loses=True),
    column("inet_to_text", "pg.INET", "Text", rows="INSERT INTO t (a) VALUES ('10.0.0.1')", loses=True),
    column("text_to_inet", "Text", "pg.INET", rows="INSERT INTO t (a) VALUES ('10.0.0.1')", loses=True),
    column("array_of_wider_type", "pg.ARRAY(Integer)", "pg.ARRAY(BigInteger)"),
    column("array_of_text_to_integer", "pg.ARRAY(Text)", "pg.ARRAY(Integer)", rows="INSERT INTO t (a) VALUES ('{1,2}')", loses=True),
    column(
        "with_declared_using",
        "Text",
        "pg.ARRAY(Text), info={\"postgresql_using\": \"string_to_array(a, ',')\"}",
        rows="INSERT INTO t (a) VALUES ('x,y')",
        holds_after="SELECT a = ARRAY['x', 'y'] FROM t",
        may_decide=True,  # nothing says how the array becomes the text again
        loses=True,
    ),
    column("collation", "Text", 'Text(collation="C")'),
    column("collation_gone", 'String(20, collation="C")', "String(20)"),
    column("type_with_index_and_check", 'String(20), CheckConstraint("a <> \'\'", name="full"), index=True', 'Text, CheckConstraint("a <> \'\'", name="full"), index=True'),
    column("type_with_unique_and_default", 'Integer, unique=True, server_default="7"', 'BigInteger, unique=True, server_default="7"'),
    part(
        "type_below_generated_column",
        'Column("a", Integer), Column("b", Integer, Computed("a + 1", persisted=True))',
        'Column("a", BigInteger), Column("b", BigInteger, Computed("a + 1", persisted=True))',
        rows="INSERT INTO t (a) VALUES (1)",
        holds="SELECT b = 2 FROM t",
    ),
    part(
        "type_below_unchanged_generated_column",
        'Column("a", String(20)), Column("b", Text, Computed("a || \'x\'", persisted=True))',
        'Column("a", Text), Column("b", Text, Computed("a || \'x\'", persisted=True))',
        rows="INSERT INTO t (a) VALUES ('1')",
        holds="SELECT b = '1x' FROM t",
    ),
    column(
        "type_below_view_of_others",
        "String(20)",
        "Text",
        follow="CREATE VIEW v AS SELECT id, a FROM t WHERE a <> 'x'",
        follow_undo="DROP VIEW v",
        rows=ROWS,
        holds="SELECT count(*) = 2 FROM v",
        without_create_all=True,
    ),
    ModelChange(
        "key_and_reference_wider",
        """
        Table("p", metadata, Column("id", BigInteger, primary_key=True))
        table("t", Column("p_id", BigInteger, ForeignKey("p.id")))
        """,
        """
        Table("p", metadata, Column("id", Integer, primary_key=True))
        table("t", Column("p_id", Integer, ForeignKey("p.id")))
        """,
        rows="INSERT INTO p DEFAULT VALUES; INSERT INTO t (p_id) SELECT id FROM p",
        holds="SELECT count(*) = 1 FROM t JOIN p ON p.id = p_id",
    ),
    ModelChange("add_table", table('Column("a", Text)') + "\n" + table('Column("b", Text)', name="u"), table('Column("a", Text)')),
    ModelChange("drop_table", table('Column("a", Text)'), table('Column("a", Text)') + "\n" + table('Column("b", Text)', name="u"), drops=("table u",)),
    ModelChange(
        "drop_tables_that_refer_to_each_other",
        table(name="k"),
        """
        table("k")
        table("a", Column("b_id", Integer, ForeignKey("b.id", name="a_b")))
        table("b", Column("a_id", Integer, ForeignKey("a.id", name="b_a")), Column("self", ForeignKey("b.id")))
        """, loses=True,
    ),
    ModelChange(
        "drop_tables_in_order",
        "",
        """
        table("z")
        table("m", Column("z_id", ForeignKey("z.id")))
        table("a", Column("m_id", ForeignKey("m.id")))
        """,
        drops=("table z", "table m", "table a"),
    ),
    ModelChange(
        "table_with_everything",
        """
        table("parent", comment="above")
        table(
            "t",
            Column("parent_id", ForeignKey("parent.id", ondelete="CASCADE"), nullable=False, index=True),
            Column("code", String(8), nullable=False, unique=True, comment="short"),
            Column("state", Enum("on", "off", name="state"), server_default="on", nullable=False),
            Column("total", Numeric(12, 2), CheckConstraint("total >= 0", name="positive"), server_default="0"),
            Column("twice", Numeric, Computed("total * 2", persisted=True)),
            Column("made", DateTime(timezone=True), server_default=func.now(), nullable=False),
            Index("t_made", text("made DESC"), postgresql_where=text("code <> ''")),
            UniqueConstraint("parent_id", "code", name="once", deferrable=True, initially="DEFERRED"),
        )
        """,
    ),
    ModelChange(
        "move_table_to_schema",
        table('Column("a", Text)') + '\ntable("u", schema="s")',
        table('Column("a", Text)') + '\ntable("u")',
        drops=("table u",),
    ),
    ModelChange(
        "many_changes_at_once",
        """
        table("t", Column("a", Text, nullable=False, server_default=""), Column("c", BigInteger, unique=True))
        table("v", Column("t_id", ForeignKey("t.id"), index=True))
        """,
        """
        table("t", Column("a", String(10), index=True), Column("b", Date), Column("c", Integer))
        table("u", Column("t_id", ForeignKey("t.id")))
        """, loses=True,
    ),
    ModelChange(
        "key_of_two_columns",
        'Table("t", metadata, Column("a", Integer, primary_key=True), Column("b", Integer, primary_key=True))',
        'Table("t", metadata, Column("a", Integer, primary_key=True), Column("b", Integer, nullable=False))',
        rows="INSERT INTO t VALUES (1, 2)",
        may_decide=True,  # what is unique in both need not be in one
    ),
    ModelChange("table_without_key", 'Table("t", metadata, Column("a", Integer), Column("b", Text))'),
    ModelChange("table_without_columns", 'Table("t", metadata)'),
    ModelChange("unlogged", 'table("t", prefixes=["UNLOGGED"])', 'table("k")', drops=("table k",)),
    ModelChange("becomes_unlogged", 'table("t", prefixes=["UNLOGGED"])', 'table("t")'),
    ModelChange("columns_renamed_in_a_chain", 'table("t", Column("b", Text, info={"renamed_from": "a"}), Column("c", Text, info={"renamed_from": "b"}), Column("d", Text, info={"renamed_from": "c"}))', 'table("t", Column("a", Text), Column("b", Text), Column("c", Text))', rows="INSERT INTO t (a, b, c) VALUES ('1', '2', '3')", holds_after="SELECT b = '1' AND c = '2' AND d = '3' FROM t"),
    ModelChange(
        "tables_renamed_in_a_chain",
        'table("b", Column("x", Text), info={"renamed_from": "a"})\ntable("c", Column("y", Text), info={"renamed_from": "b"})\ntable("d", Column("z", Text), Column("b_id", ForeignKey("c.id")), info={"renamed_from": "c"})',
        'table("a", Column("x", Text))\ntable("b", Column("y", Text))\ntable("c", Column("z", Text), Column("b_id", ForeignKey("b.id")))',
        rows="INSERT INTO a (x) VALUES ('x'); INSERT INTO b (y) VALUES ('y'); INSERT INTO c (z) VALUES ('z')",
        holds_after="SELECT (SELECT x = 'x' FROM b) AND (SELECT y = 'y' FROM c) AND (SELECT z = 'z' FROM d)",
    ),
    ModelChange("unlogged_key_becomes_serial", 'Table("t", metadata, Column("id", Integer, primary_key=True), prefixes=["UNLOGGED"])', 'Table("t", metadata, Column("id", Integer, Identity(), primary_key=True), prefixes=["UNLOGGED"])', rows="INSERT INTO t DEFAULT VALUES"),
    ModelChange("fillfactor", 'table("t", postgresql_with={"fillfactor": 70})', 'table("k")', drops=("table k",)),
    ModelChange("fillfactor_changes", 'table("t", postgresql_with={"fillfactor": 70})', 'table("t", postgresql_with={"fillfactor": 90})'),
    *(
        ModelChange(
            f"comes_back_required_{name}",
            'table("a", Column("x", Integer), Column("y", Integer), UniqueConstraint("x", "y"))\ntable("t", Column("k", Integer))',
            'table("a", Column("x", Integer), Column("y", Integer), UniqueConstraint("x", "y"))\n' + table('Column("k", Integer)', *parts),
            rows=rows, holds="SELECT count(*) = 2 FROM t", loses=True,
        )
        for name, rows, *parts in (
            ("above_a_number", "INSERT INTO t (c) VALUES (9), (10)", 'Column("c", Integer, CheckConstraint("c > 5", name="ck"), nullable=False)'),
            ("between", "INSERT INTO t (c) VALUES (9.5), (10)", 'Column("c", Numeric(5, 2), CheckConstraint("c BETWEEN 9 AND 11", name="ck"), nullable=False)'),
            ("below_zero", "INSERT INTO t (c) VALUES (-9), (-10)", 'Column("c", BigInteger, CheckConstraint("c < 0 AND c <> -1", name="ck"), nullable=False)'),
            ("one_of", "INSERT INTO t (c) VALUES ('x'), ('y')", 'Column("c", Text, CheckConstraint("c IN (\'x\', \'y\')", name="ck"), nullable=False)'),
            ("not_empty", "INSERT INTO t (c) VALUES ('x'), ('y')", 'Column("c", String(20), CheckConstraint("c <> \'\'", name="ck"), nullable=False)'),
            ("long_enough", "INSERT INTO t (c) VALUES ('xxxxx'), ('yyyyy')", 'Column("c", String(20), CheckConstraint("char_length(c) >= 5", name="ck"), nullable=False)'),
            ("like", "INSERT INTO t (c) VALUES ('a@b'), ('c@d')", 'Column("c", Text, CheckConstraint("c LIKE \'%@%\'", name="ck"), nullable=False)'),
            ("of_pattern", "INSERT INTO t (c) VALUES ('AB1'), ('CD2')", 'Column("c", Text, CheckConstraint("c ~ \'^[A-Z]{2}[0-9]$\'", name="ck"), nullable=False)'),
            ("after_a_date", "INSERT INTO t (c) VALUES ('2024-05-05'), ('2025-05-05')", 'Column("c", Date, CheckConstraint("c >= \'2024-01-01\'", name="ck"), nullable=False)'),
            ("above_another_column", "INSERT INTO t (k, c) VALUES (100, 101), (200, 202)", 'Column("c", Integer, nullable=False)', 'CheckConstraint("c > k", name="ck")'),
            ("two_in_order", "INSERT INTO t (c, d) VALUES (1, 2), (3, 4)", 'Column("c", Integer, nullable=False), Column("d", Integer, nullable=False)', 'CheckConstraint("c < d", name="ck")'),
            ("unique_above_a_number", "INSERT INTO t (c) VALUES (9), (10)", 'Column("c", Integer, CheckConstraint("c > 5", name="ck"), nullable=False, unique=True)'),
            ("of_a_domain", "INSERT INTO t (c) VALUES (9), (10)", 'Column("c", pg.DOMAIN("above", Integer, check="VALUE > 5"), nullable=False)'),
            ("of_a_domain_and_unique", "INSERT INTO t (c) VALUES (9), (10)", 'Column("c", pg.DOMAIN("above", Integer, check="VALUE > 5"), nullable=False, unique=True)'),
            ("label_but_the_first", "INSERT INTO t (c) VALUES ('b'), ('b')", 'Column("c", Enum("a", "b", name="ab"), CheckConstraint("c <> \'a\'", name="ck"), nullable=False)'),
            ("array_not_empty", "INSERT INTO t (c) VALUES ('{1}'), ('{1,2}')", 'Column("c", pg.ARRAY(Integer), CheckConstraint("cardinality(c) > 0", name="ck"), nullable=False)'),
            ("true", "INSERT INTO t (c) VALUES (true), (true)", 'Column("c", Boolean, CheckConstraint("c", name="ck"), nullable=False)'),
            ("of_two_references", "INSERT INTO a (x, y) VALUES (1, 2), (1, 3), (4, 5); INSERT INTO t (c, d) VALUES (1, 3), (4, 5)", 'Column("c", Integer, nullable=False), Column("d", Integer, nullable=False)', 'ForeignKeyConstraint(["c", "d"], ["a.x", "a.y"], name="fk")'),
            ("of_a_kept_reference", "INSERT INTO a (x, y) VALUES (1, 2), (1, 3), (4, 5); INSERT INTO t (k, d) VALUES (1, 3), (4, 5)", 'Column("d", Integer, nullable=False)', 'ForeignKeyConstraint(["k", "d"], ["a.x", "a.y"], name="fk")'),
            ("of_a_unique_reference", "INSERT INTO a (x, y) VALUES (1, 2), (1, 3), (4, 5); INSERT INTO t (c) VALUES (1), (2)", 'Column("c", ForeignKey("a.id", name="fk"), nullable=False, unique=True)'),
            ("of_a_checked_reference", "INSERT INTO a (x, y) VALUES (1, 2), (1, 3), (4, 5); INSERT INTO t (c) VALUES (2), (3)", 'Column("c", ForeignKey("a.id", name="fk"), CheckConstraint("c > 1", name="ck"), nullable=False)'),
        )
    ),
)
