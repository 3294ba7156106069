"""Dates and timestamps as texts: read, write, add, and the time now."""

import re
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from dbkit.coverage.intervals import Interval
from dbkit.sample_data.texts import write_number

Moment = datetime
"""With the zone UTC, or without a zone."""
USUAL = (
    "2020-06-15 12:00:00",
    "2000-02-29",
    "1999-12-31 23:59:59",
    "2035-01-01",
    "1960-07-04",
    "infinity",
    "-infinity",
)
DATE = re.compile(r"\d{4}-\d\d?(-\d\d?)?([ T]\d\d?:\d\d.*)?")
TIME = re.compile(r"\d\d?:\d\d(:\d\d(\.\d+)?)?")
OTHER_FORMS = ("%m/%d/%Y", "%b %d %Y", "%b %d, %Y", "%B %d, %Y", "%B %d %Y", "%d %b %Y", "%d %B %Y")
WORDS = {"now": 0, "today": 0, "tomorrow": 1, "yesterday": -1}


def now() -> Moment:
    """Return the time now, in UTC."""
    return datetime.now(timezone.utc)


def today() -> Moment:
    """Return the midnight before now."""
    return now().replace(hour=0, minute=0, second=0, microsecond=0)


def read_moment(text: str | None) -> Moment | None:
    """Return the moment in a text: a date, with or without a time, a zone and a day of the month."""
    plain = (text or "").strip()
    if plain == "epoch":
        return datetime(1970, 1, 1, tzinfo=timezone.utc)
    if plain in WORDS:
        return (now() if plain == "now" else today()) + timedelta(days=WORDS[plain])
    if not DATE.fullmatch(plain):
        return _read_other(plain)
    day, _, time = plain.replace("T", " ").partition(" ")
    numbers = [int(part) for part in day.split("-")]
    name = re.search(r" ?([A-Za-z_]+(?:/[A-Za-z_]+)+|UTC|GMT)$", time)
    time = time[: name.start()] if name else time.removesuffix("Z")
    try:
        whole = datetime(numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else 1)
        text = whole.date().isoformat() + (f" {time if time[1:2] != ':' else '0' + time}" if time else "")
        found = datetime.fromisoformat(_fill_fraction(text))
        found = found.replace(tzinfo=ZoneInfo(name[1])) if name else found
        return found.astimezone(timezone.utc) if found.tzinfo else found
    except (ValueError, OverflowError, OSError, KeyError):
        return None


def _read_other(text: str) -> Moment | None:
    for form in OTHER_FORMS if re.match(r"[A-Za-z]{3}|\d\d?[/ ]", text) else ():
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def _fill_fraction(text: str) -> str:
    return re.sub(r"\.(\d{1,6})\d*", lambda match: "." + match[1].ljust(6, "0"), text)


def write_moment(moment: Moment) -> str:
    """Return the text of a moment."""
    text = (
        moment.strftime("%Y-%m-%d %H:%M:%S") if moment.year > 999 else str(moment).partition("+")[0].partition(".")[0]
    )
    text += f".{moment.microsecond:06d}" if moment.microsecond else ""
    return f"{text}+00" if moment.tzinfo else text


def add(moment: Moment, step: timedelta | Interval, sign: int = 1) -> Moment | None:
    """Return a later moment, or an earlier one; None beyond the limits of a calendar."""
    try:
        if isinstance(step, timedelta):
            return moment + step * sign
        number = moment.year * 12 + moment.month - 1 + int(step.months) * sign
        return _set_month(moment, number) + timedelta(seconds=float(step.seconds)) * sign
    except (OverflowError, ValueError):
        return None


def _set_month(moment: Moment, number: int) -> Moment:
    for day in (moment.day, 30, 29, 28):
        try:
            return moment.replace(year=number // 12, month=number % 12 + 1, day=day)
        except ValueError:
            if day == 28:
                raise
    return moment


def seconds_between(first: Moment, second: Moment) -> float:
    """Return how long before the first moment the second is; one without a zone is taken for UTC."""
    return (first.replace(tzinfo=timezone.utc) - second.replace(tzinfo=timezone.utc)).total_seconds()


def find_between(first: str, second: str) -> list[str]:
    """Return the moment between two."""
    begin, end = read_moment(first), read_moment(second)
    if begin is None or end is None:
        return []
    middle = add(end, timedelta(seconds=seconds_between(begin, end) / 2))
    return [write_moment(middle)] if middle else []


def to_local(moment: Moment) -> Moment:
    """Return the moment in the time zone of this machine, where a calendar has it."""
    try:
        return moment.astimezone()
    except (OverflowError, ValueError, OSError):
        return moment


def to_epoch(moment: Moment) -> str:
    """Return the seconds since 1970."""
    return write_number(seconds_between(moment, datetime(1970, 1, 1)))


def from_epoch(seconds: float) -> Moment | None:
    """Return the moment that is some seconds after 1970."""
    try:
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None


def move_zone(moment: Moment, zone: str, to_local: bool) -> Moment | None:
    """Return a moment in UTC as a local time without a zone, or the other way round."""
    try:
        place = ZoneInfo(zone)
        if to_local:
            return moment.replace(tzinfo=timezone.utc).astimezone(place).replace(tzinfo=None)
        return moment.replace(tzinfo=place).astimezone(timezone.utc)
    except (KeyError, ValueError, OverflowError, OSError):
        return None
