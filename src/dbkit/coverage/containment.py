"""Conditions on what a value has in it: patterns of text, elements of arrays, keys of documents, values of ranges."""

from collections.abc import Sequence

from sqlglot import exp

from dbkit.coverage import arrays, documents, ranges
from dbkit.coverage.constants import find_values, spread
from dbkit.coverage.json_paths import follow_path
from dbkit.coverage.solver import VARIATIONS, Method, Solver
from dbkit.coverage.syntax import read_quantified, read_row
from dbkit.coverage.variations import USUAL, find_between, vary, vary_all
from dbkit.sample_data.patterns import match_like, match_regex, match_similar
from dbkit.sample_data.texts import merge_lists, read_array

BACKSLASH = "\\"
SOME_SETS = ('{"k": 1}', "[1, 2]", "[1]", "5", "{1,2}", "{1}", "[1,5)", "[2,9)", "(2020-01-01,2021-01-01)")


def _match(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """LIKE, SIMILAR TO and regular expressions."""
    return _match_pattern(solver, node, BACKSLASH)


def _match_escaped(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """LIKE with ESCAPE."""
    return _match_pattern(solver, node.this, (find_values(node.expression) or [BACKSLASH])[0])


def _match_pattern(solver: Solver, node: exp.Expr, escape: str) -> list[str]:
    quantified = read_quantified(node.expression)
    pattern = node.expression if quantified is None else quantified
    if solver.has_column(pattern):
        found = [
            each for text in find_values(node.this) or ["a"] for each in (text, f"%{text[1:]}", f"{text}x", "%", ".*")
        ]
        return solver.solve(pattern, found if quantified is None else arrays.make_arrays(found))
    patterns = find_values(pattern) if quantified is None else spread(find_values(pattern))
    if len(patterns) > 1 and isinstance(node, exp.Like | exp.ILike):
        patterns = [*patterns, "".join(patterns)]
    return solver.solve(node.this, merge_lists(_find_matches(node, each, escape) for each in patterns or ["a"]))


def _find_matches(node: exp.Expr, pattern: str, escape: str) -> list[str]:
    if isinstance(node, exp.SimilarTo):
        return match_similar(pattern, escape)
    if isinstance(node, exp.RegexpLike | exp.RegexpILike):
        return match_regex(pattern, isinstance(node, exp.RegexpILike))
    return match_like(pattern, escape)


def _begin_with(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """^@: begins with."""
    return solver.solve(node.this, vary_all(find_values(node.expression) or USUAL))


def _contain(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """@>, <@, && and other operators on sets."""
    sides = ((node.this, node.expression), (node.expression, node.this))
    if all(solver.has_column(mine) for mine, _other in sides):
        found = [solver.solve(mine, SOME_SETS) for mine, _other in sides]
        return merge_lists([solver.join(*found), *found])
    return merge_lists(_contain_side(solver, mine, other) for mine, other in sides if solver.has_column(mine))


def _contain_side(solver: Solver, mine: exp.Expr, other: exp.Expr) -> list[str]:
    values = find_values(other) or list(USUAL[:6])
    kind = solver.kind_of(mine)
    if kind == "range":
        return solver.solve(mine, merge_lists(_around(each) for each in values))
    if kind in VARIATIONS:
        return solver.solve(mine, solver.vary_for(mine, values))
    return solver.solve(mine, merge_lists(_vary_members(each) for each in values))


def _around(value: str) -> list[str]:
    return ranges.around_range(value) if ranges.is_range(value) else ranges.around_value(value)


def _vary_members(value: str) -> list[str]:
    """Return values in a range, arrays with the elements of an array, and arrays with a value."""
    bounds = ranges.read_bounds(value) if ranges.is_range(value) and value[:1] in "[(" else None
    if bounds:
        return [*find_between(bounds[0], bounds[1]), *vary_all([bound for bound in bounds if bound] or USUAL)]
    elements = read_array(value)
    if elements is None:
        return merge_lists([arrays.make_arrays(vary(value)), vary(value)])
    return [value, *merge_lists([vary(value), arrays.make_arrays([each for each in elements if each is not None])])]


def _overlap(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """(a, b) OVERLAPS (c, d)."""
    sides = [side for side in (node.this, node.expression) if isinstance(side, exp.Expr)]
    limits = [value for side in sides for part in read_row(side) or () for value in find_values(part)]
    middle = find_between(limits[0], limits[-1]) if limits else []
    parts = [part for side in sides for part in read_row(side) or () if solver.has_column(part)]
    return solver.solve_any(parts, merge_lists([middle, vary_all(limits or USUAL)]))


def _shift(solver: Solver, node: exp.Expr, targets: Sequence[str]) -> list[str]:
    """<< and >> of numbers, and of ranges and networks."""
    sides = [side for side in (node.this, node.expression) if solver.has_column(side)]
    is_set = any(solver.kind_of(side) in ("range", "inet", "cidr") for side in sides)
    return _contain(solver, node, targets) if is_set else solver.solve_call(node, targets)


def _have_keys(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """?, ?| and ?&."""
    keys = spread(find_values(node.expression)) or ["k"]
    if solver.kind_of(node.this) == "hstore":
        pairs = [f'"{key}"=>"1"' for key in keys]
        return solver.solve(node.this, [", ".join(pairs), *pairs, ""])
    return solver.solve(node.this, documents.with_keys(keys))


def _search_text(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """@@ of a text search or of a jsonpath."""
    sides = [node.this, *node.expressions]
    (value,) = [each for side in sides if not solver.has_column(side) for each in find_values(side)][:1] or ["a"]
    if value.startswith(("$", "strict", "lax", "exists")):
        return solver.solve_any(sides, follow_path(value))
    words = "".join(letter if letter.isalnum() else " " for letter in value).split()
    return solver.solve_any(sides, [" ".join(words), *words, "", " ".join([*words, "other"]), "other"])


def _follow_path(solver: Solver, node: exp.Expr, _targets: Sequence[str]) -> list[str]:
    """@? of a jsonpath."""
    return solver.solve(node.this, follow_path((find_values(node.expression) or ["$"])[0]))


SETS = (exp.ArrayContainsAll, exp.ArrayContainedBy, exp.ArrayOverlaps, exp.Adjacent, exp.ExtendsLeft, exp.ExtendsRight)
METHODS: dict[type, Method] = {
    **dict.fromkeys((exp.Like, exp.ILike, exp.SimilarTo, exp.RegexpLike, exp.RegexpILike), _match),
    exp.Escape: _match_escaped,
    exp.StartsWith: _begin_with,
    **dict.fromkeys(SETS, _contain),
    exp.Overlaps: _overlap,
    **dict.fromkeys((exp.BitwiseLeftShift, exp.BitwiseRightShift), _shift),
    **dict.fromkeys((exp.JSONBContainsTopKey, exp.JSONBContainsAnyTopKeys, exp.JSONBContainsAllTopKeys), _have_keys),
    exp.MatchAgainst: _search_text,
    exp.JSONBPathExists: _follow_path,
}
"""By class of expression, what solves it."""
