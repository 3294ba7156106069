"""`dbkit db-start` and `db-stop`: the embedded server."""

from pathlib import Path

from dbkit.errors import InputError
from dbkit.postgres.cluster import development_cluster
from dbkit.settings import Settings


def start(settings: Settings, _ini: Path) -> None:
    """Make the development cluster if there is none, and start it if it is stopped."""
    _require_embedded(settings)
    target = development_cluster(settings).ensure_running()
    print(f'"{target.dbname}" is running. Its socket is in {target.host}')


def stop(settings: Settings, _ini: Path) -> None:
    """Stop the development cluster. Its data stay."""
    _require_embedded(settings)
    cluster = development_cluster(settings)
    pid = cluster.process.end_orphan()
    if pid is not None:
        print(f"Ended the server (pid {pid}): its data directory, {cluster.data}, was removed while it ran.")
        return
    print("Stopped. The data stay." if cluster.stop() else "It was not running.")


def _require_embedded(settings: Settings) -> None:
    if settings.target:
        raise InputError(
            f"the database is on {settings.target.server()}, which is not the kit's to start or stop.",
            "Without DATABASE_URL and DB_* in .env the embedded server is used.",
        )
