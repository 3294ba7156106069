"""`dbkit sql`: write the SQL that `migrate` would run, for a DBA."""

import io
from dataclasses import dataclass
from pathlib import Path

from dbkit import files, hints, project
from dbkit.errors import InputError, say
from dbkit.gate import alembic_command, databases, multiple_heads
from dbkit.redaction.outputs import write_data
from dbkit.settings import Settings
from dbkit.wording import counted

STDOUT = "-"
BEGIN_AT_ONE = "Begin at one of them: --from REV"


@dataclass(frozen=True)
class SqlOptions:
    """Options of `dbkit sql`."""

    out: str
    """A file, or - for standard output."""
    start: str | None
    """A revision, or `base`; None: the revisions that the database is at."""
    to: str


def sql(settings: Settings, ini: Path, options: SqlOptions) -> None:
    """Write the script. A regular file is written whole or not at all."""
    out, to = options.out, options.to
    loaded = project.load_project(settings)
    loaded.require_gate()
    # with --from, nothing connects to a database
    named = [settings] if options.start else databases.list_settings(loaded, settings)
    multiple_heads.require_no_fork(loaded, named[0])
    to = "heads" if to == "head" and len(loaded.heads) > 1 else to
    for revision in (options.start, to):
        if revision is not None:
            alembic_command.require_revision_name(revision)
    if out == "":
        raise InputError("out= names no file.", "Give it a name, or - for standard output.")
    revisions = (options.start,) if options.start else databases.read_one_position(loaded, named, BEGIN_AT_ONE)
    start = " and ".join(revisions) or "base"
    script = io.StringIO()
    loaded.config.output_buffer = script
    # Alembic's range takes one revision before the colon; several are passed by start=
    span = f"{revisions[0] if revisions else 'base'}:{to}"
    steps = alembic_command.run_alembic(loaded, settings, "upgrade", span, sql=True, start=revisions).steps
    if not steps:
        print(f"Nothing to write: there is no migration between {start} and {to}.")
        return
    migrations = counted(len(steps), "migration")
    if not script.getvalue():
        # as that of the template multidb does
        say(f"env.py has written {migrations} from {start} to {to} to files of its choice, and nothing for {out}.")
        return
    if out == STDOUT or files.is_stdout(Path(out)):
        write_data(script.getvalue())
        return
    _write(Path(out), script.getvalue())
    hints.show(f"Wrote {out}: {migrations} from {start} to {to}. To run it: make psql <{out}, or psql -f {out}")


def _write(path: Path, text: str) -> None:
    try:
        files.write_file(path, text)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}.") from error
