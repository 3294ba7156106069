"""A colon in the SQL of DDL, which SQLAlchemy makes NULL without an error, is found in the source."""

from pathlib import Path

import pytest

from dbkit.lint.source_rules import find_in_file
from dbkit.project.revision_source import read_source

FOUND = [
    """op.create_check_constraint("ck", "t", "b <> ':x'", postgresql_not_valid=True)""",
    """op.create_check_constraint("ck", "t", condition="b <> ':x'")""",
    """batch.create_check_constraint("ck", "b <> ':x'")""",
    """op.create_check_constraint("ck", "t", sa.text("b <> ':x'"))""",
    """op.create_table("t", sa.Column("b", sa.Text), sa.CheckConstraint("b <> ':x'", name="ck"))""",
    """op.create_table("t", sa.Column("b", sa.Text, server_default=sa.text("':x'")))""",
    """op.add_column("t", sa.Column("b", sa.Text, server_default=sa.text("':x'")))""",
    """op.alter_column("t", "b", server_default=sa.text("':x'"))""",
    """op.add_column("t", sa.Column("b", sa.Text, sa.Computed("a || ':x'", persisted=True)))""",
    """op.create_index("ix", "t", ["a"], postgresql_where=sa.text("b = ':x'"))""",
    """op.create_index("ix", "t", ["a"], postgresql_where="b = ':x'")""",
    """op.create_index("ix", "t", [sa.text("(b || ':x')")])""",
    """sa.Index("ix", sa.text("(b || ':x')"))""",
    """op.create_exclude_constraint("ex", "t", (sa.text("(b || ':x')"), "="))""",
]
SILENT = [
    """op.create_check_constraint("ck", "t", r"b <> '\\:x'")""",
    """op.create_check_constraint("ck:x", "t :x", "b <> ''::text")""",
    """op.create_check_constraint("ck", "t", sa.text("b <> :x").bindparams(x="a"))""",
    """op.add_column("t", sa.Column("b :x", sa.Text, server_default=":x", comment="see :x"))""",
    """op.create_index("ix :x", "t", ["a :x"], postgresql_where=sa.text("at > '10:30'"))""",
    """op.create_exclude_constraint("ex", "t", ("b :x", "="))""",
]


def find(path: Path, line: str) -> list[tuple[str, str]]:
    path.write_text(f"def upgrade():\n    {line}\n")
    read_source.cache_clear()
    return [(each.id, each.message) for each in find_in_file("r", path)]


@pytest.mark.parametrize("line", FOUND)
def test_a_colon_in_ddl_is_found(tmp_path: Path, line: str) -> None:
    message = ":x is taken for a parameter, and becomes NULL"
    assert find(tmp_path / "r.py", line) == [("unbound-parameter", message)]


@pytest.mark.parametrize("line", SILENT)
def test_what_reaches_the_server_unchanged_is_not_blamed(tmp_path: Path, line: str) -> None:
    assert find(tmp_path / "r.py", line) == []
