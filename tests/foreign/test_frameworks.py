"""The gate in projects whose framework runs Alembic, and in those with pyproject.toml."""

import importlib.util
import signal

import pytest

from support.failure_modes import BLOCK
from support.foreign_chain import HEAD, IDS, ORDERS
from support.foreign_frameworks import FRAMEWORKS, PACKAGES
from support.foreign_projects import SLEEPING, ForeignProject
from support.foreign_shapes import Place, edit
from support.held_up import wait_for
from support.running import foreground, until


def make(name: str, place: Place) -> ForeignProject:
    package = PACKAGES.get(name)
    if package and not importlib.util.find_spec(package):
        pytest.skip(f"{package} is not installed; nox -s foreign has it")
    return FRAMEWORKS[name](place)


@pytest.fixture(params=FRAMEWORKS)
def project(place: Place, request: pytest.FixtureRequest) -> ForeignProject:
    return make(request.param, place)


def test_several_runners(project: ForeignProject) -> None:
    results = project.together(4, env={"SHOP_PAUSE": "0.5"})
    assert [result.returncode for result in results] == [0] * 4, [result.stderr for result in results]
    assert project.journal() == [("upgrade", identifier) for identifier in IDS]
    assert project.query("SELECT count(*) FROM orders") == [(ORDERS,)]


def test_a_signal(project: ForeignProject) -> None:
    process = project.start("upgrade", "head", env={"SHOP_PAUSE": "600"}, preexec_fn=foreground)
    wait_for(process, lambda: project.query(SLEEPING) == [(1,)])
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode not in (0, -signal.SIGKILL), errors
    until(lambda: project.query(SLEEPING) == [(0,)])
    assert project.heads() == []
    assert project.alembic("upgrade", "head").returncode == 0
    assert project.journal() == [("upgrade", identifier) for identifier in IDS]


def test_protection(project: ForeignProject) -> None:
    assert project.alembic("upgrade", "head", env={"APP_ENV": "production"}).returncode == 0
    downgrade = ["downgrade", "-1"] if project.program == ("alembic",) else ["downgrade"]  # by one, as well
    typed = project.alembic(*downgrade)
    assert typed.returncode != 0
    assert "refusing to roll back" in typed.stdout + typed.stderr
    assert project.heads() == [HEAD]
    typed = project.alembic(*downgrade, env={"CONFIRM": project.names()})
    assert typed.returncode == 0, typed.stdout + typed.stderr
    assert project.heads() == [IDS[-2]]


def test_an_edited_applied_file(project: ForeignProject) -> None:
    assert project.alembic("upgrade", "head").returncode == 0
    [file] = project.versions.glob(f"{IDS[0]}_*")
    edit(file, ("@example.org", "@example.com"))
    typed = project.alembic("upgrade", "head")
    assert typed.returncode != 0
    assert f"{file.name}: edited after it was applied" in typed.stdout + typed.stderr


def test_a_migration_of_autocommit_blocks_that_was_killed(project: ForeignProject) -> None:
    """The template of advanced-alchemy writes each migration so."""
    [second] = project.versions.glob(f"{IDS[1]}_*")
    text = second.read_text()
    up, _, down = text.partition("def downgrade()")
    head, _, body = up.partition("def upgrade() -> None:\n")
    indented = "".join(f"    {line}\n" if line else "\n" for line in body.splitlines())
    block = BLOCK.splitlines()[0]
    second.write_text(f"{head}def upgrade() -> None:\n    {block}\n{indented}\ndef downgrade(){down}")
    process = project.start("upgrade", "head", env={"SHOP_PAUSE": "600"})
    wait_for(process, lambda: project.query(SLEEPING) == [(1,)])
    process.kill()
    process.communicate()
    until(lambda: project.query(SLEEPING) == [(0,)])
    assert project.heads() == [IDS[0]]
    for _ in range(2):
        typed = project.alembic("upgrade", "head")
        assert typed.returncode != 0
        said = typed.stdout + typed.stderr
        assert f"the upgrade of {IDS[1]} of" in said
        assert "was interrupted, and a part of it was committed: not safe to run again" in said


def test_the_verbs(project: ForeignProject) -> None:
    status = project.dbkit("status")
    assert (status.returncode, "pending   4" in status.stdout) == (0, True), status.stderr
    for verb in ("migrate", "status", "check", "drift", "log"):
        typed = project.dbkit(verb)
        assert typed.returncode == 0, (verb, typed.stdout + typed.stderr)
    project.query("UPDATE customers SET phone = '+1 555'")
    for verb in ("rollback", "migrate", "restore"):
        typed = project.dbkit(verb)
        assert typed.returncode == 0, (verb, typed.stdout + typed.stderr)
    assert project.query("SELECT DISTINCT phone FROM customers") == [("+1 555",)]


def test_the_application_is_found_in_the_file_of_flask(place: Place) -> None:
    project = make("flask", place)
    assert project.alembic("upgrade", "head").returncode == 0
    (project.root / ".flaskenv").write_text(f"FLASK_APP={project.environment.pop('FLASK_APP')}\n")
    typed = project.dbkit("status")
    assert (typed.returncode, HEAD in typed.stdout) == (0, True), typed.stderr
    typed = project.dbkit("status", env={"FLASK_SKIP_DOTENV": "1"})
    assert (typed.returncode, "env.py needs the Flask application" in typed.stderr) == (2, True), typed.stdout
