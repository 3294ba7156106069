"""The effects of a revision's statements on rows, where they can be written as expressions of the rows of before."""

import logging
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp

from dbkit.catalog.facts import FIRST_NORMAL_OID
from dbkit.postgres.sql_quote import quote_ident
from dbkit.preconditions.cast_finder import UNREADABLE, find_cast_failures
from dbkit.preconditions.casts import CastFailure, SqlType
from dbkit.preconditions.precondition import Source
from dbkit.preconditions.shapes import Column, Shapes, TableShape

logging.getLogger("sqlglot").setLevel(logging.ERROR)
WRITES = re.compile(r"\s*(?:update|delete|insert|merge|with|do|call|select|copy|truncate)\b", re.IGNORECASE)
CHANGES_ROWS = re.compile(
    r"\b(?:update\s+(?!set\b|cascade\b|restrict\b)|delete\s+from|merge\s+into|truncate)", re.IGNORECASE
)
RELEVANT = re.compile(r"\s*(?:update|delete|insert|create|alter)\b", re.IGNORECASE)
MOST_STATEMENTS = 200


@dataclass(frozen=True)
class Using:
    """The expression of ALTER COLUMN … TYPE … USING."""

    tree: exp.Expr

    @property
    def sql(self) -> str:
        """Return it as SQL."""
        return self.tree.sql("postgres")

    def is_cast_of(self, names: Collection[str]) -> bool:
        """Whether it only converts the column with one of these names."""
        tree = self.tree.unnest()
        while isinstance(tree, exp.Cast):
            tree = tree.this.unnest()
        return isinstance(tree, exp.Column) and tree.name in names

    def failures(self, types: Mapping[str, SqlType], target: SqlType, version: int) -> list[CastFailure]:
        """Return the values of each cast in it that fail."""
        return find_cast_failures(self.tree, types, target.labels, version)


@dataclass(frozen=True)
class RowChange:
    """An UPDATE or a DELETE of one table, without other tables."""

    alias: str
    """The name by which the statement calls the table."""
    condition: str
    assigned: Mapping[str, str]
    """By column, its new value; empty for a DELETE."""
    names: frozenset[str]
    """The columns that it reads."""


@dataclass
class Effects:
    """The statements of an upgrade."""

    sql: Sequence[str]
    shapes: Shapes
    """The state before."""
    python_values: Collection[str] = ()
    """Those with values that the revision computes in Python from rows: what they do to other rows is not known."""
    read_tables: Collection[str] = ()
    """The names of tables whose rows the revision has read in Python."""
    most_inserted: int = 50
    """How many rows of one INSERT are recorded: where there are as many, others may be missing."""
    trees: list[exp.Expr] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    """The statements that may change rows, and cannot be read."""
    _changes: dict[int, list[RowChange]] = field(default_factory=dict)
    """By OID of a table, the changes of its rows."""

    def __post_init__(self) -> None:
        for number, text in enumerate(dict.fromkeys(self.sql)):
            is_known = number < MOST_STATEMENTS and RELEVANT.match(text) and text not in self.python_values
            tree = _parse(text) if is_known else None
            if tree is not None:
                self.trees.append(tree)
            elif WRITES.match(text):
                self.unread.append(text)

    def using(self, table: TableShape, *names: str) -> Using | None:
        """Return the expression by which the type of a column is changed; None where there is none."""
        for tree in self.trees:
            if isinstance(tree, exp.Alter) and self._is_table(tree.this, table):
                for action in tree.args.get("actions") or ():
                    if isinstance(action, exp.AlterColumn) and action.args.get("using") and action.name in names:
                        return Using(action.args["using"])
        return None

    def inserted_source(self, table: TableShape, columns: Sequence[str]) -> Source | None:
        """Return the rows that the revision inserts, by literals, into a table that it creates."""
        try:
            rows = self._read_inserted(table, columns)
        except UNREADABLE:
            rows = None
        if rows is None or len(rows) >= self.most_inserted:
            return None
        listed = ", ".join(f"CAST(NULL AS {table.column_type(name)}) AS {quote_ident(name)}" for name in columns)
        return Source(f"({' UNION ALL '.join(rows) or f'SELECT {listed} WHERE false'})", table.label)

    def _read_inserted(self, table: TableShape, columns: Sequence[str]) -> list[str] | None:
        bare = _bare(table)
        if any(re.search(rf"\b{re.escape(bare)}\b", text) for text in self.unread):
            return None
        rows: list[str] = []
        for tree in self.trees:
            named = target_of(tree)
            if not isinstance(tree, exp.Insert | exp.Update | exp.Delete) or named is None or named.name != bare:
                continue
            given = tree.this.expressions if named is not tree.this else table.columns.values()
            names = [each.name for each in given]
            if not isinstance(tree.expression, exp.Values) or not set(columns) <= set(names):
                return None
            for row in tree.expression.expressions:
                values = dict(zip(names, row.expressions, strict=False))
                if any(values[name].find(exp.Column, exp.Placeholder) for name in columns):
                    return None
                listed = ", ".join(f"{values[name].sql('postgres')} AS {quote_ident(name)}" for name in columns)
                rows.append(f"SELECT {listed}")
        return rows

    def changes(self, table: TableShape) -> bool:
        """Whether a statement may change rows of a table."""
        name = table.label.rpartition(".")[2]
        return bool(self._changes_of(table)) or any(name in text for text in self.unread)

    def is_read(self, table: TableShape) -> bool:
        """Whether the revision has read rows of a table in Python, and may write what it computes of them."""
        return _bare(table) in self.read_tables

    def has_unclear_changes(self, table: TableShape, now: TableShape, names: Collection[str]) -> bool:
        """Whether a statement that cannot be written as an expression changes these columns, or removes rows."""
        for tree in self.trees:
            if isinstance(tree, exp.Delete) and self._is_table(tree.this, table) and not self._read_change(tree):
                return True
            if isinstance(tree, exp.Update) and self._is_table(tree.this, table) and not self._read_change(tree):
                assigned = {each.this.name for each in tree.expressions if isinstance(each, exp.EQ)}
                if assigned & set(names) or _is_renamed_later(assigned, table, now, names):
                    return True
        return self._is_changed(table)

    def row_changes(self, was: TableShape, now: TableShape, needed: Iterable[str]) -> list[RowChange] | None:
        """Return the changes that decide over the values of the needed columns, in their order.

        None where they use the former name of a column that the revision renames.
        """
        former = {column.name for column in was.columns.values()}
        renamed = {
            name
            for number, column in was.columns.items()
            if number in now.columns and now.columns[number].name != column.name
            for name in (column.name, now.columns[number].name)
            if name in former  # a statement with a new name comes after the renaming, and changes that column
        }
        known = {column.name for column in (*was.columns.values(), *now.columns.values())} - renamed
        wanted, found = set(needed), []
        for change in reversed(self._changes_of(was)):
            if _is_renamed_later(change.assigned.keys(), was, now, wanted):
                return None
            if change.assigned and not (wanted & change.assigned.keys()):
                continue
            if not (change.names | change.assigned.keys()) <= known:
                return None
            found.append(change)
            wanted |= change.names
        return found[::-1]

    def build_source(
        self,
        source: Source,
        was: TableShape,
        now: TableShape,
        values: Mapping[str, str],
        steps: Sequence[RowChange],
        value_of: Callable[[Column], str],
    ) -> Source:
        """Return a source whose rows have the values of after the revision.

        `values`: by column, its value before the steps; `value_of` returns that of another column.
        """
        needed = dict(values)
        by_name = {column.name: column for column in now.columns.values()}
        for name in sorted({name for step in steps for name in step.names | step.assigned.keys()} - needed.keys()):
            # a column that the revision drops has its value of before
            needed[name] = value_of(by_name[name]) if name in by_name else quote_ident(name)
        # the key gets other names: a condition may use columns with its names
        keys = tuple(f"key_{number}" for number, _ in enumerate(source.key or ("ctid",), 1))
        first = [f"{quote_ident(each)} AS {key}" for each, key in zip(source.key or ("ctid",), keys, strict=True)]
        listed = ", ".join([*first, *(f"{value} AS {quote_ident(name)}" for name, value in needed.items()), *_PLACE])
        text = f"(SELECT {listed} FROM {source.sql} AS {quote_ident(_bare(was))})"  # noqa: S608
        for step in steps:
            text = self._apply(step, text, [*keys, *_PLACE_NAMES], needed, by_name)
        is_new = any(name in by_name and by_name[name].number not in was.columns for name in values)
        return Source(text, source.label, keys, source.table, source.key, is_computed=bool(steps) or is_new)

    def _apply(
        self, step: RowChange, text: str, keys: Sequence[str], needed: Iterable[str], columns: Mapping[str, Column]
    ) -> str:
        if not step.assigned:
            return f"(SELECT * FROM {text} AS {quote_ident(step.alias)} WHERE ({step.condition}) IS NOT TRUE)"  # noqa: S608
        listed = list(keys)
        for name in needed:
            quoted = quote_ident(name)
            if name in step.assigned:
                is_known = name in columns and columns[name].type_oid < FIRST_NORMAL_OID
                kind = columns[name].type if is_known else "text"
                value = f"CAST({step.assigned[name]} AS {kind})"
                listed.append(f"CASE WHEN {step.condition} THEN {value} ELSE {quoted} END AS {quoted}")
            else:
                listed.append(quoted)
        return f"(SELECT {', '.join(listed)} FROM {text} AS {quote_ident(step.alias)})"  # noqa: S608

    def _changes_of(self, table: TableShape) -> list[RowChange]:
        if table.oid not in self._changes:
            trees = [tree for tree in self.trees if isinstance(tree, exp.Update | exp.Delete)]
            read = [self._read_change(tree) for tree in trees if self._is_table(tree.this, table)]
            self._changes[table.oid] = [change for change in read if change]
        return self._changes[table.oid]

    def _read_change(self, tree: exp.Update | exp.Delete) -> RowChange | None:
        try:
            return self._read_plain_change(tree)
        except UNREADABLE:
            return None

    def _read_plain_change(self, tree: exp.Update | exp.Delete) -> RowChange | None:
        if tree.args.get("using") or tree.args.get("with_"):
            return None
        where = tree.args["where"].this.copy() if tree.args.get("where") else exp.true()
        # a loop over batches ends when there is no row left
        for limit in list(where.find_all(exp.Limit)):
            limit.pop()
        values: dict[str, exp.Expr] = {}
        for each in tree.expressions if isinstance(tree, exp.Update) else ():
            if not isinstance(each, exp.EQ) or not isinstance(each.this, exp.Column):
                return None
            values[each.this.name] = each.expression
        if tree.args.get("from_"):  # each row gets the values of a row that it is joined with
            rows = exp.Select(from_=tree.args["from_"].copy(), where=exp.Where(this=where))
            values = {name: rows.select(value).limit(1).subquery() for name, value in values.items()}
            where = exp.Exists(this=rows.select("1"))
        used = [where, *values.values()]
        if self._reads_changed(tree, used) or any(each.find(exp.Placeholder, exp.Parameter) for each in used):
            return None
        found = [qualify(each, self.shapes) for each in used]
        names = [outer_names(each, tree.this.alias_or_name, self.shapes) for each in used]
        condition, *assigned = (each.sql("postgres") for each in found if each is not None)
        if None in found or None in names:
            return None
        read = frozenset(name for each in names for name in each or ())
        return RowChange(tree.this.alias_or_name, condition, dict(zip(values, assigned, strict=True)), read)

    def _reads_changed(self, tree: exp.Expr, used: Sequence[exp.Expr]) -> bool:
        """Whether subqueries of a statement read a table that another statement has changed."""
        read = {table.oid for each in used for named in each.find_all(exp.Table) if (table := self._find(named))}
        kinds = exp.Update | exp.Delete | exp.Insert
        others = [each for each in self.trees if each is not tree and isinstance(each, kinds)]
        changed = {table.oid for each in others if (table := self._find(target_of(each)))}
        changed |= {table.oid for table in self.shapes.tables.values() if table.oid in read and self._is_changed(table)}
        return bool(read & changed)

    def _is_changed(self, table: TableShape) -> bool:
        """Whether a statement that cannot be read changes the rows of a table."""
        named = re.compile(rf"\b{re.escape(_bare(table))}\b")
        return any(CHANGES_ROWS.search(text) and named.search(text) for text in self.unread)

    def _find(self, named: exp.Expr | None) -> TableShape | None:
        return find_table(named, self.shapes)

    def _is_table(self, named: exp.Expr | None, table: TableShape) -> bool:
        found = find_table(named, self.shapes) if isinstance(named, exp.Table) else None
        return found is not None and found.oid == table.oid


_PLACE_NAMES = ("dbkit_table", "dbkit_row")
_PLACE = ("tableoid AS dbkit_table", "ctid AS dbkit_row")
"""A row's place, for exclusion constraints; they use the table's own where the source is one."""


def _is_renamed_later(assigned: Collection[str], was: TableShape, now: TableShape, wanted: Collection[str]) -> bool:
    """Whether a wanted column that the revision adds may have had one of these names, before it got its own."""
    known = {column.name for column in (*was.columns.values(), *now.columns.values())}
    added = {column.name for number, column in now.columns.items() if number not in was.columns}
    return bool(set(assigned) - known and added & set(wanted))


def _bare(table: TableShape) -> str:
    return table.label.rpartition(".")[2]


def _parse(text: str) -> exp.Expr | None:
    try:
        tree = sqlglot.parse_one(text, read="postgres")
    except UNREADABLE:
        return None
    return tree if isinstance(tree, exp.Update | exp.Delete | exp.Insert | exp.Create | exp.Alter) else None


def target_of(tree: exp.Expr) -> exp.Expr | None:
    """Return the table that an INSERT, an UPDATE or a DELETE names."""
    named: exp.Expr | None = tree.this
    return named.this if isinstance(named, exp.Schema) else named


def outer_names(tree: exp.Expr, alias: str, shapes: Shapes) -> set[str] | None:
    """Return the columns of the table with this alias that an expression reads; None where that is not known."""
    found = set()
    for column in tree.find_all(exp.Column):
        inner = [
            (named.alias_or_name, find_table(named, shapes))
            for select in _enclosing(column, tree)
            for named in select.find_all(exp.Table)
            if named.find_ancestor(exp.Select) is select
        ]
        if column.table:
            if column.table in {name for name, _ in inner}:
                continue
            if column.table != alias:
                return None
        elif any(table is None for _, table in inner):
            return None
        elif any(table and table.column_type(column.name) for _, table in inner):
            continue
        found.add(column.name)
    return found


def _enclosing(column: exp.Expr, tree: exp.Expr) -> list[exp.Select]:
    """Return the queries inside an expression that a column is in."""
    found, node = [], column.find_ancestor(exp.Select)
    while node is not None:
        found.append(node)
        if node is tree:
            break
        node = node.find_ancestor(exp.Select)
    return found


def find_table(named: exp.Expr | None, shapes: Shapes) -> TableShape | None:
    """Return the table that a statement names; None where the name could be another table's."""
    if not isinstance(named, exp.Table):
        return None
    found = shapes.by_name.get(named.name, ())
    if named.db:
        found = [(sql, each) for sql, each in found if sql.startswith((f"{quote_ident(named.db)}.", f"{named.db}."))]
    elif len(found) > 1:
        found = [(sql, each) for sql, each in found if "." not in each.label]
    return found[0][1] if len(found) == 1 else None


def qualify(tree: exp.Expr, shapes: Shapes) -> exp.Expr | None:
    """Return an expression with the tables of its subqueries qualified; None where one is not known."""
    copied = tree.copy()
    if copied.find(exp.JSONObject):  # json_object(keys, values) is written as the syntax of PostgreSQL 16
        return None
    for named in list(copied.find_all(exp.Table)):
        table = find_table(named, shapes)
        if table is None:
            return None
        schema, _, _ = table.sql.rpartition(".")
        alias = named.args.get("alias") or exp.TableAlias(this=exp.to_identifier(named.name, quoted=True))
        named.set("this", exp.to_identifier(_bare(table), quoted=True))
        named.set("db", exp.to_identifier(schema.strip('"'), quoted=True))
        named.set("alias", alias)
    for function in list(copied.find_all(exp.Anonymous)):
        schema = shapes.functions.get(function.name.lower(), "")
        if schema and not isinstance(function.parent, exp.Dot):
            named_function = exp.Dot(this=exp.to_identifier(schema, quoted=True), expression=function.copy())
            if function is copied:  # it has no parent in which it could be replaced
                copied = named_function
            else:
                function.replace(named_function)
    for kind in copied.find_all(exp.DataType):
        name = str(kind.args.get("kind") or "")
        if kind.this == exp.DataType.Type.USERDEFINED and name in shapes.types:
            kind.set("kind", f"{quote_ident(shapes.types[name])}.{quote_ident(name)}")
    return copied
