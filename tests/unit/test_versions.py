"""Reading revision files statically: sure, or silent."""

from pathlib import Path

import pytest

from dbkit.project import revision_files
from support.kit import REPOSITORY, SHOP_HEAD

HEADER = 'revision = "{0}"\nbranch_labels = None\ndepends_on = None\ndown_revision = {1}\n'


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEADER.format("a", "None"), ("a", ())),
        (HEADER.format("b", '"a"'), ("b", ("a",))),
        (HEADER.format("c", '("a", "b")'), ("c", ("a", "b"))),
        (HEADER.format("c", "('a',)"), ("c", ("a",))),
        ("revision: str = 'b'\ndown_revision: Union[str, Sequence[str], None] = 'a'\ndepends_on: str | None = None\n", ("b", ("a",))),
        ('"""Revises: a\n\nrevision = in prose\n"""\n' + HEADER.format("b", '"a"'), ("b", ("a",))),
        ('"""Text\nrevision = "x"\ndown_revision = "y"\n"""\nif True:\n    revision = "b"\n    down_revision = "a"\n', None),
        (HEADER.format("b", '"a"') + 'revision = "c"\n', ("c", ("a",))),
        (HEADER.format("b", '"a"') + 'if True:\n    revision = "c"\n', None),
        (HEADER.format("b", '"a"') + "from elsewhere import *\n", None),
        (HEADER.format("b", '"a"') + "def f():\n    global revision\n    revision = 'c'\nf()\n", None),
        (HEADER.format("b", '"a"') + "for revision in 'cd': pass\n", None),
        (HEADER.format("b", '"a"') + "del down_revision\n", None),
        (HEADER.format("b", '"a"') + "class revision: pass\n", None),
        (HEADER.format("b", '"a"') + "class A:\n    revision = 'c'\ndef f(revision):\n    revision = 'd'\n", ("b", ("a",))),
        (HEADER.format("head", '"a"'), None),
        (HEADER.format("b@c", '"a"'), None),
        ('revision = ("b",)\ndown_revision = None\n', None),
        ('revision = "b"\ndown_revision = ("a", None)\n', None),
        (HEADER.format("b", "make_parent()"), None),
        ('revision = "b" + "c"\ndown_revision = None\n', None),
        ('down_revision = "a"\n', None),
        ('revision = "b"\ndown_revision = "a"\ndepends_on = "x"\n', ("b", ("a",))),
        ("", None),
    ],
)  # fmt: skip
def test_a_file_is_read_for_certain_or_not_at_all(
    tmp_path: Path, text: str, expected: tuple[str, tuple[str, ...]] | None
) -> None:
    found = revision_files.read_revision_file(write(tmp_path, "x.py", text))
    assert (found and (found.revision, found.down_revisions)) == expected


@pytest.mark.parametrize(
    ("chain", "heads"),
    [
        ([], frozenset()),
        ([("a", "None"), ("b", '"a"')], {"b"}),
        ([("a", "None"), ("b", '"a"'), ("c", '"a"')], {"b", "c"}),
        ([("a", "None"), ("b", '"a"'), ("c", '"a"'), ("d", '("b", "c")')], {"d"}),
        ([("a", "None"), ("b", '"lost"')], None),
        ([("a", "None"), ("a", "None")], None),
        ([("a", "None"), ("b", '"b"')], None),
        ([("a", "None"), ("b", '"c"'), ("c", '"b"')], None),
        ([("a", "None"), ("b", '("a", "c")'), ("c", '"b"'), ("d", '"c"')], None),
        ([("a", "None"), ("b", '"a"\ndepends_on = "a"')], {"b"}),
        ([("a", "None"), ("b", 'None\ndepends_on = "a"')], {"a", "b"}),
        ([("a", "None\ndepends_on = 'b'"), ("b", '"a"')], None),
        ([("a", "None"), ("b", '"a"\ndepends_on = "lost"')], None),
    ],
)
def test_heads_are_those_that_no_other_follows(
    tmp_path: Path, chain: list[tuple[str, str]], heads: set[str] | None
) -> None:
    for number, (revision, parent) in enumerate(chain):
        write(tmp_path, f"{number}.py", HEADER.format(revision, parent))
    assert revision_files.find_heads(revision_files.read_revision_files(tmp_path)) == heads


def test_the_same_files_are_read_as_alembic_loads(tmp_path: Path) -> None:
    for name in ("__init__.py", ".#lock.py", "notes.txt"):
        write(tmp_path, name, "not a revision")
    assert revision_files.read_revision_files(tmp_path) == []
    write(tmp_path, "._stray.py", "not a revision")
    assert revision_files.read_revision_files(tmp_path) == [None]


def test_a_missing_directory_has_no_revisions(tmp_path: Path) -> None:
    assert revision_files.find_heads(revision_files.read_revision_files(tmp_path / "none")) == frozenset()


@pytest.mark.shop
def test_every_example_revision_is_read(tmp_path: Path) -> None:
    files = revision_files.read_revision_files(REPOSITORY / "backend/alembic/versions")
    assert None not in files
    assert revision_files.find_heads(files) == {SHOP_HEAD}


@pytest.mark.parametrize("option", ["version_locations = x", "recursive_version_locations = true", "sourceless = true"])
def test_an_unusual_layout_is_left_to_alembic(tmp_path: Path, option: str) -> None:
    ini = write(tmp_path, "alembic.ini", f"[alembic]\nscript_location = %(here)s/alembic\n{option}\n")
    assert revision_files.directory_of(ini) is None
