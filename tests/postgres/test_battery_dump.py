"""The catalog held against pg_dump on every state of the battery: the one says equal exactly when the other does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbkit import catalog, project
from dbkit.postgres import pg_dump, scratch_cluster, scratch_database
from dbkit.roundtrip.access import Access
from dbkit.roundtrip.apply import run_revision
from dbkit.roundtrip.compare import Facts
from dbkit.roundtrip.env_runner import EnvRunner
from dbkit.roundtrip.sample_rows import SampleRowOptions
from dbkit.roundtrip.selection import Scope, select_revisions
from dbkit.roundtrip.workspace import open_workspace
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
        names = scratch_database.DatabaseNames(scratch_database.new_token())
        loaded = project.load(ini)
        databases = {"": cluster.target(next(names))}
        environment = EnvRunner(loaded, local_settings, Access(), databases)
        plan = select_revisions(loaded, Scope())
        work = open_workspace(environment, cluster, plan, names, lambda _text: None, SampleRowOptions(rows=0))
        options = ("--no-owner",)  # with privileges, which the catalog reads

        def state() -> tuple[Facts, str]:
            return work.databases.read_catalog(), pg_dump.dump_schema(
                local_settings, databases[""], "alembic_version", options
            )

        for case, script in zip(BATTERY, work.plan.scripts, strict=True):
            before, backup = state(), work.databases.copy()
            if run_revision(work, script, up=True):
                work.databases.replace_by(backup)
                continue
            work.databases.drop(backup)
            after, clone = state(), work.databases.copy()
            if not run_revision(work, script, up=False):
                yield case.name, "down", *before, *state()
                if not run_revision(work, script, up=True):
                    yield case.name, "reup", *after, *state()
            work.databases.replace_by(clone)


def test_the_catalog_and_pg_dump_agree(local_settings: Settings, tmp_path: Path) -> None:
    compared, disagree = 0, []
    for name, phase, facts, dumped, other_facts, other_dumped in states(
        local_settings, make_project(tmp_path / "project", BATTERY)
    ):
        compared += 1
        differences = [each for each in catalog.compare_facts(facts, other_facts) if not each.is_residue]
        if bool(differences) != (dumped != other_dumped) and name not in EXCEPTIONS:
            disagree.append((name, phase, [each.describe() for each in differences]))
    assert disagree == []
    assert compared > len(BATTERY)
