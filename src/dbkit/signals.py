"""Signals as exceptions, so that a running statement is cancelled and scratch clusters are removed."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

received: list[int] = []
"""The signals received since `raise_on_signals`, first to last."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP. A KeyboardInterrupt, so that psycopg cancels the running statement in the server."""


def raise_on_signals() -> None:
    """Raise Terminated on SIGTERM and SIGHUP, and record them and SIGINT. Does nothing outside of the main thread.

    The first process of a container has no default action for signals: without a handler it would ignore them.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    received.clear()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # not ignored, as in a background job
        signal.signal(signal.SIGINT, _interrupt)


def exit_code() -> int:
    """The exit code for the signal received first, as a shell reports it; 130 where there was none."""
    return 128 + (received[0] if received else signal.SIGINT)


@contextmanager
def defer_signals() -> Iterator[None]:
    """Block signals while files are created that must be removed, or removed."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    received.append(number)
    raise KeyboardInterrupt


def _stop(number: int, _frame: FrameType | None) -> None:
    received.append(number)
    raise Terminated
