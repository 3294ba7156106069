"""The order in which tables are filled: parents before the tables that refer to them."""

from collections.abc import Mapping, Sequence

from dbkit.sample_data.constraints import Reference, Table


def next_tables(waiting: Mapping[int, Table]) -> list[Table]:
    """Return the next table, whose parents are filled; or several that cannot be filled without each other."""
    for only_required in (False, True):
        for table in waiting.values():
            if not _waiting_parents(table, waiting, only_required=only_required):
                return [table]
    path = [next(iter(waiting.values()))]
    while True:
        parent = waiting[_waiting_parents(path[-1], waiting, only_required=True)[0]]
        if parent in path:
            return path[path.index(parent) :]
        path.append(parent)


def required_references(table: Table, others: Sequence[Table]) -> list[Reference]:
    """Return the references to some tables that cannot be NULL."""
    oids = {other.oid for other in others}
    return [each for each in table.references if each.parent in oids and not table.is_nullable(each)]


def _waiting_parents(table: Table, waiting: Mapping[int, Table], *, only_required: bool) -> list[int]:
    """Return the OIDs of the parents that are not filled yet, without the table itself."""
    return [
        each.parent
        for each in table.references
        if each.parent in waiting and each.parent != table.oid and not (only_required and table.is_nullable(each))
    ]
