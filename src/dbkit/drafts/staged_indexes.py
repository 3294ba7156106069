"""Indexes of a live table: built and dropped concurrently, in a revision for each; unique constraints from them."""

import copy
import inspect
import re

from alembic.operations import ops

from dbkit.drafts.effects import Effect
from dbkit.drafts.stages import Place, Plan, make_step
from dbkit.drafts.steps import AutocommitOp, Phase, Step
from dbkit.postgres.sql_quote import quote_name, split_name
from dbkit.trace.records import Change, ChangeKind

CREATE = re.compile(r"\s*CREATE\s+(UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY\b)(?:IF\s+NOT\s+EXISTS\s+)?", re.IGNORECASE)
NAME = re.compile(r'"(?:[^"]|"")+"|[^\s"]+')
TIMING = re.compile(r"( DEFERRABLE)?( INITIALLY DEFERRED)?$")
INDEX_OPTIONS = {"postgresql_nulls_not_distinct"}
"""Options of op.create_unique_constraint that op.create_index has, too."""
HAS_IF_EXISTS = "if_exists" in inspect.signature(ops.DropIndexOp.__init__).parameters
"""Since Alembic 1.12."""
LONGEST_NAME = 63
"""Bytes."""
IN_THE_WAY = (
    ChangeKind.TABLE_RENAMED,
    ChangeKind.TABLE_DROPPED,
    ChangeKind.COLUMN_RENAMED,
    ChangeKind.COLUMN_DROPPED,
    ChangeKind.TYPE_CHANGED,
)
"""The changes after which an index on the table may not exist any more, or may not be created as before."""


def build_index(effect: Effect, plan: Plan) -> None:
    """Build an index concurrently; one that takes the name of another is swapped with it."""
    (change,) = (each for each in effect.changes if each.what == ChangeKind.INDEX_ADDED)
    old = _drop_of(change, plan)
    undone = plan.take_downgrade(lambda each: _is_index(each, change))
    if not old:
        _add_build(effect.step, change, change.name, plan)
        return
    plan.take_kept(lambda each: each.what == ChangeKind.INDEX_DROPPED and _is_index(each, change))
    new, former = make_name(change.name, "new", plan), make_name(change.name, "old", plan)
    _add_build(effect.step, change, new, plan)
    schema = _schema_of(change)
    renames = [(change.name, former), (new, change.name)]
    plan.add(
        Place.USE_INDEX,
        [_rename(schema, before, after, effect.step) for before, after in renames],
        [_rename(schema, after, before, effect.step) for before, after in reversed(renames)],
        name=change.name,
    )
    again = next(
        (each.step for each in undone for made in each.changes if made.what == ChangeKind.INDEX_ADDED), old.step
    )
    _add_drop(old, again, former, plan)


def drop_index(effect: Effect, plan: Plan) -> bool:
    """Drop an index concurrently, at the end; return False where it cannot wait until then."""
    (change,) = effect.changes
    if plan.has_change(IN_THE_WAY, change.table) or any(
        _is_index(made, change) and made.what == ChangeKind.INDEX_ADDED
        for each in plan.upgrade
        for made in each.changes
    ):
        return False
    undone = plan.take_downgrade(lambda each: each.what == ChangeKind.INDEX_ADDED and _is_index(each, change))
    if len(undone) != 1:
        plan.downgrade += undone
        return False
    _add_drop(effect, undone[0].step, change.name, plan)
    return True


def use_index(effect: Effect, plan: Plan) -> None:
    """Add a unique constraint or a primary key with an index that is built concurrently before."""
    added = [each for each in effect.changes if each.what == ChangeKind.CONSTRAINT_ADDED]
    (change,) = (each for each in added if each.kind in ("unique", "primary key"))
    (index,) = (each for each in effect.changes if each.what == ChangeKind.INDEX_ADDED)
    old = plan.take_kept(lambda each: _is_dropped(each, change))
    undone = plan.take_downgrade(lambda each: _is_index(each, change) or _is_constraint(each, change))
    name = make_name(change.name, "new", plan) if old or _drop_of(index, plan) else change.name
    build = _index_operation(effect.step.operation, index, name)
    _add_build(make_step(Phase.CREATE_INDEX, build, effect.step), index, name, plan)
    text = (
        f"ALTER TABLE {change.table} ADD CONSTRAINT {quote_name(change.name)} {change.kind.upper()}"
        f" USING INDEX {quote_name(name)}{TIMING.search(change.after)[0]}"  # type: ignore[index]  # it matches anything
    )
    plan.add(
        Place.USE_INDEX,
        [*old, make_step(Phase.CREATE_CONSTRAINT, ops.ExecuteSQLOp(text), effect.step)],
        [*(each.step for each in undone), make_step(Phase.CREATE_INDEX, build, effect.step)],
        name=change.name,
    )


def make_name(name: str, suffix: str, plan: Plan) -> str:
    """Return a name that is not in use yet, of no more bytes than PostgreSQL keeps."""
    for number in range(1, 1000):
        end = f"_{suffix}{number if number > 1 else ''}"
        made = name.encode()[: LONGEST_NAME - len(end)].decode(errors="ignore") + end
        if made not in plan.names:
            break
    plan.names.add(made)
    return made


def _add_build(step: Step, index: Change, name: str, plan: Plan) -> None:
    drop = _drop_concurrently(_schema_of(index), name, index.table)
    create = _create_concurrently(step.operation, name)
    plan.add(
        Place.BUILD_INDEX,
        [make_step(Phase.CREATE_INDEX, AutocommitOp([drop, create]), step)],
        [make_step(Phase.DROP_INDEX, AutocommitOp([drop]), step)],
        name,
        name,
    )


def _add_drop(effect: Effect, again: Step, name: str, plan: Plan) -> None:
    (change,) = effect.changes
    drop = _drop_concurrently(_schema_of(change), name, change.table)
    create = _create_concurrently(again.operation, name)
    plan.add(
        Place.DROP_INDEX,
        [make_step(Phase.DROP_INDEX, AutocommitOp([drop]), effect.step)],
        [make_step(Phase.CREATE_INDEX, AutocommitOp([drop, create]), effect.step)],
        name=name,
    )


def _index_operation(operation: ops.MigrateOperation, index: Change, name: str) -> ops.MigrateOperation:
    """Return the operation that creates the index of a constraint."""
    if isinstance(operation, ops.CreatePrimaryKeyOp | ops.CreateUniqueConstraintOp):
        options = {key: value for key, value in operation.kw.items() if key not in ("deferrable", "initially")}
        if set(options) <= INDEX_OPTIONS and operation.columns:
            return ops.CreateIndexOp(
                name, operation.table_name, [*operation.columns], schema=operation.schema, unique=True, **options
            )
    return ops.ExecuteSQLOp(_renamed(index.after, name))


def _create_concurrently(operation: ops.MigrateOperation, name: str) -> ops.MigrateOperation:
    if isinstance(operation, ops.CreateIndexOp):
        create = copy.copy(operation)
        create.index_name = name
        create.kw = {**operation.kw, "postgresql_concurrently": True}
        return create
    text = _renamed(str(operation.sqltext), name)  # type: ignore[attr-defined]  # the only other one that creates an index
    return ops.ExecuteSQLOp(CREATE.sub(r"CREATE \1INDEX CONCURRENTLY ", text, count=1))


def _renamed(text: str, name: str) -> str:
    """Return a CREATE INDEX statement for an index of another name."""
    start = CREATE.match(text)
    if start is None:
        return text
    return text[: start.end()] + NAME.sub(lambda _name: quote_name(name), text[start.end() :], count=1)


def _drop_concurrently(schema: str | None, name: str, table: str) -> ops.MigrateOperation:
    if not HAS_IF_EXISTS:
        return ops.ExecuteSQLOp(f"DROP INDEX CONCURRENTLY IF EXISTS {_qualify(schema, name)}")
    return ops.DropIndexOp(name, _last_part(table), schema=schema, postgresql_concurrently=True, if_exists=True)


def _rename(schema: str | None, before: str, after: str, like: Step) -> Step:
    text = f"ALTER INDEX {_qualify(schema, before)} RENAME TO {quote_name(after)}"
    return make_step(Phase.RENAME, ops.ExecuteSQLOp(text), like)


def _qualify(schema: str | None, name: str) -> str:
    return quote_name(*filter(None, (schema, name)))


def _schema_of(change: Change) -> str | None:
    parts = split_name(change.table)
    return parts[0] if len(parts) > 1 else None


def _last_part(table: str) -> str:
    return split_name(table)[-1]


def _drop_of(index: Change, plan: Plan) -> Effect | None:
    """Return what the draft does to the index whose name this one takes."""
    return next(
        (
            effect
            for effect in plan.upgrade
            if len(effect.changes) == 1
            and effect.changes[0].what == ChangeKind.INDEX_DROPPED
            and _is_index(effect.changes[0], index)
        ),
        None,
    )


def _is_index(change: Change, index: Change) -> bool:
    is_index = change.what in (ChangeKind.INDEX_ADDED, ChangeKind.INDEX_DROPPED)
    return is_index and (change.table, change.name) == (index.table, index.name)


def _is_constraint(change: Change, constraint: Change) -> bool:
    is_constraint = change.what in (ChangeKind.CONSTRAINT_ADDED, ChangeKind.CONSTRAINT_DROPPED)
    return is_constraint and (change.table, change.name) == (constraint.table, constraint.name)


def _is_dropped(change: Change, constraint: Change) -> bool:
    is_drop = change.what in (ChangeKind.CONSTRAINT_DROPPED, ChangeKind.INDEX_DROPPED)
    return is_drop and (change.table, change.name) == (constraint.table, constraint.name)
