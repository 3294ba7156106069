"""The section `[dbkit]` of a project's alembic.ini, read without Alembic. Unknown keys and bad values are errors."""

import difflib
import re
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from pathlib import Path

from dbkit.errors import InputError
from dbkit.settings import TIME_HINT, parse_time

SECTION = "dbkit"


@dataclass(frozen=True)
class ProjectConfig:
    """The keys of `[dbkit]`, with the values for keys that are not set."""

    journal: bool = True
    """Whether the gate writes a journal into the database."""
    baseline: str | None = None
    """A revision: the findings of it and of its ancestors are accepted."""
    samples: Path | None = None
    """The directory with the project's own sample rows, instead of `samples` beside its revisions."""
    sizes: Path | None = None
    """A saved result of `dbkit sizes`, for `dbkit lint`."""
    small_table: int | None = None
    """The number of rows up to which `dbkit lint` takes a table for a small one."""
    strict: bool = False
    """Whether `dbkit roundtrip` takes a failure that only extreme values cause for a finding."""
    preflight: bool = False
    """Whether the gate asks before each statement if existing rows make it fail."""
    preflight_timeout: float = 2.0
    """The seconds for each of these questions; 0 for no limit."""
    config: str | None = None
    """The object that Alembic's Config is made of, package.module:name, where env.py needs a library's own."""
    initial: str | None = None
    """The state in which the chain begins: a file of SQL, or package.module:function."""
    sql: Path | None = None
    """The directory of the SQL files, one object each, that drafts write views, functions and the like from."""


def read_config(ini: Path) -> ProjectConfig:
    """Read `[dbkit]` of a config file; the default values where the file or the section is missing.

    As Alembic does, of a pyproject.toml and an alembic.ini beside it the latter is read. In the former the section is
    `[tool.dbkit]`.

    Raises InputError with the file and the line for an unknown key and for a bad value.
    """
    if ini.suffix == ".toml":
        beside = ini.with_name("alembic.ini")
        return read_config(beside) if beside.exists() else _read_toml(ini)
    # the same values as for Alembic: see Config.file_config
    parser = ConfigParser({"here": str(ini.absolute().parent).replace("%", "%%")})
    try:
        text = ini.read_text(encoding="utf-8", errors="surrogateescape")
        parser.read_string(text, source=str(ini))
        # its own keys, without those of [DEFAULT], which is an ordinary section here
        keys = ConfigParser(default_section="", interpolation=None)
        keys.read_string(text, source=str(ini))
        given = {key: parser.get(SECTION, key) for key in keys.options(SECTION)} if keys.has_section(SECTION) else {}
    except FileNotFoundError:
        return ProjectConfig()
    except OSError as error:
        raise InputError(f"cannot read {ini}: {error.strerror}.") from error
    except ConfigParserError as error:
        raise InputError(f"{ini}, [{SECTION}]: {' '.join(str(error).split()).rstrip('.')}.") from error
    return _parse(ini, text, given)


def _read_toml(path: Path) -> ProjectConfig:
    from dbkit.backports import parse_toml  # few projects have their settings there

    try:
        text = path.read_text(encoding="utf-8")
        given = parse_toml(text).get("tool", {}).get(SECTION, {})
    except FileNotFoundError:
        return ProjectConfig()
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())}.") from error
    # as they would be written in an ini file
    written = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in given.items()}
    return _parse(path, text, written)


def _parse(ini: Path, text: str, given: Mapping[str, str]) -> ProjectConfig:
    values: dict[str, object] = {}
    for key, value in given.items():
        section = f"tool.{SECTION}" if ini.suffix == ".toml" else SECTION
        where = f"{ini}, line {_line_of(text, key, section)}: [{section}]"
        if key not in PARSERS:
            alike = difflib.get_close_matches(key, PARSERS, 1)
            hint = f"Did you mean {alike[0]}?" if alike else f"The keys are: {', '.join(PARSERS)}."
            raise InputError(f"{where} has an unknown key: {key!r}.", hint)
        if value:
            try:
                values[key] = PARSERS[key](value, ini)
            except ValueError as error:
                raise InputError(f"{where} {key} = {error}.", HINTS[key]) from None
    return ProjectConfig(**values)  # type: ignore[arg-type]  # the parsers return what the fields take


def _line_of(text: str, key: str, section: str) -> int:
    """The number of the line in which a key of the section is set."""
    is_ours, lines = False, text.splitlines()
    name = rf"[\"']?{re.escape(key)}[\"']?"
    for number, line in enumerate(lines, 1):
        header = re.match(r"\s*\[([^]]+)\]", line)
        is_ours = re.sub(r"[\s\"']", "", header[1]) == section if header else is_ours
        if is_ours and re.match(rf"{name}\s*([=:]|$)", line.strip(), re.IGNORECASE):
            return number
    # in a dotted key or an inline table of TOML
    return next((number for number, line in enumerate(lines, 1) if re.search(rf"\b{name}\s*=", line)), 1)


def _boolean(value: str, _ini: Path) -> bool:
    states = ConfigParser.BOOLEAN_STATES
    if value.lower() not in states:
        raise ValueError(f"{value!r} is neither on nor off")
    return states[value.lower()]


def _number(value: str, _ini: Path) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", value.strip(), re.ASCII):
        raise ValueError(f"{value!r} is not a number of rows")
    return int(value)


def _seconds(value: str, _ini: Path) -> float:
    return parse_time(value)


def _text(value: str, _ini: Path) -> str:
    return value


def _path(value: str, ini: Path) -> Path:
    return ini.parent / value


PARSERS: dict[str, Callable[[str, Path], object]] = {
    "journal": _boolean,
    "baseline": _text,
    "samples": _path,
    "sizes": _path,
    "small_table": _number,
    "strict": _boolean,
    "preflight": _boolean,
    "preflight_timeout": _seconds,
    "config": _text,
    "initial": _text,
    "sql": _path,
}
HINTS = {
    "journal": "Write on or off, or remove the line.",
    "small_table": "Write a whole number, such as 10000, or remove the line.",
    "strict": "Write on or off, or remove the line.",
    "preflight": "Write on or off, or remove the line.",
    "preflight_timeout": TIME_HINT,
}
