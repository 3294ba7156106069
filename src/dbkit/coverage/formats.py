"""Formats of to_char() and to_date() for moments."""

import re
from datetime import date, datetime, timedelta

from dbkit.coverage.moments import Moment, read_moment, write_moment

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# the parts of a format of to_char, with the Python format and the pattern of each
PARTS = (
    *(("YYYY", "%Y", r"(?P<year>\d{1,4})"), ("IYYY", "%G", r"(?P<year>\d{4})"), ("YY", "%y", r"(?P<short>\d\d)")),
    *(
        ("MONTH", "%B", r"(?P<name>[A-Za-z]+) *"),
        ("MON", "%b", r"(?P<name>[A-Za-z]+)"),
        ("MM", "%m", r"(?P<month>\d{1,2})"),
    ),
    *(
        ("DDD", "%j", r"(?P<doy>\d{1,3})"),
        ("DD", "%d", r"(?P<day>\d{1,2})"),
        ("DAY", "%A", r"(?P<weekday>[A-Za-z]+) *"),
    ),
    *(
        ("DY", "%a", r"(?P<weekday>[A-Za-z]+)"),
        ("HH24", "%H", r"(?P<hour>\d{1,2})"),
        ("HH12", "%I", r"(?P<hour>\d{1,2})"),
    ),
    *(("HH", "%I", r"(?P<hour>\d{1,2})"), ("MI", "%M", r"(?P<minute>\d{1,2})"), ("SS", "%S", r"(?P<second>\d{1,2})")),
    *(
        ("MS", "%f", r"(?P<thousandth>\d{1,3})"),
        ("US", "%f", r"(?P<microsecond>\d{1,6})"),
        ("IW", "%V", r"(?P<week>\d\d?)"),
    ),
    *(("AM", "%p", r"(?P<half>[APap][Mm])"), ("PM", "%p", r"(?P<half>[APap][Mm])")),
    *(
        ("WW", "%W", r"(?P<week>\d\d?)"),
        ("Q", "1", r"(?P<quarter>\d)"),
        ("ID", "%u", r"(?P<isodow>\d)"),
        ("D", "%w", r"(?P<dow>\d)"),
    ),
)


def parse_format(form: str) -> tuple[str, str]:
    """Return the Python format and the regular expression of a format of to_char()."""
    python, pattern, n = "", "", 0
    form = form.replace("FM", "").replace("TM", "")
    while n < len(form):
        if form[n] == '"':
            end = form.find('"', n + 1) if '"' in form[n + 1 :] else len(form)
            fixed = form[n + 1 : end]
            python, pattern, n = python + fixed.replace("%", "%%"), pattern + re.escape(fixed), end + 1
            continue
        part = next((each for each in PARTS if form[n:].upper().startswith(each[0])), None)
        if part and f"<{part[2][4:].partition('>')[0]}>" not in pattern:
            python, pattern, n = python + part[1], pattern + part[2], n + len(part[0])
        else:
            python, pattern, n = python + form[n].replace("%", "%%"), pattern + re.escape(form[n]), n + 1
    return python, pattern


def make_moment(parts: dict[str, str]) -> Moment:
    """Return the moment with these parts, and with usual ones."""
    number = {name: int(text) for name, text in parts.items() if text and text.isdigit()}
    year = number.get("year", 2000 + number["short"] if "short" in number else 2020)
    month = number.get("month", number.get("quarter", 2) * 3 - 1)
    if parts.get("name"):
        month = MONTHS.index(parts["name"][:3].lower()) + 1
    hour, minute, second = (number.get(name, 0) for name in ("hour", "minute", "second"))
    hour += 12 if (parts.get("half") or "").upper() == "PM" and hour < 12 else 0
    micro = number.get("microsecond", number.get("thousandth", 0) * 1000)
    moment = datetime(year, month, number.get("day", 5), hour, minute, second, micro)
    if "doy" in number:
        return moment.replace(month=1, day=1) + timedelta(days=number["doy"] - 1)
    if "week" in number:
        day = date.fromisocalendar(year, number["week"], 2)
        return moment.replace(year=day.year, month=day.month, day=day.day)
    if parts.get("weekday") and "day" not in number:
        wanted = WEEKDAYS.index(parts["weekday"][:3].lower())
        return moment + timedelta(days=(wanted - moment.weekday()) % 7)
    isodow = number.get("isodow", (number["dow"] - 2) % 7 + 1 if "dow" in number else None)
    return moment + timedelta(days=(isodow - 1 - moment.weekday()) % 7) if isodow else moment


def read_with_format(text: str, form: str) -> list[str]:
    """Return the moment that to_date() and to_timestamp() read from a text."""
    match = re.match(parse_format(form)[1], text.strip())
    return [write_moment(make_moment(match.groupdict()))] if match else [text]


def write_with_format(text: str, form: str) -> list[str]:
    """Return what to_char() makes of a moment."""
    moment = read_moment(text)
    return [moment.strftime(parse_format(form)[0])] if moment else [text]
