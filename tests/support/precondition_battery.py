"""Revisions that ask something of the rows, each with rows that satisfy it and rows that do not, and what a proof derives.

    PYTHONPATH=tests venv/bin/python -m support.precondition_battery [NAME …]

prints the score of all cases, or of those that are named, and the cases that are judged wrongly. A name can be a group's.
"""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError

from dbkit.postgres import scratch_cluster
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings, Target
from support import (
    precondition_cases_changes,
    precondition_cases_checks,
    precondition_cases_data,
    precondition_cases_keys,
    precondition_cases_types,
)
from support.data_battery import empty_database, verdicts
from support.kit import REPOSITORY
from support.pair import url_of
from support.precondition_case import PreconditionCase, RowSet, write_project

GROUPS = {
    **precondition_cases_checks.GROUPS,
    **precondition_cases_keys.GROUPS,
    **precondition_cases_types.GROUPS,
    **precondition_cases_data.GROUPS,
    **precondition_cases_changes.GROUPS,
}
"""The cases of a group are one chain when they are proven, so that all names of their objects differ."""
CASES = {case.name: case for group in GROUPS.values() for case in group}
READ_ONLY = "SET default_transaction_read_only = on; SET search_path = ''"


@dataclass(frozen=True)
class Observation:
    """What was seen on one row set: whether the upgrade failed, and what each query returned before it."""

    row_set: RowSet
    failure: str
    """The error of the upgrade, "" where it passed."""
    counts: tuple[int | str, ...]
    """The number of rows that each query returned, or its error."""

    @property
    def is_true(self) -> bool:
        """Whether the expectation by hand is true."""
        return bool(self.failure) == bool(self.row_set.keys)

    @property
    def is_right(self) -> bool:
        """Whether the queries returned as many rows as violate the preconditions."""
        counts = [count for count in self.counts if isinstance(count, int)]
        return len(counts) == len(self.counts) and sum(counts) == self.row_set.keys


def select_cases(group: str, server: Target) -> list[PreconditionCase]:
    """Return the cases of a group whose syntax the server knows."""
    with psycopg.connect(**server.parameters()) as connection:
        major = connection.info.server_version // 10000
    return [case for case in GROUPS[group] if case.server <= major]


def count_rows(target: Target, queries: Sequence[str]) -> tuple[int | str, ...]:
    """Return how many rows each query returns in a read-only session without a search path, or its error."""
    counts: list[int | str] = []
    with psycopg.connect(**target.parameters(), autocommit=True) as connection:
        connection.execute(READ_ONLY)
        for query in queries:
            try:
                counts.append(len(connection.execute(query.encode()).fetchall()))
            except psycopg.Error as error:
                counts.append(str(error).partition("\n")[0])
    return tuple(counts)


def insert(target: Target, rows: str) -> None:
    """Insert rows."""
    with psycopg.connect(**target.parameters()) as connection:
        connection.execute(rows.encode() or b"SELECT 1")


def observe(directory: Path, case: PreconditionCase, target: Target, queries: Sequence[str] = ()) -> list[Observation]:
    """Upgrade a database with each row set of a case by Alembic alone, and ask the queries before the judged revision."""
    config = Config(write_project(directory, [case]))
    os.environ["DATABASE_URL"] = url_of(target).replace("postgresql://", "postgresql+psycopg://")
    seen = []
    for row_set in case.row_sets:
        empty_database(target)
        if not row_set.is_late:
            command.upgrade(config, case.first)
            insert(target, row_set.sql)
        command.upgrade(config, case.parent)
        if row_set.is_late:
            insert(target, row_set.sql)
        counts = count_rows(target, queries)
        failure = ""
        try:
            command.upgrade(config, case.judged)
        except DBAPIError as error:
            failure = str(error.orig).partition("\n")[0] or repr(error.orig)
        seen.append(Observation(row_set, failure, counts))
    return seen


def prove_cases(
    settings: Settings, directory: Path, cases: Sequence[PreconditionCase], server: Target
) -> dict[str, RevisionOutcome]:
    """Return what one proof reports of the judged revision of each case, by the case's name."""
    outcome = prove(settings, write_project(directory, cases), Request(server=server, jobs=1))
    revisions = {each.revision: each for each in outcome.revisions}
    return {case.name: revisions[case.judged] for case in cases}


def read_queries(outcome: RevisionOutcome) -> list[str]:
    """Return the query of each precondition of a revision."""
    return [str(each.query) for each in getattr(outcome, "preconditions", ())]


def find_faults(case: PreconditionCase, outcome: RevisionOutcome, seen: Sequence[Observation]) -> list[str]:
    """Return what is wrong in the verdict, in the number of preconditions, and in what their queries return."""
    found, queries = verdicts(outcome), read_queries(outcome)
    faults = [
        f"{each.row_set.name}: the expectation is not true: {each.failure or 'passed'}"
        for each in seen
        if not each.is_true
    ]
    right = ["proven"] if case.is_control else ["proven, if"]
    if found != right and not (case.may_lose and set(found) <= {"lossy", *right}):
        words = "; ".join(finding.words for finding in outcome.findings)
        faults.append(f"{' and '.join(found)} {words}".strip())
    if len(queries) not in case.conditions:
        faults.append(f"{len(queries) or 'no'} preconditions")
    if not queries:
        return faults
    for each in seen:
        if not each.is_right:
            faults.append(f"{each.row_set.name}: {list(each.counts)} rows, not {each.row_set.keys}")
    return faults


def judge(
    settings: Settings, directory: Path, cases: Sequence[PreconditionCase], server: Target, target: Target
) -> Mapping[str, list[str]]:
    """Prove cases as one chain, and return the faults of each, by its name; `target` is a database for the row sets."""
    outcomes = prove_cases(settings, directory / "chain", cases, server)
    return {
        case.name: find_faults(
            case,
            outcomes[case.name],
            observe(directory / case.name, case, target, read_queries(outcomes[case.name])),
        )
        for case in cases
    }


def main() -> None:
    """Prove the cases, print those that are judged wrongly, and the score."""
    bindir = Path(os.environ["PG_BINDIR"]) if "PG_BINDIR" in os.environ else None
    settings = Settings(REPOSITORY, REPOSITORY / "alembic.ini", None, "test", 5.0, 0.0, 0.0, 0.0, bindir, None)
    named = set(sys.argv[1:])
    if unknown := named - GROUPS.keys() - CASES.keys():
        sys.exit(f"no case or group has the name {', '.join(sorted(unknown))}")
    right: dict[bool, list[bool]] = {False: [], True: []}
    with scratch_cluster.cluster(settings) as cluster, tempfile.TemporaryDirectory() as directory:
        server, target = cluster.target("postgres"), cluster.create_database("preconditions")
        for group in GROUPS:
            known = select_cases(group, server)
            cases = [case for case in known if not named or {group, case.name} & named]
            faults = judge(settings, Path(directory) / group, cases, server, target) if cases else {}
            for name, wrong in faults.items():
                right[CASES[name].is_control].append(not wrong)
                if wrong:
                    print(f"{group}: {name}: {'; '.join(wrong)}", flush=True)
    print(f"preconditions right: {sum(right[False])} of {len(right[False])}")
    print(f"controls right: {sum(right[True])} of {len(right[True])}")


if __name__ == "__main__":
    main()
