"""The gate, against the env.py of Alembic's own template: the same revisions, server and `alembic upgrade head`."""

import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Timer
from urllib.parse import quote

import psycopg
from psycopg import sql

from benchmarks import chain
from benchmarks.timing import Comparison, Task, Times, in_turns
from benchmarks.workspace import Copy, Failed, copy_of_project
from dbkit import settings
from dbkit.postgres.cluster import Cluster, development_cluster

SIZE = 500  # revisions
BOUND = 1.15
READS = 5.0  # seconds that a reader keeps a table which a migration alters
LOCK_TIMEOUT = 0.3  # seconds
STALL_BOUND = 2.0  # times lock_timeout
UPGRADE = ("upgrade", "head")
OURS, TEMPLATE = "app", "template"  # databases


def gate(directory: Path, runs: int) -> list[Comparison]:
    """Seconds of `alembic upgrade head` behind the gate, against behind the template's env.py.

    With nothing to apply, and with 500 revisions on an empty database; all in turns.
    """
    with copy_of_project(directory / "gate") as copy:
        shutil.rmtree(copy.versions, ignore_errors=True)
        chain.write(copy.versions, SIZE)
        copy.run("make", "setup")
        cluster = development_cluster(settings.load(copy.root, environ={}))
        cluster.ensure_running()
        template = make_template_project(copy, cluster, TEMPLATE)
        ours = copy.root / "alembic.ini"
        apply = in_turns([_apply(copy, cluster, ours, OURS), _apply(copy, cluster, template, TEMPLATE)], runs)
        noop = in_turns([_noop(copy, ours), _noop(copy, template)], runs * 3)
    return [_comparison(f"gate, apply {SIZE}", apply), _comparison(f"gate, nothing to apply, {SIZE}", noop)]


def stall(directory: Path, runs: int) -> list[Comparison]:
    """The longest that a plain SELECT waits while a migration waits for its ALTER behind a reader of 5 seconds.

    Behind the gate with a lock_timeout of 0.3 s against that lock_timeout, and against the template's env.py.
    """
    with copy_of_project(directory / "stall") as copy:
        shutil.rmtree(copy.versions, ignore_errors=True)
        chain.write(copy.versions, 1)
        copy.run("make", "setup")
        cluster = development_cluster(settings.load(copy.root, environ={}))
        cluster.ensure_running()
        projects = {OURS: copy.root / "alembic.ini", TEMPLATE: make_template_project(copy, cluster, TEMPLATE)}
        for database, ini in projects.items():
            create_database(cluster, database)
            copy.run(*_upgrade(ini))
        [first] = copy.versions.glob("*.py")
        parent = re.search(r'^revision = "(\w+)"', first.read_text(encoding="utf-8"), re.MULTILINE)
        table = re.search(r'create_table\(\s*"(\w+)"', first.read_text(encoding="utf-8"))
        if not (parent and table):
            raise Failed(f"{first.name} creates no table")
        alter = ALTER.format(parent=parent[1], table=table[1])
        (copy.versions / "alter.py").write_text(alter, encoding="utf-8")
        ours, theirs = in_turns(
            [
                Task(f"SELECT, {_label(ini)}", partial(_longest_stall, copy, cluster, ini, database, table[1]))
                for database, ini in projects.items()
            ],
            runs,
        )
    limit = Times("lock_timeout", (LOCK_TIMEOUT,) * runs)
    return [
        Comparison("longest stall", ours, limit, STALL_BOUND, STALL_BOUND),
        Comparison("longest stall", ours, theirs),
    ]


ALTER = """
from alembic import op

revision, down_revision = "alter", "{parent}"


def upgrade() -> None:
    op.execute("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS altered int")


def downgrade() -> None:
    op.execute("ALTER TABLE {table} DROP COLUMN altered")
"""


def _longest_stall(copy: Copy, cluster: Cluster, ini: Path, database: str, table: str) -> float:
    """Seconds that the slowest of many SELECTs took, until the migration is done; then it is undone."""
    with ThreadPoolExecutor(1) as pool, psycopg.connect(**cluster.target(database).parameters()) as reader:
        query = sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(table))
        reader.execute(query)
        begun = time.perf_counter()
        migrated = pool.submit(copy.run, "env", f"MIGRATION_LOCK_TIMEOUT={LOCK_TIMEOUT * 1000:.0f}ms", *_upgrade(ini))
        longest = 0.0
        with psycopg.connect(**cluster.target(database).parameters(), autocommit=True) as other:
            closing = Timer(READS, reader.rollback)
            closing.start()
            while not migrated.done():
                sent = time.perf_counter()
                other.execute(query)
                longest = max(longest, time.perf_counter() - sent)
            closing.join()
        migrated.result()
        if time.perf_counter() - begun < READS:
            raise Failed("the migration did not wait for the reader")
    copy.run("venv/bin/alembic", "-c", ini, "downgrade", "-1")
    return longest


def _comparison(name: str, times: list[Times]) -> Comparison:
    return Comparison(name, times[0], times[1], BOUND, BOUND)


def make_template_project(
    copy: Copy, cluster: Cluster, name: str, driver: str = "psycopg", template: str = "generic"
) -> Path:
    """Make a project as `alembic init` does, with the same revisions. Returns its settings file.

    Its database has the project's name.
    """
    place = copy.root / name
    copy.run("venv/bin/alembic", "init", "--template", template, f"{name}/alembic")
    shutil.rmtree(place / "alembic" / "versions")
    (place / "alembic" / "versions").symlink_to(copy.versions)
    target = cluster.target()
    host = quote(str(target.host), safe="").replace("%", "%%")
    url = f"postgresql+{driver}://postgres@/{name}?host={host}&port={target.port}"
    ini = place / "alembic.ini"
    ini.write_text(
        f"[alembic]\nscript_location = {place}/alembic\npath_separator = newline\nsqlalchemy.url = {url}\n"
        + (copy.root / "alembic.ini")
        .read_text(encoding="utf-8")
        .partition("[post_write_hooks]")[2]
        .partition("\n\n")[2],
        encoding="utf-8",
    )
    return ini


def _noop(copy: Copy, ini: Path) -> Task:
    return Task(_label(ini), partial(copy.seconds, *_upgrade(ini)))


def _apply(copy: Copy, cluster: Cluster, ini: Path, database: str) -> Task:
    def apply() -> float:
        create_database(cluster, database)
        return copy.seconds(*_upgrade(ini))

    return Task(_label(ini), apply)


def create_database(cluster: Cluster, database: str) -> None:
    """Create an empty database, in place of one that has the name."""
    with psycopg.connect(**cluster.target("postgres").parameters(), autocommit=True) as connection:
        name = sql.Identifier(database)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))


def _upgrade(ini: Path) -> tuple[str | Path, ...]:
    return ("venv/bin/alembic", "-c", ini, *UPGRADE)


def _label(ini: Path) -> str:
    return "template's env.py" if ini.parent.name == "template" else "the gate"
