"""`dbkit check`: check that the models, the migrations and the schema snapshot agree."""

import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg

from dbkit import gate, project
from dbkit.commands.schema_snapshot import compare_snapshot, make_snapshot, snapshot_path
from dbkit.drafts.compare import Migrated, migrate_scratch
from dbkit.drafts.describe import describe_differences
from dbkit.drafts.models import ModelsNotCreated
from dbkit.drift import compare, read
from dbkit.errors import (
    WRITE_FIRST,
    CheckFailed,
    DatabaseAhead,
    DbkitError,
    InputError,
    Unreachable,
    as_dbkit_error,
    say,
)
from dbkit.findings.finding import LintFinding
from dbkit.gate import databases, diagnosis, multiple_heads
from dbkit.lint import acceptance, source_rules
from dbkit.postgres import pg_dump
from dbkit.postgres.cluster import Cluster, development_cluster
from dbkit.postgres.connection_guard import ConnectionRefused
from dbkit.project import head_file
from dbkit.roundtrip.kept_head import KeptHead, open_kept
from dbkit.roundtrip.scratch_migrations import open_scratch
from dbkit.settings import Settings
from dbkit.wording import counted


def check(settings: Settings, ini: Path) -> None:
    """Migrate a scratch database and compare it. Raises CheckFailed with all findings."""
    with open_kept(settings, ini) as (server, kept):
        loaded = project.load_project(settings)
        if not settings.is_foreign:
            loaded.require_gate()
        multiple_heads.require_no_fork(loaded, settings)
        if not loaded.heads:
            raise InputError("there are no revisions yet, so there is nothing to check.", WRITE_FIRST)
        matching: list[str] = []
        found: list[str] = []
        failure: DbkitError | None = None
        try:
            server.wait()
            found += _check_migrated(settings, loaded, kept, matching)
        except ConnectionRefused:
            raise
        except DbkitError as error:
            failure = error
        # these read files on which the kept database does not depend
        findings = [*_find_in_files(settings, loaded), *found]
        if failure and not findings:
            raise failure
        findings += [failure.message] if failure else []
        if findings:
            raise CheckFailed(f"{counted(len(findings), 'problem')} found:", "\n".join(findings))
        print(f"{', '.join(matching[:-1])}, and {matching[-1]}.", flush=True)


def _find_in_files(settings: Settings, loaded: project.Project) -> Iterator[str]:
    """Describe what is wrong with the head file, and the findings in revision files that are not accepted."""
    stale = _find_stale_head(settings, loaded)
    if stale:
        yield stale
    yield from map(_describe_finding, acceptance.find_unaccepted(list(source_rules.find_in_project(loaded)), loaded))


def _find_stale_head(settings: Settings, loaded: project.Project) -> str:
    """Describe what is wrong with the head file, where the project has one: each of the kit's layout does."""
    directory = Path(loaded.script.dir)
    # revisions without their source are not in git, and need no head file
    if (loaded.script.sourceless or settings.is_foreign) and not head_file.path_in(directory).exists():
        return ""
    return head_file.find_problem(directory, [head.revision for head in loaded.heads])


def _describe_finding(finding: LintFinding) -> str:
    place = f"{finding.path}:{finding.line}" if finding.line else f"{finding.path}"
    return f"{place}: {finding.id}: {finding.message}. Instead:\n{textwrap.indent(finding.fix, '  ')}"


def _check_migrated(settings: Settings, loaded: project.Project, kept: KeptHead, matching: list[str]) -> Iterator[str]:
    """Yield the findings, and add to `matching` what was compared."""
    cluster = kept.cluster
    migrated = migrate_scratch(loaded, settings, cluster, cluster.target().dbname, kept)
    has_snapshot = False
    for name, target in migrated.scratch.targets.items():
        if name in migrated.models:
            yield from _compare_with_models(migrated, name)
        path = snapshot_path(loaded, name)
        # a project that has never written one does without
        if path.exists() or not settings.is_foreign:
            want = make_snapshot(loaded, pg_dump.dump_schema(settings, target))
            yield from compare_snapshot(path, want, cluster, name)
            has_snapshot = True
    if migrated.models:
        matching.append("The models match the migrations")
    else:
        matching.append("The migrations apply to a new database, env.py has no target_metadata to compare them with")
    matching += ["there is one head", *(["the schema snapshot is fresh"] if has_snapshot else [])]
    yield from _compare_with_live(settings, loaded, cluster, migrated)


def _compare_with_models(migrated: Migrated, name: str) -> Iterator[str]:
    """Compare what the migrations make with what the models make."""
    try:
        comparison = migrated.compare(name)
    except ModelsNotCreated as error:
        yield f"the models' tables cannot be created, so they were not compared: {error}"
        return
    yield from comparison.notes
    lines = list(describe_differences(comparison))
    if lines:
        heading = 'the models have changes that no migration has. Write it: `make revision m="…"`.'
        yield "\n".join([heading, *lines])


def _compare_with_live(settings: Settings, loaded: project.Project, cluster: Cluster, head: Migrated) -> Iterator[str]:
    """Compare with the database of .env, where it is running: it is neither created nor waited for."""
    if not settings.is_foreign and settings.target is None and not development_cluster(settings).exists():
        return
    try:
        named = databases.list_settings(loaded, replace(settings, wait=0))
        found = [read.read_live(gate.resolve_target(each), 0, min(each.wait, diagnosis.PATIENCE)) for each in named]
        for live in found:
            read.require_comparable(loaded, live)
    except (Unreachable, DatabaseAhead, InputError, psycopg.OperationalError) as error:
        say(f"the database of .env was not compared: {as_dbkit_error(error).message}")
        return
    for each, live in zip(named, found, strict=True):
        if len(named) == 1 and set(live.revisions) == {script.revision for script in loaded.heads}:
            migrated = read.read_facts(head.scratch.target)
        else:
            migrated = read.read_migrated(open_scratch(loaded, each, cluster, "position"), live.revisions)
        compare.report_foreign(migrated, live.facts)
        prefix = f"{each.database}: " if each.database else ""
        yield from (f"{prefix}{line}" for line in compare.compare_two(migrated, live))
