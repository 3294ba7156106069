"""The parts that `dbkit adopt` adds to an Alembic project, and `dbkit new` to an empty directory."""
