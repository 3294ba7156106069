"""`dbkit diagram`: the tables of the migrated schema as a picture, or those that a revision touches."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dbkit import catalog, journal, project
from dbkit.backfill import progress
from dbkit.commands.picture_output import choose_format, write_picture
from dbkit.errors import WRITE_FIRST, InputError
from dbkit.pictures.definitions import split_identity
from dbkit.pictures.diagram import Diagram, from_catalog
from dbkit.pictures.diagram_svg import diagram_svg
from dbkit.pictures.dot import diagram_dot
from dbkit.pictures.mermaid import diagram_mermaid
from dbkit.postgres import scratch_cluster
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect
from dbkit.postgres.sql_text import find_changed_tables
from dbkit.project.revision_order import parents_of
from dbkit.roundtrip.scratch_migrations import ScratchMigrations, open_scratch
from dbkit.settings import Settings, Target
from dbkit.wording import counted

SUFFIXES = {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot"}
RENDER: Mapping[str, Callable[[Diagram], str]] = {
    "svg": diagram_svg,
    "mermaid": diagram_mermaid,
    "dot": diagram_dot,
}


@dataclass(frozen=True)
class DiagramOptions:
    """Options of `dbkit diagram`."""

    report: str | None
    output: str | None
    revision: str | None
    database_name: str | None


def diagram(settings: Settings, ini: Path, options: DiagramOptions) -> None:
    """Migrate a scratch database, and draw its tables."""
    kind = choose_format(options.report, options.output, SUFFIXES, "mermaid")
    loaded = project.load_project(settings)
    if not settings.is_foreign:
        loaded.require_gate()
    if not loaded.heads:
        raise InputError("there are no revisions yet, so there is no schema.", WRITE_FIRST)
    with scratch_cluster.cluster(settings) as cluster:
        if options.revision is None:
            made = _draw_schema(loaded, settings, cluster, options.database_name)
        else:
            made = _draw_revision(loaded, settings, cluster, options.revision, options.database_name)
    write_picture(RENDER[kind](made), options.output, counted(len(made.tables), "table"))


def _draw_schema(loaded: project.Project, settings: Settings, cluster: Cluster, name: str | None) -> Diagram:
    scratch = open_scratch(loaded, settings, cluster, cluster.target().dbname)
    scratch.upgrade(("heads",))
    heads = " and ".join(head.revision for head in loaded.heads)
    return from_catalog(_read_facts(_choose(scratch, name)), title=f"Schema at revision {heads}")


def _draw_revision(
    loaded: project.Project, settings: Settings, cluster: Cluster, revision: str, name: str | None
) -> Diagram:
    """Draw what the revision changes in the schema, and the tables whose rows its statements change."""
    script = loaded.revision(revision)
    scratch = open_scratch(loaded, settings, cluster, cluster.target().dbname)
    scratch.upgrade(parents_of(loaded, script))
    before = _read_facts(_choose(scratch, name))
    with _recorded_statements() as statements:
        scratch.upgrade((script.revision,))
    after = _read_facts(_choose(scratch, name))
    changed = {table for statement in statements for _, table in find_changed_tables(statement)}
    touched = {
        fact.identity
        for fact in {*before, *after}
        if fact.kind in ("table", "foreign table") and split_identity(fact.identity)[1] in changed
    }
    return from_catalog(after, touched, before, f"Revision {project.name_of(script)}")


def _choose(scratch: ScratchMigrations, name: str | None) -> Target:
    """Return the scratch database of the one that is named, or the only one. Raises InputError."""
    targets = scratch.targets
    if name is None and len(targets) == 1:
        return next(iter(targets.values()))
    if name is not None and name in targets:
        return targets[name]
    known = ", ".join(each or "one without a name" for each in targets)
    if name is None:
        raise InputError(f"env.py has {len(targets)} databases: {known}.", "Name one of them: --database NAME.")
    raise InputError(f"env.py has no database called {name!r}.", f"It has {known}.")


def _read_facts(target: Target) -> Mapping[catalog.Fact, str]:
    """Read a scratch database, without the tables of Alembic and dbkit."""
    with connect(target) as connection:
        return catalog.read_facts(connection, version_tables=[target.history.table, journal.TABLE, progress.TABLE])


@contextmanager
def _recorded_statements() -> Iterator[list[str]]:
    """Record the statements that SQLAlchemy executes."""
    found: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        found.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", record)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", record)
