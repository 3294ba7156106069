"""The queries in the Python of a revision file: their conditions, and the names of their columns."""

import ast
import itertools
from collections.abc import Iterator

from dbkit.coverage.python_names import Names
from dbkit.coverage.python_syntax import last_name
from dbkit.postgres.sql_text import SEPARATORS, Kind, split_statements, unquote_name

WHERE_METHODS = ("where", "filter", "filter_by", "having")
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


def where_calls(node: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls of where() and the like in an expression, in the order in which they are written.

    Not those in comprehensions and lambdas, which are read when these are.
    """
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (*COMPREHENSIONS, ast.Lambda)):
            yield from where_calls(child)
    if isinstance(node, ast.Call) and last_name(node.func) in WHERE_METHODS and isinstance(node.func, ast.Attribute):
        yield node


def selected_columns(node: ast.expr, names: Names) -> list[str]:
    """Return the names of the columns of a query; nothing where they are not known."""
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        if last_name(call.func) in ("select", "query") and all(isinstance(each, ast.Attribute) for each in call.args):
            return [last_name(each) for each in call.args]
        for text in names.choices(call.args[0]) if call.args else []:
            if isinstance(text, str) and text.lstrip()[:6].lower() == "select":
                return read_select_list(text)
    return []


def read_select_list(text: str) -> list[str]:
    """Return the names of the columns of a SELECT; nothing where it has expressions without a name, or a star."""
    found: list[str] = []
    last, depth = "", 0
    for token in itertools.islice(next(split_statements(text), []), 1, None):
        if token.kind in SEPARATORS:
            continue
        depth += (token.text in "([") - (token.text in ")]")
        is_end = depth == 0 and token.plain == "from"
        if is_end or (depth == 0 and token.text == ","):
            found.append(last)
        if is_end:
            break
        last = unquote_name(token.text) if token.kind in (Kind.WORD, Kind.NAME) else ""
    return found if all(found) else []
