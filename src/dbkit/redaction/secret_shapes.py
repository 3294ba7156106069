"""Find secrets in text by their shape in SQL, connection strings, URLs, variables and messages.

The text may be truncated, joined to one line, or a part of another language, so it is matched and not parsed. In doubt,
more is found rather than less.
"""

import re
from collections import deque
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass

# The names of secrets in SQL, connection strings, variables and JSON; they may have any prefix.
WORD = (
    r"(?:passwords?|passwd|passphrase|passcode|pwd|(?<![a-z$])pass|(?<![a-z$])pw|secrets?|tokens?|credentials?"
    r"|(?:api|access|private|signing|encryption|client)[_-]?keys?|scram_verifier)"
    r"(?:[_-]?(?:key|base|hash|digest|value|text|old|new|\d+))*"
)
KEY = re.compile(rf"{WORD}(?![\w])", re.IGNORECASE)
IS_SECRET = re.compile(rf"{WORD}$|dsn$", re.IGNORECASE)
URL = re.compile(r"\b([a-z][a-z0-9+.\-]{0,30}://[^\s:/@'\"]{0,300}:)(\S{0,2000})@", re.IGNORECASE)
CUT_URL = re.compile(
    r"\b([a-z][a-z0-9+.\-]{0,30}://[^\s:/@'\"]{1,300}:)(?!\d{0,5}(?:[/?#'\",;)\s]|$))([^\s'\"@]+)(?!\S{0,2000}@)",
    re.IGNORECASE,
)
PLACEHOLDER_URL = re.compile(r"postgresql(\+\w+)?://user:password@host")
# all repetitions are bounded, so that a long or hostile text takes no long time
COMMENT = r"/\*(?:(?!\*/|/\*).|/\*(?:(?!\*/).){0,500}\*/){0,1000}\*/|--.{0,1000}?(?:\n|\\n)"
GAP = re.compile(rf"(?:\s|\\[nrt]|{COMMENT})*", re.DOTALL)
SEPARATOR = re.compile(r"(?:=>|:=|==?|<>|!=|:|\b(?:to|i?like)\b)", re.IGNORECASE)
# a column or a variable with its type, or a list of columns
DECLARED = re.compile(
    r"\"?(?:\s+(?:type\s+)?\w+(?:\s*\([\d, ]*\))?){0,5}?\s*(?:\bdefault\b|:=)\s*(?=['$eEuU])", re.IGNORECASE
)
LIST = re.compile(r"[\w\s,\"]{0,500}\)\s*=\s*(?:row\s*)?\(|\"?\s+(?:not\s+)?in\s*\((?=\s*['$])", re.IGNORECASE)
NAMED = re.compile(rf"'((?:[^']|''){{0,500}})'(?:::\w+)?\s+as\s+\"?\w*{WORD}", re.IGNORECASE)
ASSIGNED = re.compile(r":=\s*(?=['$eEuU])")
# ALTER ROLE … PASSWORD x without quotes: the server refuses it, and repeats it in the error
UNQUOTED = re.compile(
    r"\b(?:create|alter)\s+(?:role|user|group)\b[^;'\"]{0,300}\bpassword\s+(?!null\b|\*\*\*|[en]'|u&')(\"[^\"]*\"|[^\s'\"%$;:?{(/-][^\s;]*)",
    re.IGNORECASE,
)
# from the beginning of a host alone: from each letter on, a long text would be read again
PASSFILE = re.compile(r"(?:(?<![\w:.*-])|(?<=:)(?=[.*-]))[\w.*-]+:(?:\d{2,5}|\*):[^:\s/]+:[^:\s/]+:([^\s:/]+)")
DOLLAR = re.compile(r"\$(?:[A-Za-z_]\w*)?\$")
QUOTES = re.compile(r"\\+['\"]|'+|\"")
AFTER_EMPTY = re.compile(r"[\s,;)\]]|$")
AFTER_EMPTY_STRING = re.compile(
    r"[ \t]*(?:[\r\n,;)\]:|=<>!+*/-]|$|(?:and|or|where|from|as|then|else|end|when|is|in|not|i?like|between|order|group"
    r"|limit|returning|union|having|on|for|collate|at|set|using|cascade)\b)",
    re.IGNORECASE,
)
"""What follows an empty string in SQL."""
JOINED = re.compile(r"(?:\s|\\[nrt])*(?:\|\|)?(?:\s|\\[nrt])*")
NAME_IN_QUOTES = re.compile(r"[\"'][\w.\-]*$")
END_OF_NAME = re.compile(r"\\?[\"']\]?")
PREFIX = re.compile(r"(?:[uU]&|[eEnNbBrRfF]{1,2})?(?=['\"\\])")
# the text after PASSWORD in a statement that is composed of parts, or whose comment is truncated
COMPOSED = re.compile(r"--|(?:\\?['\"])*\s*\|\||(?:\\?['\"])+\s*\+|(?:'|'{3,}|\")\s*[,)]|%\d*\$?[LI]")
FORMATTED = re.compile(r"\bformat\s*\([^;]*$|\bconcat\w*\s*\([^;]*$", re.IGNORECASE)
BARE = re.compile(r"(?:\\+.|[^\s'\"]|'+(?=\w))+")
BARE_IN_URL = re.compile(r"[^\s'\"&#]+")
NO_VALUE = re.compile(
    rf"(?:%s|%\(\w+\)s|\{{\w+\}}|\$\d+|:\w+|\?|null|none|true|false|default|\w+\.\w*{WORD}|\*\*\*)[,;)\]}}&]*$",
    re.IGNORECASE,
)
COUNT = re.compile(r"[\d,]+ of [\d,]+ (?:values|rows)\b")
"""How many values of a column are lost, as reports write it."""
CALL = re.compile(r"[A-Za-z_][\w.]*\s*\(")
# functions of pgcrypto: each literal argument is a secret, or is protected by one
SECRET_CALL = re.compile(
    r"\b(?:crypt|hmac|(?:en|de)crypt(?:_iv)?|pgp_(?:sym|pub)_(?:en|de)crypt(?:_bytea)?|digest)\s*\((?=[^;)]{0,1000}['$])",
    re.IGNORECASE,
)
INSERT = re.compile(
    r"\binsert\s+into\s+[\w.\"]+(?:\s+as\s+\w+)?\s*\(([^()]{0,5000})\)\s*(?:overriding\s+\w+\s+value\s*)?values\s*",
    re.IGNORECASE,
)
DETAIL_KEY = re.compile(r"Key \(([^()]{0,500})\)=\((.{0,1000}?)\)(?= (?:already|is|conflicts)\b|\.|$)", re.DOTALL)
PARAMETERS = re.compile(r"\[parameters: ([\[({].{0,9000}?[\])}])\](?=\s|$|')", re.DOTALL)
# libpq has taken a part of a password for the host or the port
HOST = re.compile(r"(host(?:name| name)? (?:address )?\"|host )([^\s\"]*)@")
PORT = re.compile(r"((?:invalid port number|invalid integer value|integer value as):? )([\"'])(?!\d+\2)(.*?)\2")
CREDENTIALS = (
    (("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9]{20,}\b"),
    (("github_pat_",), r"\bgithub_pat_\w{20,}"),
    (("glpat-",), r"\bglpat-[\w-]{15,}"),
    (("xox",), r"\bxox[abprs]-[\w-]{10,}"),
    (("k_live_", "k_test_"), r"\b[rs]k_(?:live|test)_\w{10,}"),
    (("AIza",), r"\bAIza[\w-]{30,}"),
    (("eyJ",), r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"),
    (("SCRAM-SHA-256$",), r"SCRAM-SHA-256\$\d+:[\w+/=]+\$[\w+/=]+:[\w+/=]+"),
    (("md5",), r"\bmd5[0-9a-f]{32}\b"),
    (("PRIVATE KEY-----",), r"(?s:(?<=-----)BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY|$))"),
)
"""Patterns of credentials that their issuers made; a text has one only where it has one of the words, in this case."""
BEARER = re.compile(r"\b((?:bearer|basic) )(?=\S*[\d.=+/])([\w.~+/=-]{8,})", re.IGNORECASE)
LOGIN_OPTION = re.compile(r"(?<!\S)((?:-u|--user)[ =][^\s:'\"]+:)([^\s'\"]+)")
OPTION = re.compile(r"[ ]([^\s'\"-][^\s'\"]*)")

PLAIN = (
    (("://",), CUT_URL, 2),
    *((words, re.compile(pattern), 0) for words, pattern in CREDENTIALS),
    (("bearer ", "basic "), BEARER, 2),
    (("-u", "--user"), LOGIN_OPTION, 2),
    (("host",), HOST, 2),
    (("port number", "integer value"), PORT, 3),
)
"""Patterns, each with words of which a text with a secret has one, and the number of the group with the secret."""
KEYS = ("api", "access", "private", "signing", "encryption", "client")
BEGINNINGS = ("pass", "pw", "secret", "token", "credential", "scram_verifier", *KEYS)
"""What the name of a secret begins with, in lower case."""
IN_CALL = re.compile(r"[;()]|(?:[uU]&|[eEnN][eEnNbBrRfF]?)(?=[\"'\\])|(?=['$\\])")
"""What counts among the arguments of a function: their end, parentheses, and the beginning of a literal."""
LONGEST_ARGUMENT = 1_000
CALLS = ("crypt", "hmac", "digest", "pgp_")
IN_PASSFILE = re.compile(r":(?:\d{2,5}|\*):[^:\s/]+:")
LIKE_LETTERS = {0x130: "i", 0x131: "i", 0x17F: "s", 0x212A: "k"}
"""Letters beside those of ASCII that a pattern without regard to case takes for one of these."""


@dataclass(frozen=True, order=True)
class Span:
    """A part of a text. `whole` when it is exactly one secret, which can be searched for in other texts."""

    start: int
    stop: int
    whole: bool = False


def find(words: str) -> Iterator[Span]:
    """Yield the parts of a text that are secrets; they may overlap, and may be empty.

    Each pattern is searched for only where the text has a word without which it cannot match, which is much faster.
    """
    folded = (words if words.isascii() else words.translate(LIKE_LETTERS)).lower()  # of the same length
    if "://" in words:
        yield from _find_in_urls(words)
    for needed, pattern, group in PLAIN:
        if any(each in words or each in folded for each in needed):
            yield from (Span(*match.span(group)) for match in pattern.finditer(words))
    if IN_PASSFILE.search(words):
        yield from (Span(*match.span(1)) for match in PASSFILE.finditer(words))
    if any(each in folded for each in CALLS):
        yield from _find_in_calls(words)
    beginnings = sorted({start for each in BEGINNINGS for start in _find_all(folded, each)})
    if beginnings:
        yield from _find_named(words, beginnings)


def _find_in_urls(words: str) -> Iterator[Span]:
    """Yield the passwords of whole URLs."""
    for match in URL.finditer(words):
        if not PLACEHOLDER_URL.match(words, match.start()):
            yield Span(*match.span(2), whole=True)


def _find_all(words: str, part: str) -> Iterator[int]:
    """Yield where a part is in a text."""
    start = words.find(part)
    while start >= 0:
        yield start
        start = words.find(part, start + 1)


def _find_in_calls(words: str) -> Iterator[Span]:
    """Yield the literals among the arguments of functions that take secrets."""
    calls: list[deque[Span]] = []
    """For each call that was read, its literals to the right of the next call."""
    for match in SECRET_CALL.finditer(words):
        for literals in calls:
            while literals and literals[0].stop <= match.start():
                literals.popleft()
        calls = [literals for literals in calls if literals]
        if any(literals[0].start > match.start() for literals in calls):
            continue  # it is among the arguments of that call, and its own were read with them
        found = list(_literals_of_call(words, match.end()))
        yield from found
        calls.append(deque(found))


def _find_named(words: str, beginnings: Iterable[int]) -> Iterator[Span]:
    """Yield the values of secret names, which may begin at these positions."""
    for match in (*UNQUOTED.finditer(words), *NAMED.finditer(words)):
        yield Span(*match.span(1), whole=match[1][0:1] != '"')
    names = [name for start in beginnings if (name := KEY.match(words, start))]
    if not names:
        return
    done = 0
    for match in names:
        if match.start() < done:
            continue  # within a span or a name that was found already
        done = match.end()
        for span in _after_key(words, match):
            done = max(done, span.stop)
            yield span
    yield from (Span(*match.span(1)) for match in PARAMETERS.finditer(words))
    yield from (Span(*match.span(2)) for match in DETAIL_KEY.finditer(words) if KEY.search(match[1]))
    inserts = {match.start(): match for match in INSERT.finditer(words)}
    for match in inserts.values():
        yield from _secret_columns(words, match, inserts)


def _after_key(words: str, key: re.Match[str]) -> Iterator[Span]:
    """Yield the value after a name such as password: a literal, or a bare value after = or :."""
    declared, several = DECLARED.match(words, key.end()), LIST.match(words, key.end())
    if declared:
        yield from _literals(words, declared.end())
    if several:
        yield from _literals_of_call(words, several.end())
    quoted = END_OF_NAME.match(words, key.end())
    is_string = bool(quoted and NAME_IN_QUOTES.search(words, max(0, key.start() - 60), key.start()))
    position = _skip(words, quoted.end() if quoted and is_string else key.end())
    separator = SEPARATOR.match(words, position)
    sign = separator[0].lower() if separator else ""
    if is_string and not sign and words[position : position + 1] == ",":
        sign = ","
    after = _skip(words, position + len(sign))
    is_open = sign in ("", "=") or words.startswith("--", after)
    if is_open and not is_string and _is_composed(words, key, after):
        yield Span(after, _end_of_statement(words, after))
        for variable in ASSIGNED.finditer(words):
            yield from _literals(words, variable.end())
        return
    literal = read_literal(words, after)
    if literal and (sign or words[after] != '"'):
        yield from _literals(words, after)
    elif literal is None and sign in ("=", ":=", "=>", "==", ":"):
        yield from _bare(words, key, after, sign)
    elif literal is None and not sign and words[max(0, key.start() - 2) : key.start()] == "--":
        option = OPTION.match(words, key.end())
        if option:
            yield Span(*option.span(1))


def _is_composed(words: str, key: re.Match[str], after: int) -> bool:
    """Whether an expression or a placeholder follows, so that the secret is in a later part of the statement."""
    if COMPOSED.match(words, after):
        return True
    is_placeholder = re.compile(r"[\\']*%").match(words, after)
    return bool(is_placeholder and FORMATTED.search(words, max(0, key.start() - 400), key.start()))


def _bare(words: str, key: re.Match[str], after: int, sign: str) -> Iterator[Span]:
    call = CALL.match(words, after)
    if call:
        yield from _literals_of_call(words, call.end())
        return
    before = words[max(0, key.start() - 300) : key.start()].rpartition("://")
    in_url = before[1] and re.fullmatch(r"\S*\?\S*", before[2])
    match = (BARE_IN_URL if in_url else BARE).match(words, after)
    if sign == ":" and COUNT.match(words, after):
        return
    if not match or NO_VALUE.match(match[0]) or not re.search(r"\w", match[0]):
        return
    one_sided = words[after - 1].isspace() and words[after - 2] == "=" and not words[after - 3].isspace()
    if (sign == ":" or one_sided) and not re.search(r"\d|[^\w\s.,;)\]}][\w]", match[0]):
        return  # it is a word of a sentence
    yield Span(*match.span())


def _literals(words: str, position: int) -> Iterator[Span]:
    """Yield the literal at a position, and those concatenated to it."""
    while literal := read_literal(words, position):
        content, position = literal
        yield content
        joined = JOINED.match(words, position)
        following = joined.end() if joined else position
        if words[following : following + 1] not in ("'", "$") and not PREFIX.match(words, following):
            return
        position = following


def read_literal(words: str, position: int) -> tuple[Span, int] | None:
    """Return the content and the end of the string at a position; an unterminated one extends to the end of the text.

    Strings of SQL ('…', E'…', U&'…', $tag$…$tag$), of SQL within a string (''…'', \\'…\\'), of Python and JSON.
    """
    dollar = DOLLAR.match(words, position)
    if dollar:
        return _up_to(words, dollar.end(), dollar[0])
    prefix = PREFIX.match(words, position)
    start = prefix.end() if prefix else position
    opening = QUOTES.match(words, start)
    if not opening:
        return None
    mark = opening[0]
    if mark[0] == "\\":
        return _up_to(words, opening.end(), mark)
    if len(mark) == 2 and AFTER_EMPTY.match(words, opening.end()) and _is_empty(words, start):
        return Span(opening.end() - 1, opening.end() - 1), opening.end()
    if len(mark) % 2 and len(mark) > 1:
        mark = mark[0]  # a string whose content begins with quotes
    return _closed(words, start + len(mark), mark, has_escapes=words[position:start].lower().startswith("e"))


def _is_empty(words: str, start: int) -> bool:
    """Whether the two quotes at a position, before a space or a comma, are an empty string.

    In a string with SQL they begin one within it: then there is another quote before them in the line.
    """
    if words.find("''", start + 2) < 0:
        return True  # nothing ends such a string
    line = words.rfind("\n", 0, start) + 1
    return AFTER_EMPTY_STRING.match(words, start + 2) is not None and words.count("'", line, start) % 2 == 0


def _up_to(words: str, begin: int, mark: str) -> tuple[Span, int]:
    end = words.find(mark, begin)
    return (Span(begin, end, whole=True), end + len(mark)) if end >= 0 else (Span(begin, len(words)), len(words))


def _closed(words: str, begin: int, mark: str, *, has_escapes: bool) -> tuple[Span, int]:
    """Find the end of a string that begins with `mark`; a doubled mark is a quote in it.

    A backslash escapes the mark in strings that are known to have escapes, or where another mark follows.
    """
    last = words.rfind(mark)
    for run in re.compile(f"{mark[0]}+").finditer(words, begin):
        is_escaped = run[0] == mark and run.start() > begin and words[run.start() - 1] == "\\"
        goes_on = has_escapes or len(mark) == 1 or words[run.end() : run.end() + 1].isalnum()
        if len(run[0]) % (2 * len(mark)) == 0 or (is_escaped and run.end() <= last and goes_on):
            continue
        end = run.end() if len(mark) == 1 else run.start() + len(mark)
        return Span(begin, end - len(mark), whole=True), end
    return Span(begin, len(words)), len(words)


def _literals_of_call(words: str, position: int) -> Iterator[Span]:
    """Yield the literals among the arguments of a function, up to its end or a long part without any."""
    depth, last = 1, position
    while depth and (found := IN_CALL.search(words, position, last + LONGEST_ARGUMENT)):
        position = found.end()
        if found[0] == ";":
            return
        if found[0] in ("(", ")"):
            depth += 1 if found[0] == "(" else -1
        elif literal := read_literal(words, found.start()):
            content, position = literal
            last = position
            yield content
        else:
            position += not found[0]


def _secret_columns(words: str, insert: re.Match[str], others: Container[int]) -> Iterator[Span]:
    """Yield the literals that an INSERT has for columns with a secret name, up to where another one begins."""
    wanted = {number for number, name in enumerate(insert[1].split(",")) if KEY.search(name)}
    position = insert.end()
    while wanted and words[position : position + 1] == "(":
        position, number, depth = position + 1, 0, 1
        while position < len(words) and depth and position not in others:
            literal = read_literal(words, position) if words[position] in "'$eEuUnN\\" else None
            if literal:
                content, position = literal
                if number in wanted:
                    yield content
                continue
            depth += {"(": 1, ")": -1}.get(words[position], 0)
            number += words[position] == "," and depth == 1
            position += 1
        position = _skip(words, position)
        position = _skip(words, position + 1) if words[position : position + 1] == "," else position


def _skip(words: str, position: int) -> int:
    """The position after white space and comments."""
    gap = GAP.match(words, position)
    return gap.end() if gap else position


def _end_of_statement(words: str, position: int) -> int:
    """The end of a statement that is composed of parts, and redacted as a whole."""
    marks = ("\n\n", "[SQL:") if words.startswith("--", position) else (";", "\n\n", "[SQL:")
    ends = [end for mark in marks if (end := words.find(mark, position)) >= 0]
    return min(ends, default=len(words))
