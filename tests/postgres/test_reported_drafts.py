"""Models from public bug reports: each draft runs, is proven, and leaves nothing to draft, online and as a script."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.schema import CreateSchema

from dbkit.postgres import scratch_cluster
from dbkit.postgres.binaries import client_program
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Settings, Target
from support.draft_battery import demand_equal, find_schemas, read_facts
from support.draft_project import DraftProject, lend_cluster, make_project
from support.pair import url_of
from support.reported_drafts import CASES, ReportedCase


@pytest.fixture(scope="module")
def scratch(local_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A scratch cluster that is lent to each command."""
    with scratch_cluster.cluster(local_settings) as cluster:
        yield lend_cluster(cluster, tmp_path_factory.mktemp("lent"))


def execute(target: Target, text: str) -> None:
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        connection.execute(text.encode())


def create_models(code: str, target: Target) -> None:
    """Create the tables of a module of models with `create_all`."""
    names: dict[str, object] = {"__name__": "models"}
    exec(code, names)  # noqa: S102  # the cases are in this repository
    metadata = names["metadata"]
    assert isinstance(metadata, sa.MetaData)
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(**target.parameters()))
    with engine.begin() as connection:
        for name in find_schemas([metadata]):
            connection.execute(CreateSchema(name))
        metadata.create_all(connection)
    engine.dispose()


def run_script(settings: Settings, text: str, target: Target) -> None:
    """Run what `dbkit sql` has written with psql."""
    command = [client_program(settings, "psql"), "-X", "-q", url_of(target)]
    typed = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert typed.returncode == 0, typed.stderr


def demand(project: DraftProject, verb: str, *arguments: str) -> str:
    typed = project.dbkit(verb, *arguments)
    assert typed.returncode == 0, project.outputs[-1]
    return typed.stdout + typed.stderr


def add_to_upgrade(path: Path, statements: str) -> None:
    """Add SQL to a draft, as a person does."""
    up, down = path.read_text().split("\n\n\ndef downgrade")
    path.write_text(f'{up}\n    op.execute("""{statements}""")\n\n\ndef downgrade{down}')


@pytest.mark.spread(20)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_drafts_of_a_report_are_right(
    case: ReportedCase, server: Cluster, scratch: Path, local_settings: Settings, tmp_path: Path
) -> None:
    prefix = f"reported_{case.name}"
    names = [
        prefix,
        *(f"{prefix}_{kind}_{number}" for kind in ("models", "script") for number in range(len(case.states))),
    ]
    targets = {name: server.create_database(name) for name in names}
    try:
        project = make_project(tmp_path, targets[prefix], scratch)
        if case.outside:
            execute(project.target, case.outside)
        states = [read_facts(project.target)]
        for number in range(len(case.states)):
            follow(case, number, project)
            states.append(read_facts(project.target))
            modelled = targets[f"{prefix}_models_{number}"]
            if case.outside:
                execute(modelled, case.outside)
            create_models(case.models(number), modelled)
            if case.edits:
                execute(modelled, case.edits[0])
            demand_equal(read_facts(modelled), states[-1], "other than create_all")
            script = targets[f"{prefix}_script_{number}"]
            if case.outside:
                execute(script, case.outside)
            run_script(local_settings, demand(project, "sql", "--from", "base", "--out", "-"), script)
            demand_equal(states[-1], read_facts(script), "the script makes something else")
        for was in reversed(states[:-1]):
            demand(project, "rollback", "--stash", "0")
            demand_equal(was, read_facts(project.target), "other than before", undone=True)
    finally:
        for name in names:
            server.drop_database(name)


def follow(case: ReportedCase, number: int, project: DraftProject) -> None:
    """Draft and apply one state of the models: then nothing differs, and each revision is proven."""
    project.write_models(case.models(number))
    files = set(project.drafts)
    demand(project, "revision", "--message", f"state {number}")
    (draft,) = set(project.drafts) - files
    if number in case.edits:
        add_to_upgrade(draft, case.edits[number])
    demand(project, "migrate")
    assert "no changes found" in demand(project, "revision", "--message", "again")
    for verb in ("schema", "check", "drift"):
        demand(project, verb)
    typed = project.dbkit("roundtrip", "--jobs", "1", "--format", "json")
    verdicts = {each["verdict"] for each in json.loads(typed.stdout)["revisions"]}
    assert verdicts <= {"proven", "proven, if", "lossy"}, typed.stdout
    if case.holds:
        assert project.query(case.holds) == [(True,)]
