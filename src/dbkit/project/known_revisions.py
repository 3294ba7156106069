"""Revision files that an earlier run has loaded, and that have not changed: they are loaded when they are used."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dbkit.project.revision_source import has_effects_on_load

if TYPE_CHECKING:
    from alembic.script import Script

ENCODING = "_alembic_source_encoding"
"""The attribute of a module that Alembic's first versions have set, and that later ones look for."""


@dataclass(frozen=True)
class KnownRevision:
    """The attributes of a revision's module that Alembic reads to find its history."""

    revision: str
    doc: str | None = None
    down_revision: tuple[str, ...] = ()
    branch_labels: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()


def describe_revision(script: "Script") -> KnownRevision | None:
    """Describe a loaded revision; None where loading its file may do more than define names."""
    module = script.module
    names = [getattr(module, name, None) for name in ("down_revision", "branch_labels", "depends_on")]
    if not all(map(_is_plain, names)) or has_effects_on_load(str(script.path)):
        return None
    return KnownRevision(script.revision, module.__doc__, *map(_as_tuple, names))


def _is_plain(value: object) -> bool:
    each = value if isinstance(value, list | tuple) else [value]
    return value is None or all(isinstance(name, str) for name in each)


def _as_tuple(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


@contextmanager
def known_revisions(known: Mapping[str, KnownRevision]) -> Iterator[None]:
    """Let Alembic take the revisions in these files (absolute paths) as they are known, without loading the files.

    With an older Alembic, which finds files in another way, all are loaded.
    """
    if not known:
        yield
        return
    from alembic.script import Script, base
    from alembic.util import load_python_file

    class KnownScript(Script):
        @classmethod
        def _from_path(cls, scriptdir: Any, path: Any) -> Script | None:
            found = known.get(str(path))
            if found is None:
                return Script._from_path(scriptdir, path)
            file = Path(path)
            module: Any = _UnloadedModule(found, lambda: load_python_file(str(file.parent), file.name))
            return Script(module, found.revision, str(path))

    base.Script = KnownScript  # type: ignore[misc]  # ScriptDirectory has no other way to be given its revisions
    try:
        yield
    finally:
        base.Script = Script  # type: ignore[misc]


class _UnloadedModule(ModuleType):
    """The module of a known revision, which is loaded when something else of it is used."""

    def __init__(self, known: KnownRevision, load: Callable[[], ModuleType]) -> None:
        super().__init__(f"{known.revision}_py", known.doc)
        self.revision = known.revision
        self.down_revision = known.down_revision
        self.branch_labels = known.branch_labels or None
        self.depends_on = known.depends_on or None
        self._load_file = load

    def __getattr__(self, name: str) -> Any:
        """Load the file, whose attributes this module has from then on."""
        if name == ENCODING or (name.startswith("__") and name.endswith("__")) or "_load_file" not in self.__dict__:
            raise AttributeError(name)
        self.__dict__.update(self.__dict__.pop("_load_file")().__dict__)
        return getattr(self, name)
