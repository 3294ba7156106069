"""Measure, and print a table or JSON: `python -m benchmarks [--runs N] [--json] [NAME ...]`, in ./venv.

Wall-clock seconds of whole processes, in copies of the project that are gone afterwards. A and B take turns in one
run; a ratio is the median of A by the median of B, and its range is that of the single turns.

A ratio that is more than a quarter above the one in benchmarks/expected.json, that of the last release, is named on
standard error. Exit code 1 for that, and when something did not run; 0 otherwise, also where an aim is missed.
`--update-expected` writes the ratios that were measured to that file.
"""

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.expected import find_slower, name_of, read_expected, write_expected
from benchmarks.lint import of_others
from benchmarks.speed import BENCHMARKS, Benchmark
from benchmarks.timing import Comparison, Times
from benchmarks.workspace import Failed, temporary_directory

CHAIN = "chain"
CHAIN_HELP = "the directory of another project with an alembic.ini, whose env.py takes its URL from DATABASE_URL"
HEADER = ("name", "A", "A, seconds", "B", "B, seconds", "A / B", "aim", "met")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that are named, or all; 1 when one of them failed to run."""
    options = _options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    os.umask(0o022)  # as root, PostgreSQL runs under another account, which must be able to read what we make
    comparisons: list[Comparison] = []
    failed = False
    for name, benchmark in _choose(options).items():
        runs = options.runs or benchmark.runs
        print(f"benchmarks: {name}, {runs} runs", file=sys.stderr)
        try:
            with temporary_directory() as directory:
                comparisons += benchmark.measure(directory, runs)
        except Failed as error:
            print(f"benchmarks: {name} did not run: {error}", file=sys.stderr)
            failed = True
    if options.json:
        print(_json(comparisons))
    elif comparisons:
        print(_table(comparisons))
    expected = read_expected()
    unknown = [each for each in comparisons if name_of(each) not in expected]
    if unknown:
        print(f"benchmarks: {len(unknown)} of {len(comparisons)} ratios are not in expected.json", file=sys.stderr)
    slower = list(find_slower(comparisons, expected))
    for each in slower:
        print(f"benchmarks: slower than the last release: {each}", file=sys.stderr)
    if options.update_expected:
        write_expected([each for each in comparisons if not each.name.startswith(CHAIN)])
        return 1 if failed else 0
    return 1 if failed or slower else 0


def _choose(options: argparse.Namespace) -> dict[str, Benchmark]:
    """Return the benchmarks that were named, or all; and one for each chain that was given."""
    names = options.names or ([] if options.chain else BENCHMARKS)
    chains = {f"{CHAIN} {root}": Benchmark(partial(of_others, root.resolve()), 3) for root in options.chain}
    return {**chains, **{name: BENCHMARKS[name] for name in names}}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary, _, explanation = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser("python -m benchmarks", description=summary, epilog=explanation)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)}; all when none is named")
    parser.add_argument("--runs", type=int, metavar="N", help="runs of each command, instead of the usual number")
    parser.add_argument("--chain", type=Path, action="append", default=[], metavar="PATH", help=CHAIN_HELP)
    parser.add_argument("--update-expected", action="store_true", help="write the ratios to benchmarks/expected.json")
    parser.add_argument("--json", action="store_true", help="print JSON, with the seconds of each run")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    if options.runs is not None and options.runs < 1:
        parser.error("--runs must be at least 1")
    return options


def _stop(number: int, _frame: FrameType | None) -> None:
    """Leave through the context managers that stop servers and remove directories."""
    sys.exit(128 + number)


def _table(comparisons: Sequence[Comparison]) -> str:
    rows = [HEADER, *(_row(comparison) for comparison in comparisons)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(comparison: Comparison) -> tuple[str, ...]:
    ratios = comparison.ratios
    return (
        comparison.name,
        comparison.a.label,
        _seconds(comparison.a),
        comparison.b.label,
        _seconds(comparison.b),
        f"{comparison.ratio:.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
        _limits(comparison),
        {True: "yes", False: "no", None: ""}[comparison.within(comparison.aim)],
    )


def _seconds(times: Times) -> str:
    """The median, and the range of all runs."""
    return f"{times.median:.3f} ({min(times.seconds):.3f}-{max(times.seconds):.3f})"


def _limits(comparison: Comparison) -> str:
    if comparison.aim is None or comparison.bound in (None, comparison.aim):
        return "" if comparison.aim is None else f"<= {comparison.aim}"
    kept = "kept" if comparison.within(comparison.bound) else "broken"
    return f"<= {comparison.aim} (bound {comparison.bound} {kept})"


def _json(comparisons: Sequence[Comparison]) -> str:
    machine = {"python": platform.python_version(), "platform": platform.platform(), "processors": os.cpu_count()}
    return json.dumps({"machine": machine, "comparisons": [_fields(each) for each in comparisons]}, indent=2)


def _fields(comparison: Comparison) -> dict[str, Any]:
    return {
        "name": comparison.name,
        "a": {"command": comparison.a.label, "median": comparison.a.median, "seconds": comparison.a.seconds},
        "b": {"command": comparison.b.label, "median": comparison.b.median, "seconds": comparison.b.seconds},
        "ratio": comparison.ratio,
        "ratios": comparison.ratios,
        "aim": comparison.aim,
        "bound": comparison.bound,
        "met": comparison.within(comparison.aim),
        "kept": comparison.within(comparison.bound),
    }


if __name__ == "__main__":
    sys.exit(main())
