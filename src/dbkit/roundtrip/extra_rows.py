"""Prove a revision once more with further rows: rows that its statements meet.

Afterwards the state is that of before, so that no later revision meets these rows.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from dbkit.findings.verdict import Verdict
from dbkit.roundtrip.emptied_tables import prove_with_emptied_tables
from dbkit.roundtrip.exercise import Exercise
from dbkit.roundtrip.outcome import Failure, Finding
from dbkit.roundtrip.preconditions import may_have_preconditions, prove_preconditions
from dbkit.roundtrip.proof_with_rows import Proof, prove_with_rows
from dbkit.roundtrip.results import ProofResult, Shown, add_exercised

if TYPE_CHECKING:
    from dbkit.coverage.revision_goals import RevisionGoals

MOST_VARIANTS = 3
"""How many rows are tried one by one for a goal, where several together make a revision fail."""
MOST_ROUNDS = 3


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
    if has_conditions and not exercise.is_tolerant:
        exercise.inserted = proof.find_inserted()
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
    if not shown.failed:
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
