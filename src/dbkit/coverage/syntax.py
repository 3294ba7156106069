"""Expressions with the names that PostgreSQL gives to functions and operators, and with their arguments in order."""

from collections.abc import Callable
from functools import lru_cache
from typing import ClassVar, TypeVar

import sqlglot
from sqlglot import ErrorLevel, exp
from sqlglot.dialects.postgres import Postgres

T = TypeVar("T")
OPERATORS: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.IntDiv: "div",
    exp.Mod: "%",
    exp.Pow: "^",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseXor: "#",
    exp.BitwiseNot: "~",
    exp.DPipe: "||",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: ">>",
    exp.Neg: "neg",
    exp.Sqrt: "sqrt",
    exp.Cbrt: "cbrt",
    exp.Abs: "abs",
    exp.Trim: "trim",
    exp.Substring: "substring",
    exp.StrPosition: "position",
    exp.Overlay: "overlay",
    exp.Unnest: "unnest",
    exp.JSONBDeleteAtPath: "#-",
}
"""By class, the name of an operator, or of a function with a syntax that is only its own."""
KNOWN_FUNCTIONS = (
    *("COUNT", "SUM", "MIN", "MAX", "AVG", "ARRAY_AGG", "STRING_AGG", "BOOL_OR", "BOOL_AND", "COALESCE", "NULLIF"),
    *("ROW_NUMBER", "RANK", "DENSE_RANK", "LAG", "LEAD", "FIRST_VALUE", "LAST_VALUE", "NTH_VALUE", "NTILE"),
)
INTERVAL_PARTS = ("years", "months", "weeks", "days", "hours", "mins", "secs")
ORDER = ("this", "expression", "substr", "start", "length", "from_", "for_", "expressions")
WRAPPERS = (exp.Paren, exp.Collate, exp.Alias, exp.Distinct, exp.Filter, exp.Window, exp.Ordered, exp.WithinGroup)


class PlainPostgres(Postgres):
    """The dialect of PostgreSQL in which a call is the name of the function and its arguments, for all of them."""

    class Parser(Postgres.Parser):  # type: ignore[misc, valid-type]
        """Without the functions that other dialects have under other names."""

        FUNCTIONS: ClassVar[dict] = {}  # type: ignore[type-arg]
        LAMBDAS: ClassVar[dict] = {  # type: ignore[type-arg]
            token: parse for token, parse in Postgres.Parser.LAMBDAS.items() if token.name == "FARROW"
        }
        FUNCTION_PARSERS: ClassVar[dict] = {  # type: ignore[type-arg]
            name: parse
            for name, parse in Postgres.Parser.FUNCTION_PARSERS.items()
            if name in ("CAST", "EXTRACT", "OVERLAY", "POSITION", "SUBSTRING", "TRIM", "DATE_PART", "NORMALIZE")
        }


class StatementPostgres(PlainPostgres):
    """The same dialect with aggregates, window functions, COALESCE and NULLIF as what they are."""

    class Parser(PlainPostgres.Parser):
        """With the functions that decide which rows a statement meets."""

        FUNCTIONS: ClassVar[dict] = {  # type: ignore[type-arg]
            name: parse for name, parse in Postgres.Parser.FUNCTIONS.items() if name in KNOWN_FUNCTIONS
        }


def parse_statement(sql: str) -> exp.Expr | None:
    """Return a statement; None where it cannot be read. Names without quotes are in lower case."""
    try:
        statement: exp.Expr = sqlglot.parse_one(sql, read=StatementPostgres)
    except (sqlglot.errors.SqlglotError, RecursionError):
        return None
    for identifier in statement.find_all(exp.Identifier):
        if not identifier.quoted:
            identifier.set("this", identifier.name.lower())
    return statement


def read_plain(expression: exp.Expr) -> exp.Expr:
    """Return the same expression, with calls as they are written."""
    select = sqlglot.parse_one(f"SELECT {write_sql(expression)}", dialect=PlainPostgres)
    return unwrap(select.expressions[0])


class _Same:
    """An expression that is equal only to itself: to compare two takes as long as to read one."""

    def __init__(self, expression: exp.Expr) -> None:
        self.expression = expression

    def __hash__(self) -> int:
        return id(self.expression)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.expression is other.expression


def remember(function: Callable[[exp.Expr], T]) -> Callable[[exp.Expr], T]:
    """Decorate a function of an expression, which nothing changes, to return the same for the same expression."""
    known = lru_cache(maxsize=4096)(lambda same: function(same.expression))
    return lambda expression: known(_Same(expression))


@remember
def write_sql(expression: exp.Expr) -> str:
    """Return an expression as SQL of PostgreSQL."""
    return expression.sql(dialect="postgres", unsupported_level=ErrorLevel.IGNORE)


def read_call(expression: exp.Expr) -> tuple[str, list[exp.Expr]] | None:
    """Return the name of a function or operator, and its arguments."""
    if isinstance(expression, exp.Anonymous):
        return expression.name.lower(), expression.expressions
    if isinstance(expression, exp.Cast):
        return f"cast {type_name(expression)}", [expression.this]
    name = OPERATORS.get(type(expression))
    if name is None:
        return None
    arguments: list[exp.Expr] = []
    for key in ORDER:
        value = expression.args.get(key)
        arguments += value if isinstance(value, list) else [value] if isinstance(value, exp.Expr) else []
    return name, arguments


def type_name(cast: exp.Expr) -> str:
    """Return the type of a cast, without its length and precision."""
    to = cast.args.get("to")
    return to.sql(dialect="postgres").lower().partition("(")[0] if isinstance(to, exp.Expr) else ""


def column_name(column: exp.Expr) -> str:
    """Return the name of a column as PostgreSQL has it: in small letters, unless it is quoted."""
    is_quoted = isinstance(column.this, exp.Identifier) and column.this.quoted
    return column.name if is_quoted else column.name.lower()


def unwrap(expression: exp.Expr) -> exp.Expr:
    """Return an expression without the parentheses, the collation and the alias around it."""
    while isinstance(expression, WRAPPERS) and isinstance(expression.this, exp.Expr):
        expression = expression.this
    return expression.expression if isinstance(expression, exp.Kwarg | exp.PropertyEQ) else expression


def read_place(argument: exp.Expr, place: int) -> int:
    """Return the place of an argument of make_interval(), which can have a name."""
    name = argument.name.lower() if isinstance(argument, exp.Kwarg | exp.PropertyEQ) else ""
    return INTERVAL_PARTS.index(name) if name in INTERVAL_PARTS else place


def read_row(expression: exp.Expr) -> list[exp.Expr] | None:
    """Return the parts of a row such as `(a, b)`, or None."""
    if isinstance(expression, exp.Tuple) or (
        isinstance(expression, exp.Anonymous) and expression.name.lower() == "row"
    ):
        return expression.expressions
    return None


def read_quantified(expression: exp.Expr) -> exp.Expr | None:
    """Return the array or query of ANY or ALL, or None."""
    if isinstance(expression, exp.Any | exp.All):
        return unwrap(expression.this)
    if isinstance(expression, exp.Anonymous) and expression.name.lower() in ("any", "all", "some"):
        return unwrap(expression.expressions[0]) if expression.expressions else None
    return None


def read_query(expression: exp.Expr | None) -> exp.Select | None:
    """Return the SELECT of a subquery, or None."""
    while isinstance(expression, exp.Subquery | exp.Exists | exp.Paren):
        expression = expression.this
    return expression if isinstance(expression, exp.Select) else None


def read_literal(node: exp.Expr) -> str | None:
    """Return the text of a literal, or None."""
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal):
        return f"-{node.this.name}"
    if isinstance(node, exp.Boolean):
        return "true" if node.this else "false"
    if isinstance(node, exp.Literal | exp.RawString | exp.ByteString | exp.National | exp.BitString):
        return node.name
    if isinstance(node, exp.HexString):
        return node.name
    return None


def read_path_keys(expression: exp.Expr) -> list[str | int]:
    """Return the key of -> or ->> where the parser has made a path of it."""
    path = expression.expression
    if not isinstance(path, exp.JSONPath):
        return []
    parts = [part.this for part in path.expressions if isinstance(part, exp.JSONPathKey | exp.JSONPathSubscript)]
    if len(parts) == 1:
        return [parts[0] if isinstance(parts[0], int) else str(parts[0])]
    # a key such as 'a.b' is no path in PostgreSQL
    return [".".join(map(str, parts))]
