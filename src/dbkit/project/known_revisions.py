"""Revision files that an earlier run has loaded, and that have not changed: they are loaded when they are used."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dbkit.project.revision_source import has_effects_on_load
from dbkit.redaction import redact

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
    """Describe a loaded revision; None where its docstring has a secret, or loading may do more than define names."""
    module = script.module
    names = [getattr(module, name, None) for name in ("down_revision", "branch_labels", "depends_on")]
    doc = module.__doc__ or ""
    if not all(map(_is_plain, names)) or redact.text(doc) != doc or has_effects_on_load(str(script.path)):
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

    class KnownScript(Script):
        @classmethod
        def _from_path(cls, scriptdir: Any, path: Any) -> Script | None:
            found = known.get(str(path))
            if found is None:
                return Script._from_path(scriptdir, path)
            return Script(_UnloadedModule(found, Path(path)), found.revision, str(path))

    base.Script = KnownScript  # type: ignore[misc]  # ScriptDirectory has no other way to be given its revisions
    try:
        yield
    finally:
        base.Script = Script  # type: ignore[misc]


class _UnloadedModule(ModuleType):
    """The module of a known revision, which is executed when anything else of it is used, or something is set in it."""

    def __init__(self, known: KnownRevision, path: Path) -> None:
        spec = spec_from_file_location(re.sub(r"\W", "_", path.name), path)  # the name that Alembic gives it
        assert spec is not None  # noqa: S101  # it is a file of Python
        super().__init__(spec.name, known.doc)
        self.__dict__.update(
            __spec__=spec,
            __loader__=spec.loader,
            __file__=str(path),
            revision=known.revision,
            down_revision=_as_written(known.down_revision),
            branch_labels=_as_written(known.branch_labels),
            depends_on=_as_written(known.depends_on),
        )

    def __getattr__(self, name: str) -> Any:
        if name == ENCODING or (name.startswith("__") and name.endswith("__")):
            raise AttributeError(name)
        self._execute()
        return getattr(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self._execute()
        setattr(self, name, value)  # now of a plain module

    def _execute(self) -> None:
        """Execute the file here: from then on, this is the module like any other."""
        loader = self.__dict__["__loader__"]
        object.__setattr__(self, "__class__", ModuleType)
        try:
            loader.exec_module(self)
        except BaseException:
            object.__setattr__(self, "__class__", _UnloadedModule)
            raise


def _as_written(names: tuple[str, ...]) -> str | tuple[str, ...] | None:
    """Return names as a revision file has them: one is no tuple."""
    return (names[0] if len(names) == 1 else names) or None
