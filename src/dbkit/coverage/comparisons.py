"""Comparisons, and the operators that connect conditions."""

from collections.abc import Sequence

from sqlglot import exp

from dbkit.coverage import arrays
from dbkit.coverage.constants import find_values, spread
from dbkit.coverage.solver import TRUTHS, Method, Solver, find_literals
from dbkit.coverage.syntax import read_quantified, read_query, read_row, unwrap
from dbkit.coverage.variations import USUAL, few_for, find_between, vary_all
from dbkit.sample_data.texts import merge_lists

COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ)
MOST_OPTIONS = 60
CONDITIONS = (exp.Predicate, exp.Connector, exp.Not, exp.Is, exp.In, exp.Between, exp.Exists, *COMPARISONS)


def _solve_either(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """OR and NOT."""
    return solver.solve_any([node.this, node.args.get("expression")], TRUTHS)


def _solve_both(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """AND: values of each side, and ones that are made from both."""
    left, right = solver.solve(node.this, TRUTHS), solver.solve(node.expression, TRUTHS)
    joined = solver.join(left, right)
    return merge_lists([left, joined[::2], right, joined[1::2]])


def _compare(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """= and the other comparisons, of values and of rows."""
    return _compare_pair(solver, node.this, node.expression)


def _compare_pair(solver: Solver, left: exp.Expr, right: exp.Expr) -> list[str]:
    mine, other = unwrap(left), unwrap(right)
    rows = read_row(mine), read_row(other)
    if rows[0] is not None and rows[1] is not None:
        return _compare_rows(solver, rows[0], rows[1])
    if not solver.has_column(mine):
        mine, other = other, mine
    if solver.has_column(other):
        return _compare_both(solver, mine, other)
    return _compare_side(solver, mine, other)


def _compare_rows(solver: Solver, left: Sequence[exp.Expr], right: Sequence[exp.Expr]) -> list[str]:
    found: list[str] = []
    for one, other in zip(left, right, strict=False):
        more = _compare_pair(solver, one, other)
        found = merge_lists([solver.join(found, more), found, more]) if found and more else found or more
    return found


def _compare_both(solver: Solver, left: exp.Expr, right: exp.Expr) -> list[str]:
    """Both sides have the column: x = lower(x), x ->> 'a' = x ->> 'b'."""
    wanted = merge_lists(
        [
            few_for(solver.kind_of(left) or solver.kind_of(right)),
            vary_all([*find_literals(left), *find_literals(right)]),
        ]
    )
    sides = [solver.solve(each, TRUTHS if isinstance(each, CONDITIONS) else wanted) for each in (left, right)]
    return merge_lists([*sides, solver.join(*sides)])


def _compare_side(solver: Solver, mine: exp.Expr, other: exp.Expr) -> list[str]:
    inner, outer = read_quantified(mine), read_quantified(other)
    if inner is None and isinstance(mine, CONDITIONS):
        return solver.solve(mine, TRUTHS)
    values = find_values(other) if outer is None else spread(find_values(outer))
    wanted = solver.vary_for(mine, values or USUAL)
    if inner is None:
        return solver.solve(mine, wanted)
    return solver.solve(inner, wanted if read_query(inner) else arrays.make_arrays(wanted))


def _solve_between(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """BETWEEN: at, beside and between the limits."""
    limits = [node.args["low"], node.args["high"]]
    low, high = (find_values(each) for each in limits)
    middle = find_between(low[0], high[0]) if low and high else []
    found = solver.solve(node.this, merge_lists([middle, vary_all([*low, *high] or USUAL)]))
    return merge_lists([found, solver.solve_any(limits, vary_all(find_values(node.this) or USUAL))])


def _solve_in(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """IN a list or a query."""
    query, options = node.args.get("query"), node.expressions
    row = read_row(unwrap(node.this))
    if row is not None:
        return merge_lists(_compare_rows(solver, row, read_row(unwrap(option)) or ()) for option in options)
    every = [*options, *([query] if query else [])]
    values = [value for option in every[:MOST_OPTIONS] for value in find_values(option)]
    found = solver.solve(node.this, merge_lists([values, solver.vary_for(node.this, values)]))
    return merge_lists([found, solver.solve_any(every, vary_all(find_values(node.this) or USUAL))])


def _solve_is(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """IS TRUE, IS NULL, IS JSON."""
    if isinstance(node.expression, exp.Boolean):
        return solver.solve(node.this, TRUTHS)
    documents = ("{}", "[]", '"x"') if isinstance(node.expression, exp.JSON) else ()
    return solver.solve(node.this, merge_lists([vary_all(find_literals(node.this)[:3]), [*documents, *USUAL]]))


def _solve_case(solver: Solver, node: exp.Expr, targets: Sequence[str]) -> list[str]:
    """CASE: its conditions, and its results."""
    found: list[list[str]] = []
    for branch in node.args["ifs"]:
        is_condition = node.this is None
        found.append(
            solver.solve(branch.this, TRUTHS) if is_condition else _compare_pair(solver, node.this, branch.this)
        )
        found.append(solver.solve(branch.args["true"], targets))
    return merge_lists([*found, solver.solve_any([node.args.get("default")], targets)])


METHODS: dict[type, Method] = {
    exp.And: _solve_both,
    **dict.fromkeys((exp.Or, exp.Not, exp.Xor), _solve_either),
    **dict.fromkeys(COMPARISONS, _compare),
    exp.Between: _solve_between,
    exp.In: _solve_in,
    exp.Is: _solve_is,
    exp.Case: _solve_case,
}
"""By class of expression, what solves it."""
