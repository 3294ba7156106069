"""Record what a project's code reads while its migrations are proven: files, directories, environment variables."""

import os
import secrets
import stat
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from dbkit import errors
from dbkit.proof_cache.digests import Digests, Signature, signature_of
from dbkit.proof_cache.inputs import (
    IN_WHOLE,
    MISSING,
    PRESENT,
    Inputs,
    absolute,
    digest_values,
    is_scratch,
    list_modules,
    list_names,
)

OWN = str(Path(__file__).parents[1]) + os.sep
SERVERS = f"{OWN}postgres{os.sep}"
"""The code that makes scratch clusters, in directories that others use, too."""
LIBRARIES = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
SITE = tuple({sysconfig.get_path(name) + os.sep for name in ("purelib", "platlib")})
"""The directories of installed packages; a package more or less changes what can be imported."""
FINDER = "<frozen importlib._bootstrap_external>"
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn")
LOOK_FOR_LIBRARIES = ("/ctypes/util.py", "/uuid.py", "/platform.py")
"""Modules of the standard library that start programs to find out what the system is."""
ALEMBIC = ("/alembic/script/base.py", "/alembic/util/compat.py", "/alembic/util/pyfiles.py")
"""The modules that list the revision files."""
CLOCK_STEP = 20_000_000
"""Nanoseconds by which the time of a file can be behind the clock."""


class Recorder:
    """Records from `start` until `stop`, in this process and in those that it forks.

    Python cannot remove an audit hook: there is one for the process, which does nothing without a recorder.
    """

    def __init__(self) -> None:
        self.opened: dict[str, Signature | None] = {}
        """By path, the state of a file when it was opened first."""
        self.looked_for: dict[str, bool] = {}
        """By path, whether something was there."""
        self.listings: dict[str, str] = {}
        self.listed_by_project: set[str] = set()
        """The directories that other code than this program and Alembic has listed."""
        self.modules: dict[str, str] = {}
        self.variables: set[str] = set()
        self.problems: set[str] = set()
        """What cannot be known: then nothing is kept."""
        self.loaded: set[str] = set()
        """The files of modules, of other processes."""
        self.said = len(errors.said)
        self.began = time.time_ns()
        self.environment = dict(os.environ)
        self._state = threading.local()
        self._iterated: set[str] = set()
        """The names that an iteration over the environment has given, and whose values were not read yet."""

    def start(self) -> None:
        """Begin to record."""
        global _active
        self.began, self.environment = time.time_ns(), dict(os.environ)
        # Python has listed these already, and will do so again only where they change
        for path in map(_path_of, list(sys.path_importer_cache)):
            if path and not _is_library(path) and not path.startswith((OWN, *SITE)):
                self.modules[path] = list_modules(path)
        self.listings |= {path: list_names(path) for path in SITE}
        _install()
        _active = self

    def stop(self) -> None:
        """End the recording."""
        global _active
        _active = None

    def report(self) -> "Report":
        """Return what a process that was forked has recorded, for `join`."""
        names = ("opened", "looked_for", "listings", "listed_by_project", "modules", "variables", "problems")
        self._check_messages()
        return Report({name: getattr(self, name) for name in names} | {"loaded": set(loaded_files())})

    def join(self, report: "Report") -> None:
        """Add what another process has recorded."""
        for name, found in report.content.items():
            mine = getattr(self, name)
            if isinstance(mine, set):
                mine |= found
            else:
                setattr(self, name, found | mine)

    def inputs(self, digests: Digests, files: Iterable[str] = (), exclude: Iterable[str] = ()) -> Inputs | None:
        """Return what was read, `files` as well; None where it cannot be known, or has changed meanwhile.

        `exclude` are variables that this program has set.
        """
        self._check_messages()
        paths = {path: signature_of(path) for path in {*loaded_files(), *self.loaded, *files}}
        for path, signature in self.opened.items():
            if signature_of(path) != signature:
                self.problems.add(f"{path} has changed meanwhile")
        for path, signature in paths.items():
            if signature and max(signature[1:3]) > self.began - CLOCK_STEP:
                self.problems.add(f"{path} has changed meanwhile")
        if self.problems:
            return None
        found = {path: PRESENT if is_there else MISSING for path, is_there in self.looked_for.items()}
        found |= {path: digests.digest(path) for path in sorted({*paths, *self.opened})}
        variables, salt = sorted(self.variables - set(exclude)), secrets.token_hex(16)
        values = digest_values(variables, salt, self.environment)
        return Inputs(found, self.listings, self.modules, variables, salt, values)

    def _check_messages(self) -> None:
        if len(errors.said) > self.said:
            self.problems.add("the proof has printed a message")

    # called by the hooks

    def record_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Record an audit event of Python."""
        if getattr(self._state, "is_busy", False):
            return
        self._state.is_busy = True
        try:
            if event == "open":
                self._record_open(arguments)
            elif event in ("os.listdir", "os.scandir"):
                self._record_listing(arguments[0])
            elif event == "sqlite3.connect":
                self._record_open((arguments[0], "r", 0))
            elif event in PROGRAMS:
                if not is_own_caller(3, LOOK_FOR_LIBRARIES):
                    self.problems.add("a program is started")
            elif event == "socket.connect" and not is_own_caller(3) and not isinstance(arguments[1], str | bytes):
                self.problems.add("a connection is opened to what is not the scratch server")
        finally:
            self._state.is_busy = False

    def _record_open(self, arguments: tuple[Any, ...]) -> None:
        name, mode, flags = arguments
        writes = any(each in mode for each in "wax") if mode else flags & (os.O_WRONLY | os.O_TRUNC | os.O_EXCL)
        path = _path_of(name)
        if path is None or writes or path in self.opened or path.endswith(".pyc") or _is_library(path):
            return
        signature = signature_of(path)
        if signature is None or not stat.S_ISDIR(signature[-1]):  # a directory is opened to be listed, or removed
            self.opened[path] = signature

    def _record_listing(self, name: object) -> None:
        path = _path_of(name or ".")
        if path is None or _is_library(path) or path.endswith("__pycache__"):
            return
        if _is_called_by_finder():
            if path not in self.modules and not path.startswith(SITE):
                self.modules[path] = list_modules(path)
            return
        if is_own_caller(4, own=SERVERS):
            return
        if path not in self.listings:
            self.listings[path] = list_names(path)
        if path not in self.listed_by_project and not is_own_caller(4, ALEMBIC):
            self.listed_by_project.add(path)

    def record_variable(self, name: object) -> None:
        """Record that a variable was read."""
        if name in self._iterated:
            self._iterated.discard(str(name))
        elif isinstance(name, str) and not is_own_caller(3):
            self.variables.add(name)

    def record_iteration(self, names: Iterable[str]) -> None:
        """Record that the whole environment is read: the values are read one by one after that."""
        if not is_own_caller(3):
            self.variables.add(IN_WHOLE)
            self._iterated |= set(names)

    def record_look(self, name: object, is_there: bool) -> None:
        """Record whether something was at a path."""
        if is_own_caller(3):
            return
        path = _path_of(name)
        if path is not None and not _is_library(path):
            self.looked_for.setdefault(path, is_there)


@dataclass
class Report:
    """The records of another process."""

    content: dict[str, Any]


_active: Recorder | None = None
_is_installed = False


def active() -> Recorder | None:
    """Return the recorder of this process, where it records."""
    return _active


def report() -> Report | None:
    """Return what this process has recorded, for its parent."""
    return _active.report() if _active else None


def join(found: Report) -> None:
    """Add what another process has recorded."""
    if _active:
        _active.join(found)


def loaded_files() -> dict[str, str]:
    """Return the names of the modules that are loaded by their files, without the standard library."""
    found = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith((".py", ".so", ".pyc")) and not _is_library(file):
            found[absolute(file)] = name
    return found


def project_modules() -> dict[str, str]:
    """Return the names of the modules of the project by their files: not of installed packages, nor of this one."""
    return {file: name for file, name in loaded_files().items() if not file.startswith((OWN, *SITE))}


def _path_of(name: object) -> str | None:
    """Return an absolute path; None for what is no path of a project."""
    if isinstance(name, int):
        return None
    try:
        path = absolute(os.fsdecode(name))  # type: ignore[arg-type]
    except (TypeError, ValueError, OSError):
        return None
    return None if is_scratch(f"{path}/") else path


def _is_library(path: str) -> bool:
    """Whether a path is of Python's own library, which changes with its version only."""
    return path.startswith(LIBRARIES) and not path.startswith(SITE)


def is_own_caller(depth: int, known: tuple[str, ...] = (), own: str = OWN) -> bool:
    """Whether the code that called is in the directory `own` or in one of the `known` modules; else it is others'."""
    frame: FrameType | None = sys._getframe(depth)
    while frame:
        file = frame.f_code.co_filename
        if known and file.endswith(known):
            return True
        if not file.startswith("<frozen") and not _is_library(file):
            return file.startswith(own)
        frame = frame.f_back
    return True


def _is_called_by_finder() -> bool:
    frame: FrameType | None = sys._getframe(4)
    return frame is not None and frame.f_code.co_filename == FINDER


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _active and (
        event in ("open", "os.listdir", "os.scandir", "socket.connect", "sqlite3.connect") or event in PROGRAMS
    ):
        _active.record_event(event, arguments)


def _install() -> None:
    global _is_installed
    if _is_installed:
        return
    _is_installed = True
    sys.addaudithook(_hook)
    os.environ.__class__ = _RecordingEnviron
    original, os.stat = os.stat, _recording_stat(os.stat)
    for abilities in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        if original in abilities:
            abilities.add(os.stat)


class _RecordingEnviron(type(os.environ)):  # type: ignore[misc]
    """The environment, which records what is read."""

    def __getitem__(self, name: str) -> str:
        if _active:
            _active.record_variable(name)
        return super().__getitem__(name)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        if _active:
            _active.record_iteration(super().__iter__())
        return super().__iter__()  # type: ignore[no-any-return]

    def __contains__(self, name: object) -> bool:
        if _active:
            _active.record_variable(name)
        return bool(super().__contains__(name))


def _recording_stat(original: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
    def recording_stat(path: Any, **keywords: Any) -> os.stat_result:
        try:
            found = original(path, **keywords)
        except FileNotFoundError:
            if _active:
                _active.record_look(path, is_there=False)
            raise
        if _active:
            _active.record_look(path, is_there=True)
        return found

    return recording_stat
