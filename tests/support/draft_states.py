"""Two databases, from models or SQL; the draft that leads from one to the other is written and run, both ways."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import sqlalchemy as sa
from alembic.operations import Operations, ops
from alembic.runtime.migration import MigrationContext

from dbkit.catalog import Difference, Fact, compare_facts, read_facts
from dbkit.drafts import columns, constraints, indexes, renames, table_comments, tables
from dbkit.drafts.comparison import Comparison, State
from dbkit.drafts.read_shapes import read_shapes
from dbkit.drafts.steps import CommentOp, Rename, Step
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Target

KINDS = {"table", "column", "constraint", "index"}
WRITERS: Sequence[Callable[[Comparison], Iterator[Step]]] = (
    tables.write_tables,
    columns.write_columns,
    constraints.write_constraints,
    indexes.write_indexes,
    table_comments.write_comments,
    renames.write_renames,
)
Side = str | Callable[[sa.MetaData], object]


@dataclass(frozen=True)
class DraftCase:
    """Tables before and after: a function that fills a MetaData, or SQL."""

    name: str
    before: Side
    after: Side
    prepare: str = ""
    """SQL for both databases: schemas, types, functions."""
    rows: str = ""
    """SQL for the database that is migrated."""
    expect: Sequence[str] = ()
    """Parts of the statements of the upgrade."""
    undecided: str = ""
    """A part of the sentence, for a change that a person must decide."""
    holds: str = ""
    """A query that is true after the upgrade."""
    after_sql: str = ""
    """SQL for the second database only."""
    upgrade_sql: str = ""
    """What another writer does in the upgrade: schemas, types."""
    since: int = 13
    is_one_way: bool = False


@contextmanager
def connected(target: Target) -> Iterator[sa.Connection]:
    """A connection of SQLAlchemy to a database."""
    engine = sa.create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(**target.parameters()), poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        yield connection


def execute(connection: sa.Connection, statements: str) -> None:
    """Run SQL exactly as it is."""
    if statements:
        connection.exec_driver_sql(statements, execution_options={"no_parameters": True})


def build(target: Target, case: DraftCase, side: Side) -> sa.MetaData:
    """Make the tables of one side."""
    metadata = sa.MetaData()
    with connected(target) as connection:
        execute(connection, case.prepare)
        if side is case.after:
            execute(connection, case.after_sql)
        if isinstance(side, str):
            execute(connection, side)
        else:
            side(metadata)
            metadata.create_all(connection)
        connection.commit()
    return metadata


def counts(fact: Fact) -> bool:
    """Whether this package's part of a draft is responsible for a fact."""
    kind = fact.kind.removeprefix("comment on ")
    return kind in KINDS or (kind == "sequence" and bool(fact.of))


def read(
    target: Target, prepare: Callable[[psycopg.Connection], Sequence[Rename]] | None = None
) -> tuple[State, Sequence[Rename]]:
    """Read a database, after changes that are taken back."""
    with psycopg.connect(**target.parameters()) as connection, connection.transaction(force_rollback=True):
        done = prepare(connection) if prepare else ()
        facts = {fact: text for fact, text in read_facts(connection).items() if counts(fact)}
        return State(target, facts, read_shapes(connection)), done


def compare(before: State, after: State, metadata: sa.MetaData, done: Sequence[Rename] = ()) -> Comparison:
    """Compare two databases."""
    return Comparison(before, after, differences(before.facts, after.facts), [metadata], renames=done)


def differences(before: Mapping[Fact, str], after: Mapping[Fact, str]) -> list[Difference]:
    """The differences but for the order of columns."""
    return compare_facts(before, after)


def write(comparison: Comparison) -> list[Step]:
    """The steps of one direction, in their order."""
    steps = [step for writer in WRITERS for step in writer(comparison)]
    return sorted(steps, key=lambda step: step.phase)


def run(target: Target, steps: Iterable[Step]) -> list[str]:
    """Run steps; return their statements."""
    statements: list[str] = []
    with connected(target) as connection:

        def note(_c: object, _u: object, statement: str, *_rest: object) -> None:
            statements.append(statement)

        sa.event.listen(connection, "before_cursor_execute", note)
        operations = Operations(MigrationContext.configure(connection))
        for step in steps:
            if isinstance(step.operation, ops.ExecuteSQLOp):
                execute(connection, str(step.operation.sqltext))
            elif not isinstance(step.operation, CommentOp):
                operations.invoke(step.operation)
        connection.commit()
    return statements


def unwritten(comparison: Comparison, steps: Iterable[Step]) -> list[Fact]:
    """The differences that no step names."""
    named = {fact for step in steps for fact in step.facts}
    return [each.fact for each in comparison.differences if each.fact not in named]


def assert_equal(one: State, other: State, statements: Sequence[str]) -> None:
    """Compare what is there with what should be."""
    found = [each.describe() for each in differences(other.facts, one.facts)]
    assert not found, "\n".join([*statements, "", *found])


def check_case(server: Cluster, name: str, case: DraftCase) -> None:
    """Write the draft of a case and run it; upgrade and downgrade must lead to the other side's facts exactly."""
    migrated = server.create_database(f"{name}_a")
    modelled = server.create_database(f"{name}_b")
    build(migrated, case, case.before)
    metadata = build(modelled, case, case.after)
    after, _ = read(modelled)

    def rename(connection: psycopg.Connection) -> Sequence[Rename]:
        return renames.apply_renames(connection, [metadata], read_shapes(connection), after.shapes)[0]

    before, done = read(migrated, rename)
    original, _ = read(migrated)
    comparison = compare(before, after, metadata, done)
    upgrade, downgrade = write(comparison), write(comparison.reversed())
    sentences = [step.undecided for step in upgrade if step.undecided]
    if case.undecided:
        assert any(case.undecided in each for each in sentences), sentences
        text = "\n".join(run(migrated, upgrade)) if case.expect else ""  # there are no rows
        for part in case.expect:
            assert part in text, text
        if case.expect:
            run(migrated, downgrade)
            assert_equal(read(migrated)[0], original, [text])
        return
    assert not sentences, sentences
    assert not unwritten(comparison, upgrade), unwritten(comparison, upgrade)
    assert not unwritten(comparison.reversed(), downgrade), unwritten(comparison.reversed(), downgrade)
    with connected(migrated) as connection:
        execute(connection, case.rows)
        connection.commit()
    with connected(migrated) as connection:
        execute(connection, case.upgrade_sql)
        connection.commit()
    statements = run(migrated, upgrade)
    text = "\n".join(statements)
    now, _ = read(migrated)
    assert_equal(now, after, statements)
    for part in case.expect:
        assert part in text, text
    if case.holds:
        with connected(migrated) as connection:
            assert connection.exec_driver_sql(case.holds).scalar_one() is True, text
    statements = run(migrated, downgrade)
    back, _ = read(migrated)
    assert_equal(back, original, statements)
    if not case.is_one_way:
        statements = run(migrated, upgrade)
        again, _ = read(migrated)
        assert_equal(again, after, statements)
