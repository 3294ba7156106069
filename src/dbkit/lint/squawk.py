"""squawk's findings on the recorded SQL, with its real transactions, merged with dbkit's own.

https://squawkhq.com/docs
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dbkit.findings.finding import LONGEST_SQL, Level, LintFinding
from dbkit.findings.rule_ids import SQUAWK
from dbkit.foreign_python.finder import program_directories
from dbkit.roundtrip.outcome import RevisionOutcome
from dbkit.trace.records import ExecutedStatement

# Rules of squawk, by dbkit's rules that measure the effect: a finding of both is dbkit's, one of squawk only is dropped
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
# The trace does not see all forms: a finding of both is dbkit's, one of squawk only is reported
BESIDE = {"require-concurrent-reindex": ("scan-under-lock",)}
IGNORED = {
    "adding-required-field": "the round trip reports that it fails on rows",
    "ban-concurrent-index-creation-in-transaction": "the server refuses it",
    "prefer-robust-stmts": "a revision is one transaction, and is recorded at its end",
    "require-statement-timeout": "a long migration may be intended; other sessions wait for its locks",
    "require-timeout-settings": "no-lock-timeout reads the session's setting",
    "unused-ignore": "comments for squawk are not passed to it",
}
# Findings of other rules are about style, and notes
WARNINGS = (
    "ban-drop-database",
    "ban-truncate-cascade",
    "identifier-too-long",
    "require-concurrent-index-deletion",
    "require-concurrent-partition-detach",
    "require-concurrent-reindex",
)
ABOUT_LOCKS = tuple(rule for rule in WARNINGS if rule.startswith("require-concurrent"))
SUCCESS = (0, 1)  # exit codes: no findings, findings


@dataclass
class _Script:
    """The input of squawk: the statements of one revision that share a transaction."""

    outcome: RevisionOutcome
    in_transaction: bool
    lines: list[ExecutedStatement] = field(default_factory=list)
    """The statement of each line."""
    texts: list[str] = field(default_factory=list)

    def add(self, statement: ExecutedStatement) -> None:
        text = f"{statement.sql}\n;"
        self.texts.append(text)
        self.lines += [statement] * len(text.split("\n"))


def run_squawk(outcomes: Sequence[RevisionOutcome], version: int, root: Path) -> list[LintFinding]:
    """Return squawk's findings in the upgrades for a major version; one note at `root` if squawk does not run."""
    program = find_program()
    if program is None:
        message = "squawk is not installed, so its rules were not checked: pip install squawk-cli"
        return [LintFinding("squawk-unavailable", Level.NOTE, "", root, None, message)]
    found: list[LintFinding] = []
    for in_transaction in (True, False):
        scripts = [each for each in _collect_scripts(outcomes) if each.in_transaction == in_transaction]
        try:
            found += _check(program, scripts, version, in_transaction)
        except (OSError, ValueError) as error:
            message = f"squawk failed, so its rules were not checked: {error}"
            return [LintFinding("squawk-unavailable", Level.NOTE, "", root, None, message)]
    return found


def merge_findings(own: Sequence[LintFinding], of_squawk: Sequence[LintFinding]) -> list[LintFinding]:
    """Return one list: what both found is dbkit's, with squawk's id in `also`; what the trace disproves is dropped."""
    merged = list(own)
    numbers: dict[object, list[int]] = {}
    for number, other in enumerate(own):
        numbers.setdefault((other.revision, other.line, other.direction), []).append(number)
    for each in of_squawk:
        rule = each.id.removeprefix(SQUAWK)
        same = {*REPLACED.get(rule, ()), *BESIDE.get(rule, ())}
        at_line = numbers.get((each.revision, each.line, "upgrade"), ())
        places = [number for number in at_line if merged[number].id in same]
        for number in places:
            also = dict.fromkeys((*merged[number].also, each.id))
            merged[number] = replace(merged[number], also=tuple(also))
        if not places and rule not in REPLACED:
            merged.append(each)
    return merged


def find_program() -> str | None:
    """Return the path of squawk, beside this Python or on PATH."""
    return shutil.which("squawk", path=os.pathsep.join([*program_directories(), os.environ.get("PATH", "")]))


def _collect_scripts(outcomes: Sequence[RevisionOutcome]) -> Iterator[_Script]:
    for outcome in outcomes:
        for trace in outcome.traces:
            scripts: dict[int, _Script] = {}
            for statement in trace if trace.direction == "upgrade" else ():
                key = statement.transaction
                scripts.setdefault(key, _Script(outcome, statement.in_transaction)).add(statement)
            yield from scripts.values()


def _check(program: str, scripts: Sequence[_Script], version: int, in_transaction: bool) -> Iterator[LintFinding]:
    """Run squawk on the scripts. Raises ValueError if it fails."""
    if not scripts:
        return
    options = ["--reporter", "json", "--pg-version", f"{version}.0"]
    options.append("--assume-in-transaction" if in_transaction else "--no-assume-in-transaction")
    with tempfile.TemporaryDirectory(prefix="dbkit-squawk-") as directory:
        for number, each in enumerate(scripts):
            (Path(directory) / f"{number}.sql").write_text("\n".join(each.texts), encoding="utf-8")
        # in an empty directory, so that squawk finds no settings file of the project
        command = [program, *options, *(f"{number}.sql" for number in range(len(scripts)))]
        result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if result.returncode not in SUCCESS:
        raise ValueError(" ".join((result.stderr or result.stdout).split())[:200])
    for reported in json.loads(result.stdout or "[]"):
        script = scripts[int(Path(reported["file"]).stem)]
        finding = _finding(reported, script, script.lines[min(reported["line"], len(script.lines) - 1)])
        if finding:
            yield finding


def _finding(reported: dict[str, Any], script: _Script, statement: ExecutedStatement) -> LintFinding | None:
    rule = reported["rule_name"]
    is_on_new_table = rule in ABOUT_LOCKS and not any(each.existed for each in statement.touched)
    if rule in IGNORED or is_on_new_table:
        return None
    return LintFinding(
        f"{SQUAWK}{rule}",
        Level.WARNING if rule in WARNINGS else Level.NOTE,
        script.outcome.revision,
        script.outcome.path,
        statement.line,
        reported["message"].rstrip("."),
        why=f"https://squawkhq.com/docs/{rule}",
        fix=f"# {reported['help']}" if reported.get("help") else "",
        sql=" ".join(statement.sql.split())[:LONGEST_SQL],
    )
