"""Cases of the draft battery: enum and domain types, sequences, identity and generated columns."""

from support.draft_case import ModelChange, column, part

# fmt: off

INSERT = "INSERT INTO t DEFAULT VALUES; INSERT INTO t DEFAULT VALUES"
NEXT = "INSERT INTO t DEFAULT VALUES RETURNING id > 2"
KEY = 'Table("t", metadata, Column("id", {}, primary_key=True), Column("a", Text))'


def enum(name: str, before: str, after: str, more: str = "", **others: object) -> ModelChange:
    """Return the case of an enum type whose labels change."""
    return column(name, f'Enum({before}, name="mood"){more}', f'Enum({after}, name="mood"){more}', **others)


def key(name: str, before: str, after: str, **others: object) -> ModelChange:
    """Return the case of a primary key that gets its numbers in another way."""
    return ModelChange(name, KEY.format(after), KEY.format(before), rows=INSERT, holds_after=NEXT, **others)  # type: ignore[arg-type]


CASES = (
    # enum types
    enum("label_at_end", "'sad', 'ok'", "'sad', 'ok', 'happy'", rows="INSERT INTO t (a) VALUES ('ok')", holds="SELECT a::text = 'ok' FROM t"),
    enum("label_within", "'sad', 'happy'", "'sad', 'ok', 'happy'"),
    enum("label_at_start", "'ok'", "'sad', 'ok'"),
    enum("several_labels", "'c'", "'a', 'b', 'c', 'd', 'e'"),
    enum("label_goes", "'sad', 'ok', 'happy'", "'sad', 'ok'", rows="INSERT INTO t (a) VALUES ('ok')", holds="SELECT a::text = 'ok' FROM t", may_decide=True, loses=True),
    enum("label_goes_with_default", "'sad', 'ok', 'happy'", "'sad', 'ok'", ', server_default="ok"', may_decide=True, loses=True),
    enum("labels_in_other_order", "'b', 'a'", "'a', 'b'", rows="INSERT INTO t (a) VALUES ('a')", holds="SELECT a::text = 'a' FROM t"),
    enum("label_replaced", "'sad', 'fine'", "'sad', 'ok'", may_decide=True, loses=True),
    enum("label_with_hostile_text", "'a'", "'a', ':smile:', '50%', 'it\\'s', 'a :b', 'back\\\\slash', 'x::y'"),
    column(
        "label_that_is_the_new_default",
        'Enum("sad", "ok", name="mood"), server_default="ok"',
        'Enum("sad", "ok", "happy", name="mood"), server_default="happy"',
    ),
    ModelChange(
        "labels_of_several_types_that_are_used",
        'table("t", Column("a", Enum("x", "y", name="one"), server_default="y"), Column("b", Enum("x", "y", "z", name="two"), server_default="z"))',
        'table("t", Column("a", Enum("x", name="one"), server_default="x"), Column("b", Enum("x", name="two"), server_default="x"))',
    ),
    ModelChange(
        "label_in_default_of_array",
        'table("t", Column("a", pg.ARRAY(Enum("x", "y, %:z", name="kind")), server_default=text("\'{x,\\"y, %\\\\:z\\"}\'")))',
        'table("t", Column("a", pg.ARRAY(Enum("x", name="kind"))))',
    ),
    ModelChange(
        "label_in_backfill",
        'Kind = Enum("x", "y", name="kind")\ntable("t", Column("a", Kind), Column("b", Kind, nullable=False, info={"backfill": "\'y\'"}))',
        'table("t", Column("a", Enum("x", name="kind")))',
        rows="INSERT INTO t DEFAULT VALUES",
        holds_after="SELECT b::text = 'y' FROM t",
    ),
    ModelChange(
        "label_in_conversion",
        """
        Kind = Enum("x", "y", name="kind")
        table("t", Column("a", Kind), Column("b", Kind, info={"postgresql_using": "CASE WHEN b THEN 'y'::kind END", "postgresql_using_downgrade": "b = 'y'"}))
        """,
        'table("t", Column("a", Enum("x", name="kind")), Column("b", Boolean))',
        rows="INSERT INTO t (b) VALUES (true)",
        holds_after="SELECT b::text = 'y' FROM t",
        loses=True,
    ),
    column("label_in_array", 'pg.ARRAY(Enum("a", "b", name="mood"))', 'pg.ARRAY(Enum("a", "b", "c", name="mood"))'),
    column("labels_in_array_in_other_order", 'pg.ARRAY(Enum("a", "b", name="mood"))', 'pg.ARRAY(Enum("b", "a", name="mood"))'),
    *(
        column(f"required_while_{name}", f'{before.format(old)}', f'{after.format(new)}', rows=rows, holds_after="SELECT count(*) = 1 FROM t", may_decide=True, loses=True)
        for name, before, after, old, new, rows in (
            ("labels_of_array_move", "pg.ARRAY(Enum({}, name='mood'))", "pg.ARRAY(Enum({}, name='mood')), nullable=False", "'a', 'b'", "'b', 'a'", "INSERT INTO t (a) VALUES ('{a}')"),
            ("label_of_array_comes", "pg.ARRAY(Enum({}, name='mood'))", "pg.ARRAY(Enum({}, name='mood')), nullable=False", "'a', 'b'", "'a', 'b', 'c'", "INSERT INTO t (a) VALUES ('{a}')"),
            ("label_of_array_goes", "pg.ARRAY(Enum({}, name='mood'))", "pg.ARRAY(Enum({}, name='mood')), nullable=False", "'a', 'b', 'c'", "'a', 'b'", "INSERT INTO t (a) VALUES ('{a}')"),
            ("label_of_array_is_renamed", "pg.ARRAY(Enum({}, name='mood'))", "pg.ARRAY(Enum({}, name='mood')), nullable=False, info={{'renamed_labels': {{'c': 'a'}}}}", "'a', 'b'", "'c', 'b'", "INSERT INTO t (a) VALUES ('{a}')"),
            ("labels_move", "Enum({}, name='mood')", "Enum({}, name='mood'), nullable=False", "'a', 'b'", "'b', 'a'", "INSERT INTO t (a) VALUES ('a')"),
            ("labels_move_with_default", "pg.ARRAY(Enum({}, name='mood'))", "pg.ARRAY(Enum({}, name='mood')), nullable=False, server_default='{{}}'", "'a', 'b'", "'b', 'a'", "INSERT INTO t (a) VALUES (NULL)"),
        )
    ),
    column("optional_while_labels_of_array_move", "pg.ARRAY(Enum('a', 'b', name='mood')), nullable=False", "pg.ARRAY(Enum('b', 'a', name='mood'))", rows="INSERT INTO t (a) VALUES ('{a}')", holds="SELECT count(*) = 1 FROM t"),
    column("enum_array_to_other_enum_array", 'pg.ARRAY(Enum("a", "b", name="one"))', 'pg.ARRAY(Enum("a", "c", name="two")), nullable=False', rows="INSERT INTO t (a) VALUES ('{a}')", holds="SELECT a::text = '{a}' FROM t", may_decide=True),
    column("label_in_other_schema", 'Enum("On", "Off", name="rec", schema="kinds")', 'Enum("On", "Off", "Idle", name="rec", schema="kinds")'),
    part("enum_comes_in_other_schema", "", 'Column("a", Enum("On", "Off", name="rec", schema="kinds"))'),
    part("enum_comes_with_column", "", 'Column("a", Enum("x", "y", name="Odd Kind"))'),
    part("enum_goes_with_column", 'Column("a", Enum("x", "y", name="kind"))', "", loses=True),
    ModelChange("enum_goes_with_table", 'table("k")', 'table("k")\ntable("t", Column("a", Enum("x", name="kind")))', loses=True),
    ModelChange(
        "enum_of_two_tables_loses_one",
        'Kind = Enum("x", "y", name="kind")\ntable("t", Column("a", Kind))',
        'Kind = Enum("x", "y", name="kind")\ntable("t", Column("a", Kind))\ntable("u", Column("a", Kind))', loses=True,
    ),
    ModelChange(
        "enum_of_two_tables_gets_label",
        'Kind = Enum("z", "x", name="kind")\ntable("t", Column("a", Kind))\ntable("u", Column("a", Kind), Column("b", Kind))',
        'Kind = Enum("x", name="kind")\ntable("t", Column("a", Kind))\ntable("u", Column("a", Kind))',
    ),
    column("enum_to_other_enum", 'Enum("a", "b", name="one")', 'Enum("a", "b", name="two")', rows="INSERT INTO t (a) VALUES ('a')", holds="SELECT a::text = 'a' FROM t"),
    column("text_to_enum", 'Text, server_default="a"', 'Enum("a", "b", name="kind"), server_default="a"', rows="INSERT INTO t DEFAULT VALUES", may_decide=True, loses=True),
    column("enum_to_text", 'Enum("a", "b", name="kind"), server_default="a"', 'Text, server_default="a"', rows="INSERT INTO t DEFAULT VALUES", may_decide=True),
    column("enum_with_index_and_check", 'Enum("b", "a", name="k"), CheckConstraint("a <> \'b\'", name="no_b"), index=True', 'Enum("a", "b", name="k"), CheckConstraint("a <> \'b\'", name="no_b"), index=True'),
    ModelChange("enum_of_no_table", 'Enum("a", "b", name="free", metadata=metadata)\ntable("t")', 'table("t")'),
    ModelChange(
        "enum_class",
        """
        class Colour(enum.Enum):
            red = "r"
            dark_blue = "b"

        table("t", Column("a", Enum(Colour)), Column("b", Enum(Colour, values_callable=lambda c: [e.value for e in c], name="short")))
        """,
    ),
    # domains
    part("domain_comes", "", 'Column("a", pg.DOMAIN("email", Text, check="VALUE LIKE \'%@%\'"))'),
    part("domain_goes", 'Column("a", pg.DOMAIN("email", Text, check="VALUE LIKE \'%@%\'"))', "", loses=True),
    part("domain_required_with_default", "", 'Column("a", pg.DOMAIN("zip", Text, not_null=True, default="\'0\'"), server_default="0")'),
    column("domain_check_changes", 'pg.DOMAIN("d", Integer, check="VALUE > 5")', 'pg.DOMAIN("d", Integer, check="VALUE > 0")', may_decide=True),
    column("domain_check_comes", 'pg.DOMAIN("d", Integer)', 'pg.DOMAIN("d", Integer, check="VALUE > 0", constraint_name="d_positive")'),
    column("domain_default_changes", 'pg.DOMAIN("d", Integer, default="1")', 'pg.DOMAIN("d", Integer, default="2")'),
    column("domain_type_changes", 'pg.DOMAIN("d", Integer)', 'pg.DOMAIN("d", BigInteger)', rows="INSERT INTO t (a) VALUES (3)", holds="SELECT a = 3 FROM t"),
    part("domain_in_other_schema", "", 'Column("a", pg.DOMAIN("d", Integer, schema="kinds"))'),
    column("text_to_domain", "Text", 'pg.DOMAIN("short", String(200))', rows="INSERT INTO t (a) VALUES ('x')", holds="SELECT a = 'x' FROM t", may_decide=True, loses=True),
    part("domain_in_array", "", 'Column("a", pg.ARRAY(pg.DOMAIN("small", Integer, check="VALUE < 10")))'),
    # sequences, serial and identity
    ModelChange(
        "sequence_comes",
        """
        number = Sequence("invoice_no", start=1000, metadata=metadata)
        table("t", Column("a", BigInteger, number, server_default=number.next_value()))
        """,
        'table("t")',
    ),
    ModelChange(
        "sequence_goes",
        'table("t")',
        """
        number = Sequence("invoice_no", start=1000, metadata=metadata)
        table("t", Column("a", BigInteger, number, server_default=number.next_value()))
        """, loses=True,
    ),
    ModelChange(
        "sequence_options_change",
        'Sequence("s", start=1, increment=5, minvalue=1, maxvalue=500, cycle=True, cache=3, metadata=metadata)',
        'Sequence("s", metadata=metadata)',
    ),
    ModelChange("sequence_type_changes", 'Sequence("s", data_type=BigInteger, metadata=metadata)', 'Sequence("s", data_type=Integer, metadata=metadata)'),
    ModelChange("sequence_in_other_schema", 'Sequence("Odd s", schema="kinds", metadata=metadata)', 'table("t")', drops=("table t",)),
    key("serial_wider", "Integer", "BigInteger"),
    key("serial_narrower", "BigInteger", "Integer", loses=True),
    key("small_serial_wider", "SmallInteger", "Integer"),
    key("serial_to_identity", "Integer", "Integer, Identity()"),
    key("serial_to_wider_identity", "Integer", "BigInteger, Identity(always=True)"),
    key("identity_to_serial", "Integer, Identity()", "Integer"),
    key("identity_always", "Integer, Identity()", "Integer, Identity(always=True)"),
    key("identity_options", "Integer, Identity(start=1, increment=1)", "Integer, Identity(start=100, increment=7, maxvalue=100000, cycle=True)"),
    key("identity_wider", "Integer, Identity()", "BigInteger, Identity()"),
    column("identity_comes", "Integer, nullable=False", "Integer, Identity(start=50)"),
    column("identity_goes", "Integer, Identity(), nullable=False", "Integer, nullable=False"),
    part("identity_column_comes", "", 'Column("a", BigInteger, Identity(always=True))', rows=INSERT, holds_after="SELECT count(DISTINCT a) = 2 FROM t"),
    ModelChange("key_without_numbers_gets_serial", KEY.format("Integer"), KEY.format("Integer, autoincrement=False"), may_decide=True),
    # generated columns
    part("generated_comes", "", 'Column("b", Integer, Computed("a * 2", persisted=True))', 'Column("a", Integer)'),
    part("generated_goes", 'Column("b", Integer, Computed("a * 2", persisted=True))', "", 'Column("a", Integer)'),
    part(
        "generated_expression_changes",
        'Column("b", Integer, Computed("a * 2", persisted=True))',
        'Column("b", Integer, Computed("a * 3", persisted=True))',
        'Column("a", Integer)',
        rows="INSERT INTO t (a) VALUES (2)",
        holds_after="SELECT b = 6 FROM t",
    ),
    part(
        "generated_becomes_plain",
        'Column("b", Integer, Computed("a * 2", persisted=True))',
        'Column("b", Integer)',
        'Column("a", Integer)',
        rows="INSERT INTO t (a) VALUES (2)",
        holds="SELECT b = 4 FROM t",
    ),
    part(
        "plain_becomes_generated",
        'Column("b", Integer)',
        'Column("b", Integer, Computed("a * 2", persisted=True))',
        'Column("a", Integer)',
        may_decide=True, loses=True,
    ),
    part(
        "generated_with_index",
        'Column("b", Text, Computed("lower(a)", persisted=True), index=True)',
        'Column("b", Text, Computed("upper(a)", persisted=True), index=True)',
        'Column("a", Text)',
    ),
    part("generated_virtual", "", 'Column("b", Integer, Computed("a * 2", persisted=False))', 'Column("a", Integer)', server=18),
    column("default_comes", "Integer", 'Integer, server_default="7"'),
    column("default_changes", 'Text, server_default="a"', 'Text, server_default="b"'),
    column("default_goes", "DateTime, server_default=func.now()", "DateTime"),
    column("default_of_function", "Uuid", 'Uuid, server_default=text("gen_random_uuid()")'),
    ModelChange(
        "domain_of_the_name_of_an_enum", 'table("t", Column("a", pg.DOMAIN("k", Text, check="VALUE <> \'z\'"), server_default="y"), Column("b", pg.DOMAIN("k", Text, check="VALUE <> \'z\'"), nullable=False))',
        'table("t", Column("a", Enum("x", "y", name="k"), server_default="x"), Column("b", Enum("x", "y", name="k"), nullable=False, index=True))',
        rows="INSERT INTO t (a, b) VALUES ('x', 'y')", holds="SELECT a::text = 'x' AND b::text = 'y' FROM t", loses=True,
    ),
    ModelChange(
        "enum_of_the_name_of_a_domain", 'E = Enum("x", "y", name="k", schema="s")\ntable("t", Column("a", E, server_default="x"))',
        'table("t", Column("a", pg.DOMAIN("k", Text, schema="s", check="VALUE IN (\'x\', \'y\')")))',
        rows="INSERT INTO t (a) VALUES ('x')", holds="SELECT a::text = 'x' FROM t", loses=True,
    ),
)
