"""Redact the outputs of the program: the standard streams, log records, and tracebacks.

The streams are redacted as a whole, so that no `print` can omit it, and control characters in them are made visible.
Two kinds of output are written unchanged: the user's own SQL (`write_data`: `dbkit sql`), and reports whose values were
redacted before they were formatted as JSON or XML (`print_report`), in which a replacement could break the syntax.
"""

import io
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, TextIO

from dbkit.redaction import redact
from dbkit.redaction.control_characters import show_controls

Paint = Callable[[str, str], str]
"""Adds colours to plain text; the second argument is the kind of message, "" for any line of output."""
ERROR = "error"
TEXT = "text"
"""The format of reports for people."""

before_writing: list[Callable[[], None]] = []
"""Called before a standard stream is written to: they take a line of progress off the screen."""


class RedactedStream(io.TextIOBase):
    """A text stream that redacts whole lines before it writes them to another stream.

    An incomplete line is held until its end, or until the stream is flushed.
    """

    def __init__(self, stream: TextIO, paint: Paint | None = None) -> None:
        """`paint`: adds colours; None for plain text."""
        self.stream = stream
        self.paint = paint
        self.held = ""

    def write(self, words: str) -> int:
        """Add to the held text, and write it when it ends with a line break."""
        self.held += words
        if self.held.endswith(("\n", "\r")):
            self._release()
        return len(words)

    def flush(self) -> None:
        """Write the held text, and flush the real stream."""
        self._release()
        self.stream.flush()

    def _release(self) -> None:
        words, self.held = self.held, ""
        if words:
            self.write_redacted(redact.text(words))

    def write_redacted(self, words: str, kind: str = "") -> None:
        """Write text for people whose secrets are redacted already."""
        self._release()
        clear_line()
        words = show_controls(words)
        self.stream.write(self.paint(words, kind) if self.paint else words)

    def write_unchanged(self, words: str) -> None:
        """Write text without redaction."""
        self._release()
        clear_line()
        self.stream.write(words)

    def close(self) -> None:
        """Write the held text. The real stream stays open."""
        if not self.stream.closed:
            self._release()

    def isatty(self) -> bool:
        """Whether the real stream is a terminal."""
        return self.stream.isatty()

    def fileno(self) -> int:
        """As of the real stream."""
        return self.stream.fileno()

    def writable(self) -> bool:
        """True."""
        return True

    def __getattr__(self, name: str) -> Any:
        """Other attributes of the real stream, such as `reconfigure`, which env.py may use."""
        return getattr(self.stream, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """As of the real stream."""
        return self.stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        """As of the real stream."""
        return self.stream.errors


def clear_line() -> None:
    """Take a line of progress off the screen."""
    for function in before_writing:
        function()


@contextmanager
def redacted_streams() -> Iterator[None]:
    """Redact the standard streams, log records and tracebacks within the context; tracebacks also afterwards."""
    redact_logs()
    sys.excepthook = print_exception
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_wrapped, before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, RedactedStream):
                with suppress(OSError, ValueError):  # the reader may have closed the pipe
                    stream.flush()
        sys.stdout, sys.stderr = before


def redact_for_alembic(*, stdout: bool) -> None:
    """Redact the streams until the process ends, for the `alembic` command; not stdout when that is an SQL script."""
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
    """Redact each log record at its creation, because handlers of the project write to other streams and files."""
    factory = logging.getLogRecordFactory()
    if getattr(factory, "redacts", False):
        return

    def redacted(*arguments: Any, **keywords: Any) -> logging.LogRecord:
        record = factory(*arguments, **keywords)
        with suppress(TypeError, ValueError, KeyError):  # the handler reports a message without matching arguments
            record.msg, record.args = redact.text(record.getMessage()), ()
        if record.exc_info and record.exc_info[1]:
            record.exc_text = redact.text("".join(traceback.format_exception(record.exc_info[1]))).rstrip("\n")
        return record

    redacted.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(redacted)


def write_data(words: str) -> None:
    """Write the user's own SQL to standard output unchanged, because it will be executed."""
    if isinstance(sys.stdout, RedactedStream):
        sys.stdout.write_unchanged(words)
    else:
        sys.stdout.write(words)


def print_report(words: str, report: str = "") -> None:
    """Print a report whose values were redacted before it was formatted; `report` is the format, such as `json`."""
    if report == TEXT:
        _write_redacted(sys.stdout, f"{words}\n", "")
    else:
        write_data(f"{words}\n")


def print_error(error: Exception) -> None:
    """Print the message of an error to stderr. A closed stderr is no error."""
    with suppress(OSError):
        _write_redacted(sys.stderr, f"{redact.text(str(error))}\n", ERROR)


def use_paint(paint: Callable[[TextIO], Paint | None]) -> None:
    """Add colours to the standard streams from now on, by what `paint` returns for each."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, RedactedStream):
            stream.paint = paint(stream.stream)


def _write_redacted(stream: Any, words: str, kind: str) -> None:
    if isinstance(stream, RedactedStream):
        stream.write_redacted(words, kind)
    elif stream is not None:
        stream.write(show_controls(words))
