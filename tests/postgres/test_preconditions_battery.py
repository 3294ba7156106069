"""The precondition battery: the expectations by hand are true, and the proof derives what it is known to derive."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.settings import Settings, Target
from support.precondition_battery import CASES, GROUPS, find_faults, judge, observe, select_cases

NOT_RIGHT_YET = {"some_duplicates_removed"}
"""Cases that the proof judges wrongly: no query can follow DELETE … USING. A change that judges one rightly takes it out."""

NAMES = [(group, case.name) for group, cases in GROUPS.items() for case in cases]
FIRST_NAMES = {cases[0].name for cases in GROUPS.values()}
TRUE_NAMES = [
    pytest.param(group, name, id=name, marks=[] if name in FIRST_NAMES else [pytest.mark.slow]) for group, name in NAMES
]


def test_there_are_enough() -> None:
    assert sum(not case.is_control for case in CASES.values()) >= 100
    assert sum(case.is_control for case in CASES.values()) >= 12
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


@pytest.mark.spread(3)
@pytest.mark.parametrize(("group", "name"), TRUE_NAMES)
def test_the_upgrade_fails_on_the_rows_that_violate(
    group: str, name: str, server: Cluster, shared_database: Target, tmp_path: Path
) -> None:
    if name not in {case.name for case in select_cases(group, server.target("postgres"))}:
        pytest.skip("the syntax is that of a newer server")
    seen = observe(tmp_path / "project", CASES[name], shared_database)
    assert len(seen) >= 2
    assert [each for each in seen if not each.is_true] == []


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(sorted(FIRST_NAMES), id="the first of each group"),
        *(
            pytest.param([case.name for case in cases], id=group, marks=pytest.mark.slow)
            for group, cases in GROUPS.items()
        ),
    ],
)
def test_the_proof_judges(
    names: list[str], local_settings: Settings, server: Cluster, shared_database: Target, tmp_path: Path
) -> None:
    """All cases of a list are one chain: each is proven once."""
    known = [case for group in GROUPS for case in select_cases(group, server.target("postgres")) if case.name in names]
    assert known
    faults = judge(local_settings, tmp_path, known, server.target("postgres"), shared_database)
    wrong = {name: found for name, found in faults.items() if found}
    assert wrong.keys() == NOT_RIGHT_YET & faults.keys(), wrong


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("SELECT id FROM public.stock_items WHERE NOT quantity >= 0", ""),
        ("SELECT id FROM public.stock_items WHERE quantity < 5", "good: [1] rows, not 0"),
        ("SELECT id FROM public.stock_items WHERE NOT COALESCE(quantity >= 0, false)", "nulls: [1] rows, not 0"),
        ("SELECT min(id) FROM public.stock_items WHERE quantity < 0 HAVING count(*) > 0", "bad: [1] rows, not 2"),
        ("SELECT id FROM stock_items WHERE quantity < 0", "does not exist"),
        ("DELETE FROM public.stock_items WHERE quantity < 0 RETURNING id", "read-only transaction"),
    ],
)
def test_the_battery_judges_queries(query: str, fault: str, shared_database: Target, tmp_path: Path) -> None:
    case = CASES["stock_not_negative"]
    seen = observe(tmp_path / "project", case, shared_database, [query])
    outcome = SimpleNamespace(verdict="proven, if", also=(), findings=(), preconditions=[SimpleNamespace(query=query)])
    faults = "; ".join(find_faults(case, outcome, seen))  # type: ignore[arg-type]
    assert fault in faults
    assert bool(faults) == bool(fault)
