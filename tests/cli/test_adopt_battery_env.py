"""`dbkit adopt` and the env.py of others: a battery of their forms."""

import ast
import re
from pathlib import Path

import psycopg
import pytest

from dbkit.postgres.cluster import Cluster
from dbkit.settings import Target
from support.adopt_env_files import TEMPLATES, EnvFile
from support.adopt_env_forms import FORMS
from support.adopt_project import (
    AdoptProject,
    inserted,
    make_project,
    require_adopted,
    require_refused,
    require_undone,
)
from support.alembic_templates import initialized
from support.foreign_projects import driver_url
from support.running import spread_foreign

CASES = [*TEMPLATES, *FORMS]
NAMES = [case.name for case in CASES]
RUN = [(case.name, case) for case in CASES if case.runs]
LINES = 3
BOM = b"\xef\xbb\xbf"
# what adopt itself writes: a gate put there by hand in the same way cannot be told from it
OUR_FORM = "the gate as documented"


def make(case: EnvFile, root: Path, target: Target | None = None) -> AdoptProject:
    """Make the project of a case."""
    url = driver_url(target, case.driver) if target else f"postgresql+{case.driver}://localhost/none"
    project = make_project(root, {**case.files, "migrations/env.py": case.content}, url=url)
    project.environment["DATABASE_URL"] = url
    return project


def test_names_are_unique() -> None:
    assert len({*NAMES}) == len(NAMES) >= 45


@pytest.mark.spread(3)
@pytest.mark.parametrize("case", spread_foreign(10, zip(NAMES, CASES, strict=True)))
def test_the_file(case: EnvFile, tmp_path: Path) -> None:
    """At most three lines come in, nothing else changes; a second run changes nothing, and --undo takes them out."""
    project = make(case, tmp_path / "project")
    before = project.snapshot()
    expected = case.expected
    if expected == "either":
        expected = "refused" if project.copy("tried").adopt("--only-gate").returncode else "adopted"
    if expected == "refused":
        said = require_refused(project, before)
        assert "gate.install(" in said, said
        return
    said = require_adopted(project, "--only-gate")
    assert ("connects" in said) == (case.name == "a module that connects before it"), said
    after = project.env_py.read_bytes()
    if case.expected == "kept":
        assert after == case.content
        project.adopt("--undo", "--only-gate")
        assert case.name == OUR_FORM or project.env_py.read_bytes() == case.content
        return
    new = inserted(case.content, after)
    assert case.expected == "either" or 1 <= len(new) <= LINES
    ast.parse(after)
    assert after.startswith(BOM) == case.content.startswith(BOM)
    if case.content.count(b"\n") == case.content.count(b"\r\n"):
        assert after.count(b"\n") == after.count(b"\r\n")
    elif b"\r" not in case.content:
        assert b"\r" not in after
    require_undone(project, before, "--only-gate")


@pytest.mark.parametrize("case", spread_foreign(15, RUN))
def test_the_gate_comes_first(case: EnvFile, tmp_path: Path, server: Cluster, database: Target) -> None:
    """`alembic upgrade head` passes the gate, before anything is configured or connected."""
    project = make(case, tmp_path / "project", database)
    adopted = project.adopt("--only-gate")
    if case.expected == "either" and adopted.returncode == 2:
        return
    assert adopted.returncode == 0, adopted.stderr
    ran, events = project.traced(*case.arguments, "upgrade", "head")
    assert ran.returncode == 0, ran.stderr
    assert events[:1] == ["gate"], events
    assert "configure" in events
    assert journal_of(database, case.schema) == 2


def journal_of(target: Target, schema: str) -> int:
    """Return how many upgrades are in the journal; 0 where there is none."""
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        found = connection.execute("SELECT to_regclass(%s)", [f"{schema}.dbkit_journal"]).fetchone()
        if found == (None,):
            return 0
        row = connection.execute(f'SELECT count(*) FROM "{schema}".dbkit_journal WHERE ended_at IS NOT NULL').fetchone()
        assert row
        return int(row[0])


@pytest.mark.foreign
@pytest.mark.parametrize(
    ("template", "driver"), [("generic", "psycopg2"), ("async", "asyncpg"), ("pyproject", "psycopg")]
)
def test_the_gate_in_what_this_alembic_writes(template: str, driver: str, tmp_path: Path, database: Target) -> None:
    """`alembic init`, a URL, two revisions, adopt, `alembic upgrade head`."""
    files = {
        str(path.relative_to(initialized(template))): path.read_text()
        for path in initialized(template).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    url = driver_url(database, driver).replace("%", "%%")
    files["alembic.ini"] = re.sub(
        r"^sqlalchemy.url = .*$", lambda _: f"sqlalchemy.url = {url}", files["alembic.ini"], flags=re.M
    )
    project = make_project(tmp_path / "project", files)
    before = project.snapshot()
    if template == "pyproject":
        project.settings = "pyproject.toml"
    require_adopted(project)
    ran, events = project.traced("upgrade", "head")
    assert ran.returncode == 0, ran.stderr
    assert events[:1] == ["gate"], events
    assert journal_of(database, "public") == 2
    require_undone(project, before)


@pytest.mark.foreign
@pytest.mark.parametrize("case", spread_foreign(1, RUN))
def test_the_battery_itself(case: EnvFile, tmp_path: Path, database: Target) -> None:
    """Each env.py works without the gate: what fails behind it is not its own fault."""
    project = make(case, tmp_path / "project", database)
    ran, events = project.traced(*case.arguments, "upgrade", "head")
    assert ran.returncode == 0, ran.stderr
    assert "configure" in events
    with psycopg.connect(**database.parameters()) as connection:
        rows = connection.execute(f'SELECT version_num FROM "{case.schema}".alembic_version').fetchall()
    assert rows == [("b2b2b2b2b2b2",)]
