"""The tables and columns that revisions have created so far."""

from collections.abc import Iterable
from dataclasses import dataclass, field

UNKNOWN = "\ufffd"
"""Replaces a part of a text that is known at run time only."""
TableName = tuple[str, str]
"""Schema and name of a table."""


@dataclass
class CreatedTables:
    """The tables that revisions have created and not dropped, with their columns."""

    default_schema: str
    columns: dict[TableName, set[str]] = field(default_factory=dict)

    def key(self, schema: str | None, name: str) -> TableName:
        """The full name of a table."""
        return schema or self.default_schema, name

    def create(self, key: TableName, columns: Iterable[str]) -> None:
        """Add a table, or columns to it."""
        self.columns.setdefault(key, set()).update(columns)

    def move(self, old: TableName, new: TableName) -> None:
        """Rename a table, or move it to another schema."""
        if old in self.columns:
            self.columns[new] = self.columns.pop(old)

    def forget(self, keys: Iterable[TableName]) -> None:
        """Remove tables."""
        for key in list(keys):
            self.columns.pop(key, None)
