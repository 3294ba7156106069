"""`dbkit preflight`: ask the live rows what the pending migrations demand of them, before these are run."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dbkit.commands.proof_options import ScratchOptions, open_scratch_server
from dbkit.errors import CheckFailed, InputError, say
from dbkit.preflight import live
from dbkit.preflight.ask import Limits
from dbkit.redaction.outputs import print_report, write_data
from dbkit.settings import Settings, Target
from dbkit.terminal.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbkit.postgres.own_statements import OwnConnection
    from dbkit.preflight.outcome import PendingRevision
    from dbkit.preflight.script import Answers
    from dbkit.project import Project
    from dbkit.roundtrip.outcome import Outcome


@dataclass(frozen=True)
class PreflightOptions(ScratchOptions):
    """Options of `dbkit preflight`."""

    sql: bool
    answers: Path | None
    """A file with the result of the queries that `sql` prints."""
    timeout: float
    lock_timeout: float
    report: str


@dataclass(frozen=True)
class Position:
    """The revisions of the database, and the database itself where it is connected to."""

    current: tuple[str, ...]
    target: Target | None = None


def preflight(settings: Settings, ini: Path, options: PreflightOptions) -> int:
    """Print what the pending migrations ask of the rows; return 1 where rows violate it, or where it is not known."""
    if options.sql and options.answers:
        raise InputError("--sql and --answers exclude each other.", "First --sql; then --answers with its result.")
    if options.start and not (options.sql or options.answers):
        raise InputError("--from is for --sql and --answers: a database that is asked has its revisions in it.")
    limits = Limits(options.timeout, options.lock_timeout)
    answers = _read_answers(options.answers)
    position = _find_position(settings, options, answers, limits)
    outcome, loaded = _prove(settings, ini, options, position)
    from dbkit.preflight import run, script
    from dbkit.preflight.outcome import PreflightOutcome
    from dbkit.reports.formats import render_preflight

    pending: Sequence[PendingRevision] = run.list_pending(outcome.revisions)
    database = None
    if options.sql:
        for each in pending:
            if each.problem:
                say(f"warning: {each.name} may ask more than this: its upgrade {each.problem}")
        asked = PreflightOutcome(None, position.current, tuple(pending))
        write_data(script.render_script(asked, limits, settings.history))
        return 0
    if answers:
        script.require_same_queries([question for each in pending for question in each.questions], answers)
        pending = run.answer_all(pending, lambda question: script.find_answer(question, answers))
    elif position.target and pending:
        with live.open_session(position.target, settings, limits) as connection:
            require_same_position(connection, position.current, loaded, limits)
            pending = run.ask_all(connection, outcome.revisions, pending, limits)
    if position.target:
        database = f"{position.target.dbname} on {position.target.server()}"
    result = PreflightOutcome(database, position.current, tuple(pending))
    print_report(render_preflight(result, options.report), options.report)
    return 1 if result.failed else 0


def _read_answers(path: Path | None) -> "Answers | None":
    from dbkit.preflight.script import read_answers

    return read_answers(path) if path else None


def _find_position(
    settings: Settings, options: PreflightOptions, answers: "Answers | None", limits: Limits
) -> Position:
    """Return the revisions of --from, of the file of answers, or else of the live database."""
    if options.start:
        from dbkit.preflight.script import require_same_position

        if answers:
            require_same_position(options.start, answers)
        return Position(() if options.start == "base" else (options.start,))
    if answers and answers.current is not None:
        return Position(answers.current)
    target = live.find_target(settings)
    with live.open_session(target, settings, limits) as connection:
        return Position(live.read_position(connection, limits), None if options.sql or answers else target)


def _prove(settings: Settings, ini: Path, options: PreflightOptions, position: Position) -> "tuple[Outcome, Project]":
    with open_scratch_server(settings, options) as (server, request):
        from dbkit.roundtrip.prove import prove_at
        from dbkit.roundtrip.selection import Scope

        scope = Scope(applied=None if options.start else position.current, after=options.start, to=options.to)
        return prove_at(server, settings, ini, replace(request, scope=scope, trace=True), Progress())


def require_same_position(
    connection: "OwnConnection", current: tuple[str, ...], loaded: "Project", limits: Limits
) -> None:
    """Raise InputError for a history that is elsewhere, and CheckFailed where the database was migrated meanwhile."""
    from dbkit.gate import requirements

    requirements.require_one_history(connection, loaded.script)
    now = live.read_position(connection, limits)
    if now != current:
        before, after = (", ".join(each) or "base" for each in (current, now))
        raise CheckFailed(f"the database has moved from {before} to {after} meanwhile.", "Run the same command again.")
