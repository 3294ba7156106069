"""The order in which tables are created."""

from collections.abc import Iterator, Sequence

from dbkit.drafts.shapes import Table, TableName


def sort_tables(tables: Sequence[Table]) -> list[Table]:
    """Sort tables so that each follows those that it inherits from, and as far as possible those it references."""
    return [tables[place] for place in _walk({table.key: place for place, table in enumerate(tables)}, tables)]


def _walk(places: dict[TableName, int], tables: Sequence[Table]) -> Iterator[int]:
    """Yield each table after its parents and the tables that it references; a circle is cut at its last reference."""
    done: set[TableName] = set()
    for start in places:
        begun: set[TableName] = set()
        stack = [(start, iter(_needed(tables[places[start]])))]
        begun.add(start)
        if start in done:
            continue
        while stack:
            name, needed = stack[-1]
            other = next((each for each in needed if each in places and each not in done and each not in begun), None)
            if other is None:
                stack.pop()
                done.add(name)
                yield places[name]
            else:
                begun.add(other)
                stack.append((other, iter(_needed(tables[places[other]]))))


def _needed(table: Table) -> list[TableName]:
    referred = [each.referred for each in table.constraints.values() if each.referred and not each.is_inherited]
    return [*table.parents, *sorted(referred)]
