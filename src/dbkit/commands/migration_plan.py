"""The plan that `dbkit migrate --plan` prints: SQL, locks and times. Nothing is run on the database."""

from pathlib import Path

from dbkit import project
from dbkit.commands.alembic_upgrade import require_ahead
from dbkit.commands.preflight import require_same_position
from dbkit.gate import multiple_heads
from dbkit.lint.table_sizes import read_sizes
from dbkit.lint.timing import measure_rates
from dbkit.plan import make_plan
from dbkit.postgres.cluster import development_cluster
from dbkit.preflight import live
from dbkit.preflight.ask import Limits
from dbkit.redaction.outputs import print_report
from dbkit.reports.formats import render_plan
from dbkit.roundtrip.access import Access
from dbkit.roundtrip.prove import Request, prove_at
from dbkit.roundtrip.scratch_server import open_server
from dbkit.roundtrip.selection import Scope
from dbkit.settings import Settings, Target
from dbkit.terminal.progress import Progress

NO_DATABASE = "the embedded database, which was not made yet"


def print_plan(settings: Settings, ini: Path, to: str, report: str) -> int:
    """Print the plan of an upgrade to a revision. Returns 1 where an upgrade does not work in a scratch database.

    The database is asked for its revisions, in read-only sessions.
    """
    require_ahead(to)
    limits = Limits()
    target = _find_target(settings)
    current = _read_position(target, settings, limits)
    with open_server(settings, None) as server:
        request = Request(
            scope=Scope(applied=current, to=None if to == "head" else to),
            access=Access(redirects=settings.is_foreign),
            section=settings.section,
            arguments=settings.arguments,
            trace=True,
        )
        outcome, loaded = prove_at(server, settings, ini, request, Progress())
        _require_migratable(loaded, settings, target, current, to, limits)
        path = loaded.dbkit.sizes
        plan = make_plan(
            f"{target.dbname} on {target.server()}" if target else NO_DATABASE,
            current,
            outcome.revisions,
            read_sizes(path) if path else None,
            lambda: measure_rates(server.place.create_database(next(server.names))),
        )
    print_report(render_plan(plan, report), report)
    return 1 if plan.failed else 0


def _find_target(settings: Settings) -> Target | None:
    """Return the database; None where it is the embedded one, and that was not made yet."""
    if not (settings.is_foreign or settings.target or development_cluster(settings).exists()):
        return None
    return live.find_target(settings)


def _read_position(target: Target | None, settings: Settings, limits: Limits) -> tuple[str, ...]:
    if target is None:
        return ()
    with live.open_session(target, settings, limits) as connection:
        return live.read_position(connection, limits)


def _require_migratable(
    loaded: project.Project,
    settings: Settings,
    target: Target | None,
    current: tuple[str, ...],
    to: str,
    limits: Limits,
) -> None:
    """Raise the errors with which `dbkit migrate` would end at once, or CheckFailed where the database has moved."""
    loaded.require_gate()
    if target is None:
        return
    if to == "head":
        multiple_heads.require_no_fork(loaded, settings)
    with live.open_session(target, settings, limits) as connection:
        require_same_position(connection, current, loaded, limits)
