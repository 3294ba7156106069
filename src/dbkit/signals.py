"""Signals as exceptions, so that a running statement is cancelled and scratch clusters are removed."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

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


def require_none_received() -> None:
    """Raise the error of a signal again: Python ignores it in a callback of a weak reference, or in __del__."""
    if received:
        raise KeyboardInterrupt if received[0] == signal.SIGINT else Terminated


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
    _raise(KeyboardInterrupt())


def _stop(number: int, _frame: FrameType | None) -> None:
    received.append(number)
    _raise(Terminated())


def _raise(error: KeyboardInterrupt) -> None:
    """Raise an error where the main thread is, or, where that is in asyncio or below it, from the event loop.

    asyncpg crashes the process when left in the middle of a call, and its reply comes. A function of `run_sync()`,
    such as that with the migrations, runs in a greenlet.
    """
    loop = _running_loop()
    if loop is None or _is_in_greenlet() or len(received) > 1:
        raise error
    loop.call_soon_threadsafe(_raise_from_loop, error)


def _raise_from_loop(error: KeyboardInterrupt) -> None:
    raise error


def _running_loop() -> Any:
    asyncio = sys.modules.get("asyncio")
    # a signal may arrive while asyncio is being imported
    return asyncio._get_running_loop() if asyncio and hasattr(asyncio, "_get_running_loop") else None


def _is_in_greenlet() -> bool:
    greenlet = sys.modules.get("greenlet")
    return greenlet is not None and greenlet.getcurrent().parent is not None
