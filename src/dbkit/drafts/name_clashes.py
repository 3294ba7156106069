"""Names that models give twice: the database takes them once. The rest of the models can be created without them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from dbkit.postgres.sql_text import unquote_name

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
Item = sa.Index | sa.Constraint
Clash = tuple[sa.Table, Item, str, bool]


@contextmanager
def left_out(metadata: Sequence[sa.MetaData]) -> Iterator[list[Clash]]:
    """Take the indexes whose name another relation of the models has out of the models, and constraints their name.

    Yields them with their table, name, and whether nothing of them is missing: such a constraint gets a name of
    PostgreSQL, or the migrations' one; such an index is that of the same table and definition.
    """
    found = list(_find(metadata))
    names = {id(item): item.name for _, item, _, _ in found}
    for table, item, _, _ in found:
        if isinstance(item, sa.Index):
            table.indexes.discard(item)
        else:
            item.name = None
    try:
        yield found
    finally:
        for table, item, _, _ in found:
            if isinstance(item, sa.Index):
                table.indexes.add(item)
            else:
                item.name = names[id(item)]


def _find(metadata: Sequence[sa.MetaData]) -> Iterator[Clash]:
    taken: dict[tuple[str | None, str], str] = {}
    tables = [table for each in metadata for table in each.tables.values()]
    taken |= {(table.schema, table.name): "" for table in tables}
    prepare = DIALECT.identifier_preparer
    for table in tables:
        unique = [
            each
            for each in table.constraints
            if each.name is not None
            and isinstance(each, sa.UniqueConstraint | sa.PrimaryKeyConstraint | postgresql.ExcludeConstraint)
        ]
        named: list[tuple[str, Item]] = [(prepare.format_constraint(each) or "", each) for each in unique]
        named += [(prepare.format_index(each), each) for each in table.indexes]
        for quoted, item in sorted(named, key=lambda each: (isinstance(each[1], sa.Index), each[0])):
            name = unquote_name(quoted)
            if not name:
                continue
            ddl = _ddl(item)
            if (table.schema, name) in taken:
                yield table, item, name, not isinstance(item, sa.Index) or taken[table.schema, name] == ddl
            else:
                taken[table.schema, name] = ddl


def _ddl(item: Item) -> str:
    return str(sa.schema.CreateIndex(item).compile(dialect=DIALECT)) if isinstance(item, sa.Index) else ""
