"""The requirements of a run: what the database records as applied must fit the revisions of the project."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psycopg
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg import sql

from dbkit.errors import CheckFailed, DbkitError, InputError, OperatorNeeded, say
from dbkit.gate.protection import EXPENDABLE, stated_environment
from dbkit.journal import JournalEntry, JournalRow
from dbkit.postgres.own_statements import place_of
from dbkit.postgres.sql_quote import as_text
from dbkit.project import Project, find_revision, require_known
from dbkit.settings import Settings

# Tables that a revision file creates for certain: without IF NOT EXISTS, and without naming a schema
CREATE_TABLE = re.compile(r"""\bcreate_table\(\s*["'](\w+)["']|\bCREATE\s+TABLE\s+"?(\w+)"?\s*\(""", re.IGNORECASE)
UNSURE = re.compile(r"if_not_exists|\bschema\s*=|\bset\s+(?:local\s+)?search_path\b", re.IGNORECASE)
MOST_SHOWN = 3  # tables in a message


def require_consistent(script: ScriptDirectory, heads: Sequence[str], version_table: str) -> None:
    """Raise when the rows of the version table are inconsistent: unknown, repeated, or included in one another."""
    require_known(script, heads)
    twice = [head for head, count in Counter(heads).items() if count > 1]
    if twice:
        raise InputError(f"{version_table} has {twice[0]} in two rows.", "Delete one of them by hand: `make psql`.")
    for head in heads if len(heads) > 1 else ():
        below = {each.revision for each in script.iterate_revisions(head, "base")} - {head}
        included = sorted(below & set(heads))
        if included:
            raise InputError(
                f"{version_table} has {len(heads)} rows, {' and '.join(sorted(heads))}, and {head} already includes "
                f"{included[0]}.",
                f"Only one can be right. When the database has all of {head}, delete the row of\n"
                f"the other one, with `make psql`. To start over from what it has: alembic stamp --purge REV",
            )


def require_one_history(connection: psycopg.Connection, script: ScriptDirectory) -> None:
    """Raise InputError where this project's version table is in a schema that is not on the search path.

    Warn where there is a second one. The version tables of other projects in the same database do not count.
    """
    place = place_of(connection)
    own = [schema for schema in place.others if _has_revisions_of(connection, schema, script)]
    connection.rollback()
    if not own:
        return
    names = ", ".join(own)
    if place.has_history:
        say(
            f"warning: this project has a history in the schema {place.schema}, which is used, and in {names}: "
            f"search_path is {place.search_path!r}. Drop the one that is wrong."
        )
        return
    raise InputError(
        f"the history of this project is in the schema {names}, and search_path is {place.search_path!r}: a second one "
        f"would begin{f' in {place.schema}' if place.schema else ''}.",
        f"Set it back: ALTER ROLE … SET search_path = {names}, …; or in the URL: ?options=-csearch_path%3D{own[0]}",
    )


def _has_revisions_of(connection: psycopg.Connection, schema: str, script: ScriptDirectory) -> bool:
    table = sql.Identifier(schema, place_of(connection).version_table)
    row = connection.execute("SELECT has_table_privilege(%s::text, 'SELECT'::text)", [as_text(table)]).fetchone()
    if row != (True,):
        return False
    query = sql.SQL("SELECT to_jsonb(v) ->> 'version_num' FROM {} AS v").format(table)
    return any(value and find_revision(script, value) for (value,) in connection.execute(query))


def require_adopted(connection: psycopg.Connection, files: Sequence[Path], dbname: str) -> None:
    """Raise InputError when a database without history has tables that the migrations would create."""
    created = [name for path in files for name in _creates(path)]
    schema = place_of(connection).tables_schema
    query = (
        "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(format('%%I.%%I', %s::text, name)) IS NOT NULL"
    )
    found = sorted({row[0] for row in connection.execute(query, [created, schema])}) if schema else []
    if not found:
        return
    more = f" and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
    raise InputError(
        f'"{dbname}" has tables that the migrations create ({", ".join(found[:MOST_SHOWN])}{more}), but no history.',
        "If an earlier run of them, or metadata.create_all(), made the tables: adopt the database with\n"
        "`alembic stamp REV`, where REV is the last revision that it has all of. Then: make migrate.",
    )


def require_unedited(edited: Sequence[Path], settings: Settings) -> None:
    """Warn about files that were edited after they were applied; in development, raise CheckFailed."""
    if not edited:
        return
    names = ", ".join(path.name for path in edited)
    message = f"{names}: edited after it was applied, so this database differs from the file."
    if stated_environment(settings) not in EXPENDABLE:
        say(f"warning: {message}")
        return
    raise CheckFailed(
        message,
        "If it is the last one, and only you have it: `make redo`. If others have it: undo the edit, and write the\n"
        "next migration. If the edit changes nothing that runs, such as a comment: python -m dbkit accept REV",
    )


def require_none_half_applied(rows: Sequence[JournalRow]) -> None:
    """Raise OperatorNeeded when a step was interrupted after a part of it was committed."""
    if rows:
        from dbkit.gate.step_state import half_applied_hint  # loaded for this error only

        row = rows[0]
        entry = JournalEntry(row.action, row.revision, "")
        raise OperatorNeeded(
            f"the {row.action} of {row.revision} of {row.began_at:%Y-%m-%d %H:%M} was interrupted, and a part of it "
            "was committed: not safe to run again.",
            half_applied_hint(entry),
        )


def plan_error(error: CommandError, loaded: Project, heads: Sequence[str], destination: str) -> DbkitError:
    """Return the error for a plan that Alembic cannot make, with what to do about it."""
    script = loaded.script
    if "Multiple head revisions" in str(error) and len(loaded.heads) > 1:
        from dbkit.gate.multiple_heads import multiple_heads_error  # loads what only this error needs

        return multiple_heads_error(loaded, loaded.applied(tuple(heads)))
    if "Ambiguous walk" in str(error):
        above = script.iterate_revisions(tuple(heads), "base")
        merge = next((each for each in above if each.is_merge_point), None)
        if merge:
            return InputError(
                f"{destination} goes back over a merge: {merge.revision} joins "
                f"{' and '.join(merge.down_revision or ())}.",
                "Name the revision to go back to: `make rollback to=REV`.",
            )
    hint = "`make history` lists the revisions." if "locate revision" in str(error) else ""
    return InputError(f"{str(error).rstrip('.')}.", hint)


def require_unambiguous(heads: Sequence[str], destination: str) -> None:
    """Raise InputError when a number of steps back could start from any of several heads. (Alembic picks one.)"""
    if len(heads) > 1 and re.fullmatch(r"-\d+", destination):
        raise InputError(
            f"the database is at {len(heads)} revisions, {' and '.join(sorted(heads))}: {destination} could be either.",
            "Name the revision to go back to: `make rollback to=REV`.",
        )


def _creates(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    if UNSURE.search(text):
        return []
    return [first or second for first, second in CREATE_TABLE.findall(text)]
