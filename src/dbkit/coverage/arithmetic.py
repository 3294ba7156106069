"""Operators of numbers, moments and intervals, computed on constants."""

from collections.abc import Callable
from decimal import Decimal

from dbkit.coverage import intervals, moments
from dbkit.coverage.intervals import read_interval, write_interval
from dbkit.coverage.moments import add, read_moment, write_moment
from dbkit.sample_data.texts import read_number, write_number

MOST_DIGITS = 400


def make_operator(operator: str) -> Callable[[list[str]], list[str]]:
    """Return the function that computes an operator of numbers, or of moments and intervals."""

    def calculate(values: list[str]) -> list[str]:
        numbers = [read_number(value) for value in values]
        if numbers[0] is not None and numbers[1] is not None:
            return [write_number(_calculate_number(operator, numbers[0], numbers[1]))]
        return _calculate_moment(operator, values, numbers)

    return calculate


def _calculate_number(operator: str, left: Decimal, right: Decimal) -> Decimal:
    if operator == "/":
        is_whole = left == int(left) and right == int(right)
        return Decimal(int(left / right)) if is_whole else left / right
    if operator == "<<":
        return Decimal(int(left) << min(int(right), 63))
    if operator == "^":
        return Decimal(float(left) ** float(right)) if abs(right) < MOST_DIGITS else left
    calculated: Decimal = {"+": left.__add__, "-": left.__sub__, "*": left.__mul__, "%": left.__mod__}[operator](right)
    return calculated


def _calculate_moment(operator: str, values: list[str], numbers: list[Decimal | None]) -> list[str]:
    if operator == "+" and read_moment(values[0]) is None:
        values, numbers = values[::-1], numbers[::-1]
    sign = -1 if operator == "-" else 1
    moment, other = read_moment(values[0]), read_moment(values[1])
    if moment is not None and other is not None:
        seconds = Decimal(repr(moments.seconds_between(moment, other)))
        return [intervals.write_seconds(seconds)]
    step = read_interval(values[1] if numbers[1] is None else f"{values[1]} days")
    if moment is not None and step is not None and operator in "+-":
        later = add(moment, step, sign)
        return [write_moment(later)] if later else []
    pair = [read_interval(value) for value in values]
    if operator in "*/":
        factor = numbers[0] if numbers[0] is not None else numbers[1]
        interval = pair[1] if numbers[0] is not None else pair[0]
        return (
            [write_interval(interval.times(factor if operator == "*" else 1 / factor))] if interval and factor else []
        )
    if pair[0] and pair[1]:
        return [
            write_interval(
                intervals.Interval(pair[0].months + sign * pair[1].months, pair[0].seconds + sign * pair[1].seconds)
            )
        ]
    return []
