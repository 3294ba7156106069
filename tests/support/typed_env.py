"""The call of the gate in an env.py, which mypy must accept where a project checks its env.py."""

from alembic import context

from dbkit import gate


def install() -> None:
    """Call the gate as env.py does."""
    gate.install(context)
