"""Whether a statement changes a part of a table's rows that a limit or a range bounds: a batch of a loop."""

import re

from sqlglot import exp

from dbkit.coverage.conditions import Atoms, split_condition
from dbkit.coverage.syntax import parse_statement
from dbkit.postgres.sql_text import plain

BOUNDS = re.compile(r"\blimit\b|\bfetch (?:first|next)\b|\bbetween\b")
CHANGES = re.compile(r"(?:update|delete|merge|with)\b")
LOWER, UPPER = (exp.GT, exp.GTE), (exp.LT, exp.LTE)


def is_batch(sql: str) -> bool:
    """Return whether an UPDATE, DELETE or MERGE is limited to a number of rows, or to a range with two ends.

    What bounds a new value bounds no rows, and a block of code is one transaction, whatever is in it.
    """
    text = plain(sql)
    if not CHANGES.match(text):
        return False
    parsed = parse_statement(sql)
    if parsed is None:
        return bool(BOUNDS.search(text))
    if any(not _is_in_value(each) for each in parsed.find_all(exp.Limit, exp.Fetch)):
        return True
    conditions = [each.this for each in parsed.find_all(exp.Where) if not _is_in_value(each)]
    conditions += [each.args["on"] for each in parsed.find_all(exp.Merge) if each.args.get("on")]
    return any(_is_range(each) for each in conditions)


def _is_in_value(node: exp.Expr) -> bool:
    """Return whether a part of a statement is within SET."""
    parent = node.parent
    while parent is not None:
        if isinstance(parent, exp.Update) and node.arg_key == "expressions":
            return True
        node, parent = parent, parent.parent
    return False


def _is_range(condition: exp.Expr) -> bool:
    """Return whether a condition holds only between two ends."""
    arms = split_condition(condition)
    return bool(arms) and all(_has_two_ends(arm) for arm in arms)


def _has_two_ends(atoms: Atoms) -> bool:
    lower: set[str] = set()
    upper: set[str] = set()
    for atom in atoms:
        if isinstance(atom, exp.Between):
            return True
        for column, other, is_turned in ((atom.this, atom.expression, False), (atom.expression, atom.this, True)):
            if isinstance(atom, (*LOWER, *UPPER)) and column.find(exp.Column) and not other.find(exp.Column):
                (lower if isinstance(atom, LOWER) != is_turned else upper).add(column.sql())
    return bool(lower & upper)
