"""`nox -s bench` names the ratios that are above those of the last release."""

from pathlib import Path

from benchmarks.expected import find_slower, name_of, read_expected, write_expected
from benchmarks.timing import Comparison, Times

BARE = Times("alembic", (1.0, 1.0, 1.0))


def measured(name: str, *seconds: float) -> Comparison:
    return Comparison(name, Times("dbkit", seconds), BARE)


def test_what_is_slower_is_named_with_both_ratios() -> None:
    slow = measured("proof", 1.4, 1.5, 1.6)
    assert list(find_slower([slow], {name_of(slow): 1.1})) == ["proof: dbkit / alembic: 1.50, expected 1.10"]


def test_what_is_within_the_tolerance_or_was_as_fast_once_is_not() -> None:
    near, noisy, new = measured("near", 1.2, 1.2, 1.2), measured("noisy", 0.9, 1.9, 2.0), measured("new", 9, 9, 9)
    assert list(find_slower([near, noisy, new], {name_of(near): 1.0, name_of(noisy): 1.0})) == []


def test_the_file_keeps_what_was_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "expected.json"
    first, second = measured("first", 1, 1, 1), measured("second", 2, 2, 2)
    write_expected([first, second], path)
    write_expected([measured("second", 3, 3, 3)], path)
    assert read_expected(path) == {"first: dbkit / alembic": 1.0, "second: dbkit / alembic": 3.0}


def test_there_is_no_file_at_first(tmp_path: Path) -> None:
    assert read_expected(tmp_path / "expected.json") == {}
