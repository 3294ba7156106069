"""What dbkit.pytest gives to a test suite of somebody else."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.battery import NOTHING, Planted, make_project

THREE_LINES = """\
from dbkit.pytest import migration, pytest_generate_tests

def test_migration(migration): migration.check()
"""


def run_pytest(project: Path, tests: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (project / "test_migrations.py").write_text(tests)
    (project / "pytest.ini").write_text("[pytest]\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


def test_three_lines_make_a_test_of_each_revision(tmp_path: Path) -> None:
    cases = [
        Planted("fine", "CREATE TABLE a (x int)", "DROP TABLE a", "proven"),
        Planted("fault", "CREATE INDEX IF NOT EXISTS ix ON a (x)", NOTHING, "dirty"),
        Planted(
            "accepted", "CREATE INDEX IF NOT EXISTS ix2 ON a (x)", f"{NOTHING}', # dbkit: ok dirty, wanted", "dirty"
        ),
    ]
    cases[2] = Planted("accepted", cases[2].up, "python:pass  # dbkit: ok dirty, wanted", "dirty")
    ini = make_project(tmp_path / "project", cases)
    result = run_pytest(ini.parent, THREE_LINES)
    assert "1 failed, 1 passed, 1 skipped" in result.stdout
    assert "PASSED test_migrations.py::test_migration[case00]" in result.stdout
    assert 'dirty: case01 "fault"\n  after downgrade, index ix on a is still there\n' in result.stdout
    assert "accepted dirty: wanted" in result.stdout
    assert "Traceback" not in result.stdout


@pytest.mark.slow
def test_another_settings_file_and_a_narrower_request(tmp_path: Path) -> None:
    make_project(
        tmp_path / "project/elsewhere",
        [Planted("a", NOTHING, NOTHING, "proven"), Planted("b", NOTHING, NOTHING, "proven")],
    )
    head = 'from dbkit.roundtrip.prove import Request\nfrom dbkit.roundtrip.selection import Scope\nALEMBIC_INI = "elsewhere/alembic.ini"\nROUND_TRIP = Request(scope=Scope(only=("case01",)))\n'
    result = run_pytest(tmp_path / "project", head + THREE_LINES)
    assert "1 passed" in result.stdout


@pytest.mark.slow
def test_a_missing_settings_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    result = run_pytest(tmp_path / "project", THREE_LINES)
    assert "there is no " in result.stdout
    assert 'ALEMBIC_INI = "path/to/alembic.ini"' in result.stdout


OPTIONS = """\
from dbkit.pytest import Request
ROUND_TRIP = Request(set_env={"TEAM_DB": "{url}"}, rows=3, seed=7, jobs=1, start="case00", strict=True, x="tenant=a")
"""


@pytest.mark.slow
def test_a_request_has_the_options_of_the_command_line(tmp_path: Path) -> None:
    cases = [Planted("a", NOTHING, NOTHING, "proven"), Planted("b", NOTHING, NOTHING, "proven")]
    ini = make_project(tmp_path / "project", cases)
    env = next(ini.parent.rglob("env.py"))
    text = env.read_text()
    needs = "import os\nfrom alembic import context\nassert os.environ['TEAM_DB'] and context.get_x_argument() == ['tenant=a']\n"
    env.write_text(needs + text)
    result = run_pytest(ini.parent, OPTIONS + THREE_LINES)
    assert "1 passed" in result.stdout, result.stdout
    assert "[case01]" in result.stdout


@pytest.mark.slow
def test_a_wrong_option_is_one_failure(tmp_path: Path) -> None:
    ini = make_project(tmp_path / "project", [Planted("a", NOTHING, NOTHING, "proven")])
    head = "from dbkit.pytest import Request\n"
    for wrong, words in (("rows=-1", "write a number"), ("driver='oracle'", "no such driver"), ("only=''", "is empty")):
        result = run_pytest(ini.parent, f"{head}ROUND_TRIP = Request({wrong})\n{THREE_LINES}")
        assert "1 error in" in result.stdout, result.stdout
        assert words in result.stdout
        assert "Traceback" not in result.stdout


@pytest.mark.slow
def test_a_project_that_cannot_run_fails_once(tmp_path: Path) -> None:
    ini = make_project(tmp_path / "project", [Planted(f"c{n}", NOTHING, NOTHING, "proven") for n in range(4)])
    env = next(ini.parent.rglob("env.py"))
    text = env.read_text()
    env.write_text(f"raise RuntimeError('env.py is broken')\n{text}")
    result = run_pytest(ini.parent, THREE_LINES)
    assert "3 skipped, 1 error" in result.stdout, result.stdout
    assert "failed: RuntimeError: env.py is broken" in result.stdout
    assert "The above exception" not in result.stdout
    env.write_text(text)
    revision = next(ini.parent.rglob("case00*.py"))
    revision.write_text(f"import no_such_module\n{revision.read_text()}")
    result = run_pytest(ini.parent, THREE_LINES)
    assert "1 error in" in result.stdout, result.stdout
    assert "no_such_module" in result.stdout
