"""`dbkit rebase-migration`: make an unapplied revision follow the one that another branch has added."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

from alembic.script import Script

from dbkit import files, hints, project
from dbkit.errors import InputError, Refused, Unreachable, say
from dbkit.gate import alembic_command, databases
from dbkit.project import branches, head_file
from dbkit.settings import Settings

NEXT_STEPS = "Then: git add it and HEAD, go on with git, make migrate, make roundtrip."


@dataclass(frozen=True)
class RebaseMigrationOptions:
    """Options of `dbkit rebase-migration`."""

    revision: str | None
    """The local head; None: the one of the conflict in the head file."""


def rebase_migration(settings: Settings, ini: Path, options: RebaseMigrationOptions) -> None:
    """Change the parent of the first local revision to the other head, and write the head file.

    Raises InputError where the local head is unknown or the file cannot be changed, Refused where the revision is
    applied.
    """
    loaded = project.load_project(settings)
    directory = Path(loaded.script.dir)
    forks = branches.find_forks(loaded.script, loaded.heads)
    if not forks:
        head_file.write(directory, head_file.docs_of(loaded.heads))
        print(f"{_describe(loaded.heads)}: nothing to rebase. {head_file.path_in(directory)} is up to date.")
        return
    heads = [head.revision for fork in forks for head in fork]
    if len(heads) != 2:
        raise InputError(f"there are {len(heads)} heads: {', '.join(heads)}.", 'Join them: make merge m="merge heads".')
    local = branches.find_local_head(loaded, directory, heads, options.revision)
    other = next(head for head in heads if head != local)
    first = branches.find_first_local_revision(loaded, local, other)
    _require_not_applied(loaded, settings, first)
    former = str(first.down_revision)
    _set_parent(Path(first.path), former, other)
    # not loaded again: some projects cannot be
    head_file.write(directory, head_file.docs_of(head for head in loaded.heads if head.revision != other))
    hints.show(f"{first.revision} follows {other} now, and no longer {former}: {Path(first.path).name}\n{NEXT_STEPS}")


def _describe(heads: Sequence[Script]) -> str:
    if not heads:
        return "There are no revisions"
    names = branches.describe_heads(heads)
    return f"There is one head, {names}" if len(heads) == 1 else f"The heads {names} are branches on purpose"


def _require_not_applied(loaded: project.Project, settings: Settings, first: Script) -> None:
    try:
        named = databases.list_settings(loaded, settings)
        applied = set().union(*(loaded.applied(alembic_command.read_position(loaded, each)) for each in named))
    except Unreachable as error:
        say(f"the database was not checked for {first.revision}: {error.message}")
        return
    if first.revision in applied:
        raise Refused(
            f"{first.revision} is applied to the database of .env, which would not learn that it has another parent.",
            f"Roll it back first: make rollback to={first.down_revision}. If others have applied it: make merge.",
        )


def _set_parent(path: Path, former: str, parent: str) -> None:
    """Change down_revision and the line `Revises:` of a file. Raises InputError where it has no such assignment."""
    if path.suffix != ".py":
        raise InputError(f"{path} is bytecode, and this command changes source.", "Run it where the files are written.")
    text = path.read_bytes()
    old, new = re.escape(former.encode()), parent.encode()
    assigned = re.compile(rb"^(down_revision\b[^=\r\n]*=[ \t]*[\"'])" + old + rb"([\"'])", re.MULTILINE)
    changed, count = assigned.subn(lambda match: match[1] + new + match[2], text)
    if count != 1:
        raise InputError(f"{path} has no plain line down_revision = '{former}'.", f"Write {parent} there by hand.")
    changed = re.sub(rb"^(Revises:[ \t]*)" + old, lambda match: match[1] + new, changed, count=1, flags=re.MULTILINE)
    files.write_file(path, changed)
    # Python compares bytecode with the time in seconds and the size of its source, which may be as before
    Path(cache_from_source(str(path))).unlink(missing_ok=True)
