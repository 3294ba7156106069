"""Read declared renames from the models, carry them out on the migrated database, and write their steps.

Constraints, indexes and sequences of serials that differ by name only are renamed as well: no model need declare that.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy.dialects import postgresql

from dbkit.catalog import Fact, object_name
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.read_shapes import read_shapes
from dbkit.drafts.rename_labels import find_label_renames
from dbkit.drafts.shapes import Constraint, Index, Shapes, Table, TableName, schema_prefix
from dbkit.drafts.steps import Phase, Rename, Step
from dbkit.drafts.taken_names import free_for_tables
from dbkit.errors import InputError
from dbkit.postgres.sql_quote import quote_ident, quote_name
from dbkit.postgres.sql_text import unquote_name

KEY = "renamed_from"
PREPARER = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]


def apply_renames(
    connection: psycopg.Connection[Any], metadata: Sequence[sa.MetaData], migrated: Shapes, modelled: Shapes
) -> tuple[Sequence[Rename], Shapes]:
    """Rename what the models declare, in the caller's transaction.

    Returns what was renamed, in order, and the tables of the migrated database as they are then.
    """
    models = [table for each in metadata for table in each.tables.values()]
    done: list[Rename] = []
    shapes = migrated
    for find in (_find_tables, _find_columns, _find_parts, _find_equal_parts):
        found = list(find(models, shapes, modelled))
        if find is _find_tables:
            found = [*_free_names(found, shapes), *_with_new_schemas(connection, found)]
        while found:
            _execute(connection, found)
            done += found
            shapes = read_shapes(connection)
            # one may get the name that another one had; each is renamed once
            renamed = {rename.new for rename in done}
            found = [each for each in find(models, shapes, modelled) if renamed.isdisjoint((each.old, each.new))]
    tables = {rename.table for rename in done}
    while last := list(_find_identity_sequences(tables, shapes, modelled)):
        _execute(connection, last)
        done += last
        shapes = read_shapes(connection)
    labels = list(find_label_renames(connection, models, modelled.default_schema))
    _execute(connection, labels)
    return [*done, *labels], read_shapes(connection) if labels else shapes


def _with_new_schemas(connection: psycopg.Connection[Any], found: Sequence[Rename]) -> Iterator[Rename]:
    """Yield renames of which each new schema is one that the first of them makes."""
    known = {name for (name,) in psycopg.Cursor(connection).execute("SELECT nspname FROM pg_catalog.pg_namespace")}
    for rename in found:
        yield replace(rename, schemas=tuple(name for name in rename.schemas if name not in known))
        known |= set(rename.schemas)


def write_renames(comparison: Comparison) -> Iterator[Step]:
    """Yield the renames: first in an upgrade, last in a downgrade; with the schemas that only they need."""
    for rename in comparison.renames:
        for schema in rename.schemas:
            word, phase = ("DROP", Phase.DROP_SCHEMA) if comparison.is_reversed else ("CREATE", Phase.CREATE_SCHEMA)
            yield Step(phase, ops.ExecuteSQLOp(f"{word} SCHEMA {quote_name(schema)}"), (rename.old, rename.new))
    for rename in reversed(comparison.renames) if comparison.is_reversed else comparison.renames:
        if comparison.is_reversed:
            phase = Phase.RENAME_LABEL_BACK if rename.is_label else Phase.RENAME_BACK
            yield Step(phase, rename.back, (rename.old, rename.new))
        else:
            phase = Phase.RENAME_LABEL if rename.is_label else Phase.RENAME
            yield Step(phase, rename.forward, (rename.old, rename.new))


def _free_names(found: Sequence[Rename], migrated: Shapes) -> Iterator[Rename]:
    """Yield the renames that free the new names of tables. Raises InputError for one that is not dropped."""
    wanted = {rename.table: rename.old.identity for rename in found if rename.table}
    for key, freed in free_for_tables(wanted, migrated):
        if freed is None:
            raise InputError(
                f"table {wanted[key]} cannot be renamed to {object_name(key[1], key[0])}, as its model declares:"
                " another object of the migrations has that name.",
                "Drop or rename that in a migration first.",
            )
        yield freed


def execute_rename(connection: psycopg.Connection[Any], rename: Rename) -> None:
    """Carry out a rename on a database, which may have its schemas from another one."""
    cursor = psycopg.Cursor(connection)
    for schema in rename.schemas:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_ident(schema)}".encode())
    cursor.execute(rename.statement.encode())


def _execute(connection: psycopg.Connection[Any], renames: Sequence[Rename]) -> None:
    for rename in renames:
        execute_rename(connection, rename)


def _key(table: sa.Table, shapes: Shapes) -> TableName:
    return str(table.schema or shapes.default_schema), str(table.name)


def _find_tables(models: Sequence[sa.Table], migrated: Shapes, modelled: Shapes) -> Iterator[Rename]:
    declared_names = {_key(model, modelled): str(model.info[KEY]) for model in models if model.info.get(KEY)}
    kept = {key for key in modelled.tables if not _gets_former(key, declared_names, migrated, modelled)}
    for model in models:
        new = _key(model, modelled)
        declared = model.info.get(KEY)
        if not declared or new in migrated.tables or new not in modelled.tables:
            continue
        old = _former_table(str(declared), new[0], migrated, kept)
        if old is None:
            continue
        before, after = migrated.tables[old], modelled.tables[new]
        if old[0] != new[0]:
            moved = f"{schema_prefix(after.sql, after.name) or quote_ident(new[0]) + '.'}{_own_name(before)}"
            yield _sql_rename(
                before.fact,
                Fact("table", object_name(old[1], new[0])),
                f"ALTER TABLE {before.sql} SET SCHEMA {quote_ident(new[0])}",
                f"ALTER TABLE {moved} SET SCHEMA {quote_ident(old[0])}",
                schemas=(new[0],),
            )
        if old[1] != new[1]:
            schema = None if new[0] == migrated.default_schema == modelled.default_schema else new[0]
            yield Rename(
                Fact("table", object_name(old[1], new[0])),
                after.fact,
                ops.RenameTableOp(old[1], new[1], schema=schema),
                ops.RenameTableOp(new[1], old[1], schema=schema),
                statement=f"ALTER TABLE {quote_ident(new[0], old[1])} RENAME TO {quote_ident(new[1])}",
                table=new,
            )


def _own_name(table: Table) -> str:
    return table.sql.removeprefix(schema_prefix(table.sql, table.name))


def _gets_former(key: TableName, declared: Mapping[TableName, str], migrated: Shapes, modelled: Shapes) -> bool:
    """Whether a table of the models is the renamed one of another name, so that the one of its name may be renamed."""
    seen: set[TableName] = set()
    while key in declared and key not in seen:
        seen.add(key)
        former = _former_table(declared[key], key[0], migrated, ())
        if former is None or former not in modelled.tables:
            return former is not None
        key = former
    return False


def _former_table(declared: str, schema: str, migrated: Shapes, kept: Collection[TableName]) -> TableName | None:
    """The table that is meant by "old" or by "schema.old", where it is there and no model keeps its name."""
    other, _, name = declared.partition(".")
    for key in ((schema, declared), (other, name)):
        if key in migrated.tables and key not in kept:
            return key
    return None


def _find_columns(models: Sequence[sa.Table], migrated: Shapes, modelled: Shapes) -> Iterator[Rename]:
    for model in models:
        before, after = migrated.tables.get(_key(model, modelled)), modelled.tables.get(_key(model, modelled))
        if before is None or after is None:
            continue
        for column in model.columns:
            old, new = column.info.get(KEY), str(column.name)
            if not old or old not in before.columns or new in before.columns or new not in after.columns:
                continue
            schema = None if after.schema == migrated.default_schema == modelled.default_schema else after.schema
            names = f"{before.columns[old].sql} TO {after.columns[new].sql}"
            yield Rename(
                before.column_fact(old),
                after.column_fact(new),
                ops.AlterColumnOp(after.name, old, schema=schema, modify_name=new),
                ops.AlterColumnOp(after.name, new, schema=schema, modify_name=old),
                statement=f"ALTER TABLE {before.sql} RENAME COLUMN {names}",
                table=after.key,
            )


def _find_parts(models: Sequence[sa.Table], migrated: Shapes, modelled: Shapes) -> Iterator[Rename]:
    """Find the declared renames of constraints and indexes."""
    for model in models:
        before, after = migrated.tables.get(_key(model, modelled)), modelled.tables.get(_key(model, modelled))
        if before is None or after is None:
            continue
        for constraint in model.constraints:
            is_marked = constraint.info.get(KEY) and constraint.name is not None
            new = unquote_name(PREPARER.format_constraint(constraint) or "") if is_marked else ""
            old = str(constraint.info.get(KEY))
            if old in before.constraints and new in after.constraints and new not in before.constraints:
                yield _constraint(before, after, old, new)
        for index in model.indexes:
            new = unquote_name(PREPARER.format_index(index) or "") if index.info.get(KEY) else ""
            old = str(index.info.get(KEY))
            if old in before.indexes and new in after.indexes and new not in before.indexes:
                yield _index(before, after, old, new)


def _find_equal_parts(_models: Sequence[sa.Table], migrated: Shapes, modelled: Shapes) -> Iterator[Rename]:
    """Find constraints, indexes and sequences of serials that are the same, but for their names."""
    for key, after in modelled.tables.items():
        before = migrated.tables.get(key)
        if before is None or before.is_partition:
            continue
        for old, new in find_same_constraints(before, after):
            if (after.schema, new) not in migrated.relations:
                yield _constraint(before, after, old, new)
        for old, new in _pairs(before.indexes, after.indexes, _index_text):
            if (after.schema, new) not in migrated.relations:
                yield _index(before, after, old, new)
        for name, column in after.columns.items():
            former = before.columns.get(name)
            if former is None or not (former.serial and column.serial and former.sequence and column.sequence):
                continue
            is_other = former.sequence[1] != column.sequence[1] and former.sequence[0] == column.sequence[0]
            if is_other and column.sequence not in migrated.relations:
                old_name, new_name = quote_ident(former.sequence[1]), quote_ident(column.sequence[1])
                yield _sql_rename(
                    former.sequence_facts[0],
                    column.sequence_facts[0],
                    f"ALTER SEQUENCE {former.serial} RENAME TO {_bare(column.serial, new_name)}",
                    f"ALTER SEQUENCE {column.serial} RENAME TO {_bare(former.serial, old_name)}",
                )


def _find_identity_sequences(renamed: set[TableName | None], migrated: Shapes, modelled: Shapes) -> Iterator[Rename]:
    """Find the sequences of identity columns that have the former name of their table or column."""
    for key, after in modelled.tables.items():
        before = migrated.tables.get(key)
        if before is None or key not in renamed:
            continue
        for name, column in after.columns.items():
            former = before.columns.get(name)
            if not (former and former.identity and column.identity and former.sequence and column.sequence):
                continue
            if former.sequence != column.sequence and column.sequence not in migrated.relations:
                prefix = (
                    schema_prefix(after.sql, after.name)
                    if former.sequence[0] == after.schema
                    else quote_ident(former.sequence[0]) + "."
                )
                old, new = quote_name(former.sequence[1]), quote_name(column.sequence[1])
                yield _sql_rename(
                    Fact("sequence", object_name(former.sequence[1], former.sequence[0])),
                    Fact("sequence", object_name(column.sequence[1], column.sequence[0])),
                    f"ALTER SEQUENCE {prefix}{old} RENAME TO {new}",
                    f"ALTER SEQUENCE {prefix}{new} RENAME TO {old}",
                )


def _bare(sql: str, quoted: str) -> str:
    """The name without its schema, quoted only where PostgreSQL has quoted it."""
    return quoted if sql.endswith(quoted) else unquote_name(quoted)


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any], text: Any) -> Iterator[tuple[str, str]]:
    """Yield the names of objects of which one is gone and one is new, where just these two have the same text."""
    gone, new = (
        [each for each in ones.values() if each.name not in others]
        for ones, others in ((before, after), (after, before))
    )
    for one in gone:
        if text(one) is None:
            continue
        same = [other for other in new if text(other) == text(one)]
        if len(same) == 1 and sum(text(each) == text(one) for each in gone) == 1:
            yield one.name, same[0].name


def find_same_constraints(before: Table, after: Table) -> Iterator[tuple[str, str]]:
    """Yield the former and the new name of constraints that are the same, but for these."""
    yield from _pairs(before.constraints, after.constraints, _constraint_text)


def _constraint_text(constraint: Constraint) -> tuple[object, ...] | None:
    return None if constraint.is_inherited else (constraint.kind, constraint.definition, constraint.index_settings)


def _index_text(index: Index) -> tuple[object, ...] | None:
    if index.is_attached:
        return None
    return (
        index.is_unique,
        index.method,
        index.keys,
        index.included,
        index.predicate,
        index.parameters,
        index.nulls_not_distinct,
        index.is_valid,
    )


def _constraint(before: Table, after: Table, old: str, new: str) -> Rename:
    first, second = before.constraints[old], after.constraints[new]
    return _sql_rename(
        before.fact_within("constraint", old),
        after.fact_within("constraint", new),
        f"ALTER TABLE {after.sql} RENAME CONSTRAINT {first.sql} TO {second.sql}",
        f"ALTER TABLE {after.sql} RENAME CONSTRAINT {second.sql} TO {first.sql}",
    )


def _index(before: Table, after: Table, old: str, new: str) -> Rename:
    first, second = before.indexes[old], after.indexes[new]
    return _sql_rename(
        before.fact_within("index", old),
        after.fact_within("index", new),
        f"ALTER INDEX {first.sql} RENAME TO {second.sql.removeprefix(schema_prefix(second.sql, second.name))}",
        f"ALTER INDEX {second.sql} RENAME TO {first.sql.removeprefix(schema_prefix(first.sql, first.name))}",
    )


def _sql_rename(old: Fact, new: Fact, forward: str, back: str, schemas: tuple[str, ...] = ()) -> Rename:
    return Rename(old, new, ops.ExecuteSQLOp(forward), ops.ExecuteSQLOp(back), statement=forward, schemas=schemas)
