"""Write a revision from the comparison of the models with the migrations, and prove it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from alembic.script import Script

from dbkit import hints, project
from dbkit.commands.revision_message import NEXT_STEP, rename_to_ascii
from dbkit.drafts import describe, draft, proof, write_file
from dbkit.drafts.compare import Migrated, migrate_scratch
from dbkit.drafts.comparison import Comparison
from dbkit.drafts.models import ModelsNotCreated
from dbkit.drafts.rename_candidates import RenameCandidate
from dbkit.drafts.steps import Draft
from dbkit.drafts.write_file import NewRevision
from dbkit.errors import CheckFailed, InputError, say
from dbkit.gate import multiple_heads
from dbkit.gate.drafts import (
    DOES_NOT_RUN,
    IS_DANGEROUS,
    NOT_COMPARED,
    add_reasons,
    raise_first,
    report_drops,
    require_all_compared,
)
from dbkit.postgres.cluster import Cluster
from dbkit.project import env_file
from dbkit.roundtrip.access import database_names
from dbkit.roundtrip.kept_head import KeptHead
from dbkit.roundtrip.scratch_server import ScratchServer
from dbkit.settings import Settings
from dbkit.terminal import person
from dbkit.terminal.question import ask_yes_or_no

WITHOUT_GATE = "Read it and correct it. Then: alembic upgrade head, or dbkit adopt, for the other commands."


def write(
    settings: Settings, server: ScratchServer, kept: KeptHead, new: NewRevision, *, is_online: bool = False
) -> str:
    """Write a revision, or say that there are no changes. Returns why the models cannot be compared, else "".

    If `is_online`, it is staged for a live database: several revisions.

    Raises CheckFailed for a draft that does not run, after it was written.
    """
    loaded = project.load_project(settings)
    if not settings.is_foreign:
        loaded.require_gate()
    multiple_heads.require_one_head(loaded, settings)
    try:
        migrated, comparison = _compare(settings, loaded, server, kept)
    except _Unavailable as error:
        return str(error)
    _write_draft(settings, loaded, server, migrated, comparison, new, is_online=is_online)
    return ""


class _Unavailable(Exception):
    """The models cannot be compared on a scratch database; str() is the reason."""


def _compare(
    settings: Settings, loaded: project.Project, server: ScratchServer, kept: KeptHead
) -> tuple[Migrated, Comparison]:
    """Compare the models with the migrations. Raises _Unavailable, and InputError for models that cannot be read."""
    if len(database_names(loaded)) > 1:
        raise _Unavailable("the project has several databases")
    assert isinstance(server.place, Cluster)  # noqa: S101  # no server was named
    try:
        server.wait()
        migrated = migrate_scratch(loaded, settings, server.place, "migrated", kept)
        return migrated, migrated.compare_one(_ask_rename if person.can_be_asked() else None)
    except ModelsNotCreated as error:
        raise _Unavailable(f"the models' tables cannot be created: {error}") from error
    except CheckFailed as error:
        raise _Unavailable(error.message) from error
    except InputError as error:
        if not settings.is_foreign:
            raise
        raise _Unavailable(error.message) from error


def _ask_rename(candidate: RenameCandidate) -> bool:
    return ask_yes_or_no(candidate.question)


def _write_draft(
    settings: Settings,
    loaded: project.Project,
    server: ScratchServer,
    migrated: Migrated,
    comparison: Comparison,
    new: NewRevision,
    *,
    is_online: bool,
) -> None:
    if not comparison.has_changes:
        require_all_compared(comparison.notes)
        say("no changes found; no file was written.")
        return
    made = _stage(loaded, draft.make_draft(comparison), comparison, is_online=is_online)
    ids = write_file.make_ids(new, len(made.revisions))
    with write_file.removed_after_interrupt(loaded, ids):
        hook = migrated.scratch.run_hook
        scripts = write_file.write_draft(loaded, made, new.message, ids, migrated.render_options, hook)
        if not scripts:
            say("process_revision_directives of env.py left no revision; no file was written.")
            return
        report_drops(list(describe.list_drops(made)))
        problems = list(made.undecided)
        if not problems:
            proven = proof.prove_draft(server, settings, loaded, scripts, comparison)
            problems = list(proven.problems)
            for note in proven.notes:
                say(f"the draft was not proven: {note}")
    next_step = NEXT_STEP if env_file.has_gate(Path(loaded.script.dir)) else WITHOUT_GATE
    reasons = {
        DOES_NOT_RUN: problems,
        NOT_COMPARED: comparison.notes,
        IS_DANGEROUS: made.dangers,
    }
    _print(scripts, reasons, next_step)


def _stage(loaded: project.Project, made: Draft, comparison: Comparison, *, is_online: bool) -> Draft:
    """Stage a draft for a live database, where that is wanted, or where the sizes of its tables are known."""
    if not loaded.dbkit.sizes and not is_online:
        return made
    from dbkit.drafts.staged import stage  # these load the lint rules
    from dbkit.lint.estimate import SMALL
    from dbkit.lint.table_sizes import read_sizes

    sizes = read_sizes(loaded.dbkit.sizes) if loaded.dbkit.sizes else {}
    if not sizes and not is_online:
        return made
    small = SMALL if loaded.dbkit.small_table is None else loaded.dbkit.small_table
    return stage(made, comparison, sizes, small=small, known_only=not is_online)


def _print(scripts: Sequence[Script], reasons: Mapping[str, Sequence[str]], next_step: str) -> None:
    """Name the new files. Raises CheckFailed where there are `reasons` against them, which are put at the top."""
    add_reasons(Path(scripts[0].path), reasons)
    for script in scripts:
        print(f"Wrote {rename_to_ascii(Path(script.path))}")
    hints.show(next_step)
    raise_first(reasons)
