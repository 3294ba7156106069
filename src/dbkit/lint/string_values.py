"""The strings that an expression of Python can evaluate to, as far as its source shows."""

import ast
import itertools
import re
import string
from collections.abc import Sequence

from dbkit.lint.migration_syntax import last_name
from dbkit.postgres.sql_text import UNKNOWN

# printf's, as `"…" % values` has them
PLACEHOLDER = re.compile(r"%%|%(?:\([^)]*\))?[#0 +-]*[\d.*]*[a-zA-Z]")
# functions whose first argument is the text that they return
TEXT_FUNCTIONS = ("text", "DDL", "SQL", "dedent", "cleandoc")


def evaluate_strings(node: ast.expr) -> list[str]:
    """Return what an expression can be, with UNKNOWN for each unknown part; nothing if it is no string."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=values):
            return _concatenate(values)
        case ast.FormattedValue(value=value):
            return evaluate_strings(value)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _concatenate([left, right])
        case ast.BinOp(left=left, op=ast.Mod()):
            return [PLACEHOLDER.sub(_fill_placeholder, text) for text in evaluate_strings(left)]
        case ast.IfExp(body=body, orelse=other):
            return [*evaluate_strings(body), *evaluate_strings(other)]
        case ast.Call(func=ast.Attribute(value=owner, attr="format")):
            return [formatted for text in evaluate_strings(owner) for formatted in _fill_format(text)]
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=str(separator)), attr="join"),
            args=[ast.List() | ast.Tuple() as parts],
        ):
            return [separator.join(found) for found in itertools.product(*map(_evaluate_part, parts.elts))]
    return []


def evaluate_sql(node: ast.expr) -> list[str]:
    """Return the SQL that an argument can be: a string, text("…"), or a method of that such as bindparams()."""
    if found := evaluate_strings(node):
        return found
    match node:
        case ast.Call(func=function, args=[first, *_]) if last_name(function) in TEXT_FUNCTIONS:
            return evaluate_sql(first)
        case ast.Call(func=ast.Attribute(value=owner)):
            return evaluate_sql(owner)
    return []


def _evaluate_part(node: ast.expr) -> list[str]:
    return evaluate_strings(node) or [UNKNOWN]


def _concatenate(nodes: Sequence[ast.expr]) -> list[str]:
    if not any(map(evaluate_strings, nodes)):
        return []
    return ["".join(parts) for parts in itertools.product(*map(_evaluate_part, nodes))]


def _fill_placeholder(placeholder: re.Match[str]) -> str:
    return "%" if placeholder[0] == "%%" else UNKNOWN


def _fill_format(text: str) -> list[str]:
    """Return the result of format() with UNKNOWN for its fields; nothing if the text cannot be parsed."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:
        return []
    return ["".join(literal + ("" if name is None else UNKNOWN) for literal, name, _spec, _how in parts)]
