"""Broken revision files and histories: the file is named, whatever is wrong with it."""

from pathlib import Path

import pytest

from support.kit import Kit

GOOD = 'revision = "aaaa"\ndown_revision = "c96d09ae7993"\nbranch_labels = None\ndepends_on = None\n\n\ndef upgrade():\n    pass\n\n\ndef downgrade():\n    pass\n'


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("x.py", "def broken(:\n", "x.py, line 1: not a Python file"),
        ("x.py", "import nothing_like_it\n", "x.py, line 1: ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("x.py", "1 / 0\n", "x.py, line 1: ZeroDivisionError"),
        ("x.py", "print('no revision in here')\n", "x.py"),
        ("x.py", b"\xff\xfe\x00", "x.py"),
        ("._x.py", b"\x00\x05\x16\x07", "._x.py"),
        ("x.py", GOOD.replace("c96d09ae7993", "lost"), "x.py follows revision lost, but no file has that id"),
        ("x.py", GOOD.replace("aaaa", "cd1d761afae9"), "revision cd1d761afae9 is in 2 files"),
        ("x.py", GOOD.replace("c96d09ae7993", "aaaa"), "aaaa"),
    ],
)
def test_the_file_is_named(kit: Kit, name: str, content: str | bytes, line: str) -> None:
    path: Path = kit.path / "backend/alembic/versions" / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    for verb in ("migrate", "status"):
        typed = kit.dbkit(verb)
        assert typed.returncode == 2, typed.stderr
        assert line in typed.stderr.splitlines()[0]
        assert "Traceback" not in typed.stderr
