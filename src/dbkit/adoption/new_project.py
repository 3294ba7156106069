"""A new project in the kit's own layout, from the parts that `dbkit adopt` adds to an existing one."""

import os
from collections.abc import Iterator
from pathlib import Path

from dbkit import files
from dbkit.adoption import owned, settings_edit
from dbkit.adoption.parts import PARTS
from dbkit.adoption.requirement import SERVER, SQUAWK, find_requirement, local_source
from dbkit.adoption.site import Site
from dbkit.errors import InputError

SUFFIX = ".template"
EXECUTABLE = "venv-setup.sh"
SPEC = ".dbkit/spec"


def make_project(path: Path, ci: str = "") -> bool:
    """Write a new project into a directory that is empty, but for .git, or does not exist.

    `ci` is the CI service that gets a job. Returns whether the project has its dbkit from a directory of this machine.
    Raises InputError, and has written nothing, where the directory is not empty.
    """
    _require_empty(path)
    made = _make_directories(path)
    written: list[Path] = []
    try:
        for name, text in render_files(path.name):
            content = text.encode()
            if name == "alembic.ini":  # there are no revisions yet, so none of their findings is accepted
                content = settings_edit.add_baseline(path / name, content, "")
            _write(path / name, content, written, made)
        (path / EXECUTABLE).chmod(0o755)
        site = Site(path / "alembic.ini", "alembic", path, path / "backend/alembic", path, ci=ci)
        for part in PARTS.values():
            for change in part.plan(site):
                if change.after is not None and change.after != change.before:
                    _write(change.path, change.after, written, made)
        source = local_source()
        if source:
            _write(path / SPEC, f"{source}\n".encode(), written, made)
    except BaseException:
        for each in reversed(written):
            each.unlink(missing_ok=True)
        for directory in reversed(made):
            directory.rmdir()
        raise
    return bool(source)


def render_files(name: str) -> Iterator[tuple[str, str]]:
    """Yield the files that only a new project gets, by their path in it."""
    words = {"@NAME@": name, "@DBKIT@": find_requirement().text, "@SERVER@": SERVER, "@SQUAWK@": SQUAWK}
    top = owned.TEMPLATES / "new"
    for template in sorted(top.rglob(f"*{SUFFIX}")):
        text = template.read_text(encoding="utf-8")
        for word, replacement in words.items():
            text = text.replace(word, replacement)
        # a file .gitignore among the templates would have its effect there
        name = template.name.removesuffix(SUFFIX).removeprefix("dot" if template.name.startswith("dot.") else "")
        yield template.relative_to(top).with_name(name).as_posix(), text


def _require_empty(path: Path) -> None:
    if "%" in str(path.absolute()):
        raise InputError(f"Alembic does not work in a directory with % in its name: {path}", "Give it another name.")
    if not os.path.lexists(path):
        return
    try:
        found = sorted(set(os.listdir(path)) - {".git"})  # noqa: PTH208  # of a clone without a commit
    except NotADirectoryError:
        raise InputError(f"{path} exists, and is not a directory.", "Name another one.") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    if found:
        raise InputError(
            f"{path} is not empty: it has {found[0]}{', …' if len(found) > 1 else ''}.",
            "Name a directory that does not exist. A project that has Alembic already gets dbkit by `dbkit adopt`.",
        )


def _make_directories(path: Path) -> list[Path]:
    """Make a directory and those above it. Returns the new ones, the highest first."""
    try:
        missing = [each for each in reversed((path, *path.parents)) if not each.exists()]
    except OSError as error:
        raise InputError(f"cannot make {path}: {error.strerror}.", "Name another directory.") from error
    for number, each in enumerate(missing):
        try:
            each.mkdir()
        except OSError as error:
            for done in reversed(missing[:number]):
                done.rmdir()
            raise InputError(f"cannot make {each}: {error.strerror}.", "Name another directory.") from error
    return missing


def _write(path: Path, content: bytes, written: list[Path], made: list[Path]) -> None:
    made += _make_directories(path.parent)
    written.append(path)  # first, for a signal may come in between
    try:
        files.write_file(path, content)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}.") from error
