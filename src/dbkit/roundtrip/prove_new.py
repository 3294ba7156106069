"""Prove revisions that were just written, on a copy of a database at the revision that they follow."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from alembic.script import Script

from dbkit.project import Project
from dbkit.project.revision_order import ancestors, parents_of
from dbkit.project.revision_source import read_source
from dbkit.roundtrip import acceptance
from dbkit.roundtrip.access import MAIN, Access
from dbkit.roundtrip.env_runner import EnvRunner
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.roundtrip.prove import samples_directory
from dbkit.roundtrip.sample_rows import SampleRowOptions
from dbkit.roundtrip.scratch_server import ScratchServer
from dbkit.roundtrip.selection import Plan
from dbkit.roundtrip.walker import Walker
from dbkit.roundtrip.workspace import open_workspace
from dbkit.sample_data.constraints import Table
from dbkit.settings import Settings, Target

REACHES_FURTHER = re.compile(r"\b(?:domain|materialized|function|procedure|trigger|rule|do|call)\b", re.IGNORECASE)
"""Words of statements that read or check rows of tables which they do not name."""


@dataclass(frozen=True)
class NewProof:
    """The outcomes of new revisions, and the database with them; None where one of them cannot be applied."""

    outcomes: Sequence[RevisionOutcome]
    target: Target | None


def _find_named(scripts: Sequence[Script]) -> Callable[[Table], bool] | None:
    """Return whether new revisions name a table; None where they may reach rows of tables that they do not name."""
    text = "\n".join(read_source(str(script.path)).decode(errors="replace") for script in scripts)
    if REACHES_FURTHER.search(text):
        return None
    words = set(re.findall(r"\w+", text))
    return lambda table: bool(words.intersection(re.findall(r"\w+", table.shown)))


def prove_new(
    server: ScratchServer, settings: Settings, loaded: Project, scripts: Sequence[Script], template: Target
) -> NewProof:
    """Prove revisions as `dbkit roundtrip` does; `template` is a database with all revisions before them.

    Raises InputError where env.py does not find its database.
    """
    new = [script.revision for script in scripts]
    everything = {script.revision: script for script in loaded.script.walk_revisions()}
    parents = {identifier: parents_of(loaded, script) for identifier, script in everything.items()}
    plan = Plan(tuple(scripts), frozenset(new), parents)
    databases = {MAIN: server.place.target(next(server.names))}
    environment = EnvRunner(
        loaded,
        replace(settings, target=None, app_env="test"),
        Access(redirects=settings.is_foreign),
        databases,
        template=template.dbname,
    )
    work = open_workspace(
        environment,
        server.place,
        plan,
        server.names,
        lambda _text: None,
        SampleRowOptions(samples=samples_directory(loaded), is_wanted=_find_named(scripts)),
        base=frozenset(ancestors(new, parents) - set(new)),
    )
    outcomes = Walker(work).walk().outcomes
    accepted = [acceptance.apply_acceptance(each, set(), "") for each in outcomes]
    is_applied = set(new) <= {script.revision for script in work.applied}
    return NewProof(accepted, replace(databases[MAIN], history=template.history) if is_applied else None)
