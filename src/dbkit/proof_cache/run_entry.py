"""The outcome of a whole run: where nothing that it depends on has changed, it is printed again without running it."""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from dbkit import __version__
from dbkit.postgres.binaries import find_program, server_bindir
from dbkit.project.git_files import new_files
from dbkit.proof_cache.codec import Unreadable, decode, encode_redacted
from dbkit.proof_cache.digests import Digests
from dbkit.proof_cache.inputs import Inputs, list_names
from dbkit.proof_cache.recorder import Recorder
from dbkit.proof_cache.store import FORMAT, open_store
from dbkit.settings import Settings

T = TypeVar("T")
NOT_IN_KEY = ("report", "outputs", "no_cache", "full", "level")
"""Options that do not change the outcome."""
NO_INPUT = ("target", "app_env", "wait", "confirm", "stash")
"""Settings that a proof does not use."""


@dataclass
class RunCache:
    """The kept outcomes of runs with the same options, of the same programs."""

    root: Path
    key: str
    since: str | None
    digests: Digests
    recorder: Recorder
    inputs: Inputs | None = None
    """What this run has depended on; None where it is not known."""
    problem: str = ""
    """Why the outcome of this run is not kept; "" where it is."""
    redacted: frozenset[str] = frozenset()
    """Texts that an earlier run has kept, without secrets."""

    @classmethod
    def open(
        cls, settings: Settings, ini: Path, verb: str, options: Any, programs: Iterable[str | None] = ()
    ) -> "RunCache":
        """Return the cache for a verb with its options, which starts these programs."""
        store = open_store(settings.root, create=False)
        digests = Digests.load(store)
        # the settings without what the proof replaces; an editable installation has the version of its last release
        parts = {
            "format": FORMAT,
            "version": __version__,
            "verb": verb,
            "options": {name: each for name, each in vars(options).items() if name not in NOT_IN_KEY},
            "settings": {name: each for name, each in vars(settings).items() if name not in NO_INPUT},
            "ini": ini,
            "directory": os.getcwd(),  # noqa: PTH109
            "python": [sys.version, sys.prefix, sys.flags, platform.machine(), os.geteuid() == 0],
            "path": sys.path,
            "server": _describe_programs(settings, digests),
            "programs": [digests.digest(program) for program in programs if program],
        }
        key = hashlib.sha256(json.dumps(parts, sort_keys=True, default=_simplify).encode()).hexdigest()[:24]
        return cls(settings.root, key, options.since, digests, Recorder())

    def find(self, kind: type[T]) -> T | None:
        """Return the outcome of a run whose inputs are what they were; None where there is none."""
        store = self.digests.store
        if store is None:
            return None
        for name, entry in store.read_variants(self.key):
            try:
                inputs = Inputs.from_json(entry["inputs"])
                if not inputs.is_current(self.digests.digest, os.environ) or not self._selects_same(entry):
                    continue
                found = decode(kind, entry["outcome"])
                os.chdir(entry["directory"])  # the reports shorten paths
            except (Unreadable, KeyError, TypeError, ValueError, OSError):
                continue
            store.mark_used(name)
            self.digests.save()
            return found
        return None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what is read within the context."""
        self.recorder.start()
        try:
            yield
        finally:
            self.recorder.stop()

    def find_inputs(self, files: Iterable[Path], own_variables: Iterable[str], kept: Inputs | None) -> None:
        """Find what the run that was recorded has depended on, these files too, and what `kept` verdicts depend on."""
        found = self.recorder.inputs(self.digests, map(str, files), own_variables)
        self.inputs = found.join(kept, self.recorder.environment) if found and kept else found
        self.problem = "" if found else min(self.recorder.problems)

    def keep(self, outcome: object, revision_files: Iterable[Path]) -> None:
        """Keep the outcome of the run that was recorded, unless what it depends on is not known."""
        store = open_store(self.root, create=True) if self.inputs else None
        if store is None or self.inputs is None:
            return
        self.digests.store = store
        redacted = encode_redacted(outcome, self.redacted)
        entry = {"inputs": self.inputs.as_json(), "outcome": redacted, "directory": os.getcwd()}  # noqa: PTH109
        if self.since:
            directories = sorted({str(path.resolve().parent) for path in revision_files})
            entry |= {"directories": directories, "new": self._list_new(directories)}
        store.write_variant(self.key, entry)
        self.digests.save()

    def _selects_same(self, entry: dict[str, Any]) -> bool:
        """Whether --since selects the same files."""
        return not self.since or self._list_new(entry["directories"]) == entry["new"]

    def _list_new(self, directories: Iterable[str]) -> list[str]:
        return sorted(map(str, new_files(map(Path, directories), self.since or "")))


def _describe_programs(settings: Settings, digests: Digests) -> list[str]:
    """Return which programs of PostgreSQL a scratch cluster is made with, and which extensions they have."""
    settings = replace(settings, app_env="test")  # as that of the cluster
    bindir = server_bindir(settings)
    programs = [bindir / "postgres", bindir / "initdb", find_program(settings, "pg_dump")]
    found = [f"{program} {digests.digest(str(program))}" for program in programs if program]
    return [*found, list_names(str(bindir.parent / "share" / "extension"))]


def _simplify(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)
