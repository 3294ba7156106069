"""The lines of files that run, traced at a low cost: by sys.monitoring from Python 3.12 on, else by sys.settrace."""

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

Trace = Callable[[FrameType, str, Any], Any]
TOOLS = (4, 3)
"""Identifiers of sys.monitoring that are not meant for debuggers, coverage or profilers."""


@contextmanager
def tracing_lines(paths: Collection[Path]) -> Iterator[Mapping[Path, set[int]]]:
    """Collect the lines of these files that run in this thread, by file. What traced before continues to."""
    lines: dict[Path, set[int]] = {path: set() for path in paths}
    by_file = {os.path.realpath(path): found for path, found in lines.items()}
    with _trace_with_monitoring(by_file) or _trace_with_settrace(by_file):
        yield lines


class _Files:
    """The sets of lines by the name of a file as its code has it."""

    def __init__(self, lines: Mapping[str, set[int]]) -> None:
        self.lines = lines
        self.known: dict[str, set[int] | None] = {}

    def find(self, code: CodeType) -> set[int] | None:
        name = code.co_filename
        if name not in self.known:
            self.known[name] = self.lines.get(os.path.realpath(name))
        return self.known[name]


@contextmanager
def _trace_with_settrace(lines: Mapping[str, set[int]]) -> Iterator[None]:
    files = _Files(lines)
    before: Any = sys.gettrace()

    def trace_call(frame: FrameType, event: str, argument: Any) -> Trace | None:
        inner: Trace | None = before(frame, event, argument) if before else None
        if before and sys.gettrace() is not trace_call:
            sys.settrace(trace_call)  # coverage.py installs itself again whenever it is called
        found = files.find(frame.f_code)
        return inner if found is None else _trace_frame(found, inner)

    sys.settrace(trace_call)
    try:
        yield
    finally:
        # a debugger that was set meanwhile remains
        if sys.gettrace() is trace_call:
            sys.settrace(before)


def _trace_frame(found: set[int], inner: Trace | None) -> Trace:
    """Return the trace function of a frame, which calls the one that was there."""

    def trace(frame: FrameType, event: str, argument: Any) -> Trace:
        nonlocal inner
        if event == "line":
            found.add(frame.f_lineno)
        if inner is not None:
            inner = inner(frame, event, argument) or inner
        return trace

    return trace


def _trace_with_monitoring(lines: Mapping[str, set[int]]) -> AbstractContextManager[None] | None:
    """Return the context in which sys.monitoring reports lines; None where it is missing or has no free tool."""
    monitoring: Any = getattr(sys, "monitoring", None)
    if monitoring is None:
        return None
    tool = next((each for each in TOOLS if monitoring.get_tool(each) is None), None)
    return None if tool is None else _monitor(monitoring, tool, lines)


@contextmanager
def _monitor(monitoring: Any, tool: int, lines: Mapping[str, set[int]]) -> Iterator[None]:
    files, events = _Files(lines), monitoring.events
    traced: list[CodeType] = []

    def start(code: CodeType, offset: int) -> object:
        if files.find(code) is not None:
            traced.append(code)
            monitoring.set_local_events(tool, code, events.LINE)
        return monitoring.DISABLE

    def add_line(code: CodeType, line: int) -> object:
        found = files.find(code)
        if found is not None:
            found.add(line)
        return monitoring.DISABLE

    monitoring.use_tool_id(tool, "dbkit")
    try:
        monitoring.register_callback(tool, events.PY_START, start)
        monitoring.register_callback(tool, events.LINE, add_line)
        monitoring.set_events(tool, events.PY_START)
        # what an earlier use of the tool has disabled
        monitoring.restart_events()
        yield
    finally:
        monitoring.set_events(tool, 0)
        for code in traced:
            monitoring.set_local_events(tool, code, 0)
        for event in (events.PY_START, events.LINE):
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)
