"""`dbkit sql`: the SQL that `migrate` would run, for a DBA to read and to run."""

import io
from pathlib import Path

from dbkit import files, project
from dbkit.errors import InputError
from dbkit.gate import alembic_command, multiple_heads
from dbkit.redaction.outputs import write_data
from dbkit.settings import Settings

STDOUT = "-"


def sql(settings: Settings, ini: Path, out: str, start: str | None = None, to: str = "head") -> None:
    """Write the script to the file `out`, or to standard output for `-`.

    It begins where the database is; with `start` (a revision, or `base`) no database is asked. A file is written whole
    or not at all; what is no regular file is written to.
    """
    loaded = project.load(ini)
    loaded.require_gate()
    multiple_heads.require_one_head(loaded, settings)
    for revision in (start, to):
        if revision is not None:
            alembic_command.require_revision_name(revision)
    if out == "":
        raise InputError("out= names no file.", "Give it a name, or - for standard output.")
    revisions = (start,) if start else alembic_command.read_position(loaded, settings)
    start = " and ".join(revisions) or "base"
    script = io.StringIO()
    loaded.config.output_buffer = script
    # Alembic's range has one revision before the colon; a database at several goes by start=
    span = f"{revisions[0] if revisions else 'base'}:{to}"
    passage = alembic_command.run_alembic(loaded, settings, "upgrade", span, sql=True, start=revisions)
    if not passage.steps:
        print(f"Nothing to write: there is no migration between {start} and {to}.")
        return
    if out == STDOUT or files.is_stdout(Path(out)):
        write_data(script.getvalue())
        return
    _write(Path(out), script.getvalue())
    migrations = alembic_command.count_migrations(len(passage.steps))
    print(f"Wrote {out}: {migrations} from {start} to {to}. To run it: make psql <{out}, or psql -f {out}")


def _write(path: Path, text: str) -> None:
    try:
        files.write_file(path, text)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}.") from error
