"""The tests that `nox -s matrix` and `nox -s postgres_majors` run: those of other releases of what dbkit needs."""

import pytest

CHOSEN = (
    # the gate
    "failure_modes/test_half_applied.py",
    "failure_modes/test_history.py",
    "failure_modes/test_script.py",
    "failure_modes/test_several_runners.py",
    "failure_modes/test_signals.py",
    # the verbs
    "cli/test_drift.py",
    "cli/test_every_verb.py",
    "cli/test_project_shapes.py",
    # the round trip, lint and what they read
    "postgres/test_connect.py",
    "postgres/test_roundtrip.py",
    "unit/test_lint_wording.py",
    "unit/test_project.py",
    "unit/test_revision_cycles.py",
    "unit/test_settings.py",
    "unit/test_supported_versions.py",
)
OWN_ENVIRONMENT = {"kit", "fresh_clone"}
"""Fixtures whose commands run in an environment that they make from the lock files."""


def mark_chosen(items: list[pytest.Item]) -> None:
    """Give the marker `matrix` to the tests of these files that run in this environment and not for minutes."""
    for item in items:
        is_chosen = item.nodeid.partition("::")[0].endswith(CHOSEN)
        is_slow = item.get_closest_marker("slow") or item.get_closest_marker("torture")
        if is_chosen and not is_slow and not OWN_ENVIRONMENT & set(getattr(item, "fixturenames", ())):
            item.add_marker("matrix")
