"""Cases of the draft battery that were drafted wrongly: sequences of tables with rows, schemas, names inside of columns."""

from support.draft_case import ModelChange

# fmt: off

SEQUENCE = 'Sequence("ids_of_t", metadata=metadata)'
KEYED = 'Table("t", metadata, Column("id", Integer, {}primary_key=True), Column("b", Text))'
CHECKED = 'table("t", Column("y", Integer, CheckConstraint("y > 0"{})))'
MOVED = 'table("t", Column("b", Text), schema="{}"{})'

CASES = (
    ModelChange("serial_to_named_sequence", f"ids = {SEQUENCE}\n" + KEYED.format("ids, server_default=ids.next_value(), "), KEYED.format(""),
        rows="INSERT INTO t (b) VALUES ('x'), ('y'), ('z')", holds_after="SELECT nextval('ids_of_t') = 4"),
    ModelChange("default_of_a_sequence_that_is_behind", f"ids = {SEQUENCE}\n" + KEYED.format("autoincrement=False, server_default=ids.next_value(), "), KEYED.format("autoincrement=False, "),
        rows="INSERT INTO t VALUES (7, 'x')", holds_after="SELECT nextval('ids_of_t') = 8"),
    ModelChange("moved_to_a_new_schema", MOVED.format("shelf", ', info={"renamed_from": "store.t"}') + '\nTable("v", metadata, Column("id", Integer), schema="shelf")\nTable("w", metadata, Column("id", Integer), schema="store")',
        MOVED.format("store", "") + '\nTable("w", metadata, Column("id", Integer), schema="store")', rows="INSERT INTO store.t (b) VALUES ('x')"),
    ModelChange("check_in_a_column_gets_a_name", CHECKED.format(', name="ypos"'), CHECKED.format("")),
    ModelChange("check_in_a_column_gets_another_name", CHECKED.format(', name="two"'), CHECKED.format(', name="one"')),
    ModelChange("boolean_with_a_name_beside_a_function", 'table("t", Column("n", Integer, server_default=text("next_n()")), Column("ok", Boolean(name="ok_is_bool")), Column("m", Enum("a", name="one_of", native_enum=False)))',
        'table("t", Column("n", Integer, server_default=text("next_n()")))', setup="CREATE FUNCTION next_n() RETURNS int LANGUAGE sql AS 'SELECT 1'", undo="DROP FUNCTION next_n()"),
)
