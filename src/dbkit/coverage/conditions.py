"""Split boolean expressions into conjunctions of atoms, and negate them."""

import itertools
from collections.abc import Iterable

from sqlglot import exp

MOST_ARMS = 24
"""How many conjunctions of one condition are followed."""
NEGATED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.NEQ,
    exp.NEQ: exp.EQ,
    exp.LT: exp.GTE,
    exp.GTE: exp.LT,
    exp.GT: exp.LTE,
    exp.LTE: exp.GT,
}
Atoms = tuple[exp.Expr, ...]


def split_condition(condition: exp.Expr | None, *, positive: bool = True, most: int = MOST_ARMS) -> list[Atoms]:
    """Return the conjunctions of which a condition is the disjunction; with `positive` False, of its negation.

    Each is made of atoms: expressions without AND, OR and NOT at their top. At most `most` are returned.
    """
    if condition is None:
        return [()]
    if isinstance(condition, exp.Paren):
        return split_condition(condition.this, positive=positive, most=most)
    if isinstance(condition, exp.Not):
        return split_condition(condition.this, positive=not positive, most=most)
    if isinstance(condition, exp.And | exp.Or):
        # a chain of one operator is flat, however long it is
        parts = [split_condition(part, positive=positive, most=most) for part in condition.flatten()]
        if isinstance(condition, exp.And) == positive:
            return _multiply(parts, most)
        return list(itertools.chain(*parts))[:most]
    if positive and isinstance(condition, exp.EQ | exp.In) and isinstance(condition.this, exp.Tuple):
        return _split_rows(condition)[:most]
    if isinstance(condition, exp.Boolean):
        return [()] if condition.this == positive else []
    return [(condition if positive else negate(condition),)]


def _split_rows(condition: exp.EQ | exp.In) -> list[Atoms]:
    """Return the conjunctions of `(a, b) = (1, 2)` and of `(a, b) IN ((1, 2), (3, 4))`."""
    rows = [condition.expression] if isinstance(condition, exp.EQ) else condition.expressions
    width = len(condition.this.expressions)
    if not rows or not all(isinstance(row, exp.Tuple) and len(row.expressions) == width for row in rows):
        return [(condition,)]
    return [
        tuple(
            exp.EQ(this=left.copy(), expression=right.copy())
            for left, right in zip(condition.this.expressions, row.expressions, strict=True)
        )
        for row in rows
    ]


def _multiply(parts: Iterable[list[Atoms]], most: int) -> list[Atoms]:
    """Return each combination of one conjunction of each part, but at most `most`."""
    combined = itertools.product(*parts)
    return [tuple(itertools.chain(*each)) for each in itertools.islice(combined, most)]


def negate(atom: exp.Expr) -> exp.Expr:
    """Return the negation of an atom."""
    other = NEGATED.get(type(atom))
    if other and not isinstance(atom.expression, exp.Any | exp.All):
        return other(this=atom.this.copy(), expression=atom.expression.copy())
    return exp.Not(this=exp.Paren(this=atom.copy()))


def case_conditions(case: exp.Case) -> list[exp.Expr]:
    """Return the condition of each arm of a CASE, and of its ELSE."""
    found: list[exp.Expr] = []
    tests: list[exp.Expr] = []
    for arm in case.args.get("ifs") or ():
        test = exp.EQ(this=case.this.copy(), expression=arm.this.copy()) if case.this else arm.this.copy()
        found.append(test)
        tests.append(exp.Not(this=exp.Paren(this=test.copy())))
    return [*found, exp.and_(*tests, copy=False)] if tests else found


def is_null_test(atom: exp.Expr) -> exp.Column | None:
    """Return the column of `column IS NULL`."""
    column = _column_of_null_test(atom)
    return None if column is None or atom.args.get("negate") else column


def _column_of_null_test(atom: exp.Expr) -> exp.Column | None:
    """Return the column of `column IS NULL` or `column IS NOT NULL`, which sqlglot has as the negated one."""
    is_test = isinstance(atom, exp.Is) and isinstance(atom.expression, exp.Null)
    return atom.this if is_test and isinstance(atom.this, exp.Column) else None


def excludes_null(atom: exp.Expr, column: exp.Column) -> bool:
    """Whether an atom is not true where a column is NULL: `column IS NOT NULL`, or a comparison of it."""
    if isinstance(atom, exp.Not):
        return is_null_test(atom.unnest_operands()[0]) == column
    if atom.args.get("negate"):
        return _column_of_null_test(atom) == column
    return isinstance(atom, exp.EQ | exp.NEQ | exp.GT | exp.GTE | exp.LT | exp.LTE) and column in (
        atom.this,
        atom.expression,
    )
