"""Inverses of arithmetic: from a result to arguments that have it."""

import math
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, DecimalException

from dbkit.sample_data.texts import Inverse, for_each, read_integer, read_number, write_number

Arguments = Sequence[str | None]
Solve = Callable[[Decimal, Decimal, int], Iterable[Decimal | float]]
"""From a result, the constant argument, and the position of the other one: values of that one."""
HALF = Decimal("0.5")


def solve_with(solve: Solve, otherwise: str = "0") -> Inverse:
    """Return the inverse of a function of a number and a constant."""

    def invert(target: str, arguments: Arguments, position: int) -> Iterable[str]:
        result = read_number(target)
        constant = read_number(arguments[1 - position] if len(arguments) > 1 else otherwise)
        if result is None or constant is None:
            return ()
        try:
            return [write_number(each) for each in solve(result, constant, position)]
        except (DecimalException, ValueError, OverflowError, ZeroDivisionError):
            return ()

    return for_each(invert)


def _add(result: Decimal, constant: Decimal, _position: int) -> Iterable[Decimal]:
    return (result - constant,)


def _subtract(result: Decimal, constant: Decimal, position: int) -> Iterable[Decimal]:
    return (result + constant if position == 0 else constant - result,)


def _multiply(result: Decimal, constant: Decimal, _position: int) -> Iterable[Decimal]:
    return (result / constant,) if constant else (result,)


def _divide(result: Decimal, constant: Decimal, position: int) -> Iterable[Decimal]:
    if position == 1:
        return (constant / result, constant / (result + HALF)) if result else (constant * 2 + 1,)
    # for integers the remainder is cut off
    return result * constant, result * constant + constant - 1, result * constant + 1, result * constant - 1


def _modulo(result: Decimal, constant: Decimal, position: int) -> Iterable[Decimal]:
    if position == 1:
        return constant - result, result + 1
    return result, result + constant, result + constant * 2, result - constant, result - constant * 3


def _absolute(result: Decimal, _constant: Decimal, _position: int) -> Iterable[Decimal]:
    return result, -result


def _sign(result: Decimal, _constant: Decimal, _position: int) -> Iterable[Decimal]:
    return result, result * 7


def _round(result: Decimal, places: Decimal, _position: int) -> Iterable[Decimal]:
    step = Decimal(1).scaleb(-int(places))
    return result, result + step * 4 / 10, result - step * 4 / 10, result + step / 10, result + step * 6 / 10


def _truncate(result: Decimal, places: Decimal, _position: int) -> Iterable[Decimal]:
    step = Decimal(1).scaleb(-int(places))
    return result, result + step / 2, result - step / 2, result + step * 9 / 10


def _power(result: Decimal, constant: Decimal, position: int) -> Iterable[Decimal | float]:
    if position == 1:
        return (math.log(float(result)) / math.log(float(constant)),)
    root = float(abs(result)) ** (1 / float(constant))
    near = round(root, 9)
    return near, -near, math.ceil(near), math.floor(near), math.ceil(near) + 1


def _square_root(result: Decimal, _constant: Decimal, _position: int) -> Iterable[Decimal]:
    return result * result, result * result + 1


def _exponential(result: Decimal, _constant: Decimal, _position: int) -> Iterable[float]:
    return math.log(float(result)), math.log(float(result)) + 1


def _natural(result: Decimal, _constant: Decimal, _position: int) -> Iterable[float]:
    return math.exp(float(result)), math.exp(float(result)) + 1


def _decadic(result: Decimal, constant: Decimal, _position: int) -> Iterable[float]:
    return float(constant or 10) ** float(result), 10.0 ** float(result)


def _and(result: Decimal, constant: Decimal, _position: int) -> Iterable[Decimal]:
    bits, mask = int(result), int(constant)
    free = 1
    while free & mask:
        free *= 2
    return Decimal(bits), Decimal(bits | free), Decimal(mask), Decimal(free), Decimal(mask | free), Decimal(0)


def _or(result: Decimal, constant: Decimal, _position: int) -> Iterable[Decimal]:
    return Decimal(int(result)), Decimal(int(result) & ~int(constant)), Decimal(0)


def _exclusive_or(result: Decimal, constant: Decimal, _position: int) -> Iterable[Decimal]:
    return (Decimal(int(result) ^ int(constant)),)


def _complement(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    if len(target) > 1 and not set(target) - {"0", "1"}:
        return (target.translate({ord("0"): "1", ord("1"): "0"}),)
    number = read_number(target)
    return (write_number(-number - 1),) if number is not None else ()


def _shift_left(result: Decimal, constant: Decimal, position: int) -> Iterable[Decimal]:
    if position == 1:
        return (Decimal(max(int(result).bit_length() - int(constant).bit_length(), 0)),)
    return (Decimal(int(result) >> min(int(constant), 64)),)


def _shift_right(result: Decimal, constant: Decimal, _position: int) -> Iterable[Decimal]:
    shifted = int(result) << min(int(constant), 64)
    return Decimal(shifted), Decimal(shifted + 1)


def _extreme(result: Decimal, constant: Decimal, _position: int) -> Iterable[Decimal]:
    return result, constant, constant - 1, constant + 1, result - 1, result + 1


def _divisor(result: Decimal, constant: Decimal, _position: int) -> Iterable[Decimal]:
    return result, result * 5, result * 7, constant, result * 11


def _scale(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    places = read_integer(target, -1)
    return (f"1.{'7' * places}" if places else "1",) if 0 <= places <= 100 else ()


def _width_bucket(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    numbers = [read_number(each) for each in arguments[1:4]]
    result = read_number(target)
    if position or result is None or len(numbers) < 3:
        return ()
    low, high, count = numbers
    if low is None or high is None or not count:
        return ()
    width = (high - low) / count
    return write_number(low + width * (result - HALF)), write_number(low + width * result), write_number(low - 1)


def _bit_count(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    count = read_integer(target, -1)
    return (str(2**count - 1), "\\x" + f"{2**count - 1:x}".rjust(16, "0")) if 0 <= count < 63 else ()


INVERSES: dict[str, Inverse] = {
    "+": solve_with(_add),
    "-": solve_with(_subtract),
    "neg": solve_with(lambda result, _constant, _position: (-result,)),
    "*": solve_with(_multiply),
    "/": solve_with(_divide),
    "div": solve_with(_divide),
    "%": solve_with(_modulo),
    "mod": solve_with(_modulo),
    **dict.fromkeys(("abs", "@"), solve_with(_absolute)),
    "sign": solve_with(_sign),
    "round": solve_with(_round),
    "trunc": solve_with(_truncate),
    **dict.fromkeys(("floor", "ceil", "ceiling"), solve_with(_truncate)),
    **dict.fromkeys(("power", "pow", "^"), solve_with(_power)),
    "sqrt": solve_with(_square_root),
    "cbrt": solve_with(lambda result, _constant, _position: (result**3,)),
    "exp": solve_with(_exponential),
    "ln": solve_with(_natural),
    **dict.fromkeys(("log", "log10"), solve_with(_decadic)),
    "&": solve_with(_and),
    "|": solve_with(_or),
    "#": solve_with(_exclusive_or),
    "~": for_each(_complement),
    "<<": solve_with(_shift_left),
    ">>": solve_with(_shift_right),
    **dict.fromkeys(("greatest", "least"), solve_with(_extreme)),
    **dict.fromkeys(("gcd", "lcm"), solve_with(_divisor)),
    **dict.fromkeys(("scale", "min_scale"), for_each(_scale)),
    "width_bucket": for_each(_width_bucket),
    "bit_count": for_each(_bit_count),
}
"""By function or operator, its inverse."""
