"""Alembic's migration steps: the function of each step, and the connection and transaction that it runs on."""

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from types import FunctionType, ModuleType
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script
from alembic.script.revision import RevisionMap

from dbkit.errors import InputError
from dbkit.project.revision_source import has_calls_on_load


class MigrationStep(RevisionStep):
    """Alembic's step, without its search through all ancestors on each downgrade, which makes a chain quadratic.

    With one head and one parent there is nothing to search for: the parent is the new head. The caller sets
    `migration_fn`.
    """

    def __init__(self, revision_map: RevisionMap, revision: Script, is_upgrade: bool) -> None:
        self.revision_map = revision_map
        self.revision = revision
        self.is_upgrade = is_upgrade

    def should_delete_branch(self, heads: set[str]) -> bool:
        """Whether a downgrade leaves no head behind on this branch."""
        if self._has_scalar_down_revision and heads == {self.revision.revision}:
            return False
        return super().should_delete_branch(heads)


class NoDowngrade(AttributeError):
    """The revision file has no downgrade(): it is irreversible by intent."""


def migration_function(script: Script, *, up: bool) -> Callable[..., Any]:
    """Return upgrade() or downgrade() of a revision file; where it has none, a function that raises an AttributeError.

    Each `alembic` command loads the file again. Where that makes a difference, it is loaded again here, too.
    """
    name = "upgrade" if up else "downgrade"
    module = _load_again(script) if has_calls_on_load(str(script.path)) else script.module

    def missing(**_keywords: object) -> None:
        raise AttributeError("the file has no upgrade()") if up else NoDowngrade("the file has no downgrade()")

    function: Callable[..., Any] = getattr(module, name, missing)
    return function


def has_autocommit_block(script: Script) -> bool:
    """Whether upgrade() or downgrade() names an autocommit_block(): it leaves its transaction."""
    functions = (getattr(script.module, name, None) for name in ("upgrade", "downgrade"))
    return any("autocommit_block" in each.__code__.co_names for each in functions if isinstance(each, FunctionType))


def _load_again(script: Script) -> ModuleType:
    spec = spec_from_file_location(script.module.__name__, script.path)
    if spec is None or spec.loader is None:
        return script.module
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception:  # some files can be loaded only once in a process
        return script.module
    return module


def keep_local_settings(connection: sa.Connection) -> None:
    """Set for the session what env.py has set for its first transaction: each revision has a transaction to itself."""
    query = """
        SELECT name, setting FROM pg_settings WHERE source = 'session'
        UNION ALL
        SELECT 'role', current_setting('role')
    """
    for name, setting in connection.exec_driver_sql(query).all():
        connection.execute(sa.text("SELECT set_config(:name, :setting, false)"), {"name": name, "setting": setting})


def connection_of(context: MigrationContext) -> sa.Connection:
    """Return the connection that env.py configured Alembic with. Raises InputError where it has none (`url=` alone)."""
    if context.connection is None:
        raise InputError("env.py configures Alembic without a connection.", "A round trip needs an online env.py.")
    return context.connection


def commit_if_external(context: MigrationContext) -> None:
    """Commit what Alembic leaves to env.py, when env.py began a transaction before it configured Alembic.

    The commit goes through the driver, so that the transaction object that env.py has stays usable. Each revision then
    has a transaction to itself, as with Alembic's transaction_per_migration.
    """
    if context._in_external_transaction:
        connection_of(context).connection.commit()
