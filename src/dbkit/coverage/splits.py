"""Operators of which both sides have the column: from a result to pairs of values that have it."""

from collections.abc import Sequence
from decimal import Decimal

from sqlglot import exp

from dbkit.coverage.constants import find_values
from dbkit.coverage.intervals import read_interval
from dbkit.coverage.moments import add, read_moment, write_moment
from dbkit.coverage.syntax import unwrap
from dbkit.sample_data.texts import read_number, write_number

SOME_DAY = "2020-06-15"
MOST_TARGETS = 6
Pairs = tuple[list[str], list[str]]


def split_result(name: str, targets: Sequence[str], arguments: Sequence[exp.Expr]) -> Pairs:
    """Return values of both sides; those at the same place have one of the results together."""
    numbers = [number for each in targets[:MOST_TARGETS] if (number := read_number(each)) is not None]
    if name == "*":
        return _split_product(numbers)
    if name == "/":
        return [write_number(number * 2) for number in numbers], ["2" for _ in numbers]
    if name not in ("+", "-"):
        return [], []
    scale = _read_scale(arguments[0])
    if name == "+" and scale:
        return [write_number(each // scale * scale) for each in numbers], [
            write_number(each % scale) for each in numbers
        ]
    sign = 1 if name == "-" else -1
    sums = [write_number(number + sign * 2) for number in numbers]
    moments = _add_to_day(targets) if name == "-" else []
    return [*sums, *moments], [*("2" for _ in sums), *(SOME_DAY for _ in moments)]


def _split_product(numbers: Sequence[Decimal]) -> Pairs:
    roots = [Decimal(int(number.sqrt()) + more) for number in numbers if 0 <= number < 10**12 for more in (0, 1)]
    return [write_number(root) for root in roots], [write_number(root) for root in roots]


def _read_scale(expression: exp.Expr) -> int | None:
    """Return c of x * c."""
    node = unwrap(expression)
    values = find_values(node.expression) if isinstance(node, exp.Mul) else []
    number = read_number(values[0]) if values else None
    return int(number) if number is not None and number > 1 else None


def _add_to_day(targets: Sequence[str]) -> list[str]:
    day = read_moment(SOME_DAY)
    found = []
    for target in targets[:MOST_TARGETS]:
        number = read_number(target)
        step = read_interval(target) if number is None else read_interval(f"{target} days")
        later = add(day, step) if day and step else None
        found += [write_moment(later)] if later else []
    return found
