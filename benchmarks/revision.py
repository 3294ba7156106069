"""What a draft costs: `make revision`, with its proof, against Alembic's own autogenerate, which proves nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks.timing import Comparison, Task, in_turns
from benchmarks.workspace import Copy, copy_of_project
from dbkit import settings
from dbkit.postgres.cluster import development_cluster

AIM = 2.0
TABLES = 200
MODELS = Path("backend/app/models")
BARE = ("venv/bin/alembic", "-c", "bare/alembic.ini", "revision", "--autogenerate", "-m", "one column")
REVISION = ("make", "revision", "m=one column")
# what `alembic init` makes, with the models, and the database of the copy
ENV = """\
import sqlalchemy as sa
from alembic import context

from app.models import Base

engine = sa.create_engine("postgresql+psycopg://", connect_args={options!r}, poolclass=sa.pool.NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_name=lambda name, kind, parents: kind != "table" or not name.startswith("dbkit_"),
    )
    with context.begin_transaction():
        context.run_migrations()
"""
INI = """\
[alembic]
script_location = %(here)s
version_locations = %(here)s/../backend/alembic/versions
path_separator = newline
prepend_sys_path = %(here)s/../backend
"""
WIDE = """

def _add_tables() -> None:
    import sqlalchemy as sa

    for number in range({tables}):
        sa.Table(
            f"wide_{{number}}",
            Base.metadata,
            sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
            sa.Column("code", sa.String(40), nullable=False, unique=True),
            sa.Column("name", sa.Text, nullable=False, index=True),
            sa.Column("quantity", sa.Integer, nullable=False, server_default="0"),
            sa.Column("price", sa.Numeric(12, 2)),
            sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("now()")),
            sa.Column("before", sa.ForeignKey(f"wide_{{max(number - 1, 0)}}.id")),
            sa.CheckConstraint("quantity >= 0", name="quantity"),
        )


_add_tables()
"""
CHANGE = """

def _add_column() -> None:
    import sqlalchemy as sa

    sorted(Base.metadata.tables.items())[-1][1].append_column(sa.Column("benchmark_note", sa.Text))


_add_column()
"""


def revision(directory: Path, runs: int) -> list[Comparison]:
    """One added column, in the project and in 200 tables more: seconds of `make revision` against Alembic's."""
    found = []
    for tables in (0, TABLES):
        with _changed_copy(directory / f"revision-{tables}", tables) as copy:
            tasks = [Task("make revision", partial(_seconds, copy, REVISION))]
            tasks.append(Task("alembic revision --autogenerate", partial(_seconds, copy, BARE)))
            for task in tasks:
                task.run()  # Python then has its bytecode
            drafted, bare = in_turns(tasks, runs)
        found.append(
            Comparison(f"revision, {f'{tables} tables more' if tables else 'the project'}", drafted, bare, AIM)
        )
    return found


@contextmanager
def _changed_copy(place: Path, tables: int) -> Iterator[Copy]:
    """A copy at its head, in whose models one table has a column that the database lacks."""
    with copy_of_project(place) as copy:
        copy.run("make", "migrate")
        target = development_cluster(settings.load(copy.root, environ={})).target()
        options = {"host": target.host, "port": target.port, "user": target.user, "dbname": target.dbname}
        bare = copy.root / "bare"
        bare.mkdir()
        (bare / "env.py").write_text(ENV.format(options=options))
        (bare / "alembic.ini").write_text(INI)
        (bare / "script.py.mako").write_text((copy.versions.parent / "script.py.mako").read_text())
        models = copy.root / MODELS / "__init__.py"
        if tables:
            models.write_text(models.read_text() + WIDE.format(tables=tables))
            copy.run(*BARE)
            copy.run("make", "rebase-migration")
            copy.run("make", "migrate")
        models.write_text(models.read_text() + CHANGE)
        yield copy


def _seconds(copy: Copy, command: tuple[str, ...]) -> float:
    """The seconds of a command, whose files are removed afterwards."""
    head = copy.versions.parent / "HEAD"
    before, line = set(copy.versions.iterdir()), head.read_bytes()
    seconds = copy.seconds(*command)
    for path in set(copy.versions.iterdir()) - before:
        if path.is_file():
            path.unlink()
    head.write_bytes(line)
    return seconds
