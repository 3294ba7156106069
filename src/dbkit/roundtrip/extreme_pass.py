"""Prove a revision once more with rows that have extreme values, within its transaction.

An error that only these show is a warning; rows that do not come back are lost, as ordinary ones are. All is rolled
back afterwards.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import psycopg

from dbkit.errors import sqlstate_of
from dbkit.roundtrip.compare import Findings
from dbkit.roundtrip.failures import describe_failure
from dbkit.roundtrip.outcome import Failure, Finding
from dbkit.roundtrip.proof_connection import DOWN, UP, ProofConnection
from dbkit.roundtrip.proof_with_rows import Proof, prove_with_rows
from dbkit.roundtrip.results import ProofResult, add_rows
from dbkit.sample_data.row_generator import ExtremeValues

MOST_WARNINGS = 3  # of a revision: behind each, the other columns are tried
LONGEST_VALUE = 40
# Statements that depend on the values of rows: not a new column or a plain index, and no constraint on keys or NULL
DEPENDS = re.compile(
    r"""^(?: \s | --[^\n]*\n | /\*.*?\*/ )*
    (?: create \s+ (?: unique \s+ )? index \b .* \( .* \( |
    (?: update | delete | merge | with | copy | do | call | refresh | insert \b .* \b select
      | alter \s+ domain | alter \s+ table \b .* \b (?: check | exclude | generated | validate
            | alter \s+ (?: column \s+ )? \S+ \s+ (?: set \s+ data \s+ )? type )
      | create \b .* \b as \s* \(? \s* (?: select | with | table ) ) (?!\w) )""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
NOT_ABOUT_ROWS = ("25", "40", "53", "55", "57")
"""Classes of errors that the transaction or the server may cause. All others have not occurred with ordinary rows."""
STEPS = {"up": "", "down": "the downgrade ", "reup": "the second upgrade "}
Values = Mapping[int, ExtremeValues]
"""By OID of a table, the extreme values of its columns."""
Item = tuple[int, str, str]
"""The OID of a table, a column and a value."""


class TransactionProof(Proof, Protocol):
    """A proof within a transaction; its upgrade has been applied after the savepoint UP."""

    connection: ProofConnection

    def run(self, *, up: bool, accept_all: bool = False) -> BaseException | None:
        """Run a function of the migration, and return what it raised."""


def is_extreme_pass_wanted(proof: Proof) -> bool:
    """Whether the upgrade of a revision does anything that depends on the values of rows."""
    return any(run.writes or DEPENDS.match(run.sql) for run in proof.runs["upgrade"])


def prove_with_extreme_rows(proof: TransactionProof, result: ProofResult, touched: Collection[int]) -> ProofResult:
    """Return a result with the losses and the warnings that extreme values in the touched tables show.

    The transaction must have the savepoint UP, which the caller rolls back to afterwards.
    """
    lossy = {each.rows.table for each in result.findings if each.rows}
    return _ExtremePass(proof, lossy).prove(result, touched)


@dataclass(frozen=True)
class _Attempt:
    """The result of an upgrade, downgrade and second upgrade with extreme rows."""

    failed: Finding | None = None
    differs: bool = False
    """Whether rows did not come back."""


class _ExtremePass:
    def __init__(self, proof: TransactionProof, lossy: Collection[str]) -> None:
        """`lossy`: the tables that are known to lose rows."""
        self.proof = proof
        self.sample_rows = proof.work.sample_rows
        self.shown = self.sample_rows.shown_names()
        self.compared = {
            oid: name for oid, name in self.sample_rows.table_names().items() if self.shown[oid] not in lossy
        }

    def prove(self, result: ProofResult, touched: Collection[int]) -> ProofResult:
        """Try all columns; behind a failure, those that did not cause it."""
        self.compared = {oid: name for oid, name in self.compared.items() if oid in touched}
        values: Values = self.sample_rows.extreme_values(touched)
        warnings: list[Finding] = []
        while values and len(warnings) < MOST_WARNINGS:
            attempt = self._try(values)
            if attempt.failed is None or attempt.failed.failure is None:
                if attempt.differs:
                    result = add_rows(result, self._find_differences(values))
                break
            culprit = self._find_culprit(values, attempt.failed.phase)
            warnings.append(self._make_warning(attempt.failed.phase, attempt.failed.failure, culprit))
            if culprit is None:
                break
            oid, column, _ = culprit
            values = _select(each for each in _items(values) if each[:2] != (oid, column))
        return replace(result, warnings=(*result.warnings, *warnings))

    def _try(self, values: Values) -> _Attempt:
        connection = self.proof.connection
        if not self._plant(values):
            return _Attempt()
        before = connection.hash_tables(self.compared)
        failed = self._run("up")
        if failed:
            return _Attempt(failed)
        connection.set_savepoint(DOWN)
        failed = self._run("down")
        if failed:
            # a downgrade that refuses such rows loses none
            return _Attempt() if failed.failure and failed.failure.raised else _Attempt(failed)
        try:
            differs = connection.hash_tables(self.compared) != before
        except psycopg.OperationalError:  # a table is not there
            return _Attempt(differs=True)
        return _Attempt(self._run("reup"), differs)

    def _plant(self, values: Values) -> Collection[int]:
        self.proof.connection.roll_back_to(UP)
        planted = self.sample_rows.insert_extreme_rows(self.proof.connection.driver, values)
        # what a precondition forbids is known
        self.proof.preconditions.remove_violating(self.proof.connection.driver)
        return planted

    def _run(self, phase: str) -> Finding | None:
        """Run a function of the revision. Returns why it failed, if rows may be the cause."""
        error = self.proof.run(up=phase != "down", accept_all=True)
        if error is None:
            return None
        failure = describe_failure(error, self.proof.script)
        is_about_rows = sqlstate_of(error)[:2] not in NOT_ABOUT_ROWS
        return Finding(phase, failure=failure if is_about_rows else None, line=failure.line)

    def _find_culprit(self, values: Values, phase: str) -> Item | None:
        """Return the value that makes a step fail, by halving the values; None where none does by itself."""
        items = _items(values)
        while len(items) > 1:
            half = len(items) // 2
            for part in (items[:half], items[half:]):
                failed = self._try(_select(part)).failed
                if failed and failed.phase == phase:
                    items = part
                    break
            else:
                return None
        return items[0]

    def _make_warning(self, phase: str, failure: Failure, culprit: Item | None) -> Finding:
        where = ""
        if culprit:
            oid, column, value = culprit
            where = f": {self.shown[oid]}.{column} {_display(value)}"
        words = f"{STEPS[phase]}fails on extreme values{where}: {failure.words}"
        return Finding(phase, failure=replace(failure, words=words), line=failure.line, is_extreme=True)

    def _find_differences(self, values: Values) -> Findings:
        """Return the rows that do not come back, from snapshots of all rows."""
        findings, _ = prove_with_rows(self.proof, lambda _connection: self._plant(values))
        return tuple(
            replace(each, rows=replace(each.rows, reason=f"{each.rows.reason}; only with extreme values"))
            for each in findings
            if each.rows
        )


def _items(values: Values) -> list[Item]:
    return [(oid, name, value) for oid, columns in values.items() for name, found in columns.items() for value in found]


def _select(items: Iterable[Item]) -> Values:
    values: dict[int, dict[str, list[str]]] = {}
    for oid, column, value in items:
        values.setdefault(oid, {}).setdefault(column, []).append(value)
    return values


def _display(value: str) -> str:
    """Return a value in one line, without control characters."""
    text = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(value):,} characters)"
