"""Drafts of tables, columns, constraints, indexes and comments lead exactly to the models' tables, and back."""

import re

import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect
from support.draft_cases import CASES
from support.draft_states import DraftCase, check_case


@pytest.mark.spread(10)
@pytest.mark.parametrize("case", CASES, ids=lambda case: re.sub(r"\W+", "-", case.name))
def test_draft_leads_to_the_models_and_back(server: Cluster, case: DraftCase, request: pytest.FixtureRequest) -> None:
    with connect(server.target("postgres")) as connection:
        version = connection.info.server_version // 10000
    if case.since > version:
        pytest.skip(f"PostgreSQL {case.since}")
    check_case(server, f"draft_{abs(hash(request.node.nodeid)):x}", case)
