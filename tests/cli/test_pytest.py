"""What dbkit.pytest gives to a test suite of somebody else."""

import subprocess
import sys
from pathlib import Path

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


def test_another_settings_file_and_a_narrower_request(tmp_path: Path) -> None:
    make_project(
        tmp_path / "project/elsewhere",
        [Planted("a", NOTHING, NOTHING, "proven"), Planted("b", NOTHING, NOTHING, "proven")],
    )
    head = 'from dbkit.roundtrip.prove import Request\nfrom dbkit.roundtrip.selection import Scope\nALEMBIC_INI = "elsewhere/alembic.ini"\nROUND_TRIP = Request(scope=Scope(only=("case01",)))\n'
    result = run_pytest(tmp_path / "project", head + THREE_LINES)
    assert "1 passed" in result.stdout


def test_a_missing_settings_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    result = run_pytest(tmp_path / "project", THREE_LINES)
    assert "there is no " in result.stdout
    assert 'ALEMBIC_INI = "path/to/alembic.ini"' in result.stdout
