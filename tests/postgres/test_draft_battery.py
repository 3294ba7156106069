"""The draft battery: a change of models becomes a draft that runs, that is proven, and that leaves no difference."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dbkit.postgres import scratch_cluster
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Settings
from support.draft_battery import CASES, GROUPS, run_case
from support.draft_case import ModelChange
from support.draft_project import lend_cluster, make_project


def test_there_are_enough() -> None:
    assert len(CASES) == sum(map(len, GROUPS.values()))  # no two of one name
    assert len(CASES) >= 180


@pytest.fixture(scope="module")
def scratch(local_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A scratch cluster that is lent to each command."""
    with scratch_cluster.cluster(local_settings) as cluster:
        yield lend_cluster(cluster, tmp_path_factory.mktemp("lent"))


@pytest.mark.spread(480)
@pytest.mark.parametrize("name", sorted(CASES))
def test_a_draft_is_right(name: str, server: Cluster, scratch: Path, tmp_path: Path) -> None:
    case = CASES[name]
    skip_before(case, server)
    names = [f"{kind}_{abs(hash(name)):x}" for kind in ("drafted", "modelled")]
    target, modelled = map(server.create_database, names)
    try:
        run_case(case, make_project(tmp_path, target, scratch, case.configure), modelled)
    finally:
        for each in names:
            server.drop_database(each)


def skip_before(case: ModelChange, server: Cluster) -> None:
    """Skip a case whose syntax the server does not have."""
    with psycopg.connect(**server.target("postgres").parameters()) as connection:
        if connection.info.server_version < case.server * 10000:
            pytest.skip(f"PostgreSQL {case.server} has the syntax")
