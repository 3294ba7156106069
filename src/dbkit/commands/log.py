"""`dbkit log`: the journal of the database."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dbkit import gate, journal, project
from dbkit.errors import InputError
from dbkit.postgres.connect import connect
from dbkit.settings import Settings
from dbkit.terminal import person


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
    entries = [_make_entry(loaded, row, is_edited=row.id in current and row.file in edited) for row in rows]
    if person.looks_at(sys.stdout):
        _print_table(entries)
        return
    for each in entries:
        print(f"{each.began}  {each.action:<9}  {each.name}  {each.duration}, by {each.by}{each.edited}")


def _parse_count(count: str) -> int | None:
    """Return the number of rows, or None for all. Raises InputError."""
    if count == "all":
        return None
    if not (count.isdecimal() and 0 < int(count) < 10**9):
        raise InputError(f"{count!r} is not a number of lines.", "Write a number, or all.")
    return int(count)


@dataclass(frozen=True)
class _Entry:
    """A row of the journal in words."""

    began: str
    action: str
    name: str
    duration: str
    by: str
    edited: str
    is_finished: bool


def _make_entry(loaded: project.Project, row: journal.JournalRow, *, is_edited: bool) -> _Entry:
    script = project.find_revision(loaded.script, row.revision)
    name = project.name_of(script) if script else row.revision
    if row.ended_at is None:
        duration = "not finished, a part was committed" if row.half_applied else "not finished"
    else:
        duration = f"{(row.ended_at - row.began_at).total_seconds():.3f} s"
    client = f" from {row.client}" if row.client else ""
    edited = "; edited since" if is_edited else ""
    began = f"{row.began_at:%Y-%m-%d %H:%M:%S%z}"
    return _Entry(began, row.action, name, duration, f"{row.applied_by}{client}", edited, row.ended_at is not None)


def _print_table(entries: Sequence[_Entry]) -> None:
    from dbkit.terminal.tables import Cell, Column, print_table  # a pipe needs no rich

    columns = [Column("began"), Column("action"), Column("revision", is_wrapped=True), Column("took", is_wrapped=True)]
    rows = [
        [
            Cell(each.began),
            Cell(each.action),
            Cell(f"{each.name}{each.edited}", "warning" if each.edited else ""),
            Cell(each.duration, "" if each.is_finished else "bad"),
            Cell(each.by),
        ]
        for each in entries
    ]
    print_table([*columns, Column("by", is_wrapped=True)], rows)
