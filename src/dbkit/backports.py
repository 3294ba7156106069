"""Names of the standard library of Python 3.11 that 3.10 does not have."""

import ast
import sys

PATTERN_PARSER = "re._parser" if sys.version_info >= (3, 11) else "sre_parse"
"""The module of the standard library that parses regular expressions."""

if sys.version_info >= (3, 11):
    from ast import TryStar as TryStar
    from enum import StrEnum as StrEnum

    from tomllib import TOMLDecodeError as TOMLDecodeError
    from tomllib import loads as _parse
else:
    from enum import Enum

    class TryStar(ast.Try):
        """The node of `try` with `except*`, which this Python does not parse."""

    class StrEnum(str, Enum):
        """An enumeration of strings: a member is its value wherever a string is expected, and is printed as it."""

        def __str__(self) -> str:
            return str.__str__(self)

        def __format__(self, format_spec: str) -> str:
            return str.__format__(self, format_spec)

    try:
        # Alembic reads pyproject.toml with it, and installs it
        from tomli import TOMLDecodeError as TOMLDecodeError  # type: ignore[import-not-found,unused-ignore]
        from tomli import loads as _parse
    except ImportError:

        class TOMLDecodeError(ValueError):  # type: ignore[no-redef]
            """Never raised: an Alembic that does not install tomli does not read pyproject.toml."""

        def _parse(_text: str) -> dict[str, object]:
            """Return nothing, for the same reason."""
            return {}


parse_toml = _parse
"""Parse the text of a TOML file into a dict. Raises TOMLDecodeError."""
