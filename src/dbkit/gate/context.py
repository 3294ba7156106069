"""The run context: what a verb passes to env.py, and what it gets back; and the database of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dbkit.errors import CheckFailed
from dbkit.settings import Settings, Target

if TYPE_CHECKING:
    import sqlalchemy as sa
    from alembic.runtime.migration import RevisionStep, StampStep
    from alembic.script import Script

    from dbkit.project.step_hooks import StepHook

DATABASES = "dbkit databases"
"""The key, in `config.attributes`, of the databases that a project's env.py connects to, when it was asked."""
ATTRIBUTE = "dbkit"
"""The key of the run context in Alembic's `config.attributes`."""


@dataclass(frozen=True)
class FoundDatabase:
    """A database that a project's env.py connects to."""

    name: str
    """The name of its engine, where a project has several databases; else ""."""
    target: Target
    metadata: "tuple[sa.MetaData, ...]"
    """The models that env.py compares with it."""
    is_pooled: bool = False
    """Whether there is a pooler before it."""


@dataclass
class RunContext:
    """One run through the gate. A verb puts it into `config.attributes`; a bare `alembic` command has none."""

    settings: Settings
    command: str = ""
    """The name of the Alembic command, when a verb runs it."""
    announce: bool = False
    """Print each migration as it begins. (Under the `alembic` command, Alembic's own log does.)"""
    start: tuple[str, ...] = ()
    """The revisions at which a script begins, when there are several."""
    is_proof: bool = False
    """Whether a proof decides step by step, on a scratch database: nothing is refused or recorded."""
    hook: "StepHook | None" = None
    """The hook called before and after each migration step."""
    hooks: "Mapping[Target, StepHook]" = field(default_factory=dict)
    """In its place, the hook for each database that env.py connects to."""
    steps: "list[RevisionStep | StampStep]" = field(default_factory=list)
    """The steps that were begun, first to last; the last one may have failed."""
    after: tuple[str, ...] = ()
    """The revisions of the database after the last step."""
    revision_files: "list[Script]" = field(default_factory=list)
    """The revision files that the command has written."""
    metadata: "list[sa.MetaData]" = field(default_factory=list)
    """The models, when the command compared them: one MetaData for most projects."""
    is_gate_called: bool = False
    """Whether env.py has called the gate."""
    discovers: bool = False
    """Whether only the databases are asked for, and nothing is run."""
    found: list[FoundDatabase] = field(default_factory=list)
    """The databases that env.py has configured Alembic for."""
    target: Target | None = None
    """The database that the gate has connected to, or is about to."""

    def choose_hook(self, target: Target) -> None:
        """Take the hook for a database. Raises CheckFailed where there are some, and none for this database."""
        if not self.hooks:
            return
        if target not in self.hooks:
            raise CheckFailed(
                f'what "{target.dbname}" on {target.server()} would lose was not looked at.', "Nothing was run on it."
            )
        self.hook = self.hooks[target]


def resolve_target(settings: Settings) -> Target:
    """Return the database that the settings name; without one, the embedded server's, which is started."""
    if settings.target:
        return settings.target
    if settings.is_foreign:  # there is no embedded server to start for it
        raise AssertionError("env.py was not asked for its databases")
    from dbkit.postgres.cluster import development_cluster  # a production image has no embedded server to start

    return development_cluster(settings).ensure_running()
