"""Stage a draft for a live database: several revisions in order, in which lint finds no danger."""

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import replace

import sqlalchemy as sa

from dbkit.drafts import staged_columns, staged_constraints, staged_indexes, staged_values
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.effects import Effect, copy_database, find_constrained_domains, find_failing, find_keyless, measure
from dbkit.drafts.stages import Place, Plan
from dbkit.drafts.steps import AutocommitOp, Draft, DraftRevision
from dbkit.errors import describe_error
from dbkit.lint.estimate import SMALL
from dbkit.lint.rules import Found
from dbkit.lint.rules.rule import Violation
from dbkit.lint.table_sizes import TableSize
from dbkit.settings import Target
from dbkit.trace.records import ChangeKind

NOT_VALID_FIRST = {"foreign-key-in-one-step", "check-in-one-step"}


def stage(
    draft: Draft,
    comparison: Comparison,
    sizes: Mapping[str, TableSize],
    *,
    small: int = SMALL,
    known_only: bool = False,
) -> Draft:
    """Return the draft as several revisions: of each danger that lint finds in it, what lint proposes instead.

    `sizes` are those of the live database's tables, by name; tables of less than `small` rows need no stages, nor
    do those of unknown size if `known_only`. What cannot be staged stays as it is, and is named in `dangers`.
    """
    tables = Tables(sizes, small, known_only=known_only)
    staged: list[DraftRevision] = []
    dangers: list[str] = []
    with copy_database(comparison.migrated.target, comparison.modelled.target) as copy:
        try:
            for revision in draft.revisions:
                several, left = _stage_revision(revision, comparison, copy, tables)
                staged += several
                dangers += left
        except sa.exc.SQLAlchemyError as error:
            return replace(draft, dangers=[f"it cannot be staged: {describe_error(error)}"])
    return replace(draft, revisions=staged, dangers=dangers)


class Tables:
    """How big the tables of the live database are."""

    def __init__(self, sizes: Mapping[str, TableSize], small: int, *, known_only: bool) -> None:
        self.sizes, self.small, self.known_only = sizes, small, known_only

    def are_big(self, names: Collection[str]) -> bool:
        """Return whether a statement on these tables may take long."""
        rows = [self.sizes[name].rows for name in names if name in self.sizes]
        return max(rows) >= self.small if rows else not self.known_only


def _stage_revision(
    revision: DraftRevision, comparison: Comparison, copy: Target, tables: Tables
) -> tuple[list[DraftRevision], list[str]]:
    """Return the revisions that one becomes, and what is left dangerous; the copy is upgraded by them."""
    keyless = find_keyless(copy)
    constrained = find_constrained_domains(comparison.modelled.target)
    effects = measure(revision.upgrade, copy)
    plan = Plan(effects, [], shapes=comparison.modelled.shapes, keyless=keyless, constrained=constrained)
    if not any(_is_concerned(each, tables) for each in plan.upgrade):
        return [revision], []
    plan.downgrade = measure(revision.downgrade, copy)
    for effect in plan.upgrade:
        _place(effect, plan, tables)
    plan.move_notes()
    failing = find_failing(plan.kept, copy) if plan.parts else []
    for effect in plan.upgrade:
        if effect.step in failing:
            _defer(effect, plan)
    staged = plan.revisions()
    left = _verify(staged, copy, tables)
    if len(staged) == 1:
        staged = [replace(staged[0], message=revision.message)]
    return staged, list(dict.fromkeys([*plan.dangers, *left]))


def _verify(revisions: Sequence[DraftRevision], copy: Target, tables: Tables) -> list[str]:
    """Run the revisions up, down and up, and return what lint still finds dangerous in them."""
    effects = [effect for each in revisions for effect in measure(each.upgrade, copy)]
    for each in reversed(revisions):
        measure(each.downgrade, copy)
    for each in revisions:
        measure(each.upgrade, copy)
    return [_describe(violation) for effect in effects for _identifier, violation in _dangers(effect, tables)]


def _defer(effect: Effect, plan: Plan) -> None:
    """Put a step that cannot run before the stages after them."""
    plan.kept.remove(effect.step)
    if [each.what for each in effect.changes] == [ChangeKind.CONSTRAINT_ADDED] and effect.changes[0].kind in (
        "foreign key",
        "check",
    ):
        staged_constraints.add_not_valid(effect, plan, Place.AFTER)
    else:
        plan.add(Place.AFTER, [effect.step], plan.take_counterparts(effect))


def _is_concerned(effect: Effect, tables: Tables) -> bool:
    return bool(_dangers(effect, tables)) or _is_index_drop(effect, tables) or _is_update(effect, tables)


def _dangers(effect: Effect, tables: Tables) -> list[Found]:
    return [each for each in effect.dangers if tables.are_big(each[1].tables)]


def _is_update(effect: Effect, tables: Tables) -> bool:
    return effect.updates_rows and any(tables.are_big(each.tables) for _identifier, each in effect.found)


def _is_index_drop(effect: Effect, tables: Tables) -> bool:
    kinds = [each.what for each in effect.changes]
    return kinds == [ChangeKind.INDEX_DROPPED] and tables.are_big([effect.changes[0].table])


def _place(effect: Effect, plan: Plan, tables: Tables) -> None:
    """Put a step into its stages."""
    dangers = _dangers(effect, tables)
    if isinstance(effect.step.operation, AutocommitOp):
        plan.add(Place.LABELS, [effect.step], plan.take_counterparts(effect))
    elif _is_index_drop(effect, tables):
        if not staged_indexes.drop_index(effect, plan):
            plan.keep(effect.step)
    elif _is_update(effect, tables) and staged_values.update_in_batches(effect, plan):
        pass
    elif not dangers:
        plan.keep(effect.step)
    elif not _place_danger({identifier for identifier, _violation in dangers}, effect, plan, dangers[0][1]):
        plan.keep(effect.step)
        plan.dangers += [_describe(each) for _identifier, each in dangers]


def _place_danger(found: Set[str], effect: Effect, plan: Plan, violation: Violation) -> bool:
    """Put a dangerous step into its stages; return False where lint has no other way, or it does several things."""
    if found == {"lock-kept-during-data-change"}:
        plan.add(Place.AFTER, [effect.step], plan.take_counterparts(effect))
        return True
    if not _has_code(violation.fix):
        return False
    kinds = [each.what for each in effect.changes if each.kind != "not null"]
    if found == {"index-without-concurrently"} and kinds == [ChangeKind.INDEX_ADDED]:
        staged_indexes.build_index(effect, plan)
    elif found <= NOT_VALID_FIRST and kinds == [ChangeKind.CONSTRAINT_ADDED]:
        staged_constraints.add_not_valid(effect, plan)
    elif found <= NOT_VALID_FIRST and kinds == [ChangeKind.CONSTRAINT_VALIDATED]:
        staged_constraints.validate_later(effect, plan)
    elif "constraint-builds-index" in found and found <= {"constraint-builds-index", "not-null-by-scan"}:
        return _place_key(effect, plan)
    elif found == {"not-null-by-scan"}:
        return staged_columns.require(effect, plan)
    elif "volatile-default" in found and found <= {"volatile-default", "lock-kept-during-data-change"}:
        return staged_values.fill(effect, plan)
    else:
        return False
    return True


def _place_key(effect: Effect, plan: Plan) -> bool:
    kinds = {each.what for each in effect.changes}
    if not kinds <= {ChangeKind.CONSTRAINT_ADDED, ChangeKind.INDEX_ADDED, ChangeKind.NOT_NULL_SET}:
        return False
    for change in effect.changes:
        if change.what == ChangeKind.NOT_NULL_SET:
            staged_columns.add_requirement(change, effect.step, plan, Place.CHANGE)
    staged_indexes.use_index(effect, plan)
    return True


def _has_code(fix: str) -> bool:
    return any(line and not line.startswith("#") for line in fix.splitlines())


def _describe(violation: Violation) -> str:
    """Return a sentence on a danger that has no stages, with lint's advice."""
    advice = " ".join(line.removeprefix("#").strip() for line in violation.fix.splitlines())
    return f"{violation.message}. lint's advice: {advice}"
