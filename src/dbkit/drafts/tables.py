"""Write new and dropped tables, and the changes of what belongs to a table as a whole."""

from collections.abc import Iterator
from typing import Any

from alembic.operations import ops

from dbkit.catalog import Fact
from dbkit.drafts.changes import Changes
from dbkit.drafts.column_code import column_sql, is_key_serial, make_column
from dbkit.drafts.column_sequences import create_sequence, own_sequence
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.constraint_code import inline_constraint
from dbkit.drafts.constraints import is_inline
from dbkit.drafts.schema_items import UNQUOTED
from dbkit.drafts.shapes import Column, Table, TableName
from dbkit.drafts.steps import CommentOp, Phase, Step
from dbkit.drafts.table_comments import comment_on_column, comment_on_constraint, comment_on_table


def write_tables(comparison: Comparison) -> Iterator[Step]:
    """Yield the steps for tables; their constraints, as far as CREATE TABLE takes them, are in it."""
    changes = Changes(comparison)
    for table in changes.created:
        yield from _create(changes, table)
    for before, after in changes.kept:
        if changes.differs(after.fact):
            yield from _alter(changes, before, after)
    for table in changes.dropped:
        if not _goes_with_parent(changes, table):
            operation = ops.DropTableOp(table.name, schema=changes.schema(table.key))
            partitions = [each for each in changes.dropped if _goes_with_parent(changes, each)]
            facts = [fact for each in (table, *partitions) for fact in _facts(each)]
            yield Step(Phase.DROP_TABLE, operation, tuple(facts), f"table {changes.label(table)}")


def _facts(table: Table) -> tuple[Fact, ...]:
    """The facts of a table and of all that is created and dropped with it."""
    sequences = [fact for each in table.columns.values() for fact in each.sequence_facts]
    return (table.fact, *(table.column_fact(name) for name in table.columns), *sequences)


def _goes_with_parent(changes: Changes, table: Table) -> bool:
    return table.is_partition and any(parent in (each.key for each in changes.dropped) for parent in table.parents)


def _create(changes: Changes, table: Table) -> Iterator[Step]:
    with_sequence = [each for each in table.columns.values() if each.serial and not _makes_sequence(each, table)]
    for column in with_sequence:
        yield Step(Phase.CREATE_SEQUENCE, create_sequence(column), column.sequence_facts)
    operation = _create_operation(changes, table)
    facts = _facts(table)
    if operation is not None:
        yield Step(Phase.CREATE_TABLE, operation, facts)
    else:
        yield Step(Phase.CREATE_TABLE, ops.ExecuteSQLOp(_create_sql(changes, table)), facts)
        if table.comment is not None:
            yield comment_on_table(table)
    for column in table.columns.values():
        if column in with_sequence:
            yield Step(Phase.CREATE_TABLE, own_sequence(table, column), facts)
        if column.comment is not None and (operation is None or column.is_inherited):
            yield comment_on_column(table, column)
        if column.is_inherited:
            yield from _alter_inherited(changes, table, column)
    for constraint in table.constraints.values():
        if constraint.comment is not None and not constraint.is_inherited and is_inline(changes, table, constraint):
            yield comment_on_constraint(table, constraint)


def _makes_sequence(column: Column, table: Table) -> bool:
    """Whether CREATE TABLE makes the sequence of a serial."""
    return column.is_inherited or is_key_serial(column, table)


def _alter_inherited(changes: Changes, table: Table, column: Column) -> Iterator[Step]:
    """Give an inherited column what its parent's has not."""
    parents = [changes.after.tables[name] for name in table.parents if name in changes.after.tables]
    parent = next((each.columns[column.name] for each in parents if column.name in each.columns), None)
    if parent is None:
        return
    alter = f"ALTER TABLE {table.sql} ALTER COLUMN {column.sql}"
    facts = (table.column_fact(column.name),)
    if column.default != parent.default and not column.generated:
        action = "DROP DEFAULT" if column.default is None else f"SET DEFAULT {column.default}"
        yield Step(Phase.CREATE_TABLE, ops.ExecuteSQLOp(f"{alter} {action}"), facts)
    if column.is_required and not parent.is_required:
        yield Step(Phase.CREATE_TABLE, ops.ExecuteSQLOp(f"{alter} SET NOT NULL"), facts)


def _create_operation(changes: Changes, table: Table) -> ops.CreateTableOp | None:
    """Return the operation; None where only SQL can express it."""
    parents = [_plain_parent(changes, name) for name in table.parents]
    if table.is_partition or table.of_type or table.access_method or table.tablespace or None in parents:
        return None
    if "%" in (table.partition_key or "") or any("." in each or "%" in each for each in table.parameters):
        return None
    own = [each for each in table.columns.values() if not each.is_inherited]
    columns = [make_column(each, changes.new_type(table.key, each), table) for each in own]
    if any(each is None for each in columns) or not columns:
        return None
    constraints = [
        inline_constraint(changes, table, each)
        for each in table.constraints.values()
        if not each.is_inherited and is_inline(changes, table, each)
    ]
    keywords: dict[str, Any] = {}
    if table.partition_key:
        keywords["postgresql_partition_by"] = table.partition_key
    if parents:
        keywords["postgresql_inherits"] = tuple(parents)
    if table.parameters:
        keywords["postgresql_with"] = dict(each.split("=", 1) for each in table.parameters)
    if table.is_unlogged:
        keywords["prefixes"] = ["UNLOGGED"]
    items = [each for each in (*columns, *constraints) if each is not None]
    return ops.CreateTableOp(table.name, items, schema=changes.schema(table.key), comment=table.comment, **keywords)


def _plain_parent(changes: Changes, name: TableName) -> str | None:
    """The name of a parent, which SQLAlchemy quotes as a whole; None where it cannot."""
    return name[1] if changes.schema(name) is None and name[1] not in UNQUOTED else None


def _create_sql(changes: Changes, table: Table) -> str:
    unlogged = "UNLOGGED " if table.is_unlogged else ""
    parents = ", ".join(_sql_name(changes, name) for name in table.parents)
    parts = [
        column_sql(each, as_serial=bool(each.serial) and _makes_sequence(each, table))
        for each in table.columns.values()
        if not each.is_inherited and not table.of_type
    ]
    parts += [
        f"CONSTRAINT {each.sql} {each.definition}"
        for each in table.constraints.values()
        if not each.is_inherited and is_inline(changes, table, each)
    ]
    body = "\n    " + ",\n    ".join(parts) + "\n" if parts else ""
    lines = [f"CREATE {unlogged}TABLE {table.sql} ({body})"]
    if table.is_partition:
        lines = [
            f"CREATE {unlogged}TABLE {table.sql} PARTITION OF {parents} {f'({body}) ' if parts else ''}{table.bound}"
        ]
    elif table.of_type:
        lines = [f"CREATE {unlogged}TABLE {table.sql} OF {table.of_type}{f' ({body})' if parts else ''}"]
    elif parents:
        lines.append(f"INHERITS ({parents})")
    if table.partition_key:
        lines.append(f"PARTITION BY {table.partition_key}")
    return " ".join([*lines, table.options]).strip()


def _sql_name(changes: Changes, name: TableName) -> str:
    return (changes.after.tables.get(name) or changes.before.tables[name]).sql


def _alter(changes: Changes, before: Table, after: Table) -> Iterator[Step]:
    actions, facts = [], [after.fact]
    if before.is_unlogged != after.is_unlogged:
        actions.append("SET UNLOGGED" if after.is_unlogged else "SET LOGGED")
        facts += [fact for each in before.columns.values() for fact in each.sequence_facts]
    gone = [each.split("=")[0] for each in before.parameters]
    kept = [each.split("=")[0] for each in after.parameters]
    new = [each for each in after.parameters if each not in before.parameters]
    if new:
        actions.append(f"SET ({', '.join(new)})")
    if reset := [name for name in gone if name not in kept]:
        actions.append(f"RESET ({', '.join(reset)})")
    if before.access_method != after.access_method:
        actions.append(f"SET ACCESS METHOD {after.access_method or 'heap'}")
    if before.tablespace != after.tablespace:
        actions.append(f"SET TABLESPACE {after.tablespace or 'pg_default'}")
    if not before.is_partition and not after.is_partition:
        actions += [f"NO INHERIT {_sql_name(changes, name)}" for name in before.parents if name not in after.parents]
    for action in actions:
        yield Step(Phase.ALTER_COLUMN, ops.ExecuteSQLOp(f"ALTER TABLE {after.sql} {action}"), tuple(facts))
    yield from _undecided(changes, before, after)


def _undecided(changes: Changes, before: Table, after: Table) -> Iterator[Step]:
    """Say what ALTER TABLE cannot do."""
    what = ""
    if before.partition_key != after.partition_key:
        what = (
            f"table {after.fact.identity} is partitioned by {after.partition_key}"
            if after.partition_key
            else f"table {after.fact.identity} is no longer partitioned"
        )
    elif new := [name for name in after.parents if name not in before.parents]:
        what = f"table {after.fact.identity} inherits from {', '.join(_sql_name(changes, name) for name in new)}"
    if what:
        yield _cannot_alter(
            f"{what}, which only a new table can be: create it, copy the rows, and rename it.", after.fact
        )


def _cannot_alter(sentence: str, fact: Fact) -> Step:
    """Return a step without an operation, for a change that a person must write."""
    return Step(Phase.ALTER_COLUMN, CommentOp(sentence), (fact,), undecided=sentence)
