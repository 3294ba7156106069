"""The ratios of the last release, in expected.json, and the comparison of new ones with them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.timing import Comparison

PATH = Path(__file__).with_name("expected.json")
TOLERANCE = 1.25
"""A ratio counts as slower where its median is more than this times the expected one, and no turn was below that."""


def find_slower(comparisons: Iterable[Comparison], expected: Mapping[str, float]) -> Iterator[str]:
    """Yield, in words, which ratios are above the expected ones."""
    for each in comparisons:
        before = expected.get(name_of(each))
        if before is not None and each.ratio > before * TOLERANCE and min(each.ratios) > before:
            yield f"{name_of(each)}: {each.ratio:.2f}, expected {before:.2f}"


def name_of(comparison: Comparison) -> str:
    """Return what a ratio has as its key in the file."""
    return f"{comparison.name}: {comparison.a.label} / {comparison.b.label}"


def read_expected(path: Path = PATH) -> dict[str, float]:
    """Return the ratios by their names; none where there is no file."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def write_expected(comparisons: Sequence[Comparison], path: Path = PATH) -> None:
    """Replace the ratios that were measured; the others stay."""
    ratios = read_expected(path) | {name_of(each): round(each.ratio, 2) for each in comparisons}
    path.write_text(json.dumps(ratios, indent=2, sort_keys=True) + "\n")
