"""The precondition battery: the expectations by hand are true, and the proof derives what it is known to derive."""

from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.settings import Target
from support.precondition_battery import CASES, GROUPS, observe, select_cases

NAMES = [(group, case.name) for group, cases in GROUPS.items() for case in cases]
FIRST_NAMES = {cases[0].name for cases in GROUPS.values()}
TRUE_NAMES = [
    pytest.param(group, name, id=name, marks=[] if name in FIRST_NAMES else [pytest.mark.slow]) for group, name in NAMES
]


def test_there_are_enough() -> None:
    assert len(CASES) == len(NAMES)  # no two of one name
    assert all(len(case.judged) <= 32 for case in CASES.values())  # the width of the version table
    for case in CASES.values():
        assert case.is_control == all(not row_set.keys for row_set in case.row_sets)
        assert any(not row_set.keys and row_set.sql for row_set in case.row_sets)


@pytest.fixture(scope="module")
def shared_database(server: Cluster) -> Target:
    """A database for all cases: a new one for each row set takes longer."""
    return server.create_database("precondition_battery")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore DATABASE_URL, which each case sets."""
    monkeypatch.setenv("DATABASE_URL", "set for each case")


@pytest.mark.parametrize(("group", "name"), TRUE_NAMES)
def test_the_upgrade_fails_on_the_rows_that_violate(
    group: str, name: str, server: Cluster, shared_database: Target, tmp_path: Path
) -> None:
    if name not in {case.name for case in select_cases(group, server.target("postgres"))}:
        pytest.skip("the syntax is that of a newer server")
    seen = observe(tmp_path / "project", CASES[name], shared_database)
    assert len(seen) >= 2
    assert [each for each in seen if not each.is_true] == []
