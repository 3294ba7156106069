"""Assess whether a stash belongs to a database, and whether the rollback that it was made for was committed."""

from dataclasses import dataclass
from enum import Enum

import psycopg

from dbkit.stash.manifest import Identity
from dbkit.stash.store import Stash

MAY_ASK = "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')"
SYSTEM = "SELECT system_identifier FROM pg_catalog.pg_control_system()"
DATABASE = """
SELECT (SELECT oid::pg_catalog.int8 FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
    pg_catalog.pg_is_in_recovery()"""
# the first eight digits of a segment's name are the timeline; pg_control_checkpoint() lags behind after a promotion
LOG = """
SELECT pg_catalog.pg_walfile_name(here), (here - '0/0'::pg_catalog.pg_lsn)::pg_catalog.int8
FROM pg_catalog.pg_current_wal_insert_lsn() AS here"""


def read_identity(connection: psycopg.Connection) -> Identity:
    """Read the identity of the database. An ordinary role may, unless the privilege was revoked."""
    [may_ask] = connection.execute(MAY_ASK).fetchone() or (False,)
    [system] = (connection.execute(SYSTEM).fetchone() if may_ask else None) or (None,)
    database, in_recovery = connection.execute(DATABASE).fetchone() or (0, True)
    if in_recovery:
        return Identity(system, database, None, None)
    segment, log = connection.execute(LOG).fetchone() or ("0", 0)
    return Identity(system, database, int(segment[:8], 16), log)


class Fate(Enum):
    """Whether a stash's rollback was committed, as far as the database shows it."""

    NEEDED = "what it has was lost, or may have been"
    UNNEEDED = "its rollback was not committed"
    RUNNING = "its rollback has not ended"
    ELSEWHERE = "it was made in another database"
    UNKNOWN = "whether its rollback was committed is not known"


@dataclass(frozen=True)
class Assessment:
    """A fate, and its reason as the rest of a sentence."""

    fate: Fate
    why: str = ""

    @property
    def must_be_named(self) -> bool:
        """Whether the stash is restored only when it is named. It is never removed."""
        return self.fate in (Fate.ELSEWHERE, Fate.UNKNOWN)


def assess_stash(connection: psycopg.Connection, here: Identity, stash: Stash) -> Assessment:
    """Assess whether a stash is needed in the database that has the identity `here`.

    The id of its transaction has a meaning only in the history that it was made in: the same server, database and
    timeline, and not a copy of it from an earlier moment.
    """
    made = stash.manifest.identity
    if made is not None and (difference := made.difference(here)):
        return Assessment(Fate.ELSEWHERE, difference)
    status = _status_of(connection, stash)
    if status not in ("aborted", "in progress"):
        return Assessment(Fate.NEEDED)
    if made is None:
        return Assessment(
            Fate.UNKNOWN, "an older dbkit wrote it, which did not record the database that it was made in"
        )
    if made.system is None or here.system is None:
        return Assessment(Fate.UNKNOWN, "this role may not read the identity of the server (pg_control_system())")
    if None in (made.timeline, here.timeline) or made.timeline != here.timeline:
        return Assessment(Fate.UNKNOWN, "the server has had a recovery or a failover since")
    if made.log is None or here.log is None or here.log < made.log:
        return Assessment(Fate.UNKNOWN, "the server is a copy from before it was made")
    return Assessment(Fate.UNNEEDED if status == "aborted" else Fate.RUNNING)


def _status_of(connection: psycopg.Connection, stash: Stash) -> str | None:
    """Return the status of a stash's transaction: committed, aborted, in progress; None where it is not known."""
    query = "SELECT pg_catalog.pg_xact_status(%s::pg_catalog.text::pg_catalog.xid8)"
    try:
        with connection.transaction():
            row = connection.execute(query, [stash.manifest.transaction]).fetchone()
    except psycopg.errors.InvalidParameterValue:  # in the future: of another server, or of a later moment
        return None
    return row[0] if row else None
