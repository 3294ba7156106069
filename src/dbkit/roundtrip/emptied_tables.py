"""Prove a revision once more with empty tables: for statements that run where there are no rows, such as a seed."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg

from dbkit.coverage.facts import NOT_REACHED, StatementCoverage
from dbkit.project.revision_source import mentioned_tables
from dbkit.roundtrip.compare import Findings
from dbkit.roundtrip.exercise import Exercise
from dbkit.roundtrip.outcome import Finding
from dbkit.roundtrip.proof_with_rows import Proof, prove_with_rows
from dbkit.roundtrip.results import Shown

MOST_TRIES = 4
"""How many choices of tables are tried for one revision."""
MAY_NEED_NONE = re.compile(
    r"\W*(?:insert|do|call|with|merge|select)\b|.*(?:\bnot\s+(?:exists|in)\b|\bcount\s*\(|\bis\s+null\b|\ball\b)",
    re.IGNORECASE | re.DOTALL,
)
"""Statements that may have an effect because there are no rows: of others, a condition is on a row that is there."""
Tables = tuple[str, ...]
"""Names of tables, as SQL."""


def prove_with_emptied_tables(proof: Proof, exercise: Exercise) -> Shown:
    """Prove it without the rows of tables that statements name which have met none, or that branches depend on.

    What that shows counts where such a statement then meets rows, or such a branch runs. A failure does not: what works
    only with rows is proven with them.
    """
    shown = Shown()
    unmet = _list_unmet(proof, exercise)
    for tables in list(_list_choices(proof, unmet))[:MOST_TRIES]:
        executed = exercise.templates
        names = proof.touched_names | proof.work.sample_rows.with_referring(tables)
        findings = prove_with_rows(proof, partial(_empty, tables), names)[0]
        new = exercise.templates - executed
        if new and _list_unmet(proof, exercise):
            findings += _prove_with_rows_for(proof, exercise, tables, new)
        still_unmet = _list_unmet(proof, exercise)
        # one may be met while a statement that it has led to is not
        if _keys(unmet) - _keys(still_unmet):
            shown = shown.join(Shown(tuple(_explain(each, tables) for each in findings)))
        unmet = still_unmet
        if not unmet:
            break
    return shown


def _keys(coverage: Iterable[StatementCoverage]) -> set[tuple[str, str]]:
    return {(each.direction, each.sql) for each in coverage}


def _explain(finding: Finding, tables: Tables) -> Finding:
    """Return a finding about rows with the tables that had none."""
    if not finding.rows:
        return finding
    names = " and ".join(name.removeprefix("public.") for name in tables)
    words = f"{finding.rows.reason}; where {names} {'has' if len(tables) == 1 else 'have'} no rows"
    return replace(finding, rows=replace(finding.rows, reason=words))


def _prove_with_rows_for(proof: Proof, exercise: Exercise, tables: Tables, statements: Collection[str]) -> Findings:
    """Prove it without the rows of tables, but with rows for the statements that were executed only without them."""
    connection = proof.restore()
    if connection is None:
        return ()
    goals = exercise.read_goals(connection, proof.work.sample_rows, frozenset(proof.version_tables))
    numbers = [number for number, (_, (_, template)) in enumerate(goals.goals) if template in statements]

    def plant(connection: "psycopg.Connection[Any]") -> Collection[object]:
        return (*_empty(tables, connection), *goals.plant(connection, numbers).oids)

    return prove_with_rows(proof, plant)[0] if numbers else ()


def _list_unmet(proof: Proof, exercise: Exercise) -> list[StatementCoverage]:
    """Return the statements that no row has met so far, and the branches that have not run."""
    return [each for each in (*exercise.coverage, *proof.branches.coverage()) if not each.is_met]


def _list_choices(proof: Proof, unmet: Iterable[StatementCoverage]) -> Iterator[Tables]:
    """Yield the tables to empty: each that an unmet statement names, then all of these; without those with own rows."""
    own = proof.work.sample_rows.own_tables()
    tables = {oid: name for oid, name in proof.work.sample_rows.table_names().items() if oid not in own}
    seen: set[Tables] = set()
    branches = {branch.sql for branch in proof.branches.coverage()}
    for each in unmet:
        if each.reason == NOT_REACHED or not (each.sql in branches or MAY_NEED_NONE.match(each.sql)):
            continue
        named = [] if each.sql in branches else _find_named(each.sql, tables)
        if not named:  # a branch of Python names none: its queries do
            executed = " ".join(run.sql for run in proof.runs[each.direction])
            named = [tables[oid] for oid in sorted(mentioned_tables(proof.script, tables, executed))]
        for choice in (*((name,) for name in named), tuple(named)):
            if choice and choice not in seen:
                seen.add(choice)
                yield choice


def _find_named(text: str, tables: Mapping[int, str]) -> list[str]:
    """Return the tables that a statement names."""
    words = set(re.findall(r"\w+", text.lower()))
    return [name for name in tables.values() if words.issuperset(re.findall(r"\w+", name.rpartition(".")[2].lower()))]


def _empty(tables: Tables, connection: "psycopg.Connection[Any]") -> Tables:
    """Remove the rows of tables, and those that refer to them. Returns the tables; none where that is refused."""
    try:
        with connection.transaction():
            connection.execute(f"TRUNCATE {', '.join(tables)} CASCADE".encode())
    except psycopg.OperationalError:
        raise
    except psycopg.Error:
        return ()
    return tables
