"""Signals as exceptions, so that a running statement is cancelled and what was made is removed."""

import signal
import threading
from types import FrameType

received: list[int] = []
"""The signals that arrived since `raise_on_signals`, first to last."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP. A KeyboardInterrupt, so that psycopg cancels the running statement in the server."""


def raise_on_signals() -> None:
    """Let SIGTERM and SIGHUP raise Terminated in the main thread, and note them and SIGINT. Elsewhere do nothing.

    As a container's first process, which has no default action for signals, it is also what makes them heard.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    received.clear()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:  # and not ignored, as in the background
        signal.signal(signal.SIGINT, _interrupt)


def exit_code() -> int:
    """What a shell calls a process that ended by the signal which was received; without one, by Ctrl-C."""
    return 128 + (received[0] if received else signal.SIGINT)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    received.append(number)
    raise KeyboardInterrupt


def _stop(number: int, _frame: FrameType | None) -> None:
    received.append(number)
    raise Terminated
