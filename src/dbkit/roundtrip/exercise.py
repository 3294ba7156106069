"""The goals of a revision's statements, and the rows for them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from dbkit.coverage import facts
from dbkit.coverage.recorder import StatementRun
from dbkit.postgres.own_statements import project_settings
from dbkit.project.revision_source import is_bytecode

MOST_RUNS = 12
"""How many executions of a statement with different parameters are read."""
Runs = Mapping[str, Sequence[StatementRun]]
"""By direction, the statements of a revision."""


@dataclass(frozen=True)
class NumberedGoal:
    """A goal, and the statement that has it."""

    goal: Any
    direction: str
    template: str


class Exercise:
    """The goals of one revision's statements, and the rows for them."""

    def __init__(self, path: Path, runs: Runs, ignored: Collection[str], seed: int, own: Collection[int] = ()) -> None:
        """`path`: the revision file; `ignored`: names of tables without rows; `own`: OIDs of tables with own rows."""
        self.own = own
        self.path = path
        self.runs, self.ignored, self.seed = runs, frozenset(ignored), seed
        self.reasons: dict[tuple[str, str], tuple[str, bool]] = {}
        """By direction and statement, why no row was planted for it, and whether none can meet it."""
        self.changing: set[tuple[str, str]] = set()
        """By direction, the statements that run functions which change rows."""

    @property
    def is_possible(self) -> bool:
        """Whether any statement may have a condition."""
        return any(facts.depends_on_rows(run) for runs in self.runs.values() for run in runs)

    @property
    def templates(self) -> set[str]:
        """Return the statements that were executed so far."""
        return {run.template for runs in self.runs.values() for run in runs}

    @property
    def has_queries(self) -> bool:
        """Whether its Python may examine rows."""
        return any(facts.READS.match(run.sql) for runs in self.runs.values() for run in runs)

    def read_goals(self, connection: "psycopg.Connection[Any]") -> "Goals":
        """Return the goals, in the state that the rows are planted in."""
        with project_settings(connection):
            return self._read_goals(connection)

    def _read_goals(self, connection: "psycopg.Connection[Any]") -> "Goals":
        # loaded only here: most revisions have no data statement
        from dbkit.coverage.bodies import Bodies
        from dbkit.coverage.goals import UnreadableError
        from dbkit.coverage.python_goals import python_goals
        from dbkit.coverage.python_source import read_conditions
        from dbkit.coverage.renames import Renames
        from dbkit.coverage.statement_goals import inserted_values, read_goals
        from dbkit.coverage.tables import KnownTables

        tables = KnownTables(connection, self.ignored, self.seed)
        texts = [run.sql for runs in self.runs.values() for run in runs]
        bodies = Bodies(connection, texts)
        found: dict[tuple[str, str], list[Any]] = {}
        avoided: list[tuple[Any, str, str]] = []
        renames = Renames()
        for direction, run in self._different_runs():
            renames.read(run.sql)
            if facts.may_have_goals(run.sql):
                inner = bodies.statements_in(run.sql)
                self._record_body(direction, run, inner)
                goals = found.setdefault((direction, run.template), [])
                for sql in (run.sql, *inner):
                    try:
                        found_now = read_goals(sql, partial(_columns_now, tables, renames), tables.view_of)
                        goals += [renames.restore(goal) for goal in found_now]
                    except UnreadableError:
                        self.reasons.setdefault((direction, run.template), (facts.UNREADABLE, False))
            if run.sql.lstrip()[:6].lower() == "insert":
                avoided += inserted_values(run.sql, tables.columns_of)
        known = {(table.oid, name, value) for where, name, value in avoided if (table := tables.find(where))}
        for sql in (*bodies.of_triggers(), *self._statements_of_triggers(bodies, tables, found)):
            with suppress(UnreadableError):
                found.setdefault(("upgrade", sql), []).extend(read_goals(sql, tables.columns_of, tables.view_of))
        if self.has_queries:
            queries = [goal for (_, sql), each in found.items() if facts.READS.match(sql) for goal in each]
            found["upgrade", ""] = python_goals(read_conditions(self.path), queries, tables.find, self._source())
        with_own = {name for each in found.values() for goal in each for name in goal.tables.values()}
        with_own = {name for name in with_own if (table := tables.find(name)) and table.oid in self.own}
        met = {name: facts.count_met(runs) for name, runs in self.runs.items()}
        numbered = [
            NumberedGoal(goal, direction, sql)
            for (direction, sql), each in found.items()
            for goal in each
            # ordinary rows have NULL next to other values, but seldom a value that a migration names
            if with_own.isdisjoint(goal.tables.values())
            and (goal.has_literals or goal.copies > 1 or goal.joins_itself or not met[direction].get(sql))
        ]
        return Goals(tables, numbered, known)

    def _statements_of_triggers(
        self, bodies: Any, tables: Any, found: Mapping[tuple[str, str], list[Any]]
    ) -> list[str]:
        """Return the statements of the row triggers of the tables that the revision changes."""
        changed = {
            table.oid
            for (_, sql), goals in found.items()
            for goal in goals
            for name in goal.tables.values()
            if facts.WRITES.match(sql) and (table := tables.find(name))
        }
        return bodies.of_existing_triggers(changed) if changed else []

    def _source(self) -> str:
        return "" if is_bytecode(self.path) else self.path.read_text(encoding="utf-8", errors="replace")

    def _different_runs(self) -> Iterator[tuple[str, StatementRun]]:
        """Yield the runs of each statement with different parameters, at most MOST_RUNS."""
        seen: dict[tuple[str, str], set[str]] = {}
        for direction, runs in self.runs.items():
            for run in runs:
                texts = seen.setdefault((direction, run.template), set())
                if run.sql not in texts and len(texts) < MOST_RUNS:
                    texts.add(run.sql)
                    yield direction, run

    def _record_body(self, direction: str, run: StatementRun, inner: Sequence[str]) -> None:
        """Remember whether the functions and blocks that a statement runs change rows."""
        changes = any(facts.CHANGES.match(sql) for sql in inner)
        if facts.RUNS_BODY.match(run.sql) and not changes:
            self.reasons[direction, run.template] = ("it changes no rows", True)
        elif inner and changes:
            self.changing.add((direction, run.template))

    def explain(self, goals: "Goals", reasons: Mapping[int, str]) -> None:
        """Remember why no row was planted for the goals of a statement, all of which were tried."""
        by_statement: dict[tuple[str, str], list[str]] = {}
        for number, each in enumerate(goals.goals):
            by_statement.setdefault((each.direction, each.template), []).append(reasons.get(number, ""))
        for statement, found in by_statement.items():
            self._explain_statement(statement, found)

    def _explain_statement(self, statement: tuple[str, str], reasons: Sequence[str]) -> None:
        """`reasons`: one for each goal, "" where rows were planted."""
        never = facts.NEVER_IN[statement[0]]
        others = [reason for reason in reasons if not reason.startswith(never)]
        reason = next((each for each in (*others, *reasons) if each), "")
        if reason:
            self.reasons[statement] = (reason, not others)

    def coverage(self, runs: Runs) -> tuple[facts.StatementCoverage, ...]:
        """Return the coverage of the revision's data statements in all its runs."""
        return facts.cover(runs, self.reasons, self.changing)


def _columns_now(tables: Any, renames: Any, schema: str, name: str) -> list[str] | None:
    """Return the columns of a table, as a statement of the revision names them."""
    from dbkit.coverage.goals import Table

    before = renames.table(Table(schema, name))
    columns = tables.columns_of(before.schema, before.name)
    return None if columns is None else renames.columns_now(before, list(columns))


@dataclass(frozen=True)
class Goals:
    """The goals of a revision, with what is needed to plant rows for them."""

    tables: Any
    goals: Sequence[NumberedGoal]
    avoided: Collection[tuple[int, str, str]]

    def names_of(self, oids: Collection[int]) -> list[str]:
        """Return the names of tables, as SQL, and those of the tables that follow their rows."""
        tables = [table for oid in oids if (table := self.tables.find_by_oid(oid))]
        return [
            each.sql for table in tables for each in (table, *(child for child, _ in self.tables.find_children(table)))
        ]

    def plant(
        self, connection: "psycopg.Connection[Any]", only: Iterable[int] | None = None, variant: int | None = None
    ) -> Any:
        """Plant rows for the goals, or for those of these numbers; of each only one variant where that is given."""
        from dbkit.coverage.planting import Planter

        numbers = list(range(len(self.goals))) if only is None else list(only)
        self.tables.begin(connection)
        planter = Planter(connection, self.tables, self.avoided, variant)
        with project_settings(connection):
            planted = planter.plant([(self.goals[number].goal, self.goals[number].direction) for number in numbers])
        return replace(planted, reasons={numbers[at]: reason for at, reason in planted.reasons.items()})
