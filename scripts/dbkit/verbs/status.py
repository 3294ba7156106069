"""`dbkit status`: where the database stands and what to type next, on one screen."""

from dataclasses import dataclass
from pathlib import Path

from dbkit import journal, project, protection
from dbkit.connect import connect, current_revisions
from dbkit.errors import Unreachable
from dbkit.lock import holder
from dbkit.server.cluster import development_cluster
from dbkit.settings import Settings, Target
from dbkit.stash import offers

LONGEST_LIST = 12  # pending migrations that fit on the screen with the rest


@dataclass(frozen=True)
class Position:
    """What was found out about a database. `problem` is why it does not answer, and None when it does."""

    place: str
    server_version: str = ""
    mark: str | None = None
    """Which environment the database says that it is."""
    current: tuple[str, ...] = ()
    half_applied: tuple[str, ...] = ()
    """Revisions that were interrupted after a part of them had been committed."""
    stashes: tuple[str, ...] = ()
    """What to say of each stash of this database."""
    problem: str | None = None
    next: str = ""
    """What to type or look at when it does not answer."""


def status(settings: Settings, ini: Path) -> int:
    """Print the screen. Exit code 4 when the database does not answer, 6 when something was left half done, 7 when it
    is ahead of this code, else 0.

    Nothing is created: an embedded cluster that exists is started, one that does not exist is not made.
    """
    loaded = project.load(ini)
    position = _look(settings, loaded)
    rows = [("database", position.place)]
    if position.problem is not None:
        rows += [("answers", f"no: {position.problem}")]
        return _print(rows, position.next, exit_code=4 if settings.target else 0)
    rows += [("answers", f"yes, PostgreSQL {position.server_version}")]
    rows += [("marked", position.mark)] if position.mark else []
    unknown = [revision for revision in position.current if not project.find(loaded.script, revision)]
    names = [
        revision if revision in unknown else project.name_of(loaded.revision(revision)) for revision in position.current
    ]
    rows += [("revision", name) for name in names] or [("revision", "none: no migration was applied yet")]
    rows += [("head", project.name_of(head)) for head in loaded.heads] or [("head", "none: there are no revisions")]
    if unknown:
        return _print(rows, f"check out the code that has {unknown[0]}; or make reset", exit_code=7)
    pending = loaded.pending(position.current)
    rows += [("pending", str(len(pending)) if pending else "nothing")]
    rows += [("", project.name_of(script)) for script in pending[:LONGEST_LIST]]
    if len(pending) > LONGEST_LIST:
        rows += [("", f"and {len(pending) - LONGEST_LIST} more")]
    rows += [("stash", line) for line in position.stashes]
    if position.half_applied:
        rows += [("half done", f"{revision}: a part of it was committed") for revision in position.half_applied]
        return _print(rows, "look at what it did; then python -m dbkit resolve REV, or alembic stamp REV", exit_code=6)
    return _print(rows, _next(loaded, len(pending)), exit_code=0)


def _look(settings: Settings, loaded: project.Project) -> Position:
    if settings.target:
        target, place = settings.target, _place(settings.target)
    else:
        cluster = development_cluster(settings)
        place = f'"{cluster.target().dbname}" on the embedded server in {cluster.directory}'
        if not cluster.exists():
            return Position(place, problem="it has not been made yet", next="make migrate")
        target = cluster.ensure_running()
    try:
        with connect(target) as connection:
            version = connection.info.parameter_status("server_version") or "?"
            rows = journal.latest(connection) if journal.wanted(settings.root) else {}
            # what runs just now looks the same as what was interrupted
            half: tuple[str, ...] = ()
            if not holder(connection, target.dbname):
                half = tuple(row.revision for row in journal.half_applied(rows.values()))
            current = current_revisions(connection)
            known = tuple(revision for revision in current if project.find(loaded.script, revision))
            stashes = tuple(offers.all_lines(connection, settings, target, loaded.applied(known)))
            return Position(place, version, protection.recorded(connection), current, half, stashes)
    except Unreachable as error:
        return Position(place, problem=error.message, next=error.hint)


def _place(target: Target) -> str:
    user = f" as {target.user}" if target.user else ""
    return f'"{target.dbname}" on {target.server()}{user}'


def _next(loaded: project.Project, pending: int) -> str:
    if len(loaded.heads) > 1:
        return 'make merge m="merge heads"'
    if pending:
        return "make migrate"
    return 'change the models, then make revision m="…"'


def _print(rows: list[tuple[str, str]], what_next: str, *, exit_code: int) -> int:
    previous = ""
    for label, value in [*rows, ("next", what_next)]:
        print(f"{'' if label == previous else label:<10}{value}")
        previous = label
    return exit_code
