"""nox runs the same checks in environments of its own."""

import shutil

import pytest

from support.kit import Kit
from support.venv_copies import link_or_copy, move_venv


def copy_environment(kit: Kit, session: str) -> None:
    """Give a session the packages of ./venv: to install them again takes longer than all else."""
    environment = kit.path / ".nox" / session
    shutil.copytree(kit.path / "venv", environment, symlinks=True, copy_function=link_or_copy)
    move_venv(environment, kit.path / "venv", environment)


@pytest.mark.parametrize(
    ("session", "verb", "said", "installs"),
    [
        ("migrations_roundtrip", "roundtrip", "the whole chain went down and up again", False),
        pytest.param("migrations_prove", "prove", "dangers", False, marks=pytest.mark.slow),
        # the packages installed, and of another session: for the slow run
        pytest.param("migrations_lint", "lint", "dangers", True, marks=pytest.mark.slow),
    ],
)
def test_a_session_runs_in_an_environment_of_its_own(
    kit: Kit, session: str, verb: str, said: str, installs: bool
) -> None:
    if not installs:
        copy_environment(kit, session)
    typed = kit.run("venv/bin/nox", *([] if installs else ["-R"]), "-s", session)
    assert typed.returncode == 0, typed.stderr
    assert said in typed.stdout
    assert f"python -m dbkit {verb}" in typed.stderr
    again = kit.run("venv/bin/nox", "-R", "-s", session, "--", "--no-such-option")
    assert again.returncode != 0
    assert "unrecognized arguments: --no-such-option" in again.stdout + again.stderr


def test_every_session_says_what_it_is_for(kit: Kit) -> None:
    listed = kit.run("venv/bin/nox", "-l").stdout
    sessions = [line for line in listed.splitlines() if line.startswith(("* ", "- "))]
    assert {line.split()[1].partition("(")[0] for line in sessions} == {
        "tests",
        "lint",
        "linters",
        "hostile",
        "types",
        "migrations_prove",
        "migrations_report",
        "migrations_roundtrip",
        "migrations_lint",
        "migrations_check",
        "bench",
        "browser",
        "slow",
        "foreign",
        "torture",
        "lock",
        "matrix",
        "postgres_majors",
    }
    assert all("->" in line for line in sessions)
