"""Stop a migration before it leaves the transaction that its proof runs in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

from dbkit.errors import EnvInterrupt
from dbkit.postgres.sql_text import ends_transaction
from dbkit.roundtrip.alembic_steps import connection_of


class LeavesTransaction(EnvInterrupt):
    """A migration is about to leave its transaction."""


# Citus has its catalog in tables, which fingerprints do not cover
OF_CITUS = ("distribut", "reference_table", "citus", "colocat")


def mentions_extension(statement: str) -> bool:
    """Whether a statement may change members of an extension, or rows of its catalog: fingerprints do not cover these.

    The server counts that write in pg_depend, where nearly all of DDL writes, too.
    """
    text = statement.lower()
    return "extension" in text or any(word in text for word in OF_CITUS)


class TransactionGuard:
    """Raises LeavesTransaction, while a migration's function runs, before the function ends its transaction.

    The function would do so by a statement, by an autocommit_block(), or through SQLAlchemy's connection.
    """

    def __init__(self) -> None:
        self._statements: list[str] | None = None
        """The statements of the function that runs; None while none does."""

    def attach(self, context: MigrationContext) -> None:
        """Listen to what is executed in a migration context."""
        context.autocommit_block = self._leave  # type: ignore[method-assign]
        connection = connection_of(context)
        sa.event.listen(connection, "before_cursor_execute", self._before_execute)
        for name in ("commit", "rollback"):
            sa.event.listen(connection, name, self._leave)

    @contextmanager
    def guarding(self, statements: list[str]) -> Iterator[None]:
        """Guard the transaction while a migration's function runs; append the statements that it executes."""
        self._statements = statements
        try:
            yield
        finally:
            self._statements = None

    def refuse_connection(self) -> None:
        """Stop a migration that opened another connection: that one would wait for the locks of this transaction."""
        self._leave()

    def _leave(self, *_arguments: object, **_keywords: object) -> Any:
        if self._statements is not None:
            raise LeavesTransaction

    def _before_execute(self, _connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if self._statements is None:
            return
        if ends_transaction(statement):
            raise LeavesTransaction
        self._statements.append(statement)
