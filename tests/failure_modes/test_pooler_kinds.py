"""A pooler of any kind between the gate and the server: what gives a client one session works, what does not is refused."""

from dataclasses import replace

import pytest

from dbkit.postgres.cluster import Cluster
from support.failure_modes import BLOCK, TABLE, one_line
from support.pair import Pair, Project
from support.poolers import LOCKS, Kind, pooler, settings_through, through

SEEN = (
    "op.execute(\"CREATE TABLE seen AS SELECT current_setting('lock_timeout') AS lock, "
    "current_setting('synchronous_commit') AS sync, pg_backend_pid() AS pid\")"
)
INDEX = f"{BLOCK}op.execute('CREATE INDEX CONCURRENTLY i ON t (name)')"
CHAIN = (
    (TABLE, "op.drop_table('t')"),
    (INDEX, "op.drop_index('i')"),
    (SEEN, "op.drop_table('seen')"),
)
SESSION = [
    Kind("session"),
    Kind("session", size=1),
    Kind("session", size=2),
    Kind("session", takes="first", first=3),
    Kind("session", key="server", links="login"),
    Kind("session", links="login"),
    pytest.param(Kind("session", size=1, links="login"), marks=pytest.mark.slow),
    Kind("session", key="none"),
    Kind("session", options="ignored"),
    Kind("session", resets=False),
    pytest.param(Kind("session", size=1, resets=False, options="ignored"), marks=pytest.mark.slow),
    Kind("session", size=1, links="login", when_full="refused"),
    Kind("pins", takes="first", first=2, key="none", options="unknown"),
]
TRANSACTION = [
    Kind(),
    Kind(size=1),
    Kind(takes="first"),
    Kind(takes="first", first=2),
    Kind(takes="first", first=4),
    Kind(takes="random", first=2),
    Kind(takes="random", first=5),
    Kind(options="ignored"),
    Kind(options="ignored", takes="first", first=3),
    Kind(key="none"),
    Kind(key="none", options="unknown"),
    Kind("statement"),
    Kind("statement", options="ignored"),
]
FORWARDS_THE_KEY = [
    Kind(key="server", options="ignored"),
    Kind(key="server", options="ignored", size=1),
    Kind(key="server", options="ignored", takes="first", first=2),
    Kind(key="server", options="ignored", takes="random", first=3),
    Kind(key="server", options="refused"),
]


def name_of(kind: object) -> str | None:
    """A short name for the test."""
    if not isinstance(kind, Kind):
        return None
    return "-".join(str(value) for name, value in vars(kind).items() if value != getattr(Kind("none"), name))


def nothing_done(project: Project) -> bool:
    """Whether nothing was applied, and no lock is left."""
    return project.heads_or_none() == [] and project.query(LOCKS) == [(0,)]


@pytest.mark.spread(6)
@pytest.mark.parametrize("kind", SESSION, ids=name_of)
def test_session_mode_works(pair: Pair, server: Cluster, kind: Kind) -> None:
    if pair.gated.driver == "asyncpg" and not kind.resets:
        pytest.skip("its prepared statements have the names of those that the former client has left")
    pair.write(*CHAIN)
    project = pair.gated
    with pooler(server, kind) as port:
        before = settings_through(project, port)
        typed = project.alembic("upgrade", "head", env=through(project, port))
        assert typed.returncode == 0, typed.stderr
        assert project.heads() == ["rev3"]
        assert project.journal() == [("upgrade", f"rev{number}") for number in (1, 2, 3)]
        assert [row[:2] for row in project.query("SELECT * FROM seen")] == [("1s", "off")]
        assert project.query(LOCKS) == [(0,)]
        assert settings_through(project, port) == before
        typed = project.alembic("upgrade", "head", env=through(project, port))
        assert typed.returncode == 0, typed.stderr
        typed = project.alembic("downgrade", "base", env=through(project, port))
        assert typed.returncode == 0, typed.stderr
        assert nothing_done(project)
        assert settings_through(project, port) == before


@pytest.mark.spread(3)
@pytest.mark.parametrize("kind", [*TRANSACTION, *FORWARDS_THE_KEY], ids=name_of)
def test_other_modes_are_refused(pair: Pair, server: Cluster, kind: Kind) -> None:
    pair.write(*CHAIN)
    project = pair.gated
    with pooler(server, kind) as port:
        before = settings_through(project, port)
        typed = project.alembic("upgrade", "head", env=through(project, port))
        assert typed.returncode == 2, typed.stderr
        assert "is a pooler" in one_line(typed.stderr)
        assert "session" in typed.stderr
        assert nothing_done(project)
        assert settings_through(project, port) == before


def state_of(project: Project) -> list[bool]:
    """Which of the chain's objects there are."""
    return [project.query(f"SELECT to_regclass('{name}') IS NOT NULL") == [(True,)] for name in ("t", "i", "seen")]


EVERY = [pytest.param(step, marks=() if step == 9 else pytest.mark.slow) for step in (9, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("key", ["own", pytest.param("server", marks=pytest.mark.slow)])
@pytest.mark.parametrize("step", EVERY)
def test_a_session_that_is_lost_in_the_middle_ends_the_run(pair: Pair, server: Cluster, step: int, key: str) -> None:
    """A pooler that cannot be told from session mode changes the server process later, after any transaction of the run."""
    pair.write(*CHAIN)
    project = pair.gated
    counts: list[int] = []
    kind = Kind(prefers_own=True, first=3, options="ignored", key=key)
    with pooler(server, kind, counts) as port:
        typed = project.alembic("upgrade", "head", env=through(project, port))
        assert typed.returncode == 0, typed.stderr  # it never changes the process
    codes = set()
    for number in range(2, max(counts) + 1, step):
        assert project.alembic("downgrade", "base").returncode == 0
        project.query("DELETE FROM dbkit_journal")
        with pooler(server, replace(kind, changes_after=number)) as port:
            typed = project.alembic("upgrade", "head", env=through(project, port))
        codes.add(typed.returncode)
        done = project.heads()
        applied = int(done[0][3:]) if done else 0
        recorded = [("upgrade", f"rev{each}") for each in range(1, applied + 1)]
        seen = typed.returncode, typed.stderr, done, state_of(project), project.journal()
        assert project.journal() == recorded, seen
        assert typed.returncode in (0, 1, 2, 6), seen
        assert typed.returncode or applied == 3, seen
        assert typed.returncode in (0, 6) or "session" in typed.stderr or "prepared statement" in typed.stderr, seen
        if applied == 1 and typed.returncode:  # the index is built outside of a transaction, and may be there, whole
            project.query("DROP INDEX IF EXISTS i")
        assert state_of(project) == [applied > each for each in range(3)], seen
        if typed.returncode == 6:
            assert project.dbkit("resolve", "rev2").returncode == 0
    assert codes & {1, 2}
