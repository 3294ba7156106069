"""`dbkit sizes`: a read-only query for whoever may look at the live database."""

from dbkit.lint.table_sizes import QUERY
from dbkit.redaction.outputs import write_data


def sizes() -> None:
    """Print it."""
    write_data(QUERY)
