"""A developer workflow kit around Alembic, for PostgreSQL."""

__version__ = "0.1.0"
