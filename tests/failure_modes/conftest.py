"""Each failure mode with the env.py of the kit, and with that of another team, on each driver."""

import pytest

from support.foreign_pair import DRIVERS, with_driver
from support.pair import Pair

# about files and scripts that the kit's env.py makes, or verbs of the kit alone
KIT_ONLY = (
    "test_generated_revision",
    "test_message_as_code",
    "test_script",
    "test_colon_in_a_script",
    "test_downgrade_leaves",
)
# in every run; the others in `nox -s foreign`
ALWAYS = {
    ("test_a_signal_to_bare_alembic", "psycopg2"),
    ("test_a_commit_by_hand_that_loses_the_revision", "asyncpg"),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test that takes the pair four of them."""
    if "pair" not in metafunc.fixturenames:
        return
    drivers = () if metafunc.module.__name__.rpartition(".")[2] in KIT_ONLY else DRIVERS
    if metafunc.definition.get_closest_marker("kit"):
        drivers = ()
    kinds = [
        pytest.param(driver, marks=() if (metafunc.function.__name__, driver) in ALWAYS else pytest.mark.foreign)
        for driver in drivers
    ]
    metafunc.parametrize("pair", ["kit", *kinds], indirect=True)


@pytest.fixture
def pair(pair: Pair, request: pytest.FixtureRequest) -> Pair:
    """The pair, whose project behind the gate has the env.py that the test is parametrized with."""
    return pair if request.param == "kit" else with_driver(pair, request.param)
