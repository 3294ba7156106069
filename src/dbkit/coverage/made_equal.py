"""Goals for values that a condition makes equal: `lower(p.name) = lower(c.name)` is met with names that differ."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlglot import exp

from dbkit.coverage.goals import Goal

MOST_GOALS = 3


def differing_goals(goals: Sequence[Goal]) -> Iterator[Goal]:
    """Yield goals with values that differ, where an equality compares what functions make of two columns."""
    for goal in goals[:MOST_GOALS]:
        for atom in goal.atoms:
            sides = [side.unnest() for side in (atom.this, atom.expression)] if isinstance(atom, exp.EQ) else []
            columns = [list(side.find_all(exp.Column)) for side in sides]
            if [len(each) for each in columns] == [1, 1] and any(isinstance(side, exp.Func) for side in sides):
                (left,), (right,) = columns
                differing = exp.NEQ(this=left.copy(), expression=right.copy())
                yield replace(goal, atoms=(*goal.atoms, differing))
