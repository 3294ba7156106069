"""Subqueries over the elements of an array or document, such as EXISTS (SELECT FROM unnest(x) …)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from dbkit.coverage import documents
from dbkit.coverage.solver import TRUTHS, Method, Solver
from dbkit.coverage.syntax import read_query, unwrap
from dbkit.coverage.variations import FEW
from dbkit.sample_data.constraints import Type
from dbkit.sample_data.texts import merge_lists, read_array, read_number, write_array

TEXT, DOCUMENT = Type("text", "b", "text"), Type("jsonb", "b", "jsonb")
MOST_ELEMENTS = 100


@dataclass(frozen=True)
class Source:
    """A function in FROM that returns one row for each element."""

    function: exp.Expr
    names: frozenset[str]
    """The names that a row or its columns have."""
    columns: tuple[str, ...] = ()
    """Those of the columns, where the query names them."""

    @property
    def name(self) -> str:
        """The name of the function."""
        return "unnest" if isinstance(self.function, exp.Unnest) else self.function.name.lower()

    @property
    def is_document(self) -> bool:
        """Whether it goes through a document."""
        return self.name.startswith("json")

    def element_type(self, outer: Type) -> Type:
        """Return the type of an element."""
        if self.is_document:
            return TEXT if self.name.endswith(("_text", "_keys")) else DOCUMENT
        return outer.element or TEXT

    def write(self, elements: Sequence[str]) -> str:
        """Return the array or document that has some elements, or some keys."""
        if self.name.endswith("_keys"):
            keys = [key if elements.index(key) == n else f"{key}{n}" for n, key in enumerate(elements)]
            return documents.write_json(dict.fromkeys(keys, 1))
        if self.name.endswith(("_each", "_each_text")):
            return documents.write_json({f"k{n}": documents.read_json(each) for n, each in enumerate(elements)})
        if self.is_document:
            return documents.write_json([documents.read_json(each) for each in elements])
        return write_array(elements)


def _solve_query(solver: Solver, node: exp.Expr, targets: Sequence[str]) -> list[str]:
    """EXISTS and other subqueries."""
    select = read_query(node)
    if select is None:
        return []
    sources = [source for source in _read_sources(select) if solver.has_column(source.function)]
    found = [_go_through(solver, select, source, targets) for source in sources]
    return merge_lists([*found, solver.solve_any([*select.expressions, *_read_conditions(select)], targets)])


def _solve_array(solver: Solver, node: exp.Expr, targets: Sequence[str]) -> list[str]:
    """ARRAY(SELECT …); other functions are no matter of queries."""
    select = read_query(node.expressions[0]) if node.expressions and node.name.lower() == "array" else None
    if select is None:
        return solver.solve_call(node, targets)
    elements = [each for target in targets for each in read_array(target) or () if each is not None]
    projected = [
        Source(unwrap(each), frozenset()) for each in select.expressions if isinstance(unwrap(each), exp.Anonymous)
    ]
    whole = [_write_whole(solver, source, targets) for source in projected if solver.has_column(source.function)]
    return merge_lists(
        [*whole, _solve_query(solver, select, list(dict.fromkeys(elements))), _solve_query(solver, select, targets)]
    )


def _go_through(solver: Solver, select: exp.Select, source: Source, targets: Sequence[str]) -> list[str]:
    """Return values whose elements satisfy the query: its conditions, its result, and how many it counts."""
    inner = replace(solver, kind=source.element_type(solver.kind), names=source.names)
    conditions = _read_conditions(select)
    further = [each for each in _read_sources(select) if inner.has_column(each.function) and each.names != source.names]
    found = [_go_through(inner, select, each, targets) for each in further]
    elements = merge_lists([*found, inner.solve_any(conditions, TRUTHS), inner.solve_any(select.expressions, targets)])
    elements = elements or list(FEW)
    found = [solver.solve(source.function, elements), _write_whole(solver, source, targets)]
    if source.name.endswith(("_each", "_each_text")):
        found.insert(0, _make_pairs(solver, inner, source, conditions))
    if source.name.endswith(("_recordset", "to_record")):
        found.insert(0, _make_records(solver, inner, source, conditions))
    numbers = [
        int(number) for each in targets if (number := read_number(each)) is not None and 0 < number < MOST_ELEMENTS
    ]
    many = [source.write([element] * number) for number in numbers[:4] for element in elements[:3]]
    # elements that differ
    spread = source.write(elements[:2]), source.write(elements[1:3])
    return merge_lists([*found, _solve_argument(solver, source, [*many, *spread])])


def _solve_argument(solver: Solver, source: Source, targets: Sequence[str]) -> list[str]:
    return solver.solve_any(source.function.expressions[:1], targets) if targets else []


def _write_whole(solver: Solver, source: Source, targets: Sequence[str]) -> list[str]:
    """Return values whose elements are those of an array, or of a text with commas."""
    lists = [read_array(target) or (target.split(",") if "," in target else list(target)) for target in targets[:6]]
    known = [[each for each in elements if each is not None] for elements in lists]
    return _solve_argument(solver, source, [source.write(elements) for elements in known if len(elements) > 1])


def _make_pairs(solver: Solver, inner: Solver, source: Source, conditions: Sequence[exp.Expr]) -> list[str]:
    """Return documents for jsonb_each(): their keys and values satisfy the conditions."""
    names = source.columns or ("key", "value")
    keys, values = (replace(inner, names=frozenset([name])).solve_any(conditions, TRUTHS) for name in names[:2])
    pairs = [(key, value) for value in (values or ["1"])[:10] for key in (keys or ["k"])[:6]]
    return _solve_argument(
        solver, source, [documents.write_json({key: documents.read_json(value)}) for key, value in pairs]
    )


def _make_records(solver: Solver, inner: Solver, source: Source, conditions: Sequence[exp.Expr]) -> list[str]:
    """Return documents for jsonb_to_recordset(): objects with the columns."""
    found: list[str] = []
    for name in source.columns:
        values = replace(inner, names=frozenset([name]), kind=TEXT).solve_any(conditions, TRUTHS)
        more = documents.put_at_key(documents.read_texts(values), name) if values else []
        found = (
            [text for one in found[:6] for other in more[:6] for text in documents.merge_documents(one, other)]
            or more
            or found
        )
    return _solve_argument(
        solver, source, [source.write([each]) if source.name.endswith("set") else each for each in found]
    )


def _read_sources(select: exp.Select) -> Iterator[Source]:
    clauses = [select.args.get("from_"), *(select.args.get("joins") or ()), *(select.args.get("laterals") or ())]
    for clause in clauses:
        table = clause.this if isinstance(clause, exp.From | exp.Join) else clause
        function = table if isinstance(table, exp.Unnest) or table is None else table.this
        while isinstance(function, exp.Lateral | exp.Table):
            function = function.this
        if isinstance(table, exp.Expr) and isinstance(function, exp.Expr):
            alias = table.args.get("alias")
            columns = tuple(column.name for column in (alias.args.get("columns") or ())) if alias else ()
            names = {"value", "key", table.alias, function.name.lower(), *columns}
            yield Source(function, frozenset(names | {name.lower() for name in names}) - {""}, columns)


def _read_conditions(select: exp.Select) -> list[exp.Expr]:
    clauses = [select.args.get("where"), select.args.get("having")]
    return [clause.this for clause in clauses if clause is not None]


METHODS: dict[type, Method] = {
    **dict.fromkeys((exp.Exists, exp.Subquery, exp.Select), _solve_query),
    exp.Anonymous: _solve_array,
}
"""By class of expression, what solves it."""
