"""Cases of the draft battery: hostile names and texts, and models that are equal to what their draft makes."""

from support.draft_case import ModelChange, column, part

# fmt: off

HOSTILE = r"""it's 100% :sure, \:none, %%, %(x)s, "quoted", $$, $1, back\\slash, {b}, ::text, ünï 🐘"""
"""As the text of a Python literal in triple quotes."""
TEXT = f"TEXT = '''{HOSTILE}'''\nSQL = \"'\" + TEXT.replace(\"'\", \"''\").replace(':', '\\\\:') + \"'\"\n"
"""TEXT is the text, SQL a literal in SQL for `sqlalchemy.text`."""
WORDS = """
def q(name):
    return sa.sql.quoted_name(name, quote=True)


p = Table(q("lateral"), metadata, Column(q("lateral"), Integer, primary_key=True), Column(q("collation"), Integer, unique=True), Column(q("tablesample"), Text))
t = table("t", Column(q("concurrently"), ForeignKey(p.c["collation"])), Column(q("system_user"), Integer))
{}
"""
"""A model of names that SQLAlchemy does not quote by itself: more parts are missing."""
PARTS = """
Index("ix", p.c["tablesample"], postgresql_include=[p.c["lateral"], p.c["collation"]])
t.append_constraint(UniqueConstraint(t.c["concurrently"], name="u", postgresql_include=[t.c["system_user"]]))
t.append_constraint(ForeignKeyConstraint([t.c["system_user"]], [p.c["lateral"]], name="f"))
"""


def equal(name: str, models: str, **more: object) -> ModelChange:
    """Return the case of models whose draft makes what is equal to them."""
    return ModelChange(name, models, **more)  # type: ignore[arg-type]


def defaults(name: str, *columns: str, **more: object) -> ModelChange:
    """Return the case of a table with columns that have defaults."""
    parts = ", ".join(f'Column("c{number}", {each})' for number, each in enumerate(columns))
    return equal(name, f'table("t", {parts})', **more)


TEXTS = (
    part("percent_in_default", "", 'Column("a", Text, server_default="100%"), Column("b", Text, server_default=text("\'%d.%m.%Y\'"))'),
    column("default_changes_to_percent", 'Text, server_default="x"', 'Text, server_default="%s %% %(a)s"'),
    part("percent_in_check", "", "CheckConstraint(r\"a LIKE '%\\%'\", name=\"ends\")", 'Column("a", Text)'),
    part("colon_in_check", "", "CheckConstraint(r\"a <> '\\:none'\", name=\"some\")", 'Column("a", Text)'),
    equal("cast_in_check", 'table("t", Column("a", Text), CheckConstraint("length(a::varchar)::bigint > 0", name="positive"))'),
    part("percent_in_predicate", "", "Index(\"nine\", \"a\", postgresql_where=text(\"a LIKE '9%'\"))", 'Column("a", Text)'),
    part("colon_in_expression", "", "Index(\"ix\", text(r\"(a || '\\:x%')\"))", 'Column("a", Text)'),
    part("modulo_in_check_and_generated", "", 'Column("m", Integer, Computed("a % 7", persisted=True)), CheckConstraint("a % 2 = 0", name="even")', 'Column("a", Integer)', may_decide=True),
    equal("hostile_default", TEXT + 'table("t", Column("a", Text, server_default=TEXT), Column("b", Text, server_default=text(SQL)))'),
    equal("hostile_check", TEXT + 'table("t", Column("a", Text), CheckConstraint("a <> " + SQL, name="c"))'),
    equal("hostile_index", TEXT + 'table("t", Column("a", Text), Index("i", text("(a || " + SQL + ")"), postgresql_where=text("a <> " + SQL)))'),
    equal("hostile_generated", TEXT + 'table("t", Column("a", Text), Column("b", Text, Computed("a || " + SQL, persisted=True)))'),
    equal("hostile_labels", TEXT.replace("🐘", "") + 'table("t", Column("a", Enum(*TEXT.split(", "), name="kind"), server_default=TEXT.split(", ")[0]))'),
    equal("hostile_domain", TEXT + 'table("t", Column("a", pg.DOMAIN("d", Text, check="VALUE <> " + SQL.replace("\\\\:", ":"))))'),
    equal("hostile_comments", TEXT + 'table("t", Column("a", Text, comment=TEXT), comment=TEXT)'),
    ModelChange(
        "hostile_comments_change",
        TEXT + 'table("t", Column("a", Text, comment=TEXT + "new"), comment="new" + TEXT)',
        TEXT + 'table("t", Column("a", Text, comment=TEXT), comment=TEXT)',
    ),
    ModelChange(
        "hostile_default_and_check_go",
        TEXT + 'table("t", Column("a", Text))',
        TEXT + 'table("t", Column("a", Text, server_default=TEXT), CheckConstraint("a <> " + SQL, name="c"))',
    ),
    *(
        equal(
            f"hostile_names_{number}",
            f"""
            N = '''{name}'''
            t = Table(
                N + "t", metadata, Column(N + "k", Integer, primary_key=True), Column(N + "a", Text, index=True),
                Column(N + "b", Enum("x", name=N + "e")), Column(N + "c", Integer, unique=True), Column(N + "up", Integer),
                CheckConstraint(column(N + "c") > 0, name=N + "ck"), Index(N + "ix", N + "a", N + "c"), schema=N + "s",
            )
            t.append_constraint(ForeignKeyConstraint([t.c[N + "up"]], [t.c[N + "k"]], name=N + "fk"))
            """,
        )
        for number, name in enumerate(("a b-", "Sales 10%.", ":x:", 'q"uo\\"te', "it's $$", "ünï 🐘", "{x} %(y)s"))
    ),
    ModelChange(
        "odd_names_change",
        """
        Table("Doc.Lines", metadata, Column("The Id", Integer, primary_key=True), Column('or"der', Text, index=True), Column("new%", Text, server_default=":x"), schema="Sales 10%")
        """,
        """
        Table("Doc.Lines", metadata, Column("The Id", Integer, primary_key=True), Column('or"der', String(9)), schema="Sales 10%")
        """,
    ),
    ModelChange(
        "odd_tables_go",
        'table("keep")',
        'table("keep")\ntable("my-odd table")\ntable("ünï")\ntable("a.b")\ntable("100%", schema="Odd s")\ntable(\'say "x"\')', loses=True,
    ),
    ModelChange("words_that_sqlalchemy_does_not_quote", WORDS.format(PARTS), WORDS.format("")),
    ModelChange(
        "reserved_words",
        """
        Table("group", metadata, Column("end", Integer, Identity(always=True, start=100, increment=7), primary_key=True), Column("limit", Text))
        table("order", Column("user", Text, index=True), Column("select", Integer, ForeignKey("group.end")), Column("table", Integer, unique=True))
        """,
        """
        Table("group", metadata, Column("end", Integer, Identity(always=True, start=100, increment=5), primary_key=True))
        table("order", Column("user", Text, index=True), Column("select", Integer, ForeignKey("group.end")))
        """,
    ),
)
PHANTOMS = (
    equal(
        "long_names",
        """
        metadata.naming_convention = {"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s", "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s", "pk": "pk_%(table_name)s"}
        table(
            "laboratory_measurement_calibration_records",
            Column("reference_designator_positive_terminal", Text), Column("reference_designator_negative_terminal", Text), Column("remark", Text),
            Column("parent_of_the_laboratory_measurement_calibration_records", ForeignKey("laboratory_measurement_calibration_records.id")),
            UniqueConstraint("reference_designator_positive_terminal", "reference_designator_negative_terminal"),
            Index(None, "reference_designator_positive_terminal", "remark"),
            CheckConstraint("remark <> ''", name="the_remark_is_never_an_empty_string_because_nobody_reads_those"),
        )
        """,
    ),
    equal("long_names_without_convention", f'table("{"t" * 60}", Column("{"c" * 61}", Text, unique=True), Column("{"d" * 50}", ForeignKey("{"t" * 60}.id"), index=True))'),
    equal("long_expression_index", "table('t', Column('a', Text), Index('ix', text(\"coalesce(a, '" + "very long " * 12 + "')\")))"),
    equal("schema_public", 'table("a", schema="public")\ntable("b", Column("a_id", ForeignKey("public.a.id")))'),
    ModelChange("schema_public_changes", 'table("a", Column("n", Text), schema="public")\ntable("b", Column("a_id", ForeignKey("public.a.id"), index=True))', 'table("a", schema="public")\ntable("b", Column("a_id", ForeignKey("public.a.id")))'),
    equal("boolean_and_enum_checks", 'table("t", Column("a", Boolean(create_constraint=True)), Column("b", Enum("x", "y\'z", native_enum=False, create_constraint=True, name="b_ok")), Column("c", Boolean(create_constraint=True, name="c_ok"), nullable=False))'),
    defaults("json_defaults", "JSON, server_default=text(\"'{}'\")", "JSON, server_default='[]'", "pg.JSONB, server_default=text(\"'{\\\"a\\\": 1}'::jsonb\")", "pg.JSONB, server_default='{\"b\": [1, 2]}'"),
    defaults("array_defaults", "pg.ARRAY(Text), server_default='{}'", "pg.ARRAY(Text), server_default=text(\"ARRAY['a', 'b']\")", "pg.ARRAY(Integer), server_default=text(\"'{1,2}'::int[]\")", "pg.ARRAY(Integer, dimensions=2)", "pg.ARRAY(String(5))"),
    defaults("time_defaults", "DateTime, server_default=func.now()", "DateTime(timezone=True), server_default=func.current_timestamp()", "DateTime, server_default=text(\"timezone('utc', now())\")", "DateTime, server_default=text(\"(now() AT TIME ZONE 'utc')\")", "Date, server_default=text('CURRENT_DATE')", "Time, server_default=text('LOCALTIME')", "Interval, server_default=text(\"interval '1 day'\")", "DateTime(timezone=True), server_default=text(\"'2026-01-02 03:04:05+02'\")", "DateTime, server_default=text(\"now() + interval '30 days'\")"),
    defaults("number_defaults", 'Numeric(10, 4), server_default="1.5"', 'Integer, server_default="-1"', 'Float, server_default="0.1"', 'BigInteger, server_default=text("1::bigint << 40")', 'Integer, server_default=text("(1 + 2)")', 'Numeric, server_default=text("1e3")', 'SmallInteger, server_default=text("\'7\'")', 'Double, server_default="NaN"'),
    defaults("text_defaults", 'Text, server_default=""', 'Text, server_default=" "', 'String(5), server_default="abc"', "Text, server_default=text(\"E'a\\\\\\\\nb'\")", "Text, server_default=text(\"'a' || 'b'\")", "CHAR(4), server_default='x'", "Text, server_default=text('NULL')", "Text, server_default='NULL'", "Text, server_default=text(\"upper('x'::varchar)\")", 'Text, server_default=func.concat("a", "b")'),
    defaults("other_defaults", "LargeBinary, server_default=text(\"'\\\\\\\\x00'\")", "pg.BIT(3), server_default=text(\"B'101'\")", "pg.TSRANGE, server_default=text(\"'empty'\")", 'Uuid, server_default=text("gen_random_uuid()")', 'Boolean, server_default="t"', "Boolean, server_default=true()", 'Boolean, server_default=text("(1 = 1)")', "pg.INET, server_default=text(\"'10.0.0.1'\")", 'Text, server_default=text("CURRENT_USER")', "pg.INT4RANGE, server_default=text(\"int4range(1, 5)\")", "pg.HSTORE, server_default=text(\"''\")", setup="CREATE EXTENSION hstore", undo="DROP EXTENSION hstore"),
    defaults("types_1", "Integer", "SmallInteger", "BigInteger", "Float", "Float(10)", "REAL", "Double", "Numeric", "Numeric(5)", "Numeric(7, 2)", "Numeric(3, 2)", "Boolean", "LargeBinary", "Uuid", "Uuid(as_uuid=False)", "Uuid(native_uuid=False)"),
    defaults("types_2", "String", "String(10)", "Text", "Unicode(7)", "UnicodeText", "CHAR", "CHAR(7)", "pg.CITEXT", "Date", "DateTime", "DateTime(timezone=True)", "Time", "Time(timezone=True)", "pg.TIME(precision=3)", "pg.TIMESTAMP(timezone=True, precision=2)", "Interval", 'pg.INTERVAL(fields="YEAR TO MONTH")', 'pg.INTERVAL(precision=1)', setup="CREATE EXTENSION citext", undo="DROP EXTENSION citext"),
    defaults("types_3", "JSON", "pg.JSONB", "pg.JSONPATH", "pg.INET", "pg.CIDR", "pg.MACADDR", "pg.MACADDR8", "pg.MONEY", "pg.OID", "pg.REGCLASS", "pg.REGCONFIG", "pg.BIT", "pg.BIT(8)", "pg.BIT(varying=True)", "pg.BIT(4, varying=True)", "pg.TSVECTOR", "pg.TSQUERY", "pg.BYTEA"),
    defaults("types_4", "pg.INT4RANGE", "pg.INT8RANGE", "pg.NUMRANGE", "pg.DATERANGE", "pg.TSRANGE", "pg.TSTZRANGE", "pg.ARRAY(Integer)", "pg.ARRAY(String(9))", "pg.ARRAY(Numeric(5, 2), dimensions=2)", "ARRAY(Text)", "pg.ARRAY(pg.UUID)", "PickleType", 'JSON().with_variant(pg.JSONB(), "postgresql")', 'Text(collation="C")', 'String(9, collation="POSIX")'),
    defaults("types_multirange", "pg.INT4MULTIRANGE", "pg.TSTZMULTIRANGE", server=14),
    equal(
        "custom_types",
        """
        class Cents(sa.types.TypeDecorator):
            impl = Integer
            cache_ok = True

            def __init__(self, currency="EUR"):
                super().__init__()
                self.currency = currency

        class Upper(sa.types.UserDefinedType):
            cache_ok = True

            def get_col_spec(self, **kw):
                return "varchar(20)"

        class Box(sa.types.UserDefinedType):
            cache_ok = True

            def get_col_spec(self, **kw):
                return "box"

        table("t", Column("a", Cents("USD")), Column("b", pg.ARRAY(Cents())), Column("c", Upper()), Column("d", Box()), Column("e", Cents(), server_default="5"))
        """,
    ),
    equal("lists_of_varchar", 'table("t", Column("a", String(9)), Column("b", String(9), Computed("CASE WHEN a IN (\'x\', \'y\') THEN a END", persisted=True)), CheckConstraint("a IN (\'x\', \'y\')", name="c"), Index("i", "a", postgresql_where=text("a IN (\'x\', \'y\')")), Index("j", text("(a IN (\'x\', \'z\'))")))'),
    ModelChange("list_of_varchar_longer", 'table("t", Column("a", String(9)), CheckConstraint("a IN (\'x\', \'y\', \'z\')", name="c"))', 'table("t", Column("a", String(9)), CheckConstraint("a IN (\'x\', \'y\')", name="c"))'),
    equal("checks_that_the_server_rewrites", 'table("t", Column("a", Integer), Column("b", Text), CheckConstraint("a IN (1, 2, 3)", name="c1"), CheckConstraint("a BETWEEN 1 AND 9", name="c2"), CheckConstraint("b LIKE \'x%\' AND b IS NOT NULL", name="c3"), CheckConstraint("(a)::bigint<>5", name="c4"), CheckConstraint("b = ANY (ARRAY[\'x\', \'y\'])", name="c5"), CheckConstraint("NOT (a > 3 OR b ~ \'^[a-z]+$\')", name="c6"))'),
    equal("indexes_that_the_server_rewrites", 'table("t", Column("a", Integer), Column("b", Text), Index("i1", text("(a IS NULL)")), Index("i2", func.lower(text("b")), text("a desc")), Index("i3", text("b varchar_pattern_ops")), Index("i4", "a", postgresql_where=text("b in (\'x\', \'y\')")), Index("i5", text("(b || \'x\')"), unique=True), Index("i6", text("a ASC NULLS FIRST")), Index("i7", text("md5(b::text)")))'),
    equal("checks_without_names", 'table("t", Column("a", Integer, CheckConstraint("a > 0")), Column("b", Integer), CheckConstraint("a > b"), CheckConstraint("b > 0"), CheckConstraint("a < 100"))'),
    equal("foreign_keys_across_schemas", 'table("a", schema="one")\ntable("b", Column("a_id", ForeignKey("one.a.id")), schema="two")\ntable("c", Column("b_id", ForeignKey("two.b.id", ondelete="SET NULL")))'),
    equal("identity_with_all_options", 'Table("t", metadata, Column("a", BigInteger, Identity(always=True, start=5, increment=5, minvalue=5, maxvalue=10**12, cache=10, cycle=True), primary_key=True))\nTable("u", metadata, Column("a", SmallInteger, Identity(start=-1, increment=-1, minvalue=-500, maxvalue=-1), primary_key=True))'),
    equal("serial_kinds", 'Table("a", metadata, Column("id", Integer, primary_key=True))\nTable("b", metadata, Column("id", BigInteger, primary_key=True))\nTable("c", metadata, Column("id", SmallInteger, primary_key=True))\nTable("MiXed", metadata, Column("Id", Integer, primary_key=True), schema="Sc")'),
    equal("naming_convention_twice", 'metadata.naming_convention = {"ck": "ck_%(table_name)s_%(constraint_name)s"}\ntable("t", Column("a", Integer), CheckConstraint("a > 0", name="ck_t_a"), CheckConstraint("a > 1", name="a"))'),
    equal("default_schema_by_metadata", 'metadata.schema = "app"\ntable("t", Column("e", Enum("x", name="kind", inherit_schema=True)), Column("a", Text, index=True))\ntable("u", Column("t_id", ForeignKey("app.t.id")))'),
)
CASES = TEXTS + PHANTOMS
