"""Recognise databases that speak PostgreSQL's protocol and are something else."""

import re
from collections.abc import Callable

from psycopg import pq

from dbkit.errors import InputError

NO_LOCKS = "it has no advisory locks, with which one migration keeps the next one out"
NO_DDL = "its DDL is not part of a transaction, so a migration that fails is not undone"
DIFFERENT = "its catalog and its transactions are not PostgreSQL's"

# What version() of each contains, its name, and why dbkit does not work with it. The name of a build or of a machine
# may be part of the text, so each is as long as it can be.
ENGINES = (
    (r"\bCockroachDB\b", "CockroachDB", "its advisory locks lock nothing, and its DDL is not part of a transaction"),
    (r"-YB-|\bYugabyte", "YugabyteDB", NO_DDL),
    (r"\bRedshift\b", "Amazon Redshift", NO_LOCKS),
    # All of the text of Aurora DSQL: PostgreSQL has a minor version, the platform and the compiler behind it
    (r"^\s*PostgreSQL \d+\s*$|\bDSQL\b", "Amazon Aurora DSQL", NO_LOCKS),
    (r"\bMaterialize\b", "Materialize", DIFFERENT),
    (r"\bRisingWave\b", "RisingWave", DIFFERENT),
    (r"\bQuestDB\b", "QuestDB", DIFFERENT),
    (r"\bCrateDB\b", "CrateDB", DIFFERENT),
    (r"\busing H2\b", "H2", DIFFERENT),
    (r"\bopenGauss\b|\bGaussDB\b", "openGauss", DIFFERENT),
    (r"\bGreenplum\b", "Greenplum", "its PostgreSQL is older than 13, and it distributes tables"),
    (r"\bPGAdapter\b|\bSpanner\b", "Google Cloud Spanner", NO_DDL),
)
# Values that are sent at the login, before any query
PARAMETERS = {"crdb_version": "CockroachDB", "crate_version": "CrateDB"}
# Of Redshift, since its beginning, and of nothing else
REDSHIFT_VERSION = "8.0.2"
ASK = ("SELECT pg_catalog.version()", "SELECT version()")
HINT = "It works with PostgreSQL 13 and newer, and with what is built from that, such as Aurora PostgreSQL or Neon."
UNKNOWN_VERSION = re.compile(r"Could not determine version from string '(.*)'", re.DOTALL)
"""SQLAlchemy's error for a text that is not PostgreSQL's."""


def recognise_login(parameter: Callable[[str], str | None]) -> str:
    """Return the name of an engine by what it has sent at the login; "" for PostgreSQL. `parameter` returns a value."""
    for name, engine in PARAMETERS.items():
        if parameter(name):
            return engine
    version = parameter("server_version") or ""
    return "Amazon Redshift" if version == REDSHIFT_VERSION else recognise(version, is_whole=False)


def recognise(version: str, *, is_whole: bool = True) -> str:
    """Return the name of an engine by the text of version(), or with not `is_whole` by a part; "" for PostgreSQL."""
    for pattern, name, _reason in ENGINES:
        if re.search(pattern, version, re.IGNORECASE) and (is_whole or not pattern.startswith("^")):
            return name
    return ""


def ask_version(pgconn: "pq.abc.PGconn") -> str:
    """Ask a server for version() in the plainest way; "" where that fails, too."""
    for query in ASK:
        if pgconn.status != pq.ConnStatus.OK:
            return ""
        result = pgconn.exec_(query.encode())
        if result.status == pq.ExecStatus.TUPLES_OK and result.ntuples:
            return (result.get_value(0, 0) or b"").decode(errors="replace")
    return ""


def engine_error(server: str, name: str) -> InputError:
    """The error for a database that is not PostgreSQL."""
    reason = next((reason for _, engine, reason in ENGINES if engine == name), DIFFERENT)
    return InputError(f"{server} is {name}, not PostgreSQL: dbkit does not work with it, since {reason}.", HINT)


def require_postgres(server: str, version: str) -> None:
    """Raise InputError where version() is that of another engine."""
    if name := recognise(version):
        raise engine_error(server, name)


def error_of_dialect(error: BaseException | None, server: str) -> InputError | None:
    """The error for a server whose version SQLAlchemy could not read; None for another error."""
    match = UNKNOWN_VERSION.match(str(error)) if isinstance(error, AssertionError) else None
    if match is None:
        return None
    name = recognise(match[1])
    return engine_error(server, name) if name else InputError(f"{server} is not PostgreSQL, but {match[1]!r}.", HINT)
