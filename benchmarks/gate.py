"""The gate, against the env.py of Alembic's own template: the same revisions, server and `alembic upgrade head`."""

import shutil
from functools import partial
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from benchmarks import chain
from benchmarks.timing import Comparison, Task, Times, in_turns
from benchmarks.workspace import Copy, copy_of_project
from dbkit import settings
from dbkit.server.cluster import Cluster, development_cluster

SIZE = 500  # revisions
BOUND = 1.15
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
        template = _template_project(copy, cluster)
        ours = copy.root / "alembic.ini"
        apply = in_turns([_apply(copy, cluster, ours, OURS), _apply(copy, cluster, template, TEMPLATE)], runs)
        noop = in_turns([_noop(copy, ours), _noop(copy, template)], runs * 3)
    return [_comparison(f"gate, apply {SIZE}", apply), _comparison(f"gate, nothing to apply, {SIZE}", noop)]


def _comparison(name: str, times: list[Times]) -> Comparison:
    return Comparison(name, times[0], times[1], BOUND, BOUND)


def _template_project(copy: Copy, cluster: Cluster) -> Path:
    """A project as `alembic init` makes it, with the same revisions. Returns its settings file."""
    place = copy.root / "template"
    copy.run("venv/bin/alembic", "init", "template/alembic")
    shutil.rmtree(place / "alembic" / "versions")
    (place / "alembic" / "versions").symlink_to(copy.versions)
    host = quote(str(cluster.target().host), safe="").replace("%", "%%")
    url = f"postgresql+psycopg://postgres@/{TEMPLATE}?host={host}"
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
    return Task(_label(ini), partial(copy.seconds, "venv/bin/alembic", "-c", ini, *UPGRADE))


def _apply(copy: Copy, cluster: Cluster, ini: Path, database: str) -> Task:
    def apply() -> float:
        with psycopg.connect(**cluster.target("postgres").parameters(), autocommit=True) as connection:
            name = sql.Identifier(database)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        return copy.seconds("venv/bin/alembic", "-c", ini, *UPGRADE)

    return Task(_label(ini), apply)


def _label(ini: Path) -> str:
    return "template's env.py" if ini.parent.name == "template" else "the gate"
