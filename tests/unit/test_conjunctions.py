"""The conditions that an expression joins by AND, as PostgreSQL writes it back."""

import pytest

from dbkit.preconditions.conjunctions import split_conjunction


@pytest.mark.parametrize(
    ("expression", "conditions"),
    [
        ("", set()),
        ("(n > 0)", {"n > 0"}),
        ("deleted", {"deleted"}),
        ("((deleted = false) AND (n > 5))", {"deleted = false", "n > 5"}),
        ("(((a > 0) AND (b IS NOT NULL)) AND ((c)::text = ' AND ('::text))",
         {"a > 0", "b IS NOT NULL", "(c)::text = ' AND ('::text"}),
        ("((a > 0) OR (b > 0))", {"(a > 0) OR (b > 0)"}),
        ("((a) AND (b))", {"a", "b"}),
        ('(("x AND y" > 0) AND (NOT z) AND f(a, b))', {'"x AND y" > 0', "NOT z", "f(a, b)"}),
        ("CASE WHEN (a AND b) THEN c ELSE d END", {"CASE WHEN (a AND b) THEN c ELSE d END"}),
    ],
)  # fmt: skip
def test_conditions_are_divided(expression: str, conditions: set[str]) -> None:
    assert split_conjunction(expression) == conditions
