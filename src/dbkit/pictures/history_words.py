"""The sentences of a revision history, which its SVG and its text have in common."""

from dbkit.pictures.history import History, HistoryRevision, State
from dbkit.wording import counted


def describe_history(history: History) -> list[str]:
    """Return the lines above the revisions: how many there are, and where the database is."""
    number = len(history.revisions) + history.older
    heads = [each.id for each in history.revisions if each.is_head]
    if not number:
        return ["There are no revisions yet."]
    shown = f", the newest {len(history.revisions)} shown" if history.older else ""
    lines = [f"{counted(number, 'revision')}{shown}; {'head' if len(heads) == 1 else 'heads'} {', '.join(heads)}"]
    has_dependencies = any(each.dependencies for each in history.revisions)
    depends = ["A dotted line: a revision depends on another one."] if has_dependencies else []
    if history.current is None:
        return [*lines, *depends, f"The files alone: {history.reason or 'no database was asked.'}"]
    at = ", ".join(history.current) or "no revision"
    lines.append(f"The database is at {at}; {counted(history.pending, 'revision')} pending.")
    if history.missing:
        lines.append(f"No file has {', '.join(history.missing)}: the database is ahead of these files.")
    return [*lines, *depends]


def describe_state(revision: HistoryRevision) -> str:
    """Return what is known of a revision in the database, in some words; "" without a database."""
    if revision.state is State.APPLIED:
        done = "stamped" if revision.is_stamped else "applied"
        when = f" {revision.applied_at:%Y-%m-%d %H:%M}" if revision.applied_at else ""
        by = f" by {revision.applied_by}" if revision.applied_by else ""
        here = "the database is here" if revision.is_current else ""
        return ", ".join(filter(None, [here, f"{done}{when}{by}" if when or not here else ""]))
    return str(revision.state.value)
