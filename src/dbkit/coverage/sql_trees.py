"""Trees of SQL statements: how they are parsed, and the columns and constants of queries."""

import logging
from collections.abc import Sequence
from itertools import pairwise

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from dbkit.postgres.sql_text import SEPARATORS, Token, tokenize, unquote_name

# it warns of what it cannot read, which is left out here
logging.getLogger("sqlglot").setLevel(logging.ERROR)
DATA_WORDS = ("select", "with", "insert", "update", "delete", "merge", "values", "(")


def parse_statement(text: str) -> exp.Expr | None:
    """Return the tree of a query or of a statement that changes rows; None for others and for what cannot be read."""
    words = [token for token in tokenize(text) if token.kind not in SEPARATORS]
    text = _as_data_statement(text, words)
    if not text:
        return None
    try:
        tree = sqlglot.parse_one(text, read="postgres")
    except SqlglotError:
        return None
    if isinstance(tree, exp.Values):
        tree = _select_values(tree)
    while isinstance(tree, exp.Subquery) and not tree.alias:
        tree = tree.this
    is_complete = isinstance(tree, exp.Query) or (isinstance(tree, exp.DML) and isinstance(tree.this, exp.Expr))
    return tree if is_complete else None


def _select_values(values: exp.Values) -> exp.Select:
    """Return VALUES as a query, with the names that the server gives to its columns."""
    count = max((len(row.expressions) for row in values.expressions), default=0)
    columns = [exp.to_identifier(f"column{number}") for number in range(1, count + 1)]
    listed = values.copy()
    listed.set("alias", exp.TableAlias(this=exp.to_identifier("listed"), columns=columns))
    return exp.Select(expressions=[exp.Star()], from_=exp.From(this=listed))


def _as_data_statement(text: str, words: Sequence[Token]) -> str:
    """Return SQL for a statement that reads or changes rows; empty for another one."""
    first = words[0].plain if words else ""
    if first in ("perform", "call"):
        return f"SELECT {text[words[0].start + len(first) :]}"
    if first == "create":
        for word, following in pairwise(words):
            if word.plain == "as" and following.plain in ("select", "with", "("):
                return text[following.start :]
        return ""
    return text if first in DATA_WORDS else ""


def split_current_of(text: str) -> tuple[str, str]:
    """Return a statement without WHERE CURRENT OF, and the name of the cursor; empty where it has none."""
    words = [token for token in tokenize(text) if token.kind not in SEPARATORS]
    for place in range(len(words) - 3):
        if [word.plain for word in words[place : place + 3]] == ["where", "current", "of"]:
            cursor = words[place + 3]
            return text[: words[place].start] + text[cursor.start + len(cursor.text) :], unquote_name(cursor.text)
    return text, ""


def restrict_to(query: exp.Expr, tree: exp.Expr) -> exp.Where | None:
    """Return the condition of a cursor's query for a statement on the cursor's row."""
    where = query.args.get("where")
    if not isinstance(where, exp.Where):
        return None
    where = where.copy()
    source = query.args["from_"].this.alias_or_name if query.args.get("from_") else ""
    for column in where.find_all(exp.Column):
        if column.table == source:
            column.set("table", exp.to_identifier(tree.this.alias_or_name))
    return where


def is_name(part: object) -> bool:
    return isinstance(part, exp.Identifier | exp.Func)


def name_columns(query: exp.Expr) -> list[str]:
    """Return the names of a query's columns; those without a name get one. `query` is changed."""
    if not isinstance(query, exp.Select):
        return [each.alias_or_name for each in query.selects] if isinstance(query, exp.Query) else []
    for number, each in enumerate(query.expressions, 1):
        if not each.alias_or_name:
            each.replace(exp.alias_(each.copy(), f"column_{number}"))
    return [each.alias_or_name for each in query.expressions]


def select_column(query: exp.Query, number: int) -> exp.Expr | None:
    """Return the scalar subquery for one column of a query; None where that is not known."""
    if not isinstance(query, exp.Select) or any(each.is_star for each in query.expressions):
        return None
    if number >= len(query.expressions):
        return None
    found = query.copy()
    found.set("expressions", [query.expressions[number].unalias().copy()])
    value: exp.Expr = found.expressions[0]
    return exp.Subquery(this=found) if asks_rows(found) else value


def constant_items(array: exp.Expr | None) -> list[exp.Expr]:
    """Return the items of an array of literals; nothing for another expression."""
    type_name = ""
    while isinstance(array, exp.Cast | exp.Paren):
        type_name = array.args["to"].sql("postgres") if isinstance(array, exp.Cast) else type_name
        array = array.this
    if isinstance(array, exp.Array):
        return _all_literals(array.expressions)
    text = array.this if isinstance(array, exp.Literal) and array.is_string and type_name.endswith("[]") else ""
    if text.startswith("{") and not any(each in text for each in '"\\'):
        return [exp.Literal.string(item.strip()) for item in text.strip("{}").split(",") if item.strip()]
    return []


def constant_rows(query: exp.Expr) -> list[dict[str, exp.Expr]]:
    """Return the rows of a query over literals alone, VALUES or unnest(ARRAY[…]), by column; nothing for others."""
    if not isinstance(query, exp.Select) or query.args.get("where") or query.args.get("joins"):
        return []
    source = query.args["from_"].this if query.args.get("from_") else None
    if source is None and len(query.expressions) == 1:
        (projection,) = query.expressions
        unnested = projection.unalias()
        if isinstance(unnested, exp.Explode | exp.Unnest):
            array = unnested.expressions[0] if isinstance(unnested, exp.Unnest) else unnested.this
            return [{projection.alias_or_name or "unnest": item} for item in constant_items(array)]
    if isinstance(source, exp.Unnest) and len(source.expressions) == 1 and query.is_star:
        name = source.alias_column_names[0] if source.alias_column_names else source.alias_or_name
        return [{name: item} for item in constant_items(source.expressions[0])]
    if isinstance(source, exp.Values) and query.is_star:
        return _constant_values(source)
    return []


def _constant_values(values: exp.Values) -> list[dict[str, exp.Expr]]:
    names = values.alias_column_names
    rows = [row.expressions for row in values.expressions if _all_literals(row.expressions)]
    if len(rows) < len(values.expressions):
        return []
    return [dict(zip(names or [f"column{n}" for n, _ in enumerate(row, 1)], row, strict=False)) for row in rows]


def _all_literals(items: Sequence[exp.Expr]) -> list[exp.Expr]:
    """Return the items if all of them are literals."""
    return list(items) if all(isinstance(item.unnest(), exp.Literal) for item in items) else []


def asks_rows(tree: exp.Expr) -> bool:
    """Whether an expression or a query reads a table."""
    return (isinstance(tree, exp.Select) and bool(tree.args.get("from_"))) or tree.find(exp.From) is not None


def is_target(column: exp.Column) -> bool:
    """Whether the column is one that SET, INSERT or ON CONFLICT names, where no variable can be."""
    child: exp.Expr = column
    parent = column.parent
    if isinstance(parent, exp.Tuple):
        child, parent = parent, parent.parent
    if isinstance(parent, exp.Ordered):
        return isinstance(parent.parent, exp.OnConflict)
    if isinstance(parent, exp.EQ) and child.arg_key == "this" and parent.arg_key == "expressions":
        return isinstance(parent.parent, exp.OnConflict | exp.Update)
    return isinstance(parent, exp.Insert) and child.arg_key == "this"


def function_names(call: exp.Func) -> list[str]:
    """Return the names that a call may have in the source: the parser knows some functions of other dialects."""
    if isinstance(call, exp.Anonymous):
        return [call.name if isinstance(call.this, exp.Identifier) else call.name.lower()]
    return [name.lower() for name in call.sql_names()]


def function_arguments(call: exp.Func) -> list[exp.Expr]:
    """Return the arguments of a call, in their order."""
    if isinstance(call, exp.Anonymous):
        return list(call.expressions)
    values = [call.args.get(name) for name in call.arg_types]
    return [
        item
        for value in values
        for item in (value if isinstance(value, list) else [value])
        if isinstance(item, exp.Expr)
    ]


def constant_truth(condition: exp.Expr) -> bool | None:
    """Return whether a condition on literals alone is true; None for others."""
    condition = condition.unnest()
    if isinstance(condition, exp.Boolean):
        return bool(condition.this)
    if isinstance(condition, exp.Not):
        truth = constant_truth(condition.this)
        return None if truth is None else not truth
    if isinstance(condition, exp.EQ | exp.NEQ):
        left, right = condition.left.unnest(), condition.right.unnest()
        if isinstance(left, exp.Literal) and isinstance(right, exp.Literal) and left.is_string and right.is_string:
            return bool(left.this == right.this) == isinstance(condition, exp.EQ)
    if isinstance(condition, exp.In) and isinstance(condition.this.unnest(), exp.Literal):
        items = _all_literals(condition.expressions)
        value = condition.this.unnest().this
        return any(item.unnest().this == value for item in items) if items else None
    return None
