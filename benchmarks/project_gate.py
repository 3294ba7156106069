"""`gate.install` in a project's own env.py, against the same project without that line, with each driver."""

import shutil
from functools import partial
from pathlib import Path

from benchmarks import chain
from benchmarks.gate import BOUND, SIZE, create_database, make_template_project
from benchmarks.timing import Comparison, Task, in_turns
from benchmarks.workspace import Copy, copy_of_project
from dbkit import settings
from dbkit.postgres.cluster import Cluster, development_cluster

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
    ini = make_template_project(copy, cluster, name, driver, TEMPLATES[driver])
    if has_gate:
        env = ini.parent / "alembic" / "env.py"
        env.write_text(env.read_text(encoding="utf-8").replace(LINE, GATE, 1), encoding="utf-8")
    return ini


def _task(copy: Copy, cluster: Cluster, ini: Path, *, is_new: bool) -> Task:
    database = ini.parent.name
    upgrade = partial(copy.seconds, "venv/bin/alembic", "-c", ini, "upgrade", "head")

    def apply() -> float:
        create_database(cluster, database)
        return upgrade()

    return Task("with the gate" if database.endswith("_gate") else "without", apply if is_new else upgrade)
