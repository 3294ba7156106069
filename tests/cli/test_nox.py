"""nox runs the same checks in environments of its own."""

import pytest

from support.kit import Kit


@pytest.mark.parametrize(
    ("session", "verb", "said"),
    [
        ("migrations_roundtrip", "roundtrip", "the whole chain went down and up again"),
        # another environment of the same packages: for the slow run
        pytest.param("migrations_lint", "lint", "dangers", marks=pytest.mark.slow),
    ],
)
def test_a_session_runs_in_a_clean_environment(kit: Kit, session: str, verb: str, said: str) -> None:
    typed = kit.run("venv/bin/nox", "-s", session)
    assert typed.returncode == 0, typed.stderr
    assert said in typed.stdout
    assert f"python -m dbkit {verb}" in typed.stderr
    again = kit.run("venv/bin/nox", "-R", "-s", session, "--", "--no-such-option")
    assert again.returncode != 0
    assert "unrecognized arguments: --no-such-option" in again.stdout + again.stderr


def test_every_session_says_what_it_is_for(kit: Kit) -> None:
    listed = kit.run("venv/bin/nox", "-l").stdout
    sessions = [line for line in listed.splitlines() if line.startswith(("* ", "- "))]
    assert {line.split()[1] for line in sessions} == {
        "tests",
        "lint",
        "linters",
        "hostile",
        "types",
        "migrations_roundtrip",
        "migrations_lint",
        "migrations_check",
        "bench",
        "slow",
        "torture",
        "lock",
    }
    assert all("->" in line for line in sessions)
