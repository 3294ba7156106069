"""What to type next, for a database as it is found: the one place that decides it, for every verb."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from dbkit import journal, project
from dbkit.errors import DatabaseAhead, DbkitError, InputError, LockNotGranted, lock_error
from dbkit.gate import diagnosis, heads, preconditions, protection
from dbkit.postgres.connect import current_revisions
from dbkit.postgres.locks import find_holder
from dbkit.project import Project
from dbkit.project.config import read_config
from dbkit.settings import Settings, Target
from dbkit.stash import pending

MIGRATE = "make migrate"
REVISION = 'make revision m="…"'
# Whether the server takes writes, and whether it is the server itself that answers
SERVER = "SELECT pg_catalog.current_setting('transaction_read_only') = 'on', pg_catalog.pg_backend_pid()"


@dataclass(frozen=True)
class Facts:
    """What a database says of itself, as far as it can be read: what is locked by others is left empty."""

    is_read_only: bool = False
    is_pooled: bool = False
    running: str | None = None
    """Who migrates it just now, and how far that is."""
    mark: str | None = None
    """Which environment it says that it is."""
    current: tuple[str, ...] = ()
    half_applied: tuple[journal.Row, ...] = ()
    """Of revisions that were interrupted after a part of them had been committed."""
    edited: tuple[Path, ...] = ()
    """Files of applied revisions that were edited since."""
    invalid: dict[str, str] = field(default_factory=dict)
    """Invalid indexes: full name to short name."""
    not_adopted: str = ""
    """Why a database without history cannot be migrated."""
    stashes: tuple[str, ...] = ()
    """What to say of each stash of this database."""
    restorable: bool = False
    """Whether one of them can be put back now."""
    locked: LockNotGranted | None = None
    """Why it could not be read to its end."""


@dataclass(frozen=True)
class NextStep:
    """What to type or look at, and the exit code of `dbkit status`."""

    words: str
    exit_code: int = 0


def read(connection: psycopg.Connection, loaded: Project, settings: Settings, target: Target) -> Facts:
    """Read what `next_step` decides by. What others have locked is waited for as long as the connection waits."""
    found: dict[str, Any] = {}
    try:
        for name, value in _facts(connection, loaded, settings, target):
            found[name] = value
    except psycopg.errors.LockNotAvailable as error:
        connection.rollback()
        found["locked"] = lock_error(error)
    return Facts(**found)


def _facts(connection: psycopg.Connection, loaded: Project, settings: Settings, target: Target) -> Any:
    row = connection.execute(SERVER).fetchone() or (False, 0)
    yield "is_read_only", row[0]
    yield "is_pooled", row[1] != connection.info.backend_pid
    running = find_holder(connection, target.dbname)
    yield "running", running
    yield "mark", protection.recorded(connection)
    yield "invalid", diagnosis.invalid_indexes(connection)
    current = current_revisions(connection)
    yield "current", current
    known = tuple(revision for revision in current if project.find(loaded.script, revision))
    applied = loaded.applied(known)
    if not current:
        files = [Path(script.path) for script in loaded.pending(())]
        try:
            preconditions.require_adopted(connection, files, target.dbname)
        except InputError as error:
            yield "not_adopted", error.message
    yield "stashes", tuple(pending.all_lines(connection, settings, target, applied))
    yield "restorable", bool(pending.lines(connection, settings, target, applied))
    if read_config(settings.root / "alembic.ini").journal:
        rows = journal.latest(connection)
        # what runs just now looks the same as what was interrupted
        half = journal.half_applied(rows.values()) if not running else []
        yield "half_applied", tuple(half)
        files_of = [(script.revision, Path(script.path)) for script in map(loaded.revision, sorted(applied))]
        yield "edited", tuple(journal.edited(rows, files_of))


def next_step(loaded: Project, state: Facts, settings: Settings) -> NextStep:
    """What to type for a database in this state."""
    return _stops(loaded, state, settings) or NextStep(_goes_on(loaded, state, settings))


def _stops(loaded: Project, state: Facts, settings: Settings) -> NextStep | None:
    """What comes before any migration."""
    if state.locked:
        return NextStep(state.locked.hint.partition("\n")[0], state.locked.exit_code)
    if state.is_pooled:
        return NextStep("set MIGRATION_DATABASE_URL in .env to the server's own address: this is a pooler")
    try:
        preconditions.require_consistent(loaded.script, state.current)
    except DatabaseAhead as error:
        unknown = next(each for each in state.current if not project.find(loaded.script, each))
        expendable = {protection.stated(settings), state.mark or protection.EXPENDABLE[0]} <= {*protection.EXPENDABLE}
        reset = "; or, where it may lose its data: make reset" if expendable else ""
        return NextStep(f"check out the code that has {unknown}{reset}", error.exit_code)
    except DbkitError as error:
        return NextStep(error.hint.partition("\n")[0], error.exit_code)
    if state.running:
        return NextStep("wait until the running migration is done: python -m dbkit wait --at-head")
    if state.half_applied:
        revision = state.half_applied[0].revision
        return NextStep(f"look at what it did; then python -m dbkit resolve {revision}, or alembic stamp REV", 6)
    if len(loaded.heads) > 1:
        return NextStep(heads.join_heads(loaded, loaded.applied(state.current)))
    if state.edited and protection.stated(settings) in protection.EXPENDABLE:
        return NextStep(_after_edit(loaded, state))
    for index, name in state.invalid.items():
        texts = [Path(script.path).read_text(encoding="utf-8") for script in loaded.pending(state.current)]
        again = any(name in text for text in texts)
        statement = f"DROP INDEX CONCURRENTLY IF EXISTS {index}" if again else f"REINDEX INDEX CONCURRENTLY {index}"
        return NextStep(f'echo "{statement}" | make psql', 6)
    return None


def _goes_on(loaded: Project, state: Facts, settings: Settings) -> str:
    if not loaded.heads:
        return REVISION
    if loaded.pending(state.current):
        if state.is_read_only:
            return "name the primary in .env: this server is read-only"
        if state.not_adopted:
            confirm = "" if protection.stated(settings) in protection.EXPENDABLE else "with CONFIRM=<database>, "
            return f"{confirm}alembic stamp REV, where REV is the last revision that it has all of; then {MIGRATE}"
        return MIGRATE
    if state.restorable and not state.is_read_only:
        return "make restore"
    return f"change the models, then {REVISION}"


def _after_edit(loaded: Project, state: Facts) -> str:
    revisions = {script.revision: Path(script.path) for script in loaded.script.walk_revisions()}
    edited = [revision for revision, path in revisions.items() if path in state.edited]
    if (*edited,) == state.current:
        return "make redo"
    return f"undo the edit of {state.edited[0].name}, or, if it changes nothing: python -m dbkit accept {edited[0]}"
