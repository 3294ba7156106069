"""Foreign keys and checks of a live table: NOT VALID first, then validated in a later revision."""

import copy

from alembic.operations import ops

from dbkit.drafts.effects import Effect
from dbkit.drafts.stages import Place, Plan, make_step
from dbkit.drafts.steps import Phase, Step
from dbkit.postgres.sql_quote import quote_name
from dbkit.trace.records import Change, ChangeKind


def add_not_valid(effect: Effect, plan: Plan, place: Place = Place.CHANGE) -> None:
    """Add a foreign key or a check NOT VALID in a stage, and validate it later.

    A foreign key on columns whose unique constraint is made or replaced by the draft comes together with that.
    """
    (change,) = effect.changes
    step = make_step(effect.step.phase, _without_validation(effect.step.operation), effect.step)
    if change.kind == "foreign key" and _needs_index(change, plan):
        place = Place.USE_INDEX
        old = plan.take_kept(lambda each: each.what == ChangeKind.CONSTRAINT_DROPPED and _is_same(each, change))
        drops, others = _split_drops(plan.take_downgrade(lambda each: _is_same(each, change)))
        plan.add(place, [step], [])
        plan.surround(place, old, drops, others)
    elif place == Place.CHANGE:
        plan.keep(step)
    else:
        plan.add(place, [step], [each.step for each in plan.take_downgrade(lambda each: _is_same(each, change))])
    validate = f"ALTER TABLE {change.table} VALIDATE CONSTRAINT {quote_name(change.name)}"
    plan.add(
        Place.VALIDATE if place == Place.CHANGE else Place.VALIDATE_AFTER,
        [make_step(Phase.CREATE_CONSTRAINT, ops.ExecuteSQLOp(validate), effect.step)],
        [_drop_of(change, effect.step), step],
        change.name,
        change.name,
    )


def validate_later(effect: Effect, plan: Plan) -> None:
    """Validate a constraint that exists and is NOT VALID in a separate revision."""
    change = effect.changes[0]
    undone = plan.take_downgrade(lambda each: _is_same(each, change))
    plan.add(Place.VALIDATE, [effect.step], [each.step for each in undone], change.name)


def _without_validation(operation: ops.MigrateOperation) -> ops.MigrateOperation:
    if isinstance(operation, ops.CreateForeignKeyOp | ops.CreateCheckConstraintOp):
        added = copy.copy(operation)
        added.kw = {**operation.kw, "postgresql_not_valid": True}
        return added
    return ops.ExecuteSQLOp(f"{str(operation.sqltext).rstrip().rstrip(';')} NOT VALID")  # type: ignore[attr-defined]


def _drop_of(change: Change, step: Step) -> Step:
    operation, drop = step.operation, None
    if isinstance(operation, ops.CreateForeignKeyOp):
        drop = ops.DropConstraintOp(
            change.name, operation.source_table, type_="foreignkey", schema=operation.kw.get("source_schema")
        )
    elif isinstance(operation, ops.CreateCheckConstraintOp):
        drop = ops.DropConstraintOp(change.name, operation.table_name, type_="check", schema=operation.schema)
    text = f"ALTER TABLE {change.table} DROP CONSTRAINT {quote_name(change.name)}"
    return make_step(Phase.DROP_CONSTRAINT, drop or ops.ExecuteSQLOp(text), step)


def _needs_index(key: Change, plan: Plan) -> bool:
    """Return whether the draft makes a unique constraint of the table that a foreign key references."""
    return any(
        each.what == ChangeKind.CONSTRAINT_ADDED
        and each.kind in ("unique", "primary key")
        and each.table == key.references
        for effect in plan.upgrade
        if any(identifier == "constraint-builds-index" for identifier, _violation in effect.dangers)
        for each in effect.changes
    )


def _is_same(change: Change, constraint: Change) -> bool:
    return (change.table, change.name) == (constraint.table, constraint.name)


def _split_drops(effects: list[Effect]) -> tuple[list[Step], list[Step]]:
    drops = [each.step for each in effects if each.changes[0].what == ChangeKind.CONSTRAINT_DROPPED]
    return drops, [each.step for each in effects if each.step not in drops]
