"""What lint finds of dangers in guises that no other list has, and that it blames no safe statement."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.scratch_server import ScratchServer, open_server
from dbkit.settings import Settings
from support.lint_guises import CASES, DANGERS, SAFE, find, read_major

# one of each kind in every run
REPRESENTATIVE = {
    "function_dropped_with_trigger",
    "default_only_while_added",
    "swap_by_two_renames",
    "row_security_forced",
    "each_row_by_its_key",
    "unreleased_constraints",
    "row_of_a_composite_key",
    "view_made_again",
}
NAMES = [pytest.param(name, marks=[] if name in REPRESENTATIVE else [pytest.mark.slow]) for name in CASES]


@pytest.fixture(scope="module")
def scratch_server(server: Cluster, local_settings: Settings) -> Iterator[ScratchServer]:
    """The run's server, for one proof after the other."""
    with open_server(local_settings, server.target("postgres")) as opened:
        yield opened


def test_there_are_enough() -> None:
    assert len(DANGERS) >= 44
    assert len(SAFE) >= 28
    assert len(CASES) == len(DANGERS) + len(SAFE)  # no two of one name
    assert set(CASES) >= REPRESENTATIVE
    assert all(len(case.judged) <= 32 for case in CASES.values())  # the width of the version table
    assert all(case.is_danger for case in DANGERS)


@pytest.mark.spread(3)
@pytest.mark.parametrize("name", NAMES)
def test_a_danger_is_found_and_a_safe_statement_is_not_blamed(
    name: str, scratch_server: ScratchServer, local_settings: Settings, tmp_path: Path
) -> None:
    case = CASES[name]
    if case.server > read_major(scratch_server):
        pytest.skip("the syntax is that of a newer server")
    findings = find(scratch_server, local_settings, tmp_path / "project", case)
    said = [(each.id, each.message) for each in case.loud(findings)]
    assert case.is_right(findings), (case.why, said)
