"""Redact what leaves the program: the standard streams, log records, and tracebacks.

The streams are redacted as a whole, so that no `print` can forget it. Two things pass unchanged: the user's own SQL
(`write_data`: `dbkit sql`), and reports whose values were redacted before they were written as JSON or XML
(`print_report`): to replace text within these could break their syntax.
"""

import io
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, TextIO

from dbkit.redaction import redact


class RedactedStream(io.TextIOBase):
    """A text stream that redacts what is written to it, a whole message at a time.

    What does not end a line is held until it does, or until the stream is flushed. All else is the real stream's.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.held = ""

    def write(self, words: str) -> int:
        """Hold the text; write what is held when it ends a line."""
        self.held += words
        if self.held.endswith(("\n", "\r")):
            self._release()
        return len(words)

    def flush(self) -> None:
        """Write what is held, and flush the real stream."""
        self._release()
        self.stream.flush()

    def _release(self) -> None:
        words, self.held = self.held, ""
        if words:
            self.stream.write(redact.text(words))

    def write_unchanged(self, words: str) -> None:
        """Write text that is not to be redacted."""
        self._release()
        self.stream.write(words)

    def close(self) -> None:
        """Write what is held. The real stream stays open."""
        if not self.stream.closed:
            self._release()

    def isatty(self) -> bool:
        """Whether the real stream is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """The real stream's."""
        return self.stream.fileno()

    def writable(self) -> bool:
        """It is."""
        return True

    def __getattr__(self, name: str) -> Any:
        """All else that a project's env.py may use, such as `reconfigure`."""
        return getattr(self.stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The real stream's."""
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """The real stream's."""
        return self.stream.errors


@contextmanager
def redacted_streams() -> Iterator[None]:
    """Redact both standard streams, log records and tracebacks while the context lasts; tracebacks also afterwards."""
    redact_logs()
    sys.excepthook = print_exception
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_wrapped, before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, RedactedStream):
                with suppress(OSError, ValueError):  # the reader may have gone away
                    stream.flush()
        sys.stdout, sys.stderr = before


def redact_for_alembic(*, stdout: bool) -> None:
    """The same for the rest of the process, under the `alembic` command; without `stdout` when that is a script."""
    redact_logs()
    sys.excepthook = print_exception
    sys.stderr = _wrapped(sys.stderr)
    if stdout:
        sys.stdout = _wrapped(sys.stdout)


def _wrapped(stream: Any) -> Any:
    return stream if stream is None or isinstance(stream, RedactedStream) else RedactedStream(stream)


def print_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback to stderr, redacted as a whole. Used as `sys.excepthook`."""
    words = "".join(traceback.format_exception(kind, error, trace))
    if sys.stderr is not None:
        with suppress(OSError):
            sys.stderr.write(redact.text(words))
            sys.stderr.flush()


def redact_logs() -> None:
    """Redact each log record when it is made: a project's handlers write to streams and files that are its own."""
    factory = logging.getLogRecordFactory()
    if getattr(factory, "redacts", False):
        return

    def redacted(*arguments: Any, **keywords: Any) -> logging.LogRecord:
        record = factory(*arguments, **keywords)
        with suppress(TypeError, ValueError, KeyError):  # the handler reports a message that does not fit its arguments
            record.msg, record.args = redact.text(record.getMessage()), ()
        if record.exc_info and record.exc_info[1]:
            record.exc_text = redact.text("".join(traceback.format_exception(record.exc_info[1]))).rstrip("\n")
        return record

    redacted.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(redacted)


def write_data(words: str) -> None:
    """Write a script to standard output as it is: it is the user's own SQL, and is to be run."""
    if isinstance(sys.stdout, RedactedStream):
        sys.stdout.write_unchanged(words)
    else:
        sys.stdout.write(words)


def print_report(words: str) -> None:
    """Print a report whose values were redacted before it was formatted."""
    write_data(f"{words}\n")
