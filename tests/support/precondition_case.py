"""The form of a case of the precondition battery: a schema, a revision, and row sets on which it passes or fails."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.data_case import DataCase, Step, write_cases

SqlRows = str | tuple[str, int]
"""Rows in SQL, or these and the number of rows that violate the preconditions."""


@dataclass(frozen=True)
class RowSet:
    """Rows of the state before the judged revision."""

    name: str
    sql: str
    keys: int = 0
    """How many rows all queries return together; the upgrade fails where it is not 0."""
    is_late: bool = False
    """Whether they are inserted just before the judged revision; otherwise at the first revision of the case."""


@dataclass(frozen=True)
class PreconditionCase:
    """A chain of revisions. The last one is judged."""

    name: str
    why: str
    steps: tuple[Step, ...]
    row_sets: tuple[RowSet, ...]
    conditions: tuple[int, ...] = (1,)
    """How many preconditions are right; 0 for a control."""
    server: int = 13
    """The oldest major version of PostgreSQL that has the syntax."""
    may_lose: bool = False
    """Whether the way there and back changes values that satisfy the precondition, so that `lossy` is right, too."""

    @property
    def is_control(self) -> bool:
        """Whether the revision asks nothing of the rows."""
        return self.conditions == (0,)

    def revision(self, number: int) -> str:
        """Return the id of a step, counted from 1."""
        return f"{self.name}_{number}"

    @property
    def first(self) -> str:
        """Return the id of the first revision."""
        return self.revision(1)

    @property
    def judged(self) -> str:
        """Return the id of the revision that is judged."""
        return self.revision(len(self.steps))

    @property
    def parent(self) -> str:
        """Return the id of the revision before it."""
        return self.revision(len(self.steps) - 1)


def _row_set(name: str, rows: SqlRows, is_late: bool = False) -> RowSet:
    text, keys = (rows, 0) if isinstance(rows, str) else rows
    return RowSet(name, text, keys, is_late)


class ConditionList(list[PreconditionCase]):
    """Cases that are written one after the other. Each has the empty table as a row set, too, on which it passes."""

    def ask(
        self,
        name: str,
        why: str,
        before: str,
        up: str,
        down: str,
        *,
        good: str,
        bad: SqlRows = "",
        nulls: SqlRows = "",
        late: SqlRows = "",
        between: Sequence[Step] = (),
        conditions: int | tuple[int, ...] = 1,
        server: int = 13,
        may_lose: bool = False,
    ) -> None:
        """Add a case. `bad` and `late` violate; `late` is inserted just before the judged revision."""
        sets = [RowSet("empty", ""), _row_set("good", good)]
        sets += [_row_set("bad", bad)] if bad else []
        sets += [_row_set("nulls", nulls)] if nulls else []
        sets += [_row_set("late", late, is_late=True)] if late else []
        steps = (Step(before, drop(before)), *between, Step(up, down))
        counts = (conditions,) if isinstance(conditions, int) else conditions
        self.append(PreconditionCase(name, why, steps, tuple(sets), counts, server, may_lose))

    def control(
        self,
        name: str,
        why: str,
        before: str,
        up: str,
        down: str,
        *,
        rows: str,
        between: Sequence[Step] = (),
        server: int = 13,
    ) -> None:
        """Add a case that asks nothing of the rows."""
        sets = (RowSet("empty", ""), RowSet("rows", rows))
        steps = (Step(before, drop(before)), *between, Step(up, down))
        self.append(PreconditionCase(name, why, steps, sets, (0,), server))


CREATED = re.compile(r"CREATE (TABLE|TYPE|DOMAIN|SCHEMA|FUNCTION|COLLATION) ((?:[\w.]|\"[^\"]+\")+)")


def drop(before: str) -> str:
    """Return the statements that drop what `CREATE` statements make, the last first."""
    return "; ".join(f"DROP {kind} {name}" for kind, name in reversed(CREATED.findall(before)))


def write_project(directory: Path, cases: Sequence[PreconditionCase]) -> Path:
    """Write one project with the revisions of these cases, one case after the other. Returns its alembic.ini."""
    return write_cases(directory, [DataCase(case.name, case.why, case.steps, "") for case in cases])
