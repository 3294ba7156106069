"""Projects of other shapes: revisions as bytecode only (`sourceless`), and models in several MetaData."""

import compileall
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from dbkit.cli import VERBS
from dbkit.errors import InputError
from dbkit.postgres.cluster import Cluster
from dbkit.project import revision_files
from dbkit.project.models import as_metadata
from support.battery import revision_file
from support.installed import Installed, arguments_of, installed

ENV = """\
from pathlib import Path

import sqlalchemy as sa
from alembic import context

from dbkit import gate

one, two = sa.MetaData(), sa.MetaData(schema="apart")
sa.Table("customers", one, sa.Column("id", sa.Integer, primary_key=True), sa.Column("note", sa.Text))
sa.Table("events", two, sa.Column("id", sa.Integer, primary_key=True))
gate.run(context, root=Path(__file__).resolve().parents[1], load_metadata=lambda: {models})
"""
INI = """\
[alembic]
script_location = %(here)s/migrations
path_separator = newline
{sourceless}
"""
REVISIONS = (
    ("a111", None, "CREATE TABLE customers (id serial PRIMARY KEY, note text)", "DROP TABLE customers"),
    ("a222", "a111", "CREATE SCHEMA apart; CREATE TABLE apart.events (id serial PRIMARY KEY)", "DROP SCHEMA apart CASCADE"),
)  # fmt: skip
LAST = ("a333", "a222", "GRANT SELECT ON customers TO PUBLIC", "python:raise NotImplementedError('kept')")


def write(root: Path, *, models: str, sourceless: bool) -> None:
    """A project behind the gate; of a sourceless one, Alembic finds bytecode only."""
    directory = root / "migrations/versions"
    directory.mkdir(parents=True)
    (root / "alembic.ini").write_text(INI.format(sourceless="sourceless = true" if sourceless else ""))
    (root / "migrations/env.py").write_text(ENV.format(models=models))
    (root / "migrations/script.py.mako").write_text(
        "revision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n"
    )
    for revision, parent, up, down in (*REVISIONS, LAST):
        (directory / f"{revision}.py").write_text(revision_file(revision, parent, revision, up, down))
    if sourceless:
        assert compileall.compile_dir(root / "migrations", legacy=True, quiet=1)
        for path in [*directory.glob("*.py"), root / "migrations/env.py"]:
            path.unlink()


@pytest.fixture(scope="module")
def sourceless(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    directory = tmp_path_factory.mktemp("sourceless")
    write(directory / "project", models="[one, two]", sourceless=True)
    with installed(directory / "project", server.create_database(directory.name)) as kit:
        code, text = kit.run("migrate")
        assert (code, "3 migrations applied" in text) == (0, True), text
        yield kit


SAID = (
    ("revision", 0, "no changes found; no file was written"),
    ("rebase-migration", 0, "There is one head, a333: nothing to rebase"),
    # the last one cannot be undone
    ("rollback", 1, "kept"),
    ("drift", 0, "The models, the migrations and the database agree"),
    ("roundtrip", 1, "2 proven, 1 irreversible"),
    ("lint", 0, "there is only bytecode, so the rules that read the source were not checked"),
)


@pytest.mark.spread(3)
@pytest.mark.parametrize(("name", "code", "words"), SAID)
def test_a_verb_takes_bytecode_and_several_metadata(
    sourceless: Installed, server: Cluster, name: str, code: int, words: str
) -> None:
    ran, text = sourceless.run(name, *arguments_of(name, server.target("postgres")))
    assert "Traceback" not in text
    assert words in text
    assert ran == code, text


@pytest.mark.slow
def test_check_takes_bytecode(sourceless: Installed) -> None:
    assert sourceless.run("schema")[0] == 0
    code, text = sourceless.run("check")
    assert (code, "The models match the migrations" in text) == (0, True), text


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(VERBS.keys() - {name for name, _, _ in SAID}))
def test_no_other_verb_stumbles_over_bytecode(sourceless: Installed, server: Cluster, name: str) -> None:
    code, text = sourceless.run(name, *arguments_of(name, server.target("postgres")))
    assert "Traceback" not in text
    assert code in (0, 1, 2), text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("models", "code", "words"),
    [
        ("(one, two)", 0, "The models match the migrations"),
        ("[two]", 1, "table customers is only in the migrations"),
        ("None", 0, "env.py has no target_metadata to compare them with"),
    ],
)
def test_check_with_several_metadata(tmp_path: Path, server: Cluster, models: str, code: int, words: str) -> None:
    root = tmp_path / "project"
    write(root, models=models, sourceless=False)
    (root / "migrations/HEAD").write_text("a333 a333\n")
    with installed(root, server.target("nothing")) as kit:
        if not code:
            kit.run("schema")
        ran, text = kit.run("check")
    assert "Traceback" not in text
    assert words in text
    assert ran == code, text


def test_what_cannot_be_compared_is_said() -> None:
    one = sa.MetaData()
    sa.Table("customers", one)
    with pytest.raises(InputError, match="the models have the table customers in two MetaData objects"):
        as_metadata([one, one])
    with pytest.raises(InputError, match="the models' metadata is a int, not a MetaData or a list of them"):
        as_metadata((one, 1))


@pytest.mark.parametrize(
    "text",
    [
        "[tool]\nx = 1\n",
        "[alembic]\nprepend_sys_path = .\n",
        "no section\n",
        "[alembic]\nscript_location = %(gone)s/x\n",
        "[alembic]\nscript_location = a\nscript_location = b\n",
    ],
)
def test_settings_that_say_nothing_certain_are_left_to_alembic(tmp_path: Path, text: str) -> None:
    path = tmp_path / "alembic.ini"
    path.write_text(text)
    assert revision_files.directory_of(path) is None
