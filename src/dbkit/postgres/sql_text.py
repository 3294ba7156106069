"""The SQL tokeniser: tokens as PostgreSQL's lexer sees them, single statements, and transaction control.

All of dbkit that examines SQL uses it, so that no comment, string or quoted name is taken for a statement. It assumes
standard_conforming_strings = on, the default.

https://www.postgresql.org/docs/18/sql-syntax-lexical.html; the source is src/backend/parser/scan.l.
"""

import re
from collections.abc import Iterator
from enum import Enum
from functools import cache
from typing import NamedTuple

UNKNOWN = "\0"
"""A placeholder for an unknown part of a text, which is read as a letter. It is never sent to a server."""


class Kind(Enum):
    """A kind of token."""

    SPACE = "space"
    COMMENT = "comment"
    STRING = "string"
    """With its quotes and its prefix; strings continued on the next line are one, as for the server."""
    NAME = "name"
    """A quoted one."""
    WORD = "word"
    """A keyword, or a name without quotes."""
    NUMBER = "number"
    PARAMETER = "parameter"
    """`$1`, psycopg's `%s` and `%(name)s`, SQLAlchemy's `:name`."""
    SYMBOL = "symbol"
    """One character of punctuation or of an operator; `::`, `:=` and `%%` are one."""


class Token(NamedTuple):
    """A token. All tokens of a text together are the text."""

    kind: Kind
    text: str
    start: int

    @property
    def plain(self) -> str:
        """The token in lower case, without the content of quotes; a space for white space and comments."""
        if self.kind in SEPARATORS:
            return " "
        if self.kind == Kind.STRING:
            return "''"
        return '""' if self.kind == Kind.NAME else self.text.lower()


SEPARATORS = (Kind.SPACE, Kind.COMMENT)
LETTER = rf"[A-Za-z_{UNKNOWN}\x80-\U0010ffff]"
TAG = rf"{LETTER}[A-Za-z_0-9{UNKNOWN}\x80-\U0010ffff]*"
# a string continues after white space with a line break, and a comment may be in that line
CONTINUED = r"'[ \t\f\v]*(?:--[^\n\r]*)?[\n\r](?:[ \t\n\r\f\v]|--[^\n\r]*[\n\r])*'"
PLAIN, ESCAPED = r"(?:[^']+|'')*", r"(?:[^'\\]+|\\.|'')*"
# no possessive quantifiers: Python before 3.11.5 gets them wrong, https://github.com/python/cpython/issues/101955
# an unterminated token extends to the end of the text
TOKEN = rf"""
    (?P<space>[ \t\n\r\f\v]+)
    | (?P<comment>--[^\n\r]*)
    | (?P<block>/\*)
    | (?P<dollar>\$(?:{TAG})?\$)
    | (?P<string>[eE]'{ESCAPED}(?:{CONTINUED}{ESCAPED})*(?:'|\\?\Z)
        | (?:[uU]&|[bBnNxX])?'{PLAIN}(?:{CONTINUED}{PLAIN})*(?:'|\Z))
    | (?P<name>(?:[uU]&)?"(?:[^"]+|"")*(?:"|\Z))
    | (?P<word>{LETTER}[A-Za-z_0-9${UNKNOWN}\x80-\U0010ffff]*)
    | (?P<number>(?:[0-9]+(?:\.(?!\.)[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<parameter>\$[0-9]+|%\([^()]*\)[sbt]|%[sbt](?!\w)|:{LETTER}\w*)
    | (?P<symbol>::|:=|%%|.)
    """.replace("[ ", r"[\ ")
KINDS = {kind.value: kind for kind in Kind} | {"block": Kind.COMMENT, "dollar": Kind.STRING}
COMMENT_MARK = re.compile(r"/\*|\*/")
ROUTINE = re.compile(r"create (?:or replace )?(?:function|procedure)\b")
LONGEST_ROUTINE = 4  # words
# every statement that ends a transaction has one of these words
MAY_END = re.compile(r"\b(?:commit|end|rollback|abort|prepare)\b", re.IGNORECASE)
ESCAPE, ESCAPES = re.compile(r"\\(.)", re.DOTALL), {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
VERBS = ("update", "delete", "merge", "insert")
CHANGES = re.compile(r"\b(?:update|delete|merge|insert)\b", re.IGNORECASE)
BEGINS = re.compile(r"begin\b|start transaction\b")
COMMITS = re.compile(r"(?:commit|end)\b(?! prepared\b)|prepare transaction\b")
ROLLS_BACK = re.compile(r"(?:rollback|abort)\b(?! (?:(?:work |transaction )?to|prepared)\b)")


@cache
def _compile_token() -> re.Pattern[str]:
    """Compile the pattern of a token, with the first text: it takes 12 ms, and `make migrate` often reads no SQL."""
    return re.compile(TOKEN, re.DOTALL | re.VERBOSE)


def tokenize(text: str, start: int = 0) -> Iterator[Token]:
    """Yield the tokens of a text from `start` on, from left to right."""
    pattern = _compile_token()
    position = start
    while position < len(text):
        match = pattern.match(text, position)
        if match is None or match.lastgroup is None:
            raise AssertionError(f"no token at {position}")  # the last alternative matches any character
        end = match.end()
        if match.lastgroup == "block":
            end = _end_of_comment(text, end)
        elif match.lastgroup == "dollar":
            found = text.find(match[0], end)
            end = len(text) if found < 0 else found + len(match[0])
        yield Token(KINDS[match.lastgroup], text[position:end], position)
        position = end


def _end_of_comment(text: str, position: int) -> int:
    """The end of a comment that began before `position`. Comments are nested."""
    depth = 1
    for mark in COMMENT_MARK.finditer(text, position):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)


def split_statements(text: str, start: int = 0) -> Iterator[list[Token]]:
    """Yield the tokens of each statement from `start` on, without its semicolon; none that has only comments.

    A semicolon in parentheses (CREATE RULE) or in a body of BEGIN ATOMIC … END does not end a statement.
    """
    found: list[Token] = []
    words: list[str] = []
    depth, in_body, previous = 0, False, ""
    for token in tokenize(text, start):
        plain = token.plain
        if token.kind in SEPARATORS:
            found.append(token)
            continue
        if plain == ";" and depth == 0 and not in_body:
            if words:
                yield found
            found, words, previous = [], [], ""
            continue
        found.append(token)
        if len(words) < LONGEST_ROUTINE:
            words.append(plain)
        depth = max(0, depth + {"(": 1, ")": -1}.get(plain, 0))
        if in_body:
            # each statement in the body has a semicolon; an END elsewhere belongs to a CASE, or is a name
            in_body = not (plain == "end" and previous == ";")
        elif plain == "atomic" and previous == "begin" and depth == 0 and ROUTINE.match(" ".join(words)):
            in_body, plain = True, ";"
        previous = plain
    if words:
        yield found


def statements(text: str) -> list[str]:
    """The single statements of a text, as they are written; the text itself where there is none."""
    if ";" not in text and not _may_have_comments(text):
        return [text.strip() or text]
    return ["".join(token.text for token in each).strip() for each in split_statements(text)] or [text]


def _may_have_comments(text: str) -> bool:
    return "--" in text or "/*" in text


def plain(text: str) -> str:
    """The text in lower case, without comments, and without what is in quotes: `''` for a string, `""` for a name.

    Tokens are separated by one space, except around a dot, so that regular expressions are simple.
    """
    return _joined(tokenize(text))


def plain_statements(text: str) -> list[str]:
    """The statements of a text, each in the form of `plain`."""
    return [_joined(each) for each in split_statements(text)]


def without_comments(text: str) -> str:
    """The text with a space in place of each comment."""
    if not _may_have_comments(text):
        return text
    return "".join(" " if token.kind == Kind.COMMENT else token.text for token in tokenize(text))


def ends_transaction(text: str) -> bool:
    """Whether a statement of the text ends the transaction in which it runs, by commit or by rollback.

    Not BEGIN, which only causes a warning within a transaction; nor COMMIT PREPARED, which the server refuses there.
    """
    return bool(MAY_END.search(text)) and any(
        COMMITS.match(each) or ROLLS_BACK.match(each) for each in plain_statements(text)
    )


def rolls_back(text: str) -> bool:
    """Whether a statement of the text rolls back the whole transaction, not only to a savepoint."""
    return bool(MAY_END.search(text)) and any(map(ROLLS_BACK.match, plain_statements(text)))


def begins_transaction(text: str) -> bool:
    """Whether a statement of the text begins a transaction."""
    return any(map(BEGINS.match, plain_statements(text)))


def find_changed_tables(text: str) -> set[tuple[str, str]]:
    """The tables whose rows the statements change: the verb, such as "update", and the name without its schema."""
    found = set()
    words = [token for token in tokenize(text) if token.kind not in SEPARATORS] if CHANGES.search(text) else []
    for number, token in enumerate(words):
        is_verb = token.kind == Kind.WORD and token.plain in VERBS
        # FOR UPDATE, FOR NO KEY UPDATE, ON DELETE CASCADE, ON CONFLICT … DO UPDATE, MERGE … THEN UPDATE
        if is_verb and not (number and words[number - 1].plain in ("for", "key", "on", "do", "then", ".", "as")):
            name = _name_after(words[number + 1 : number + 10])
            found |= {(token.plain, name)} if name else set()
    return found


def _name_after(words: list[Token]) -> str:
    """The last part of the name at the beginning, after FROM, INTO and ONLY."""
    place = 0
    while words[place:] and words[place].plain in ("from", "into", "only"):
        place += 1
    while words[place + 2 :] and words[place + 1].plain == ".":
        place += 2
    return unquote_name(words[place].text) if words[place:] and words[place].kind in (Kind.NAME, Kind.WORD) else ""


def unquote_name(name: str) -> str:
    """A part of a name as in the catalog: without quotes, or in lower case."""
    return name.partition('"')[2].removesuffix('"').replace('""', '"') if '"' in name else name.lower()


def read_string(string: str) -> str:
    """The content of a string literal; \\ooo and \\xhh escapes are not decoded."""
    if string.startswith("$"):
        mark = string[: string.index("$", 1) + 1]
        return string[len(mark) :].removesuffix(mark)
    prefix, _, quoted = string.partition("'")
    value = quoted.removesuffix("'").replace("''", "'")
    return ESCAPE.sub(lambda match: ESCAPES.get(match[1], match[1]), value) if prefix in ("e", "E") else value


def _joined(found: "Iterator[Token] | list[Token]") -> str:
    return re.sub(r" ?\. ?", ".", re.sub(" {2,}", " ", "".join(token.plain for token in found))).strip()
