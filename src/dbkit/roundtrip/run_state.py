"""The known state of the databases between two revisions that are proven in transactions."""

from dataclasses import dataclass, field

from dbkit.roundtrip.catalog_fingerprint import KnownFingerprints
from dbkit.roundtrip.compare import Facts


@dataclass
class RunState:
    """The known state of the database between the revisions of one run."""

    fingerprints: KnownFingerprints
    facts: Facts | None = None
    """The catalog, where it was just read."""
    table_hashes: dict[int, str] = field(default_factory=dict)
    """By OID, the rows of each table as one text; empty when rows are not compared."""
    touched: set[int] | None = None
    """The OIDs of what the last revision has touched; None when that is not known."""
