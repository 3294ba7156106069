"""Inverses of the functions of dates, timestamps and intervals."""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from dbkit.coverage import intervals, moments
from dbkit.coverage.formats import make_moment, parse_format
from dbkit.coverage.intervals import Interval, read_interval, write_interval
from dbkit.coverage.moments import Moment, add, read_moment, seconds_between, write_moment
from dbkit.sample_data.texts import Inverse, for_each, merge_lists, read_integer, read_number, write_number

Arguments = Sequence[str | None]
NOON = datetime(2020, 6, 15, 12, 0)
INTERVAL_UNITS = {"epoch": "second", "milliseconds": "millisecond", "microseconds": "microsecond"}


def write_moments(found: Iterable[Moment | None]) -> list[str]:
    """Return the texts of those that exist."""
    return [write_moment(each) for each in found if each is not None]


def _add(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    """x + constant, and constant + x."""
    constant = arguments[1 - position]
    if moments.TIME.fullmatch(target):
        return [text.partition(" ")[2] for text in _add(f"2020-06-15 {target}", arguments, position)]
    moment, step, other = read_moment(target), _read_step(constant), read_moment(constant)
    interval = read_interval(target)
    if moment is not None and step is not None:
        return write_moments([add(moment, step, -1)])
    if moment is not None and other is not None:
        return _write_difference(moment, other)
    if interval is not None and isinstance(step, Interval):
        return (write_interval(Interval(interval.months - step.months, interval.seconds - step.seconds)),)
    return ()


def _read_step(text: str | None) -> Interval | timedelta | None:
    """Return an interval, or a number of days."""
    number = read_number(text)
    if number is not None:
        return timedelta(days=float(number)) if abs(number) < 10**6 else None
    return read_interval(text)


def _write_difference(first: Moment, second: Moment) -> list[str]:
    seconds = Decimal(repr(seconds_between(first, second)))
    return [intervals.write_seconds(seconds), write_number(seconds // intervals.DAY)]


def _subtract(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    """x - constant, and constant - x."""
    constant = arguments[1 - position] if len(arguments) > 1 else None
    if moments.TIME.fullmatch(target):
        return [text.partition(" ")[2] for text in _subtract(f"2020-06-15 {target}", arguments, position)]
    moment, step = read_moment(constant), _read_step(target)
    if moment is not None and step is not None:
        return write_moments([add(moment, step, 1 if position == 0 else -1)])
    result, interval = read_moment(target), _read_step(constant)
    if result is not None and interval is not None and position == 0:
        return write_moments([add(result, interval)])
    if result is not None and moment is not None:
        return _write_difference(moment, result)
    whole, part = read_interval(target), read_interval(constant)
    if whole is not None and part is not None:
        sign = 1 if position == 0 else -1
        return (write_interval(Interval(part.months + sign * whole.months, part.seconds + sign * whole.seconds)),)
    return ()


def _multiply(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    result, constant = read_interval(target), arguments[1 - position]
    factor, unit = read_number(constant), read_interval(constant)
    if result is None:
        return ()
    if factor:
        return (write_interval(result.times(1 / factor)),)
    return (write_number(result.length / unit.length),) if unit and unit.length else ()


def _divide(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    result, factor = read_interval(target), read_number(arguments[1])
    return (write_interval(result.times(factor)),) if result is not None and factor else ()


def _age(target: str, arguments: Arguments, position: int) -> Iterable[str]:
    """age(x) is the time since x; age(a, b) is a - b."""
    interval = read_interval(target)
    constant = read_moment(arguments[1 - position]) if len(arguments) > 1 else moments.today()
    if interval is None or constant is None:
        return ()
    return write_moments([add(constant, interval, 1 if len(arguments) > 1 and position == 0 else -1)])


def _truncate(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    """date_trunc(unit, x): the beginning, a little later, and the last microsecond before."""
    moment, interval = read_moment(target), read_interval(target)
    if moment is None:
        return (target,) if interval is not None else ()
    later = [timedelta(0), timedelta(milliseconds=7), timedelta(microseconds=-1)]
    unit = read_interval(f"1 {arguments[0] or 'day'}")
    ends = [add(moment, unit), add(moment, Interval(unit.months, unit.seconds - 1))] if unit else []
    return write_moments([*(add(moment, each) for each in later), *ends])


def _bin(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    moment = read_moment(target)
    return write_moments([moment, add(moment, timedelta(seconds=7))]) if moment else ()


def extract_moment(target: str, field: str) -> list[str]:
    """Return moments whose field has a value."""
    number = read_number(target)
    if number is None:
        return []
    try:
        found = _find_moments(field, number)
    except (ValueError, OverflowError):
        return []
    return write_moments(found)


def _find_moments(field: str, number: Decimal) -> list[Moment | None]:
    whole = int(number)
    if field in ("year", "isoyear"):
        return [NOON.replace(year=whole)]
    if field in ("month", "hour", "minute", "second"):
        fraction = int((number - whole) * 1000000)
        changed = NOON.replace(**{field: whole})  # type: ignore[arg-type]
        return [changed.replace(microsecond=fraction) if fraction > 0 else changed]
    if field == "day":
        return [datetime(2021, 1, whole, 12), datetime(2020, 2, min(whole, 29), 12)]
    if field == "quarter":
        return [datetime(2020, whole * 3 - 1, 15)] if 0 < whole < 5 else []
    if field in ("doy", "dow", "isodow"):
        # 2020 began on a Wednesday, and is a leap year; 2019-12-29 was a Sunday
        days = whole - 1 if field == "doy" else whole - 3
        return [datetime(2020, 1, 1, 12) + timedelta(days=days)]
    if field == "week":
        day = date.fromisocalendar(2020, whole, 2)
        return [datetime(day.year, day.month, day.day)]
    if field == "epoch":
        return [moments.from_epoch(float(number))]
    return _find_others(field, whole)


def _find_others(field: str, whole: int) -> list[Moment | None]:
    spans = {"decade": 10, "century": 100, "millennium": 1000}
    if field in spans:
        first = whole * spans[field] if field == "decade" else (whole - 1) * spans[field] + 1
        return [datetime(first, 6, 15)]
    parts = {"milliseconds": 1000, "millisecond": 1000, "microseconds": 1, "microsecond": 1}
    return [NOON + timedelta(microseconds=whole * parts[field])] if field in parts else []


def extract_interval(target: str, field: str) -> list[str]:
    """Return intervals whose field has a value."""
    interval = read_interval(f"{target} {INTERVAL_UNITS.get(field, field)}")
    return [write_interval(interval)] if interval is not None else []


def extract_time(target: str, field: str) -> list[str]:
    """Return times of day whose field has a value."""
    return [text.partition(" ")[2].removesuffix("+00") for text in extract_moment(target, field)]


def _format_moment(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    """to_char(x, format): moments with that text, and numbers."""
    form = (arguments[1] if len(arguments) > 1 else None) or ""
    digits = re.search(r"-?[\d,]+\.?\d*", target)
    numbers = (
        [write_number(number)] if digits and (number := read_number(digits[0].replace(",", ""))) is not None else []
    )
    if re.search(r"9|0", form) and "Y" not in form.upper():
        return numbers
    match = re.match(parse_format(form)[1], target.strip())
    try:
        return [*(write_moments([make_moment(match.groupdict())]) if match else ()), *numbers]
    except (ValueError, OverflowError):
        return numbers


def _read_with_format(target: str, arguments: Arguments, _position: int) -> Iterable[str]:
    """to_date(x, format), to_timestamp(x, format) and, with one argument, the epoch."""
    moment = read_moment(target)
    if moment is None:
        return ()
    if len(arguments) < 2:
        return (moments.to_epoch(moment),)
    return (moment.strftime(parse_format(arguments[1] or "YYYY-MM-DD")[0]),)


def read_part(field: str, text: str) -> list[str]:
    """Return the value of a field of a moment or interval."""
    moment, interval = read_moment(text), read_interval(text)
    if moment is not None:
        days = {"dow": moment.isoweekday() % 7, "isodow": moment.isoweekday(), "doy": moment.timetuple().tm_yday}
        return [moments.to_epoch(moment) if field == "epoch" else str(days.get(field, getattr(moment, field, 1)))]
    unit = read_interval(f"1 {INTERVAL_UNITS.get(field, field)}")
    return [write_number(interval.length // unit.length)] if interval and unit and unit.length else []


def _make_date(target: str, _arguments: Arguments, position: int) -> Iterable[str]:
    moment = read_moment(target)
    parts = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second) if moment else ()
    return (str(parts[position]),) if position < len(parts) else ()


def _cut_to_date(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    """x::date: any time of the day."""
    moment = read_moment(target)
    return write_moments([moment, add(moment, timedelta(hours=13, minutes=7))]) if moment else (target,)


def _write_shorter(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    """x::timestamp of a text: with seconds and without."""
    moment = read_moment(target)
    return (target, f"{moment:%Y-%m-%d %H:%M}", f"{moment:%Y-%m-%d}") if moment and moment.year > 999 else (target,)


def _make_time(target: str, _arguments: Arguments, position: int) -> Iterable[str]:
    parts = target.split(":")
    return (parts[position],) if moments.TIME.fullmatch(target) and position < len(parts) else ()


def _cut_to_time(target: str, _arguments: Arguments, _position: int) -> Iterable[str]:
    """x::time: that time on some day."""
    return (f"2020-06-15 {target}",) if moments.TIME.fullmatch(target) else (target,)


def move_zone(targets: Sequence[str], zone: str, to_local: bool) -> list[str]:
    """Return what AT TIME ZONE turns into the results: from a local time to UTC, or the other way round."""
    found = [(text, moment) for text in targets if (moment := read_moment(text)) is not None]
    moved = [(text, moments.move_zone(moment, zone, to_local)) for text, moment in found]
    return merge_lists([write_moment(moment), text] if moment else [text] for text, moment in moved)


def _make_interval(target: str, _arguments: Arguments, position: int) -> Iterable[str]:
    interval = read_interval(target)
    units = (12 * 30 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60, 1)
    return (str(read_integer(write_number(interval.length / units[min(position, 6)]))),) if interval else ()


INVERSES: dict[str, Inverse] = {
    "+": for_each(_add),
    "-": for_each(_subtract),
    "*": for_each(_multiply),
    "/": for_each(_divide),
    "age": for_each(_age),
    "date_trunc": for_each(_truncate),
    "date_bin": for_each(_bin),
    "to_char": for_each(_format_moment),
    **dict.fromkeys(("to_date", "to_timestamp"), for_each(_read_with_format)),
    **dict.fromkeys(("make_date", "make_timestamp", "make_timestamptz"), for_each(_make_date)),
    "make_interval": for_each(_make_interval),
    **dict.fromkeys(("cast timestamp", "cast timestamptz"), for_each(_write_shorter)),
    "make_time": for_each(_make_time),
    **dict.fromkeys(("date", "cast date"), for_each(_cut_to_date)),
    **dict.fromkeys(("time", "cast time"), for_each(_cut_to_time)),
}
"""By function, operator or cast, its inverse."""
