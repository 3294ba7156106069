"""Dangers in guises that no other list has, and safe statements, and what the linter reports of them.

    PYTHONPATH=tests venv/bin/python -m support.lint_guises [NAME …]

prints the score of all, or of those that are named (NAME may be a pattern), and those that are judged wrongly.
`--squawk` judges by the findings of squawk alone.
"""

import fnmatch
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg

from dbkit.findings.finding import LintFinding
from dbkit.findings.rule_ids import SQUAWK
from dbkit.lint.lint_project import lint_project
from dbkit.roundtrip.prove import Request
from dbkit.roundtrip.scratch_server import ScratchServer, open_server
from dbkit.settings import Settings
from support.kit import REPOSITORY
from support.lint_guises_case import Guise
from support.lint_guises_dangers import DANGERS
from support.lint_guises_safe import SAFE

CASES = {case.name: case for case in (*DANGERS, *SAFE)}


def read_major(server: ScratchServer) -> int:
    """Return the major version of a server."""
    server.wait()
    with psycopg.connect(**server.place.target("postgres").parameters()) as connection:
        return connection.info.server_version // 10000


def find(server: ScratchServer, settings: Settings, directory: Path, case: Guise) -> list[LintFinding]:
    """Return what lint reports of the project of a case."""
    request = Request(scope=case.scope, jobs=1)
    linted, _ = lint_project(server, settings, case.write(directory), request, lambda _text: None)
    return list(linted.findings)


def find_all(
    server: ScratchServer, settings: Settings, directory: Path, cases: Sequence[Guise]
) -> Iterator[tuple[Guise, list[LintFinding]]]:
    """Yield the cases whose syntax the server knows, with their findings."""
    major = read_major(server)
    for case in cases:
        if case.server <= major:
            yield case, find(server, settings, directory / case.name, case)


def main() -> None:
    """Lint the cases, print those that are judged wrongly, and the score."""
    bindir = Path(os.environ["PG_BINDIR"]) if "PG_BINDIR" in os.environ else None
    settings = Settings(REPOSITORY, REPOSITORY / "alembic.ini", None, "test", 5.0, 0.0, 0.0, 0.0, bindir, None)
    patterns = [each for each in sys.argv[1:] if each != "--squawk"] or ["*"]
    cases = [case for case in CASES.values() if any(fnmatch.fnmatch(case.name, each) for each in patterns)]
    right: dict[bool, list[bool]] = {True: [], False: []}
    with open_server(settings, None) as server, tempfile.TemporaryDirectory() as directory:
        for case, findings in find_all(server, settings, Path(directory), cases):
            if "--squawk" in sys.argv:
                findings = [each for each in findings if each.id.startswith(SQUAWK)]
            right[case.is_danger].append(case.is_right(findings))
            if not case.is_right(findings):
                kind = "danger" if case.is_danger else "safe"
                said = "; ".join(f"{each.id}: {each.message}" for each in case.loud(findings)) or "nothing"
                print(f"{kind} {case.name} ({case.why}): {said}", flush=True)
    print(f"dangers found: {sum(right[True])} of {len(right[True])}")
    print(f"safe statements not blamed: {sum(right[False])} of {len(right[False])}")


if __name__ == "__main__":
    main()
