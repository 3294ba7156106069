"""The catalog held against pg_dump on every state of the battery: the one says equal exactly when the other does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbkit import catalog, project
from dbkit.postgres import pg_dump, scratch_cluster
from dbkit.roundtrip.compare import Facts
from dbkit.roundtrip.env_runner import Access, EnvRunner
from dbkit.roundtrip.sample_rows import SampleRowOptions
from dbkit.roundtrip.selection import Scope, select_revisions
from dbkit.roundtrip.walker import Walker
from dbkit.settings import Settings
from support.battery import BATTERY, make_project

pytestmark = pytest.mark.slow

# where pg_dump --schema-only says something else, and why
EXCEPTIONS = {
    "column order": "the catalog takes it for residue, and not for a difference",
    "enum grows": "a value that stays is residue",
    "enum grows and is used": "a value that stays is residue",
}


def states(local_settings: Settings, ini: Path) -> Iterator[tuple[str, str, Facts, str, Facts, str]]:
    """Name and phase, and facts and dump of the two states that should be equal, for each step that succeeded."""
    with scratch_cluster.cluster(local_settings) as cluster:
        names = scratch_cluster.Names(scratch_cluster.new_token())
        loaded = project.load(ini)
        databases = {"": cluster.target(next(names))}
        environment = EnvRunner(loaded, local_settings, Access(), databases)
        walker = Walker(
            environment, cluster, select_revisions(loaded, Scope()), names, lambda _text: None, SampleRowOptions(rows=0)
        )
        options = ("--no-owner",)  # with privileges, which the catalog reads

        def state() -> tuple[Facts, str]:
            return walker.trunk.read(), pg_dump.schema(local_settings, databases[""], "alembic_version", options)

        for case, script in zip(BATTERY, walker.route.scripts, strict=True):
            before, backup = state(), walker.trunk.copy()
            if walker.step(script, up=True):
                walker.trunk.put_back(backup)
                continue
            walker.trunk.drop(backup)
            after, trunk = state(), walker.trunk.copy()
            if not walker.step(script, up=False):
                yield case.name, "down", *before, *state()
                if not walker.step(script, up=True):
                    yield case.name, "reup", *after, *state()
            walker.trunk.put_back(trunk)


def test_the_catalog_and_pg_dump_agree(local_settings: Settings, tmp_path: Path) -> None:
    compared, disagree = 0, []
    for name, phase, facts, dumped, other_facts, other_dumped in states(
        local_settings, make_project(tmp_path / "project", BATTERY)
    ):
        compared += 1
        differences = [each for each in catalog.differences(facts, other_facts) if not each.residue]
        if bool(differences) != (dumped != other_dumped) and name not in EXCEPTIONS:
            disagree.append((name, phase, [each.words() for each in differences]))
    assert disagree == []
    assert compared > len(BATTERY)
