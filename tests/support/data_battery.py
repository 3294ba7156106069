"""Data faults and honest migrations, each with rows that show the verdict by hand, and what a proof reports of them.

    PYTHONPATH=tests venv/bin/python -m support.data_battery [GROUP …]

prints the score of all groups, or of those that are named, and the cases that the proof judges wrongly.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql

from dbkit.postgres import scratch_cluster
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.settings import Settings, Target
from support import (
    data_conditions,
    data_controls,
    data_failures,
    data_programs,
    data_relations,
    data_structures,
    data_trial_controls,
    data_trial_faults,
)
from support.data_case import DataCase, write_cases
from support.kit import REPOSITORY
from support.pair import url_of

FAULT_GROUPS = {
    **data_conditions.GROUPS,
    **data_programs.GROUPS,
    **data_structures.GROUPS,
    **data_relations.GROUPS,
    **data_failures.FAULT_GROUPS,
}
TRIAL_GROUPS = {"trial faults": data_trial_faults.CASES, "trial controls": data_trial_controls.CASES}
CONTROL_GROUPS = {**data_controls.GROUPS, **data_failures.CONTROL_GROUPS, **data_relations.CONTROL_GROUPS}
GROUPS = {**FAULT_GROUPS, **CONTROL_GROUPS, **TRIAL_GROUPS}
"""The cases of a group are one chain when they are proven, so that all names of their tables differ."""
CASES = {case.name: case for group in GROUPS.values() for case in group}

TABLES = """
SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND c.relname <> 'alembic_version'"""
Rows = dict[tuple[str, str], list[str]]


def read_rows(target: Target) -> Rows:
    """Return the rows of each table, as text with the names of columns, in order."""
    with psycopg.connect(**target.parameters()) as connection:
        return {
            (schema, name): [
                row
                for (row,) in connection.execute(
                    sql.SQL("SELECT to_jsonb(t)::text FROM ONLY {} AS t ORDER BY 1").format(
                        sql.Identifier(schema, name)
                    )
                )
            ]
            for schema, name in connection.execute(TABLES).fetchall()
        }


def select_cases(group: str, server: Target) -> list[DataCase]:
    """Return the cases of a group whose syntax the server knows."""
    with psycopg.connect(**server.parameters()) as connection:
        major = connection.info.server_version // 10000
    return [case for case in GROUPS[group] if case.server <= major]


def empty_database(target: Target) -> None:
    """Drop all schemas of a database, and make the usual one again."""
    with psycopg.connect(**target.parameters()) as connection:
        schemas = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$'")
        for (schema,) in schemas.fetchall():
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
        connection.execute("CREATE SCHEMA public")


def go_there_and_back(directory: Path, case: DataCase, target: Target, observe: Callable[[str, Rows], None]) -> None:
    """Run the judged revision of a case up and down by Alembic alone, on its witness; observe the rows at each state."""
    config = Config(write_cases(directory, [case]))
    os.environ["DATABASE_URL"] = url_of(target).replace("postgresql://", "postgresql+psycopg://")
    command.upgrade(config, case.parent)
    with psycopg.connect(**target.parameters()) as connection:
        connection.execute(case.witness.encode())
    observe("before", read_rows(target))
    command.upgrade(config, case.judged)
    observe("after upgrade", read_rows(target))
    command.downgrade(config, case.parent)
    observe("after downgrade", read_rows(target))


def prove_cases(
    settings: Settings, directory: Path, cases: Sequence[DataCase], server: Target
) -> dict[str, RevisionOutcome]:
    """Return what one proof reports of the judged revision of each case, by the case's name."""
    outcome = prove(settings, write_cases(directory, cases), Request(server=server, jobs=1))
    revisions = {each.revision: each for each in outcome.revisions}
    return {case.name: revisions[case.judged] for case in cases}


def verdicts(outcome: RevisionOutcome) -> list[str]:
    """Return all verdicts of a revision."""
    return [str(each) for each in (outcome.verdict, *outcome.also)]


def is_right(case: DataCase, outcome: RevisionOutcome) -> bool:
    """Return whether a proof has found the fault, with the place that loses rows, or proven the control."""
    if not case.is_fault:
        return verdicts(outcome) == ["proven"]
    words = "\n".join(finding.words for finding in outcome.findings)
    blamed = {"lossy", "dirty", "broken", *(["fails on rows"] if case.fails else [])} & set(verdicts(outcome))
    return bool(blamed) and any(each in words for each in case.words)


def main() -> None:
    """Prove the groups, print the cases that are judged wrongly, and the score."""
    bindir = Path(os.environ["PG_BINDIR"]) if "PG_BINDIR" in os.environ else None
    settings = Settings(REPOSITORY, REPOSITORY / "alembic.ini", None, "test", 5.0, 0.0, 0.0, 0.0, bindir, None)
    right: dict[bool, list[bool]] = {True: [], False: []}
    with scratch_cluster.cluster(settings) as cluster, tempfile.TemporaryDirectory() as directory:
        for group in sys.argv[1:] or GROUPS:
            cases = select_cases(group, cluster.target("postgres"))
            for name, outcome in prove_cases(
                settings, Path(directory) / group, cases, cluster.target("postgres")
            ).items():
                case = CASES[name]
                right[case.is_fault].append(is_right(case, outcome))
                if not is_right(case, outcome):
                    words = "; ".join(finding.words for finding in outcome.findings)
                    print(f"{group}: {name}: {' and '.join(verdicts(outcome))} {words}", flush=True)
    print(f"faults found: {sum(right[True])} of {len(right[True])}")
    print(f"controls proven: {sum(right[False])} of {len(right[False])}")


if __name__ == "__main__":
    main()
