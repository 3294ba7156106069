"""Columns of a live table that become NOT NULL: by a check that is validated before."""

import copy

import sqlalchemy as sa
from alembic.operations import ops

from dbkit.drafts.effects import Effect
from dbkit.drafts.staged_indexes import make_name
from dbkit.drafts.stages import Place, Plan, make_step
from dbkit.drafts.steps import Phase, Step
from dbkit.postgres.sql_escape import sql
from dbkit.postgres.sql_quote import quote_name, split_name
from dbkit.trace.records import Change, ChangeKind


def require(effect: Effect, plan: Plan) -> bool:
    """Set NOT NULL by a check that is validated before; return False where the step does more that cannot be split."""
    changes = [each for each in effect.changes if each.what == ChangeKind.NOT_NULL_SET]
    kept = _without(effect, ChangeKind.NOT_NULL_SET)
    if kept is None:
        return False
    plan.keep(*kept)
    for change in changes:
        undone = [
            each
            for each in plan.downgrade
            for made in each.changes
            if made.what == ChangeKind.NOT_NULL_DROPPED and (made.table, made.name) == (change.table, change.name)
        ]
        for each in undone:
            left = _without(each, ChangeKind.NOT_NULL_DROPPED)
            if left is not None:
                _replace(plan, each, left)
        is_filled = any(each.subject == f"{change.table}.{change.name}" for each in plan.parts.get(Place.BACKFILL, ()))
        add_requirement(change, effect.step, plan, Place.CHECK if is_filled else Place.CHANGE)
    return True


def add_requirement(change: Change, like: Step, plan: Plan, place: Place) -> None:
    """Add the stages that make a column NOT NULL. `place` is that of the check that is NOT VALID."""
    table, column = split_name(change.table), change.name
    schema, name = table[0] if len(table) > 1 else None, table[-1]
    check = make_name(f"ck_{name}_{column}", "not_null", plan)
    condition = sql(f"{quote_name(column)} IS NOT NULL")

    def add(*, is_valid: bool) -> Step:
        options = {} if is_valid else {"postgresql_not_valid": True}
        return make_step(
            Phase.CREATE_CONSTRAINT,
            ops.CreateCheckConstraintOp(sa.sql.elements.conv(check), name, condition, schema=schema, **options),
            like,
        )

    def alter(*, is_nullable: bool) -> Step:
        return make_step(
            Phase.ALTER_COLUMN,
            ops.AlterColumnOp(name, column, schema=schema, modify_nullable=is_nullable),
            like,
        )

    drop = make_step(
        Phase.DROP_CONSTRAINT,
        ops.DropConstraintOp(sa.sql.elements.conv(check), name, type_="check", schema=schema),
        like,
    )
    validate = f"ALTER TABLE {change.table} VALIDATE CONSTRAINT {quote_name(check)}"
    subject = f"{change.table}.{column}"
    plan.add(place, [add(is_valid=False)], [drop], subject)
    plan.add(
        Place.VALIDATE,
        [make_step(Phase.CREATE_CONSTRAINT, ops.ExecuteSQLOp(validate), like)],
        [drop, add(is_valid=False)],
        check,
    )
    plan.add(
        Place.REQUIRE,
        [alter(is_nullable=False), drop],
        [add(is_valid=True), alter(is_nullable=True)],
        subject,
    )


def _without(effect: Effect, kind: ChangeKind) -> list[Step] | None:
    """Return what is left of a step without its changes of NOT NULL; None where it cannot be split."""
    operation = effect.step.operation
    if isinstance(operation, ops.AlterColumnOp):
        rest = copy.copy(operation)
        rest.modify_nullable = None
        is_left = rest.has_changes() or rest.modify_name is not None
        return [make_step(effect.step.phase, rest, effect.step)] if is_left else []
    # since PostgreSQL 18, NOT NULL is a constraint, too
    return [] if all(each.what == kind or each.kind == "not null" for each in effect.changes) else None


def _replace(plan: Plan, effect: Effect, steps: list[Step]) -> None:
    at = plan.downgrade.index(effect)
    others = tuple(each for each in effect.changes if each.what != ChangeKind.NOT_NULL_DROPPED)
    plan.downgrade[at : at + 1] = [Effect(each, others) for each in steps]
