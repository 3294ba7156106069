"""Write the changes of comments on tables, columns, constraints and indexes."""

from collections.abc import Iterator

from alembic.operations import ops

from dbkit.catalog import Fact
from dbkit.drafts.changes import Changes
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.shapes import Column, Constraint, Index, Table
from dbkit.drafts.steps import Phase, Step
from dbkit.postgres.sql_quote import quote_literal


def write_comments(comparison: Comparison) -> Iterator[Step]:
    """Yield the steps for comments in tables that are on both sides; new objects are created with theirs."""
    changes = Changes(comparison)
    for before, after in changes.kept:
        fact = _comment(after.fact)
        if changes.differs(fact):
            yield Step(Phase.COMMENT, _table_comment(changes, before, after), (fact,))
        for name, column in after.columns.items():
            fact = _comment(after.column_fact(name))
            former = before.columns.get(name)
            is_new = former is None or (after.key, name) in changes.remade_columns
            if changes.differs(fact) and former is not None and not is_new:
                yield Step(Phase.COMMENT, _column_comment(changes, after, former, column), (fact,))
        for constraint in after.constraints.values():
            own = after.fact_within("constraint", constraint.name)
            if changes.differs(_comment(own)) and not changes.differs(own) and own not in changes.remade:
                yield comment_on_constraint(after, constraint)
        for index in after.indexes.values():
            own = after.fact_within("index", index.name)
            if changes.differs(_comment(own)) and not changes.differs(own) and own not in changes.remade:
                yield comment_on_index(after, index)


def _comment(fact: Fact) -> Fact:
    return Fact(f"comment on {fact.kind}", fact.identity)


def _table_comment(changes: Changes, before: Table, after: Table) -> ops.MigrateOperation:
    schema = changes.schema(after.key)
    if after.comment is None:
        return ops.DropTableCommentOp(after.name, existing_comment=before.comment, schema=schema)
    return ops.CreateTableCommentOp(after.name, after.comment, existing_comment=before.comment, schema=schema)


def _column_comment(changes: Changes, table: Table, before: Column, after: Column) -> ops.MigrateOperation:
    type_ = changes.new_type(table.key, after)
    if type_ is None:
        return comment_on_column(table, after).operation
    return ops.AlterColumnOp(
        table.name,
        after.name,
        schema=changes.schema(table.key),
        existing_type=type_,
        existing_nullable=not after.is_required,
        modify_comment=after.comment,
        existing_comment=before.comment,
    )


def comment_on_table(table: Table) -> Step:
    """Return the step that sets or drops the comment on a table, as SQL."""
    return _sql_comment(f"TABLE {table.sql}", table.comment, table.fact)


def comment_on_column(table: Table, column: Column) -> Step:
    """Return the step that sets or drops the comment on a column, as SQL."""
    return _sql_comment(f"COLUMN {table.sql}.{column.sql}", column.comment, table.column_fact(column.name))


def comment_on_constraint(table: Table, constraint: Constraint) -> Step:
    """Return the step that sets or drops the comment on a constraint."""
    fact = table.fact_within("constraint", constraint.name)
    return _sql_comment(f"CONSTRAINT {constraint.sql} ON {table.sql}", constraint.comment, fact)


def comment_on_index(table: Table, index: Index) -> Step:
    """Return the step that sets or drops the comment on an index."""
    return _sql_comment(f"INDEX {index.sql}", index.comment, table.fact_within("index", index.name))


def _sql_comment(what: str, comment: str | None, fact: Fact) -> Step:
    text = "NULL" if comment is None else quote_literal(comment)
    return Step(Phase.COMMENT, ops.ExecuteSQLOp(f"COMMENT ON {what} IS {text}"), (_comment(fact),))
