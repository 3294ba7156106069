"""Models with hostile names and texts: what is drafted and migrated is what create_all makes, and is undone."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dbkit.postgres.cluster import Cluster
from support.draft_bench import WAYS, Bench, write
from support.hostile_models import models

TOGETHER = 10
"""The models in one database: most of the time goes into reading catalogs."""
USUAL = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    # a database with ten models is not made smaller in a reasonable time: its DDL is in the failure
    phases=(Phase.explicit, Phase.generate),
)
MANY = settings(USUAL, max_examples=100)


@pytest.fixture(scope="module")
def bench(server: Cluster) -> Iterator[Bench]:
    made = Bench(server, "properties")
    yield made
    made.close()


def check(bench: Bench, before: sa.MetaData | None, after: sa.MetaData, way: str) -> None:
    """Migrate up and down. What a person has to decide is about rows, of which there are none."""
    comparison = bench.prepare(before, after)
    draft, codes = write(comparison)
    assert not draft.undecided or before is not None, draft.undecided
    for code in codes:
        bench.migrated.run(code.upgrade, code.imports, way)
    assert bench.compare_with_models(comparison) == [], [code.upgrade for code in codes]
    for code in reversed(codes):
        bench.migrated.run(code.downgrade, code.imports, way)
    assert bench.compare_with_original() == [], [code.downgrade for code in codes]


@USUAL
@given(states=models(TOGETHER, 1), way=st.sampled_from(WAYS))
def test_new_models_are_migrated_as_they_are(bench: Bench, states: list[sa.MetaData], way: str) -> None:
    check(bench, None, states[0], way)


@pytest.mark.slow
@MANY
@given(states=models(TOGETHER, 1), way=st.sampled_from(WAYS))
def test_a_thousand_new_models_are_migrated_as_they_are(bench: Bench, states: list[sa.MetaData], way: str) -> None:
    check(bench, None, states[0], way)


@pytest.mark.slow
@MANY
@given(states=models(TOGETHER, 2), way=st.sampled_from(WAYS))
def test_a_thousand_changed_models_are_migrated_as_they_are(bench: Bench, states: list[sa.MetaData], way: str) -> None:
    check(bench, *states, way)
