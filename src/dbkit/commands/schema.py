"""`dbkit schema`: write the snapshot of the migrated schema that is kept in git."""

import re
from pathlib import Path

from dbkit import files, project
from dbkit.errors import WRITE_FIRST, InputError
from dbkit.gate import alembic_command, heads
from dbkit.postgres import pg_dump, scratch_cluster, scratch_database
from dbkit.redaction import redact
from dbkit.settings import Settings

# What pg_dump writes with a login in it
LOGIN = re.compile(r"^(?:CREATE|ALTER) (?:USER MAPPING|SERVER|SUBSCRIPTION)\b.*?;$", re.MULTILINE | re.DOTALL)


def schema(settings: Settings, ini: Path) -> None:
    """Migrate a throw-away database to the head, and write its schema beside the migrations."""
    loaded = project.load(ini)
    loaded.require_gate()
    heads.require_one_head(loaded, settings)
    path = snapshot_path(loaded)
    with scratch_cluster.cluster(settings) as cluster:
        on_scratch = scratch_database.settings_for(settings, cluster.target())
        alembic_command.run(loaded, on_scratch, "upgrade", "head")
        text = snapshot(loaded, pg_dump.dump_schema(on_scratch, cluster.target()))
    if path.exists() and path.read_text(encoding="utf-8") == text:
        print(f"{path} is fresh.")
        return
    files.write(path, text)
    print(f"Wrote {path}. Commit it with the migration.")


def snapshot_path(loaded: project.Project) -> Path:
    """Where the snapshot is: beside the directory of the migrations."""
    return Path(loaded.script.dir).parent / "schema.sql"


def snapshot(loaded: project.Project, dumped: str) -> str:
    """The snapshot's text for a dump at head, without passwords of other servers: it is kept in git.

    Raises InputError when there is no revision to take one of.
    """
    if not loaded.heads:
        raise InputError("there are no revisions yet, so there is no schema.", WRITE_FIRST)
    dumped = LOGIN.sub(lambda match: redact.shapes(match[0]), dumped)
    return f"-- The schema at revision {loaded.heads[0].revision}. Written by `make schema`; do not edit.\n\n{dumped}"
