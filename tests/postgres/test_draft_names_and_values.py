"""Drafts for names that are taken and values that are required: up and down, without the commands around them."""

import psycopg
import pytest

from dbkit.drafts.compare import compare
from dbkit.drafts.draft import make_draft
from dbkit.drafts.effects import measure
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.scratch_migrations import Models
from dbkit.settings import Target
from support import draft_cases_columns, draft_cases_names
from support.draft_battery import create_models, demand_equal, load_metadata, read_facts
from support.draft_case import ModelChange

CASES = [
    *(case for case in draft_cases_names.CASES if not case.files and not case.files_before),
    *(case for case in draft_cases_columns.CASES if case.name.startswith("comes_back_required_")),
]


def query(target: Target, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.mark.spread(14)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_draft_leads_to_the_models_and_back(server: Cluster, case: ModelChange) -> None:
    name = f"direct_{abs(hash(case.name)):x}"
    migrated, modelled = (server.create_database(f"{name}_{side}") for side in "ab")
    try:
        create_models(case, modelled)
        create_models(case, migrated, is_after=False)
        before = read_facts(migrated)
        if case.rows:
            query(migrated, case.rows)
        models = Models(load_metadata(case, case.after))
        draft = make_draft(compare(server, migrated, models, None, {}, name))
        assert not draft.undecided
        (revision,) = draft.revisions
        measure(revision.upgrade, migrated)
        demand_equal(read_facts(modelled), read_facts(migrated), "other than create_all")
        measure(revision.downgrade, migrated)
        demand_equal(before, read_facts(migrated), "other than before", undone=True)
        if case.holds:
            assert query(migrated, case.holds) == [(True,)]
    finally:
        for each in (f"{name}_a", f"{name}_b", f"modelled{name}"):
            query(server.maintenance, f"DROP DATABASE IF EXISTS {each} WITH (FORCE)")
