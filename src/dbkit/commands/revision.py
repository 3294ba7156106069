"""`dbkit revision`: write a revision file."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.operations.ops import MigrationScript

from dbkit import project
from dbkit.commands.revision_message import check_identifier, check_message, print_written_files
from dbkit.errors import InputError, say
from dbkit.gate import alembic_command, databases, multiple_heads
from dbkit.project import alembic_features
from dbkit.settings import Settings
from dbkit.wording import counted

NEXT_STEP = "Read it and correct it. Then: make migrate; make redo, to see it undone; make schema."


@dataclass(frozen=True)
class RevisionOptions:
    """Options of `dbkit revision`."""

    message: str
    empty: bool
    """Write no operations, and do not compare the models with the database."""
    identifier: str | None


def revision(settings: Settings, ini: Path, options: RevisionOptions) -> None:
    """Write a revision from the differences between the models and the database; no file where there are none.

    Raises InputError for a message or an id that cannot be used, and for a database that is not at the head.
    """
    message = check_message(options.message)
    if options.identifier is not None:
        check_identifier(options.identifier)
    loaded = project.load_project(settings)
    if not options.empty:
        loaded.require_gate()
    if not options.empty or alembic_features.runs_env_for_new_files(loaded.config):
        named = databases.list_settings(loaded, settings)  # env.py runs
    else:
        named = [settings]
    multiple_heads.require_one_head(loaded, named[0])
    if not settings.is_foreign:
        project.configure_logging(ini)  # Alembic's log names the differences
    if not options.empty:
        _require_up_to_date(loaded, named)
    with _no_file_without_changes(loaded, applies=settings.is_foreign and not options.empty) as more:
        run_context = alembic_command.run_alembic(
            loaded,
            settings,
            "revision",
            message=message,
            autogenerate=not options.empty,
            rev_id=options.identifier,
            **more,
        )
    print_written_files(run_context, NEXT_STEP)


@contextmanager
def _no_file_without_changes(loaded: project.Project, *, applies: bool) -> Iterator[dict[str, Any]]:
    """Let a comparison that finds nothing write no file, with any env.py: the kit's own sees to it itself.

    Yields options for Alembic's command. A comparison of several databases is over only when env.py has ended.
    """
    if not applies:
        yield {}
        return
    script: Any = loaded.script
    run_originally = script.run_env
    generated: list[list[MigrationScript]] = []

    def remember(_context: object, _revision: object, directives: list[MigrationScript]) -> None:
        generated[:] = [directives]

    def run() -> None:
        run_originally()
        for directives in generated:
            if all(each.is_empty() for written in directives for each in written.upgrade_ops_list):
                directives.clear()
                say("no changes found; no file was written. `make check` compares more.")

    script.run_env = run
    try:
        yield {"process_revision_directives": remember}
    finally:
        del script.run_env


def _require_up_to_date(loaded: project.Project, named: Sequence[Settings]) -> None:
    for each in named:
        pending = loaded.pending(alembic_command.read_position(loaded, each))
        if pending:
            raise InputError(
                f"the database lacks {counted(len(pending), 'migration')}, so the models cannot be compared with it.",
                "Apply them first: `make migrate`.",
            )
