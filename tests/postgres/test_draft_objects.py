"""Drafts of types, sequences, schemas, SQL files and dependents lead from one state to the other, and back."""

import pytest

from dbkit.postgres.cluster import Cluster
from support.object_draft_cases import CASES
from support.object_drafts import Case, differences_from, make_comparison, run_sql, run_steps, statements, write


@pytest.mark.spread(6)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_draft_leads_to_the_other_state_and_back(server: Cluster, case: Case, request: pytest.FixtureRequest) -> None:
    comparison, left = make_comparison(server, case, f"{abs(hash(request.node.nodeid)):x}")
    target = comparison.migrated.target
    up, down = write(comparison, case.up), write(comparison.reversed(), case.down)
    text = "\n".join(statements(up))
    print(text, "\n-- down:\n" + "\n".join(statements(down)))
    for part in case.has:
        assert part in text
    for part in case.has_not:
        assert part not in text
    written = {fact for step in (*up, *down) for fact in step.facts}
    assert not [str(each) for each in comparison.differences if each.fact not in written]
    kept = {fact: text for fact, text in left.facts.items() if not {str(fact), *map(str, fact.of)} & set(case.lost)}
    after = {**comparison.modelled.facts, **kept}
    run_steps(target, up)
    assert not [each.describe() for each in differences_from(target, after) if not each.is_residue]
    run_sql(target, case.more_rows)
    run_steps(target, down)
    found = [each for each in differences_from(target, comparison.migrated.facts) if not each.is_residue]
    assert [str(each.fact) for each in found] == list(case.stays), [each.describe() for each in found]
    run_steps(target, up)
    assert not [each.describe() for each in differences_from(target, after) if not each.is_residue]
