"""Revision files that make no history: each fault names the files, whatever the option is that makes it."""

from pathlib import Path

import pytest

from dbkit import project
from dbkit.errors import InputError

# the first is for Alembic 1.16 and newer, the second for older ones
INI = "[alembic]\nscript_location = %(here)s/migrations\npath_separator = space\nversion_path_separator = space\n"
SEVERAL = "version_locations = %(here)s/one %(here)s/two\n"
FILE = "revision = {0!r}\ndown_revision = {1!r}\ndepends_on = {2!r}\nbranch_labels = {3!r}\n"
# id, down_revision, depends_on, branch label
Row = tuple[str, object, object, object]
CASES: list[tuple[list[Row], str]] = [
    (
        [("aaaa", "bbbb", None, None), ("bbbb", "aaaa", None, None)],
        "2 revisions follow each other in a cycle: aaaa_x.py (down_revision = bbbb), bbbb_x.py (down_revision = aaaa).",
    ),
    (
        [("aaaa", None, None, None), ("bbbb", "aaaa", "dddd", None), ("cccc", "bbbb", None, None), ("dddd", "cccc", None, None), ("eeee", "dddd", None, None)],
        "3 revisions follow each other in a cycle: bbbb_x.py (depends_on = dddd), dddd_x.py (down_revision = cccc), cccc_x.py (down_revision = bbbb).",
    ),
    (
        [("aaaa", None, "bbbb", None), ("bbbb", None, "aaaa", None)],
        "2 revisions follow each other in a cycle: aaaa_x.py (depends_on = bbbb), bbbb_x.py (depends_on = aaaa).",
    ),
    (
        [("aaaa", None, None, None), ("bbbb", "aaaa", ("blue",), None), ("cccc", "bbbb", None, "blue")],
        "2 revisions follow each other in a cycle: bbbb_x.py (depends_on = cccc), cccc_x.py (down_revision = bbbb).",
    ),
    # Alembic loads this one, and its walk_revisions() never ends
    (
        [("aaaa", None, "blue", None), ("bbbb", "aaaa", "dddd", "blue"), ("cccc", None, None, "green"), ("dddd", "cccc", None, None), ("eeee", ("dddd", "bbbb"), None, None), ("ffff", "aaaa", None, None)],
        "2 revisions follow each other in a cycle: aaaa_x.py (depends_on = bbbb), bbbb_x.py (down_revision = aaaa).",
    ),
    # Alembic stops at the file of bbbb, and does not load the others
    ([("aaaa", "cccc", None, None), ("bbbb", "bbbb", None, None), ("cccc", None, None, None)], "revision bbbb follows itself: bbbb_x.py."),
    ([("aaaa", None, "cccc", None), ("bbbb", None, "bbbb", None), ("cccc", None, None, None)], "revision bbbb follows itself: bbbb_x.py."),
    ([("aaaa", None, "blue", "blue")], "revision aaaa follows itself: aaaa_x.py."),
    ([("aaaa", "aaaa", None, None)], "revision aaaa follows itself: aaaa_x.py."),
    ([("aaaa", None, ("aaaa",), None)], "revision aaaa follows itself: aaaa_x.py."),
    ([("aaaa", None, None, None), ("bbbb", ("aaaa", "gone"), None, None)], "bbbb_x.py follows revision gone, but no file has that id."),
    ([("aaaa", None, "gone", None)], "aaaa_x.py depends on revision gone, but no file has that id."),
    ([("aaaa", None, None, None), ("bbbb", "aaaa", "aaaa", None), ("cccc", "bbbb", "gone", None)], "cccc_x.py depends on revision gone, but no file has that id."),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "words"), CASES)
def test_a_fault_between_revisions_names_the_files(tmp_path: Path, rows: list[Row], words: str) -> None:
    versions = tmp_path / "migrations/versions"
    versions.mkdir(parents=True)
    (tmp_path / "alembic.ini").write_text(INI)
    for row in rows:
        (versions / f"{row[0]}_x.py").write_text(FILE.format(*row))
    with pytest.raises(InputError) as raised:
        project.load(tmp_path / "alembic.ini")
    assert raised.value.message == words


def test_an_id_that_alembic_does_not_take_is_named_with_its_file(tmp_path: Path) -> None:
    versions = tmp_path / "migrations/versions"
    versions.mkdir(parents=True)
    (tmp_path / "alembic.ini").write_text(INI)
    for row in (("a1", "c1", None, None), ("b@1", None, None, None), ("c1", None, None, None)):
        (versions / f"{row[0]}.py").write_text(FILE.format(*row))
    with pytest.raises(InputError, match=r"versions/b@1\.py: Character\(s\) '@' not allowed"):
        project.load(tmp_path / "alembic.ini")


def test_files_in_several_directories_are_named(tmp_path: Path) -> None:
    (tmp_path / "alembic.ini").write_text(f"{INI}{SEVERAL}")
    (tmp_path / "migrations").mkdir()
    for name, row in (("one", ("aaaa", "bbbb", None, None)), ("two", ("bbbb", "aaaa", None, None))):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{row[0]}.py").write_text(FILE.format(*row))
    with pytest.raises(InputError, match=r"a cycle: aaaa.py \(down_revision = bbbb\), bbbb.py"):
        project.load(tmp_path / "alembic.ini")
    (tmp_path / "two/bbbb.py").write_text("def broken(:\n")
    with pytest.raises(InputError, match=r"bbbb\.py, line 1: not a Python file"):
        project.load(tmp_path / "alembic.ini")
