"""The data battery: the verdicts by hand are true, and the proof finds what it is known to find."""

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.settings import Settings, Target
from support.data_battery import (
    CASES,
    FAULT_GROUPS,
    GROUPS,
    Rows,
    empty_database,
    go_there_and_back,
    is_right,
    prove_cases,
    select_cases,
    verdicts,
)

NOT_FOUND_YET = {
    "bounces_forgotten", "vat_between", "discount_capped", "mute_of_this_week", "stays_over_christmas",
    "window_at_clock_change", "null_island", "territories_as_countries", "redirects_to_themselves",
    "sentinel_readings", "carrier_with_four_conditions", "vendor_spellings", "seasonal_vouchers", "reply_prefixes",
    "static_moved_to_media", "postcodes_padded", "french_cities_trimmed", "closed_bank", "hosts_renamed",
    "campaign_parameters", "leading_zeros", "quoted_nicknames", "devices_of_two_kinds", "no_nickname",
    "archive_section_detached", "scope_of_viewers", "threads_flattened", "trash_with_all_below", "double_votes",
    "limit_by_turnover", "three_newest_versions", "repeated_states", "theme_auto", "card_numbers_removed",
    "imperial_units_removed", "inactive_webhooks", "fax_fields", "legacy_queue", "filters_by_overlap", "ten_images",
    "approval_after_publishing", "yen_rounded", "whole_days", "five_rappen", "hours_and_minutes", "core_case",
    "core_delete_by_select", "core_between_dates", "text_with_parameters", "executemany_of_a_map",
    "cursor_of_the_driver", "orm_by_relationship", "branch_in_a_loop", "in_tuple_of_python", "https_by_prefix",
    "match_statement", "nested_lines_in_python", "helper_with_a_branch", "regular_expression_in_python",
    "batches_with_limit", "batches_by_key", "do_block_with_a_loop", "function_that_merges",
    "function_of_an_older_revision", "trigger_normalises", "merge_statement", "on_conflict_overwrites",
    "moved_by_a_cte", "partition_of_2023", "regions_joined", "parent_with_its_children", "by_a_generated_column",
    "domain_of_article_numbers", "delete_through_a_view", "sandbox_teams_cascade", "shelves_set_null",
    "licences_with_new_keys", "names_in_quotes", "in_another_schema", "composite_type", "role_that_existed",
    "timezone_default", "welcome_messages", "flag_by_the_text", "downgrade_in_a_loop", "old_partner_deleted",
    "codes_that_became_longer", "placeholder_became_null", "slugs_not_unique_any_more", "rates_with_a_word",
    "district_without_its_parent", "key_that_the_map_has_not", "amount_per_part",
}  # fmt: skip
"""Cases that the proof judges wrongly. A change that makes it judge one rightly takes the name out."""

NAMES = [(group, case.name) for group, cases in GROUPS.items() for case in cases]
Proven = Callable[[str], dict[str, RevisionOutcome]]


def test_there_are_enough() -> None:
    assert sum(map(len, FAULT_GROUPS.values())) >= 64
    assert sum(not case.is_fault for case in CASES.values()) >= 32
    assert len(CASES) == len(NAMES)  # no two of one name
    assert all(len(case.judged) <= 32 for case in CASES.values())  # the width of the version table
    assert set(CASES) >= NOT_FOUND_YET


@pytest.fixture(autouse=True)
def paths() -> Iterator[None]:
    """Undo what Alembic adds to the paths of modules."""
    before = sys.path[:]
    yield
    sys.path[:] = before


def skip_unless_known(group: str, name: str, server: Cluster) -> None:
    if name not in {case.name for case in select_cases(group, server.target("postgres"))}:
        pytest.skip("the syntax is that of a newer server")


@pytest.fixture(scope="module")
def shared_database(server: Cluster) -> Target:
    """A database for all cases: a new one for each takes a third of the time."""
    return server.create_database("data_battery")


each_case = pytest.mark.parametrize(("group", "name"), NAMES, ids=[name for _, name in NAMES])


@each_case
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
        assert states["after upgrade"] != states["before"]
        assert (states["after downgrade"] != states["before"]) == case.is_fault


@pytest.fixture(scope="module")
def proven(local_settings: Settings, server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Proven:
    """Prove a group, once."""
    done: dict[str, dict[str, RevisionOutcome]] = {}

    def run(group: str) -> dict[str, RevisionOutcome]:
        if group not in done:
            cases = select_cases(group, server.target("postgres"))
            directory = tmp_path_factory.mktemp("battery") / group
            done[group] = prove_cases(local_settings, directory, cases, server.target("postgres"))
        return done[group]

    return run


@each_case
def test_the_proof_judges_it(group: str, name: str, proven: Proven, server: Cluster) -> None:
    skip_unless_known(group, name, server)
    outcome = proven(group)[name]
    words = [*verdicts(outcome), *(finding.words for finding in outcome.findings)]
    assert is_right(CASES[name], outcome) == (name not in NOT_FOUND_YET), "; ".join(words)
