"""Literals and layout of the code of a revision."""

import ast

import pytest
from alembic.operations import ops
from hypothesis import given
from hypothesis import strategies as st

from dbkit.drafts.python_code import call, indent_code, write_block, write_expression
from dbkit.drafts.render import render_revision
from dbkit.drafts.steps import AutocommitOp, CommentOp, DraftRevision, Phase, Step

TEXTS = st.text("ab '\"\\\n\t\r \x85\u2028é%:", max_size=200)


@given(TEXTS)
def test_each_text_is_the_same_in_its_literal(text):
    code = "x = 1\n" + write_expression(call("f", text, option=text))
    made = ast.parse(code).body[1].value
    assert (made.args[0].value, made.keywords[0].value.value) == (text, text)
    block = write_block(text)
    assert block is None or ast.literal_eval(block) == f"\n{text}\n"


def render(*operations: ops.MigrateOperation) -> str:
    return render_revision(DraftRevision([Step(Phase.COMMENT, each) for each in operations], [])).upgrade


def test_lines_within_a_string_are_not_indented():
    assert indent_code('f("""\na\n""")\ng()') == '    f("""\na\n""")\n    g()'


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (ops.ExecuteSQLOp("SELECT ':a', '50%'"), r"""op.execute(r"SELECT '\:a', '50%'")"""),
        (ops.ExecuteSQLOp("SELECT\n  1"), 'op.execute("""\nSELECT\n  1\n""")'),
        (ops.ExecuteSQLOp("SELECT '%(a)s'"), "op.execute(sa.DDL(\"SELECT '%%(a)s'\"))"),
        (ops.CreateTableCommentOp("it's", "5%"), 'op.create_table_comment("it\'s", "5%")'),
        (
            ops.DropColumnOp("t", "c", schema="a.b"),
            'op.drop_column("t", "c", schema=sa.quoted_name("a.b", quote=True))',
        ),
        (CommentOp("a\rimport os"), "# a\n    # import os\n    pass"),
        (
            AutocommitOp([ops.ExecuteSQLOp("VACUUM")]),
            'with op.get_context().autocommit_block():\n        op.execute("VACUUM")',
        ),
        (
            ops.AlterColumnOp("t", "c", modify_nullable=False, postgresql_using="c::int"),
            'op.alter_column("t", "c", nullable=False, postgresql_using="c::int")',
        ),
    ],
)
def test_an_operation_is_rendered(operation, code):
    assert render(operation) == code
