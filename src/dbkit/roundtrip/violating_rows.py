"""Remove the sample rows that a revision refuses, in the transaction of its proof: its preconditions are about them."""

from collections.abc import Collection
from typing import Protocol

import psycopg

from dbkit.postgres.own_statements import project_settings
from dbkit.preconditions.shapes import Shapes, read_shapes
from dbkit.project.revision_source import mentioned_tables
from dbkit.roundtrip.failures import describe_failure
from dbkit.roundtrip.outcome import Failure
from dbkit.roundtrip.preconditions import FailedProof, find_unsatisfying, tables_before
from dbkit.roundtrip.proof_connection import UP, ProofConnection
from dbkit.roundtrip.run_state import RunState


class TransactionProof(FailedProof, Protocol):
    """The proof of a revision in a transaction, with a savepoint before its upgrade."""

    connection: ProofConnection
    state: RunState
    statements: list[str]
    """The executed statements of the revision."""

    def run(self, *, up: bool, accept_all: bool = False) -> BaseException | None:
        """Run a function of the migration, and return what it raised."""


def remove_violating_rows(proof: TransactionProof, error: BaseException) -> bool:
    """Remove the sample rows that violate preconditions of the revision, for the revisions after it, too.

    `error`: of its upgrade. Returns whether there were some: then the upgrade is to be tried again.
    """
    rows, failure = proof.work.sample_rows, describe_failure(error, proof.script)
    if not (rows.has_rows and failure.is_about_rows):
        return False
    connection, state = proof.connection, proof.state
    with project_settings(connection.driver):
        after = _read_shapes_without_rows(proof)
        connection.roll_back_to(UP)
        removed = after is not None and _satisfy_preconditions(proof, after, failure)
    proof.runs["upgrade"].clear()
    if not removed:
        connection.roll_back_to(UP)
        return False
    found = connection.fingerprints.read()
    connection.fingerprints.execute(f"RELEASE SAVEPOINT {UP}")
    connection.begin(UP)
    tables, changed = rows.table_names(), found.touched | found.written
    if not (found.is_complete and state.fingerprints.match(found)):
        state.fingerprints, changed = connection.fingerprints.read_all(), frozenset(tables)
    state.table_hashes |= connection.hash_tables({oid: tables[oid] for oid in tables.keys() & changed})
    state.touched = (state.touched or set()) | changed
    return True


def _satisfy_preconditions(proof: TransactionProof, after: Shapes, failure: Failure) -> bool:
    """Remove the rows that violate preconditions, in the state before the upgrade. Returns whether there were."""
    driver = proof.connection.driver
    proof.preconditions.before = read_shapes(driver, tables_before(proof, after), related=True)
    return find_unsatisfying(proof, driver, after, proof.work.sample_rows.own_table_names(), failure)


def _read_shapes_without_rows(proof: TransactionProof) -> Shapes | None:
    """Return what the catalog demands after an upgrade of empty tables; None where these cannot be upgraded.

    First only those are emptied that the revision names; where it fails nevertheless, all are.
    """
    tables = proof.work.sample_rows.table_names()
    named = {oid: tables[oid] for oid in mentioned_tables(proof.script, tables, "\n".join(proof.statements))}
    for emptied in (named, tables):
        proof.connection.roll_back_to(UP)
        if emptied and _upgrade_without_rows(proof, emptied.values()):
            found = proof.connection.fingerprints.read()
            oids = {*named, *found.touched, *found.written} if found.is_complete else None
            return read_shapes(proof.connection.driver, oids, related=True)
    return None


def _upgrade_without_rows(proof: TransactionProof, tables: Collection[str]) -> bool:
    """Empty tables, and apply the revision. Returns whether that worked."""
    try:
        proof.connection.driver.execute(f"TRUNCATE {', '.join(tables)} CASCADE".encode())
    except psycopg.Error:
        return False
    with proof.work.traces.paused():
        return not proof.run(up=True, accept_all=True)
