"""Rendering by the name of a format: a format is a module of this package with the functions named here."""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbkit.findings.finding import Level
    from dbkit.lint.outcome import LintOutcome
    from dbkit.plan import Plan
    from dbkit.preflight.outcome import PreflightOutcome
    from dbkit.roundtrip.outcome import Outcome


def render_roundtrip(outcome: "Outcome", name: str) -> str:
    """Render the outcome of a round trip in a format."""
    render: Callable[[Outcome], str] = _load_format(name).render_roundtrip
    return render(outcome)


def render_lint(outcome: "LintOutcome", name: str, least: "Level") -> str:
    """Render the findings of lint in a format, those of the level `least` and above."""
    render: Callable[[LintOutcome, Level], str] = _load_format(name).render_lint
    return render(outcome, least)


def render_prove(
    outcome: "Outcome", linted: "LintOutcome", name: str, least: "Level", *, with_trace: bool = False
) -> str:
    """Render the outcome of a round trip, and the findings of lint of the same run; `with_trace`: the traces, too."""
    render: Callable[[Outcome, LintOutcome, Level], str] = _load_format(name).render_prove
    return render(outcome if with_trace else outcome.without_traces(), linted, least)


def render_trace(outcome: "Outcome", name: str) -> str:
    """Render the traces of revisions in a format."""
    render: Callable[[Outcome], str] = _load_format(name).render_trace
    return render(outcome)


def render_preflight(outcome: "PreflightOutcome", name: str) -> str:
    """Render the answers of a preflight in a format."""
    render: Callable[[PreflightOutcome], str] = _load_format(name).render_preflight
    return render(outcome)


def render_plan(plan: "Plan", name: str) -> str:
    """Render the plan of a migration in a format."""
    render: Callable[[Plan], str] = _load_format(name).render_plan
    return render(plan)


def _load_format(name: str) -> ModuleType:
    """Import the module of a format; the others are not loaded."""
    return import_module(f"dbkit.reports.{name}")
