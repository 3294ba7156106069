"""`dbkit check`: do the models, the migrations and the snapshot in git say the same?"""

import ast
import difflib
import io
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from dbkit import catalog, dump, project, runner, scratch
from dbkit.connect import connect
from dbkit.errors import WRITE_FIRST, CheckFailed, InputError
from dbkit.gate import ATTRIBUTE, Passage
from dbkit.server.cluster import Cluster
from dbkit.settings import Settings
from dbkit.verbs.schema import snapshot, snapshot_path

LONGEST_DIFFERENCE = 20  # lines


def check(settings: Settings, ini: Path) -> None:
    """Migrate a throw-away database and compare. Raises CheckFailed, with every finding, when something differs."""
    loaded = project.load(ini)
    loaded.require_one_head()
    if not loaded.heads:
        raise InputError("there are no revisions yet, so there is nothing to check.", WRITE_FIRST)
    with scratch.cluster(settings) as cluster:
        findings = [*_empty_downgrades(loaded), *_check_migrated(settings, loaded, cluster)]
    if findings:
        raise CheckFailed(f"{len(findings)} found:", "\n".join(findings))
    print("The models match the migrations, there is one head, and the schema snapshot is fresh.")


def _check_migrated(settings: Settings, loaded: project.Project, cluster: Cluster) -> Iterator[str]:
    on_scratch = scratch.settings_for(settings, cluster.target())
    runner.run(loaded, on_scratch, "upgrade", "head")
    loaded.config.stdout = io.StringIO()  # Alembic says there that it found nothing
    try:
        runner.run(loaded, on_scratch, "check")
    except InputError as error:
        yield f'models: {error.message}\nWrite the migration: `make revision m="…"`.'
    passage: Passage = loaded.config.attributes[ATTRIBUTE]
    if passage.metadata is not None:
        yield from _compare_with_models(cluster, passage.metadata)
    yield from _compare_with_snapshot(loaded, dump.schema(on_scratch, cluster.target()))


def _compare_with_models(cluster: Cluster, metadata: sa.MetaData) -> Iterator[str]:
    """Compare with what the models would create: autogenerate does not see enum values, or a check's text."""
    modelled = cluster.create_database("modelled")
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: connect(modelled), poolclass=sa.NullPool)
    metadata.create_all(engine)
    tables = [table.name for table in metadata.sorted_tables if not table.schema]
    with connect(cluster.target()) as migrated, connect(modelled) as created:
        lines = catalog.differences(
            catalog.table_facts(migrated, tables),
            catalog.table_facts(created, tables),
            "the migrations",
            "the models",
        )
    yield from lines


def _compare_with_snapshot(loaded: project.Project, dumped: str) -> Iterator[str]:
    path = snapshot_path(loaded)
    have = path.read_text(encoding="utf-8") if path.exists() else ""
    want = snapshot(loaded, dumped)
    if have == want:
        return
    lines = list(difflib.unified_diff(have.splitlines(), want.splitlines(), "in git", "migrated", lineterm="", n=0))
    shown = "\n".join(lines[:LONGEST_DIFFERENCE] + (["…"] if len(lines) > LONGEST_DIFFERENCE else []))
    yield f"{path} is stale. Write it: `make schema`.\n{shown}"


def _empty_downgrades(loaded: project.Project) -> Iterator[str]:
    """A downgrade that does nothing, of an upgrade that does something, leaves everything where it is and exits 0."""
    for script in loaded.script.walk_revisions():
        tree = ast.parse(Path(script.path).read_bytes())
        bodies = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
        if (
            {"upgrade", "downgrade"} <= bodies.keys()
            and _does_nothing(bodies["downgrade"])
            and not _does_nothing(bodies["upgrade"])
        ):
            yield (
                f"{script.path}:{bodies['downgrade'].lineno}: downgrade() does nothing, but upgrade() does.\n"
                "Undo it there; or raise an error that says why it cannot be undone."
            )


def _does_nothing(function: ast.FunctionDef) -> bool:
    return all(
        isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in function.body
    )
