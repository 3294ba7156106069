"""Write planned edits: all of them or none."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from dbkit.adoption.change import Change
from dbkit.errors import InputError
from dbkit.files import write_file


def write_changes(changes: Iterable[Change], top: Path) -> None:
    """Write the changes. Where one cannot be written, those that were are put back, and the error is raised.

    Directories that are made for new files, and that become empty with removed ones, are below `top`.
    """
    before: dict[Path, bytes | None] = {}
    after: dict[Path, bytes | None] = {}
    for each in changes:
        before.setdefault(each.path, each.before)
        after[each.path] = each.after
    wanted = [path for path in after if before[path] != after[path]]
    for path in wanted:
        if _read(path) != before[path]:
            raise InputError(f"{path} was changed meanwhile.", "Run the same command again.")
    made: list[Path] = []
    begun: list[Path] = []
    try:
        for path in wanted:
            made += _make_directories(path.parent)
            begun.append(path)
            _write(path, after[path])
    except BaseException as error:
        lost = _put_back(begun, before, made)
        if lost:
            names = ", ".join(map(str, lost))
            raise InputError(f"{names} could not be put back as before.", "Compare with git.") from error
        if isinstance(error, OSError):
            raise InputError(
                f"cannot write {begun[-1] if begun else top}: {error.strerror}.", "Nothing was changed."
            ) from error
        raise
    for path in wanted:
        if after[path] is None:
            _remove_empty(path.parent, top)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        write_file(path, content)


def _make_directories(directory: Path) -> list[Path]:
    """Make a directory and those above it. Returns the new ones, the lowest first."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    return missing


def _put_back(paths: Sequence[Path], before: dict[Path, bytes | None], made: Sequence[Path]) -> list[Path]:
    """Give files their former content. Returns those for which that has failed."""
    lost = []
    for path in reversed(paths):
        try:
            if _read(path) != before[path]:
                _write(path, before[path])
        except FileNotFoundError:
            pass
        except OSError:
            lost.append(path)
    for directory in made:
        with suppress(OSError):
            directory.rmdir()
    return lost


def _remove_empty(directory: Path, top: Path) -> None:
    for each in (directory, *directory.parents):
        if each == top or top not in each.parents:
            return
        try:
            each.rmdir()
        except OSError:
            return
