"""Intervals as texts: read, write, negate, multiply."""

import re
from dataclasses import dataclass
from decimal import Decimal

from dbkit.sample_data.texts import write_number

MONTHS = {
    "mon": 1,
    "month": 1,
    "year": 12,
    "yr": 12,
    "y": 12,
    "decade": 120,
    "century": 1200,
    "quarter": 3,
    "millennium": 12000,
}
SECONDS = {
    **dict.fromkeys(("second", "sec", "s"), Decimal(1)),
    **dict.fromkeys(("minute", "min", "m"), Decimal(60)),
    **dict.fromkeys(("hour", "hr", "h"), Decimal(3600)),
    **dict.fromkeys(("day", "d"), Decimal(86400)),
    **dict.fromkeys(("week", "w"), Decimal(7 * 86400)),
    **dict.fromkeys(("millisecond", "msec", "ms"), Decimal("0.001")),
    **dict.fromkeys(("microsecond", "usec", "us"), Decimal("0.000001")),
}
PART = re.compile(r"([+-]?\s*\d+(?:\.\d+)?)\s*([a-z]+)|([+-]?)(\d+):(\d\d)(?::(\d\d(?:\.\d+)?))?", re.IGNORECASE)
DAY = 86400


@dataclass(frozen=True)
class Interval:
    """A length of time: months, whose length differs, and seconds."""

    months: Decimal
    seconds: Decimal

    def times(self, factor: Decimal) -> "Interval":
        """Return a multiple."""
        return Interval(self.months * factor, self.seconds * factor)

    def plus(self, seconds: int) -> "Interval":
        """Return one that is some seconds longer."""
        return Interval(self.months, self.seconds + seconds)

    @property
    def length(self) -> Decimal:
        """In seconds, with months as PostgreSQL compares them."""
        return self.months * 30 * DAY + self.seconds


def read_interval(text: str | None) -> Interval | None:
    """Return the interval in a text, or None."""
    rest = (text or "").strip().lower().removeprefix("@ ")
    backwards = rest.endswith(" ago")
    rest = rest.removesuffix(" ago")
    months = seconds = Decimal(0)
    if not rest or PART.sub("", rest).strip(" ,"):
        return None
    for number, unit, sign, hours, minutes, more in PART.findall(rest):
        if hours:
            seconds += (-1 if sign == "-" else 1) * (int(hours) * 3600 + int(minutes) * 60 + Decimal(more or 0))
            continue
        known = _find_unit(unit)
        if known is None:
            return None
        count = Decimal(number.replace(" ", ""))
        months += count * known[0]
        seconds += count * known[1]
    return Interval(months, seconds).times(Decimal(-1 if backwards else 1))


def _find_unit(unit: str) -> tuple[int, Decimal] | None:
    name = unit.lower()
    for each in (name, name.removesuffix("s"), "century" if name == "centuries" else name):
        if each in MONTHS:
            return MONTHS[each], Decimal(0)
        if each in SECONDS:
            return 0, SECONDS[each]
    return None


def write_interval(interval: Interval) -> str:
    """Return the text of an interval."""
    months = interval.months.to_integral_value()
    seconds = interval.seconds + (interval.months - months) * 30 * DAY
    days, rest = divmod(seconds, DAY) if seconds >= 0 else (-(-seconds // DAY), -(-seconds % DAY))
    parts = ((months, "mons"), (days, "days"), (rest.quantize(Decimal("0.000001")), "seconds"))
    return " ".join(f"{write_number(number)} {unit}" for number, unit in parts if number) or "0"


def write_seconds(seconds: Decimal) -> str:
    """Return the text of an interval of some seconds."""
    return write_interval(Interval(Decimal(0), seconds))


def vary_interval(interval: Interval) -> list[str]:
    """Return intervals at, beside and far from one; some seconds are a margin for what is relative to now()."""
    near = [interval.plus(seconds) for seconds in (0, 600, -600, DAY, -DAY, 1, -1, DAY * 40, -DAY * 40)]
    far = [interval.times(Decimal(factor)) for factor in ("2", "0.5", "-1", "10", "0")]
    return [write_interval(each) for each in (*near, *far)]
