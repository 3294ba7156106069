"""Write the revision file of a draft, with the project's template, hooks and file name."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.operations import ops
from alembic.script import Script
from alembic.util import CommandError, rev_id

from dbkit import files
from dbkit.drafts.render import render_revision
from dbkit.drafts.render_options import RenderOptions
from dbkit.drafts.steps import Draft, DraftRevision, Phase, Step
from dbkit.errors import InputError
from dbkit.project import Project, head_file
from dbkit.signals import defer_signals

LONGEST_ID = 32
"""Characters of a revision's id, as in the version table."""


@dataclass(frozen=True)
class NewRevision:
    """The message and, where a person has chosen one, the id of a new revision."""

    message: str
    identifier: str | None = None


RunHook = Callable[[list[ops.MigrationScript]], None]
"""Calls the project's own process_revision_directives."""


def write_draft(
    loaded: Project, draft: Draft, message: str, ids: Sequence[str], options: RenderOptions, run_hook: RunHook
) -> list[Script]:
    """Write the revision files of a draft, each after the head. Raises InputError where Alembic cannot.

    `ids` are those of its revisions.

    A hook of the project may change them, as with `alembic revision --autogenerate`.
    """
    written: list[Script] = []
    for identifier, revision in zip(ids, draft.revisions, strict=True):
        script = ops.MigrationScript(
            identifier,
            ops.UpgradeOps([step.operation for step in revision.upgrade]),
            ops.DowngradeOps([step.operation for step in revision.downgrade]),
            message=f"{message} ({revision.message})" if revision.message else message,
            head="head",
        )
        directives = [script]
        run_hook(directives)
        written += [_write(loaded, each, options) for each in directives]
    return written


@contextmanager
def removed_after_interrupt(loaded: Project, ids: Sequence[str]) -> Iterator[None]:
    """Remove the files of these revisions, and restore the head file, where writing them is interrupted or fails."""
    head = head_file.path_in(Path(loaded.script.dir))
    former = head.read_bytes() if head.is_file() else None
    before = set(_list_files(loaded))
    try:
        yield
    except BaseException:
        with defer_signals():
            for path in set(_list_files(loaded)) - before:
                text = path.read_text(encoding="utf-8", errors="replace")
                # one that is interrupted while it is written may be empty
                if not text or any(each in path.name or each in text for each in ids):
                    path.unlink()
            if former is not None and head.read_bytes() != former:
                files.write_file(head, former)
        raise


def _list_files(loaded: Project) -> Iterator[Path]:
    """Yield the files in the directories of revisions."""
    for directory in loaded.script._version_locations:
        yield from Path(directory).rglob("*.py")


def make_ids(new: NewRevision, count: int) -> list[str]:
    """Return the ids of revisions that are written in the same second: in order, as their files are listed."""
    if new.identifier is None:
        return sorted(rev_id() for _ in range(count))
    return [new.identifier, *(f"{new.identifier[: LONGEST_ID - 3]}_{number:02}" for number in range(2, count + 1))]


def _write(loaded: Project, directive: ops.MigrationScript, options: RenderOptions) -> Script:
    upgrade, downgrade = (
        [Step(Phase.COMMENT, op) for container in several for op in container.ops]
        for several in (directive.upgrade_ops_list, directive.downgrade_ops_list)
    )
    code = render_revision(DraftRevision(upgrade, downgrade), options)
    try:
        with _writing_head_file(loaded):
            script = loaded.script.generate_revision(
                directive.rev_id or rev_id(),
                directive.message,
                head=directive.head,
                splice=directive.splice,
                branch_labels=directive.branch_label,
                version_path=directive.version_path,
                depends_on=directive.depends_on,
                config=loaded.config,
                upgrades=code.upgrade,
                downgrades=code.downgrade,
                imports="\n".join(sorted({*code.imports, *directive.imports})),
            )
    except CommandError as error:
        raise InputError(f"{str(error).rstrip('.')}.") from error
    if script is None:
        raise InputError("Alembic did not write a file.")
    return script


@contextmanager
def _writing_head_file(loaded: Project) -> Iterator[None]:
    """Write the head file after a revision, where a hook does: Alembic would start another Python for that."""
    hooks: Any = loaded.script.hooks
    others = hooks
    if isinstance(hooks, list):  # in older releases of Alembic, it is a section of the settings
        others = [each for each in hooks if not head_file.is_written_by(each.get("module"), each.get("entrypoint"))]
    loaded.script.hooks = others
    try:
        yield
    finally:
        loaded.script.hooks = hooks
    if len(others) < len(hooks):
        head_file.write(Path(loaded.script.dir), head_file.docs_of(loaded.heads))
