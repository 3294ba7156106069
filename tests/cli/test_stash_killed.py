"""kill -9 at every stage of a rollback and a restore: nothing is lost, and what to type next is said."""

import subprocess
import sys
import time

import pytest

from support.held_up import holding, start, wait_for, waits
from support.pair import Pair, Project
from support.running import others_slow
from support.stashes import execute, prints, stashes, typed

HELD = "SELECT pg_advisory_xact_lock(42)"
OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'dbkit %' AND datname = current_database()"


@pytest.fixture
def project(pair: Pair) -> Project:
    return pair.gated


def kill(project: Project, process: "subprocess.Popen[str]") -> None:
    """kill -9, and wait until the server has noticed."""
    process.kill()
    process.wait()
    process.communicate()
    while project.query(OURS) != [(0,)]:
        time.sleep(0.02)


CREATE = execute("CREATE TABLE item (id int PRIMARY KEY, name text)")
DROP = execute("DROP TABLE item")


def fill(project: Project, rows: int = 100) -> dict[str, object]:
    typed(project, "migrate")
    project.query(f"INSERT INTO item SELECT i, 'name ' || i FROM generate_series(1, {rows}) i")
    return prints(project)


@pytest.mark.slow
def test_in_the_copy(pair: Pair, project: Project) -> None:
    pair.write((CREATE, DROP))
    before = fill(project, 500_000)
    process = start(project, "rollback")
    wait_for(process, lambda: any(path.stat().st_size for path in project.root.glob(".dbkit/stash/*.partial/*.copy")))
    kill(project, process)
    [left] = stashes(project)
    assert left.suffix == ".partial"
    assert prints(project) == before
    status = typed(project, "status")
    assert f"{left.name}: left behind by a killed rollback, which had undone nothing; the next one removes it" in status
    typed(project, "rollback")
    [stash] = stashes(project)
    assert stash.suffix != ".partial"
    typed(project, "migrate")
    typed(project, "restore")
    assert prints(project) == before


@pytest.mark.parametrize("down", others_slow(1, [f"{execute(HELD)}\n{DROP}", f"{DROP}\n{execute(HELD)}"]))
def test_in_the_downgrade(pair: Pair, project: Project, down: str) -> None:
    pair.write((CREATE, down))
    before = fill(project)
    with holding(project, HELD):
        process = start(project, "rollback")
        wait_for(process, waits(project, "advisory"))
        kill(project, process)
    [left] = stashes(project)
    assert prints(project) == before
    words = "its rollback was not committed, so nothing was lost; the next rollback removes it"
    assert words in typed(project, "status")
    assert "a stash of" not in typed(project, "migrate")
    typed(project, "rollback")
    [stash] = stashes(project)
    assert stash != left
    assert "a stash of item from" in typed(project, "migrate")
    assert "make restore" in typed(project, "status")
    typed(project, "restore")
    assert prints(project) == before


@pytest.mark.slow
def test_in_the_downgrade_and_then_a_restore(pair: Pair, project: Project) -> None:
    pair.write((CREATE, f"{execute(HELD)}\n{DROP}"))
    before = fill(project)
    with holding(project, HELD):
        process = start(project, "rollback")
        wait_for(process, waits(project, "advisory"))
        kill(project, process)
    assert "There is no stash" in typed(project, "restore")
    assert (prints(project), stashes(project)) == (before, [])


@pytest.mark.slow
def test_after_the_commit_of_a_step(pair: Pair, project: Project) -> None:
    pair.write(("pass", execute(HELD)), (CREATE, DROP))
    before = fill(project)
    with holding(project, HELD):
        process = start(project, "rollback", "--to", "base")
        wait_for(process, waits(project, "advisory"))
        kill(project, process)
    assert project.heads() == ["rev1"]
    assert "make migrate to=rev2, then make restore" in typed(project, "status")
    assert "waits for rev2: `make migrate to=rev2` first." in typed(project, "restore")
    assert "put it back with `make restore`" in typed(project, "migrate")
    typed(project, "restore")
    assert prints(project) == before


@pytest.mark.slow
def test_in_the_restore(pair: Pair, project: Project) -> None:
    pair.write((CREATE, "pass"), (execute("ALTER TABLE item ADD note text"), execute("ALTER TABLE item DROP note")))
    typed(project, "migrate")
    project.query("INSERT INTO item SELECT i, 'n', 'x' || i FROM generate_series(1, 100) i")
    before = prints(project)
    typed(project, "rollback")
    typed(project, "migrate")
    empty = prints(project)
    with holding(project, "SELECT FROM item WHERE id = 50 FOR UPDATE"):
        process = start(project, "restore")
        wait_for(process, waits(project, "transactionid", "tuple"))
        kill(project, process)
    assert prints(project) == empty
    assert "make restore" in typed(project, "status")
    assert "item (note): 100 rows matched, 100 put back" in typed(project, "restore")
    assert prints(project) == before


@pytest.mark.slow
def test_between_the_commit_of_a_restore_and_its_mark(pair: Pair, project: Project) -> None:
    pair.write((CREATE, DROP))
    before = fill(project)
    typed(project, "rollback")
    typed(project, "migrate")
    typed(project, "restore")
    [stash] = stashes(project)
    stash.rename(stash.with_suffix(""))  # as if it had been killed before this was done
    assert "item: 100 rows matched, 0 put back, 100 already there" in typed(project, "restore")
    assert (prints(project), stashes(project)) == (before, [stash])


@pytest.mark.slow
def test_who_is_still_copying_is_left_alone(pair: Pair, project: Project) -> None:
    pair.write((CREATE, DROP))
    fill(project)
    living = project.root / ".dbkit/stash/other.partial"
    living.mkdir(parents=True)
    living.parent.chmod(0o700)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import fcntl; f = open({str(living / 'owner')!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    typed(project, "rollback")
    assert living.is_dir()
    holder.communicate(b"\n")
    typed(project, "migrate")
    typed(project, "rollback")
    assert not living.exists()
