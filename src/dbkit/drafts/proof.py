"""Prove a draft: run its file up, down and up on a scratch database with rows, and compare the result."""

from collections.abc import Sequence
from dataclasses import dataclass

from alembic.script import Script

from dbkit import catalog
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.describe import describe_difference
from dbkit.drafts.read_objects import split_row_security
from dbkit.findings.verdict import Verdict
from dbkit.postgres.connect import connect
from dbkit.project import Project
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.roundtrip.prove_new import prove_new
from dbkit.roundtrip.scratch_server import ScratchServer
from dbkit.settings import Settings, Target

EXPECTED = (Verdict.PROVEN, Verdict.PROVEN_IF, Verdict.LOSSY)
"""A column that is dropped on purpose loses rows; the file is marked."""


@dataclass(frozen=True)
class DraftProof:
    """The result of the proof of a draft."""

    problems: Sequence[str] = ()
    """Why the draft does not lead from the migrations to the models and back."""
    notes: Sequence[str] = ()
    """Why it is not proven, although nothing failed."""


def prove_draft(
    server: ScratchServer, settings: Settings, loaded: Project, scripts: Sequence[Script], comparison: Comparison
) -> DraftProof:
    """Prove the revisions of a draft, and compare what they make with the models."""
    proof = prove_new(server, settings, loaded, scripts, comparison.migrated.target)
    failed = [each for each in proof.outcomes if each.accepted is None and each.verdict not in EXPECTED]
    problems = [words for each in failed if each.verdict != Verdict.UNPROVEN for words in _describe(each)]
    notes = [words for each in failed if each.verdict == Verdict.UNPROVEN for words in _describe(each)]
    if proof.target and not problems:
        problems += _find_remaining(proof.target, comparison)
    return DraftProof(problems, notes)


def _describe(outcome: RevisionOutcome) -> list[str]:
    words = [each.words for each in outcome.findings if each.words and not each.rows]
    return [f"{outcome.verdict}: {each}" for each in words] or [str(outcome.verdict)]


def _find_remaining(target: Target, comparison: Comparison) -> list[str]:
    """Describe what the models still have, or no longer have, after the upgrade."""
    with connect(target) as connection:
        facts = split_row_security(catalog.read_facts(connection, version_tables=[target.history.table]))
    remaining = comparison.scope.find_differences(facts, comparison.modelled.facts)
    return [f"after the upgrade, {describe_difference(each, 'the database', 'the models')}" for each in remaining]
