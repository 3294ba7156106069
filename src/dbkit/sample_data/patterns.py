"""Texts that match a pattern of LIKE or SIMILAR TO or a regular expression, and texts that nearly do."""

import re
import warnings
from importlib import import_module
from typing import Any

from dbkit.backports import PATTERN_PARSER
from dbkit.sample_data.texts import merge_lists

parser: Any = import_module(PATTERN_PARSER)
CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\s",
    "xdigit": "0-9A-Fa-f",
    "blank": r" \t",
    "word": r"\w",
    "cntrl": r"\x00-\x1f",
    "print": " -~",
    "graph": "!-~",
    "punct": r"!-/:-@\[-`{-~",
}
ESCAPES = {"m": r"\b", "M": r"\b", "y": r"\b", "Y": r"\B", "Z": r"\Z"}
CATEGORIES = {
    "CATEGORY_DIGIT": "407",
    "CATEGORY_NOT_DIGIT": "a -",
    "CATEGORY_SPACE": " \t\n",
    "CATEGORY_NOT_SPACE": "a1-",
    "CATEGORY_WORD": "a1Z_",
    "CATEGORY_NOT_WORD": " -!",
}
SPREAD = "a1 -_.Z@é/0:x"
VARIANTS = 16
MOST_REPEATS = 300


def match_like(pattern: str, escape: str = "\\") -> list[str]:
    """Return texts that match a pattern of LIKE, and ones that nearly do."""
    matches = [
        _fill_like(pattern, escape, many, one)
        for many, one in (("", "a"), ("x", "1"), ("a b", "x"), ("12", "-"), (".1.", "Z"))
    ]
    return merge_lists([list(dict.fromkeys(matches)), vary_matches(matches[:3])])


def _fill_like(pattern: str, escape: str, many: str, one: str) -> str:
    filled, n = "", 0
    while n < len(pattern):
        if escape and pattern[n] == escape and n + 1 < len(pattern):
            n += 1
            filled += pattern[n]
        else:
            filled += {"%": many, "_": one}.get(pattern[n], pattern[n])
        n += 1
    return filled


def match_similar(pattern: str, escape: str = "\\") -> list[str]:
    """Return texts that match a pattern of SIMILAR TO, and ones that nearly do."""
    translated, n, inside = "", 0, False
    while n < len(pattern):
        letter = pattern[n]
        if letter == escape and n + 1 < len(pattern):
            n += 1
            translated += re.escape(pattern[n])
        elif inside:
            inside = letter != "]"
            translated += letter
        else:
            inside = letter == "["
            translated += {"%": ".*", "_": ".", ".": r"\.", "^": r"\^", "$": r"\$"}.get(letter, letter)
        n += 1
    return match_regex(f"^(?:{translated})$")


def match_regex(pattern: str, ignore_case: bool = False) -> list[str]:
    """Return texts that match a regular expression of PostgreSQL, and ones that nearly do."""
    matches = generate_matches(pattern, ignore_case)
    inside = [f"x {match} x" for match in matches[:3]]
    folded = [changed for match in matches[:3] for changed in (match.upper(), match.lower(), match.title())]
    return merge_lists([matches, [*vary_matches(matches[:4]), *inside, *folded]])


def vary_matches(matches: list[str]) -> list[str]:
    """Return each text with one letter more, one less, and the other case; then the empty text and a few others."""
    lists = [
        (each + "!", each[:-1], each.swapcase(), each[1:], "x" + each, each + each, f" {each}", each + "1")
        for each in matches
    ]
    return [*merge_lists(lists), "", "x", "1", " ", "é"]


def generate_matches(pattern: str, ignore_case: bool = False, groups: dict[int, str] | None = None) -> list[str]:
    """Return texts that match, the shortest ways first; with texts that groups match, by number."""
    compiled = compile_regex(pattern, ignore_case)
    if compiled is None:
        return [re.sub(r"[\\^$*+?()\[\]{}|]", "", pattern)]
    tree = parser.parse(compiled.pattern, compiled.flags & ~re.UNICODE)
    made = list(dict.fromkeys(Generator(number, groups or {}).write(tree) for number in range(VARIANTS)))
    return [*(text for text in made if compiled.search(text)), *(text for text in made if not compiled.search(text))]


def compile_regex(pattern: str, ignore_case: bool = False) -> "re.Pattern[str] | None":
    """Return Python's form of a regular expression of PostgreSQL, or None where it has none."""
    options = re.match(r"(?:\*\*\*:)?\(\?([a-z]+)\)", pattern)
    ignore_case |= bool(options and "i" in options[1])
    translated = _translate(pattern[options.end() :] if options else pattern.removeprefix("***:"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return re.compile(translated, re.IGNORECASE if ignore_case else 0)
        except (re.error, OverflowError, RecursionError):
            return None


def _translate(pattern: str) -> str:
    pattern = re.sub(r"\[\[:[<>]:\]\]", lambda _match: r"\b", pattern)
    pattern = re.sub(r"\[:(\w+):\]", lambda match: CLASSES.get(match[1], "a-z"), pattern)
    return re.sub(r"\\(.)", lambda match: ESCAPES.get(match[1], match[0]), pattern, flags=re.DOTALL)


class Generator:
    """Writes one text that matches the tree of a regular expression; its number selects the way that it takes."""

    def __init__(self, number: int, forced: dict[int, str]) -> None:
        self.number, self.forced = number, forced
        self.groups: dict[int, str] = {}

    def write(self, tree: Any) -> str:
        """Return a text that matches a part of the tree."""
        return "".join(self._write_node(str(code), argument) for code, argument in tree)

    def _write_node(self, code: str, argument: Any) -> str:
        method = getattr(self, f"_{code.lower()}", None)
        return str(method(argument)) if method else ""

    def _literal(self, code: int) -> str:
        return chr(code)

    def _not_literal(self, code: int) -> str:
        return next(letter for letter in self._rotated(SPREAD) if ord(letter) != code)

    def _any(self, _argument: None) -> str:
        return self._rotated(SPREAD)[0]

    def _in(self, parts: list[Any]) -> str:
        negated = bool(parts) and str(parts[0][0]) == "NEGATE"
        members = [(str(code), argument) for code, argument in parts if str(code) != "NEGATE"]
        if negated:
            return next((each for each in self._rotated(SPREAD) if not any(_has(*m, each) for m in members)), "\x7f")
        code, argument = members[self.number % len(members)]
        if code == "RANGE":
            return chr(argument[0] + (self.number // len(members)) % (argument[1] - argument[0] + 1))
        return chr(argument) if code == "LITERAL" else self._rotated(CATEGORIES.get(str(argument), "a"))[0]

    def _category(self, category: Any) -> str:
        return self._rotated(CATEGORIES.get(str(category), "a"))[0]

    def _branch(self, argument: Any) -> str:
        return self.write(argument[1][self.number % len(argument[1])])

    def _subpattern(self, argument: Any) -> str:
        group, tree = argument[0], argument[3]
        text = self.forced[group] if group in self.forced else self.write(tree)
        self.groups[group] = text
        return text

    def _groupref(self, group: int) -> str:
        return self.groups.get(group, "")

    def _max_repeat(self, argument: Any) -> str:
        least, most, tree = argument
        times = (least, least + 1, least + 2, min(least + 5, most))[(self.number + self.number // 4) % 4]
        return "".join(self.write(tree) for _ in range(min(times, most, MOST_REPEATS)))

    _min_repeat = _possessive_repeat = _max_repeat

    def _atomic_group(self, tree: Any) -> str:
        return self.write(tree)

    def _assert(self, argument: Any) -> str:
        # what follows a lookahead is mostly `.*`
        return self.write(argument[1]) if self.number % 2 else ""

    def _rotated(self, letters: str) -> str:
        start = self.number % len(letters)
        return letters[start:] + letters[:start]


def _has(code: str, argument: Any, letter: str) -> bool:
    if code == "RANGE":
        return bool(argument[0] <= ord(letter) <= argument[1])
    if code == "LITERAL":
        return bool(argument == ord(letter))
    tests = {"DIGIT": letter.isdigit(), "SPACE": letter.isspace(), "WORD": letter.isalnum() or letter == "_"}
    name = str(argument).removeprefix("CATEGORY_")
    return not tests.get(name.removeprefix("NOT_"), False) if name.startswith("NOT_") else tests.get(name, False)
