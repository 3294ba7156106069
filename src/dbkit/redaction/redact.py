"""Hide secrets in text that leaves the program. `text` is the one function that does it.

Two layers. First the *shapes* that a secret has in foreign text: SQL (`PASSWORD` before a literal of any kind, OPTIONS,
an INSERT into a secret column, format() and ||, functions of pgcrypto), connection strings, URLs, variables, tokens.
Then *known values*: what .env, the environment and Alembic's settings hold under a secret name or in a URL, and
what a shape has shown before; in every encoding, wherever it stands.

A known value that is short, or a plain word ("postgres", "app"), is hidden in shapes and as a whole quoted string only:
replaced everywhere, it would wreck each message, and the gap would tell it. docs/safety.md has the limits.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from dbkit.redaction import secret_shapes

MASK = "***"

LONGEST_LIST = 5000
"""Known values; a run does not meet more."""


class Known:
    """The values that are known to be secret, with all their encodings."""

    def __init__(self) -> None:
        self.anywhere: set[str] = set()
        self.quoted: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def clear(self) -> None:
        """Forget them."""
        self.anywhere.clear()
        self.quoted.clear()
        self._pattern = None

    def add(self, value: str, public: Iterable[str | None] = ()) -> None:
        """Remember a value; `public` are names that may be shown although they are the same."""
        if len(value) < 4 or value in self.anywhere or value in public or len(self.anywhere) > LONGEST_LIST:
            return
        found = self.anywhere if is_distinctive(value) else self.quoted
        found |= {form for form in encodings(value) if len(form) >= 4}
        self._pattern = None

    def add_quoted(self, value: str) -> None:
        """Remember a value that may be a plain word, or a part of a secret."""
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
        """PostgreSQL's LINE shows a part of the statement, and "..." where it was cut."""
        for value in self.anywhere:
            for length in range(len(value) - 1, 3, -1):
                text = text.replace(f"...{value[-length:]}", f"...{MASK}").replace(f"{value[:length]}...", f"{MASK}...")
        return text


_known = Known()


def _bounded(form: str) -> str:
    """A pattern for the value that does not match a part of a longer number, or, where it is short, word."""
    part = r"\d" if form.isdecimal() else r"\w" if len(form) < 8 else ""
    return rf"(?<!{part}){re.escape(form)}(?!{part})" if part else re.escape(form)


def is_distinctive(value: str) -> bool:
    """Whether a value can be nothing but the secret: long, and no plain word or short number."""
    longest = 15
    return len(value) >= 6 and not re.fullmatch(rf"[A-Z]?[a-z]{{,{longest}}}|[A-Z]{{,{longest}}}|\d{{,7}}", value)


def encodings(value: str) -> set[str]:
    """A value as it is written in URLs, SQL, connection strings, JSON, XML, INI files and Python."""
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
    """Remember a secret, to hide it wherever it stands from now on."""
    if value:
        _known.add(value, tuple(public))


def learn_from(statement: str) -> None:
    """Remember the secrets in SQL that is not shown itself: the server's error may repeat a part of it."""
    shapes(statement)


def learn_url(url: str) -> None:
    """Remember the password in a URL, well-formed or not; also the parts into which a raw @, / or # cuts it."""
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


WORKING_DIRECTORIES = ("PWD", "OLDPWD")  # the shell's variables, whose names have pwd in them


def learn_variables(values: Mapping[str, str]) -> None:
    """Remember what variables hold that have a secret name, or a URL with a password."""
    public = [value for name, value in values.items() if re.search(r"(?i)(user|name|host|database)$", name)]
    for name, value in values.items():
        if name in WORKING_DIRECTORIES:
            continue
        if "://" in value:
            learn_url(value)
        if secret_shapes.IS_SECRET.search(name) and "://" not in value:
            learn(value, public)


def forget() -> None:
    """Forget all known values."""
    _known.clear()


def text(words: str) -> str:
    """The text with `***` for the secrets in it. Applied to its own result, it changes nothing."""
    return _known.hide(shapes(words)) if words else words


def shapes(words: str) -> str:
    """The same by shape alone: the result depends on nothing but the text."""
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


def _learn_from_shape(value: str) -> None:
    if is_distinctive(value):
        for each in {value, value.replace("''", "'"), unquote(value)}:
            learn(each)


def tree(value: Any) -> Any:
    """A JSON document with each string redacted; the names of its fields stay."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {name: tree(each) for name, each in value.items()}
    return [tree(each) for each in value] if isinstance(value, list | tuple) else value
