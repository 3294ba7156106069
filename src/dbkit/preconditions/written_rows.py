"""The demands of a revision's statements on the rows that they read, by what they write."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from dbkit.postgres.sql_quote import quote_ident
from dbkit.preconditions import conditions
from dbkit.preconditions.cast_finder import UNREADABLE, find_cast_failures, type_of, without_tables
from dbkit.preconditions.casts import SqlType, cast_failure, parse_type
from dbkit.preconditions.conditions import Key
from dbkit.preconditions.effects import Effects, find_table, qualify, target_of
from dbkit.preconditions.precondition import Precondition, Source
from dbkit.preconditions.shapes import Shapes, TableShape


def written_preconditions(effects: Effects, after: Shapes) -> Iterator[Precondition]:
    """Yield what data statements demand of rows: what they convert can be converted, what they write is allowed there.

    None of a statement that reads a table which the revision has changed before: its rows are other ones then.
    """
    changed: set[int] = set()
    inserted: dict[int, list[_Demands]] = {}
    for tree in effects.trees:
        try:
            writings = [
                _Demands(writing, effects.shapes, after)
                for part in _split_union(tree)
                if (writing := _read_writing(part, effects.shapes, after)) and changed.isdisjoint(writing.sources)
            ]
            found = [each for demands in writings for each in demands.all()]
            found += _key_demands(tree, writings, effects, inserted)
        except UNREADABLE:
            continue
        yield from found
        target = find_table(target_of(tree), effects.shapes)
        if target is not None and isinstance(tree, exp.Update | exp.Insert | exp.Delete):
            changed.add(target.oid)


def _split_union(tree: exp.Expr) -> Iterator[exp.Expr]:
    """Yield statements of one query each, which together do what an INSERT or CREATE TABLE of a UNION ALL does."""
    queries = [tree.expression] if isinstance(tree, exp.Insert | exp.Create) else []
    while any(isinstance(each, exp.Union) for each in queries):
        if any(
            isinstance(each, exp.Union) and (each.args.get("distinct") or each.args.get("with_")) for each in queries
        ):
            return
        queries = [
            part for each in queries for part in ([each.left, each.right] if isinstance(each, exp.Union) else [each])
        ]
    if len(queries) < 2:
        yield tree
        return
    for query in queries:
        part = tree.copy()
        part.set("expression", query.copy())
        yield part


def _key_demands(
    tree: exp.Expr, writings: "Sequence[_Demands]", effects: Effects, inserted: "dict[int, list[_Demands]]"
) -> Iterator[Precondition]:
    """Yield that keys which are inserted are not there already, nor inserted by another query.

    `inserted`: by OID of a table, the queries of former statements, to which these are added.
    """
    if not isinstance(tree, exp.Insert | exp.Create) or tree.args.get("conflict"):
        return
    for demands in writings:
        target = demands.writing.target
        if target is None:
            continue
        was = effects.shapes.tables.get(target.oid)
        if was is not None and not effects.changes(was):
            yield from demands.not_in_table(was)
        others = inserted.setdefault(target.oid, [])
        for other in others:
            yield from demands.not_in(other)
        others.append(demands)


@dataclass(frozen=True)
class _Writing:
    """A statement that computes values from rows of tables that existed before."""

    select: exp.Select
    alias: str
    table: TableShape
    """The first table that it reads."""
    types: Mapping[str, SqlType]
    """By name, the columns that it reads."""
    values: Mapping[str, exp.Expr]
    """By column of the target, what is written there; by number, where the target is not known."""
    target: TableShape | None
    sources: frozenset[int]
    """The OIDs of the tables that it reads."""


def _read_writing(tree: exp.Expr, before: Shapes, after: Shapes) -> _Writing | None:
    if isinstance(tree, exp.Update):
        select: exp.Expr | None = _as_select(tree)
        assigned = [each for each in tree.expressions if isinstance(each, exp.EQ)]
        values = {each.this.name: each.expression for each in assigned}
        target = find_table(tree.this, before)
        now = after.tables.get(target.oid) if target else None
    elif isinstance(tree, exp.Insert | exp.Create) and isinstance(tree.expression, exp.Select):
        select = tree.expression
        named = tree.this if isinstance(tree.this, exp.Schema) and isinstance(tree, exp.Insert) else None
        now = find_table(tree.this.this if named else tree.this, after)
        names = [each.name for each in named.expressions] if named else []
        if isinstance(tree, exp.Insert) and not named and now:
            names = [each.name for each in now.columns.values()]
        given = [each.unalias() for each in select.expressions]
        values = dict(zip(names or map(str, range(len(given))), given, strict=False))
    else:
        return None
    from_ = select.args.get("from_") if isinstance(select, exp.Select) else None
    if from_ is None or not isinstance(select, exp.Select):
        return None
    sources = [from_.this, *(join.this for join in select.args.get("joins") or ())]
    known = [(each.alias_or_name, find_table(each, before)) for each in sources if isinstance(each, exp.Table)]
    tables = [(alias, table) for alias, table in known if table is not None]
    if not tables or len(tables) != len(sources):
        return None
    types = {
        column.name: parse_type(column.type, before.labels.get(column.type_oid, ()))
        for _, table in tables
        for column in table.columns.values()
    }
    read = [find_table(each, before) for each in (select, *values.values()) for each in each.find_all(exp.Table)]
    oids = frozenset(table.oid for table in read if table is not None)
    return _Writing(select, *tables[0], types, values, now, oids)


@dataclass(frozen=True)
class _Demands:
    """The preconditions of one statement."""

    writing: _Writing
    before: Shapes
    after: Shapes

    def all(self) -> Iterator[Precondition]:
        for name, value in self.writing.values.items():
            yield from self._of_casts(value)
            yield from self._of_assignment(name, value)
        target = self.writing.target
        if target is not None and target.oid in self.before.tables:
            yield from self._of_columns(self.before.tables[target.oid])
        elif target is not None:
            yield from self._of_target(target)

    def _of_casts(self, value: exp.Expr) -> Iterator[Precondition]:
        for failure in find_cast_failures(value, self.writing.types, (), self.before.version):
            source = self._source()
            if source:
                label = self.writing.table.label
                words = f"what a statement computes of {label} can be computed: {value.sql('postgres')}"
                yield conditions.fails(source, "cast", words, failure.failing, good=failure.good, bad=failure.bad)

    def _of_assignment(self, name: str, value: exp.Expr) -> Iterator[Precondition]:
        """Yield that a value fits the type of its column, which converts it without a cast."""
        target = self.writing.target
        kind = type_of(value, self.writing.types) if value.find(exp.Column) else None
        if target is None or kind is None or not target.column_type(name):
            return
        text = without_tables(value).sql("postgres")
        wanted = parse_type(target.column_type(name))
        found = cast_failure(text, kind, wanted, is_explicit=False, version=self.before.version)
        source = self._source() if found else None
        if not found or not source:
            return
        inner = [each.failing for each in find_cast_failures(value, self.writing.types, (), self.before.version)]
        failing = f"CASE WHEN {' OR '.join(inner)} THEN false ELSE {found.failing} END" if inner else found.failing
        is_column = isinstance(value, exp.Column)
        words = f"what is written into {target.label}.{name} fits {target.column_type(name)}: {text}"
        yield conditions.fails(source, "cast", words, failing, good=found.good if is_column else "", bad=found.bad)

    def _of_columns(self, target: TableShape) -> Iterator[Precondition]:
        """Yield that no NULL is written into a column of a table of before that takes none."""
        select = self.writing.select
        if select.args.get("group") or select.args.get("limit"):
            return
        for column in target.columns.values():
            value = self.writing.values.get(column.name)
            if value is None or not column.not_null or not self._can_be_null(value):
                continue
            source = self._source({column.name: value})
            if source:
                words = f"what is written into {target.label}.{column.name} is not NULL"
                yield conditions.not_null(source, column.name, words=words)

    def _can_be_null(self, value: exp.Expr) -> bool:
        if isinstance(value, exp.Column) and not self.writing.select.args.get("joins"):
            table = self.writing.table
            return not any(each.not_null and each.name == value.name for each in table.columns.values())
        return isinstance(value, exp.Null) or value.find(exp.Column) is not None

    def _of_target(self, target: TableShape) -> Iterator[Precondition]:
        """Yield what the constraints of a table that the revision creates demand of the rows that it inserts there."""
        select = self.writing.select
        if select.args.get("group") or select.args.get("limit"):
            return
        projected = self._source(self.writing.values)
        if projected is None:
            return
        source = replace(projected, label=target.label)
        for column in target.columns.values():
            if column.not_null and column.name in self.writing.values:
                yield conditions.not_null(source, column.name)
        for each in target.constraints:
            names = [target.columns[number].name for number in each.columns]
            if each.kind == "c" and each.is_valid and set(names) <= self.writing.values.keys():
                yield conditions.check(source, each.expression)
        for index in target.indexes:
            plain = {quote_ident(name) for name in self.writing.values} | set(self.writing.values)
            if index.is_unique and set(index.expressions) <= plain and not select.args.get("distinct"):
                yield conditions.unique(source, Key(index.expressions, index.predicate, index.are_nulls_equal))

    def not_in_table(self, was: TableShape) -> Iterator[Precondition]:
        """Yield that no key is one of the rows that the target had before."""
        for numbers, names in self._written_keys():
            is_same = was.oid in self.writing.sources and all(self.writing.values[name].name == name for name in names)
            if all(number in was.columns for number in numbers) and not is_same:
                existing = Source(was.sql, was.label, was.key, was.sql, was.key)
                source = self._source(self.writing.values)
                if source:
                    yield conditions.not_in(source, existing, names, [was.columns[number].name for number in numbers])

    def not_in(self, other: "_Demands") -> Iterator[Precondition]:
        """Yield that no key is one that another query writes into the same table."""
        others = [names for _, names in other._written_keys()]
        for _, names in self._written_keys():
            source, written = self._source(self.writing.values), other._source(other.writing.values)
            if names in others and source and written:
                yield conditions.not_in(source, written, names, names)

    def _written_keys(self) -> Iterator[tuple[list[int], list[str]]]:
        """Yield, of each unique key of the target whose values come from rows, the columns by number and by name."""
        target, values = self.writing.target, self.writing.values
        select = self.writing.select
        if target is None or select.args.get("group") or select.args.get("limit"):
            return
        columns = {name: each for each in target.columns.values() for name in (each.name, quote_ident(each.name))}
        for index in target.indexes:
            key = [columns[each] for each in index.expressions if each in columns and columns[each].name in values]
            is_whole = index.is_unique and not index.predicate and len(key) == len(index.expressions)
            if is_whole and any(values[each.name].find(exp.Column) for each in key):
                yield [each.number for each in key], [each.name for each in key]

    def _source(self, values: Mapping[str, exp.Expr] | None = None) -> Source | None:
        return _select_source(self.writing.select, self.writing.alias, self.writing.table, self.before, values)


def _as_select(tree: exp.Update) -> exp.Select | None:
    """Return the rows that an UPDATE reads."""
    source = tree.args.get("from_")
    select = exp.Select(from_=exp.From(this=tree.this.copy()))
    select.set("joins", [exp.Join(this=source.this.copy())] if source else [])
    if tree.args.get("where"):
        select.set("where", tree.args["where"].copy())
    return select


def _select_source(
    select: exp.Select, alias: str, table: TableShape, before: Shapes, values: Mapping[str, exp.Expr] | None = None
) -> Source | None:
    """Return the rows of a query as rows of its first table: with all columns, or with the given values."""
    names = table.key or ("ctid",)
    keys = tuple(f"key_{number}" for number, _ in enumerate(names, 1))
    columns = [exp.column(name, alias, quoted=name != "ctid") for name in names]
    listed: list[exp.Expr] = [exp.alias_(column, key) for column, key in zip(columns, keys, strict=True)]
    if values is None:
        listed.append(exp.Star())
    else:
        listed += [exp.alias_(value.copy(), name, quoted=True) for name, value in values.items()]
    query = exp.Select(
        expressions=listed,
        from_=select.args["from_"].copy(),
        joins=[each.copy() for each in select.args.get("joins") or ()],
        where=select.args["where"].copy() if select.args.get("where") else None,
    )
    qualified = qualify(query, before)
    if qualified is None:
        return None
    text = f"({qualified.sql('postgres')})"
    return Source(text, table.label, keys, table.sql, names, is_computed=values is not None)
