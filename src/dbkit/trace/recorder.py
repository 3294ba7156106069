"""Record what a revision executes, through SQLAlchemy's events, whatever its env.py and its migration look like."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import sqlalchemy as sa

from dbkit.errors import describe_error
from dbkit.postgres.sql_text import statements
from dbkit.settings import Target
from dbkit.trace import statement_text
from dbkit.trace.ddl_parameters import find_unbound_parameters
from dbkit.trace.known_relations import KnownRelations
from dbkit.trace.records import ExecutedStatement, Trace, TraceFailed
from dbkit.trace.session import TracedSession


class Recorder:
    """Records the statements of one function of one revision."""

    def __init__(
        self,
        path: str,
        direction: str,
        databases: Mapping[str, Target],
        known: Mapping[str, KnownRelations] | None = None,
    ) -> None:
        """`path`: the revision file; `databases`: those that it runs on; `known`: relations, by name of a database."""
        self.path = path
        self.direction = direction
        self.targets = {target.dbname: target for target in databases.values()}
        self.known = dict(known or {})
        """The relations of each database at the end, for the next recorder."""
        self.statements: list[ExecutedStatement] = []
        self._sessions: dict[int, TracedSession] = {}
        """By the id of its DBAPI connection."""
        self._failure: TraceFailed | None = None
        """Why the recorder cannot go on, when it cannot."""
        self._own = 0
        """The id of the DBAPI connection that Alembic has begun a transaction on."""

    @contextmanager
    def recording(self, connection: sa.Connection) -> Iterator[None]:
        """Record what is executed meanwhile: on this connection, and on others that the migration opens."""
        self._session(connection)
        listeners: dict[str, Callable[..., Any]] = {
            "before_cursor_execute": self._before_execute,
            "after_cursor_execute": self._after_execute,
            "handle_error": self._on_error,
            "commit": partial(self._on_end, "COMMIT"),
            "rollback": partial(self._on_end, "ROLLBACK"),
        }
        self._own = id(connection.connection.dbapi_connection)
        for name, listener in listeners.items():
            sa.event.listen(sa.Engine, name, listener, retval=name == "before_cursor_execute")
        try:
            yield
            self._record_passed_by(connection)
        except Exception as error:
            # our failure may be hidden by Alembic's own error, on the way out of a block
            raise (self._failure or error) from error
        finally:
            for name, listener in listeners.items():
                sa.event.remove(sa.Engine, name, listener)
            is_alone = len(self._sessions) == 1
            self.known |= {
                session.database: session.known_at_end() if is_alone else session.known
                for session in self._sessions.values()
            }
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()

    def trace(self) -> Trace:
        """Return what was recorded."""
        return Trace(self.direction, tuple(self.statements), self.version)

    def _before_execute(
        self, connection: sa.Connection, cursor: Any, statement: str, parameters: Any, _context: object, many: bool
    ) -> tuple[str, Any]:
        """Run all but the last of several statements in one string, so that each is recorded by itself."""
        session = self._session(connection)
        if not many and not parameters:
            parts = statements(statement)
            *others, statement = parts
            if others:
                with self._tracing():
                    session.begin_string(parts)
            for part in others:
                with self._tracing():
                    session.begin(part)
                _execute(connection, cursor, session, part, parameters)
                self._record(connection, session, part, parameters)
        with self._tracing():
            session.begin(statement)
        return statement, parameters

    def _after_execute(
        self, connection: sa.Connection, _cursor: object, statement: str, parameters: Any, context: object, many: bool
    ) -> None:
        session = self._session(connection)
        self._record(connection, session, statement, parameters, len(parameters) if many else 1)
        unbound = find_unbound_parameters(context, statement)
        if unbound:
            self.statements[-1] = replace(self.statements[-1], unbound=unbound)
        with self._tracing():
            session.end_string()

    def _record(
        self, connection: sa.Connection, session: TracedSession, statement: str, parameters: Any, executions: int = 1
    ) -> None:
        text = statement_text.render_statement(statement, parameters, connection.dialect.paramstyle)
        is_own = id(connection.connection.dbapi_connection) == self._own
        with self._tracing():
            executed = session.end(text, self._line())
        is_outside = not is_own or bool(session.connection.autocommit)
        self.statements.append(replace(executed, outside=is_outside, executions=executions))

    def _record_passed_by(self, connection: sa.Connection) -> None:
        """Record what the driver's own cursor has done, which no event of SQLAlchemy reports."""
        own = self._sessions.get(self._own)
        try:
            found = own.find_passed_by() if own else None
        except connection.dialect.loaded_dbapi.Error:
            # the migration has caught an error that aborted its transaction: Alembic's next statement fails on that
            found = None
        self.statements += [found] if found else []

    def _on_error(self, context: sa.engine.ExceptionContext) -> None:
        # the connection may not have been used yet, or be closed by now
        if context.connection and context.statement is not None:
            session = self._known_session(context.connection)
            if session:
                session.fail()

    def _on_end(self, how: str, connection: sa.Connection) -> None:
        session = self._known_session(connection)
        if not session:
            return
        is_own = id(connection.connection.dbapi_connection) == self._own
        line = self._line(unless="autocommit_block")
        if is_own and line is not None and not session.connection.autocommit:  # by a call, such as connection.commit()
            self.statements.append(ExecutedStatement(how, line, session.transaction.number))
        session.end_transaction()

    @contextmanager
    def _tracing(self) -> Iterator[None]:
        """Raise TraceFailed for errors of the tracer, which are none of the migration."""
        try:
            yield
        except Exception as error:
            self._failure = TraceFailed(describe_error(error))
            raise self._failure from error

    def _known_session(self, connection: sa.Connection) -> TracedSession | None:
        return None if connection.closed else self._sessions.get(id(connection.connection.dbapi_connection))

    def _session(self, connection: sa.Connection) -> TracedSession:
        pooled = connection.connection
        key = id(pooled.dbapi_connection)
        if key not in self._sessions:
            target = self.targets.__getitem__
            with self._tracing():
                session = TracedSession(pooled.dbapi_connection, pooled.driver_connection, target, self.known.get)
            self._sessions[key] = session
            self.version = session.version
        return self._sessions[key]

    def _line(self, unless: str = "") -> int | None:
        """Return the line of the revision file that runs; None where it has called a function named `unless`."""
        frame = sys._getframe()
        while frame and frame.f_code.co_filename != self.path:
            if unless and frame.f_code.co_name == unless:
                return None
            frame = frame.f_back  # type: ignore[assignment]  # None ends it
        return frame.f_lineno if frame else None


def _execute(connection: sa.Connection, cursor: Any, session: TracedSession, statement: str, parameters: Any) -> None:
    """Execute a statement; raises SQLAlchemy's error where it fails."""
    errors = connection.dialect.loaded_dbapi.Error
    try:
        cursor.execute(statement, parameters)
    except errors as error:
        session.fail()
        raise sa.exc.DBAPIError.instance(statement, parameters, error, errors, dialect=connection.dialect) from error
