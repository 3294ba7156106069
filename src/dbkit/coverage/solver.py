"""The search for values of a column: from a condition, through functions and operators, to the column in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from dbkit.coverage import documents, networks, ranges
from dbkit.coverage.byte_functions import vary_bytes
from dbkit.coverage.constants import find_values
from dbkit.coverage.fit import fit
from dbkit.coverage.inverses import describe, find_kind, invert_call
from dbkit.coverage.joins import TEXTS, find_join
from dbkit.coverage.splits import split_result
from dbkit.coverage.syntax import column_name, read_call, read_literal, read_place, unwrap
from dbkit.coverage.variations import FEW, USUAL, vary_all
from dbkit.sample_data.constraints import Type
from dbkit.sample_data.texts import merge_lists

TRUTHS = ("true", "false")
MOST_JOINED = 10
Method = Callable[["Solver", exp.Expr, Sequence[str]], list[str]]
"""From an expression and values of it: values of the column."""


@dataclass(frozen=True)
class Solver:
    """Finds values of one column; the column can be an element of an array or document that a query goes through."""

    kind: Type
    names: frozenset[str]
    """The names of the column."""
    methods: dict[type, Method]
    """By class of expression, what solves it; the others are functions and operators."""

    def solve(self, expression: exp.Expr, targets: Sequence[str]) -> list[str]:
        """Return values of the column with which an expression has one of the values; a condition is true or false."""
        node = unwrap(expression)
        if isinstance(node, exp.Column) and column_name(node) in self.names:
            return list(targets)
        if not self.has_column(node):
            return []
        return self.methods.get(type(node), Solver.solve_call)(self, node, targets)

    def solve_any(self, expressions: Sequence[exp.Expr | None], targets: Sequence[str]) -> list[str]:
        """Return values with which one of the expressions has one of the values."""
        return merge_lists(self.solve(each, targets) for each in expressions if each is not None)

    def has_column(self, expression: exp.Expr) -> bool:
        """Whether the column is in an expression."""
        return any(column_name(column) in self.names for column in expression.find_all(exp.Column))

    def kind_of(self, expression: exp.Expr) -> str:
        """Return the kind of an expression."""
        return find_kind(expression, self.names, describe(self.kind))

    def vary_for(self, expression: exp.Expr, values: Sequence[str]) -> list[str]:
        """Return values next to constants, in the way of an expression's kind."""
        kind = self.kind_of(expression)
        vary_one = VARIATIONS.get(kind)
        return merge_lists(map(vary_one, values)) if vary_one else vary_all(values or USUAL)

    def join(self, left: Sequence[str], right: Sequence[str]) -> list[str]:
        """Return values that are made from one of each list: they may satisfy two conditions."""
        join = find_join(describe(self.kind))
        first, second = (
            [value for text in texts for value in fit(self.kind, text)[:1]][:MOST_JOINED] for texts in (left, right)
        )
        pairs = [(n + m, one, other) for n, one in enumerate(first) for m, other in enumerate(second)]
        pairs.sort(key=lambda pair: pair[0])
        return list(dict.fromkeys(text for _distance, one, other in pairs if one != other for text in join(one, other)))

    def solve_call(self, node: exp.Expr, targets: Sequence[str]) -> list[str]:
        """Functions and operators."""
        call = read_call(node)
        if call is None:
            wanted = merge_lists([list(targets), vary_all(find_literals(node))])
            return self.solve_any(list(node.iter_expressions()), wanted)
        name, arguments = call
        constants = [None if self.has_column(each) else (find_values(each) or [""])[0] for each in arguments]
        positions = [n for n, each in enumerate(arguments) if self.has_column(each)]
        inverted = {
            n: invert_call(name, targets, constants, read_place(arguments[n], n), self.kind_of(arguments[n]))
            for n in positions
        }
        if len(positions) == 2:
            return self._solve_pair(name, arguments, targets, inverted)
        return merge_lists(
            self.solve(arguments[n], each or merge_lists([targets, FEW])) for n, each in inverted.items()
        )

    def _solve_pair(
        self, name: str, arguments: Sequence[exp.Expr], targets: Sequence[str], wanted: dict[int, list[str]]
    ) -> list[str]:
        """Both arguments have the column."""
        pairs = split_result(name, targets, arguments)
        found = [
            self.solve(arguments[n], list(dict.fromkeys([*pair, *each[:6], *merge_lists([FEW, each, targets])])))
            for pair, (n, each) in zip(pairs, wanted.items(), strict=True)
        ]
        joined = self.join(*found) if describe(self.kind) not in TEXTS else []
        return merge_lists([joined, *found])


def find_literals(node: exp.Expr) -> list[str]:
    """Return the literals in an expression."""
    return [text for each in node.walk() if (text := read_literal(each)) is not None]


VARIATIONS: dict[str, Callable[[str], list[str]]] = {
    **dict.fromkeys(("json", "jsonb"), documents.vary_document),
    **dict.fromkeys(("inet", "cidr"), networks.vary_network),
    "range": ranges.around_range,
    "bytea": vary_bytes,
}
"""By kind, the values next to a constant, where that is not a matter of the constant's text."""
