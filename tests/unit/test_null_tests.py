"""Conditions on NULL, as sqlglot has them."""

import pytest
import sqlglot
from sqlglot import exp

from dbkit.coverage.conditions import excludes_null, is_null_test

CONDITIONS = {
    "t.a IS NULL": (True, False),
    "t.a IS NOT NULL": (False, True),
    "NOT (t.a IS NULL)": (False, True),
    "NOT t.a IS NULL": (False, True),
    "NOT (t.a IS NOT NULL)": (False, False),
    "t.a = 1": (False, True),
    "1 < t.a": (False, True),
    "t.b IS NOT NULL": (False, False),
    "t.a IS TRUE": (False, False),
    "coalesce(t.a, 1) = 1": (False, False),
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_on_null_is_told_from_its_negation(condition: str) -> None:
    parsed = sqlglot.parse_one(f"SELECT 1 WHERE {condition}", read="postgres").args["where"].this
    column = sqlglot.parse_one("t.a", read="postgres")
    assert isinstance(column, exp.Column)
    assert (is_null_test(parsed) == column, excludes_null(parsed, column)) == CONDITIONS[condition]
