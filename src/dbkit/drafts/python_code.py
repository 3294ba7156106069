"""Write Python expressions as black and ruff lay them out."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Sequence
from typing import Any

from dbkit.project.python_string import write_string

WIDTH = 84
"""Of 88, as in black; the body of a function is indented."""
INDENT = "    "
UNSAFE = re.compile(r'"""|[ \t]\n|\\\Z')
"""Parts that make a text unfit for triple quotes: also spaces at the end of a line, which editors remove."""


def call(function: str, *arguments: Any, **options: Any) -> ast.Call:
    """Return a call; arguments are expressions, or values with a repr(). Options that are None are left out."""
    given = {name: value for name, value in options.items() if value is not None}
    return ast.Call(
        func=ast.parse(function, mode="eval").body,
        args=[as_expression(each) for each in arguments],
        keywords=[ast.keyword(arg=name, value=as_expression(value)) for name, value in given.items()],
    )


def as_expression(value: Any) -> ast.expr:
    """Return the expression of a value. Raises ValueError where its repr() is none."""
    if isinstance(value, ast.expr):
        return value
    if isinstance(value, str):
        return ast.Constant(str(value))
    if isinstance(value, list):
        return ast.List(elts=[as_expression(each) for each in value], ctx=ast.Load())
    if isinstance(value, tuple):
        return ast.Tuple(elts=[as_expression(each) for each in value], ctx=ast.Load())
    if isinstance(value, dict):
        return ast.Dict(keys=[as_expression(each) for each in value], values=[*map(as_expression, value.values())])
    try:
        return ast.parse(repr(value), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{value!r} has no expression") from error


def write_expression(expression: ast.expr, *, expand: bool = False) -> str:
    """Return an expression in lines of at most WIDTH; `expand` puts each argument of a call on its own line."""
    return "\n".join(_lay_out(expression, WIDTH, expand=expand))


def write_block(text: str) -> str | None:
    """Return a literal in triple quotes whose text begins and ends with a line break; None where one would not do."""
    if not text.replace("\n", "").isprintable() or UNSAFE.search(text):
        return None
    return f'{"r" if chr(92) in text else ""}"""\n{text}\n"""'


def indent_code(code: str, prefix: str = INDENT) -> str:
    """Indent code, but not the lines within a string."""
    within = {
        line
        for token in tokenize.generate_tokens(io.StringIO(code).readline)
        if token.type == tokenize.STRING
        for line in range(token.start[0] + 1, token.end[0] + 1)
    }
    lines = enumerate(code.split("\n"), start=1)
    return "\n".join(line if number in within or not line else prefix + line for number, line in lines)


def _lay_out(node: ast.expr, width: int, *, expand: bool = False) -> list[str]:
    flat = _write_flat(node)
    if not expand and len(flat) <= width:
        return [flat]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _split_string(node.value, width)
    opening, items, closing = _open(node)
    if not items:
        return [flat]
    inner = width - len(INDENT)
    together = ", ".join(_write_item(prefix, each) for prefix, each in items)
    if not expand and len(together) <= inner and not isinstance(node, ast.List | ast.Tuple | ast.Dict):
        return [opening, INDENT + together, closing]
    is_alone = len(items) == 1 and isinstance(items[0][1], ast.Constant)
    lines = [opening]
    for prefix, item in items:
        laid = _lay_out(item, inner - len(prefix) - 1)
        if len(laid) > 1 and isinstance(item, ast.Constant) and not is_alone:
            pieces = _split_string(str(item.value), inner - len(INDENT))
            laid = ["(", *(INDENT + each for each in pieces), ")"]
        laid[0] = prefix + laid[0]
        laid[-1] += "" if is_alone and len(laid) > 1 else ","
        lines += [INDENT + each for each in laid]
    return [*lines, closing]


def _open(node: ast.expr) -> tuple[str, Sequence[tuple[str, ast.expr]], str]:
    """Return the opening of a call or a collection, its items with their prefixes, and the closing."""
    if isinstance(node, ast.Call):
        options = [(f"{each.arg}=", each.value) for each in node.keywords]
        return f"{ast.unparse(node.func)}(", [*(("", each) for each in node.args), *options], ")"
    if isinstance(node, ast.List):
        return "[", [("", each) for each in node.elts], "]"
    if isinstance(node, ast.Tuple):
        return "(", [("", each) for each in node.elts], ")"
    if isinstance(node, ast.Dict):
        keys = [f"{_write_flat(key)}: " if key else "**" for key in node.keys]
        return "{", list(zip(keys, node.values, strict=True)), "}"
    return "", [], ""


def _write_flat(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return write_string(node.value)
    opening, items, closing = _open(node)
    if not opening:
        return ast.unparse(node)
    comma = "," if isinstance(node, ast.Tuple) and len(items) == 1 else ""
    return opening + ", ".join(_write_item(*each) for each in items) + comma + closing


def _write_item(prefix: str, node: ast.expr) -> str:
    return prefix + _write_flat(node)


def _split_string(text: str, width: int) -> list[str]:
    """Literals of one line each that together are the text: split at its line breaks, and between words."""
    return [write_string(each) for line in text.splitlines(keepends=True) for each in _split_line(line, width)]


def _split_line(line: str, width: int) -> Iterable[str]:
    piece = ""
    for word in re.findall(r"\s*\S+\s*?(?=\s\S|\Z)|\s+", line):
        if piece and len(write_string(piece + word)) > width:
            yield piece
            piece = ""
        piece += word
    if piece:
        yield piece
