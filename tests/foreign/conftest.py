"""Foreign projects, each with its databases on the server of the run."""

from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from support.foreign_projects import ForeignProject
from support.foreign_shapes import SHAPES, Place

# How those tests begin that are in every run: each shape once, and the main faults on one driver each.
# The others have the marker `foreign`, for `nox -s foreign`
ALWAYS = (
    "test_several_runners_status_and_rollback[",
    "test_a_run_in_one_transaction_is_retried_as_a_whole[asyncpg]",
    "test_a_step_its_revision_and_its_journal_row_are_one[asyncpg-dbkit_journal-False]",
    "test_a_run_that_leaves_its_transaction_keeps_what_came_before[psycopg2]",
    "test_an_error_in_an_external_transaction[psycopg]",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all but a few tests of this directory, before those with the marker are left out."""
    for item in items:
        if item.path.parent == Path(__file__).parent and not item.name.startswith(ALWAYS):
            item.add_marker(pytest.mark.foreign)


@pytest.fixture
def place(server: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    """Where this test makes its project."""
    return Place(tmp_path, server, f"foreign_{abs(hash(request.node.nodeid)):x}")


@pytest.fixture
def project(place: Place, request: pytest.FixtureRequest) -> ForeignProject:
    """A project of the shape that the test is parametrized with."""
    return SHAPES[request.param](place)
