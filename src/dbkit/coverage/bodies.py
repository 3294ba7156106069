"""The statements inside of DO blocks, functions and triggers that a revision runs or creates."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg

from dbkit.coverage.created_functions import read_created_functions, read_created_triggers
from dbkit.coverage.function_bodies import FunctionBody, called_names, read_functions, trigger_functions
from dbkit.coverage.plpgsql import inner_statements, trigger_statements


class Bodies:
    """Finds the bodies of functions: those that the database has, and those that the revision creates."""

    def __init__(self, connection: "psycopg.Connection[Any]", statements: Sequence[str]) -> None:
        """`statements`: all that the revision executes."""
        self.connection, self.statements = connection, statements
        self.created = read_created_functions(statements)

    def statements_in(self, sql: str) -> list[str]:
        """Return the statements that a DO block, or a function that a statement calls, runs."""
        names = called_names(sql)
        if not names and sql.lstrip()[:2].lower() != "do":
            return []
        known: Mapping[str, FunctionBody] = read_functions(self.connection, names)
        return inner_statements(sql, {**known, **self.created})

    def of_existing_triggers(self, tables: Collection[int]) -> list[str]:
        """Return the statements of the row triggers that tables (by OID) have."""
        triggers, functions = trigger_functions(self.connection, tables)
        return [sql for trigger in triggers for sql in trigger_statements(trigger, functions)]

    def of_triggers(self) -> list[str]:
        """Return the statements of the row triggers that the revision creates."""
        triggers = read_created_triggers(self.statements, self.created)
        found = [sql for trigger in triggers for sql in trigger_statements(trigger, self.created)]
        conditions = [(each.table, each.condition) for each in triggers if each.condition]
        return [*found, *(f"SELECT 1 FROM {table} AS new WHERE {condition}" for table, condition in conditions)]  # noqa: S608
