"""Each revision of this project is a test of its own: it can be undone and redone."""

from dbkit.pytest import Migration, migration, pytest_generate_tests  # noqa: F401  # found by pytest


def test_migration(migration: Migration) -> None:  # noqa: F811
    migration.check()
