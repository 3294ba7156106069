"""The tables and columns that a revision renames: rows are planted where they have the names of before."""

import re
from dataclasses import dataclass, field, replace

from sqlglot import exp

from dbkit.coverage.goals import Goal, Table, make_column
from dbkit.postgres.sql_text import unquote_name

NAME = r'(?:"(?:[^"]|"")+"|\w+)'
RENAME = re.compile(
    rf"\s*alter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?(?:(?P<schema>{NAME})\.)?(?P<table>{NAME})\s+rename\s+"
    rf"(?:to\s+(?P<new>{NAME})|(?:column\s+)?(?P<old>{NAME})\s+to\s+(?P<column>{NAME}))\s*;?\s*$",
    re.IGNORECASE,
)
MOVE = re.compile(
    rf"\s*alter\s+table\s+(?:if\s+exists\s+)?(?:(?P<schema>{NAME})\.)?(?P<table>{NAME})\s+set\s+schema\s+(?P<new>{NAME})"
    r"\s*;?\s*$",
    re.IGNORECASE,
)
RENAME_SCHEMA = re.compile(
    rf"\s*alter\s+schema\s+(?P<schema>{NAME})\s+rename\s+to\s+(?P<new>{NAME})\s*;?\s*$", re.IGNORECASE
)


@dataclass
class Renames:
    """The names before the revision, of what has another name now."""

    tables: dict[str, str] = field(default_factory=dict)
    schemas: dict[str, str] = field(default_factory=dict)
    moved: dict[Table, Table] = field(default_factory=dict)
    """Those that are in another schema now."""
    columns: dict[tuple[str, str], str] = field(default_factory=dict)
    """By the name of the table before, and that of the column now."""

    def read(self, sql: str) -> None:
        """Read a statement that may rename a schema, a table or a column, or move a table."""
        if match := RENAME_SCHEMA.match(sql):
            old = unquote_name(match["schema"])
            self.schemas[unquote_name(match["new"])] = self.schemas.pop(old, old)
        elif match := MOVE.match(sql):
            former = Table(unquote_name(match["schema"] or ""), unquote_name(match["table"]))
            self.moved[Table(unquote_name(match["new"]), former.name)] = self.table(former)
            self.moved.pop(former, None)
        elif match := RENAME.match(sql):
            self._read_rename(match)

    def _read_rename(self, match: "re.Match[str]") -> None:
        now = unquote_name(match["table"])
        before = self.tables.get(now, now)
        if match["new"]:
            new = unquote_name(match["new"])
            self.tables.pop(now, None)
            self.tables[new] = before
            schema = unquote_name(match["schema"] or "")
            if place := self.moved.pop(Table(schema, now), None):
                self.moved[Table(schema, new)] = place
        else:
            old, new = unquote_name(match["old"]), unquote_name(match["column"])
            self.columns[before, new] = self.columns.pop((before, old), old)

    def table(self, name: Table) -> Table:
        """Return a table with its name before the revision."""
        if name in self.moved:
            return self.moved[name]
        return Table(self.schemas.get(name.schema, name.schema), self.tables.get(name.name, name.name))

    def columns_now(self, table: Table, columns: list[str]) -> list[str]:
        """Return the names of columns now; `table` has its name of before."""
        now = {old: new for (name, new), old in self.columns.items() if name == table.name}
        return [now.get(column, column) for column in columns]

    def restore(self, goal: Goal) -> Goal:
        """Return a goal with the names before the revision."""
        if not (self.tables or self.columns or self.schemas or self.moved):
            return goal
        tables = {key: self.table(name) for key, name in goal.tables.items()}

        def old_name(column: exp.Column) -> exp.Expr | None:
            table = tables.get(column.table)
            old = self.columns.get((table.name, column.name)) if table else None
            return make_column(column.table, old) if old else None

        restored = goal.replace_columns(old_name)
        absent = tuple(replace(each, table=self.table(each.table)) for each in restored.absent)
        return replace(restored, tables=tables, absent=absent)
