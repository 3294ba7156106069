"""The whole schema of a database as a set of facts, so that two states of it can be compared object by object."""

from dbkit.catalog.read import FIRST_NORMAL_OID, Difference, Fact, differences, identity, of_tables, qualified, read

__all__ = ["FIRST_NORMAL_OID", "Difference", "Fact", "differences", "identity", "of_tables", "qualified", "read"]
