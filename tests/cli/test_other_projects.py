"""The verbs with --config: on a project of another team, whose database is what its env.py connects to."""

from pathlib import Path

import pytest

from dbkit.settings import Target
from support.other_project import OtherProject, make_project

OWN_TABLE = 'version_table="team_version", version_table_schema="ops"'


@pytest.fixture(
    params=[pytest.param("", id="default", marks=pytest.mark.slow), pytest.param(OWN_TABLE, id="own-table")]
)
def project(tmp_path: Path, database: Target, request: pytest.FixtureRequest) -> OtherProject:
    """A project that was not migrated yet, with Alembic's version table, or one in another schema."""
    made = make_project(tmp_path, database, request.param)
    if request.param:
        made.query("CREATE SCHEMA ops")
    return made


@pytest.mark.slow
def test_a_database_is_migrated_read_and_rolled_back(project: OtherProject) -> None:
    """The usual day: each verb finds the database by env.py, and no URL is typed."""
    done = project.dbkit("status")
    assert (done.returncode, done.stderr) == (0, "")
    assert "pending   2" in done.stdout
    assert "next      dbkit migrate -c alembic.ini" in done.stdout
    done = project.dbkit("migrate")
    assert done.returncode == 0, done.stderr
    assert "2 migrations applied" in done.stdout
    assert project.dbkit("migrate").stdout.endswith("nothing to apply.\n")
    assert project.dbkit("log").stdout.count("upgrade") == 2
    for verb in (["wait", "--at-head"], ["mark", "test"], ["accept", "c2"], ["psql", "-c", "SELECT 1"]):
        done = project.dbkit(*verb)
        assert done.returncode == 0, (verb, done.stderr)
    for verb in ("check", "drift"):
        done = project.dbkit(verb)
        assert done.returncode == 0, (verb, done.stderr)
    project.query("INSERT INTO customers (name, city) VALUES ('a', 'Oslo'), ('b', 'Bern')")
    done = project.dbkit("rollback")
    assert done.returncode == 0, done.stderr
    assert "column customers.city: 2 values" in done.stdout
    assert "dbkit migrate -c alembic.ini" in done.stdout
    assert (project.root / ".dbkit/stash").is_dir()
    assert project.dbkit("migrate").returncode == 0
    done = project.dbkit("restore")
    assert done.returncode == 0, done.stderr
    assert project.query("SELECT city FROM customers ORDER BY id") == [("Oslo",), ("Bern",)]
    done = project.dbkit("redo")
    assert done.returncode == 0, done.stderr
    assert project.query("SELECT city FROM customers ORDER BY id") == [("Oslo",), ("Bern",)]
    done = project.dbkit("backfill", "customers", "--set", "city = upper(city)")
    assert done.returncode == 0, done.stderr
    assert project.query("SELECT city FROM customers ORDER BY id") == [("OSLO",), ("BERN",)]


@pytest.mark.slow
def test_files_are_written_beside_its_own(project: OtherProject) -> None:
    """A revision, a snapshot and a script."""
    assert project.dbkit("migrate").returncode == 0
    files = set(project.versions.iterdir())
    done = project.dbkit("revision", "-m", "nothing")
    assert (done.returncode, set(project.versions.iterdir())) == (0, files), done.stderr
    assert "no changes found; no file was written." in done.stderr
    models = project.root / "team_models.py"
    models.write_text(models.read_text().replace('sa.Column("city"', 'sa.Column("zip", sa.Text), sa.Column("city"'))
    done = project.dbkit("check")
    assert done.returncode == 1
    assert "column customers.zip is only in the models: text" in done.stderr
    assert 'dbkit revision -c alembic.ini -m "…"' in done.stderr
    done = project.dbkit("drift")
    assert (done.returncode, "the models moved: column customers.zip" in done.stderr) == (1, True), done.stderr
    done = project.dbkit("revision", "-m", "add zip", "--rev-id", "cccc3")
    assert done.returncode == 0, done.stderr
    assert len(list(project.versions.glob("cccc3_*.py"))) == 1
    assert not (project.root / "migrations/HEAD").exists()
    done = project.dbkit("sql", "--out", "-")
    assert done.returncode == 0, done.stderr
    assert "ADD COLUMN zip" in done.stdout
    done = project.dbkit("schema")
    assert done.returncode == 0, done.stderr
    snapshot = project.root / "schema.sql"
    assert "zip text" in snapshot.read_text()
    done = project.dbkit("check")
    assert done.returncode == 0, done.stderr
    snapshot.write_text(snapshot.read_text().replace("zip text", "zip integer"))
    assert "is stale" in project.dbkit("check").stderr


def test_preflight_asks_the_database_of_env_py(project: OtherProject) -> None:
    """The rows are asked, and the pending migrations run on a scratch database."""
    assert project.dbkit("migrate").returncode == 0
    project.query("INSERT INTO customers (name) VALUES (NULL)")
    project.add(
        "c3", "c2", "ALTER TABLE customers ALTER name SET NOT NULL", "ALTER TABLE customers ALTER name DROP NOT NULL"
    )
    done = project.dbkit("preflight")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 row" in done.stdout


@pytest.mark.slow
def test_a_proof_needs_no_variable_of_env_py(project: OtherProject) -> None:
    """What env.py connects to is another database; the proof reaches only its own."""
    done = project.dbkit("roundtrip", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert project.query("SELECT to_regclass('customers')") == [(None,)]


@pytest.mark.parametrize("verb", ["reset", "seed", "db-start", "db-stop"])
def test_a_verb_of_the_kit_s_own_project_says_why(tmp_path: Path, verb: str) -> None:
    """One sentence, and nothing is done."""
    project = make_project(tmp_path, Target("unused"))
    done = project.dbkit(verb)
    assert done.returncode == 2
    assert f"{verb} takes no --config: " in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["status", "check"])
def test_an_env_py_that_ends_the_process_is_named(tmp_path: Path, verb: str) -> None:
    """Its exit code would be taken for one of dbkit, and no option that the verb does not have is suggested."""
    project = make_project(tmp_path, Target("unused"))
    env = project.root / "migrations/env.py"
    env.write_text(env.read_text().replace("import team_models\n", "import team_models\nraise SystemExit(3)\n"))
    done = project.dbkit(verb)
    assert (done.returncode, done.stdout) == (2, "")
    assert "failed: SystemExit: 3\n  `alembic current` runs it, too." in done.stderr


def test_a_section_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = make_project(tmp_path, Target("unused")).dbkit("status", "-n", "staging")
    assert done.returncode == 2
    assert "alembic.ini has no section [staging]" in done.stderr


@pytest.mark.slow
def test_without_models_none_are_said_to_agree(project: OtherProject) -> None:
    env = project.root / "migrations/env.py"
    env.write_text(env.read_text().replace("target_metadata=team_models.metadata, ", ""))
    assert project.dbkit("migrate").returncode == 0
    done = project.dbkit("drift")
    assert (done.returncode, done.stdout.partition(";")[0]) == (0, "The migrations and the database agree"), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "code"), [("status", 4), ("check", 0)])
def test_a_server_that_does_not_answer_is_not_waited_for(tmp_path: Path, verb: str, code: int) -> None:
    """As on the kit's own project: the first shows what is, and the second compares with it where it can."""
    project = make_project(tmp_path, Target("unused", host="127.0.0.1", port=1, user="u"))
    done = project.dbkit(verb)
    assert done.returncode == code, done.stderr
    assert "does not answer" in done.stderr
    assert "waiting up to" not in done.stderr
