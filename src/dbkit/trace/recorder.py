"""Watch what a revision does, through SQLAlchemy's events, whatever env.py and the migration look like."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import sqlalchemy as sa

from dbkit.errors import without_secrets
from dbkit.postgres.sql_text import statements
from dbkit.settings import Target
from dbkit.trace import statement_text
from dbkit.trace.records import Statement, Trace, TraceFailed
from dbkit.trace.session import KnownRelations, TracedSession


class Recorder:
    """Records the statements of one function of one revision."""

    def __init__(
        self,
        path: str,
        direction: str,
        databases: Mapping[str, Target],
        known: Mapping[str, KnownRelations] | None = None,
    ) -> None:
        """`path` is the migration file; `databases` are those that it runs on; `known` is by name of a database."""
        self.path = path
        self.direction = direction
        self.targets = {target.dbname: target for target in databases.values()}
        self.known = dict(known or {})
        """What is known of each database at the end, for the next recorder."""
        self.statements: list[Statement] = []
        self._sessions: dict[int, TracedSession] = {}
        self._failure: TraceFailed | None = None
        """Why it cannot go on, when it cannot."""
        self._own = 0
        """Which of them Alembic has begun a transaction for."""

    @contextmanager
    def recording(self, connection: sa.Connection) -> Iterator[None]:
        """Record what is executed meanwhile: on this connection, and on others that the migration opens."""
        self._session(connection)
        listeners: dict[str, Callable[..., Any]] = {
            "before_cursor_execute": self._before,
            "after_cursor_execute": self._after,
            "handle_error": self._failed,
            "commit": partial(self._ended, "COMMIT"),
            "rollback": partial(self._ended, "ROLLBACK"),
        }
        self._own = id(connection.connection.dbapi_connection)
        for name, listener in listeners.items():
            sa.event.listen(sa.Engine, name, listener, retval=name == "before_cursor_execute")
        try:
            yield
            self._note_passed_by(connection)
        except Exception as error:
            # Alembic's own, on the way out of a block
            raise (self._failure or error) from error
        finally:
            for name, listener in listeners.items():
                sa.event.remove(sa.Engine, name, listener)
            self.known |= {session.database: session.known for session in self._sessions.values()}
            for session in self._sessions.values():
                session.in_the_way.close()  # where a signal came while a statement ran
            self._sessions.clear()

    def trace(self) -> Trace:
        """What was recorded."""
        return Trace(self.direction, tuple(self.statements), self.version)

    def _before(
        self, connection: sa.Connection, cursor: Any, statement: str, parameters: Any, _context: object, many: bool
    ) -> tuple[str, Any]:
        """Also runs all but the last of several statements in one string, so that each is seen by itself."""
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
                self._note(connection, session, part, parameters)
        with self._tracing():
            session.begin(statement)
        return statement, parameters

    def _after(
        self, connection: sa.Connection, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool
    ) -> None:
        session = self._session(connection)
        self._note(connection, session, statement, parameters)
        with self._tracing():
            session.end_string()

    def _note(self, connection: sa.Connection, session: TracedSession, statement: str, parameters: Any) -> None:
        text = statement_text.render_statement(statement, parameters, connection.dialect.paramstyle)
        is_own = id(connection.connection.dbapi_connection) == self._own
        with self._tracing():
            seen = session.end(text, self._line())
        self.statements.append(replace(seen, outside=not is_own or bool(session.connection.autocommit)))

    def _note_passed_by(self, connection: sa.Connection) -> None:
        own = self._sessions.get(self._own)
        try:
            found = own.passed_by() if own else None
        except connection.dialect.loaded_dbapi.Error:
            # the migration has caught an error that aborted its transaction: Alembic's next statement meets that
            found = None
        self.statements += [found] if found else []

    def _failed(self, context: sa.engine.ExceptionContext) -> None:
        # the connection may be one that nobody has used yet, or closed by now
        session = self._seen(context.connection) if context.connection and context.statement is not None else None
        if session:
            session.failed()

    def _ended(self, how: str, connection: sa.Connection) -> None:
        session = self._seen(connection)
        if not session:
            return
        is_own = id(connection.connection.dbapi_connection) == self._own
        line = self._line(unless="autocommit_block")
        if is_own and line is not None and not session.connection.autocommit:  # by a call, such as connection.commit()
            self.statements.append(Statement(how, line, session.transaction))
        session.ended()

    @contextmanager
    def _tracing(self) -> Iterator[None]:
        """What is done in here is the tracer's: when it fails, the migration has not. Raises NotTraced."""
        try:
            yield
        except Exception as error:
            self._failure = TraceFailed(without_secrets(" ".join(str(error).split())) or type(error).__name__)
            raise self._failure from error

    def _seen(self, connection: sa.Connection) -> TracedSession | None:
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
        """The line of the migration file that runs; None where it has called a function of that name."""
        frame = sys._getframe()
        while frame and frame.f_code.co_filename != self.path:
            if unless and frame.f_code.co_name == unless:
                return None
            frame = frame.f_back  # type: ignore[assignment]  # None ends it
        return frame.f_lineno if frame else None


def _execute(connection: sa.Connection, cursor: Any, session: TracedSession, statement: str, parameters: Any) -> None:
    """Run a statement, with SQLAlchemy's error where it fails."""
    errors = connection.dialect.loaded_dbapi.Error
    try:
        cursor.execute(statement, parameters)
    except errors as error:
        session.failed()
        raise sa.exc.DBAPIError.instance(statement, parameters, error, errors, dialect=connection.dialect) from error
