"""Runs commands of Python quickly; see fork_server. Also a program: python forked.py SOCKET [-m] COMMAND …"""

import atexit
import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from types import FrameType

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fork_server.py")  # noqa: PTH100, PTH118, PTH120


IS_OFF = bool(os.environ.get("REAL_PROCESSES"))
"""Whether each command is started as a person starts it."""


class ForkServer:
    """Runs commands of one interpreter, which is started with an environment that has the locale of all of them."""

    def __init__(self, python: str, environment: Mapping[str, str]) -> None:
        self.python, self.environment = python, dict(environment)
        self.directory = tempfile.mkdtemp(prefix="dbkit-forks-")
        self.path = f"{self.directory}/socket"
        self.program = shutil.copy(__file__, self.directory)
        """This file, at a path that make and the shell take as it is."""
        self.process = subprocess.Popen(
            [python, SERVER, self.path],
            cwd="/",
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # a file that can be sought would stay one for Python when it is a pipe
        )
        assert self.process.stdout
        said = self.process.stdout.readline()
        assert said == b"ready\n", said
        atexit.register(self.stop)

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def can_run(self, environment: Mapping[str, str]) -> bool:
        """Whether a process with this environment begins as its server did: what Python reads at its start is the same."""

        def read(variables: Mapping[str, str]) -> dict[str, str]:
            kinds = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC")
            return {name: text for name, text in variables.items() if name.startswith(kinds) and name != "PYTHONPATH"}

        return not IS_OFF and read(environment) == read(self.environment)

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: str,
        environment: Mapping[str, str],
        timeout: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, without input, as subprocess.run with pipes does."""
        end = time.monotonic() + timeout if timeout else None
        with open(os.devnull) as nothing:  # noqa: PTH123
            outputs, written = zip(os.pipe(), os.pipe(), strict=True)
            connection = request(self.path, arguments, cwd, environment, [nothing.fileno(), *written])
        for file in written:
            os.close(file)
        texts: dict[int, list[bytes]] = {file: [] for file in outputs}
        with connection, connection.makefile() as answers, selectors.DefaultSelector() as selector:
            pid = int(answers.readline())
            for file in outputs:
                selector.register(file, selectors.EVENT_READ)
            while selector.get_map():
                if end and time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(list(arguments), timeout or 0)
                for key, _ in selector.select(1):
                    chunk = os.read(key.fd, 1 << 16)
                    texts[key.fd].append(chunk)
                    if not chunk:
                        selector.unregister(key.fd)
                        os.close(key.fd)
            code = answers.readline()
        output, errors = (b"".join(texts[file]).decode().replace("\r\n", "\n").replace("\r", "\n") for file in outputs)
        return subprocess.CompletedProcess(list(arguments), int(code), output, errors)


def request(
    path: str, arguments: Sequence[str], directory: str, environment: Mapping[str, str], files: Sequence[int]
) -> socket.socket:
    """Ask a server for a process. What it answers is the pid, and the exit code once it has ended."""
    os.umask(umask := os.umask(0o077))
    text = json.dumps(
        {
            "arguments": [os.fspath(each) for each in arguments],
            "directory": directory,
            "environment": dict(environment),
            "umask": umask,
        }
    ).encode()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    message = b"%d\n" % len(text) + text
    sent = socket.send_fds(connection, [message], files)
    connection.sendall(message[sent:])
    return connection


def main(path: str, *arguments: str) -> int:
    """Run a command with this process's files, directory and environment, as a recipe of make does."""
    connection = request(path, arguments, os.getcwd(), os.environ, [0, 1, 2])  # noqa: PTH109
    answers = connection.makefile()
    pid = int(answers.readline())

    def forward(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    code = int(answers.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
