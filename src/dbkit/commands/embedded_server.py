"""The embedded server of the project, for the verbs that start and stop it."""

from dbkit.errors import InputError
from dbkit.postgres.cluster import Cluster, development_cluster
from dbkit.settings import Settings


def require_embedded_cluster(settings: Settings) -> Cluster:
    """Return the development cluster. Raises InputError where .env names another database."""
    if settings.target:
        raise InputError(
            f"the database is on {settings.target.server()}, which is not the kit's to start or stop.",
            "Without DATABASE_URL and DB_* in .env the embedded server is used.",
        )
    return development_cluster(settings)
