"""Parts of values: of documents, arrays and composites, and fields of moments."""

from collections.abc import Sequence

from sqlglot import exp

from dbkit.coverage import arrays, documents, moment_functions
from dbkit.coverage.constants import find_values
from dbkit.coverage.solver import Method, Solver
from dbkit.coverage.syntax import read_path_keys
from dbkit.coverage.variations import vary_all
from dbkit.sample_data.texts import merge_lists, read_array, read_number, write_array

SOME_MOMENT = "2021-08-18 13:07:42.5"


def _take_value(solver: Solver, node: exp.Expr, targets: Sequence[str]) -> list[str]:
    """-> and ->>."""
    keys = read_path_keys(node) or [_read_key(node.expression)]
    if solver.kind_of(node.this) == "hstore":
        pairs = [f'"{keys[0]}"=>"{target}"' for target in targets if '"' not in target and "\\" not in target]
        return solver.solve(node.this, [*pairs, f'"{keys[0]}"=>NULL', ""])
    return _put_at_path(solver, node, targets, keys)


def _read_key(expression: exp.Expr) -> documents.Key:
    (value,) = find_values(expression)[:1] or ["k"]
    number = None if isinstance(expression, exp.Literal) and expression.is_string else read_number(value)
    return value if number is None else int(number)


def _take_at_path(solver: Solver, node: exp.Expr, targets: Sequence[str]) -> list[str]:
    """#> and #>>."""
    return _put_at_path(solver, node, targets, documents.read_path((find_values(node.expression) or ["k"])[0]))


def _put_at_path(solver: Solver, node: exp.Expr, targets: Sequence[str], keys: Sequence[documents.Key]) -> list[str]:
    is_text = isinstance(node, exp.JSONExtractScalar | exp.JSONBExtractScalar)
    values = (
        documents.read_texts(targets)
        if is_text
        else [documents.write_json(documents.read_json(each)) for each in targets]
    )
    return solver.solve(node.this, documents.put_at_path(values, keys))


def _take_element(solver: Solver, node: exp.Expr, targets: Sequence[str]) -> list[str]:
    """x[1], x[1:2] and x['key']."""
    index, kind = node.expressions[0], solver.kind_of(node.this)
    if solver.has_column(index):
        # the place in a constant array, or the last one of the column's
        ends = [write_array(["a"] * n + [each]) for each in targets[:8] for n in (0, 1, 2)]
        places = [str(n) for n in range(12)]
        return merge_lists([solver.solve(index, places), solver.solve(node.this, ends)])
    if isinstance(index, exp.Slice):
        return solver.solve(node.this, arrays.at_slice(targets))
    (value,) = find_values(index)[:1] or ["0"]
    number = read_number(value)
    # the parser counts from zero
    place = int(number or 0) + 1
    if kind in ("json", "jsonb"):
        return solver.solve(node.this, documents.put_at_key(targets, value if number is None else place))
    if kind == "point":
        return solver.solve(node.this, [f"({each},{each})" for each in targets if read_number(each) is not None])
    return solver.solve(node.this, arrays.at_index(targets, place))


def _take_field(solver: Solver, node: exp.Expr, targets: Sequence[str]) -> list[str]:
    """(x).field: a type has no names of fields, so that each field gets the values."""
    count = max(len(solver.kind.fields), 1)
    made = [
        arrays.write_composite([None] * n + [each] + [None] * (count - 1 - n))
        for each in targets[:40]
        for n in range(count)
    ]
    return solver.solve(node.this, [*made, arrays.write_composite([None] * count)])


def _extract(solver: Solver, node: exp.Expr, targets: Sequence[str]) -> list[str]:
    """EXTRACT(field FROM x)."""
    part, kind = node.this.name.lower().strip("'"), solver.kind_of(node.expression)
    known = {"interval": moment_functions.extract_interval, "time": moment_functions.extract_time}.get(kind)
    functions = [known] if known else [moment_functions.extract_moment, moment_functions.extract_interval]
    found = [function(each, part) for each in targets for function in functions]
    return solver.solve(node.expression, merge_lists([*found, [SOME_MOMENT]]))


def _move_zone(solver: Solver, node: exp.Expr, targets: Sequence[str]) -> list[str]:
    """AT TIME ZONE."""
    (zone,) = find_values(node.args["zone"])[:1] or ["UTC"]
    is_local = solver.kind_of(node.this) in ("timestamp", "date")
    return solver.solve(node.this, moment_functions.move_zone(targets, zone, is_local))


def _make_array(solver: Solver, node: exp.Expr, targets: Sequence[str]) -> list[str]:
    """ARRAY[x, …]: each element has that of an array."""
    lists = [elements for target in targets if (elements := read_array(target))]
    found: list[str] = []
    for place, part in enumerate(node.expressions):
        wanted = [each[place] for each in lists if place < len(each)] + [
            each for elements in lists for each in elements
        ]
        known = list(dict.fromkeys(each for each in wanted if each is not None))
        more = solver.solve(part, merge_lists([known, vary_all(known[:3])]))
        found = merge_lists([solver.join(found, more), found, more]) if found and more else found or more
    return found


METHODS: dict[type, Method] = {
    **dict.fromkeys((exp.JSONExtract, exp.JSONExtractScalar), _take_value),
    **dict.fromkeys((exp.JSONBExtract, exp.JSONBExtractScalar), _take_at_path),
    exp.Bracket: _take_element,
    exp.Dot: _take_field,
    exp.Array: _make_array,
    exp.Extract: _extract,
    exp.AtTimeZone: _move_zone,
}
"""By class of expression, what solves it."""
