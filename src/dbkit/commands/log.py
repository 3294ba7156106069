"""`dbkit log`: the journal of the database."""

from dataclasses import dataclass
from pathlib import Path

from dbkit import gate, journal, project
from dbkit.errors import InputError
from dbkit.postgres.connect import connect
from dbkit.settings import Settings


@dataclass(frozen=True)
class LogOptions:
    """Options of `dbkit log`."""

    count: str
    """The number of rows, or `all`."""


def log(settings: Settings, ini: Path, options: LogOptions) -> None:
    """Print the rows of the journal, newest first."""
    limit = _parse_count(options.count)
    loaded = project.load_project(settings)
    with connect(gate.resolve_target(settings), settings.wait) as connection:
        rows = journal.read_newest(connection, limit)
        latest = journal.read_latest(connection)
    if not rows:
        print("Nothing is recorded yet.")
        return
    files = [(script.revision, Path(script.path)) for script in loaded.script.walk_revisions()]
    current = {row.id for row in latest.values()}
    edited = {path.name for path in journal.find_edited_files(latest, files)}
    for row in rows:
        print(_format_row(loaded, row, is_edited=row.id in current and row.file in edited))


def _parse_count(count: str) -> int | None:
    """Return the number of rows, or None for all. Raises InputError."""
    if count == "all":
        return None
    if not (count.isdecimal() and 0 < int(count) < 10**9):
        raise InputError(f"{count!r} is not a number of lines.", "Write a number, or all.")
    return int(count)


def _format_row(loaded: project.Project, row: journal.JournalRow, *, is_edited: bool) -> str:
    script = project.find_revision(loaded.script, row.revision)
    name = project.name_of(script) if script else row.revision
    if row.ended_at is None:
        duration = "not finished, a part was committed" if row.half_applied else "not finished"
    else:
        duration = f"{(row.ended_at - row.began_at).total_seconds():.3f} s"
    client = f" from {row.client}" if row.client else ""
    edited = "; edited since" if is_edited else ""
    return (
        f"{row.began_at:%Y-%m-%d %H:%M:%S%z}  {row.action:<9}  {name}  {duration}, by {row.applied_by}{client}{edited}"
    )
