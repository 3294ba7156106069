"""Redact secrets in text; `text` is the function for all output.

There are two layers. First the *shapes* of secrets in foreign text: SQL (`PASSWORD` before a literal of any kind,
OPTIONS, an INSERT into a secret column, format() and ||, functions of pgcrypto), connection strings, URLs, variables,
tokens. Then *known values*: those that .env, the environment and Alembic's config have under a secret name or in a URL,
and those found by their shape before; in every encoding, in any place.

A known value that is short, or a plain word ("postgres", "app"), is redacted in shapes and as a whole quoted string
only: replaced everywhere, it would garble messages, and the gap would reveal it. docs/safety.md has the limits.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from dbkit.redaction import secret_shapes

MASK = "***"

MOST_VALUES = 5000
"""The maximal number of known values."""


class Known:
    """The known secrets, with all their encodings."""

    def __init__(self) -> None:
        self.anywhere: set[str] = set()
        self.quoted: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def clear(self) -> None:
        """Remove all values."""
        self.anywhere.clear()
        self.quoted.clear()
        self._pattern = None

    def add(self, value: str, public: Iterable[str | None] = ()) -> None:
        """Add a value, unless it equals one of the `public` names, which may be shown."""
        if len(value) < 4 or value in self.anywhere or value in public or len(self.anywhere) > MOST_VALUES:
            return
        found = self.anywhere if is_distinctive(value) else self.quoted
        found |= {form for form in encodings(value) if len(form) >= 4}
        self._pattern = None

    def add_quoted(self, value: str) -> None:
        """Add a value that may be a plain word, or a part of a secret: it is redacted as a quoted string only."""
        self.quoted.add(value)
        self._pattern = None

    def hide(self, text: str) -> str:
        """Replace the values in a text."""
        if not self.anywhere and not self.quoted:
            return text
        if self._pattern is None:
            longest_first = sorted(self.anywhere, key=len, reverse=True)
            anywhere = "|".join(_bounded(form) for form in longest_first)
            quoted = "|".join(re.escape(form) for form in sorted(self.quoted, key=len, reverse=True))
            parts = ([anywhere] if anywhere else []) + ([rf"(?<=')(?:{quoted})(?=')"] if quoted else [])
            self._pattern = re.compile("|".join(parts))
        text = self._pattern.sub(MASK, text)
        return self._hide_cut(text) if "..." in text else text

    def _hide_cut(self, text: str) -> str:
        """Redact the beginnings and ends of values at a "...", with which the server abbreviates a statement."""
        for value in self.anywhere:
            for length in range(len(value) - 1, 3, -1):
                text = text.replace(f"...{value[-length:]}", f"...{MASK}").replace(f"{value[:length]}...", f"{MASK}...")
        return text


_known = Known()


def _bounded(form: str) -> str:
    """A pattern for a value that does not match within a longer number, nor, if it is short, within a word."""
    part = r"\d" if form.isdecimal() else r"\w" if len(form) < 8 else ""
    return rf"(?<!{part}){re.escape(form)}(?!{part})" if part else re.escape(form)


def is_distinctive(value: str) -> bool:
    """Whether a value is unmistakable in text: long, and not a plain word or a short number."""
    longest = 15
    return len(value) >= 6 and not re.fullmatch(rf"[A-Z]?[a-z]{{,{longest}}}|[A-Z]{{,{longest}}}|\d{{,7}}", value)


def encodings(value: str) -> set[str]:
    """The forms of a value in URLs, SQL, connection strings, JSON, XML, INI files and Python."""
    escaped = value.replace("\\", "\\\\")
    plain = {
        value,
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
        value.replace("'", "''"),
        value.replace("'", "''''"),
        escaped.replace("'", "''"),
        escaped.replace("'", "\\'"),
        repr(value)[1:-1],
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        value.encode("ascii", "backslashreplace").decode(),
    }
    plain |= {re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in plain}
    return plain | {form.replace("%", "%%") for form in plain} | {repr(form)[1:-1] for form in plain}


def learn(value: str | None, public: Iterable[str | None] = ()) -> None:
    """Add a secret to the known values."""
    if value:
        _known.add(value, tuple(public))


def learn_from(statement: str) -> None:
    """Add the secrets in a statement to the known values, because the server's error may repeat a part of it."""
    shapes(statement)


def learn_url(url: str) -> None:
    """Add the password in a URL, valid or not; also the parts into which a raw @, / or # divides it."""
    _, separator, rest = url.partition("://")
    userinfo, at_sign, location = rest.rpartition("@")
    user, colon, password = userinfo.partition(":")
    if not (separator and at_sign and colon):
        return
    public = (user, unquote(user), *re.split(r"[:/?]", location))
    for each in {password, unquote(password)}:
        learn(each, public)
    for part in re.split(r"[@:/?#]", password):
        if part != password and len(part) >= 4 and part not in public:
            _known.add_quoted(part)


WORKING_DIRECTORIES = ("PWD", "OLDPWD")  # variables of the shell with pwd in their names


def learn_variables(values: Mapping[str, str]) -> None:
    """Add the values of variables with a secret name, and the passwords of URLs in others."""
    public = [value for name, value in values.items() if re.search(r"(?i)(user|name|host|database)$", name)]
    for name, value in values.items():
        if name in WORKING_DIRECTORIES:
            continue
        if "://" in value:
            learn_url(value)
        if secret_shapes.IS_SECRET.search(name) and "://" not in value:
            learn(value, public)


def forget() -> None:
    """Remove all known values."""
    _known.clear()


def text(words: str) -> str:
    """Replace the secrets in a text by `***`. Idempotent."""
    return _known.hide(shapes(words)) if words else words


def known(words: str) -> str:
    """Replace the secrets whose values are known, by these values only."""
    return _known.hide(words)


def shapes(words: str) -> str:
    """Replace secrets by their shape only: the result depends on the text alone."""
    parts, end = [], 0
    for span in sorted(secret_shapes.find(words)):
        if words[span.start : span.stop] in ("", MASK) or span.stop <= end:
            continue
        if span.whole:
            _learn_from_shape(words[span.start : span.stop])
        if span.start >= end:
            parts += [words[end : span.start], MASK]
        end = span.stop
    return "".join([*parts, words[end:]])


def lines(words: str) -> list[str]:
    """Redact a text, and return its lines; a secret over several lines is replaced in the first of these."""
    parts, end = [], 0
    for span in sorted(secret_shapes.find(words)):
        start = max(span.start, end)
        if span.stop > start:
            parts += [words[end:start], MASK, "\n" * words.count("\n", start, span.stop)]
            end = span.stop
    return [text(each) for each in "".join([*parts, words[end:]]).split("\n")]


def _learn_from_shape(value: str) -> None:
    if is_distinctive(value):
        for each in {value, value.replace("''", "'"), unquote(value)}:
            learn(each)


def tree(value: Any) -> Any:
    """Redact each string in a JSON document, but for the names of its fields."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {name: tree(each) for name, each in value.items()}
    return [tree(each) for each in value] if isinstance(value, list | tuple) else value
