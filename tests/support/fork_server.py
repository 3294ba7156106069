"""Forks a process for each command from one that has imported the libraries, which takes longer than most commands.

Each command is a process with its arguments, directory, environment, files and exit code. The modules of the kit are imported before,
too, unless a command has a PYTHONPATH, where another copy of the kit may be.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import sys
import threading
import time
from typing import Any, NoReturn

LIBRARIES = (
    "alembic.command",
    "alembic.config",
    "dotenv",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.orm",
    "sqlglot",
)


class Server:
    """Accepts requests on a socket until standard input ends."""

    def __init__(self, path: str) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.running: dict[int, socket.socket] = {}
        self.wakeup = socket.socketpair()
        for end in self.wakeup:
            end.setblocking(False)

    def serve(self) -> dict[str, Any] | None:
        """Answer requests. Returns one in the process that was forked for it, and None at the end."""
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # its processes decide what that is for them
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wakeup[1].fileno(), warn_on_full_buffer=False)
        selector = selectors.DefaultSelector()
        for source in (0, self.listener, self.wakeup[0]):
            selector.register(source, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if 0 in ready:
                return None
            if self.wakeup[0] in ready:
                with contextlib.suppress(BlockingIOError):
                    self.wakeup[0].recv(4096)
                self.report_ended()
            if self.listener in ready:
                request = self.accept()
                if request is not None:
                    selector.close()
                    signal.signal(signal.SIGINT, interrupt)
                    return request

    def accept(self) -> dict[str, Any] | None:
        connection, _ = self.listener.accept()
        text, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        size, _, text = text.partition(b"\n")
        while len(text) < int(size):
            text += connection.recv(1 << 20)
        pid = os.fork()
        if pid:
            self.running[pid] = connection
            connection.sendall(b"%d\n" % pid)
            for file in files:
                os.close(file)
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, file in enumerate(files):
            os.dup2(file, number)
        for each in (self.listener, connection, *self.wakeup, *self.running.values()):
            each.close()
        for file in files:
            os.close(file)
        request: dict[str, Any] = json.loads(text)
        return request

    def report_ended(self) -> None:
        while self.running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with self.running.pop(pid) as connection, contextlib.suppress(OSError):
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def prepare(request: dict[str, Any], libraries: list[str]) -> None:
    """Make this process what Python is before it runs a program."""
    coerced = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}
    os.environ.clear()
    os.environ.update({**coerced, **request["environment"]})
    os.chdir(request["directory"])
    os.umask(request["umask"])
    time.tzset()
    # Alembic has remembered this file: it stays the same, and is of the command now
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    arguments = request["arguments"]
    is_module = arguments[0] == "-m"
    first = os.getcwd() if is_module else os.path.dirname(os.path.abspath(arguments[0]))  # noqa: PTH109, PTH120, PTH100
    paths = os.environ.get("PYTHONPATH", "")
    sys.path[:] = [first, *(paths.split(os.pathsep) if paths else ()), *libraries]
    if paths:
        for name in [name for name in sys.modules if name.partition(".")[0] == "dbkit"]:
            del sys.modules[name]
    sys.argv = arguments[1:] if is_module else arguments


def import_modules(package: str) -> None:
    """Import the modules of a package, and those of the packages in it."""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        # `offline` changes Alembic for the whole process, also for a project without the gate, and `front` puts another
        # module in the place of dbkit
        if module.name.rpartition(".")[2] in ("__main__", "pytest", "offline", "front"):
            continue
        importlib.import_module(module.name)
        if module.ispkg:
            import_modules(module.name)


def main(path: str) -> None:
    for library in LIBRARIES:
        importlib.import_module(library)
    libraries = sys.path[1:]
    import_modules("dbkit")
    gc.collect()
    gc.freeze()
    request = Server(path).serve()
    if request is None:
        os._exit(0)  # the processes that still run are others' children now
    prepare(request, libraries)
    try:
        if request["arguments"][0] == "-m":
            runpy.run_module(request["arguments"][1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(request["arguments"][0], run_name="__main__")
        code = 0
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        code = ended.code or 0
    end(code)


def end(code: int) -> NoReturn:
    """End this process as Python does, but do not free all that was imported, which takes five times as long as the fork."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for file in (sys.stdout, sys.stderr):
        try:
            file.flush()
        except OSError:
            sys.exit(code)  # Python has its own words for that
    os._exit(code & 0xFF)


if __name__ == "__main__":
    main(sys.argv[1])
