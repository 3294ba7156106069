"""Names that no model gives: those of the migrations' objects are taken over, since none of them is wrong.

A constraint without a name, and the sequence of a serial, get one from PostgreSQL; a migration may have given another,
or have renamed the table since.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from dbkit.drafts.read_shapes import read_shapes
from dbkit.drafts.renames import find_same_constraints
from dbkit.drafts.shapes import Shapes, Table
from dbkit.postgres.sql_quote import quote_ident
from dbkit.postgres.sql_text import unquote_name

PREPARER = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]


def take_over_names(
    connection: psycopg.Connection[Any], metadata: Sequence[sa.MetaData], migrated: Shapes, modelled: Shapes
) -> Shapes:
    """Give objects of the models' database that no model names the names that they have in `migrated`.

    Returns the tables of the models' database as they are then.
    """
    cursor = psycopg.Cursor(connection)
    has_renamed = False
    for each in metadata:
        for model in each.tables.values():
            key = str(model.schema or modelled.default_schema), str(model.name)
            before, after = migrated.tables.get(key), modelled.tables.get(key)
            if before and after and not before.is_partition:
                for statement in (*_constraints(model, before, after, modelled), *_sequences(before, after, modelled)):
                    cursor.execute(statement.encode())
                    has_renamed = True
    return read_shapes(connection) if has_renamed else modelled


def _constraints(model: sa.Table, before: Table, after: Table, modelled: Shapes) -> Iterator[str]:
    constraints = [*model.constraints, *(each for column in model.columns for each in column.constraints)]
    named = (each for each in constraints if each.name is not None)
    given = {unquote_name(PREPARER.format_constraint(each) or "") for each in named}
    for old, new in find_same_constraints(before, after):
        if new not in given and (after.schema, old) not in modelled.relations:
            table = quote_ident(after.schema, after.name)
            yield f"ALTER TABLE {table} RENAME CONSTRAINT {quote_ident(new)} TO {quote_ident(old)}"


def _sequences(before: Table, after: Table, modelled: Shapes) -> Iterator[str]:
    for name, column in after.columns.items():
        former = before.columns.get(name)
        if not (former and former.serial and column.serial and former.sequence and column.sequence):
            continue
        is_other = former.sequence[1] != column.sequence[1] and former.sequence[0] == column.sequence[0]
        if is_other and former.sequence not in modelled.relations:
            yield f"ALTER SEQUENCE {quote_ident(*column.sequence)} RENAME TO {quote_ident(former.sequence[1])}"
