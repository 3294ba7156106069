"""The upgrade of a scratch database, for check, drift and revision: it can do what several `alembic upgrade` can."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dbkit import project
from dbkit.errors import CheckFailed
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect, current_revisions
from dbkit.roundtrip.scratch_migrations import open_scratch
from dbkit.settings import Settings

ENUM = "sa.Column('m', sa.Enum('x', name='mood'))"
MADE = f"python:op.create_table('t', {ENUM})"
CHAINS = {
    "a type is created twice": [
        ("aaaa", None, MADE, "SELECT 1"),
        ("bbbb", "aaaa", f"python:op.create_table('u', {ENUM})", "SELECT 1"),
    ],
    "a type is created again": [
        ("aaaa", None, MADE, "SELECT 1"),
        ("bbbb", "aaaa", "DROP TABLE t; DROP TYPE mood", "SELECT 1"),
        ("cccc", "bbbb", f"python:op.create_table('u', {ENUM})", "SELECT 1"),
    ],
}
"""Alembic remembers within one command which types it has created: the first chain needs that, the second fails by it."""


def upgrade(ini: Path, settings: Settings, server: Cluster, chain: list[tuple[str, str | None, str, str]]) -> str:
    """Upgrade a scratch database to the head. Returns the revision that it is at, or the error."""
    foreign = replace(settings, is_foreign=True)
    scratch = open_scratch(project.load(ini), foreign, server, "")
    try:
        scratch.upgrade(("heads",))
    except CheckFailed as error:
        return error.message
    finally:
        with connect(scratch.target) as connection:
            (found,) = current_revisions(connection)
        for target in scratch.targets.values():
            server.drop_database(target.dbname)
    assert found == chain[-1][0]
    return found


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_that_some_upgrades_can_apply(
    name: str, init: Callable[..., Path], local_settings: Settings, server: Cluster
) -> None:
    chain = CHAINS[name]
    assert upgrade(init(revisions=chain), local_settings, server, chain) == chain[-1][0]


def test_a_revision_that_fails_is_named_with_its_first_error(
    init: Callable[..., Path], local_settings: Settings, server: Cluster
) -> None:
    """Each run of it leaves a table behind, so that the second one fails by that."""
    leaving = (
        "python:with op.get_context().autocommit_block():\n        op.execute('CREATE TABLE left_over (id int)')\n"
        "    op.execute('SELECT 1 / 0')"
    )
    chain = [*CHAINS["a type is created twice"], ("cccc", "bbbb", leaving, "SELECT 1")]
    message = upgrade(init(revisions=chain), local_settings, server, chain)
    assert "upgrade of cccc failed" in message
    assert "division by zero" in message
