"""The goals of all statements of a revision, and the rows for them."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from dbkit.coverage import facts
from dbkit.coverage.bodies import Bodies
from dbkit.coverage.goals import Goal, Table, UnreadableError
from dbkit.coverage.made_equal import differing_goals
from dbkit.coverage.overwritten import overwriting_goals
from dbkit.coverage.planting import Planted, Planter
from dbkit.coverage.python_goals import python_goals
from dbkit.coverage.python_source import read_conditions
from dbkit.coverage.recorder import StatementRun
from dbkit.coverage.renames import Renames
from dbkit.coverage.statement_goals import assigned_values, inserted_values, read_goals
from dbkit.coverage.tables import TableReader
from dbkit.coverage.unreached import lines_under_queries
from dbkit.postgres.own_statements import project_settings
from dbkit.project.revision_source import is_bytecode
from dbkit.sample_data.constraints import KnownTables

MOST_RUNS = 12
"""How many executions of a statement with different parameters are read."""
SCHEMAS = r"""(?P<schemas>(?:[\w$-]+|"[^"]*"|'[^']*'|\s*,\s*)+)"""
SEARCH_PATH = re.compile(
    rf"\W*(?:set\s+(?:local\s+|session\s+)?search_path\s*(?:to\b|=)|select\s+(?:pg_catalog\.)?set_config\('search_path',)"
    rf"\s*{SCHEMAS}",
    re.IGNORECASE,
)
"""A statement after which names are found in these schemas."""
PATH_OF_FUNCTION = re.compile(rf"\bset\s+search_path\s*(?:to\b|=)\s*{SCHEMAS}", re.IGNORECASE)
Runs = Mapping[str, Sequence[StatementRun]]
"""By direction, the statements of a revision."""
Statement = tuple[str, str]
"""The direction and the template of a statement; the template is "" for what Python asks of rows."""
Inserted = tuple[int, str, str]
"""The OID of a table, a column and a value."""


@dataclass(frozen=True)
class RevisionGoals:
    """The goals of a revision, with what is needed to plant rows for them."""

    tables: TableReader
    goals: Sequence[tuple[Goal, Statement]]
    avoided: Collection[Inserted]
    """The values that the revision itself inserts, and those that its upgrade assigns to a unique column."""
    reasons: Mapping[Statement, tuple[str, bool]]
    """Why a statement has no goal, where that is known, and whether it can meet no row."""
    changing: Collection[Statement]
    """The queries that run functions which change rows."""

    def names_of(self, oids: Collection[int]) -> list[str]:
        """Return the names of tables, as SQL, and those of the tables that follow their rows."""
        tables = [table for oid in oids if (table := self.tables.find_by_oid(oid))]
        children = [child for table in tables for child, _ in self.tables.find_children(table)]
        return [table.sql for table in (*tables, *children)]

    def plant(
        self, connection: "psycopg.Connection[Any]", only: Iterable[int] | None = None, variant: int | None = None
    ) -> Planted:
        """Plant rows for the goals, or for those of these numbers; of each only one variant where that is given."""
        numbers = list(range(len(self.goals))) if only is None else list(only)
        self.tables.begin(connection)
        planter = Planter(connection, self.tables, self.avoided, variant)
        with project_settings(connection):
            goals = [self.goals[number] for number in numbers]
            planted = planter.plant([(goal, direction) for goal, (direction, _) in goals])
        return replace(planted, reasons={numbers[at]: reason for at, reason in planted.reasons.items()})

    def explain(self, reasons: Mapping[int, str]) -> dict[Statement, tuple[str, bool]]:
        """Return why no row was planted for statements, and whether they can meet none; `reasons` are by goal."""
        by_statement: dict[Statement, list[str]] = {}
        for number, (_goal, statement) in enumerate(self.goals):
            by_statement.setdefault(statement, []).append(reasons.get(number, ""))
        explained = {}
        for statement, found in by_statement.items():
            never = facts.NEVER_IN[statement[0]]
            others = [reason for reason in found if not reason.startswith(never)]
            if reason := next((each for each in (*others, *found) if each), ""):
                explained[statement] = (reason, not others)
        return explained


def read_revision_goals(
    connection: "psycopg.Connection[Any]",
    path: Path,
    runs: Runs,
    ignored: Collection[str],
    own: Collection[int],
    seed: int,
    known: KnownTables,
    inserted: Collection[Inserted] = (),
) -> RevisionGoals:
    """Return the goals of the revision in the file `path`, in the state that the rows are planted in.

    `ignored` are the names of tables that get no rows, `own` the OIDs of tables with own rows, `known` the tables that
    were read before in that state, `inserted` what the upgrade was seen to insert.
    """
    with project_settings(connection):
        tables = TableReader(connection, frozenset(ignored), seed, known)
        reader = _Reader(connection, tables, runs, avoided=set(inserted))
        reader.read_statements(frozenset() if is_bytecode(path) else lines_under_queries(path))
        reader.read_triggers()
        reader.read_python(path)
        return reader.select(own)


@dataclass
class _Reader:
    connection: "psycopg.Connection[Any]"
    tables: TableReader
    runs: Runs
    found: dict[Statement, list[Goal]] = field(default_factory=dict)
    avoided: set[Inserted] = field(default_factory=set)
    reasons: dict[Statement, tuple[str, bool]] = field(default_factory=dict)
    changing: set[Statement] = field(default_factory=set)

    def __post_init__(self) -> None:
        texts = [run.sql for runs in self.runs.values() for run in runs]
        self.bodies = Bodies(self.connection, texts)
        self.tables.making = [text for text in texts if facts.MAKES.search(text)]
        paths = [path for text in texts if "function" in text.lower() for path in PATH_OF_FUNCTION.finditer(text)]
        self.tables.later_schemas = [schema for path in paths for schema in _read_schemas(path)]
        self.renames = Renames()

    def read_statements(self, conditional: Collection[int]) -> None:
        """Read the executed statements, and those inside of the functions that they run.

        On `conditional` lines of the file, what is inserted may be there already, and is not inserted then.
        """
        last = ""
        for direction, run in self._different_runs():
            path = SEARCH_PATH.match(run.sql)
            if path or direction != last:
                self.tables.schemas = _read_schemas(path)
            last = direction
            self.renames.read(run.sql)
            if facts.may_have_goals(run.sql):
                self._read_run((direction, run.template), run.sql)
            if facts.INSERTS.match(run.sql) and run.line not in conditional:
                values = inserted_values(run.sql, self._columns_now)
                known = ((self.tables.find(table), name, value) for table, name, value in values)
                self.avoided |= {(table.oid, name, value) for table, name, value in known if table}
            if direction == "upgrade" and facts.UPDATES.match(run.sql):
                known = ((self.tables.find(table), name, value) for table, name, value in assigned_values(run.sql))
                self.avoided |= {
                    (table.oid, name, value)
                    for table, name, value in known
                    if table and frozenset([name]) in table.unique
                }
        self.tables.schemas = ()

    def _read_run(self, statement: Statement, sql: str) -> None:
        inner = self.bodies.statements_in(sql)
        changes = any(facts.CHANGES.match(each) for each in inner)
        if facts.RUNS_BODY.match(sql) and not changes and not facts.EXECUTES_CHANGE.search(sql):
            self.reasons[statement] = ("it changes no rows", True)
        elif changes:
            self.changing.add(statement)
        goals = self.found.setdefault(statement, [])
        for each in (sql, *inner):
            try:
                found = read_goals(each, self._columns_now, self.tables.view_of)
                if statement[0] == "upgrade":
                    # first: of a key there is one row
                    found = [*overwriting_goals(each, found, self.tables.find), *found, *differing_goals(found)]
                restored = [self.renames.restore(goal) for goal in found]
                goals += [each.qualified(self.tables.qualify) for each in restored]
            except UnreadableError:
                self.reasons.setdefault(statement, (facts.UNREADABLE, False))

    def read_triggers(self) -> None:
        """Read the row triggers that the revision creates, and those of the tables that it changes."""
        changed = {
            table.oid
            for (_, sql), goals in self.found.items()
            for goal in goals
            for name in goal.tables.values()
            if facts.WRITES.match(sql) and (table := self.tables.find(name))
        }
        existing = self.bodies.of_existing_triggers(changed) if changed else []
        for sql in (*self.bodies.of_triggers(), *existing):
            # a trigger's statement is none of the revision: what cannot be read is no gap in its proof
            with suppress(UnreadableError):
                goals = read_goals(sql, self.tables.columns_of, self.tables.view_of)
                self.found.setdefault(("upgrade", sql), []).extend(goals)

    def read_python(self, path: Path) -> None:
        """Read what the Python of the file compares in the rows of queries."""
        queries = [goal for (_, sql), goals in self.found.items() if facts.READS.match(sql) for goal in goals]
        if queries and not is_bytecode(path):
            source = path.read_text(encoding="utf-8", errors="replace")
            self.found["upgrade", ""] = python_goals(read_conditions(path), queries, self.tables.find, source)

    def select(self, own: Collection[int]) -> RevisionGoals:
        """Return the goals that ordinary rows may not have met, without those of tables with own rows."""
        met = {name: facts.count_met(runs) for name, runs in self.runs.items()}
        selected: list[tuple[Goal, Statement]] = []
        for statement, goals in self.found.items():
            direction, template = statement
            # ordinary rows have NULL next to other values, but seldom a value that a migration names
            unmet = [goal for goal in goals if goal.has_particular_rows or not met[direction].get(template)]
            for goal in unmet:
                tables = (self.tables.find(name) for name in goal.tables.values())
                if any(table.oid in own for table in tables if table):
                    self.reasons.setdefault(statement, (facts.OWN_ROWS, False))
                else:
                    selected.append((goal, statement))
        return RevisionGoals(self.tables, selected, self.avoided, self.reasons, self.changing)

    def _different_runs(self) -> Iterator[tuple[str, StatementRun]]:
        """Yield the runs of each statement with different parameters, at most MOST_RUNS."""
        seen: dict[Statement, set[str]] = {}
        for direction, runs in self.runs.items():
            for run in runs:
                texts = seen.setdefault((direction, run.template), set())
                if run.sql not in texts and len(texts) < MOST_RUNS:
                    texts.add(run.sql)
                    yield direction, run

    def _columns_now(self, schema: str, name: str) -> list[str] | None:
        """Return the columns of a table, as a statement of the revision names them."""
        before = self.renames.table(Table(schema, name))
        columns = self.tables.columns_of(before.schema, before.name)
        return None if columns is None else self.renames.columns_now(before, list(columns))


def _read_schemas(path: "re.Match[str] | None") -> list[str]:
    """Return the schemas that a statement, or a clause of a function, puts into the search path."""
    return [each.strip(" \"'\n") for each in path["schemas"].split(",")] if path else []
