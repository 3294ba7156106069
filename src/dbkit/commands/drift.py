"""`dbkit drift`: have the models, the migrations or the live database moved?"""

from collections.abc import Iterator
from pathlib import Path

from dbkit import drift as states
from dbkit import gate, project
from dbkit.errors import WRITE_FIRST, CheckFailed, InputError
from dbkit.gate import alembic_command, heads
from dbkit.postgres import scratch_cluster, scratch_database
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Settings

WHAT_NEXT = """\
What the models have: write it, `make revision m="…"`. What only the database has was made by hand: write a migration
for it, or take it back. What the migrations lack: write it, and `alembic stamp` where it is there already."""


def drift(settings: Settings, ini: Path) -> None:
    """Compare the three. Raises CheckFailed, object by object, when one of them has moved."""
    loaded = project.load(ini)
    loaded.require_gate()
    heads.require_one_head(loaded, settings)
    if not loaded.heads:
        raise InputError("there are no revisions yet, so there is nothing to compare.", WRITE_FIRST)
    found = states.read_live(gate.target_of(settings), settings.wait)
    states.require_comparable(loaded, found)
    with scratch_cluster.cluster(settings) as cluster:
        moved = list(_moved(settings, loaded, cluster, found))
    behind = loaded.pending(found.revisions)
    at = ", ".join(found.revisions)
    place = f"at {at}, {alembic_command.count(len(behind))} behind the head" if behind else f"at {at}, the head"
    if moved:
        raise CheckFailed(f"{len(moved)} found; the database is {place}:", "\n".join([*moved, WHAT_NEXT]))
    print(f"The models, the migrations and the database agree; the database is {place}.")


def _moved(settings: Settings, loaded: project.Project, cluster: Cluster, found: states.Live) -> Iterator[str]:
    """A sentence for each object that is not the same in all three."""
    head = states.read_history(cluster, settings, loaded, ("head",), "head")
    metadata = states.metadata_of(loaded, scratch_database.settings_for(settings, cluster.target("head")))
    modelled = None
    if not metadata:
        yield "env.py has no target_metadata: only the migrations and the database were compared"
    else:
        try:
            modelled = states.read_models(cluster, metadata)
        except states.NotModelled as error:
            yield f"the models' tables cannot be created by themselves, so they were not compared: {error}"
    if set(found.revisions) == {each.revision for each in loaded.heads}:
        states.say_whose(head, found.facts)
        yield from states.compare_three(modelled or states.Models({}, ()), head, found)
        return
    if modelled:
        yield from states.compare_three(modelled, head, states.Live(head, found.revisions))
    migrated = states.read_history(cluster, settings, loaded, found.revisions, "position")
    states.say_whose(migrated, found.facts)
    yield from states.compare_two(migrated, found)
