"""Goals of the Python in a revision file: rows that its comparisons are true of."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice, permutations

from sqlglot import exp

from dbkit.coverage.goals import Goal, make_column
from dbkit.coverage.goals import Table as Name
from dbkit.coverage.python_comparisons import Comparison, Literal
from dbkit.coverage.python_source import PythonCondition
from dbkit.sample_data.constraints import Column, Table
from dbkit.sample_data.values import DATES, DOCUMENTS, NUMBERS, TEXTS

MOST_GOALS = 48
MOST_CONTAINERS = 4
NUMBER = (int, float, Decimal)
JSON = re.compile(r"\bjson\.loads\b")


def python_goals(
    conditions: Sequence[PythonCondition],
    queries: Sequence[Goal],
    find: Callable[[Name], Table | None],
    source: str = "",
) -> list[Goal]:
    """Return goals for the conditions: rows that a query returns, and of which the condition is true.

    `queries` are the goals of the queries whose rows Python examines. A condition is on each of their tables that has
    a column, or a document, of that name; `source` is the text of the file.
    """
    reader = _Reader(find, is_json_text=bool(JSON.search(source)), containers=_containers(source))
    return list(islice(reader.goals(conditions, queries), MOST_GOALS))


def _containers(source: str) -> list[str]:
    """Return the keys of documents that Python reads: `doc["lines"]`, `doc.get("lines")`."""
    found = re.findall(r"""(?:\.get\(|\[)\s*["'](\w+)["']""", source)
    return list(dict.fromkeys(found))[:MOST_CONTAINERS]


@dataclass
class _Reader:
    find: Callable[[Name], Table | None]
    is_json_text: bool
    """Whether columns of texts may contain json."""
    containers: Sequence[str]

    def goals(self, conditions: Sequence[PythonCondition], queries: Sequence[Goal]) -> Iterator[Goal]:
        """Yield a goal for each condition and query, and for a condition on the rows of several queries."""
        different = list({(tuple(sorted(goal.tables.values())), goal.words): goal for goal in queries}.values())
        for condition in conditions:
            for goal in different:
                for key, name in goal.tables.items():
                    table = self.find(name)
                    for atoms in self._atoms(condition, table, key) if table else ():
                        yield replace(goal, atoms=(*goal.atoms, *atoms))
            if len(condition.values) > 1:
                yield from self._over_tables(condition, different)

    def _over_tables(self, condition: PythonCondition, queries: Sequence[Goal]) -> Iterator[Goal]:
        """Yield a goal with one row in each table that has one of the names, where no table has them all."""
        names = {name: table for goal in queries for name in goal.tables.values() if (table := self.find(name))}
        having = {name: [each for each in condition.values if table.has(each)] for name, table in names.items()}
        having = {name: columns for name, columns in having.items() if columns}
        if len(having) < 2 or any(len(columns) == len(condition.values) for columns in having.values()):
            return
        keys = {f"p{number}": name for number, name in enumerate(having)}
        atoms: list[exp.Expr] = []
        for key, name in keys.items():
            part = PythonCondition({column: condition.values[column] for column in having[name]})
            atoms += next(iter(self._atoms(part, names[name], key)), ())
        atoms += _links({key: names[name] for key, name in keys.items()})
        yield Goal(keys, tuple(atoms))

    def _atoms(self, condition: PythonCondition, table: Table, key: str) -> Iterator[tuple[exp.Expr, ...]]:
        """Yield conjunctions for a table: one where all names are columns, one for each column where none is known."""
        known: list[exp.Expr] = []
        unknown: list[Literal] = []
        for name, literals in condition.values.items():
            operand = self._operand(table, name, key)
            if operand:
                known += [atom for each in literals if (atom := _compare(*operand, each)) is not None]
                yield from self._nested(operand, name, literals)
                yield from self._keys_of_texts(operand, literals)
            elif not name:
                unknown += literals
        if known and not unknown:
            yield tuple(known)
        for literal in unknown:
            for column in table.columns:
                operand_of_column = _column(column, key)
                if self.is_json_text and column.type.name in TEXTS and literal.kind == Comparison.MEMBER:
                    document = exp.cast(operand_of_column, "jsonb")
                    yield (
                        *known,
                        exp.JSONBContainsTopKey(this=document, expression=exp.Literal.string(str(literal.value))),
                    )
                atom = None if column.drawn else _compare(operand_of_column, column, literal)
                if atom is not None:
                    yield (*known, atom)

    def _keys_of_texts(
        self, operand: tuple[exp.Expr, Column], literals: Sequence[Literal]
    ) -> Iterator[tuple[exp.Expr, ...]]:
        """Yield conditions that a text is a document with a key."""
        value, column = operand
        if self.is_json_text and column.type.name in TEXTS and isinstance(value, exp.Column):
            for literal in literals:
                if literal.kind in (Comparison.MEMBER, Comparison.SUBSTRING) and not literal.is_negated:
                    key = exp.Literal.string(str(literal.value))
                    yield (exp.JSONBContainsTopKey(this=exp.cast(value.copy(), "jsonb"), expression=key),)

    def _operand(self, table: Table, name: str, key: str) -> tuple[exp.Expr, Column] | None:
        """Return what has a name in a row: a column, or the key of a document."""
        if not name:
            return None
        if table.has(name):
            return _column(table.column(name), key), table.column(name)
        for column in table.columns:
            is_text = self.is_json_text and column.type.name in TEXTS and not column.drawn
            if column.type.name in DOCUMENTS or is_text:
                document = exp.cast(_column(column, key), "jsonb") if is_text else _column(column, key)
                value = exp.JSONExtractScalar(this=document, expression=exp.Literal.string(name))
                return exp.Paren(this=value), column
        return None

    def _nested(
        self, operand: tuple[exp.Expr, Column], name: str, literals: Sequence[Literal]
    ) -> Iterator[tuple[exp.Expr, ...]]:
        """Yield conditions that a document has the value in a list, or in a document, within it."""
        document, _column_of_document = operand
        if not isinstance(document, exp.Paren):
            return
        scalar = next(document.find_all(exp.JSONExtractScalar))
        for literal in literals:
            if literal.kind != Comparison.EQUAL or literal.is_negated:
                continue
            for container in self.containers:
                inner = {name: literal.value}
                for value in ({container: [inner]}, {container: inner}) if container != name else ():
                    text = exp.cast(exp.Literal.string(json.dumps(value, default=str)), "jsonb")
                    yield (exp.ArrayContainsAll(this=scalar.this.copy(), expression=text),)


def _links(tables: Mapping[str, Table]) -> Iterator[exp.Expr]:
    """Yield the equalities by which rows refer to each other."""
    for (child, table), (parent, other) in permutations(tables.items(), 2):
        for reference in table.references:
            if reference.parent == other.oid:
                for name, key in zip(reference.columns, reference.parent_columns, strict=True):
                    yield exp.EQ(this=make_column(child, name), expression=make_column(parent, key))


def _column(column: Column, key: str) -> exp.Expr:
    return make_column(key, column.name)


def _compare(operand: exp.Expr, column: Column, literal: Literal) -> exp.Expr | None:
    """Return the comparison as SQL; None where a value of the column cannot be compared with the literal."""
    atom = _positive(operand, column, literal)
    return exp.Not(this=exp.Paren(this=atom)) if atom is not None and literal.is_negated else atom


def _positive(operand: exp.Expr, column: Column, literal: Literal) -> exp.Expr | None:
    is_key = isinstance(operand, exp.Paren)
    kind = "text" if is_key else column.type.name
    value = literal.value
    if literal.kind == Comparison.IS_NONE or (literal.kind == Comparison.EQUAL and value is None):
        return exp.Is(this=operand, expression=exp.Null())
    if literal.kind == Comparison.TRUTHY:
        return _truthy(operand, column, kind)
    if literal.kind == Comparison.LENGTH:
        return exp.EQ(this=_call(_measure(column, kind), operand), expression=exp.Literal.number(str(value)))
    if literal.kind == Comparison.MEMBER and kind in DOCUMENTS:
        return exp.JSONBContainsTopKey(this=exp.cast(operand, "jsonb"), expression=exp.Literal.string(str(value)))
    if literal.kind == Comparison.MEMBER and column.type.element and not is_key:
        return exp.EQ(this=exp.Literal.string(str(value)), expression=exp.Any(this=exp.Paren(this=operand)))
    if not _is_comparable(kind, column, value):
        return None
    if literal.kind in (Comparison.LESS, Comparison.GREATER):
        order = exp.LT if literal.kind == Comparison.LESS else exp.GT
        return order(this=operand, expression=_literal(value, kind))
    if literal.kind == Comparison.EQUAL:
        if isinstance(value, bool) and kind == "bool":
            return exp.Is(this=operand, expression=exp.Boolean(this=value))
        return exp.EQ(this=operand, expression=_literal(value, kind))
    return _search(operand, literal.kind, str(value))


def _search(operand: exp.Expr, kind: Comparison, value: str) -> exp.Expr:
    """Return the condition that a text is in a value: at its beginning, its end, or anywhere."""
    text = exp.Literal.string(value)
    match kind:
        case Comparison.PREFIX:
            return _call("starts_with", operand, text)
        case Comparison.SUFFIX:
            return exp.EQ(this=_call("right", operand, exp.Literal.number(len(value))), expression=text)
        case Comparison.PATTERN:  # PostgreSQL has no named groups
            pattern = re.sub(r"\(\?P<\w+>", "(", value)
            return exp.RegexpLike(this=operand, expression=exp.Literal.string(pattern))
    return exp.GT(this=_call("strpos", operand, text), expression=exp.Literal.number(0))


def _call(name: str, *arguments: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _measure(column: Column, kind: str) -> str:
    """Return the function for the length of a value."""
    if kind in DOCUMENTS:
        return f"{kind}_array_length"
    return "cardinality" if column.type.element and kind == column.type.name else "length"


def _truthy(operand: exp.Expr, column: Column, kind: str) -> exp.Expr:
    """Return the condition that a value is true in Python: not NULL, empty or zero."""
    if kind == "bool":
        return operand
    empty: exp.Expr | None = None
    if kind in NUMBERS:
        empty = exp.Literal.number(0)
    elif kind in TEXTS:
        empty = exp.Literal.string("")
    elif column.type.element or kind in DOCUMENTS:
        empty = exp.Literal.string("{}")
    if empty is None:
        return exp.Not(this=exp.Is(this=operand, expression=exp.Null()))
    return exp.NEQ(this=operand, expression=empty)


def _is_comparable(kind: str, column: Column, value: object) -> bool:
    if isinstance(value, bool):
        return kind == "bool"
    if isinstance(value, NUMBER):
        return kind in NUMBERS or kind == "text"
    if kind in TEXTS or column.type.labels:
        return isinstance(value, str)
    return kind not in NUMBERS and kind != "bool" and (kind not in DATES or str(value)[:4].isdigit())


def _literal(value: object, kind: str) -> exp.Expr:
    if isinstance(value, NUMBER) and not isinstance(value, bool) and kind in NUMBERS:
        return exp.Literal.number(str(value))
    return exp.Literal.string(str(value))
