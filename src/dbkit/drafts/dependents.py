"""Drop what is in the way of a change, and make it again afterwards: views, rules, policies, triggers and the like."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from alembic.operations import ops

from dbkit.catalog import Fact
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.object_steps import run, sort_steps
from dbkit.drafts.objects import DEFAULT, TYPE_KINDS, Objects
from dbkit.drafts.sql_objects import ROUTINES, make_again
from dbkit.drafts.steps import Phase, Step
from dbkit.drafts.swapped_types import find_swapped

VIEWS = ("view", "materialized view")
OF_COLUMNS = (*VIEWS, *ROUTINES, "rule", "policy", "trigger")
"""What keeps PostgreSQL from changing the type of a column, or from dropping it; so does a generated column."""
OF_TYPES = (*OF_COLUMNS, "constraint", "index", DEFAULT, "statistics")
"""What names a type or a function in an expression, which would go on naming the old one."""


def add_dependents(comparison: Comparison, steps: list[Step]) -> list[Step]:
    """Return the steps, with others that drop the dependents of what these change, and make them again."""
    dependents = _Dependents(comparison, steps)
    affected = dependents.find_affected()
    kept = [step for step in steps if not (_is_in_place(step) and step.facts[0] in affected)]
    again = (step for fact in sorted(affected) for step in dependents.write(fact))
    return sort_steps([*kept, *again], comparison)


def _is_in_place(step: Step) -> bool:
    operation = step.operation
    return isinstance(operation, ops.ExecuteSQLOp) and str(operation.sqltext).startswith("CREATE OR REPLACE ")


class _Dependents:
    """The dependents of what the steps of one direction change."""

    def __init__(self, comparison: Comparison, steps: Collection[Step]) -> None:
        self.comparison = comparison
        self.present, self.left = _find_present_objects(comparison)
        self.users = self.present.users
        self.gone = _with_parts((each.fact for each in comparison.differences if each.after is None), self.present)
        new = (each.fact for each in comparison.differences if each.before is None)
        self.new = _with_parts(new, comparison.modelled.objects)
        self.changed = {each.fact for each in comparison.differences} - self.gone - self.new
        self.swapped = set(find_swapped(comparison))
        self.dropped = {
            step.facts[0]
            for step in steps
            if step.facts and step.phase in (Phase.DROP_DEPENDENT, Phase.DROP_FUNCTION, Phase.DROP_TYPE)
        }
        self.replaced = {step.facts[0] for step in steps if step.facts and _is_in_place(step)}
        self.retyped = {fact for step in steps if step.phase == Phase.CHANGE_TYPE for fact in step.facts}
        self.retyped -= self.swapped
        self.early = self._find_early(steps)

    def _find_early(self, steps: Collection[Step]) -> set[Fact]:
        """Return what goes with its table, and has to go before a function that is dropped before that table."""
        functions = {step.facts[0] for step in steps if step.facts and step.phase == Phase.DROP_DEPENDENT}
        differing = {each.fact for each in self.comparison.differences}
        return {
            user
            for fact in functions
            if fact.kind in ROUTINES and fact in self.gone
            for user in self._select_users(fact, OF_TYPES)
            if user in self.gone - differing
        }

    def find_affected(self) -> set[Fact]:
        """Return what is to be dropped and made again, and what the upgrade had to drop without making it again."""
        waiting = [*self._find_roots()]
        found: set[Fact] = set()
        while waiting:
            fact = waiting.pop()
            if fact in found:
                continue
            found.add(fact)
            kinds = OF_COLUMNS if fact.kind in VIEWS else OF_TYPES
            waiting += self._select_users(fact, kinds)
        return {fact for fact in found if self._is_ours(fact, found)}

    def _find_roots(self) -> Iterator[Fact]:
        """Yield the dependents of what the steps change or drop."""
        for fact in self.users:
            if fact in self.swapped:
                yield from self._select_users(fact, OF_TYPES)
            elif fact in self.gone or (fact.kind == "column" and self._is_retyped(fact)):
                kinds = OF_TYPES if fact.kind in ROUTINES else OF_COLUMNS
                yield from self._select_users(fact, kinds)
            elif fact in self.dropped and fact.kind in (*VIEWS, *ROUTINES):
                yield from self._select_users(fact, OF_TYPES)
            elif fact in self.changed and fact.kind == "composite type":
                yield from self._select_users(fact, OF_COLUMNS)
        for fact in self.retyped:
            yield from (
                user
                for user in self.users.get(fact, ())
                if user.kind == "constraint" and " FOREIGN KEY " in "".join(self._statements(user))
            )
        yield from filter(self._is_lost, self.left)

    def _select_users(self, fact: Fact, kinds: Collection[str]) -> list[Fact]:
        return [
            user
            for user in self.users.get(fact, ())
            if self._statements(user) and (user.kind in kinds or user.kind == "column")
        ]

    def _statements(self, fact: Fact) -> tuple[str, ...]:
        made = self.present.by_fact.get(fact)
        return made.create if made else ()

    def _has_default(self, column: Fact) -> bool:
        return Fact(DEFAULT, column.identity) in self.present.by_fact

    def _is_retyped(self, fact: Fact) -> bool:
        """Whether the column gets another type, or is dropped and added again since it is generated."""
        if fact in self.retyped:
            return True
        before = self.comparison.migrated.objects.by_fact.get(fact)
        after = self.comparison.modelled.objects.by_fact.get(fact)
        if not before or not after:
            return False
        is_generated_otherwise = before.create != after.create and fact in self.changed
        return before.base != after.base or is_generated_otherwise

    def _is_ours(self, fact: Fact, found: Collection[Fact]) -> bool:
        """Whether no other step drops and makes it."""
        if fact in self.dropped:
            return False
        if fact in self.gone:
            return fact in self.early
        if any(owner in found or owner in self.swapped for owner in fact.of if owner.kind != "table"):
            return False
        if fact.kind == DEFAULT and any(self._has_default(column) for column in self.retyped.intersection(fact.of)):
            return False  # it is dropped and set again with that column, which is its own or that of the parent
        changed = fact.of[0] if fact.kind == DEFAULT else fact
        return changed not in self.changed or fact in self.replaced

    def write(self, fact: Fact) -> Iterator[Step]:
        """Yield the steps that drop an object and make it again; only one of these where it is in one state only."""
        if fact in self.early:
            yield from run(Phase.DROP_DEPENDENT, [self.present.by_fact[fact].drop], fact)
            return
        missing = sorted(self._missing(fact))
        after = self.comparison.modelled.objects
        if not self._is_lost(fact):
            drops = f"{fact}, which uses {missing[0]}" if missing else ""
            yield from run(Phase.DROP_DEPENDENT, [self.present.by_fact[fact].drop], fact, drops=drops)
        if not missing:
            objects = after if fact in after.by_fact else self.present
            for phase, statement, made in make_again(objects.by_fact[fact], objects):
                yield from run(phase, [statement], made)

    def _is_lost(self, fact: Fact) -> bool:
        """Whether it is not there since the upgrade has dropped it: see _missing."""
        if fact not in self.left or not self._statements(fact):
            return False
        return any(each in self.new and each.kind not in TYPE_KINDS for each in self.present.find_used([fact]))

    def _missing(self, fact: Fact) -> set[Fact]:
        """Return the objects that it uses and that go, unless the models have it in another form."""
        if fact in self.comparison.modelled.objects.by_fact:
            return set()
        used = self.present.find_used([fact])
        return {each for each in used if each in self.gone and each.kind not in TYPE_KINDS}


def _with_parts(facts: Iterable[Fact], objects: Objects) -> set[Fact]:
    """The objects, with what is created and dropped with them."""
    found = set(facts)
    return found | {fact for fact in objects.by_fact if found.intersection(fact.of)}


def _find_present_objects(comparison: Comparison) -> tuple[Objects, set[Fact]]:
    """Return the objects before the change, and those among them that no model has, for a downgrade.

    An upgrade finds these in the result of the migrations.
    """
    objects, others = comparison.migrated.objects, comparison.modelled.objects
    if not comparison.is_reversed:
        return objects, set()
    new = {each.fact for each in comparison.differences if each.before is None}
    left = {
        fact
        for fact in others.by_fact
        if fact not in objects.by_fact and fact not in new and not any(owner in new for owner in fact.of)
    }
    by_fact = {**objects.by_fact, **{fact: others.by_fact[fact] for fact in left}}
    uses = {**objects.uses, **{fact: others.uses.get(fact, frozenset()) for fact in left}}
    return replace(objects, by_fact=by_fact, uses=uses), left
