"""Where Alembic, the models and the gate meet. Every `alembic` command that needs a database runs this."""

from pathlib import Path

from alembic import context

from dbkit import gate


def load_metadata():
    """Import the models. Called only by the commands that compare them with the database."""
    from app.models import Base

    return Base.metadata


gate.run(context, root=Path(__file__).resolve().parents[2], load_metadata=load_metadata)
