"""The inputs that a proof had: files, directories and environment variables, and whether they are still the same."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from dbkit.proof_cache.model_digest import PREFIX, describe_module, is_same_module

MISSING = "-"
"""The state of a path at which nothing is."""
PRESENT = "+"
"""The state of a path that is a directory, or that was only looked for."""
IN_WHOLE = "*"
"""In place of the name of a variable: the whole environment was read."""
PER_SESSION = re.compile(
    r"_|SHLVL|PWD|OLDPWD|COLUMNS|LINES|TERM|COLORTERM|WINDOWID|DISPLAY|WAYLAND_DISPLAY|INVOCATION_ID|JOURNAL_STREAM|STY"
    r"|TMUX|TMUX_PANE|MAKEFLAGS|MAKELEVEL|MFLAGS|MAKE_TERMOUT|MAKE_TERMERR|PS1"
    r"|(SSH|XDG|DBUS|TERM|VTE|KITTY|ITERM|VSCODE|GPG|GITHUB|RUNNER|ACTIONS|CI|GITLAB|FF|DBKIT|PYTEST)_.*"
)
"""Variables that a terminal or a CI job sets for itself: they count only when they are read by name."""
ALWAYS = ("PG", "LC_", "PYTHON")
ALWAYS_NAMES = ("TZ", "LANG", "LANGUAGE")
"""Variables that libraries read without Python."""


@dataclass
class Inputs:
    """The files, directories and variables that a run has read."""

    files: dict[str, str] = field(default_factory=dict)
    """By path, the digest of a file; MISSING or PRESENT."""
    listings: dict[str, str] = field(default_factory=dict)
    """By path, the digest of the names in a directory."""
    modules: dict[str, str] = field(default_factory=dict)
    """By path, the digest of the names of what can be imported from a directory."""
    variables: list[str] = field(default_factory=list)
    """The names of environment variables."""
    salt: str = ""
    values: str = ""
    """A digest of the values of all variables together: none of them can be guessed by itself."""

    def as_json(self) -> dict[str, object]:
        """Return it as a value of JSON."""
        return vars(self)

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> "Inputs":
        """Return what `as_json` was given."""
        return cls(**content)  # type: ignore[arg-type]  # the checksum of the entry holds

    def without(self, files: Collection[str], listings: Collection[str], models: Collection[str]) -> "Inputs":
        """Return the inputs without these files, what was listed of these directories, and the tables of `models`."""
        kept = {path: state for path, state in self.files.items() if path not in files}
        return replace(
            self,
            files=kept | {path: describe_module(path, kept[path]) for path in models if path in kept},
            listings={path: names for path, names in self.listings.items() if path not in listings},
        )

    def join(self, other: "Inputs", environment: Mapping[str, str]) -> "Inputs":
        """Return these inputs and those of an earlier run that are still the same."""
        variables = sorted({*self.variables, *other.variables})
        return Inputs(
            other.files | self.files,
            other.listings | self.listings,
            other.modules | self.modules,
            variables,
            self.salt,
            digest_values(variables, self.salt, environment),
        )

    def is_current(self, digest: Callable[[str], str], environment: Mapping[str, str]) -> bool:
        """Whether everything is as it was; `digest` returns that of a file."""
        return (
            digest_values(self.variables, self.salt, environment) == self.values
            and all(list_names(path) == names for path, names in self.listings.items())
            and all(list_modules(path) == names for path, names in self.modules.items())
            and all(self._is_same(path, state, digest) for path, state in self.files.items())
        )

    @staticmethod
    def _is_same(path: str, state: str, digest: Callable[[str], str]) -> bool:
        if state in (MISSING, PRESENT):
            return os.path.exists(path) == (state == PRESENT)  # noqa: PTH110  # hundreds of them
        if state.startswith(PREFIX):
            return is_same_module(path, digest(path), state)
        return digest(path) == state


def digest_values(names: Iterable[str], salt: str, environment: Mapping[str, str]) -> str:
    """Return one digest of the values that variables have."""
    wanted = set(names)
    if IN_WHOLE in wanted:
        wanted |= {name for name in environment if not PER_SESSION.fullmatch(name)}
    wanted |= {name for name in environment if name.startswith(ALWAYS) or name in ALWAYS_NAMES}
    values = [(name, environment.get(name)) for name in sorted(wanted)]
    return hashlib.sha256(f"{salt}{json.dumps(values)}".encode(errors="surrogateescape")).hexdigest()


def list_names(path: str) -> str:
    """Return a digest of the names in a directory, without those that Python and this program put there."""
    return _digest_names(path, lambda name: name not in ("__pycache__", ".dbkit"))


def list_modules(path: str) -> str:
    """Return a digest of the names in a directory that can be imported: modules and packages."""
    return _digest_names(path, lambda name: name.endswith((".py", ".so", ".pyc")) or name.isidentifier())


def _digest_names(path: str, is_wanted: Callable[[str], bool]) -> str:
    try:
        names = os.listdir(path)  # noqa: PTH208  # names only
    except OSError:
        return MISSING
    wanted = sorted(name for name in names if is_wanted(name) and name != "__pycache__")
    return hashlib.sha256("\0".join(wanted).encode(errors="surrogateescape")).hexdigest()


def is_scratch(path: str) -> bool:
    """Whether a path is of the system, or of the program's own work: no input of a proof."""
    is_system = path.startswith(("/proc/", "/dev/", "/sys/")) and not path.startswith("/dev/shm/")  # noqa: S108
    return is_system or "/dbkit-scratch-" in path or "/.dbkit/" in path


def absolute(path: str) -> str:
    """Return an absolute path without `.` and `..`; symbolic links stay."""
    return os.path.abspath(path)  # noqa: PTH100  # Path.absolute() keeps `..`
