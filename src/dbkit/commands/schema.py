"""`dbkit schema`: write the schema snapshot."""

from pathlib import Path

from dbkit import files, project
from dbkit.commands.schema_snapshot import make_snapshot, snapshot_path
from dbkit.gate import multiple_heads
from dbkit.postgres import pg_dump, scratch_cluster
from dbkit.roundtrip.scratch_migrations import open_scratch
from dbkit.settings import Settings


def schema(settings: Settings, ini: Path) -> None:
    """Migrate a scratch database to the head and write its schema beside the migrations."""
    loaded = project.load_project(settings)
    if not settings.is_foreign:
        loaded.require_gate()
    multiple_heads.require_no_fork(loaded, settings)
    with scratch_cluster.cluster(settings) as cluster:
        scratch = open_scratch(loaded, settings, cluster, cluster.target().dbname)
        scratch.upgrade(("heads",))
        texts = {
            snapshot_path(loaded, name): make_snapshot(loaded, pg_dump.dump_schema(settings, target))
            for name, target in scratch.targets.items()
        }
    for path, text in texts.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            print(f"{path} is fresh.")
        else:
            files.write_file(path, text)
            print(f"Wrote {path}. Commit it with the migration.")
