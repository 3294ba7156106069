"""What is written is written as a whole, or put back."""

from collections.abc import Callable
from errno import ENOSPC
from itertools import count
from pathlib import Path

import pytest

from dbkit.adoption import write
from dbkit.adoption.change import Change
from dbkit.errors import InputError


@pytest.fixture
def changes(tmp_path: Path) -> list[Change]:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"before")
    return [Change(tmp_path / name, "make", b"before", b"after") for name in ("a", "b")]


def write_but(fails: Callable[[int], bool]) -> Callable[[Path, bytes], None]:
    """Return what writes files; the disk is full for the calls with these numbers."""
    calls = count(1)

    def write_file(path: Path, content: bytes) -> None:
        if fails(next(calls)):
            raise OSError(ENOSPC, "No space left on device")
        path.write_bytes(content)

    return write_file


def test_one_that_fails_changes_nothing(changes: list[Change], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "write_file", write_but(lambda number: number == 2))
    with pytest.raises(InputError, match="b: No space left on device") as caught:
        write.write_changes(changes, tmp_path)
    assert caught.value.hint == "Nothing was changed."
    assert [(tmp_path / name).read_bytes() for name in ("a", "b")] == [b"before"] * 2


def test_one_that_cannot_be_put_back_is_named(
    changes: list[Change], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not be claimed then that nothing was changed."""
    monkeypatch.setattr(write, "write_file", write_but(lambda number: number > 1))
    with pytest.raises(InputError, match="a could not be put back as before") as caught:
        write.write_changes(changes, tmp_path)
    assert "Nothing was changed" not in caught.value.hint
