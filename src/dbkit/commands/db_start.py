"""`dbkit db-start`: start the embedded server."""

from pathlib import Path

from dbkit.commands.embedded_server import require_embedded_cluster
from dbkit.settings import Settings


def db_start(settings: Settings, _ini: Path) -> None:
    """Create the development cluster if there is none, and start it if it is stopped."""
    target = require_embedded_cluster(settings).ensure_running()
    print(f'"{target.dbname}" is running. Its socket is in {target.host}')
