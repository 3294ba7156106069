"""The functions and row triggers that a revision itself creates, read from its statements."""

import re
from collections.abc import Iterable, Mapping

from dbkit.coverage.function_bodies import EVENTS, FunctionBody, TriggerBody
from dbkit.postgres.sql_text import SEPARATORS, Kind, Token, read_string, tokenize, unquote_name

FUNCTION = re.compile(r"\s*create\s+(?:or\s+replace\s+)?(?:function|procedure)\b", re.IGNORECASE)
TRIGGER = re.compile(
    r"\s*create\s+(?:or\s+replace\s+)?trigger\s+\S+\s+(?:before|after|instead\s+of)\s+(?P<events>.*?)\s+on\s+(?P<table>\S+)"
    r"(?P<rest>.*)\bexecute\s+(?:function|procedure)\s+(?P<function>[^\s(]+)",
    re.IGNORECASE | re.DOTALL,
)
WHEN = re.compile(r"\bwhen\s*\((?P<condition>.*)\)\s*$", re.IGNORECASE | re.DOTALL)
MODES = ("in", "out", "inout", "variadic")
NO_TYPE = ("(", "[", ".", "precision", "varying", "default", "=")
"""What follows the type of an argument without a name."""


def read_created_functions(statements: Iterable[str]) -> Mapping[str, FunctionBody]:
    """Return, by name, the functions that these statements create, where their body is a string."""
    found = {}
    for statement in statements:
        if FUNCTION.match(statement):
            body = _read_function([token for token in tokenize(statement) if token.kind not in SEPARATORS])
            if body:
                found[body.name] = body
    return found


def read_created_triggers(statements: Iterable[str], functions: Mapping[str, FunctionBody]) -> list[TriggerBody]:
    """Return the row triggers that these statements create for functions that are known."""
    found = []
    for statement in statements:
        match = TRIGGER.match(statement)
        function = functions.get(unquote_name(match["function"].rpartition(".")[2])) if match else None
        if match and function and "each row" in " ".join(match["rest"].lower().split()):
            events = tuple(event for event in EVENTS if event.lower() in match["events"].lower())
            when = WHEN.search(match["rest"])
            found.append(TriggerBody(match["table"], events, when["condition"] if when else "", function))
    return found


def _read_function(tokens: list[Token]) -> FunctionBody | None:
    words = [token.text.lower() for token in tokens]
    at = words.index("(") if "(" in words else 0
    if at == 0:
        return None
    name = unquote_name(tokens[at - 1].text)
    arguments, end = _read_arguments(tokens, at)
    language = next((words[n + 1] for n in range(end, len(words) - 1) if words[n] == "language"), "sql")
    body = next((each for word, each in zip(words[end:], tokens[end + 1 :], strict=False) if word == "as"), None)
    if body is None or body.kind != Kind.STRING:
        return None
    return FunctionBody(name, arguments, language.strip("'"), read_string(body.text))


def _read_arguments(tokens: list[Token], at: int) -> tuple[tuple[str, ...], int]:
    """Return the names of the input arguments, "" where there is none, and the position behind the parenthesis."""
    arguments: list[str] = []
    part: list[Token] = []
    depth = 0
    for number in range(at, len(tokens)):
        text = tokens[number].text
        depth += (text == "(") - (text == ")")
        if depth == 0 or (depth == 1 and text == ","):
            if part:
                arguments += _argument_name(part)
            part = []
            if depth == 0:
                return tuple(arguments), number + 1
        elif not (depth == 1 and text == "(" and number == at):
            part.append(tokens[number])
    return tuple(arguments), len(tokens)


def _argument_name(part: list[Token]) -> list[str]:
    words = [token.text for token in part]
    if words[0].lower() == "out":
        return []
    if words[0].lower() in MODES:
        words = words[1:]
    has_name = len(words) > 1 and words[1].lower() not in NO_TYPE
    return [unquote_name(words[0]) if has_name else ""]
