"""The errors behind an error."""

from dbkit.errors import causes, sqlstate_of


def test_an_error_that_is_its_own_cause_has_no_endless_chain() -> None:
    error = ValueError("x")
    error.__cause__ = error
    assert list(causes(error)) == [error]
    assert sqlstate_of(error) == ""


def test_causes_in_order() -> None:
    first, second, third = KeyError("a"), ValueError("b"), TypeError("c")
    third.__cause__, second.__context__ = second, first
    assert list(causes(third)) == [third, second, first]
