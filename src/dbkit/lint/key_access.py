"""Whether a statement changes only rows that it names by their key."""

import re
from collections.abc import Iterable, Iterator

from sqlglot import exp

from dbkit.coverage.conditions import Atoms, split_condition
from dbkit.coverage.syntax import parse_statement
from dbkit.postgres.sql_text import CHANGES, Kind, plain, read_string, split_statements, tokenize

MOST_KEYS = 1000
"""How many rows a statement may name before it is a change of many rows."""
BODY = re.compile(r"do\b|create (?:or replace )?(?:function|procedure)\b")
Changing = exp.Update | exp.Delete | exp.Select
"""A statement that changes or locks rows."""


def changes_by_key(texts: Iterable[str], names: Iterable[str], keys: Iterable[tuple[str, ...]]) -> bool:
    """Return whether each UPDATE, DELETE and FOR UPDATE of a table compares a unique key with constants.

    `names`: those of the table and of its partitions, without schemas; `keys`: the columns of its unique indexes.
    """
    wanted, listed = set(names), list(keys)
    found = (
        [each for sql in texts for each in _read_changes(sql) if each is None or _target(each) in wanted]
        if listed
        else []
    )
    return bool(found) and all(each is not None and _is_by_key(each, listed) for each in found)


def _read_changes(sql: str) -> Iterator[Changing | None]:
    """Yield what changes or locks rows, also in the body of a DO block; None for what cannot be read."""
    for tokens in split_statements(sql):
        text = "".join(token.text for token in tokens)
        if not CHANGES.search(text):
            continue
        if BODY.match(plain(text)):
            for token in tokens:
                if token.kind == Kind.STRING:
                    yield from _read_changes(read_string(token.text))
            continue
        parsed = parse_statement(_without_block(text))
        changes = [*parsed.find_all(exp.Update, exp.Delete, exp.Merge)] if parsed else []
        changes += [each for each in parsed.find_all(exp.Select) if each.args.get("locks")] if parsed else []
        if not changes:
            yield None
        for each in changes:
            yield each if isinstance(each, exp.Update | exp.Delete | exp.Select) else None


def _without_block(text: str) -> str:
    """Return the first statement of a body without BEGIN, and what follows it, such as IF … THEN."""
    words = [token for token in tokenize(text) if token.kind == Kind.WORD]
    starts = [token.start for token in words if token.plain in ("update", "delete", "with")]
    return text[starts[0] :] if starts and words[0].plain == "begin" else text


def _target(change: Changing) -> str:
    source = change.args.get("from_") or change.args.get("from")
    table = change.this if not isinstance(change, exp.Select) else source.this if source else None
    return table.name if isinstance(table, exp.Table) else ""


def _is_by_key(change: Changing, keys: Iterable[tuple[str, ...]]) -> bool:
    where, lists = change.args.get("where"), _read_lists(change)
    if where is None or lists is None:
        return False
    arms = split_condition(where.this, most=MOST_KEYS)
    return 0 < len(arms) < MOST_KEYS and all(any(_restricts(arm, key, lists) for key in keys) for arm in arms)


def _read_lists(change: Changing) -> set[str] | None:
    """Return the names of the VALUES lists that a change is joined to; None if it is joined to something else."""
    if isinstance(change, exp.Select):
        return None if change.args.get("joins") else set()
    joined = change.args.get("from_") or change.args.get("from") or change.args.get("using")
    sources = joined if isinstance(joined, list) else [joined.this] if joined else []
    is_short = all(isinstance(each, exp.Values) and len(each.expressions) <= MOST_KEYS for each in sources)
    return {each.alias_or_name for each in sources} if is_short else None


def _restricts(atoms: Atoms, key: tuple[str, ...], lists: set[str]) -> bool:
    fixed = {name for atom in atoms for name in _fixed_column(atom, lists)}
    return set(key) <= fixed


def _fixed_column(atom: exp.Expr, lists: set[str]) -> Iterator[str]:
    """Yield the column that an atom compares with constants, or with the columns of a VALUES list."""
    if isinstance(atom, exp.EQ):
        for column, value in ((atom.left, atom.right), (atom.right, atom.left)):
            name = _column_name(column, lists)
            is_listed = isinstance(value, exp.Column) and value.table in lists
            if name and (is_listed or _is_constant(value)):
                yield name
    elif isinstance(atom, exp.In) and atom.expressions and len(atom.expressions) <= MOST_KEYS:
        name = _column_name(atom.this, lists)
        if name and not atom.args.get("query") and all(map(_is_constant, atom.expressions)):
            yield name


def _column_name(expression: exp.Expr, lists: set[str]) -> str:
    """Return the name of a column of the table; not where it is cast, since many values may become one."""
    column = expression.unnest()
    return column.name if isinstance(column, exp.Column) and column.table not in lists else ""


def _is_constant(expression: exp.Expr) -> bool:
    """Return whether an expression has the same value for all rows; a parameter of a function has not."""
    return expression.find(exp.Column, exp.Select, exp.Subquery, exp.Table, exp.Parameter, exp.Placeholder) is None
