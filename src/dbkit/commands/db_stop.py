"""`dbkit db-stop`: stop the embedded server."""

from pathlib import Path

from dbkit.commands.embedded_server import require_embedded_cluster
from dbkit.settings import Settings


def db_stop(settings: Settings, _ini: Path) -> None:
    """Stop the development cluster. Its data directory stays."""
    cluster = require_embedded_cluster(settings)
    pid = cluster.process.end_orphan()
    if pid is not None:
        print(f"Ended the server (pid {pid}): its data directory, {cluster.data}, was removed while it ran.")
        return
    print("Stopped. The data stay." if cluster.stop() else "It was not running.")
