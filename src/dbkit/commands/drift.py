"""`dbkit drift`: show the differences between the models, the migrations and the database."""

from collections.abc import Iterator
from pathlib import Path

from dbkit import gate, project
from dbkit.drafts.compare import Migrated, migrate_scratch
from dbkit.drafts.models import ModelsNotCreated
from dbkit.drift import compare, read
from dbkit.errors import WRITE_FIRST, CheckFailed, InputError, say
from dbkit.gate import multiple_heads
from dbkit.postgres.cluster import Cluster
from dbkit.roundtrip.kept_head import open_kept
from dbkit.roundtrip.scratch_migrations import open_scratch
from dbkit.settings import Settings
from dbkit.wording import counted

NEXT_STEPS = """\
What only the models have: write it, `make revision m="…"`. What only the database has was made by hand: write a
migration for it, or undo it. What the migrations lack: write it, and `alembic stamp` where it is there already."""


def drift(settings: Settings, ini: Path) -> None:
    """Compare the three states. Raises CheckFailed with a line for each object that differs."""
    with open_kept(settings, ini) as (server, kept):
        loaded = project.load_project(settings)
        if not settings.is_foreign:
            loaded.require_gate()
        multiple_heads.require_no_fork(loaded, settings)
        if not loaded.heads:
            raise InputError("there are no revisions yet, so there is nothing to compare.", WRITE_FIRST)
        live = read.read_live(gate.resolve_target(settings), settings.wait)
        read.require_comparable(loaded, live)
        server.wait()
        migrated = migrate_scratch(loaded, settings, kept.cluster, "head", kept)
        differences = list(_compare(settings, loaded, kept.cluster, live, migrated))
    behind = loaded.pending(live.revisions)
    head = f"{counted(len(behind), 'migration')} behind the head" if behind else "the head"
    position = f"at {', '.join(live.revisions)}, {head}"
    if differences:
        message = f"{counted(len(differences), 'difference')} found; the database is {position}:"
        raise CheckFailed(message, "\n".join([*differences, NEXT_STEPS]))
    agreeing = "models, the migrations" if settings.database in migrated.models else "migrations"
    print(f"The {agreeing} and the database agree; the database is {position}.")


def _compare(
    settings: Settings, loaded: project.Project, cluster: Cluster, live: read.Live, migrated: Migrated
) -> Iterator[str]:
    """Yield a line for each object that is not the same in all three."""
    comparison = None
    if settings.database not in migrated.models:
        say("env.py has no target_metadata: only the migrations and the database are compared.")
    else:
        try:
            comparison = migrated.compare(settings.database)
        except ModelsNotCreated as error:
            yield f"the models' tables cannot be created, so they were not compared: {error}"
    for note in comparison.notes if comparison else ():
        say(note)
    if set(live.revisions) == {each.revision for each in loaded.heads}:
        head = read.read_facts(migrated.scratch.target)
        compare.report_foreign(head, live.facts)
        yield from compare.compare_three(comparison, head, live)
        return
    if comparison:
        yield from compare.compare_models(comparison)
    former = read.read_migrated(open_scratch(loaded, settings, cluster, "position"), live.revisions)
    compare.report_foreign(former, live.facts)
    yield from compare.compare_two(former, live)
