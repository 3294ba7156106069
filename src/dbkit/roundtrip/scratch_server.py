"""Where a proof makes its databases: a throw-away server that starts while we go on, or a server that the user names.

Loads little, so that the server can start while Alembic and SQLAlchemy are loaded.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dbkit.postgres import scratch_cluster
from dbkit.settings import Settings, Target

THREAD = "dbkit-server"
"""How the name begins of the thread that starts a server."""


@dataclass(frozen=True)
class ScratchServer:
    """A server, names for databases on it, and `wait`, which returns when it is running or raises why it is not."""

    place: scratch_cluster.Place
    names: scratch_cluster.Names
    wait: Callable[[], object]


@contextmanager
def open_server(settings: Settings, server: Target | None) -> Iterator[ScratchServer]:
    """The server that `server` is on; for None a throw-away one, which may still be starting."""
    if server:
        with scratch_cluster.named_server(server) as named:
            yield ScratchServer(named, scratch_cluster.Names(named.token), lambda: None)
        return
    # a throw-away server may be of any PostgreSQL that is here, whatever the settings say of the real one
    with (
        scratch_cluster.future_cluster(replace(settings, app_env="test")) as cluster,
        ThreadPoolExecutor(1, thread_name_prefix=THREAD) as beside,
    ):
        # a signal that is raised within submit() would leave a thread that is not waited for: it would make
        # the cluster once more, after it was removed
        with scratch_cluster.undisturbed():
            starting = beside.submit(cluster.ensure_running)
        yield ScratchServer(cluster, scratch_cluster.Names(scratch_cluster.new_token()), starting.result)
