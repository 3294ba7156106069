"""`dbkit sizes`: a read-only query for whoever may look at the live database."""

from dbkit.outputs import write_data
from dbkit.sizes.answer import QUERY


def sizes() -> None:
    """Print it."""
    write_data(QUERY)
