"""`dbkit graph`: the revision history as a picture, with what is applied to the database."""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import sqlalchemy as sa

from dbkit import gate, journal, project
from dbkit.commands.picture_output import choose_format, write_picture
from dbkit.errors import DatabaseAhead, DbkitError, as_dbkit_error
from dbkit.gate import databases, diagnosis
from dbkit.pictures.history import from_script
from dbkit.pictures.history_svg import history_svg
from dbkit.pictures.history_text import can_draw_boxes, history_text
from dbkit.postgres.cluster import development_cluster
from dbkit.postgres.connect import connect, current_revisions
from dbkit.postgres.locks import find_holder
from dbkit.project.config import read_config
from dbkit.settings import Settings
from dbkit.wording import counted

SUFFIXES = {".svg": "svg", ".txt": "text"}


@dataclass(frozen=True)
class GraphOptions:
    """Options of `dbkit graph`."""

    report: str | None
    output: str | None
    last: int | None
    database_name: str | None


@dataclass(frozen=True)
class _Applied:
    """The part of the history that a database has; `current` is None, with the reason, where none was asked."""

    current: tuple[str, ...] | None = None
    rows: Sequence[journal.JournalRow] = ()
    half_applied: Collection[str] = ()
    reason: str = ""


def graph(settings: Settings, ini: Path, options: GraphOptions) -> int:
    """Draw the history. A database that does not answer is no failure: the picture has the reason.

    Returns 7 for a database at a revision that has no file, else 0.
    """
    kind = choose_format(options.report, options.output, SUFFIXES, "text")
    loaded = project.load_project(settings)
    found = _read_applied(loaded, settings, options.database_name)
    history = from_script(
        loaded.script, found.current, found.rows, found.half_applied, last=options.last, reason=found.reason
    )
    if kind == "svg":
        picture = history_svg(history)
    else:
        encoding = getattr(sys.stdout, "encoding", None) if options.output in (None, "-") else "utf-8"
        picture = history_text(history, boxes=can_draw_boxes(encoding))
    write_picture(picture, options.output, counted(len(history.revisions), "revision"))
    return DatabaseAhead.exit_code if history.missing else 0


def _read_applied(loaded: project.Project, settings: Settings, name: str | None) -> _Applied:
    """Ask the database, without waiting for one that does not answer; an embedded one is not made for that."""
    patience = min(settings.wait, diagnosis.PATIENCE)
    settings = replace(settings, wait=0)
    try:
        if settings.is_foreign:
            settings = databases.choose_settings(loaded, settings, name)
        elif settings.target is None and not development_cluster(settings).exists():
            return _Applied(reason="the embedded database was not made yet.")
        return _ask(settings, patience)
    except (DbkitError, psycopg.Error, sa.exc.DBAPIError, OSError) as error:
        if name and settings.is_foreign:
            raise
        return _Applied(reason=as_dbkit_error(error).message)


def _ask(settings: Settings, patience: float) -> _Applied:
    target = gate.resolve_target(settings)
    own = {"default_transaction_read_only": "on"}
    with connect(target, 0, patience=patience, settings=own) as connection:
        current = current_revisions(connection)
        if not read_config(settings.ini).journal:
            return _Applied(current)
        rows = journal.read_newest(connection, None)
        latest = journal.read_latest(connection)
        # a running step has the same row as an interrupted one
        half = () if find_holder(connection, target) else journal.find_half_applied(latest.values())
        return _Applied(current, rows, {row.revision for row in half})
