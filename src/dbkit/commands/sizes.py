"""`dbkit sizes`: a read-only query for the sizes of a live database's tables."""

from dbkit.lint.table_sizes import QUERY
from dbkit.redaction.outputs import write_data


def sizes() -> None:
    """Print the query."""
    write_data(QUERY)
