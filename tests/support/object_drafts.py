"""Drafts of types, sequences, schemas and the objects of SQL files: run on one database, to be equal to another."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from alembic.operations import ops

from dbkit.catalog import Difference, Fact, compare_facts
from dbkit.drafts import dependents, schemas, sequences, sql_objects, types
from dbkit.drafts.comparison import Comparison, State
from dbkit.drafts.read_objects import read_catalog
from dbkit.drafts.shapes import Shapes
from dbkit.drafts.steps import AutocommitOp, CommentOp, Phase, Step
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Target
from support.sessions import connect_as_project

WRITERS = (schemas.write_schemas, types.write_types, sequences.write_sequences, sql_objects.write_sql_objects)


@dataclass(frozen=True)
class Case:
    """Two states of a database; what the draft writes for the difference leads from one to the other and back."""

    name: str
    before: str = ""
    after: str = ""
    both: str = ""
    """Run first, in both."""
    left: str = ""
    """Run in the first only, at its end; no model has it, and it is left alone."""
    rows: str = ""
    """Rows of the first state."""
    more_rows: str = ""
    """Rows after the upgrade."""
    up: tuple[tuple[Phase, str, str], ...] = ()
    """The steps of the tables: phase, statement, and the facts that it changes, separated by semicolons."""
    down: tuple[tuple[Phase, str, str], ...] = ()
    has: tuple[str, ...] = ()
    """Texts in the statements of the upgrade."""
    has_not: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    """What the upgrade drops of what no model has, since it cannot be without what goes."""
    stays: tuple[str, ...] = ()
    """What differs from the first state after the downgrade, and has to."""


def read_state(target: Target) -> State:
    with connect_as_project(target) as connection:
        facts, objects = read_catalog(connection)
        return State(target, facts, Shapes(), objects)


def run_sql(target: Target, *texts: str) -> None:
    with connect_as_project(target, autocommit=True) as connection:
        for text in texts:
            if text:
                connection.execute(text.encode())


def statements(steps: Iterable[Step]) -> list[str]:
    """The statements of the steps, and the comments."""
    result: list[str] = []
    for step in steps:
        if isinstance(step.operation, ops.ExecuteSQLOp):
            result.append(str(step.operation.sqltext))
        elif isinstance(step.operation, AutocommitOp):
            result += [
                f"/* autocommit */ {each.sqltext}" for each in step.operation.ops if isinstance(each, ops.ExecuteSQLOp)
            ]
        elif isinstance(step.operation, CommentOp):
            result.append(f"-- {step.operation.text}")
    return result


def run_steps(target: Target, steps: Iterable[Step]) -> None:
    """Run a revision: in a transaction, but for what runs outside of it."""
    with connect_as_project(target) as connection:
        for text in statements(steps):
            if text.startswith("--"):
                continue
            if text.startswith("/* autocommit */"):
                connection.commit()
                connection.autocommit = True
                connection.execute(text.encode())
                connection.autocommit = False
            else:
                connection.execute(text.encode())


def write(comparison: Comparison, of_tables: Iterable[tuple[Phase, str, str]] = ()) -> list[Step]:
    """What the draft has for one direction."""
    known = {str(fact): fact for state in (comparison.migrated, comparison.modelled) for fact in state.facts}
    steps = [
        Step(phase, ops.ExecuteSQLOp(text), tuple(known[name.strip()] for name in facts.split(";") if name))
        for phase, text, facts in of_tables
    ]
    steps += [step for writer in WRITERS for step in writer(comparison)]
    return dependents.add_dependents(comparison, steps)


def make_comparison(server: Cluster, case: Case, name: str) -> tuple[Comparison, State]:
    """The comparison, and what is left alone."""
    before, after = server.create_database(f"before_{name}"), server.create_database(f"after_{name}")
    run_sql(before, case.both, case.before)
    plain = read_state(before)
    run_sql(before, case.left)
    run_sql(after, case.both, case.after)
    migrated, modelled = read_state(before), read_state(after)
    modelled = replace(modelled, origins=dict.fromkeys(map(str, modelled.facts), "a.sql"), texts={"a.sql": case.after})
    left = {fact: text for fact, text in migrated.facts.items() if fact not in plain.facts}
    run_sql(before, case.rows)
    found = compare_facts({fact: migrated.facts[fact] for fact in migrated.facts if fact not in left}, modelled.facts)
    return Comparison(migrated, modelled, found, ()), replace(migrated, facts=left)


def differences_from(target: Target, facts: Mapping[Fact, str]) -> list[Difference]:
    return compare_facts(facts, read_state(target).facts)
