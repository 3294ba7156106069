"""Prove a revision once more with further rows: rows that its statements meet.

Afterwards the state is that of before, so that no later revision meets these rows.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
from alembic.script import Script

from dbkit.coverage.recorder import StatementRun
from dbkit.findings.verdict import Verdict
from dbkit.preconditions.shapes import Shapes
from dbkit.roundtrip.branches import RevisionBranches
from dbkit.roundtrip.compare import Findings, Snapshot, compare_down_and_up
from dbkit.roundtrip.emptied_tables import list_unmet, prove_with_emptied_tables
from dbkit.roundtrip.exercise import Exercise
from dbkit.roundtrip.outcome import Failure, Finding
from dbkit.roundtrip.preconditions import Preconditions, may_have_preconditions, prove_preconditions
from dbkit.roundtrip.results import ProofResult, Shown, add_exercised
from dbkit.roundtrip.workspace import Workspace

if TYPE_CHECKING:
    from dbkit.coverage.revision_goals import RevisionGoals

MOST_VARIANTS = 3
"""How many rows are tried one by one for a goal, where several together make a revision fail."""
MOST_ROUNDS = 3


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

    def run_and_check(self, up: bool) -> Failure | None:
        """Run a function, then check the deferred constraints."""

    def mentions(self, table: str) -> bool:
        """Whether the revision contains the name of a table."""

    def apply_again(self) -> None:
        """Return to the state after the upgrade, without planted rows."""


def prove_with_extra_rows(
    proof: Proof, result: ProofResult, extreme: Callable[[ProofResult], ProofResult] | None
) -> ProofResult:
    """Return the result of an ordinary proof, with what rows that meet the revision's conditions have shown.

    `extreme` adds what extreme values show; None where nothing depends on them.
    """
    sample_rows = proof.work.sample_rows
    exercise = Exercise(Path(proof.script.path), proof.runs)
    if not sample_rows.is_active or not sample_rows.options.extra:
        return result
    if result.verdict == Verdict.BROKEN:
        if proof.preconditions.violated:  # the upgrade has worked without these rows
            result = prove_preconditions(proof, result)
            proof.apply_again()
        return result
    result = replace(result, coverage=exercise.coverage)
    demands = may_have_preconditions(proof.runs["upgrade"])
    has_conditions = exercise.is_possible or proof.branches.depends_on_rows
    if not (has_conditions or extreme or demands):
        return result
    if demands:
        result = prove_preconditions(proof, result)
    if has_conditions:
        result = _exercise(proof, result, exercise)
    if extreme:
        result = extreme(result)
    proof.apply_again()
    return result


def _exercise(proof: Proof, result: ProofResult, exercise: Exercise) -> ProofResult:
    """Prove it with rows for its goals; once more where these have led to statements that had not been executed."""
    shown = Shown()
    for _ in range(MOST_ROUNDS):
        considered = exercise.templates
        connection = proof.restore()
        if connection is None:
            break
        goals = exercise.read_goals(connection, proof.work.sample_rows, frozenset(proof.version_tables))
        if not goals.goals:
            break
        shown = shown.join(_prove_with_goals(proof, exercise, goals))
        if shown.failed or exercise.templates == considered:
            break
    if not shown.failed and list_unmet(proof, exercise):
        shown = shown.join(prove_with_emptied_tables(proof, exercise))
    coverage = (*exercise.coverage, *proof.branches.coverage())
    return add_exercised(result, shown, coverage, proof.script._versioned_down_revisions)


def _prove_with_goals(proof: Proof, exercise: Exercise, goals: "RevisionGoals") -> Shown:
    """Prove it with rows for all goals at once; where they make it fail, with those of one goal after the other."""

    names = set(proof.touched_names)

    def plant(
        connection: "psycopg.Connection[Any]", only: Sequence[int] | None = None, variant: int | None = None
    ) -> Collection[int]:
        planted = goals.plant(connection, only, variant)
        proof.preconditions.remove_violating(connection)
        names.update(goals.names_of(planted.oids))
        if only is None:
            exercise.reasons |= goals.explain(planted.reasons)
        return planted.oids

    findings, failed = prove_with_rows(proof, plant, names)
    if not failed:
        return Shown(findings)
    found: dict[tuple[object, ...], Finding] = {}
    failures: list[Failure] = []
    warnings: dict[str, Failure] = {}
    for number in range(min(len(goals.goals), proof.most_alone)):
        alone: list[Failure | None] = []
        for variant in (None, *range(MOST_VARIANTS)):
            each, failed = prove_with_rows(proof, partial(plant, only=[number], variant=variant), names)
            alone.append(failed)
            found |= {(finding.phase, finding.rows): finding for finding in each}
            if not failed:
                warnings |= {each.words: each for each in alone if each and not each.refuses}
                break
        else:  # not one of the rows that meet this condition gets through
            failures += [each for each in alone if each and not each.refuses]
    return Shown(tuple(found.values()), failures[0] if failures else None, tuple(warnings.values()))


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
