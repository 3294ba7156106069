"""A program: runs dbkit with a scratch cluster that is there already, which saves initdb and a start for each command."""

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import _GeneratorContextManager, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from dbkit.__main__ import main
from dbkit.postgres import scratch_cluster
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Settings

lent: list[Cluster] = []


Make = Callable[[Settings], _GeneratorContextManager[Cluster]]


def lend(make: Make) -> Make:
    """Return what yields the cluster, emptied, in the place of a new one; a second one at the same time is new."""

    @contextmanager
    def cluster(settings: Settings) -> Iterator[Cluster]:
        if not lent:
            with make(settings) as made:
                yield made
            return
        given = lent.pop()
        try:
            given.ensure_running()
            empty(given)
            yield given
        finally:
            lent.append(given)

    return cluster


def empty(cluster: Cluster) -> None:
    """Leave one empty database in a cluster, as in a new one, and no role of a proof."""
    with psycopg.connect(**cluster.maintenance.parameters(), autocommit=True) as connection:
        names = connection.execute("SELECT datname FROM pg_database WHERE datname <> 'postgres' AND NOT datistemplate")
        for (name,) in names.fetchall():
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        roles = connection.execute("SELECT rolname FROM pg_roles WHERE oid >= 16384")
        for (name,) in roles.fetchall():
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
    cluster.create_database(cluster.target().dbname)


if __name__ == "__main__":
    lent.append(pickle.loads(Path(os.environ.pop("DBKIT_LENT")).read_bytes()))  # noqa: S301  # written by draft_battery
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # for the hooks after a file is written
    for name in ("cluster", "future_cluster"):
        setattr(scratch_cluster, name, lend(getattr(scratch_cluster, name)))
    sys.exit(main(sys.argv[1:]))
