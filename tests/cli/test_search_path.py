"""The history of a project is where its search path leads, and nowhere else."""

import pytest

from support.pair import Pair

CREATE = "op.create_table('item', sa.Column('id', sa.Integer(), primary_key=True))"


@pytest.mark.spread(2)
@pytest.mark.parametrize("change", ["ALTER ROLE", "schema of the user"])
def test_another_search_path_begins_no_second_history(pair: Pair, change: str) -> None:
    """Every verb refuses, naming the schema and the path; nothing is created."""
    pair.write(CREATE, "pass")
    project = pair.gated
    assert project.alembic("upgrade", "rev1").returncode == 0
    role = project.query("SELECT current_user::text")[0][0]
    project.query(f'CREATE SCHEMA "{role}"' if change != "ALTER ROLE" else "CREATE SCHEMA elsewhere")
    if change == "ALTER ROLE":
        project.query(f"ALTER DATABASE {project.target.dbname} SET search_path = elsewhere")
    before = project.query("SELECT relnamespace::regnamespace::text, relname::text FROM pg_class ORDER BY 1, 2")
    if change != "ALTER ROLE":
        # "$user" comes first, so that a table made now would be there; the history in public is still seen
        assert project.alembic("upgrade", "head").returncode == 0
        assert project.heads() == ["rev2"]
        return
    bare = project.alembic("upgrade", "head")
    for done in (bare, *(project.dbkit(*verb) for verb in (["migrate"], ["status"], ["rollback"]))):
        said = done.stdout + done.stderr
        assert (done.returncode, "in the schema public" in said) == (2, True), said
        assert "search_path is 'elsewhere'" in said
    assert project.query("SELECT relnamespace::regnamespace::text, relname::text FROM pg_class ORDER BY 1, 2") == before


def test_a_history_in_two_schemas_is_told(pair: Pair) -> None:
    """The one that the path leads to is used."""
    pair.write(CREATE, "pass")
    project = pair.gated
    assert project.alembic("upgrade", "rev1").returncode == 0
    project.query("CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.alembic_version AS TABLE public.alembic_version")
    done = project.alembic("upgrade", "head")
    assert (done.returncode, "in the schema public, which is used, and in elsewhere" in done.stderr) == (0, True)


def test_another_project_in_the_same_database_has_its_own(pair: Pair) -> None:
    """Its version table, in a schema of its own, has revisions that are none of this project's."""
    pair.write(CREATE)
    project = pair.gated
    project.query("CREATE SCHEMA theirs; CREATE TABLE theirs.alembic_version (version_num varchar(32))")
    project.query("INSERT INTO theirs.alembic_version VALUES ('0f0f0f')")
    done = project.alembic("upgrade", "head")
    assert (done.returncode, done.stderr.count("schema")) == (0, 0), done.stderr


def test_a_path_without_any_schema_is_said(pair: Pair) -> None:
    """Alembic itself would fail with a traceback."""
    pair.write(CREATE)
    project = pair.gated
    project.query(f"ALTER DATABASE {project.target.dbname} SET search_path = nowhere")
    done = project.alembic("upgrade", "head")
    assert (done.returncode, "search_path is 'nowhere'" in done.stderr) == (1, True), done.stderr


def test_a_migration_has_the_search_path_of_the_role(pair: Pair) -> None:
    """Nothing of ours is left in its session: not in its transaction, not in an autocommit block, not afterwards."""
    look = "op.execute(\"INSERT INTO seen SELECT current_setting('search_path'), current_setting('DateStyle')\")"
    pair.write(
        "op.execute('CREATE TABLE seen (path text, style text)')",
        f"{look}\nwith op.get_context().autocommit_block():\n    {look}\n{look}",
        look,
    )
    project = pair.gated
    project.query(f"ALTER DATABASE {project.target.dbname} SET search_path = public, pg_catalog")
    project.query(f"ALTER DATABASE {project.target.dbname} SET DateStyle = 'German, DMY'")
    done = project.alembic("upgrade", "head")
    assert done.returncode == 0, done.stderr
    assert project.query("SELECT DISTINCT path, style, count(*) FROM seen GROUP BY 1, 2") == [
        ("public, pg_catalog", "German, DMY", 4)
    ]
