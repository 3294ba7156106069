"""What `make status` says to type next is what the kit then accepts, whatever state the database is in."""

import re
from collections.abc import Callable

import psycopg
import pytest

from dbkit.postgres.locks import lock_key
from dbkit.settings import Target
from support.kit import SHOP_HEAD, Kit
from support.running import others_slow

VERSIONS = "backend/alembic/versions"
NEW = "0a1b2c3d4e5f"
REVISION = f'''\
"""another branch

Revision ID: {NEW}
Revises: {{parent}}
"""

revision = "{NEW}"
down_revision = "{{parent}}"
branch_labels = None
depends_on = None


def upgrade():
    pass


def downgrade():
    pass
'''


def next_of(kit: Kit) -> tuple[int, str]:
    """Exit code of status, and its last line without the label."""
    shown = kit.dbkit("status")
    assert "Traceback" not in shown.stderr
    label, words = shown.stdout.splitlines()[-1][:10].strip(), shown.stdout.splitlines()[-1][10:]
    assert label == "next", shown.stdout + shown.stderr
    return shown.returncode, words


def command_in(words: str) -> str:
    """What is to be typed: the last command of the sentence, with what the reader has to fill in."""
    found = re.search(r'(echo ".*|make [a-z-]+.*|python -m dbkit [a-z-]+.*|alembic stamp.*)$', words)
    assert found, words
    command = found[1].partition(", or ")[0].partition(", where")[0]
    command = command.replace('m="…"', 'm="x"').replace("REV", SHOP_HEAD)
    return re.sub(r"^(python|alembic)", r"venv/bin/\1", command)


def file_of(kit: Kit, revision: str) -> str:
    return next(
        path.name for path in kit.versions if path.name.split("_", 1)[0].endswith(revision) or revision in path.name
    )


def parent_of(kit: Kit, revision: str) -> str:
    text = (kit.path / VERSIONS / file_of(kit, revision)).read_text()
    found = re.search(r'^down_revision.*= "(\w+)"', text, re.MULTILINE)
    assert found
    return found[1]


def edit(kit: Kit, revision: str) -> None:
    path = kit.path / VERSIONS / file_of(kit, revision)
    path.write_text(f"{path.read_text()}\n# edited\n")


def branch(kit: Kit) -> None:
    """A second head, which nobody has applied, beside the one that the database is at."""
    (kit.path / VERSIONS / f"{NEW}_another.py").write_text(REVISION.format(parent=parent_of(kit, SHOP_HEAD)))


def branch_with_conflict(kit: Kit) -> None:
    branch(kit)
    (kit.path / "backend/alembic/HEAD").write_text(
        f"<<<<<<< HEAD\n{NEW} ours\n=======\n{SHOP_HEAD} theirs\n>>>>>>> main\n"
    )


def branch_that_is_applied(kit: Kit) -> None:
    branch(kit)
    assert kit.alembic("upgrade", "heads").returncode == 0


def nothing_applied(kit: Kit) -> None:
    kit.set_database("template0")


def half_applied(kit: Kit) -> None:
    kit.query(f"INSERT INTO dbkit_journal (action, revision, half_applied) VALUES ('downgrade', '{SHOP_HEAD}', true)")


def ahead(kit: Kit) -> None:
    kit.query("UPDATE alembic_version SET version_num = 'fedcba987654'")


def invalid_index(kit: Kit) -> None:
    kit.query("CREATE INDEX doubtful ON orders (id)")
    kit.query("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'doubtful'::regclass")


def no_history(kit: Kit) -> None:
    kit.query("DROP TABLE alembic_version, dbkit_journal")


def stash_waits(kit: Kit) -> None:
    assert kit.dbkit("seed").returncode == 0
    assert kit.dbkit("rollback", "--to", "base").returncode == 0
    assert next_of(kit)[1] == "make migrate"
    assert kit.dbkit("migrate").returncode == 0


def ready(kit: Kit) -> None:
    """Nothing is to be done."""


STATES: list[tuple[Callable[[Kit], None], int, str]] = [
    (branch, 0, f"make rebase-migration rev={NEW}"),
    (half_applied, 6, f"python -m dbkit resolve {SHOP_HEAD}"),
    (no_history, 0, "alembic stamp REV"),
    (invalid_index, 6, "REINDEX INDEX CONCURRENTLY public.doubtful"),
    (lambda kit: edit(kit, SHOP_HEAD), 0, "make redo"),
    (branch_with_conflict, 0, "make rebase-migration"),
    (branch_that_is_applied, 0, "make merge"),
    (lambda kit: edit(kit, parent_of(kit, SHOP_HEAD)), 0, "python -m dbkit accept"),
    (nothing_applied, 0, "make migrate"),
    (ahead, 7, "make reset"),
    (stash_waits, 0, "make restore"),
    (ready, 0, "make revision"),
]


@pytest.mark.spread(3)
@pytest.mark.parametrize(("make", "code", "words"), others_slow(5, STATES))
def test_what_status_says_is_accepted(kit: Kit, make: Callable[[Kit], None], code: int, words: str) -> None:
    make(kit)
    found, told = next_of(kit)
    assert (found, words in told) == (code, True), told
    typed = kit.run("bash", "-ec", command_in(told))
    assert typed.returncode == 0, (told, typed.stdout, typed.stderr)
    assert next_of(kit)[1] != told or make is ready


def test_two_heads_have_one_answer(kit: Kit, git: Callable[..., str]) -> None:
    branch(kit)
    answers = set()
    for typed in (kit.dbkit("migrate"), kit.dbkit("check"), kit.alembic("upgrade", "head")):
        found = re.search(r"Next: `(.*)`", typed.stderr)
        assert (typed.returncode, bool(found)) == (1, True), typed.stderr
        answers.add(found and found[1])
    assert answers == {next_of(kit)[1]} == {f"make rebase-migration rev={NEW}"}


@pytest.mark.slow
def test_what_others_have_is_joined(kit: Kit, git: Callable[..., str]) -> None:
    """The same two heads, and the one that the database lacks is on a branch of another repository."""
    branch(kit)
    remote = kit.path / ".dbkit/remote.git"
    try:
        git(kit.path, "init", "-q", "-b", "main")
        git(kit.path, "add", "backend")
        git(kit.path, "commit", "-q", "-m", "x")
        git(kit.path, "init", "-q", "--bare", str(remote))
        git(kit.path, "remote", "add", "origin", str(remote))
        git(kit.path, "push", "-q", "-u", "origin", "main")
        told = next_of(kit)[1]
        assert told.startswith("make merge")
        assert kit.run("bash", "-ec", command_in(told)).returncode == 0
    finally:
        kit.run("rm", "-rf", ".git", ".dbkit/remote.git")


@pytest.mark.slow
def test_a_read_only_server_and_a_running_migration(kit: Kit) -> None:
    kit.dbkit("rollback", env={"STASH": "0"})
    kit.query("ALTER DATABASE app SET default_transaction_read_only = on")
    assert next_of(kit) == (0, "name the primary in .env: this server is read-only")
    assert kit.dbkit("migrate").returncode == 2
    with psycopg.connect(**kit.cluster.target("postgres").parameters(), autocommit=True) as connection:
        connection.execute("ALTER DATABASE app RESET default_transaction_read_only")
    assert kit.dbkit("migrate").returncode == 0
    with psycopg.connect(**kit.cluster.target().parameters(), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [lock_key(Target("app"))])
        told = next_of(kit)[1]
        assert kit.run("bash", "-ec", command_in(told)).returncode == 0, told


def test_a_production_database_is_not_told_to_reset(kit: Kit) -> None:
    ahead(kit)
    kit.query("COMMENT ON TABLE alembic_version IS 'dbkit environment: production'")
    assert next_of(kit) == (7, "check out the code that has fedcba987654")
