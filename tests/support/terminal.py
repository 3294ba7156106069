"""A person in a terminal of so many columns: types a command, reads what is shown, and answers questions."""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import termios
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

STYLES = re.compile(r"\x1b\[[0-9;]*m")
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
Answer = tuple[str, str]
"""What must be on the screen, and what is typed then."""


@dataclass(frozen=True)
class Shown:
    """What a terminal was sent until the process ended."""

    exit_code: int
    raw: str
    """With its escapes; lines end with a line feed."""

    @property
    def plain(self) -> str:
        """Without colours."""
        return STYLES.sub("", self.raw)

    @property
    def lines(self) -> list[str]:
        """The screen at the end: a line that is replaced counts as it is last."""
        screen = [re.split(r"\r(?:\x1b\[\d+A)?\x1b\[[JK]", line)[-1] for line in self.raw.split("\n")]
        return [ESCAPES.sub("", line).rstrip() for line in screen]

    @property
    def words(self) -> str:
        """All that is readable on it, without space, which wrapping adds and removes."""
        return "".join(line for line in self.lines).replace(" ", "")


def type_in_terminal(
    command: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    *,
    columns: int = 100,
    answers: Sequence[Answer] = (),
    at_each: Callable[[int, str], object] = lambda _terminal, _shown: None,
    stdin: int | None = None,
) -> Shown:
    """Run a command in a terminal to its end; `at_each` is called with the terminal and what it shows so far.

    `stdin`: a file descriptor that takes the place of the keyboard.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if stdin is not None:
            os.dup2(stdin, 0)
        os.chdir(directory)
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.execvpe(command[0], list(command), dict(environment))
    shown, waiting, seen = "", list(answers), 0
    with contextlib.suppress(OSError):  # which a terminal raises when its last process has ended
        while part := os.read(terminal, 65536):
            shown += part.decode(errors="replace")
            while waiting and waiting[0][0] in shown[seen:]:
                seen = len(shown)
                os.write(terminal, waiting.pop(0)[1].encode())
            at_each(terminal, shown)
    os.close(terminal)
    _pid, status = os.waitpid(pid, 0)
    assert not waiting, f"it has not shown {waiting[0][0]!r}: {shown}"
    return Shown(os.waitstatus_to_exitcode(status), shown.replace("\r\n", "\n"))


def resize(terminal: int, columns: int) -> None:
    """Give the window so many columns."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
