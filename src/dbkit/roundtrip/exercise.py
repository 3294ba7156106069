"""The statements of one revision, and which of them have met rows."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from dbkit.coverage import facts
from dbkit.coverage.recorder import StatementRun
from dbkit.coverage.unreached import lines_under_queries
from dbkit.project.revision_source import is_bytecode
from dbkit.roundtrip.sample_rows import SampleRows

if TYPE_CHECKING:
    from dbkit.coverage.revision_goals import RevisionGoals


class Exercise:
    """Collects what is known of one revision's statements."""

    def __init__(self, path: Path, runs: dict[str, list[StatementRun]]) -> None:
        """`path`: the revision file; `runs`: by direction, the statements that it has executed so far."""
        self.path, self.runs = path, runs
        self.reasons: dict[tuple[str, str], tuple[str, bool]] = {}
        """By direction and statement, why no row was planted for it, and whether none can meet it."""
        self.changing: set[tuple[str, str]] = set()
        """By direction, the queries that run functions which change rows."""
        self.inserted: set[tuple[int, str, str]] = set()
        """OID of a table, column and value of what the upgrade inserts, as far as that is known."""

    @property
    def is_possible(self) -> bool:
        """Whether any statement may have a condition."""
        return any(facts.depends_on_rows(run) for runs in self.runs.values() for run in runs)

    @property
    def is_tolerant(self) -> bool:
        """Whether the upgrade inserts rows only where they are missing: then they may be there."""
        conditional = frozenset() if is_bytecode(self.path) else lines_under_queries(self.path)
        runs = self.runs["upgrade"]
        return any(facts.TOLERATES.search(run.sql) or run.line in conditional for run in runs)

    @property
    def templates(self) -> set[str]:
        """Return the statements that were executed so far."""
        return {run.template for runs in self.runs.values() for run in runs}

    def read_goals(
        self, connection: "psycopg.Connection[Any]", sample_rows: SampleRows, ignored: "frozenset[str]"
    ) -> "RevisionGoals":
        """Return the goals, in the state that the rows are planted in; `ignored` are tables that get no rows."""
        # loaded only here: most revisions have no data statement, and sqlglot takes a while
        from dbkit.coverage.revision_goals import read_revision_goals

        own, seed = sample_rows.own_tables(), sample_rows.options.seed
        known = sample_rows.known_tables()
        goals = read_revision_goals(connection, self.path, self.runs, ignored, own, seed, known, self.inserted)
        self.reasons |= goals.reasons
        self.changing |= set(goals.changing)
        return goals

    @property
    def coverage(self) -> tuple[facts.StatementCoverage, ...]:
        """Return the coverage of the revision's data statements in all its runs."""
        return facts.cover(self.runs, self.reasons, self.changing)
