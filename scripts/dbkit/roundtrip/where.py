"""Where a proof makes its databases: a throw-away server that starts while we go on, or a server that the user names.

Loads little, so that the server can start while Alembic and SQLAlchemy are loaded.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dbkit import scratch
from dbkit.settings import Settings, Target

THREAD = "dbkit-server"
"""How the name begins of the thread that starts a server."""


@dataclass(frozen=True)
class Where:
    """A server, names for databases on it, and `wait`, which returns when it is running or raises why it is not."""

    place: scratch.Place
    names: scratch.Names
    wait: Callable[[], object]


@contextmanager
def where(settings: Settings, server: Target | None) -> Iterator[Where]:
    """The server that `server` is on; for None a throw-away one, which may still be starting."""
    if server:
        with scratch.named_server(server) as named:
            yield Where(named, scratch.Names(named.token), lambda: None)
        return
    # a throw-away server may be of any PostgreSQL that is here, whatever the settings say of the real one
    with (
        scratch.future_cluster(replace(settings, app_env="test")) as cluster,
        ThreadPoolExecutor(1, thread_name_prefix=THREAD) as beside,
    ):
        # a signal that is raised within submit() would leave a thread that is not waited for: it would make
        # the cluster once more, after it was removed
        with scratch.undisturbed():
            starting = beside.submit(cluster.ensure_running)
        yield Where(cluster, scratch.Names(scratch.new_token()), starting.result)
