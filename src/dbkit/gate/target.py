"""The database that a run is about."""

from dbkit.postgres.cluster import development_cluster
from dbkit.settings import Settings, Target


def resolve_target(settings: Settings) -> Target:
    """Return the database that the settings name; without one, the embedded server's, which is started."""
    return settings.target or development_cluster(settings).ensure_running()
