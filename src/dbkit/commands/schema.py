"""`dbkit schema`: write the schema snapshot."""

from pathlib import Path

from dbkit import files, project
from dbkit.commands.schema_snapshot import make_snapshot, snapshot_path
from dbkit.gate import alembic_command, multiple_heads
from dbkit.postgres import pg_dump, scratch_cluster, scratch_database
from dbkit.settings import Settings


def schema(settings: Settings, ini: Path) -> None:
    """Migrate a scratch database to the head and write its schema beside the migrations."""
    loaded = project.load(ini)
    loaded.require_gate()
    multiple_heads.require_one_head(loaded, settings)
    path = snapshot_path(loaded)
    with scratch_cluster.cluster(settings) as cluster:
        scratch_settings = scratch_database.settings_for(settings, cluster.target())
        alembic_command.run_alembic(loaded, scratch_settings, "upgrade", "head")
        text = make_snapshot(loaded, pg_dump.dump_schema(scratch_settings, cluster.target()))
    if path.exists() and path.read_text(encoding="utf-8") == text:
        print(f"{path} is fresh.")
        return
    files.write_file(path, text)
    print(f"Wrote {path}. Commit it with the migration.")
