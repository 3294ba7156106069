"""`gate.install` in a project's own env.py, against the same project without that line, with each driver."""

import shutil
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from benchmarks import chain
from benchmarks.timing import Comparison, Task, in_turns
from benchmarks.workspace import Copy, copy_of_project
from dbkit import settings
from dbkit.postgres.cluster import Cluster, development_cluster

SIZE = 500  # revisions
BOUND = 1.15
TEMPLATES = {"psycopg": "generic", "psycopg2": "generic", "asyncpg": "async"}
"""By driver, Alembic's template."""
LINE = "from alembic import context\n"
GATE = f"{LINE}from dbkit import gate\n\ngate.install(context)\n"


def project_gate(directory: Path, runs: int) -> list[Comparison]:
    """Seconds of `alembic upgrade head` of a project with the gate, against the project without it.

    With 500 revisions on an empty database, and with nothing to apply; with and without take turns.
    """
    comparisons = []
    with copy_of_project(directory / "project") as copy:
        shutil.rmtree(copy.versions, ignore_errors=True)
        chain.write(copy.versions, SIZE)
        copy.run("make", "setup")
        cluster = development_cluster(settings.load(copy.root, environ={}))
        cluster.ensure_running()
        for driver in TEMPLATES:
            projects = [_project(copy, cluster, driver, has_gate=has_gate) for has_gate in (True, False)]
            apply = in_turns([_task(copy, cluster, ini, is_new=True) for ini in projects], runs)
            noop = in_turns([_task(copy, cluster, ini, is_new=False) for ini in projects], runs * 3)
            for what, (ours, bare) in {f"apply {SIZE}": apply, "nothing to apply": noop}.items():
                comparisons.append(Comparison(f"install, {driver}, {what}", ours, bare, BOUND, BOUND))
    return comparisons


def _project(copy: Copy, cluster: Cluster, driver: str, *, has_gate: bool) -> Path:
    """Make a project as `alembic init` does, with the generated revisions. Returns its settings file."""
    name = f"{driver}_{'gate' if has_gate else 'bare'}"
    place = copy.root / name
    copy.run("venv/bin/alembic", "init", "--template", TEMPLATES[driver], f"{name}/alembic")
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
    if has_gate:
        env = place / "alembic" / "env.py"
        env.write_text(env.read_text(encoding="utf-8").replace(LINE, GATE, 1), encoding="utf-8")
    return ini


def _task(copy: Copy, cluster: Cluster, ini: Path, *, is_new: bool) -> Task:
    database = ini.parent.name
    upgrade = partial(copy.seconds, "venv/bin/alembic", "-c", ini, "upgrade", "head")

    def apply() -> float:
        with psycopg.connect(**cluster.target("postgres").parameters(), autocommit=True) as connection:
            name = sql.Identifier(database)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        return upgrade()

    return Task("with the gate" if database.endswith("_gate") else "without", apply if is_new else upgrade)
