"""Wording that several rules share."""

from collections.abc import Mapping


def describe_waits(blocked: Mapping[str, str]) -> str:
    """Return what waits for which tables, as in "reads and writes to orders, and writes to customers wait"."""
    tables_by_access: dict[str, list[str]] = {}
    for table, blocks in sorted(blocked.items()):
        tables_by_access.setdefault(blocks, []).append(table)
    parts = [f"{blocks} to {' and '.join(tables)}" for blocks, tables in sorted(tables_by_access.items())]
    return f"{', and '.join(parts)} wait"
