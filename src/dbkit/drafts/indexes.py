"""Write the changes of indexes that belong to no constraint."""

from collections.abc import Iterator
from typing import Any

from alembic.operations import ops
from sqlalchemy.sql.elements import TextClause, conv

from dbkit.catalog import Fact
from dbkit.drafts.changes import Changes
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.shapes import Index, Table
from dbkit.drafts.steps import Phase, Step
from dbkit.drafts.table_comments import comment_on_index
from dbkit.postgres.sql_escape import sql
from dbkit.postgres.sql_text import Kind, tokenize


def write_indexes(comparison: Comparison) -> Iterator[Step]:
    """Yield the steps for indexes."""
    changes = Changes(comparison)
    for before, after in changes.kept:
        names = [*before.indexes, *(name for name in after.indexes if name not in before.indexes)]
        for name in names:
            fact = after.fact_within("index", name)
            if not changes.differs(fact) and fact not in changes.remade:
                continue
            if name in before.indexes and not before.indexes[name].is_attached:
                yield Step(Phase.DROP_INDEX, _drop(changes, before, before.indexes[name]), (fact,))
            if name in after.indexes:
                yield from _create(changes, after, after.indexes[name])
    for table in changes.created:
        for index in table.indexes.values():
            yield from _create(changes, table, index)


def _drop(changes: Changes, table: Table, index: Index) -> ops.DropIndexOp:
    return ops.DropIndexOp(conv(index.name), table.name, schema=changes.schema(table.key))


def _create(changes: Changes, table: Table, index: Index) -> Iterator[Step]:
    if index.is_attached:
        return
    fact: Fact = table.fact_within("index", index.name)
    operation: ops.MigrateOperation
    if _is_plain(index):
        operation = ops.CreateIndexOp(
            conv(index.name),
            table.name,
            [_key(key, column) for key, column in zip(index.keys, index.columns, strict=True)],
            schema=changes.schema(table.key),
            unique=index.is_unique,
            **_options(index),
        )
    else:
        operation = ops.ExecuteSQLOp(_statement(index))
    yield Step(Phase.CREATE_INDEX, operation, (fact,))
    if index.tablespace:
        move = ops.ExecuteSQLOp(f"ALTER INDEX {index.sql} SET TABLESPACE {index.tablespace}")
        yield Step(Phase.CREATE_INDEX, move, (fact,))
    if index.comment is not None:
        yield comment_on_index(table, index)


def _is_plain(index: Index) -> bool:
    """Whether SQLAlchemy writes all of the index as it is."""
    return not any("%" in each for each in index.parameters)


def _key(key: str, column: str | None) -> str | TextClause:
    return sql(key) if column is None else column


def _options(index: Index) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if index.method != "btree":
        options["postgresql_using"] = index.method
    if index.included:
        options["postgresql_include"] = list(index.included)
    if index.nulls_not_distinct:
        options["postgresql_nulls_not_distinct"] = True
    if index.parameters:
        options["postgresql_with"] = dict(each.split("=", 1) for each in index.parameters)
    if index.predicate is not None:
        options["postgresql_where"] = sql(index.predicate)
    return options


def _statement(index: Index) -> str:
    """The CREATE INDEX statement; that of a partitioned table shows ON ONLY, which would leave the partitions out."""
    tokens = list(tokenize(index.definition))
    place = next((n for n, token in enumerate(tokens) if token.kind == Kind.WORD and token.text == "ONLY"), None)
    on = next(n for n, token in enumerate(tokens) if token.kind == Kind.WORD and token.text == "ON")
    if place is not None and place == on + 2:
        del tokens[place : place + 2]
    return "".join(token.text for token in tokens)
