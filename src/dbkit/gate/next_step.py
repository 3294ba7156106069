"""Suggest the next command for the status of a database: the one place that decides it, for every verb."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from dbkit import journal, project
from dbkit.errors import DatabaseAhead, DbkitError, InputError, LockNotGranted, lock_error
from dbkit.gate import diagnosis, multiple_heads, protection, requirements
from dbkit.postgres.connect import current_revisions, keeps_session
from dbkit.postgres.locks import find_holder
from dbkit.postgres.own_statements import OwnConnection
from dbkit.project import Project, branches
from dbkit.project.config import read_config
from dbkit.settings import Settings, Target
from dbkit.stash import pending

MIGRATE = "make migrate"
REVISION = 'make revision m="…"'
IS_READ_ONLY = "SELECT pg_catalog.current_setting('transaction_read_only') = 'on'"


@dataclass(frozen=True)
class DatabaseStatus:
    """The state of a database as far as it can be read: a field stays empty where another session holds a lock."""

    is_read_only: bool = False
    is_pooled: bool = False
    """Whether there is a pooler before it that keeps no session."""
    running: str | None = None
    """The session that is migrating it, and its progress."""
    mark: str | None = None
    """Its environment mark."""
    current: tuple[str, ...] = ()
    half_applied: tuple[journal.JournalRow, ...] = ()
    """The journal rows of steps that were interrupted after a part of them had been committed."""
    edited: tuple[Path, ...] = ()
    """Files of applied revisions that were edited since."""
    invalid: dict[str, str] = field(default_factory=dict)
    """Invalid indexes: full name to short name."""
    not_adopted: str = ""
    """Why a database without history cannot be migrated."""
    stashes: tuple[str, ...] = ()
    """A line for each stash of this database."""
    restorable: bool = False
    """Whether one of them can be restored now."""
    locked: LockNotGranted | None = None
    """The lock that stopped the reading."""


@dataclass(frozen=True)
class NextStep:
    """The next command or the place to look at, and the exit code of `dbkit status`."""

    words: str
    exit_code: int = 0


def read_status(connection: OwnConnection, loaded: Project, settings: Settings, target: Target) -> DatabaseStatus:
    """Read the status of a database, waiting for locks of other sessions as long as the connection does."""
    found: dict[str, Any] = {}
    try:
        for name, value in _read_values(connection, loaded, settings, target):
            found[name] = value
    except psycopg.errors.LockNotAvailable as error:
        connection.rollback()
        found["locked"] = lock_error(error)
    return DatabaseStatus(**found)


def _read_values(connection: OwnConnection, loaded: Project, settings: Settings, target: Target) -> Any:
    yield "is_pooled", not keeps_session(connection)
    yield "is_read_only", connection.execute(IS_READ_ONLY).fetchone() == (True,)
    running = find_holder(connection, target)
    yield "running", running
    yield "mark", protection.read_mark(connection)
    yield "invalid", diagnosis.read_invalid_indexes(connection)
    current = current_revisions(connection)
    yield "current", current
    known = tuple(revision for revision in current if project.find_revision(loaded.script, revision))
    applied = loaded.applied(known)
    if not current:
        files = [Path(script.path) for script in loaded.pending(())]
        try:
            requirements.require_adopted(connection, files, target.dbname)
        except InputError as error:
            yield "not_adopted", error.message
    yield "stashes", tuple(pending.describe_all(connection, settings, target, applied))
    yield "restorable", bool(pending.describe_restorable(connection, settings, target, applied))
    if read_config(settings.ini).journal:
        rows = journal.read_latest(connection)
        # a running step has the same row as an interrupted one
        half = journal.find_half_applied(rows.values()) if not running else []
        yield "half_applied", tuple(half)
        files_of = [(script.revision, Path(script.path)) for script in map(loaded.revision, sorted(applied))]
        yield "edited", tuple(journal.find_edited_files(rows, files_of))


def suggest_next_step(loaded: Project, status: DatabaseStatus, settings: Settings) -> NextStep:
    """Suggest what to type for a database with this status."""
    return _find_obstacle(loaded, status, settings) or NextStep(_suggest_command(loaded, status, settings))


def _find_obstacle(loaded: Project, status: DatabaseStatus, settings: Settings) -> NextStep | None:
    """Return what has to be done before any migration; None where nothing has."""
    if status.locked:
        return NextStep(status.locked.hint.partition("\n")[0], status.locked.exit_code)
    if status.is_pooled:
        return NextStep(
            "set MIGRATION_DATABASE_URL in .env to the server's own address, or to the pooler's session mode: "
            "this is a pooler in transaction mode"
        )
    try:
        requirements.require_consistent(loaded.script, status.current, settings.history.table)
    except DatabaseAhead as error:
        unknown = next(each for each in status.current if not project.find_revision(loaded.script, each))
        expendable = {protection.stated_environment(settings), status.mark or protection.EXPENDABLE[0]} <= {
            *protection.EXPENDABLE
        }
        reset = "; or, where it may lose its data: make reset" if expendable else ""
        return NextStep(f"check out the code that has {unknown}{reset}", error.exit_code)
    except DbkitError as error:
        return NextStep(error.hint.partition("\n")[0], error.exit_code)
    if status.running:
        return NextStep("wait until the running migration is done: python -m dbkit wait --at-head")
    if status.half_applied:
        revision = status.half_applied[0].revision
        return NextStep(f"look at what it did; then python -m dbkit resolve {revision}, or alembic stamp REV", 6)
    if branches.find_forks(loaded.script, loaded.heads):
        return NextStep(multiple_heads.suggest_join(loaded, loaded.applied(status.current)))
    if status.edited and protection.stated_environment(settings) in protection.EXPENDABLE:
        return NextStep(_suggest_after_edit(loaded, status))
    for index, name in status.invalid.items():
        texts = [Path(script.path).read_text(encoding="utf-8") for script in loaded.pending(status.current)]
        again = any(name in text for text in texts)
        statement = f"DROP INDEX CONCURRENTLY IF EXISTS {index}" if again else f"REINDEX INDEX CONCURRENTLY {index}"
        return NextStep(f'echo "{statement}" | make psql', 6)
    return None


def _suggest_command(loaded: Project, status: DatabaseStatus, settings: Settings) -> str:
    if not loaded.heads:
        return REVISION
    if loaded.pending(status.current):
        if status.is_read_only:
            return "name the primary in .env: this server is read-only"
        if status.not_adopted:
            confirm = (
                "" if protection.stated_environment(settings) in protection.EXPENDABLE else "with CONFIRM=<database>, "
            )
            return f"{confirm}alembic stamp REV, where REV is the last revision that it has all of; then {MIGRATE}"
        return MIGRATE
    if status.restorable and not status.is_read_only:
        return "make restore"
    return f"change the models, then {REVISION}"


def _suggest_after_edit(loaded: Project, status: DatabaseStatus) -> str:
    revisions = {script.revision: Path(script.path) for script in loaded.script.walk_revisions()}
    edited = [revision for revision, path in revisions.items() if path in status.edited]
    if (*edited,) == status.current:
        return "make redo"
    return f"undo the edit of {status.edited[0].name}, or, if it changes nothing: python -m dbkit accept {edited[0]}"
