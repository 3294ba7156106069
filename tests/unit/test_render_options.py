"""The options of env.py that change how a draft is written."""

from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops

from dbkit.drafts.render import Code, render_revision
from dbkit.drafts.render_options import read_render_options
from dbkit.drafts.steps import DraftRevision, Phase, Step
from dbkit.errors import InputError


class Vector(sa.types.UserDefinedType[Any]):
    """A type of a library."""

    def get_col_spec(self, **_options: Any) -> str:
        return "vector"


class PluginOp(ops.MigrateOperation):
    """An operation that Alembic does not have."""


def render(options: dict[str, Any], *operations: ops.MigrateOperation) -> Code:
    steps = [Step(Phase.COMMENT, each) for each in operations]
    return render_revision(DraftRevision(steps, []), read_render_options(options))


def ask(kind: str, item: Any, context: Any) -> Any:
    """A render_item that knows some items."""
    assert context.opts["sqlalchemy_module_prefix"] == "sa."
    if kind == "type" and isinstance(item, sa.Integer):
        context.imports.add("import numbers_of_ours")
        return "numbers_of_ours.Whole()"
    if kind == "server_default" and str(item.arg) == "'x'":
        return "sa.text('special')"
    if kind == "check" and item.name == "ours":
        return None
    return False


TABLE = ops.CreateTableOp(
    "t",
    [
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("n", sa.Text, server_default=sa.text("'x'")),
        sa.Column("m", sa.Text, server_default=sa.text("'sa.op.'")),
        sa.CheckConstraint("id > 0", name="ours"),
        sa.CheckConstraint("id > 1", name="theirs"),
        sa.PrimaryKeyConstraint("id", name="t_pkey"),
    ],
)
ADD = ops.AddColumnOp("t", sa.Column("a", sa.Integer, server_default=sa.text("'op.sa.'")))
SCHEMA: dict[str, Any] = {"schema": "s"}
ON_TABLE = (
    ops.AddColumnOp("t", sa.Column("a", sa.Text), **SCHEMA),
    ops.AlterColumnOp("t", "b", modify_nullable=True, **SCHEMA),
    ops.CreateIndexOp("i", "t", ["a"], **SCHEMA),
    ops.DropIndexOp("j", "t", **SCHEMA),
    ops.CreateUniqueConstraintOp("u", "t", ["a"], **SCHEMA),
    ops.CreateCheckConstraintOp("c", "t", "a > 'b'", **SCHEMA),
    ops.CreateForeignKeyOp("f", "t", "p", ["a"], ["b"], source_schema="s", referent_schema="s"),
    ops.DropConstraintOp("d", "t", type_="check", **SCHEMA),
    ops.DropColumnOp("t", "e", **SCHEMA),
)
BATCH = """\
with op.batch_alter_table("t", schema="s") as batch_op:
        batch_op.add_column(sa.Column("a", sa.Text(), nullable=True))
        batch_op.alter_column("b", nullable=True)
        batch_op.create_index(op.f("i"), ["a"], unique=False)
        batch_op.drop_index(op.f("j"))
        batch_op.create_unique_constraint(op.f("u"), ["a"])
        batch_op.create_check_constraint(op.f("c"), "a > 'b'")
        batch_op.create_foreign_key(op.f("f"), "p", ["a"], ["b"], referent_schema="s")
        batch_op.drop_constraint(op.f("d"), type_="check")
        batch_op.drop_column("e")
"""


def test_render_item_is_asked() -> None:
    code = render({"render_item": ask}, TABLE)
    assert 'sa.Column("id", numbers_of_ours.Whole(), nullable=False)' in code.upgrade
    assert 'sa.text("special")' in code.upgrade
    assert "ours" not in code.upgrade.replace("numbers_of_ours", "")
    assert 'sa.CheckConstraint("id > 1", name=op.f("theirs"))' in code.upgrade
    assert code.imports == ["import numbers_of_ours"]


def test_an_answer_that_is_no_expression_is_refused() -> None:
    with pytest.raises(InputError, match="render_item of env"):
        render({"render_item": lambda *_: "a b"}, TABLE)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "op.add_column(\n        \"t\",\n        sa.Column(\"a\", sa.Integer(), server_default=sa.text(\"'op.sa.'\"), nullable=True),\n    )"),
        ({"sqlalchemy_module_prefix": "sqlalchemy."}, "op.add_column(\n        \"t\",\n        sqlalchemy.Column(\"a\", sqlalchemy.Integer(), server_default=sqlalchemy.text(\"'op.sa.'\"), nullable=True),\n    )"),
        ({"sqlalchemy_module_prefix": "", "alembic_module_prefix": ""}, "add_column(\n        \"t\",\n        Column(\"a\", Integer(), server_default=text(\"'op.sa.'\"), nullable=True),\n    )"),
        ({"alembic_module_prefix": "alembic.op."}, "alembic.op.add_column(\n        \"t\",\n        sa.Column(\"a\", sa.Integer(), server_default=sa.text(\"'op.sa.'\"), nullable=True),\n    )"),
    ],
)  # fmt: skip
def test_prefixes_are_those_of_the_project(options: dict[str, str], expected: str) -> None:
    assert render(options, ADD).upgrade.rstrip() == expected


def test_types_of_libraries_have_the_prefix_of_the_project() -> None:
    operation = ops.AddColumnOp("t", sa.Column("a", Vector()))
    code = render({"user_module_prefix": "types."}, operation)
    assert "types.Vector()" in code.upgrade
    assert code.imports == []
    assert render({}, operation).imports == [f"import {__name__}"]


def test_an_operation_of_a_plugin_is_written_by_its_own_renderer() -> None:
    @renderers.dispatch_for(PluginOp)
    def write(context: AutogenContext, _operation: PluginOp) -> str:
        context.imports.add("import plugin")
        return "op.call_plugin()"

    code = render({"alembic_module_prefix": "operations."}, PluginOp())
    assert (code.upgrade, code.imports) == ("operations.call_plugin()", ["import plugin"])


def test_operations_on_a_table_are_one_batch() -> None:
    code = render({"render_as_batch": True}, *ON_TABLE, ops.ExecuteSQLOp("SELECT 1"), ops.DropTableOp("x"))
    compile(f"def upgrade():\n    {code.upgrade}", "revision", "exec")
    assert code.upgrade.rstrip() == BATCH + '\n    op.execute("SELECT 1")\n    op.drop_table("x")'
