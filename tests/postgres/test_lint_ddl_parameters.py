"""SQLAlchemy renders a colon and a word in the text of a DDL construct as NULL, and lint reports it."""

from pathlib import Path

import pytest

from dbkit.settings import Target
from support.lint_findings import find_loud

TABLE = ("CREATE TABLE t (id int PRIMARY KEY, a int, b text)",)
UNBOUND = {
    "a check": """op.create_check_constraint("ck", "t", "b <> ':x'", postgresql_not_valid=True)""",
    "a check of a new table": """op.create_table("n", sa.Column("b", sa.Text), sa.CheckConstraint("b <> ':x'", name="ck"))""",
    "a default": """op.add_column("t", sa.Column("z", sa.Text, server_default=sa.text("':x'")))""",
    "a changed default": """op.alter_column("t", "b", server_default=sa.text("':x'"))""",
    "a condition of an index": """op.create_index("ix", "n", ["a"], postgresql_where=sa.text("b = ':x'"))""",
    "an expression of an index": """op.create_index("ix", "n", [sa.text("(b || ':x')")])""",
    "a generated column": """op.create_table("n", sa.Column("b", sa.Text), sa.Column("c", sa.Text, sa.Computed("b || ':x'")))""",
    "a check in a batch": """with op.batch_alter_table("n") as batch: batch.create_check_constraint("ck", "b <> ':x'")""",
    "an exclusion": """op.create_exclude_constraint("ex", "n", ("a", "="), where=sa.text("b <> ':x'"), using="btree")""",
    "a table of metadata": """sa.Table("n", sa.MetaData(), sa.Column("b", sa.Text, server_default=sa.text("':x'"))).create(op.get_bind())""",
}  # fmt: skip
HARMLESS = {
    "a colon that is escaped": r"""op.create_check_constraint("ck", "n", r"b <> '\:x'")""",
    "a cast": """op.create_check_constraint("ck", "n", "b::int > 0")""",
    "a time": """op.create_check_constraint("ck", "n", "b <> '10:30'")""",
    "a plain default": """op.add_column("n", sa.Column("z", sa.Text, server_default=":x"))""",
    "a value for it": """op.create_index("ix", "n", ["a"], postgresql_where=sa.text("b = :x").bindparams(x="y"))""",
    "a NULL that is meant": """op.create_check_constraint("ck", "n", sa.column("b") != sa.null())""",
    "a default of NULL": """op.add_column("n", sa.Column("z", sa.Text, server_default=sa.null()))""",
}  # fmt: skip
NEW = """op.create_table("n", sa.Column("a", sa.Integer), sa.Column("b", sa.Text))"""


def lines(line: str) -> list[str]:
    """Return a line, after one that creates the table which it is about."""
    return [line] if 'create_table("n"' in line or 'Table("n"' in line or '"n"' not in line else [NEW, line]


@pytest.mark.parametrize("name", UNBOUND)
def test_a_parameter_without_a_value_in_ddl(database: Target, tmp_path: Path, name: str) -> None:
    found = find_loud(database, tmp_path, TABLE, (), *lines(UNBOUND[name]))
    assert [each.message for each in found if each.id == "unbound-parameter"] == [
        ":x is taken for a parameter, has no value, and is NULL in the SQL"
    ], found


@pytest.mark.parametrize("name", HARMLESS)
def test_no_parameter_in_ddl(database: Target, tmp_path: Path, name: str) -> None:
    assert find_loud(database, tmp_path, TABLE, (), *lines(HARMLESS[name])) == []
