"""Write the changes of constraints: primary keys, UNIQUE, CHECK, EXCLUDE and foreign keys."""

from collections.abc import Iterator

from alembic.operations import ops

from dbkit.catalog import Fact
from dbkit.drafts.changes import Changes
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.constraint_code import NOT_VALID, add_constraint, drop_constraint, index_settings, inline_constraint
from dbkit.drafts.shapes import Constraint, Table
from dbkit.drafts.steps import Phase, Step
from dbkit.drafts.table_comments import comment_on_constraint


def write_constraints(comparison: Comparison) -> Iterator[Step]:
    """Yield the steps for constraints of tables that are on both sides, and for those that CREATE TABLE leaves out."""
    changes = Changes(comparison)
    for before, after in changes.kept:
        names = [*before.constraints, *(name for name in after.constraints if name not in before.constraints)]
        for name in names:
            fact = after.fact_within("constraint", name)
            if changes.differs(fact) or fact in changes.remade:
                yield from _change(
                    changes, fact, (before, before.constraints.get(name)), (after, after.constraints.get(name))
                )
    yield from _drop_with_tables(changes)
    for table in changes.created:
        for constraint in table.constraints.values():
            if not constraint.is_inherited and not is_inline(changes, table, constraint):
                yield from _add(changes, table, constraint, ())


def _change(
    changes: Changes, fact: Fact, before: tuple[Table, Constraint | None], after: tuple[Table, Constraint | None]
) -> Iterator[Step]:
    (old_table, old), (table, new) = before, after
    if (old is not None and old.is_inherited) or (new is not None and new.is_inherited):
        return
    is_same = old is not None and new is not None and old.kind == new.kind
    if is_same and old and new and old.definition == new.definition + NOT_VALID and fact not in changes.remade:
        validate = ops.ExecuteSQLOp(f"ALTER TABLE {table.sql} VALIDATE CONSTRAINT {new.sql}")
        yield Step(Phase.CREATE_FOREIGN_KEY if new.kind == "f" else Phase.CREATE_CONSTRAINT, validate, (fact,))
        return
    if old is not None:
        phase = Phase.DROP_FOREIGN_KEY if old.kind == "f" else Phase.DROP_CONSTRAINT
        yield Step(phase, drop_constraint(changes, old_table, old), (fact,))
    if new is not None:
        yield from _add(changes, table, new, (fact,))


def _add(changes: Changes, table: Table, constraint: Constraint, facts: tuple[Fact, ...]) -> Iterator[Step]:
    phase = Phase.CREATE_FOREIGN_KEY if constraint.kind == "f" else Phase.CREATE_CONSTRAINT
    facts = facts or (table.fact_within("constraint", constraint.name),)
    yield Step(phase, add_constraint(changes, table, constraint), facts)
    for operation in index_settings(table, constraint):
        yield Step(phase, operation, facts)
    if constraint.comment is not None:
        yield comment_on_constraint(table, constraint)


def _drop_with_tables(changes: Changes) -> Iterator[Step]:
    """Drop the foreign keys that DROP TABLE cannot: those of a circle, and those whose index is dropped before."""
    gone: set[tuple[str, str]] = set()
    for table in changes.dropped:
        gone.add(table.key)
        for constraint in table.constraints.values():
            if constraint.kind != "f" or constraint.is_inherited:
                continue
            is_circle = constraint.referred in gone and constraint.referred != table.key
            if is_circle or changes.loses_index(constraint):
                fact = table.fact_within("constraint", constraint.name)
                yield Step(Phase.DROP_FOREIGN_KEY, drop_constraint(changes, table, constraint), (fact,))


def is_inline(changes: Changes, table: Table, constraint: Constraint) -> bool:
    """Whether CREATE TABLE makes a constraint of a new table."""
    if inline_constraint(changes, table, constraint) is None:
        return False
    if constraint.kind != "f":
        return True
    referred = changes.after.tables.get(constraint.referred) if constraint.referred else None
    if referred is None:
        return False
    keys = [other for other in referred.constraints.values() if other.kind != "f" and other.index == constraint.index]
    if referred in changes.created:
        is_earlier = changes.created.index(referred) <= changes.created.index(table)
        return is_earlier and any(is_inline(changes, referred, key) for key in keys)
    facts = [referred.fact_within("constraint", key.name) for key in keys]
    facts.append(referred.fact_within("index", constraint.index or ""))
    is_changed = any(changes.differs(fact) or fact in changes.remade for fact in facts)
    touched = changes.retyped | changes.remade_columns
    return not is_changed and not any((referred.key, name) in touched for name in constraint.referred_columns)
