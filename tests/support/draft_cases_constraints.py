"""Cases of the draft battery: constraints and indexes."""

from support.draft_case import ModelChange, part

# fmt: off

AB = 'Column("a", Integer), Column("b", Integer)'
GIST = {"setup": "CREATE EXTENSION btree_gist", "undo": "DROP EXTENSION btree_gist"}
PARENT = 'table("p")\n'


def reference(name: str, before: str, after: str) -> ModelChange:
    """Return the case of a foreign key that changes."""
    of = PARENT + 'table("t", Column("p_id", Integer{}))'
    texts = (of.format(f', ForeignKey("p.id"{each})' if each is not None else "") for each in (before, after))
    old, new = texts
    return ModelChange(name, new, old)


CASES = (
    # UNIQUE
    part("unique_comes", "", 'UniqueConstraint("a", "b", name="once")', AB),
    part("unique_without_name_comes", "", 'UniqueConstraint("a", "b")', AB),
    part("unique_without_name_goes", 'UniqueConstraint("a", "b")', "", AB),
    part("unique_other_columns", 'UniqueConstraint("a", name="once")', 'UniqueConstraint("a", "b", name="once")', AB, may_decide=True),
    part("unique_other_order", 'UniqueConstraint("a", "b", name="once")', 'UniqueConstraint("b", "a", name="once")', AB),
    part(
        "unique_nulls_not_distinct",
        'UniqueConstraint("a", "b", name="once")',
        'UniqueConstraint("a", "b", name="once", postgresql_nulls_not_distinct=True)',
        AB,
        server=15,
    ),
    part(
        "unique_deferrable",
        'UniqueConstraint("a", name="once")',
        'UniqueConstraint("a", name="once", deferrable=True, initially="DEFERRED")',
        AB,
    ),
    part("unique_include", 'UniqueConstraint("a", name="once")', 'UniqueConstraint("a", name="once", postgresql_include=["b"])', AB),
    part("unique_to_index", 'UniqueConstraint("a", name="once")', 'Index("once", "a", unique=True)', AB),
    part("index_to_unique", 'Index("once", "a", unique=True)', 'UniqueConstraint("a", name="once")', AB),
    # CHECK
    part("check_comes", "", 'CheckConstraint("a > 0", name="positive")', AB),
    part("check_without_name_comes", "", 'CheckConstraint("a > 0")', AB),
    part("check_without_name_changes", 'CheckConstraint("a > 0")', 'CheckConstraint("a > 5")', AB, may_decide=True),
    part("check_goes", 'CheckConstraint("a > 0", name="positive")', "", AB),
    part("check_is_weaker", 'CheckConstraint("a > 5", name="positive")', 'CheckConstraint("a > 0", name="positive")', AB, may_decide=True),
    part("check_of_two_columns", 'CheckConstraint("a > 0", name="c")', 'CheckConstraint("a > 0 OR b > 0", name="c")', AB, may_decide=True),
    part("check_not_valid", "", 'CheckConstraint("a > 0", name="c", postgresql_not_valid=True)', AB),
    part(
        "check_validated",
        "",
        'CheckConstraint("a > 0", name="c")',
        AB,
        follow="ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID",
        follow_undo="ALTER TABLE t DROP CONSTRAINT c",
    ),
    part("boolean_with_check", "", 'Column("f", Boolean(create_constraint=True, name="f_ok"))', AB),
    part(
        "enum_check_longer",
        'Column("e", Enum("x", "y", name="e_ok", native_enum=False, create_constraint=True, length=10))',
        'Column("e", Enum("x", "y", "z", name="e_ok", native_enum=False, create_constraint=True, length=10))',
        rows="INSERT INTO t (e) VALUES ('x')",
        may_decide=True,  # a row of the new label stands in the way back
    ),
    # foreign keys
    reference("reference_comes", None, ""),  # type: ignore[arg-type]
    reference("reference_goes", "", None),  # type: ignore[arg-type]
    reference("reference_ondelete", "", ', ondelete="CASCADE"'),
    reference("reference_ondelete_and_onupdate", ', ondelete="SET NULL"', ', ondelete="RESTRICT", onupdate="CASCADE"'),
    reference("reference_deferrable", "", ', deferrable=True, initially="DEFERRED"'),
    reference("reference_not_deferred_any_more", ', deferrable=True, initially="DEFERRED"', ", deferrable=True"),
    reference("reference_match_full", "", ', match="FULL"'),
    ModelChange(
        "references_in_a_circle",
        """
        table("shops", Column("logo_id", ForeignKey("pictures.id")))
        table("pictures", Column("shop_id", ForeignKey("shops.id"), nullable=False), Column("previous", ForeignKey("pictures.id")))
        """,
    ),
    ModelChange(
        "reference_of_two_columns",
        """
        Table("p", metadata, Column("a", Integer, primary_key=True), Column("b", Integer, primary_key=True))
        table("t", Column("a", Integer), Column("b", Integer), ForeignKeyConstraint(["b", "a"], ["p.b", "p.a"]))
        """,
        """
        Table("p", metadata, Column("a", Integer, primary_key=True), Column("b", Integer, primary_key=True))
        table("t", Column("a", Integer), Column("b", Integer))
        """,
    ),
    ModelChange(
        "reference_to_new_unique",
        """
        table("p", Column("code", Integer, unique=True))
        table("t", Column("p_code", Integer, ForeignKey("p.code")))
        """,
        """
        table("p", Column("code", Integer))
        table("t", Column("p_code", Integer))
        """,
    ),
    ModelChange(
        "reference_not_valid",
        """
        table("p")
        table("t", Column("p_id", Integer), ForeignKeyConstraint(["p_id"], ["p.id"], name="to_p", postgresql_not_valid=True))
        """,
        """
        table("p")
        table("t", Column("p_id", Integer))
        """,
    ),
    ModelChange(
        "reference_to_other_table",
        """
        table("p")
        table("q")
        table("t", Column("p_id", Integer, ForeignKey("q.id", name="up")))
        """,
        """
        table("p")
        table("q")
        table("t", Column("p_id", Integer, ForeignKey("p.id", name="up")))
        """,
    ),
    # primary keys
    ModelChange(
        "key_renamed",
        'Table("t", metadata, Column("a", Integer), PrimaryKeyConstraint("a", name="t_key"))',
        'Table("t", metadata, Column("a", Integer), PrimaryKeyConstraint("a"))',
    ),
    ModelChange(
        "key_comes",
        'Table("t", metadata, Column("a", Integer, primary_key=True, autoincrement=False), Column("b", Integer))',
        'Table("t", metadata, Column("a", Integer, nullable=False), Column("b", Integer))',
    ),
    ModelChange(
        "key_moves_to_other_column",
        'Table("t", metadata, Column("a", Integer, nullable=False), Column("b", Integer, primary_key=True, autoincrement=False))',
        'Table("t", metadata, Column("a", Integer, primary_key=True, autoincrement=False), Column("b", Integer, nullable=False))',
        may_decide=True,
    ),
    # EXCLUDE
    part("exclude_comes", "", 'pg.ExcludeConstraint(("a", "="), ("during", "&&"), name="apart")', AB, 'Column("during", pg.TSTZRANGE)', **GIST),
    part(
        "exclude_changes",
        'pg.ExcludeConstraint(("during", "&&"), name="apart")',
        'pg.ExcludeConstraint(("during", "&&"), ("a", "="), name="apart", where=text("b > 0"), deferrable=True)',
        AB,
        'Column("during", pg.TSTZRANGE)',
        **GIST,
        may_decide=True,
    ),
    part(
        "exclude_with_operator_class",
        "",
        'pg.ExcludeConstraint(("d", "&&"), name="apart", using="gist", ops={"d": "range_ops"})',
        'Column("d", pg.INT4RANGE)',
    ),
    # indexes
    part("index_comes", "", 'Index("ix", "a")', AB),
    part("index_goes", 'Index("ix", "a")', "", AB),
    part("index_without_name", "", 'Index(None, "a", "b")', AB),
    part("index_unique", 'Index("ix", "a")', 'Index("ix", "a", unique=True)', AB),
    part("index_order", 'Index("ix", "a")', 'Index("ix", text("a DESC NULLS LAST"))', AB),
    part("index_predicate", 'Index("ix", "a", postgresql_where=text("b > 0"))', 'Index("ix", "a", postgresql_where=text("b > 1"))', AB),
    part("index_predicate_goes", 'Index("ix", "a", unique=True, postgresql_where=text("b IS NULL"))', 'Index("ix", "a", unique=True)', AB, may_decide=True),
    part("index_expression", 'Index("ix", text("(a + 1)"))', 'Index("ix", text("(a + 2)"), "b")', AB),
    part("index_lower", "", 'Index("ix", func.lower(text("s")), unique=True)', 'Column("s", Text)'),
    part("index_include", 'Index("ix", "a")', 'Index("ix", "a", postgresql_include=["b"])', AB),
    part("index_method", 'Index("ix", "s")', 'Index("ix", "s", postgresql_using="hash")', 'Column("s", Text)'),
    part("index_gin", "", 'Index("ix", "j", postgresql_using="gin", postgresql_ops={"j": "jsonb_path_ops"})', 'Column("j", pg.JSONB)'),
    part("index_operator_class", 'Index("ix", "s")', 'Index("ix", "s", postgresql_ops={"s": "text_pattern_ops"})', 'Column("s", Text)'),
    part("index_with", 'Index("ix", "a")', 'Index("ix", "a", postgresql_with={"fillfactor": 60})', AB),
    part("index_nulls_not_distinct", 'Index("ix", "a", unique=True)', 'Index("ix", "a", unique=True, postgresql_nulls_not_distinct=True)', AB, server=15, may_decide=True),
    part("index_collation", 'Index("ix", "s")', 'Index("ix", text(\'s COLLATE "C"\'))', 'Column("s", Text)'),
    part("index_concurrently", "", 'Index("ix", "a", postgresql_concurrently=True)', AB),
    part(
        "index_trigram",
        "",
        'Index("ix", "s", postgresql_using="gin", postgresql_ops={"s": "gin_trgm_ops"})',
        'Column("s", Text)',
        setup="CREATE EXTENSION pg_trgm",
        undo="DROP EXTENSION pg_trgm",
    ),
)
