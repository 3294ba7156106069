"""The context objects that Alembic's renderers, and a project's render_item, are given."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from alembic.autogenerate.api import AutogenContext
from alembic.runtime.migration import MigrationContext

from dbkit.drafts.column_types import DIALECT
from dbkit.drafts.render_options import RenderOptions


def make_autogenerate_context(options: RenderOptions) -> AutogenContext:
    """Make a context with these options, and without a database."""
    made = AutogenContext(
        make_context(),
        opts={
            "sqlalchemy_module_prefix": options.sqlalchemy_prefix,
            "alembic_module_prefix": options.alembic_prefix,
            "user_module_prefix": options.user_prefix,
            "render_item": options.render_item,
            "render_as_batch": options.is_batch,
        },
        autogenerate=False,  # there is no database to compare with
    )
    made.imports = set()
    return made


def make_context() -> MigrationContext:
    """Make a migration context that runs nothing."""
    with _silent_log():
        return MigrationContext.configure(dialect=DIALECT, opts={"as_sql": True})


@contextmanager
def _silent_log() -> Iterator[None]:
    log = logging.getLogger("alembic.runtime.migration")
    former, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = former
