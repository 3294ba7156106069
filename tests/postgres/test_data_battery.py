"""The data battery: the verdicts by hand are true, and the proof finds what it is known to find."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from dbkit.postgres.cluster import Cluster
from dbkit.settings import Settings, Target
from support.data_battery import (
    CASES,
    FAULT_GROUPS,
    GROUPS,
    TRIAL_GROUPS,
    Rows,
    empty_database,
    go_there_and_back,
    is_right,
    prove_cases,
    select_cases,
    verdicts,
)

NOT_FOUND_YET = {
    "helper_json",
    "slugs_not_unique_any_more",
    "district_without_its_parent",
    "amount_per_part",
}  # fmt: skip
"""Cases that the proof judges wrongly. A change that makes it judge one rightly takes the name out."""

NAMES = [(group, case.name) for group, cases in GROUPS.items() for case in cases]


def test_there_are_enough() -> None:
    assert sum(map(len, FAULT_GROUPS.values())) >= 64
    assert sum(not case.is_fault for case in CASES.values()) >= 32
    assert len(CASES) == len(NAMES)  # no two of one name
    assert all(len(case.judged) <= 32 for case in CASES.values())  # the width of the version table
    assert set(CASES) >= NOT_FOUND_YET


@pytest.fixture(autouse=True)
def paths() -> Iterator[None]:
    """Undo what Alembic adds to the paths of modules, and forget the modules of a case: each project has its own."""
    before, loaded = sys.path[:], set(sys.modules)
    yield
    sys.path[:] = before
    for name in sys.modules.keys() - loaded:
        if name.endswith("_helper"):
            del sys.modules[name]


def skip_unless_known(group: str, name: str, server: Cluster) -> None:
    if name not in {case.name for case in select_cases(group, server.target("postgres"))}:
        pytest.skip("the syntax is that of a newer server")


@pytest.fixture(scope="module")
def shared_database(server: Cluster) -> Target:
    """A database for all cases: a new one for each takes a third of the time."""
    return server.create_database("data_battery")


# these depend on Alembic and the server alone: the first of each group in every run
FIRST_NAMES = {cases[0].name for cases in GROUPS.values()}
TRUE_NAMES = [
    pytest.param(group, name, id=name, marks=[] if name in FIRST_NAMES else [pytest.mark.slow]) for group, name in NAMES
]


@pytest.mark.spread(4)
@pytest.mark.parametrize(("group", "name"), TRUE_NAMES)
def test_the_verdict_by_hand_is_true(
    group: str, name: str, server: Cluster, shared_database: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_unless_known(group, name, server)
    monkeypatch.setenv("DATABASE_URL", "set for each case")
    empty_database(shared_database)
    case = CASES[name]
    states: dict[str, Rows] = {}
    with pytest.raises((DBAPIError, LookupError)) if case.fails else nullcontext() as caught:
        go_there_and_back(tmp_path / "project", case, shared_database, states.__setitem__)
    assert any(states["before"].values())
    if caught:
        assert any(words in repr(caught.value) for words in case.words)
    else:
        # of those that are no fault, some change no row
        assert states["after upgrade"] != states["before"] or not case.is_fault
        assert (states["after downgrade"] != states["before"]) == case.is_fault


@pytest.mark.spread(3)
@pytest.mark.parametrize(
    "group",
    [
        pytest.param(group, marks=pytest.mark.slow if number % 3 or group in TRIAL_GROUPS else ())
        for number, group in enumerate(GROUPS)
    ],
)
def test_the_proof_judges_the_cases_of(group: str, local_settings: Settings, server: Cluster, tmp_path: Path) -> None:
    """All cases of a group are one chain: each is proven once."""
    cases = select_cases(group, server.target("postgres"))
    outcomes = prove_cases(local_settings, tmp_path / "project", cases, server.target("postgres"))
    wrong = {
        name: [*verdicts(outcome), *(finding.words for finding in outcome.findings)]
        for name, outcome in outcomes.items()
        if not is_right(CASES[name], outcome)
    }
    assert wrong.keys() == NOT_FOUND_YET & {case.name for case in cases}, wrong
