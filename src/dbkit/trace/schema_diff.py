"""Compare the shapes of tables before and after a statement."""

import re
from collections.abc import Iterator, Mapping

from dbkit.postgres.sql_text import tokenize
from dbkit.trace.queries import TABLE_KINDS, Column, Constraint, Relation, TableShape, Trigger
from dbkit.trace.records import Change, ChangeKind

KINDS = {"c": "check", "f": "foreign key", "n": "not null", "p": "primary key", "u": "unique", "x": "exclusion"}
EMPTY = TableShape()
ORDERING = re.compile(r"( DESC)?( NULLS (FIRST|LAST))?$")
NULL_DEFAULT = re.compile(r"NULL::.*")


def compare_shapes(
    before: Mapping[int, tuple[Relation, TableShape]],
    after: Mapping[int, tuple[Relation, TableShape]],
    names: Mapping[int, str],
) -> Iterator[Change]:
    """Yield the changes to tables, by OID. A table only in `before` was dropped, one only in `after` was created.

    `names`: of all relations, for the table that a foreign key references.
    """
    for oid in sorted(before.keys() | after.keys()):
        was, now = before.get(oid), after.get(oid)
        if was and now:
            if was[0].name != now[0].name:
                columns = _column_names(was[1])
                yield Change(
                    ChangeKind.TABLE_RENAMED, was[0].name, before=was[0].name, after=now[0].name, columns=columns
                )
            yield from _compare_tables(was[0].name, was[1], now[1], names)
            yield from _compare_access(was[0].name, was[1], now[1], names)
        elif was and was[0].kind in TABLE_KINDS:
            yield Change(ChangeKind.TABLE_DROPPED, was[0].name, columns=_column_names(was[1]))
        elif now and now[0].kind in TABLE_KINDS:
            yield Change(ChangeKind.TABLE_CREATED, now[0].name, columns=_column_names(now[1]))
            yield from _compare_tables(now[0].name, EMPTY, TableShape(constraints=now[1].constraints), names)


def _column_names(shape: TableShape) -> tuple[str, ...]:
    return tuple(shape.columns[number].name for number in sorted(shape.columns))


def _compare_tables(table: str, was: TableShape, now: TableShape, names: Mapping[int, str]) -> Iterator[Change]:
    yield from _compare_columns(table, was, now)
    yield from _compare_constraints(table, was, now, names)
    # on a type change that is binary compatible, an index gets a new catalog entry, and keeps its file
    kept_files = {each.filenode for each in was.indexes.values()} & {each.filenode for each in now.indexes.values()} - {
        0
    }
    for oid, index in now.indexes.items():
        if oid not in was.indexes and index.filenode not in kept_files:
            kind = "unique" if index.unique else ""
            yield Change(ChangeKind.INDEX_ADDED, table, index.name, kind, after=index.text, valid=index.valid)
    for oid, index in was.indexes.items():
        if oid not in now.indexes and index.filenode not in kept_files:
            is_last = index.unique and not any(
                each.unique and each.valid and replaces_unique(each.text, index.text) for each in now.indexes.values()
            )
            kind = "unique" if is_last else ""
            yield Change(ChangeKind.INDEX_DROPPED, table, index.name, kind, before=index.text)
    yield from _compare_triggers(table, was, now)


def replaces_unique(index: str, earlier: str) -> bool:
    """Return whether ON CONFLICT finds a unique index where it has found an earlier one, by their definitions.

    The order of the columns is no matter, nor what is included: https://www.postgresql.org/docs/18/sql-insert.html
    """
    (columns, condition), (wanted, earlier_condition) = _key_of(index), _key_of(earlier)
    return columns == wanted and condition in ("", earlier_condition)


def _key_of(index: str) -> tuple[frozenset[str], str]:
    """Return the columns and expressions of an index, without their order, and its condition."""
    depth, parts, rest = 0, [""], ""
    words = (token.text for token in tokenize(index.partition(" USING ")[2].partition(" ")[2]))
    for word in words:
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth == 0:
            rest = "".join(words)
        elif depth == 1 and word == ",":
            parts.append("")
        elif depth > 1 or word != "(":
            parts[-1] += word
    return frozenset(ORDERING.sub("", part).strip() for part in parts), rest.partition(" WHERE ")[2]


def _compare_triggers(table: str, was: TableShape, now: TableShape) -> Iterator[Change]:
    for oid, trigger in now.triggers.items():
        before = was.triggers.get(oid)
        if before is None and not trigger.is_internal:
            kind = "before row" if trigger.is_before_row else ""
            yield Change(ChangeKind.TRIGGER_ADDED, table, trigger.name, kind, after=trigger.source)
        elif before is not None and before.is_enabled and not trigger.is_enabled:
            yield Change(ChangeKind.TRIGGER_DISABLED, table, trigger.name)
        elif before is not None and before.version != trigger.version and _is_same(before, trigger):
            yield Change(ChangeKind.TRIGGER_DISABLED, table, trigger.name, "enabled again")
    for oid, trigger in was.triggers.items():
        if oid not in now.triggers and not trigger.is_internal:
            yield Change(ChangeKind.TRIGGER_DROPPED, table, trigger.name)


def _is_same(was: Trigger, now: Trigger) -> bool:
    """Return whether a trigger is what it was, whatever its function does."""
    return was._replace(version=now.version, source=now.source) == now


def _compare_access(table: str, was: TableShape, now: TableShape, names: Mapping[int, str]) -> Iterator[Change]:
    before, after = was.access, now.access
    if before.owner != after.owner:
        yield Change(ChangeKind.OWNER_CHANGED, table, before=before.owner, after=after.owner)
    for parent in before.parents:
        if parent not in after.parents and parent in names:
            yield Change(ChangeKind.PARTITION_DETACHED, table, before=names[parent])
    for kind, has, had in (
        (ChangeKind.RULE_ADDED, after.rules, before.rules),
        (ChangeKind.RULE_DROPPED, before.rules, after.rules),
        (ChangeKind.OPTION_SET, after.options, before.options),
        (ChangeKind.POLICY_DROPPED, before.policies, after.policies),
    ):
        yield from (Change(kind, table, name) for name in has if name not in had)
    if (before.refused, before.limited, before.forced) != (after.refused, after.limited, after.forced):
        yield Change(
            ChangeKind.ROW_SECURITY_CHANGED,
            table,
            kind="forced" if after.forced else "on" if after.row_security else "",
            before=", ".join(before.refused),
            after=", ".join(after.refused),
            columns=after.limited,
            detail="" if before.limited == after.limited and before.forced == after.forced else "limited",
        )


def _compare_columns(table: str, was: TableShape, now: TableShape) -> Iterator[Change]:
    for number in sorted(was.columns.keys() | now.columns.keys()):
        before, after = was.columns.get(number), now.columns.get(number)
        if before is None and after is not None:
            kind = "not null" if after.not_null else ""
            yield Change(ChangeKind.COLUMN_ADDED, table, after.name, kind, before=after.type, after=after.default)
        elif before is not None and after is None:
            yield Change(ChangeKind.COLUMN_DROPPED, table, before.name, before=before.type, detail=before.default)
        elif before is not None and after is not None:
            if before.name != after.name:
                yield Change(ChangeKind.COLUMN_RENAMED, table, before.name, before=before.name, after=after.name)
            if (before.type_oid, before.type) != (after.type_oid, after.type):
                yield Change(ChangeKind.TYPE_CHANGED, table, after.name, before=before.type, after=after.type)
            if after.not_null and not before.not_null:
                yield Change(ChangeKind.NOT_NULL_SET, table, after.name, after=_default(after))
            if before.not_null and not after.not_null:
                yield Change(ChangeKind.NOT_NULL_DROPPED, table, after.name)
            if before.default != after.default:
                kind = "not null" if after.not_null else ""
                yield Change(
                    ChangeKind.DEFAULT_CHANGED, table, after.name, kind, before=_default(before), after=_default(after)
                )


def _default(column: Column) -> str:
    """Return the default of a column; "" where it is NULL."""
    return "" if NULL_DEFAULT.fullmatch(column.default) else column.default


def _compare_constraints(table: str, was: TableShape, now: TableShape, names: Mapping[int, str]) -> Iterator[Change]:
    dropped_texts = {each.name: each.text for oid, each in was.constraints.items() if oid not in now.constraints}
    for oid, each in now.constraints.items():
        before = was.constraints.get(oid)
        if before is None:
            yield _constraint_change(
                ChangeKind.CONSTRAINT_ADDED, table, each, now, names, dropped_texts.get(each.name, "")
            )
        elif each.valid and not before.valid:
            yield _constraint_change(ChangeKind.CONSTRAINT_VALIDATED, table, each, now, names)
    for oid, each in was.constraints.items():
        if oid not in now.constraints:
            yield _constraint_change(ChangeKind.CONSTRAINT_DROPPED, table, each, was, names)


def _constraint_change(
    what: ChangeKind, table: str, each: Constraint, shape: TableShape, names: Mapping[int, str], before: str = ""
) -> Change:
    columns = tuple(shape.columns[number].name for number in each.columns if number in shape.columns)
    return Change(
        what,
        table,
        each.name,
        KINDS[each.kind],
        before,
        each.text,
        valid=each.valid,
        references=names.get(each.references, ""),
        columns=columns,
    )
