"""nox runs the same checks in environments of its own."""

from conftest import Kit


def test_the_round_trip_runs_in_a_clean_environment(kit: Kit) -> None:
    typed = kit.run("venv/bin/nox", "-s", "migrations_roundtrip", "migrations_lint")
    assert typed.returncode == 0, typed.stderr
    assert "the whole chain went down and up again" in typed.stdout
    assert "python -m dbkit roundtrip" in typed.stderr
    again = kit.run("venv/bin/nox", "-R", "-s", "migrations_roundtrip", "migrations_lint", "--", "--no-such-option")
    assert again.returncode != 0
    assert "unrecognized arguments: --no-such-option" in again.stdout + again.stderr


def test_every_session_says_what_it_is_for(kit: Kit) -> None:
    listed = kit.run("venv/bin/nox", "-l").stdout
    sessions = [line for line in listed.splitlines() if line.startswith(("* ", "- "))]
    assert {line.split()[1] for line in sessions} == {
        "tests",
        "lint",
        "linters",
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
