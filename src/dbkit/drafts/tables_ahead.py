"""Create the models' tables while the migrations run: on most projects, neither needs anything of the other.

The thread that creates them has its connection from before: a connection that is opened while env.py runs would be
refused.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psycopg
import sqlalchemy as sa

from dbkit.drafts.create_tables import EXTENSIONS, CreatedTables, create_engine, create_tables
from dbkit.drafts.name_clashes import left_out
from dbkit.postgres.cluster import Cluster
from dbkit.postgres.connect import connect
from dbkit.postgres.initdb import SUPERUSER
from dbkit.postgres.own_statements import Session
from dbkit.postgres.sql_quote import quote_ident
from dbkit.settings import Target
from dbkit.signals import defer_signals

THREAD = "dbkit-models"
"""The prefix of the name of the thread."""
PAUSE = 0.05  # seconds between two attempts to cancel
EXTENSION = re.compile(r"CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?[\"\\]*([\w-]+)", re.IGNORECASE)


@dataclass(frozen=True)
class TablesAhead:
    """A database in which the models' tables were created without the migrations."""

    target: Target
    extensions: Sequence[tuple[str, str]]
    """The extensions that it had before, each with its schema."""
    tables: CreatedTables

    def suits(self, migrated: Target, schemas: Collection[str], extensions: Sequence[tuple[str, str]]) -> bool:
        """Whether they would be the same with these schemas and extensions of the migrations."""
        is_found_first = SUPERUSER in schemas or migrated.history.search_path is not None
        return not is_found_first and list(self.extensions) == list(extensions)


class Creation:
    """A creation in a thread; `result` is set once it has ended, and None where it has failed."""

    result: TablesAhead | None = None


@contextmanager
def creating_tables(
    cluster: Cluster, dbname: str, metadata: Sequence[sa.MetaData], sources: Iterable[str]
) -> Iterator[Creation]:
    """Create the models' tables in a new database meanwhile. `sources` are the texts of the revision files.

    What fails is left to the caller, who knows more once the migrations have run.
    """
    creation = Creation()
    with ExitStack() as stack:
        target = cluster.create_database(dbname)
        with connect(target, autocommit=True, session=Session.PROJECT) as own:
            _create_extensions(own, sources)
            extensions = own.execute(EXTENSIONS).fetchall()
        stack.enter_context(left_out(metadata))
        connection = stack.enter_context(create_engine(target).connect())
        executor = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix=THREAD))
        with defer_signals():
            future = executor.submit(create_tables, connection, metadata)
        try:
            yield creation
        except BaseException:
            _cancel(connection, future)
            raise
        try:
            creation.result = TablesAhead(target, extensions, future.result())
        except (sa.exc.SQLAlchemyError, psycopg.Error):
            return


def _create_extensions(connection: psycopg.Connection, sources: Iterable[str]) -> None:
    """Create the extensions that the revisions name, in the schema that they have by default."""
    names = dict.fromkeys(name for source in sources for name in EXTENSION.findall(source))
    for name in names:
        try:
            connection.execute(f"CREATE EXTENSION IF NOT EXISTS {quote_ident(name)}".encode())
        except psycopg.Error:
            continue  # the migrations will say so


def _cancel(connection: sa.Connection, future: "Future[CreatedTables]") -> None:
    """Cancel the statements until there is none left."""
    driver = connection.connection.driver_connection
    while isinstance(driver, psycopg.Connection) and not wait([future], PAUSE).done:
        driver.cancel()
