"""`dbkit status`: show the state of the database and the next command, on one screen."""

import sys
from pathlib import Path

import psycopg

from dbkit import hints, project
from dbkit.errors import DbkitError, as_dbkit_error
from dbkit.gate import diagnosis, requirements
from dbkit.gate.next_step import MIGRATE, DatabaseStatus, read_status, suggest_next_step
from dbkit.postgres.cluster import development_cluster
from dbkit.postgres.connect import connect
from dbkit.settings import Settings, Target
from dbkit.terminal import person

LONGEST_LIST = 12  # pending migrations that fit on the screen with the rest

BAD_LABELS = ("locked", "invalid", "half done")
WARNING_LABELS = ("running", "stash", "read-only", "adopted", "edited")

Rows = list[tuple[str, str]]


def status(settings: Settings, ini: Path) -> int:
    """Print the screen. Returns 4 when the database does not answer, 5 when another session holds a lock on what is
    read, 6 when a migration is half applied, 7 when the database is ahead of this code, else 0.

    An embedded cluster is started where there is one, and not created.
    """
    loaded = project.load_project(settings)
    if settings.target:
        target, place = settings.target, _describe_place(settings.target)
    else:
        cluster = development_cluster(settings)
        place = f'"{cluster.target().dbname}" on the embedded server in {cluster.directory}'
        if not cluster.exists():
            pid = cluster.process.find_orphan()
            removed = f"its data directory was removed while its server (pid {pid}) ran"
            why = "it has not been made yet" if pid is None else removed
            return _print_rows([("database", place), ("answers", f"no: {why}")], MIGRATE, exit_code=0)
        target = cluster.ensure_running()
    rows = [("database", place)]
    try:
        with connect(target, patience=min(settings.wait, diagnosis.PATIENCE)) as connection:
            version = connection.info.parameter_status("server_version") or "?"
            requirements.require_one_history(connection, loaded.script)
            state = read_status(connection, loaded, settings, target)
    except (DbkitError, psycopg.Error) as error:
        failure = as_dbkit_error(error)
        rows += [("answers", f"no: {failure.message}")]
        return _print_rows(rows, failure.hint, exit_code=failure.exit_code if settings.target else 0)
    rows += [("answers", f"yes, PostgreSQL {version}")]
    rows += _describe_status(loaded, state)
    step = suggest_next_step(loaded, state, settings)
    return _print_rows(rows, step.words, exit_code=step.exit_code)


def _describe_status(loaded: project.Project, state: DatabaseStatus) -> Rows:
    rows: Rows = [("marked", state.mark)] if state.mark else []
    rows += [("running", f"a migration: {state.running}")] if state.running else []
    if state.locked:
        return [*rows, ("locked", state.locked.message)]
    unknown = [revision for revision in state.current if not project.find_revision(loaded.script, revision)]
    names = [
        revision if revision in unknown else project.name_of(loaded.revision(revision)) for revision in state.current
    ]
    rows += [("revision", name) for name in names] or [("revision", "none: no migration was applied yet")]
    rows += [("head", project.name_of(head)) for head in loaded.heads] or [("head", "none: there are no revisions")]
    if unknown:
        return rows
    pending = loaded.pending(state.current)
    rows += [("pending", str(len(pending)) if pending else "nothing")]
    rows += [("", project.name_of(script)) for script in pending[:LONGEST_LIST]]
    if len(pending) > LONGEST_LIST:
        rows += [("", f"and {len(pending) - LONGEST_LIST} more")]
    rows += [("stash", line) for line in state.stashes]
    rows += [("read-only", "yes: a standby, or default_transaction_read_only")] if state.is_read_only else []
    rows += [("adopted", f"no: {state.not_adopted}")] if state.not_adopted else []
    rows += [("edited", f"{path.name}, after it was applied") for path in state.edited]
    rows += [("invalid", f"the index {index}") for index in state.invalid]
    rows += [("half done", f"{row.revision}: a part of it was committed") for row in state.half_applied]
    return rows


def _describe_place(target: Target) -> str:
    user = f" as {target.user}" if target.user else ""
    return f'"{target.dbname}" on {target.server()}{user}'


def _print_rows(rows: Rows, next_command: str, *, exit_code: int) -> int:
    rows = [*rows, ("next", next_command)]
    if person.looks_at(sys.stdout):
        from dbkit.terminal.tables import Cell, print_labelled  # a pipe needs no rich

        print_labelled([(label, Cell(hints.render(value), _find_style(label, value))) for label, value in rows])
        return exit_code
    previous = ""
    for label, value in rows:
        hints.show(f"{'' if label == previous else label:<10}{value}")
        previous = label
    return exit_code


def _find_style(label: str, value: str) -> str:
    """Return the style of a value on a terminal."""
    if label in BAD_LABELS or (label == "answers" and value.startswith("no")):
        return "bad"
    if label in WARNING_LABELS or (label == "pending" and value != "nothing"):
        return "warning"
    return "good" if label in ("answers", "pending") else ""
