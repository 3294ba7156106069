"""The names in a function of a revision file, and the conditions on values that its expressions are."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dbkit.coverage.python_comparisons import (
    MOST_ARMS,
    UNKNOWN,
    Arms,
    Comparison,
    Literal,
    Term,
    fitting_length,
    iterate_items,
    join,
    literal_arms,
    product,
    read_like,
)
from dbkit.coverage.python_module import FunctionDef, Module, NotConstantError, Pattern, evaluate
from dbkit.coverage.python_syntax import is_environment_check, last_name

LIMITS = (Comparison.LESS, Comparison.GREATER)
ORDERS: Mapping[type[ast.cmpop], tuple[Comparison, bool]] = {
    ast.Lt: (Comparison.LESS, False),
    ast.GtE: (Comparison.LESS, True),
    ast.Gt: (Comparison.GREATER, False),
    ast.LtE: (Comparison.GREATER, True),
}
FLIPPED: Mapping[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE, ast.Eq: ast.Eq, ast.NotEq: ast.NotEq,
    ast.Is: ast.Is, ast.IsNot: ast.IsNot,
}  # fmt: skip
# methods and functions that return the value in another form
TEXT_METHODS = (
    "lower", "upper", "strip", "lstrip", "rstrip", "casefold", "title", "capitalize", "decode", "encode",
    "removeprefix", "removesuffix", "replace",
)  # fmt: skip
CONVERSIONS = ("abs", "round", "str", "int", "float", "bool", "Decimal", "lower", "upper", "trim", "cast", "coalesce")
PREDICATES: Mapping[str, Comparison] = {
    "startswith": Comparison.PREFIX,
    "endswith": Comparison.SUFFIX,
    "contains": Comparison.MEMBER,
    "regexp_match": Comparison.PATTERN,
    "like": Comparison.PATTERN,
    "ilike": Comparison.PATTERN,
}
# methods that look for a literal in a text, outside of conditions
SEARCHES: Mapping[str, Comparison] = {
    "split": Comparison.SUBSTRING,
    "rsplit": Comparison.SUBSTRING,
    "partition": Comparison.SUBSTRING,
    "rpartition": Comparison.SUBSTRING,
    "replace": Comparison.SUBSTRING,
    "find": Comparison.SUBSTRING,
    "index": Comparison.SUBSTRING,
    "removeprefix": Comparison.PREFIX,
    "removesuffix": Comparison.SUFFIX,
}
PATTERN_FUNCTIONS: Mapping[str, str] = {
    "match": "^(?:{})",
    "fullmatch": "^(?:{})$",
    "search": "{}",
    "sub": "{}",
    "subn": "{}",
    "findall": "{}",
    "finditer": "{}",
    "split": "{}",
}
# methods without arguments that ask for the letters of a text
LETTERS: Mapping[str, str] = {
    "isdigit": "^[0-9]+$",
    "isnumeric": "^[0-9]+$",
    "isdecimal": "^[0-9]+$",
    "isalpha": "^[A-Za-z]+$",
    "isalnum": "^[A-Za-z0-9]+$",
    "isupper": "^[A-Z]+$",
    "islower": "^[a-z]+$",
    "isspace": r"^\s+$",
}
NOT_OF_ROWS = ("rowcount", "dialect", "returns_rows", "is_active", "closed")
"""Attributes of results and connections."""


@dataclass
class Names:
    """The meanings of the names in a function."""

    module: Module
    constants: dict[str, list[Any]] = field(default_factory=dict)
    """Constants; for the variable of a loop over constants, all of them."""
    columns: dict[str, str] = field(default_factory=dict)
    """Names that hold the value of a column."""
    rows: dict[str, Sequence[str]] = field(default_factory=dict)
    """Names that hold a row, with the columns of the row where these are known."""
    assigned: dict[str, ast.expr] = field(default_factory=dict)
    """The last expression assigned to a name."""

    def copy(self) -> "Names":
        """Return names whose changes do not show in these."""
        return Names(self.module, dict(self.constants), dict(self.columns), dict(self.rows), dict(self.assigned))

    def forget(self, name: str) -> None:
        """Take a name as one whose value is unknown."""
        for each in (self.constants, self.columns, self.rows, self.assigned):
            each.pop(name, None)

    def choices(self, node: ast.expr) -> list[Any]:
        """Return the values that a constant expression can have; nothing if it is no constant."""
        used = [
            self.constants[each.id]
            for each in ast.walk(node)
            if isinstance(each, ast.Name) and each.id in self.constants
        ]
        count = max(map(len, used), default=1)
        found = []
        for number in range(min(count, MOST_ARMS)):
            values = {name: items[min(number, len(items) - 1)] for name, items in self.constants.items() if items}
            try:
                found.append(evaluate(node, self.module, values))
            except NotConstantError:
                return []
        return found

    def function(self, node: ast.expr) -> FunctionDef | None:
        """Return the function of the file that an expression names."""
        is_shadowed = isinstance(node, ast.Name) and (node.id in self.columns or node.id in self.rows)
        return self.module.functions.get(node.id) if isinstance(node, ast.Name) and not is_shadowed else None

    def column(self, node: ast.expr) -> str | None:
        """Return the column or key whose value an expression has, in some form; None for another expression."""
        match node:
            case ast.Name(id=name):
                is_other = name in self.rows or name in self.module.functions or name in self.module.imports
                return self.columns.get(name, None if is_other else name)
            case ast.Attribute(value=owner, attr="value") if isinstance(owner, ast.Attribute | ast.Subscript):
                return self.column(owner)
            case ast.Attribute(attr=name):
                return None if name in NOT_OF_ROWS or is_environment_check(node) else name
            case ast.Subscript(value=owner, slice=key):
                return self._column_of_item(owner, key)
            case ast.Call():
                return self._column_of_call(node)
            case ast.NamedExpr(value=value) | ast.Await(value=value):
                return self.column(value)
            case ast.BoolOp(op=ast.Or(), values=[first, *_]):
                return self.column(first)
        return None

    def known_column(self, node: ast.expr) -> str | None:
        """Return the column as `column` does, but not for a name that may be something else."""
        if isinstance(node, ast.Name):
            return self.columns.get(node.id)
        if isinstance(node, ast.NamedExpr):
            return self.known_column(node.value)
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in self.module.imports
        ):
            return None
        return self.column(node) if isinstance(node, ast.Attribute | ast.Subscript | ast.Call) else None

    def _column_of_item(self, owner: ast.expr, key: ast.expr) -> str | None:
        match self.choices(key):
            case [str(name)]:
                return name
            case [int(number)] if not isinstance(owner, ast.Name) or owner.id not in self.columns:
                names = self.rows.get(owner.id, ()) if isinstance(owner, ast.Name) else ()
                return names[number] if -len(names) <= number < len(names) else ""
        return self.column(key) if isinstance(key, ast.Attribute) else None

    def _column_of_call(self, node: ast.Call) -> str | None:
        name = last_name(node.func)
        if isinstance(node.func, ast.Attribute) and name in TEXT_METHODS:
            return self.column(node.func.value)
        if name in ("get", "getattr", "pop") and node.args:
            return next((key for key in self.choices(node.args[name == "getattr"]) if isinstance(key, str)), None)
        if name in CONVERSIONS and node.args:
            return self.column(node.args[0])
        return None

    def arms(self, node: ast.expr, *, is_true: bool = True) -> Arms:
        """Return the ways in which a condition is true, or false."""
        match node:
            case ast.BoolOp(op=operation, values=values):
                parts = [self.arms(value, is_true=is_true) for value in values]
                return product(parts) if isinstance(operation, ast.And) == is_true else join(parts)
            case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
                return self.arms(operand, is_true=not is_true)
            case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() as operation, right=right):
                parts = [self.arms(left, is_true=is_true), self.arms(right, is_true=is_true)]
                return product(parts) if isinstance(operation, ast.BitAnd) == is_true else join(parts)
            case ast.Compare():
                return self._arms_of_compare(node, is_true)
            case ast.Call():
                return self._arms_of_call(node, is_true)
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                column = self.column(value)
                if column is not None:
                    self.columns[name] = column
                elif isinstance(value, ast.Call | ast.Compare):
                    return self.arms(value, is_true=is_true)
        column = self.known_column(node)
        return UNKNOWN if column is None else [((column, Literal(True, Comparison.TRUTHY, not is_true)),)]

    def _arms_of_compare(self, node: ast.Compare, is_true: bool) -> Arms:
        sides = [node.left, *node.comparators]
        pairs = zip(sides, node.ops, sides[1:], strict=False)
        parts = [self._arms_of_pair(left, type(operation), right, is_true) for left, operation, right in pairs]
        return product(parts) if is_true else join(parts)

    def _arms_of_pair(self, left: ast.expr, operation: type[ast.cmpop], right: ast.expr, is_true: bool) -> Arms:
        if operation in (ast.In, ast.NotIn):
            return self._arms_of_membership(left, right, is_true == (operation is ast.In))
        values = self.choices(right)
        if not values:
            left, right = right, left
            values, operation = self.choices(right), FLIPPED[operation]
        if not values or self.choices(left):
            return UNKNOWN
        is_equal = operation in (ast.Eq, ast.Is)
        if values == [None] and (call := _unwrap_call(left)) and self.find_pattern(call):
            return self._arms_of_call(call, is_true != is_equal)
        if operation in ORDERS:
            kind, is_negated = ORDERS[operation]
            return self._compare(left, values[:1], kind, is_true != is_negated)
        return self._compare(left, values, Comparison.EQUAL, is_true == is_equal)

    def _arms_of_membership(self, left: ast.expr, right: ast.expr, is_true: bool) -> Arms:
        items = [
            item for values in self.choices(right) if not isinstance(values, str) for item in iterate_items(values)
        ]
        if items:
            return self._compare(left, items, Comparison.EQUAL, is_true)
        values, column = self.choices(left), self.column(right)
        if not values or column is None:
            return UNKNOWN
        kind = Comparison.SUBSTRING if _is_text(right) else Comparison.MEMBER
        return literal_arms(column, values, kind, is_true)

    def _compare(self, node: ast.expr, values: Sequence[Any], kind: Comparison, is_true: bool) -> Arms:
        """Return the arms of a comparison with one of the values, or with none of them."""
        match node:
            case ast.Call(func=ast.Name(id="len"), args=[argument]):
                column = self.known_column(argument)
                lengths = [fitting_length(value, kind, is_true) for value in values if isinstance(value, int)]
                return UNKNOWN if column is None else literal_arms(column, lengths, Comparison.LENGTH, True)
            case ast.Subscript(value=owner, slice=key):
                part = _part_of_text(key)
                column = self.known_column(owner) if part else None
                if part and column is not None and kind == Comparison.EQUAL:
                    return literal_arms(column, values, part, is_true)
            case ast.Tuple(elts=parts) if kind == Comparison.EQUAL and is_true:
                rows = [value for value in values if isinstance(value, tuple) and len(value) == len(parts)]
                return join(product(self._compare_each(parts, row)) for row in rows) or UNKNOWN
            case ast.BinOp(left=left, op=ast.Mod(), right=ast.Constant(value=int(divisor))):
                column = self.column(left)
                numbers = [divisor + value + (not is_true) for value in values if isinstance(value, int)]
                fits = column is not None and kind == Comparison.EQUAL
                return literal_arms(column, numbers, kind, True) if column is not None and fits else UNKNOWN
        column = self.column(node)
        return UNKNOWN if column is None else literal_arms(column, values, kind, is_true)

    def _compare_each(self, parts: Sequence[ast.expr], row: Sequence[Any]) -> list[Arms]:
        return [self._compare(part, [value], Comparison.EQUAL, True) for part, value in zip(parts, row, strict=True)]

    def _arms_of_call(self, node: ast.Call, is_true: bool) -> Arms:
        name = last_name(node.func)
        if name in ("and_", "or_"):
            parts = [self.arms(argument, is_true=is_true) for argument in node.args]
            return product(parts) if (name == "and_") == is_true else join(parts)
        if name == "not_" and node.args:
            return self.arms(node.args[0], is_true=not is_true)
        if found := self.find_pattern(node):
            return [((column, Literal(literal.value, literal.kind, not is_true)),) for column, literal in found]
        if not isinstance(node.func, ast.Attribute):
            return UNKNOWN
        return self._arms_of_method(node, node.func.value, name, is_true)

    def _arms_of_method(self, node: ast.Call, owner: ast.expr, name: str, is_true: bool) -> Arms:
        column = self.column(owner)
        values = [value for argument in node.args for value in self.choices(argument)]
        if column is not None and name in LETTERS:
            return [((column, Literal(LETTERS[name], Comparison.PATTERN, not is_true)),)]
        if column is None or not values:
            return self._truth_of_call(node, is_true)
        if name in ("in_", "not_in", "notin_"):
            items = [item for value in values for item in iterate_items(value)]
            return literal_arms(column, items, Comparison.EQUAL, is_true == (name == "in_"))
        if name in ("is_", "is_not", "isnot", "__eq__"):
            return literal_arms(column, values, Comparison.EQUAL, is_true == (name in ("is_", "__eq__")))
        if name == "between" and len(values) == len(node.args) == 2 and is_true:
            low, high = (literal_arms(column, [value], kind, False) for value, kind in zip(values, LIMITS, strict=True))
            return product([low, high])
        if name in ("like", "ilike"):
            found = [read_like(str(value)) for value in values]
            return [((column, Literal(text, kind, not is_true)),) for text, kind in found]
        if name in PREDICATES:
            items = [item for value in values for item in iterate_items(value)]
            return literal_arms(column, items, PREDICATES[name], is_true)
        return self._truth_of_call(node, is_true)

    def _truth_of_call(self, node: ast.Call, is_true: bool) -> Arms:
        """Return the arms of a call that has the value of a column: `row.get("paid")`, `row.name.strip()`."""
        column = self.known_column(node)
        return UNKNOWN if column is None else [((column, Literal(True, Comparison.TRUTHY, not is_true)),)]

    def find_pattern(self, node: ast.Call) -> list[Term]:
        """Return what a call looks for by a regular expression: re.search(…), PATTERN.match(…), op("~")(…)."""
        if isinstance(node.func, ast.Call) and last_name(node.func.func) == "op" and node.func.args:
            owner = node.func.func.value if isinstance(node.func.func, ast.Attribute) else node
            is_pattern = any(str(each).startswith("~") for each in self.choices(node.func.args[0]))
            texts = [each for argument in node.args[:1] for each in self.choices(argument)] if is_pattern else []
            return self._pattern_terms(owner, texts, "{}")
        name = last_name(node.func)
        if name not in PATTERN_FUNCTIONS or not isinstance(node.func, ast.Attribute):
            return []
        compiled = [each.text for each in self.choices(node.func.value) if isinstance(each, Pattern)]
        arguments = node.args[1:] if name.startswith("sub") else node.args
        if compiled:
            return self._pattern_terms(arguments[0], compiled, PATTERN_FUNCTIONS[name]) if arguments else []
        if last_name(node.func.value) not in ("re", "regex") or len(arguments) < 2 - name.startswith("sub"):
            return []
        texts = [each.text if isinstance(each, Pattern) else each for each in self.choices(node.args[0])]
        return self._pattern_terms(
            arguments[-1] if name.startswith("sub") else arguments[1], texts, PATTERN_FUNCTIONS[name]
        )

    def _pattern_terms(self, node: ast.expr, texts: Sequence[Any], form: str) -> list[Term]:
        column = self.column(node)
        patterns = [form.replace("{}", text) for text in texts if isinstance(text, str)]
        return [(column, Literal(each, Comparison.PATTERN)) for each in patterns] if column is not None else []


def _unwrap_call(node: ast.expr) -> ast.Call | None:
    node = node.value if isinstance(node, ast.NamedExpr) else node
    return node if isinstance(node, ast.Call) else None


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and last_name(node.func) in (*TEXT_METHODS, "str")


def _part_of_text(key: ast.expr) -> Comparison | None:
    """Return which part of a text a subscript takes."""
    match key:
        case ast.Constant(value=0) | ast.Slice(lower=None | ast.Constant(value=0), upper=ast.Constant(), step=None):
            return Comparison.PREFIX
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)):
            return Comparison.SUFFIX
        case ast.Slice(lower=ast.UnaryOp(op=ast.USub()), upper=None, step=None):
            return Comparison.SUFFIX
    return None
