"""The round trip, against Alembic's own three processes that check nothing, and against pytest-alembic."""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import chain
from benchmarks.timing import Comparison, Task, in_turns
from benchmarks.workspace import ROOT, Failed
from dbkit import settings
from dbkit.postgres import scratch_cluster
from dbkit.postgres.cluster import Cluster

SIZES = (100, 500, 1000)  # revisions
BARE_BOUND = 1.0  # of three bare alembic processes
PEER_BOUND = 1 / 4
JOBS_BOUND = 1 / 1.4
ROWS_BOUND = 2.0  # planting costs at most as much as the proof without rows
TRACE_BOUND = 1.5
GROWTH_BOUND = 1.2  # seconds per revision at the last size by those at the first
MEGABYTE = 1024  # ru_maxrss is in kilobytes on Linux
DATABASE = "bare"
THREE = (("upgrade", "head"), ("downgrade", "base"), ("upgrade", "head"))


@dataclass(frozen=True)
class Project:
    """A generated project of `size` revisions, with the env.py of a template of Alembic."""

    root: Path
    size: int

    @property
    def ini(self) -> Path:
        """Its settings file."""
        return self.root / "alembic.ini"

    def run(
        self, *command: str | Path, environment: Mapping[str, str] = {}, may_find: bool = False
    ) -> tuple[float, float]:
        """Run a command and return its seconds of wall time, and the peak memory of its largest process in MB.

        Raises Failed; `may_find`: not for exit code 1.
        """
        begun = time.perf_counter()
        wrapped = [sys.executable, "-c", MEASURED, *command]
        env = {**os.environ, **environment}
        result = subprocess.run(wrapped, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begun
        if result.returncode not in ((0, 1) if may_find else (0,)):
            raise Failed(f"{' '.join(map(str, command))}: exit {result.returncode}\n{result.stdout}{result.stderr}")
        return seconds, int(result.stderr.splitlines()[-1]) / MEGABYTE


# starts a command and says at the end how much memory the largest of its processes took
MEASURED = """
import os, resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def roundtrip(directory: Path, runs: int) -> list[Comparison]:
    """The whole proof in one process, and in two, against upgrade head, downgrade base, upgrade head; all in turns.

    Of schemas: the three have empty tables, too.
    """
    found = []
    with open_cluster() as cluster:
        projects = [make_project(directory, size) for size in SIZES]
        tasks = [task for project in projects for task in _tasks(project, cluster)]
        times = in_turns(tasks, runs)
    for project, one, two, bare in zip(projects, times[0::3], times[1::3], times[2::3], strict=True):
        found.append(Comparison(f"proof, {project.size}", one, bare, BARE_BOUND, BARE_BOUND))
        found.append(Comparison(f"proof, {project.size}", two, bare, BARE_BOUND, BARE_BOUND))
        bound = JOBS_BOUND if project.size == SIZES[-1] else None
        found.append(Comparison(f"two processes, {project.size}", two, one, bound, bound))
    growth = SIZES[-1] / SIZES[0] * GROWTH_BOUND
    found.append(Comparison(f"growth, {SIZES[-1]} by {SIZES[0]}", times[-3], times[0], growth, growth))
    _print_memory(projects)
    return found


def rows(directory: Path, runs: int) -> list[Comparison]:
    """The proof with rows, as it is by default, against upgrade head, downgrade base, upgrade head; all in turns.

    In two processes, where a third of the revisions has findings (a sixth loses rows, a sixth has preconditions), and
    in one, on a chain without any. For the shop against the proof with empty tables.
    """
    shop = Project(ROOT, 0)
    with open_cluster() as cluster:
        projects = [make_project(directory, size) for size in SIZES]
        clean = [make_project(directory / "clean", size, steps=chain.CLEAN) for size in SIZES]
        tasks = [Task(f"--rows {number}", partial(_with_rows, shop, number)) for number in ("5", "0")]
        for project, jobs in ((project, jobs) for jobs, group in (("2", projects), ("1", clean)) for project in group):
            tasks.append(Task(f"dbkit roundtrip --jobs {jobs}", partial(_with_rows, project, "5", jobs)))
            tasks.append(Task("three times alembic", partial(_three_processes, project, cluster)))
        filled, empty, *times = in_turns(tasks, runs)
    labels = [f"{words}, {size}" for words in ("with rows, findings", "with rows, no finding") for size in SIZES]
    pairs = zip(labels, times[0::2], times[1::2], strict=True)
    return [
        *(Comparison(label, ours, bare, BARE_BOUND) for label, ours, bare in pairs),
        Comparison("rows, the shop", filled, empty, ROWS_BOUND, ROWS_BOUND),
    ]


def trace(directory: Path, runs: int) -> list[Comparison]:
    """The proof on rows with `--trace` against the same without; in one process."""
    projects = [Project(ROOT, 0), make_project(directory, SIZES[0])]
    tasks = [
        Task(label, partial(_traced, project, options))
        for project in projects
        for label, options in (("--trace", ("--trace",)), ("without", ()))
    ]
    times = in_turns(tasks, runs)
    return [
        Comparison(f"trace, {project.size or 'the shop'}", traced, without, TRACE_BOUND, TRACE_BOUND)
        for project, traced, without in zip(projects, times[0::2], times[1::2], strict=True)
    ]


def _traced(project: Project, options: Sequence[str]) -> float:
    return project.run(*_proof(project, "1", "5"), *options, may_find=True)[0]


def _with_rows(project: Project, number: str, jobs: str = "1") -> float:
    """Seconds. That it finds something in the generated chain is no failure."""
    return project.run(*_proof(project, jobs, number), may_find=True)[0]


def peers(directory: Path, runs: int) -> list[Comparison]:
    """The proof as it is by default against pytest-alembic's default tests, at 500 revisions.

    Without the one that compares with models, of which a generated chain has none: that is to its favour.
    """
    if importlib.util.find_spec("pytest_alembic") is None:
        raise Failed("pytest-alembic is not installed here: `nox -s bench` has it")
    with open_cluster() as cluster:
        project = make_project(directory, 500)
        (project.root / "conftest.py").write_text(CONFTEST)
        (project.root / "test_chain.py").write_text("from pytest_alembic.tests import *\n")
        ours = Task("dbkit roundtrip", lambda: project.run(*_proof(project))[0])
        theirs = Task("pytest-alembic", partial(_peer, project, cluster))
        a, b = in_turns([ours, theirs], runs)
    return [Comparison("pytest-alembic, 500", a, b, PEER_BOUND, PEER_BOUND)]


CONFTEST = """
import os
import pytest
from sqlalchemy import create_engine

@pytest.fixture
def alembic_engine():
    return create_engine(os.environ["DATABASE_URL"])
"""


def _peer(project: Project, cluster: Cluster) -> float:
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not model", "test_chain.py")
    return project.run(*command, environment=_fresh(cluster))[0]


def _tasks(project: Project, cluster: Cluster) -> Sequence[Task]:
    return (
        Task("dbkit roundtrip --jobs 1", lambda: project.run(*_proof(project, "1"))[0]),
        Task("dbkit roundtrip --jobs 2", lambda: project.run(*_proof(project, "2"))[0]),
        Task("three times alembic", partial(_three_processes, project, cluster)),
    )


def _proof(project: Project, jobs: str = "", number: str = "0") -> tuple[str | Path, ...]:
    chosen = ("--jobs", jobs) if jobs else ()
    return (sys.executable, "-m", "dbkit", "roundtrip", "--no-cache", "-c", project.ini, "--rows", number, *chosen)


def _three_processes(project: Project, cluster: Cluster) -> float:
    environment = _fresh(cluster)
    return sum(project.run(sys.executable, "-m", "alembic", *command, environment=environment)[0] for command in THREE)


def bare_upgrade(project: Project, cluster: Cluster) -> float:
    """Return the seconds of `alembic upgrade head` on an empty database."""
    return project.run(sys.executable, "-m", "alembic", "upgrade", "head", environment=_fresh(cluster))[0]


def _fresh(cluster: Cluster) -> dict[str, str]:
    """The URL of an empty database, as a variable."""
    cluster.drop_database(DATABASE)
    target = cluster.create_database(DATABASE)
    return {
        "DATABASE_URL": f"postgresql+psycopg://{target.user}@/{target.dbname}?host={target.host}&port={target.port}"
    }


@contextmanager
def open_cluster() -> Iterator[Cluster]:
    """The same kind of server as the proof makes for itself."""
    with scratch_cluster.cluster(settings.load(ROOT, environ={}, dotenv=False)) as cluster:
        yield cluster


def make_project(
    directory: Path, size: int, template: str = "generic", steps: Sequence[chain.Step] = chain.STEPS
) -> Project:
    """Write a project with a generated chain; `template` is the name of Alembic's own. Raises Failed."""
    root = directory / f"{template}-{size}"
    root.mkdir(parents=True)
    project = Project(root, size)
    project.run(sys.executable, "-m", "alembic", "init", "--template", template, "migrations")
    env = root / "migrations/env.py"
    text = env.read_text()
    known = "config = context.config\n"
    if known not in text:
        raise Failed("Alembic's template has changed")
    url = 'import os\nconfig.set_main_option("sqlalchemy.url", os.environ["DATABASE_URL"].replace("%", "%%"))\n'
    env.write_text(text.replace(known, known + url, 1))
    chain.write(root / "migrations/versions", size, steps)
    # Python has its bytecode then
    project.run(sys.executable, "-m", "compileall", "-q", root)
    return project


def _print_memory(projects: Sequence[Project]) -> None:
    for project in projects:
        for jobs in ("1", "2"):
            _, megabytes = project.run(*_proof(project, jobs))
            print(f"benchmarks: memory, {project.size} revisions, --jobs {jobs}: {megabytes:.0f} MB", file=sys.stderr)
