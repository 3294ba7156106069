"""The grammar of `# dbkit:` comments, as the round trip, lint and the gate read it."""

import pytest

from dbkit.findings.comments import Acceptance, is_declared_rerunnable, parse_acceptances


@pytest.mark.parametrize(
    ("comment", "accepts", "reason"),
    [
        ("# dbkit: ok dirty, the enum value stays", "dirty", "the enum value stays"),
        ("#dbkit:ok fails on rows , they are never like that", "fails on rows", "they are never like that"),
        ("# dbkit: ok not-null-by-scan, 10 rows, at most", "not-null-by-scan", "10 rows, at most"),
        ("# dbkit: ok squawk/any-rule, it is old", "squawk/any-rule", "it is old"),
    ],
)
def test_a_comment_accepts_a_verdict_or_a_rule(comment: str, accepts: str, reason: str) -> None:
    source = f"x = 1\ny = 2  {comment}\n"
    assert parse_acceptances(source.encode()) == [Acceptance(2, accepts, reason)]


@pytest.mark.parametrize(
    ("comment", "problem"),
    [
        ("# dbkit: ok", "a verdict and a reason are needed"),
        ("# dbkit: ok dirty", "a verdict and a reason are needed"),
        ("# dbkit: ok proven, it is", "'proven' is none of"),
        ("# dbkit: ok no-such-rule, it is old", "'no-such-rule' is none of"),
    ],
)
def test_a_comment_that_accepts_nothing_has_a_problem(comment: str, problem: str) -> None:
    (found,) = parse_acceptances(comment.encode())
    assert found.accepts == ""
    assert problem in found.problem


def test_a_string_is_no_comment() -> None:
    assert parse_acceptances(b'x = "# dbkit: ok dirty, in a string"\n# dbkit: rerunnable, why\n') == []


@pytest.mark.parametrize(
    ("source", "is_rerunnable"),
    [
        ("# dbkit: rerunnable, it sets what is not set", True),
        ("x = 1\n#dbkit:rerunnable,why\n", True),
        ("    # dbkit: rerunnable, it does not begin the line", False),
        ("# dbkit: rerunnable", False),
        ("# dbkit: rerunnable, ", False),
        ("# dbkit: ok dirty, rerunnable", False),
    ],
)
def test_a_migration_is_declared_rerunnable_with_a_reason(source: str, *, is_rerunnable: bool) -> None:
    assert is_declared_rerunnable(source.encode()) == is_rerunnable
