"""Less usual env.py files, and programs that run Alembic without its command line."""

import subprocess
import sys

import pytest

from support.failure_modes import one_line
from support.foreign_chain import HEAD, IDS, ORDERS
from support.foreign_pair import DRIVERS
from support.foreign_projects import SLEEPING, ForeignProject, driver_url, finish
from support.foreign_shapes import (
    CONFIGURE,
    CONFIGURE_WHOLE,
    TENANT,
    Place,
    as_tenant,
    asynchronous,
    edit,
    generic,
    multidb,
    tenant,
)
from support.held_up import wait_for
from support.running import until

APPLIED = [("upgrade", identifier) for identifier in IDS]


@pytest.fixture(params=DRIVERS)
def project(place: Place, request: pytest.FixtureRequest) -> ForeignProject:
    """A project on one of the drivers."""
    made = (asynchronous if request.param == "asyncpg" else generic)(place)
    made.environment["DATABASE_URL"] = driver_url(made.databases[""], request.param)
    made.driver = request.param
    return made


def require_applied(project: ForeignProject) -> None:
    assert (project.heads(), project.journal()) == ([HEAD], APPLIED)
    assert project.query("SELECT count(*) FROM orders") == [(ORDERS,)]


def run(project: ForeignProject, program: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a program in the project."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=project.root,
        env=project.variables(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return finish(process)


CALLS = {
    "the main thread": "command.upgrade(Config('alembic.ini'), 'head')",
    "another thread": "from concurrent.futures import ThreadPoolExecutor\n"
    "ThreadPoolExecutor(1).submit(command.upgrade, Config('alembic.ini'), 'head').result()",
    "asyncio.to_thread": "import asyncio\nasyncio.run(asyncio.to_thread(command.upgrade, Config('alembic.ini'), 'head'))",
}
PROGRAM = "from alembic import command\nfrom alembic.config import Config\n"


@pytest.mark.parametrize("call", CALLS)
def test_a_program_that_calls_alembic(project: ForeignProject, call: str) -> None:
    """As an application does when it starts."""
    ran = run(project, PROGRAM + CALLS[call])
    assert ran.returncode == 0, ran.stderr
    require_applied(project)
    assert run(project, PROGRAM + CALLS[call]).returncode == 0
    [file] = project.versions.glob(f"{IDS[0]}_*")
    edit(file, ("@example.org", "@example.com"))
    ran = run(project, PROGRAM + CALLS[call])
    assert ran.returncode == 1
    assert f"{file.name}: edited after it was applied" in ran.stderr
    # it gets an exception, and not the end of its process
    caught = f"try:\n    {CALLS[call].replace(chr(10), chr(10) + '    ')}\nexcept Exception as error:\n    print('caught', error)"
    ran = run(project, PROGRAM + caught)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("caught ")


SHARED = """\
    if connection := config.attributes.get("connection"):
        context.configure(connection=connection, target_metadata=target_metadata)
        with context.begin_transaction():
            context.run_migrations()
        return
"""


def test_a_connection_of_the_program(place: Place) -> None:
    """https://alembic.sqlalchemy.org/en/latest/cookbook.html#sharing-a-connection-across-one-or-more-programmatic-migration-commands"""
    project = generic(place)
    connectable = "    connectable = engine_from_config(\n"
    edit(project.env_py, (connectable, f"{SHARED}{connectable}"))
    engine = "import os\nimport sqlalchemy as sa\nconfig = Config('alembic.ini')\nengine = sa.create_engine(os.environ['DATABASE_URL'])\n"
    calls = "    config.attributes['connection'] = connection\n    command.upgrade(config, '+2')\n    command.upgrade(config, 'head')\n"
    for way in ("begin", "connect"):
        after = "" if way == "begin" else "    connection.commit()\n"
        ran = run(project, f"{PROGRAM}{engine}with engine.{way}() as connection:\n{calls}{after}")
        assert ran.returncode == 0, ran.stderr
        require_applied(project)
        typed = project.alembic("downgrade", "base")
        assert typed.returncode == 0, typed.stderr
        project.query("TRUNCATE dbkit_journal")
    # which takes back what it has begun
    ran = run(
        project,
        f"{PROGRAM}{engine}with engine.connect() as connection:\n    outer = connection.begin()\n{calls}    outer.rollback()\n",
    )
    assert project.heads() == []
    assert project.query("SELECT to_regclass('customers')") == [(None,)]


CALLBACK = """

def record(*, ctx, step, heads, run_args, **rest):
    ctx.connection.execute(sa.text("INSERT INTO audit VALUES (:revision)"), {"revision": step.up_revision_id})

"""


def test_callbacks_of_the_project_are_called(project: ForeignProject) -> None:
    project.query("CREATE TABLE audit (revision text)")
    imports = "from alembic import context\n"
    edit(
        project.env_py,
        (imports, f"{imports}import sqlalchemy as sa\n"),
        ("def run_migrations_offline", f"{CALLBACK.strip()}\n\n\ndef run_migrations_offline"),
        (CONFIGURE, f"{CONFIGURE}, on_version_apply=record"),
    )
    typed = project.alembic("upgrade", "head")
    assert typed.returncode == 0, typed.stderr
    require_applied(project)
    assert project.query("SELECT revision FROM audit") == [(identifier,) for identifier in IDS]


def test_an_engine_with_a_pool(project: ForeignProject) -> None:
    """Its connection is not closed when env.py is done with it."""
    edit(project.env_py, ("        poolclass=pool.NullPool,\n", ""))
    results = project.together(3, env={"SHOP_PAUSE": "0.5"})
    assert [result.returncode for result in results] == [0] * 3, [result.stderr for result in results]
    require_applied(project)
    twice = "config = Config('alembic.ini')\ncommand.upgrade(config, 'head')\ncommand.downgrade(config, 'base')\ncommand.upgrade(config, 'head')"
    ran = run(project, PROGRAM + twice)
    assert ran.returncode == 0, ran.stderr
    assert project.heads() == [HEAD]


def test_revision_files_that_can_be_imported_once_only(place: Place) -> None:
    project = generic(place)
    [file] = project.versions.glob(f"{IDS[0]}_*")
    mapped = "from app.models import Base\n\nclass Old(Base):\n    __table__ = sa.Table('old', Base.metadata, sa.Column('id', sa.Integer, primary_key=True))\n"
    file.write_text(f"{file.read_text()}\n{mapped}")
    for verb in ("migrate", "redo", "rollback"):
        typed = project.dbkit(verb)
        assert typed.returncode == 0, (verb, typed.stderr)
    assert project.heads() == [IDS[-2]]


def test_an_asynchronous_engine_of_the_application(place: Place) -> None:
    """Its pool outlives the event loop of one run of env.py, and a verb runs it several times. It decodes json itself."""
    project = asynchronous(place)
    (project.root / "app/database.py").write_text(
        "import os\n\nfrom sqlalchemy import event\nfrom sqlalchemy.ext.asyncio import create_async_engine\n\n"
        'engine = create_async_engine(os.environ["DATABASE_URL"], pool_pre_ping=True)\n\n\n'
        '@event.listens_for(engine.sync_engine, "connect")\ndef set_codec(connection, _record):\n'
        '    codec = {"schema": "pg_catalog", "encoder": str, "decoder": int}\n'
        '    connection.run_async(lambda own: own.set_type_codec("json", **codec))\n'
    )
    whole = project.env_py.read_text()
    start = whole.index("    connectable = async_engine_from_config(")
    end = whole.index("    async with connectable.connect()")
    text = f"{whole[:start]}    from app.database import engine as connectable\n\n{whole[end:]}"
    project.env_py.write_text(text.replace("    await connectable.dispose()\n", ""))
    for verb in ("migrate", "redo", "rollback", "migrate", "status"):
        typed = project.dbkit(verb)
        assert typed.returncode == 0, (verb, typed.stderr)
        assert "Traceback" not in typed.stderr
    assert project.heads() == [HEAD]


def test_an_engine_that_commits_each_statement(project: ForeignProject) -> None:
    """Then no migration can be taken back, and that is known."""
    edit(
        project.env_py,
        (
            "        poolclass=pool.NullPool,\n",
            "        poolclass=pool.NullPool,\n        isolation_level='AUTOCOMMIT',\n",
        ),
    )
    [file] = project.versions.glob(f"{IDS[1]}_*")
    edit(file, ("op.alter_column", "raise ValueError('on purpose')\n    op.alter_column"))
    for _ in range(2):
        typed = project.alembic("upgrade", "head")
        assert typed.returncode == 6, typed.stderr
        assert "not safe to run again" in one_line(typed.stderr)
    assert project.heads() == [IDS[0]]


def test_asynchronous_psycopg(place: Place) -> None:
    """The driver psycopg has an asynchronous side, too."""
    project = asynchronous(place)
    project.environment["DATABASE_URL"] = driver_url(project.databases[""], "psycopg")
    process = project.start("upgrade", "head", env={"SHOP_PAUSE": "600"})
    wait_for(process, lambda: project.query(SLEEPING) == [(1,)])
    process.terminate()
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 143, errors
    assert "interrupted in the upgrade" in one_line(errors)
    until(lambda: project.query(SLEEPING) == [(0,)])
    results = project.together(3, env={"SHOP_PAUSE": "0.5"})
    assert [result.returncode for result in results] == [0] * 3, [result.stderr for result in results]
    require_applied(project)


LOOP = """\
        for name in ("acme", "globex"):
            connection.execute(text('set search_path to "%s"' % name))
            connection.commit()
            connection.dialect.default_schema_name = name
            context.configure(connection=connection, target_metadata=target_metadata)
            with context.begin_transaction():
                context.run_migrations()
"""


def test_an_env_py_that_migrates_all_tenants(place: Place) -> None:
    project = tenant(place)
    whole = project.env_py.read_text()
    start = whole.index(TENANT)
    end = whole.index("\n\nif context.is_offline_mode()")
    project.env_py.write_text(whole[:start] + LOOP + whole[end:])
    project.arguments = ()
    results = project.together(4, env={"SHOP_PAUSE": "0.3"})
    assert [result.returncode for result in results] == [0] * 4, [result.stderr for result in results]
    for name in ("acme", "globex"):
        require_applied(as_tenant(project, name))
    assert CONFIGURE_WHOLE not in project.env_py.read_text()
    typed = project.alembic("downgrade", "-1", env={"APP_ENV": "production"})
    assert typed.returncode == 3, typed.stderr
    typed = project.alembic("downgrade", "-1")
    assert typed.returncode == 0, typed.stderr
    assert [as_tenant(project, name).heads() for name in ("acme", "globex")] == [[IDS[-2]]] * 2


def test_an_error_in_one_database_takes_back_the_others(place: Place) -> None:
    """The template multidb commits all of them at the end, or none."""
    project = multidb(place)
    [file] = project.versions.glob(f"{IDS[2]}_*")
    before, _, after = file.read_text().partition("def upgrade_billing() -> None:\n")
    file.write_text(f"{before}def upgrade_billing() -> None:\n    raise ValueError('on purpose')\n{after}")
    for _ in range(2):
        typed = project.alembic("upgrade", "head")
        assert typed.returncode == 1, typed.stderr
        line = one_line(typed.stderr)
        assert f"upgrade of {IDS[2]} failed, at {file.name}:" in line
        assert "safe to run again" in line
        for name in project.databases:
            assert (project.heads(name), project.journal(name)) == ([], [])
    file.write_text(f"{before}def upgrade_billing() -> None:\n{after}")
    typed = project.alembic("upgrade", "head")
    assert typed.returncode == 0, typed.stderr
    assert [project.journal(name) for name in project.databases] == [APPLIED, APPLIED]


STRICT = """
from urllib.parse import urlsplit

if os.environ["DATABASE_URL"] != os.environ["REAL"] and not urlsplit(os.environ["DATABASE_URL"]).hostname:
    raise ValueError("DATABASE_URL has no host")
"""


def test_settings_that_demand_a_host_in_the_url(place: Place) -> None:
    """As pydantic's PostgresDsn does: the URL of a scratch server has a socket."""
    project = generic(place)
    project.environment["REAL"] = project.environment["DATABASE_URL"]
    edit(project.env_py, ("from alembic import context\n", f"import os\nfrom alembic import context\n{STRICT}"))
    typed = project.dbkit("check")
    assert typed.returncode in (0, 1), typed.stderr
    # where a revision file imports the settings, it is so before env.py runs
    [file] = project.versions.glob(f"{IDS[0]}_*")
    edit(file, ("import sqlalchemy as sa\n", f"import os\nimport sqlalchemy as sa\n{STRICT}"))
    typed = project.dbkit("roundtrip")
    assert "the whole chain went down and up again" in typed.stdout, typed.stderr


def test_variables_that_are_not_set_are_named(place: Place) -> None:
    project = generic(place)
    parts = 'USER, DB = os.environ["DB_USER"], os.environ["DB_NAME"]\n'
    edit(project.env_py, ("from alembic import context\n", f"import os\nfrom alembic import context\n{parts}"))
    typed = project.dbkit("roundtrip")
    assert typed.returncode == 2
    assert "env.py reads DB_USER, DB_NAME. Set them as for `alembic`" in typed.stderr
