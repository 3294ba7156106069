"""The verbs around a draft: the bare command, a draft that does not run, and hooks of another env.py."""

import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from dbkit.settings import Target
from support.draft_case import ModelChange
from support.draft_project import make_project
from support.kit import Kit
from support.pair import run_python
from support.running import foreground, until


def add_column(kit: Kit, column: str) -> None:
    path = kit.path / "backend/app/models/customers.py"
    text, count = re.subn(
        r"^(    full_name: .*\n)", rf"\1    {column}\n", path.read_text(), count=1, flags=re.MULTILINE
    )
    assert count == 1
    path.write_text(text)


def code_of(path: Path) -> str:
    text = path.read_text()
    return text[text.index("def upgrade") :]


def test_the_bare_command_writes_the_same_draft(kit: Kit) -> None:
    add_column(kit, "nick: Mapped[str | None] = mapped_column(server_default=text(\"'100% :x'\"), info={})")
    codes = []
    for road, *arguments in ((kit.make, "m=nick"), (kit.alembic, "--autogenerate", "-m", "nick")):
        typed = road("revision", *arguments)
        assert typed.returncode == 0, typed.stderr
        codes.append(code_of(kit.newest))
        kit.newest.unlink()
    assert codes[0] == codes[1]
    assert "op.add_column" in codes[0]


@pytest.mark.spread(2)
@pytest.mark.parametrize("command", [("dbkit", "revision"), ("alembic", "revision", "--autogenerate")], ids=" ".join)
def test_a_draft_that_does_not_run_is_kept_with_its_reason(kit: Kit, command: tuple[str, ...]) -> None:
    add_column(kit, "nick: Mapped[str]")
    typed = getattr(kit, command[0])(*command[1:], "-m", "nick")
    assert typed.returncode == 1
    assert "All reasons are at the top of the first file." in typed.stderr
    assert "Traceback" not in typed.stderr
    assert "the draft does not run as it is: column customers.nick is NOT NULL" in typed.stderr
    lines = kit.newest.read_text().splitlines()
    assert lines[0].startswith("# This draft does not run as it is")
    assert lines[1].startswith("# column customers.nick is NOT NULL")
    compile("\n".join(lines), "revision", "exec")


@pytest.mark.slow
@pytest.mark.spread(2)
@pytest.mark.parametrize("count", [1, 2])
def test_ctrl_c_leaves_no_file(kit: Kit, count: int) -> None:
    """A staged draft has several files: half of them would be a chain that says nothing of the rest."""
    add_column(kit, "nick: Mapped[str] = mapped_column(server_default=text('random()::text'))")
    former, head = kit.versions, (kit.path / "backend/alembic/HEAD").read_text()
    command = [str(kit.path / "venv/bin/dbkit"), "revision", "--online", "-m", "nick"]
    with subprocess.Popen(
        command,
        cwd=kit.path,
        env={**kit.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=foreground,
    ) as process:
        until(lambda: len(kit.versions) >= len(former) + count or process.poll() is not None)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate()[0].decode()
    assert process.returncode == 130, said
    assert kit.versions == former
    assert (kit.path / "backend/alembic/HEAD").read_text() == head


def test_an_sql_file_that_drops_a_table_is_refused(kit: Kit) -> None:
    directory = kit.path / "backend/app/sql"
    directory.mkdir()
    (directory / "wrong.sql").write_text("DROP TABLE addresses CASCADE;")
    former = kit.versions
    typed = kit.dbkit("revision", "-m", "nothing")
    assert typed.returncode == 2
    assert "an SQL file drops or renames the table addresses, which is in a model" in typed.stderr
    assert kit.versions == former


@pytest.mark.slow
def test_a_name_that_the_models_give_twice_is_named_and_the_rest_is_drafted(kit: Kit) -> None:
    add_column(kit, "nick: Mapped[str | None]")
    path = kit.path / "backend/app/models/stock.py"
    table = """
        sa.Table("{}", Base.metadata, sa.Column("n", sa.Integer), sa.UniqueConstraint("n", name="twice"), sa.Index("ix_twice", "n"))
    """
    lines = [table.format(name).strip() for name in ("first_of_two", "second_of_two")]
    path.write_text("\n".join([path.read_text(), "import sqlalchemy as sa", *lines]))
    typed = kit.dbkit("revision", "-m", "nick")
    assert typed.returncode == 1
    text = kit.newest.read_text()
    assert "ix_twice" in text.partition("revision =")[0]
    assert text.count("op.create_table(") == 2
    assert "op.add_column" in text


@pytest.mark.slow
def test_a_table_without_a_model_is_dropped_where_a_default_needs_a_function_of_a_migration(kit: Kit) -> None:
    revision = kit.dbkit("revision", "--empty", "-m", "function")
    assert revision.returncode == 0, revision.stderr
    made = (
        "op.execute(\"CREATE FUNCTION seven() RETURNS int LANGUAGE sql AS 'SELECT 7'\")\n"
        "    op.execute('CREATE TABLE without_model (id int)')"
    )
    undone = "op.execute('DROP TABLE without_model')\n    op.execute('DROP FUNCTION seven')"
    up, down = kit.newest.read_text().split("def downgrade")
    kit.newest.write_text(f"{up.replace('pass', made)}def downgrade{down.replace('pass', undone)}")
    add_column(kit, 'nick: Mapped[int] = mapped_column(server_default=text("seven()"))')
    typed = kit.dbkit("revision", "-m", "nick")
    assert typed.returncode == 0, typed.stderr
    code = code_of(kit.newest)
    assert 'op.drop_table("without_model")' in code
    assert "op.add_column" in code


@pytest.mark.slow
def test_models_that_no_database_takes_are_an_error(kit: Kit) -> None:
    add_column(kit, 'other: Mapped[int] = mapped_column(ForeignKey("nowhere.id"))')
    typed = kit.dbkit("revision", "-m", "other")
    assert typed.returncode == 2
    assert "the models' tables cannot be created" in typed.stderr
    assert "Alembic compares them" not in typed.stderr


@pytest.mark.slow
def test_a_table_that_cannot_be_created_is_named_and_the_rest_is_drafted(kit: Kit) -> None:
    add_column(kit, "nick: Mapped[str | None]")
    path = kit.path / "backend/app/models/customers.py"
    wrong = 'server_default=text("no_such_function()")'
    path.write_text(
        f'{path.read_text()}\n\nclass Wrong(Base):\n    __tablename__ = "wrong"\n\n'
        f"    id: Mapped[Id]\n    note: Mapped[str] = mapped_column({wrong})\n"
    )
    typed = kit.dbkit("revision", "-m", "nick")
    assert typed.returncode == 1
    assert "table wrong cannot be created: function no_such_function() does not exist" in typed.stderr
    code = code_of(kit.newest)
    assert ('sa.Column("nick"' in code, "wrong" in code) == (True, False)
    checked = kit.dbkit("check")
    assert "table wrong cannot be created" in checked.stderr


MODELS = """
import sqlalchemy as sa


class Short(sa.types.TypeDecorator):
    impl = sa.String(5)
    cache_ok = True


metadata = sa.MetaData()
sa.Table("t", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("s", Short))
sa.Table("of_others", metadata, sa.Column("id", sa.Integer, primary_key=True))
"""
HOOKS = """import models
from models import metadata as target_metadata


def number(context, revision, directives):
    assert config.cmd_opts.autogenerate
    directives[0].rev_id = "0001"


def keep(object, name, type_, reflected, compare_to):
    return name != "of_others"


def render(type_, item, context):
    context.imports.add("import models")
    return "models.Short()" if type_ == "type" and isinstance(item, models.Short) else False
"""
GIVEN = """target_metadata=target_metadata, include_object=keep, process_revision_directives=number,
            render_item=render, sqlalchemy_module_prefix="sqlalchemy.", alembic_module_prefix="operations.\"
"""


def run_in(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "200"}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_options_of_another_env_count(tmp_path: Path) -> None:
    """Without a database and without the gate: its env.py is run on a scratch database."""
    run = partial(run_in, tmp_path)
    assert run("alembic", "init", "migrations").returncode == 0
    (tmp_path / "models.py").write_text(MODELS)
    env_py = tmp_path / "migrations/env.py"
    text = env_py.read_text().replace("target_metadata = None", HOOKS)
    env_py.write_text(
        text.replace("connection=connection, target_metadata=target_metadata", f"connection=connection, {GIVEN}")
    )
    template = tmp_path / "migrations/script.py.mako"
    named = template.read_text().replace("import sqlalchemy as sa", "import sqlalchemy")
    template.write_text(named.replace("from alembic import op", "from alembic import op as operations"))
    typed = run("dbkit", "revision", "-c", "alembic.ini", "-m", "first")
    assert typed.returncode == 0, typed.stderr
    (file,) = (tmp_path / "migrations/versions").glob("*.py")
    assert file.name == "0001_first.py"
    text = file.read_text()
    assert ("of_others" in text, 'operations.create_table(\n        "t"' in text) == (False, True)
    assert 'sqlalchemy.Column("s", models.Short(), nullable=True)' in text
    assert "import models\n" in text
    again = run("dbkit", "revision", "-c", "alembic.ini", "-m", "again")
    assert "no changes found; no file was written" in again.stderr


@pytest.mark.slow
def test_stages_need_the_comparison_on_a_scratch_database(tmp_path: Path) -> None:
    """Alembic's own comparison has no stages."""
    assert run_in(tmp_path, "alembic", "init", "-t", "multidb", "migrations").returncode == 0
    typed = run_in(tmp_path, "dbkit", "revision", "-c", "alembic.ini", "--online", "-m", "first")
    assert typed.returncode == 2
    assert "a revision for a live database needs a comparison on a scratch database" in typed.stderr
    assert "the project has several databases" in typed.stderr
    assert not list((tmp_path / "migrations/versions").glob("*.py"))


def test_the_bare_command_reports_that_it_is_alembics_comparison(database: Target, tmp_path: Path) -> None:
    """Behind gate.install, where env.py configures the comparison."""
    project = make_project(tmp_path, database, tmp_path / "none", "compare_type=True")
    project.write_models(ModelChange("", "").models('table("t")'))
    typed = run_python(
        "-m", "alembic", "revision", "--autogenerate", "-m", "first", cwd=project.root, env=project.variables()
    )
    assert typed.returncode == 0, typed.stderr
    assert typed.stderr.count("this is Alembic's own comparison, with the database of env.py") == 1
    assert "op.create_table('t'" in next(iter(project.drafts)).read_text()
