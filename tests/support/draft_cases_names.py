"""Cases of the draft battery: a new object has the name of one that goes, or that is renamed away."""

from support.draft_case import ModelChange

# fmt: off

KEEP = 'table("keep", Column("a", Integer))\n'


def taken(name: str, before: str, after: str, **more: object) -> ModelChange:
    """Return the case of a name, `taken`, that one object loses and another one gets."""
    return ModelChange(f"name_of_{name}", KEEP + after, KEEP + before, loses=True, **more)  # type: ignore[arg-type]


TABLE = 'table("taken", Column("b", Integer))'
OLD = 'table("old", Column("a", Integer), {})'
ENUM = 'table("t", Column("a", Enum("x", "y", name="taken")))'
SEQUENCE = 'table("u", Column("n", Integer, server_default=Sequence("taken", metadata=metadata).next_value()))'
INDEX = 'Index("taken", metadata.tables["keep"].c.a)'
VIEW = {"taken.sql": "CREATE VIEW taken AS SELECT 1 AS one"}

# which SQLAlchemy does not quote where a name is not marked
RESERVED = 'for w in (quoted_name(each, True) for each in ("collation", "concurrently", "lateral", "system_user", "tablesample", "values")):\n    '


def reserved(name: str, before: str, after: str, **more: object) -> ModelChange:
    """Return the case of names that are reserved words, each `w`; a line for each table."""
    texts = (RESERVED + each.replace("\n", "\n    ") if each else "" for each in (after, before))
    return ModelChange(f"reserved_words_{name}", *texts, **more)  # type: ignore[arg-type]


CASES = (
    taken("index_of_dropped_table_for_table", OLD.format('Index("taken", "a")'), TABLE),
    taken("key_of_dropped_table_for_table", OLD.format('UniqueConstraint("a", name="taken")'), TABLE),
    taken("key_of_dropped_table_for_key", OLD.format('UniqueConstraint("a", name="taken")'), 'Table("t", metadata, Column("id", Integer), PrimaryKeyConstraint("id", name="taken"))'),
    taken("index_for_key", INDEX, 'Table("t", metadata, Column("id", Integer), PrimaryKeyConstraint("id", name="taken"))'),
    taken("serial_of_dropped_table_for_table", 'Table("taken_id", metadata, Column("id", Integer, primary_key=True))\ntable("t")', 'table("taken_id_id_seq")\ntable("t")'),
    taken("dropped_table_for_index", TABLE, INDEX),
    taken("index_for_table", INDEX, TABLE),
    taken("sequence_for_table", SEQUENCE, TABLE),
    taken("dropped_table_for_sequence", TABLE, SEQUENCE),
    taken("index_of_dropped_table_for_sequence", OLD.format('Index("taken", "a")'), SEQUENCE),
    taken("sequence_for_index", SEQUENCE, INDEX),
    taken("index_for_sequence", INDEX, SEQUENCE),
    taken("enum_for_table", ENUM, 'table("t")\n' + TABLE),
    taken("dropped_table_for_enum", 'table("t")\n' + TABLE, ENUM),
    taken("sequence_for_enum", 'table("t")\n' + SEQUENCE, ENUM),
    taken("view_for_table", "", TABLE, files_before=VIEW),
    taken("view_for_sequence", "", SEQUENCE, files_before=VIEW),
    taken("view_for_enum", 'table("t")\n', ENUM, files_before=VIEW),
    taken("materialized_view_for_domain", 'table("t")\n', 'table("t", Column("a", pg.DOMAIN("taken", Text)))', files_before={"taken.sql": "CREATE MATERIALIZED VIEW taken AS SELECT 1 AS one"}),
    taken("dropped_table_for_view", TABLE, "", files=VIEW),
    taken("sequence_for_view", SEQUENCE, "", files=VIEW),
    taken("index_for_renamed_table", OLD.format('Index("taken", "a")') + '\ntable("t")', 'table("taken", info={"renamed_from": "t"})', rows="INSERT INTO t DEFAULT VALUES"),
    taken("index_of_renamed_table_for_itself", 'table("t", Column("a", Integer), Index("taken", "a"))', 'table("taken", Column("a", Integer), info={"renamed_from": "t"})', rows="INSERT INTO t DEFAULT VALUES"),
    taken("renamed_table_for_index", TABLE, 'table("t", Column("b", Integer), info={"renamed_from": "taken"})\n' + INDEX, rows="INSERT INTO taken DEFAULT VALUES"),
    taken("renamed_table_for_table", TABLE, 'table("t", Column("b", Integer), info={"renamed_from": "taken"})\ntable("taken", Column("c", Text))', rows="INSERT INTO taken DEFAULT VALUES"),
    taken("index_in_other_schema", 'table("old", Column("a", Integer), Index("taken", "a"), schema="s 1")\ntable("t", schema="s 1")', 'table("t", schema="s 1")\ntable("taken", schema="s 1")'),
    taken("index_of_63_bytes", 'table("old", Column("a", Integer), Index("n" * 63, "a"))', 'table("n" * 63)'),
    reserved(
        "come", "", """\
E = Enum("a", name=w, schema=w)
Table(w, metadata, Column(w, Integer, primary_key=True), Column("e", E), Column("es", pg.ARRAY(E)), Column("n", Integer), UniqueConstraint("n", name=w + "u", postgresql_include=[w]), schema=w + "s", comment="c")
Table(w + "2", metadata, Column(w, Integer, ForeignKey(f"{w}s.{w}.{w}", name=w + "f"), index=True), Column("i", Integer, Identity()), Column("g", Integer, Computed(f'"{w}" + 1', persisted=True)), PrimaryKeyConstraint(w, name=w + "k"), Index(w + "i", w, "i", postgresql_include=["g"], postgresql_where=text(f'"{w}" > 1')), CheckConstraint(f'"{w}" > 1', name=w + "c"), schema=w)
Table(w, metadata, Column(w, Text, primary_key=True, comment="x"), pg.ExcludeConstraint((w, "="), name=w + "x", using="btree"), Index(w + "o", w, postgresql_ops={w: "text_pattern_ops"}))
Table(w + "3", metadata, Column("p", ForeignKey(f"{w}.{w}", name=w + "f", ondelete="CASCADE"), primary_key=True))
Table(w + "4", metadata, Column("x", Integer), postgresql_inherits=w)""",
    ),
    reserved("in_circle", "", """\
Table(w, metadata, Column(w, Integer, primary_key=True), Column("o", Integer, ForeignKey(f"{w}2.{w}", name=w + "f")))
Table(w + "2", metadata, Column(w, Integer, primary_key=True), Column("o", Integer, ForeignKey(f"{w}.{w}", name=w + "g")))"""),
    reserved(
        "change", """\
Table(w, metadata, Column(w, Integer, primary_key=True), Column(w + "2", String(20), server_default="x"), schema=w, comment="c")
Table("t" + w, metadata, Column("id", Integer, primary_key=True), Column(w, String(20), server_default="x"))
Table("r" + w, metadata, Column("id", Integer, primary_key=True), Column("a", Text))""", """\
Table(w, metadata, Column(w, BigInteger, primary_key=True), Column(w + "2", String(30), server_default="y", nullable=False), Index(w + "k", w), schema=w, comment="d")
Table("t" + w, metadata, Column("id", Integer, ForeignKey(f"{w}.{w}.{w}", name=w + "f"), primary_key=True), Column(w, String(30), server_default="y", nullable=False, comment="c"), UniqueConstraint(w, "id", name=w + "u"))
Table(w, metadata, Column("id", Integer, primary_key=True), Column(w, Text, info={"renamed_from": "a"}), info={"renamed_from": "r" + w})""",
        loses=True,
    ),
)
