"""The server of a proof: a scratch cluster that starts in the background, or a server that the user names.

This module imports little, so that the cluster can start while Alembic and SQLAlchemy are imported.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dbkit.postgres import connection_guard, scratch_cluster, scratch_database
from dbkit.postgres.cluster import Cluster
from dbkit.settings import Settings, Target
from dbkit.signals import defer_signals

THREAD = "dbkit-server"
"""The prefix of the name of the thread that starts a server."""


@dataclass(frozen=True)
class ScratchServer:
    """A server, names for databases on it, and `wait`, which returns once it is running, or raises why it is not."""

    place: scratch_database.ProofServer
    names: scratch_database.DatabaseNames
    wait: Callable[[], object]


@contextmanager
def open_server(
    settings: Settings, server: Target | None, prepare: Callable[[Cluster], object] = lambda _cluster: None
) -> Iterator[ScratchServer]:
    """Open the server that `server` is on; for None a scratch cluster, which may still be starting.

    `prepare` is called before it starts, and may create its data directory.
    """
    if server:
        with scratch_database.named_server(server) as place:
            yield ScratchServer(place, scratch_database.DatabaseNames(place.token), lambda: None)
        return
    # it may be of any PostgreSQL that is installed, whatever the settings require of the real server
    with (
        scratch_cluster.future_cluster(replace(settings, app_env="test")) as cluster,
        ThreadPoolExecutor(1, thread_name_prefix=THREAD) as executor,
    ):
        # a signal within submit() would leave a thread that nothing waits for: it would make the cluster again after
        # its removal
        with defer_signals():
            starting = executor.submit(_start, cluster, prepare)
        yield ScratchServer(cluster, scratch_database.DatabaseNames(scratch_database.new_token()), starting.result)


def _start(cluster: Cluster, prepare: Callable[[Cluster], object]) -> None:
    # the main thread may run env.py meanwhile, which a guard watches
    with connection_guard.unguarded():
        prepare(cluster)
        cluster.ensure_running()
