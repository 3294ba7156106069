"""Branches on purpose, each with its label: nothing tells anybody to merge them, and a fork of one of them is found."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbkit.postgres.cluster import Cluster
from support.battery import revision_file
from support.installed import Installed, installed

ENV = """\
from pathlib import Path

import sqlalchemy as sa
from alembic import context

from dbkit import gate

metadata = sa.MetaData()
for name in ("orders", "logs"):
    sa.Table(name, metadata, sa.Column("id", sa.Integer, primary_key=True))
gate.run(context, root=Path(__file__).resolve().parents[1], load_metadata=lambda: metadata)
"""
INI = """\
[alembic]
script_location = %(here)s/migrations
path_separator = newline
version_path_separator = newline
version_locations =
    %(here)s/orders
    %(here)s/logs
"""
ORDERS = 'branch_labels = "orders"\n'
LOGS = 'branch_labels = "logs"\n'


def add(root: Path, place: str, revision: str, parent: str | None, table: str = "", more: str = "") -> None:
    up = f"CREATE TABLE {table} (id serial PRIMARY KEY)" if table else "SELECT 1"
    down = f"DROP TABLE {table}" if table else "SELECT 1"
    text = revision_file(revision, parent, revision, up, down)
    (root / place / f"{revision}.py").write_text(text + more)


def head_file(root: Path) -> list[str]:
    return (root / "migrations/HEAD").read_text().splitlines()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    for name in ("migrations", "orders", "logs"):
        (path / name).mkdir(parents=True)
    (path / "alembic.ini").write_text(INI)
    (path / "migrations/env.py").write_text(ENV)
    (path / "migrations/script.py.mako").write_text(
        "revision = ${repr(up_revision)}\ndown_revision = ${repr(down_revision)}\n"
    )
    add(path, "orders", "a1", None, "orders", ORDERS)
    add(path, "logs", "b1", None, "logs", LOGS)
    return path


@pytest.fixture
def kit(root: Path, server: Cluster, request: pytest.FixtureRequest) -> Iterator[Installed]:
    with installed(root, server.create_database(f"test_{abs(hash(request.node.nodeid)):x}")) as kit:
        yield kit


@pytest.mark.slow
def test_no_verb_tells_to_merge_branches_on_purpose(root: Path, kit: Installed) -> None:
    for verb in (
        ("rebase-migration",),
        ("migrate",),
        ("schema",),
        ("check",),
        ("drift",),
        ("status",),
        ("sql", "--from", "base", "--out", "-"),
        ("merge", "-m", "join"),
        ("migrate",),
    ):
        code, text = kit.run(*verb)
        assert code == 0, (verb, text)
        assert "make merge" not in text, (verb, text)
        assert "rebase-migration" not in text or verb == ("rebase-migration",), (verb, text)
    assert head_file(root) == ["a1 a1", "b1 b1"]
    assert len(list(root.glob("*/*.py"))) == 3
    assert (root / "schema.sql").read_text().startswith("-- The schema at revision b1 and a1.")
    code, text = kit.run("revision", "-m", "more")
    assert code == 2
    assert "there are 2 heads, of branches on purpose: b1 (branch logs) and a1 (branch orders)" in text


@pytest.mark.slow
def test_a_fork_of_one_branch_is_joined_without_the_other(root: Path, kit: Installed) -> None:
    add(root, "orders", "a2", "a1")
    add(root, "orders", "a3", "a1")
    for verb in ("check", "migrate", "drift", "schema"):
        code, text = kit.run(verb)
        assert code in (1, 2), (verb, text)
        assert "2 heads, a2 and a3: these files were added on separate branches:\n  a2.py\n  a3.py\n" in text, verb
    code, text = kit.run("rebase-migration", "--revision", "a3")
    assert code == 0, text
    assert head_file(root) == ["a3 a3", "b1 b1"]
    assert 'down_revision = "a2"' in (root / "orders/a3.py").read_text().replace("'", '"')
    code, text = kit.run("migrate")
    assert (code, "4 migrations applied" in text) == (0, True), text


def test_merge_joins_the_heads_of_one_branch(root: Path, kit: Installed) -> None:
    add(root, "orders", "a2", "a1")
    add(root, "orders", "a3", "a1")
    code, text = kit.run("merge", "-m", "join")
    assert code == 0, text
    (merged,) = set((root / "orders").glob("*_join.py"))
    assert sorted(merged.read_text().split("down_revision = ")[1].strip("()\n").replace("'", "").split(", ")) == [
        "a2",
        "a3",
    ]
    kit.run("rebase-migration")
    assert [line.split()[0] for line in head_file(root)] != ["a2", "a3", "b1"]
    assert len(head_file(root)) == 2


@pytest.mark.slow
def test_one_branch_depends_on_the_other(root: Path, kit: Installed) -> None:
    """The revision that is depended on is still a head, which the version table does not have."""
    add(root, "orders", "a2", "a1", more='depends_on = "b1"\n')
    for verb in ("rebase-migration", "migrate", "migrate", "status"):
        code, text = kit.run(verb)
        assert code == 0, (verb, text)
    assert head_file(root) == ["a2 a2", "b1 b1"]
    assert "nothing to apply" in kit.run("migrate")[1]
    for verb in ("schema", "check", "drift"):
        code, text = kit.run(verb)
        assert code == 0, (verb, text)
