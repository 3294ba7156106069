"""Read the declared renames of enum labels from the models."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.operations import ops
from psycopg.rows import tuple_row

from dbkit.catalog import Fact, object_name
from dbkit.drafts.steps import Rename
from dbkit.postgres.sql_quote import quote_literal

LABELS = """
    SELECT n.nspname::pg_catalog.text, t.typname::pg_catalog.text, t.oid::pg_catalog.regtype::pg_catalog.text,
        ARRAY(SELECT e.enumlabel::pg_catalog.text FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid)
    FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
    WHERE t.typtype = 'e'
"""


def find_label_renames(
    connection: psycopg.Connection[Any], models: Sequence[sa.Table], default_schema: str
) -> Iterator[Rename]:
    """Yield the renames of labels that are there under their old name only.

    They are declared in the enum class, `__renamed_labels__ = {"new": "old"}`, or in a column's info.
    """
    declared: dict[tuple[str, str], Mapping[str, str]] = {}
    for model in models:
        for column in model.columns:
            type_ = getattr(column.type, "item_type", column.type)
            if isinstance(type_, sa.Enum) and type_.name:
                labels = column.info.get("renamed_labels") or getattr(type_.enum_class, "__renamed_labels__", None)
                if labels:
                    declared[str(type_.schema or default_schema), str(type_.name)] = labels
    if not declared:
        return
    cursor = psycopg.Cursor(connection, row_factory=tuple_row)
    for schema, name, shown, present in cursor.execute(LABELS.encode()).fetchall():
        for new, old in declared.get((schema, name), {}).items():
            if old in present and new not in present:
                fact = Fact("enum", object_name(name, schema))
                rename = f"ALTER TYPE {shown} RENAME VALUE"
                forward = f"{rename} {quote_literal(old)} TO {quote_literal(new)}"
                back = f"{rename} {quote_literal(new)} TO {quote_literal(old)}"
                yield Rename(fact, fact, ops.ExecuteSQLOp(forward), ops.ExecuteSQLOp(back), forward, is_label=True)
