"""Proofs by several processes: they inherit nothing that cannot be shared, and no one is waited for in silence."""

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbkit.errors import CheckFailed
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip import parallel
from dbkit.roundtrip.outcome import Outcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings
from support.plain import ENV, Revision, write_project

REVISIONS: list[Revision] = [
    (f"r{number:03}", f"r{number - 1:03}" if number else None, f"CREATE TABLE t{number} ()", f"DROP TABLE t{number}")
    for number in range(8)
]

# in a module that a revision imports: it is there before the processes are
A_LOOP_IN_A_THREAD = """
import asyncio, threading
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()

def run(coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()
"""
A_LOOP = """
import asyncio
loop = asyncio.new_event_loop()

def run(coroutine):
    return loop.run_until_complete(coroutine)
"""
ASYNC_ENV = """
import os

from alembic import context
from sqlalchemy.ext.asyncio import create_async_engine

import application

engines = {}

def migrate(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

async def main():
    engine = engines.setdefault(id(application.loop), create_async_engine(os.environ["DATABASE_URL"]))
    async with engine.connect() as connection:
        await connection.run_sync(migrate)

application.run(main())
"""
A_THREAD = """
import queue, threading
asked, answers = queue.Queue(), queue.Queue()
threading.Thread(target=lambda: [answers.put(name) for name in iter(asked.get, None)], daemon=True).start()
"""
SYNC_ENV = "import application\n\napplication.asked.put('schema')\nassert application.answers.get() == 'schema'\n" + ENV


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """A project whose first revision imports a module `application`. Returns its alembic.ini."""

    def make(application: str, env: str, revisions: list[Revision] = REVISIONS) -> Path:
        (tmp_path / "application.py").write_text(application)
        ini = write_project(tmp_path, revisions, env)
        first = tmp_path / f"migrations/versions/{revisions[0][0]}.py"
        first.write_text(f"import application\n{first.read_text()}")
        return ini

    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("application", None)
    yield make
    sys.modules.pop("application", None)


def verdicts(outcome: Outcome) -> set[str]:
    return {each.verdict.value for each in outcome.revisions}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("application", "env"),
    [
        (A_LOOP_IN_A_THREAD, ASYNC_ENV),
        pytest.param(A_LOOP, ASYNC_ENV, marks=pytest.mark.slow),
        pytest.param(A_THREAD, SYNC_ENV, marks=pytest.mark.slow),
    ],
    ids=["a loop in a thread", "a loop", "a thread"],
)
def test_what_cannot_be_shared_is_not_inherited(
    project: Callable[..., Path], local_settings: Settings, server: Cluster, application: str, env: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A thread is gone in a fork, and who waits for it waits for ever; and the forks of a loop share its events."""
    request = Request(server=server.target("postgres"), jobs=2)
    said: list[str] = []
    outcome = prove(local_settings, project(application, env), request, said.append)
    assert verdicts(outcome) == {"proven"}


# Waiting

WAITS = "python:import threading\n    threading.Event().wait()"
WAITS_FOR_EVER = (
    "python:import signal, threading\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    threading.Event().wait()"
)
DIES = "python:import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes minutes takes seconds."""
    monkeypatch.setattr(parallel, "POLL_INTERVAL", 0.1)
    monkeypatch.setattr(parallel, "REPORT_AFTER", 0.5)
    monkeypatch.setattr(parallel, "GIVE_UP_AFTER", 2.0)
    monkeypatch.setattr(parallel, "LONGEST_END", 0.5)
    monkeypatch.setattr(parallel, "BUSY_SHARE", 0.005)  # whoever waits computes nothing, however slow the machine is


def with_last(up: str) -> list[Revision]:
    last, parent, _, down = REVISIONS[-1]
    return [*REVISIONS[:-1], (last, parent, up, down)]


@pytest.mark.spread(2)
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("up", [WAITS, WAITS_FOR_EVER], ids=["ended", "killed"])
def test_a_process_that_waits_for_what_does_not_come_is_told_and_given_up(
    project: Callable[..., Path], local_settings: Settings, server: Cluster, up: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ini = project("", ENV, with_last(up))
    with pytest.raises(
        CheckFailed, match=r"(?s)^dbkit: process 2 of the proof has stopped at 8/8 r007 .*--jobs 1"
    ) as error:
        prove(local_settings, ini, Request(server=server.target("postgres"), jobs=2, rows=0))
    assert error.value.exit_code == 1
    assert "process 2 of the proof has been at 8/8 r007" in capsys.readouterr().err
    assert not multiprocessing.active_children()


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_process_that_dies_is_told_with_where_it_was(
    project: Callable[..., Path], local_settings: Settings, server: Cluster
) -> None:
    with pytest.raises(CheckFailed, match="process 2 of the proof was ended by signal 9, at 8/8 r007"):
        prove(
            local_settings, project("", ENV, with_last(DIES)), Request(server=server.target("postgres"), jobs=2, rows=0)
        )


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "up",
    [
        "CREATE TABLE t7 (); SELECT pg_sleep(3)",
        "python:import time\n    end = time.process_time() + 3\n    while time.process_time() < end: pass\n    op.execute('CREATE TABLE t7 ()')",
    ],
    ids=["a statement", "computing"],
)
@pytest.mark.slow
def test_what_takes_long_is_not_given_up(
    project: Callable[..., Path], local_settings: Settings, server: Cluster, up: str
) -> None:
    request = Request(server=server.target("postgres"), jobs=2, rows=0)
    assert verdicts(prove(local_settings, project("", ENV, with_last(up)), request)) == {"proven"}
