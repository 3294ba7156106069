"""squawk's findings on the SQL that was recorded, with the true state of its transaction, beside our own.

https://squawkhq.com/docs
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dbkit.findings.finding import LONGEST_SQL, Level, LintFinding
from dbkit.findings.rule_ids import SQUAWK
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.trace.records import Statement

# What the trace measures: where it has found it, ours has squawk's name beside it; where not, it did no harm
REPLACED = {
    "adding-field-with-default": ("volatile-default",),
    "adding-foreign-key-constraint": ("foreign-key-in-one-step", "foreign-key-of-new-table"),
    "adding-not-nullable-field": ("not-null-by-scan",),
    "adding-serial-primary-key-field": ("volatile-default", "constraint-builds-index"),
    "ban-alter-domain-with-add-constraint": ("scan-under-lock",),
    "ban-drop-column": ("drop-breaks-code",),
    "ban-drop-table": ("drop-breaks-code",),
    "ban-uncommitted-transaction": ("commit-by-hand",),
    "changing-column-type": ("type-change-rewrites",),
    "constraint-missing-not-valid": ("check-in-one-step", "foreign-key-in-one-step"),
    "disallowed-unique-constraint": ("constraint-builds-index",),
    "renaming-column": ("rename-breaks-code",),
    "renaming-table": ("rename-breaks-code",),
    "require-concurrent-index-creation": ("index-without-concurrently",),
    "require-lock-timeout": ("no-lock-timeout",),
    "transaction-nesting": ("commit-by-hand",),
}
# The trace does not find it in all of its forms: where it has, it is one finding; where not, squawk's is told
BESIDE = {"require-concurrent-reindex": ("scan-under-lock",)}
LEFT_OUT = {
    "adding-required-field": "the round trip says that it fails on rows",
    "ban-concurrent-index-creation-in-transaction": "the server refuses it",
    "prefer-robust-stmts": "a revision is one transaction, and is recorded when it is done",
    "require-statement-timeout": "a long migration may be wanted; the lock is what others wait for",
    "require-timeout-settings": "no-lock-timeout looks at the session",
    "unused-ignore": "comments for squawk are not passed to it",
}
# Others are about style, and notes
WARNINGS = (
    "ban-drop-database",
    "ban-truncate-cascade",
    "identifier-too-long",
    "require-concurrent-index-deletion",
    "require-concurrent-partition-detach",
    "require-concurrent-reindex",
)
ABOUT_LOCKS = tuple(rule for rule in WARNINGS if rule.startswith("require-concurrent"))
DONE = (0, 1)  # exit codes: nothing found, something found


@dataclass
class _File:
    """What squawk is given: statements of one revision that share a transaction, or one that has its own."""

    outcome: RevisionOutcome
    in_transaction: bool
    lines: list[Statement] = field(default_factory=list)
    """By line, the statement that is there."""
    texts: list[str] = field(default_factory=list)

    def add(self, statement: Statement) -> None:
        text = f"{statement.sql}\n;"
        self.texts.append(text)
        self.lines += [statement] * len(text.split("\n"))


def find(outcomes: Sequence[RevisionOutcome], version: int, root: Path) -> list[LintFinding]:
    """What squawk finds in the upgrades, for that major version; one note at `root` where it cannot be asked."""
    program = _program()
    if program is None:
        words = "squawk is not installed here, so that its rules were not asked: pip install squawk-cli"
        return [LintFinding("squawk-unavailable", Level.NOTE, "", root, None, words)]
    found: list[LintFinding] = []
    for in_transaction in (True, False):
        files = [each for each in _files(outcomes) if each.in_transaction == in_transaction]
        try:
            found += _ask(program, files, version, in_transaction)
        except (OSError, ValueError) as error:
            words = f"squawk failed, so that its rules were not asked: {error}"
            return [LintFinding("squawk-unavailable", Level.NOTE, "", root, None, words)]
    return found


def join(ours: Sequence[LintFinding], squawks: Sequence[LintFinding]) -> list[LintFinding]:
    """One list: what both found is ours, with squawk's id beside it; what only squawk measures by its text is gone."""
    joined = list(ours)
    for each in squawks:
        rule = each.id.removeprefix(SQUAWK)
        same = {*REPLACED.get(rule, ()), *BESIDE.get(rule, ())}
        places = [
            number
            for number, own in enumerate(joined)
            if own.id in same and (own.revision, own.line, own.direction) == (each.revision, each.line, "upgrade")
        ]
        for number in places:
            also = dict.fromkeys((*joined[number].also, each.id))
            joined[number] = replace(joined[number], also=tuple(also))
        if not places and rule not in REPLACED:
            joined.append(each)
    return joined


def _program() -> str | None:
    """Beside this Python, or on PATH."""
    return shutil.which("squawk", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


def _files(outcomes: Sequence[RevisionOutcome]) -> Iterator[_File]:
    for outcome in outcomes:
        for trace in outcome.traces:
            files: dict[int, _File] = {}
            for statement in trace if trace.direction == "upgrade" else ():
                key = statement.transaction
                files.setdefault(key, _File(outcome, statement.in_transaction)).add(statement)
            yield from files.values()


def _ask(program: str, files: Sequence[_File], version: int, in_transaction: bool) -> Iterator[LintFinding]:
    """Run squawk over the files. Raises ValueError when it does not answer as it should."""
    if not files:
        return
    options = ["--reporter", "json", "--pg-version", f"{version}.0"]
    options.append("--assume-in-transaction" if in_transaction else "--no-assume-in-transaction")
    with tempfile.TemporaryDirectory(prefix="dbkit-squawk-") as directory:
        for number, each in enumerate(files):
            (Path(directory) / f"{number}.sql").write_text("\n".join(each.texts), encoding="utf-8")
        # in its own directory, so that no settings file of somebody's is found
        command = [program, *options, *(f"{number}.sql" for number in range(len(files)))]
        result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if result.returncode not in DONE:
        raise ValueError(" ".join((result.stderr or result.stdout).split())[:200])
    for told in json.loads(result.stdout or "[]"):
        each = files[int(Path(told["file"]).stem)]
        advice = _advice(told, each, each.lines[min(told["line"], len(each.lines) - 1)])
        if advice:
            yield advice


def _advice(told: dict[str, Any], file: _File, statement: Statement) -> LintFinding | None:
    rule = told["rule_name"]
    is_harmless = rule in ABOUT_LOCKS and not any(each.existed for each in statement.touched)
    if rule in LEFT_OUT or is_harmless:
        return None
    return LintFinding(
        f"{SQUAWK}{rule}",
        Level.WARNING if rule in WARNINGS else Level.NOTE,
        file.outcome.revision,
        file.outcome.path,
        statement.line,
        told["message"].rstrip("."),
        why=f"https://squawkhq.com/docs/{rule}",
        instead=f"# {told['help']}" if told.get("help") else "",
        sql=" ".join(statement.sql.split())[:LONGEST_SQL],
    )
