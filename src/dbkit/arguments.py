"""The options of the command line and the types of their values."""

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from dbkit.redaction import redact

OUTPUTS = ("html", "markdown", "github-comment", "gitlab-comment", "github-summary")
"""The formats of a review."""
OUTPUT_SUFFIXES = {"html": "html", "htm": "html", "md": "markdown"}


class Option(NamedTuple):
    """The arguments of one `add_argument`."""

    flags: tuple[str, ...]
    keywords: dict[str, Any]

    @property
    def dest(self) -> str:
        """The name of its value: a field of the verb's options."""
        long = next((flag for flag in self.flags if flag.startswith("--")), self.flags[0])
        return str(self.keywords.get("dest") or long.lstrip("-").replace("-", "_"))


def option(*flags: str, **keywords: Any) -> Option:
    """Return an option that is written like a call of `add_argument`."""
    return Option(flags, keywords)


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean migrate?` for the nearest of the known words; "" where none is near."""
    from difflib import get_close_matches  # only an error needs it

    near = get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def suggest_option(words: Sequence[str], known: Iterable[str]) -> str:
    """Return the suggestion for the first option among words that no parser knows."""
    first = next((each.partition("=")[0] for each in words if each.startswith("-")), "")
    return suggest(first, [each for each in known if each.startswith("--")]) if first.startswith("--") else ""


class Parser(argparse.ArgumentParser):
    """A parser that names the nearest of the choices for one that does not exist."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            nearest = suggest(str(value), map(str, action.choices or ()))
            if nearest and isinstance(action, argparse._SubParsersAction):
                raise argparse.ArgumentError(None, f"there is no verb {value!r}{nearest}") from error
            error.message += nearest
            raise


def flag(text: str) -> bool:
    """Convert the value of a Makefile variable, such as that of `empty=1`. Raises ArgumentTypeError."""
    values = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}
    if text not in values:
        raise argparse.ArgumentTypeError(f"write 1 or 0, not {text!r}")
    return values[text]


def matching(pattern: str, wanted: str, convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a converter for `type=` that raises ArgumentTypeError, naming what is `wanted`, without a match."""

    def check(text: str) -> Any:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"write {wanted}, not {text!r}")
        return convert(text)

    return check


process_count = matching("[1-9][0-9]{0,2}", "a number from 1 to 999", int)
major_version = matching("[1-9][0-9]", "a major version of PostgreSQL, such as 15", int)
positive_number = matching("[1-9][0-9]{0,5}", "a number from 1 to 999999", int)
number = matching("[0-9]{1,6}", "a number from 0 to 999999", int)
seconds = matching(r"[0-9]{1,6}(\.[0-9]+)?", "a number of seconds", float)

limit = matching(r"(?=.*[1-9])[0-9]{1,6}(\.[0-9]{1,3})?", "a number of seconds above 0", float)


def variable(text: str) -> str:
    """Check the name of an environment variable. Raises ArgumentTypeError."""
    if not re.fullmatch(r"[A-Za-z_]\w*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a variable")
    return text


def assignment(text: str) -> tuple[str, str]:
    """Split NAME=VALUE. Raises ArgumentTypeError, without the value: it may be a password."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name):
        shown = f"{name}=…" if equals else name
        raise argparse.ArgumentTypeError(f"write NAME=VALUE, not {shown!r}")
    redact.learn_variables({name: value})
    return name, value


def output(text: str) -> tuple[str, str]:
    """Read FORMAT, FORMAT=FILE, or a FILE whose ending names the format. Raises ArgumentTypeError.

    Returns the format and the file, "" for none.
    """
    name, equals, file = text.partition("=")
    if not equals and "." in text:
        name, file = OUTPUT_SUFFIXES.get(text.rpartition(".")[2], ""), text
    if name not in OUTPUTS or (equals and not file):
        raise argparse.ArgumentTypeError(f"write {', '.join(OUTPUTS)}, or such a word with =FILE, not {text!r}")
    return name, file
