"""Options for Alembic's own comparison of the models with a database, where no scratch database can be used."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from dbkit.errors import say


def comparison_options(
    metadata: Sequence[sa.MetaData], migration: MigrationContext, *, writes_file: bool
) -> dict[str, Any]:
    """Return the options of `context.configure` for a command that compares `metadata` with a database.

    Tables and columns that no model has are not compared: nothing shows that a revision of the project has made them.
    """
    default = migration.dialect.default_schema_name
    tables = {
        (None if table.schema == default else table.schema, table.name): {column.name for column in table.columns}
        for each in metadata
        for table in each.tables.values()
    }

    def include(name: str | None, type_: str, parents: Any) -> bool:
        if type_ == "schema":
            return name in {schema for schema, _ in tables} | {None}
        schema = parents.get("schema_name")
        if type_ == "table":
            return (schema, name) in tables
        return type_ != "column" or name in tables.get((schema, parents["table_name"]), ())

    options = {
        "target_metadata": metadata[0] if len(metadata) == 1 else metadata or None,
        "include_name": include,
        "include_schemas": any(schema for schema, _ in tables),
    }
    return options | ({"process_revision_directives": _write_no_empty_file} if writes_file else {})


def _write_no_empty_file(_context: object, _revision: object, directives: list[ops.MigrationScript]) -> None:
    if all(each.is_empty() for each in directives[0].upgrade_ops_list):
        directives.clear()
        say("no changes found; no file was written.")
