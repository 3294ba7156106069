"""Prove a revision with other rows in the tables than those that it has been proven with."""

from collections.abc import Callable, Collection
from typing import Any, Protocol

import psycopg
from alembic.script import Script

from dbkit.coverage.recorder import StatementRun
from dbkit.preconditions.shapes import Shapes
from dbkit.roundtrip.branches import RevisionBranches
from dbkit.roundtrip.compare import Findings, Snapshot, compare_down_and_up
from dbkit.roundtrip.outcome import Failure
from dbkit.roundtrip.preconditions import Preconditions
from dbkit.roundtrip.workspace import Workspace


class Proof(Protocol):
    """The proof of one revision, whose upgrade has been applied, and can be taken back."""

    work: Workspace
    script: Script
    branches: RevisionBranches
    runs: dict[str, list[StatementRun]]
    """By direction, the statements that it has executed so far."""
    most_alone: int
    """How many goals are tried one by one, where the rows of all together make a revision fail."""

    preconditions: Preconditions
    touched_names: set[str]
    """The names, as SQL, of the tables that it has touched so far."""

    @property
    def version_tables(self) -> Collection[str]:
        """The names of the tables that get no rows."""

    def restore(self) -> "psycopg.Connection[Any] | None":
        """Return to the state before the upgrade. Returns a connection in a transaction; None where it cannot."""

    def keep_rows(self) -> None:
        """Keep, for the next functions, the rows that were planted on that connection."""

    def read_rows(self, names: Collection[str] | None) -> Snapshot:
        """Return the rows of these tables (as SQL), at least; None for all."""

    def find_written_tables(self) -> set[str]:
        """Return the tables of before, as SQL, that may have other rows now, and are not read unless named."""

    def upgrade(self) -> Failure | None:
        """Apply the revision."""

    def read_shapes(self) -> Shapes:
        """Return what the catalog demands of rows in the state after the upgrade."""

    def find_inserted(self) -> set[tuple[int, str, str]]:
        """Return what the upgrade, which is applied, has inserted: OID, column and value, as far as that is known."""

    def run_and_check(self, up: bool) -> Failure | None:
        """Run a function, then check the deferred constraints."""

    def mentions(self, table: str) -> bool:
        """Whether the revision contains the name of a table."""

    def apply_again(self) -> None:
        """Return to the state after the upgrade, without planted rows."""


def prove_with_rows(
    proof: Proof,
    plant: "Callable[[psycopg.Connection[Any]], Collection[object]]",
    names: Collection[str] | None = None,
) -> tuple[Findings, Failure | None]:
    """Plant rows in the state before the upgrade, then upgrade, downgrade and upgrade again.

    `plant` returns the tables that have other rows; where there are none, nothing is run. Returns the
    differences in rows, and why a step failed. `names` are the tables (as SQL) whose rows are compared, as long as the
    revision writes no other; None for all.
    """
    connection = proof.restore()
    if connection is None or not plant(connection):
        return (), None
    proof.keep_rows()
    before = proof.read_rows(names)
    failed = proof.upgrade()
    if failed:
        return (), failed
    if names is not None and not proof.find_written_tables() <= set(names):
        return prove_with_rows(proof, plant)
    after = proof.read_rows(names)
    _, findings = compare_down_and_up(
        proof.script,
        before,
        after,
        run=proof.run_and_check,
        read=lambda: proof.read_rows(names),
        is_named=proof.mentions,
    )
    # a downgrade that refuses such rows loses none
    failures = [each.failure for each in findings if each.failure and not each.failure.refuses]
    return tuple(each for each in findings if each.rows), failures[0] if failures else None
