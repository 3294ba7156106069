"""Signals as exceptions, in and out of an event loop."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
from sqlalchemy.util import greenlet_spawn

from dbkit import signals

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = [signal.getsignal(number) for number in NUMBERS]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
    signals.raise_on_signals()
    yield
    signals.received.clear()
    for number, handler in zip(NUMBERS, before, strict=True):
        signal.signal(number, handler)


def test_a_signal_while_asyncio_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module is in sys.modules then, and has none of its names yet."""
    monkeypatch.setitem(sys.modules, "asyncio", ModuleType("asyncio"))
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_callback_of_an_event_loop_is_completed_before_the_error(number: int) -> None:
    """As that of asyncpg's protocol, which crashes when an error comes out of what it calls."""
    completed = []

    def read() -> None:
        os.kill(os.getpid(), number)
        completed.append("callback")

    async def wait() -> None:
        asyncio.get_running_loop().call_soon(read)
        try:
            await asyncio.sleep(60)
        finally:
            completed.append("task")

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(wait())
    assert completed == ["callback", "task"]
    assert signals.exit_code() == 128 + number


def test_a_call_of_a_driver_is_completed_before_the_error() -> None:
    completed = []

    async def call_driver() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        completed.append("call")
        await asyncio.sleep(60)

    with pytest.raises(signals.Terminated):
        asyncio.run(call_driver())
    assert completed == ["call"]


def test_a_migration_in_a_greenlet_is_interrupted_where_it_is() -> None:
    def migrate() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it went on")

    with pytest.raises(signals.Terminated):
        asyncio.run(greenlet_spawn(migrate))


def test_a_second_signal_does_not_wait_for_the_event_loop() -> None:
    async def wait() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("it went on")

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(wait())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_error_that_python_has_ignored_is_raised_again() -> None:
    class Finalized:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    signals.require_none_received()
    Finalized()
    gc.collect()
    with pytest.raises(signals.Terminated):
        signals.require_none_received()
