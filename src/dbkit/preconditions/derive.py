"""Derive the preconditions of a revision from what the catalog demands before it and after it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from dbkit.catalog.facts import FIRST_NORMAL_OID
from dbkit.postgres.sql_quote import quote_ident
from dbkit.preconditions import conditions
from dbkit.preconditions.casts import CastFailure, SqlType, cast_failure, keeps_distinct, parse_type
from dbkit.preconditions.conditions import Key
from dbkit.preconditions.conjunctions import split_conjunction
from dbkit.preconditions.effects import Effects
from dbkit.preconditions.precondition import Precondition, Source
from dbkit.preconditions.shapes import Column, Constraint, Index, Shapes, TableShape

SIMILAR = {
    **dict.fromkeys(("text", "character varying", "citext"), ("'dbkit'", "'DBKIT'", "' dbkit '")),
    **dict.fromkeys(("integer", "bigint", "smallint"), ("10", "11", "-10")),
    **dict.fromkeys(("numeric", "double precision", "real"), ("10.1", "10.1001", "10.2", "-10.1")),
    **dict.fromkeys(
        ("timestamp with time zone", "timestamp without time zone"),
        ("'2020-01-01 10:00'", "'2020-01-01 10:00:00.1'", "'2020-01-01 10:00:01'"),
    ),
}
"""By type, values that are often made equal: other letters, spaces, a sign, the next number or moment."""


def derive_preconditions(before: Shapes, after: Shapes, effects: Effects) -> list[Precondition]:
    """Return what a revision demands of the rows of before, by the states before and after it.

    `effects`: what its statements do to rows, and the expressions of its type changes.
    """
    found: list[Precondition] = []
    for oid, now in after.tables.items():
        was = before.tables.get(oid)
        if was is not None:
            found += _Derivation(before, after, effects, was, now).derive()
    return list({each.query: each for each in found}.values())


@dataclass(frozen=True)
class _Derivation:
    """The preconditions of one table."""

    before: Shapes
    after: Shapes
    effects: Effects
    was: TableShape
    now: TableShape

    def derive(self) -> Iterator[Precondition]:
        yield from self._of_types()
        yield from self._of_not_null()
        for each in self.now.constraints:
            texts = self._texts_of(each)
            if each.is_valid and self._is_new(each) and not self._is_unclear(texts):
                yield from (self._as_changed(found, texts) for found in self._of_constraint(each))
        for index in self.now.indexes:
            texts = [*index.expressions, index.predicate]
            if self._is_new_key(index) and not self._is_unclear(texts):
                yield self._as_changed(self._of_index(index), texts)
        yield from self._of_domains()
        if self.now.bounds and self.now.bounds != self.was.bounds and not self._is_bound_above():
            words = f"every row of {self.was.label} is within the bounds {self.now.bounds}"
            yield conditions.check(self._source([self.now.bounds]), self.now.bounds, kind="partition", words=words)

    def _is_bound_above(self) -> bool:
        """Whether the bounds are other ones because those of the table above are."""
        pairs = [(self.before.tables.get(each), self.after.tables.get(each)) for each in self.now.parents]
        return any(was and now and was.bounds != now.bounds for was, now in pairs)

    # NOT NULL

    def _of_not_null(self) -> Iterator[Precondition]:
        for number, column in self.now.columns.items():
            earlier = self.was.columns.get(number)
            if not column.not_null or (earlier.not_null if earlier else column.is_computed):
                continue
            if any(self._is_not_null_in(parent, column.name) for parent in self.now.parents):
                continue
            if self._is_unclear([column.name]) or (earlier and self._is_checked(earlier)):
                continue
            is_new = earlier is None and not column.default
            if is_new and self.effects.is_read(self.was):
                continue
            if is_new and not self.effects.changes(self.was):
                yield conditions.no_rows(self._source([]), f"{column.name} is NOT NULL and has no default")
            else:
                shown = earlier.name if earlier else column.name
                yield conditions.not_null(self._source([quote_ident(column.name)]), column.name, shown=shown)

    def _is_checked(self, column: Column) -> bool:
        """Whether a valid CHECK has guaranteed before that a column has no NULL."""
        return not self._guaranteed.isdisjoint(_not_null_of([column.name, quote_ident(column.name)]))

    @cached_property
    def _guaranteed(self) -> frozenset[str]:
        """The conditions that no row of before could violate, by its columns and valid checks."""
        names = [column.name for column in self.was.columns.values() if column.not_null]
        checks = [
            split_conjunction(each.expression)
            for each in self.was.constraints
            if each.kind == "c" and each.is_valid and not (each.is_only and self.was.has_children)
        ]
        return frozenset().union(_not_null_of([*names, *map(quote_ident, names)]), *checks)

    def _is_not_null_in(self, parent: int, name: str) -> bool:
        """Whether a column of the table above is NOT NULL, which then is where that is asked."""
        table = self.after.tables.get(parent)
        return table is not None and any(each.name == name and each.not_null for each in table.columns.values())

    # Constraints

    def _is_new(self, constraint: Constraint) -> bool:
        """Whether it was not there, or not valid."""
        texts = self._texts_of(constraint)
        if self._changes_values(texts):
            return True
        for each in self.was.constraints:
            if each.oid == constraint.oid:
                return not each.is_valid
            # a constraint that a new type of a column builds again, or that replaces another one
            if each.is_valid and each.meaning == constraint.meaning and not self._differs(texts):
                return False
        is_implied = constraint.kind == "c" and split_conjunction(constraint.expression) <= self._guaranteed
        return not is_implied or self._differs(texts)

    def _texts_of(self, constraint: Constraint) -> list[str]:
        names = [
            quote_ident(self.now.columns[number].name) for number in constraint.columns if number in self.now.columns
        ]
        return [constraint.expression, *names]

    def _of_constraint(self, constraint: Constraint) -> Iterator[Precondition]:
        if constraint.kind == "c":
            source = self._source(self._texts_of(constraint), is_only=constraint.is_only)
            yield conditions.check(source, constraint.expression)
        elif constraint.kind == "f":
            yield from self._of_foreign_key(constraint)
        for index in self.now.indexes:
            if constraint.kind == "x" and index.oid == constraint.index:
                key = Key(index.expressions, index.predicate, operators=constraint.operators)
                yield conditions.exclusion(self._source([*index.expressions, index.predicate]), key)

    def _of_foreign_key(self, constraint: Constraint) -> Iterator[Precondition]:
        parent, parent_now = self.before.tables.get(constraint.parent), self.after.tables.get(constraint.parent)
        if parent_now is None or (self.now.parents and self._is_parent_partition()):
            return
        if not constraint.is_full and any(self._stays_null(number) for number in constraint.columns):
            return
        names = [self.now.columns[number].name for number in constraint.columns]
        keys = [parent_now.columns[number].name for number in constraint.parent_columns]
        source = self._source(list(map(quote_ident, names)), is_only=self.was.has_children)
        if parent is None:
            parent_source = self.effects.inserted_source(parent_now, keys)
        else:
            other = _Derivation(self.before, self.after, self.effects, parent, parent_now)
            parent_source = other._source(list(map(quote_ident, keys)), is_only=parent.has_children)
        if parent_source is None:
            return  # what the revision inserts there is not known before
        # most are =, and a query with plain ones is easier to read
        is_plain = all(each == "OPERATOR(pg_catalog.=)" for each in constraint.operators)
        yield conditions.foreign_key(
            source,
            names,
            parent_source,
            keys,
            is_full=constraint.is_full,
            operators=() if is_plain else constraint.operators,
        )

    def _is_new_key(self, index: Index) -> bool:
        """Whether it is unique, and no index was before by which no two rows were equal in it."""
        if not (index.is_unique and index.is_valid):
            return False
        texts = [*index.expressions, index.predicate]
        is_implied = any(self._implies(each, index) for each in self.was.indexes)
        return not is_implied or self._differs(texts) or self._changes_values(texts)

    def _implies(self, one: Index, other: Index) -> bool:
        """Whether rows of before that satisfied a unique index satisfy another one, too."""
        if not (one.is_unique and one.is_valid) or (other.are_nulls_equal and not one.are_nulls_equal):
            return False
        # a row with a NULL is equal to none
        by_itself = frozenset() if other.are_nulls_equal else _not_null_of(other.expressions)
        known = self._guaranteed | by_itself | split_conjunction(other.predicate)
        is_wider = _parts_of(one, self.was) <= _parts_of(other, self.now) and split_conjunction(one.predicate) <= known
        return one.oid == other.oid or is_wider

    def _of_index(self, index: Index) -> Precondition:
        key = Key(index.expressions, index.predicate, index.are_nulls_equal)
        source = self._source([*index.expressions, index.predicate], is_only=self.was.has_children)
        found = conditions.unique(source, key)
        return replace(found, bad=(*found.bad, *self._similar_rows(index))) if source.is_made else found

    def _similar_rows(self, index: Index) -> Iterator[str]:
        """Yield queries for rows whose values differ, and which a statement may make equal."""
        for column in self._named(index.expressions):
            earlier = self.was.columns.get(column.number)
            name = quote_ident(earlier.name) if earlier else ""
            for value in SIMILAR.get(parse_type(earlier.type).name, ()) if earlier else ():
                yield f"SELECT 1 FROM {self.was.sql} AS counted WHERE {name} = {value}"  # noqa: S608

    def _stays_null(self, number: int) -> bool:
        """Whether a column is a new one that no statement of the revision gives a value to."""
        column = self.now.columns[number]
        if number in self.was.columns or column.default or column.is_computed:
            return False
        return self.effects.row_changes(self.was, self.now, [column.name]) == []

    def _is_parent_partition(self) -> bool:
        """Whether the table above, which existed before, is asked the same."""
        return any(parent in self.before.tables and parent in self.was.parents for parent in self.now.parents)

    # Types

    def _of_types(self) -> Iterator[Precondition]:
        for number, column in self.now.columns.items():
            earlier = self.was.columns.get(number)
            if earlier is None or not _has_other_type(earlier, column):
                continue
            if self.now.parents and self._is_parent_partition():
                continue
            for failure in self._cast_failures(earlier, column):
                source = self._source([], plain=True)
                words = f"every {self.was.label}.{earlier.name} can be converted to {self._shown_type(column)}"
                yield conditions.fails(source, "type", words, failure.failing, good=failure.good, bad=failure.bad)

    def _cast_failures(self, earlier: Column, column: Column) -> Iterator[CastFailure]:
        using = self.effects.using(self.was, earlier.name, column.name)
        source, target = self._type(self.before, earlier), self._type(self.after, column)
        if using is not None:
            types = {each.name: self._type(self.before, each) for each in self.was.columns.values()}
            yield from using.failures(types, target, self.after.version)
            return
        found = cast_failure(quote_ident(earlier.name), source, target, is_explicit=False, version=self.after.version)
        if found:
            yield found

    def _type(self, shapes: Shapes, column: Column) -> SqlType:
        """Return the type of a column; of a domain, the type that it is based on."""
        if column.type_kind == "d":
            return parse_type(shapes.base_types.get(column.type_oid, "text"))
        return parse_type(column.type, shapes.labels.get(column.type_oid, ()))

    def _shown_type(self, column: Column) -> str:
        labels = self.after.labels.get(column.type_oid)
        return f"{column.type} ({', '.join(labels)})" if labels else column.type

    # Domains

    def _of_domains(self) -> Iterator[Precondition]:
        for number, column in self.now.columns.items():
            earlier = self.was.columns.get(number)
            if column.type_kind != "d" or earlier is None:
                continue
            known = self.before.domains.get(column.type_oid, {}) if earlier.type_oid == column.type_oid else {}
            for oid, expression in self.after.domains.get(column.type_oid, {}).items():
                if oid in known:
                    continue
                value = quote_ident(earlier.name)
                if oid == 0:
                    yield replace(conditions.not_null(self._source([value], plain=True), earlier.name), kind="domain")
                    continue
                text = replace_value(expression, value)
                words = f"every {self.was.label}.{earlier.name} satisfies the domain {column.type}: {expression}"
                yield conditions.check(self._source([value], plain=True), text, kind="domain", words=words)

    # The rows, as a condition reads them after the revision

    def _is_unclear(self, texts: Sequence[str]) -> bool:
        """Whether the revision changes the named columns in a way that no query on the rows of before can follow."""
        names = {column.name for column in self._named(texts)}
        is_known = self.effects.row_changes(self.was, self.now, names) is not None
        return not is_known or self.effects.has_unclear_changes(self.was, self.now, names)

    def _differs(self, texts: Iterable[str]) -> bool:
        """Whether a column that is named in these expressions is another one than before, or has other values."""
        return any(
            (each := self.was.columns.get(column.number)) is None
            or (_has_other_type(each, column) and not self._keeps_values(each, column))
            for column in self._named(texts)
        )

    def _changes_values(self, texts: Iterable[str]) -> bool:
        """Whether a statement gives other values to a column that is named in these expressions."""
        names = {column.name for column in self._named(texts)}
        return any(
            not step.assigned.keys().isdisjoint(names)
            for step in self.effects.row_changes(self.was, self.now, names) or ()
        )

    def _as_changed(self, found: Precondition, texts: Iterable[str]) -> Precondition:
        """Return a precondition whose words tell that the rows are asked as statements leave them."""
        is_changed = self._changes_values(texts)
        return replace(found, words=f"{found.words}, once the revision has changed them") if is_changed else found

    def _keeps_values(self, earlier: Column, column: Column) -> bool:
        """Whether values that differ still do after a change of the type."""
        using = self.effects.using(self.was, earlier.name, column.name)
        is_plain = using is None or using.is_cast_of((earlier.name, column.name))
        return is_plain and keeps_distinct(self._type(self.before, earlier), self._type(self.after, column))

    def _named(self, texts: Iterable[str]) -> list[Column]:
        joined = " ".join(texts)
        return [column for column in self.now.columns.values() if mentions(joined, column.name)]

    def _source(self, texts: Sequence[str], *, is_only: bool = False, plain: bool = False) -> Source:
        """Return the rows of before, with the columns that are named in expressions as the revision makes them."""
        table = f"ONLY {self.was.sql}" if is_only else self.was.sql
        source = Source(table, self.was.label, self.was.key, self.was.sql, self.was.key)
        if plain:
            return source
        needed = self._named(texts)
        values = {column.name: self._value(column) for column in needed}
        changed = {name: value for name, value in values.items() if value != quote_ident(name)}
        steps = self.effects.row_changes(self.was, self.now, [column.name for column in needed]) or []
        if not changed and not steps:
            return source
        return self.effects.build_source(source, self.was, self.now, values, steps, self._value)

    def _value(self, column: Column) -> str:
        """Return the value of a column after the revision, in a row of before."""
        earlier = self.was.columns.get(column.number)
        if earlier is None:
            kind = column.type if column.type_oid < FIRST_NORMAL_OID else "text"
            return f"CAST({column.default or 'NULL'} AS {kind})"
        if _has_other_type(earlier, column) and parse_type(column.type).name == "citext":
            return f"pg_catalog.lower({quote_ident(earlier.name)}::text)"  # the type may not be there before
        if not _has_other_type(earlier, column) or column.type_oid >= FIRST_NORMAL_OID:
            return quote_ident(earlier.name)
        using = self.effects.using(self.was, earlier.name, column.name)
        converted = f"CAST({using.sql if using else quote_ident(earlier.name)} AS {column.type})"
        failing = [each.failing for each in self._cast_failures(earlier, column)]
        # what cannot be converted is another precondition
        return f"CASE WHEN NOT ({' OR '.join(failing)}) THEN {converted} END" if failing else converted


def _has_other_type(earlier: Column, column: Column) -> bool:
    return (earlier.type_oid, earlier.modifier) != (column.type_oid, column.modifier)


def _parts_of(index: Index, table: TableShape) -> set[int | str]:
    """Return the columns of an index, by number, and its expressions."""
    numbers = {name: each.number for each in table.columns.values() for name in (each.name, quote_ident(each.name))}
    return {numbers.get(each, each) for each in index.expressions}


def _not_null_of(expressions: Iterable[str]) -> frozenset[str]:
    """Return the conditions that expressions are not NULL, as PostgreSQL writes them."""
    return frozenset(f"{each} IS NOT NULL" for each in expressions)


def mentions(text: str, name: str) -> bool:
    """Whether an expression contains a name."""
    return re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", text, re.IGNORECASE) is not None


def replace_value(expression: str, value: str) -> str:
    """Return a check of a domain on an expression in place of VALUE; strings stay as they are."""
    parts = re.split(r"('(?:[^']|'')*')", expression)
    return "".join(part if part.startswith("'") else re.sub(r"\bVALUE\b", value, part) for part in parts)
