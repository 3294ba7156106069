"""Which changes of a type can fail on rows that exist."""

import pytest

from dbkit.preconditions.casts import cast_failure, parse_type

VERSION = 18_00_00


@pytest.mark.parametrize(
    ("source", "target", "can_fail"),
    [
        ("character varying(40)", "character varying(80)", False),
        ("character varying(40)", "character varying(40)", False),
        ("character varying(40)", "character varying(39)", True),
        ("character varying(40)", "text", False),
        ("character varying", "character varying(80)", True),
        ("text", "character varying(80)", True),
        ("character(10)", "character varying(10)", False),
        ("character", "character varying(1)", False),
        ("character varying(40)", "character(40)", False),
        ("character varying(40)", "character(39)", True),
        ("character varying(40)[]", "character varying(80)[]", False),
        ("character varying(80)[]", "character varying(40)[]", True),
        ("integer", "character varying(3)", True),
    ],
)
def test_a_text_fits_a_type_that_is_as_long(source: str, target: str, can_fail: bool) -> None:
    failure = cast_failure("note", parse_type(source), parse_type(target), is_explicit=False, version=VERSION)
    assert (failure is not None) == can_fail
