"""scripts/check_language.py finds the words that the project avoids where people read them, and nowhere else."""

from pathlib import Path

import pytest
from check_language import check_file


def words(path: Path, text: str) -> list[tuple[int, str]]:
    path.write_text(text, encoding="utf-8")
    return [(line, word) for _path, line, word, _instead in check_file(path)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 1  # built anew\n", [(1, "anew")]),
        ('"""Return what\nsomebody wrote."""\n', [(2, "somebody")]),
        ('x = f"{y} is told here"\n', [(1, "told")]),
        ('x = "a message", "Mend the migration."\n', [(1, "Mend")]),
        ('def f() -> None:\n    """Who holds the lock."""\n', [(2, "Who … at the start of a docstring")]),
        ("told = somebody(anew=1)\n", []),
        ('account = "nobody"\n', []),
        ('x = "no account postgres or nobody to run it as"\n', []),
        ('"""Return `told` and the amendments."""\n', []),
        ("x = 1  # lets the server be\n", [(1, "lets the server be")]),
    ],
)
def test_in_python(tmp_path: Path, text: str, found: list[tuple[int, str]]) -> None:
    assert words(tmp_path / "module.py", text) == found


def test_in_prose(tmp_path: Path) -> None:
    text = "# Page\n\n```console\n$ said\n```\n\nIt runs in a schema of its\nown, says `told`.\n[told](x-says.md)\n"
    assert words(tmp_path / "page.md", text) == [(9, "told"), (8, "says"), (7, "of its\nown")]


def test_in_a_shell_script_only_comments_are_read(tmp_path: Path) -> None:
    assert words(tmp_path / "script.sh", "echo said\n# whoever\n") == [(2, "whoever")]
