"""The schema of a database as a set of catalog facts, so that two states can be compared object by object."""

from dbkit.catalog.diff import Difference, compare_facts
from dbkit.catalog.facts import FIRST_NORMAL_OID, Fact, object_name, select_model_facts
from dbkit.catalog.read import collect_facts, read_facts

__all__ = [
    "FIRST_NORMAL_OID",
    "Difference",
    "Fact",
    "collect_facts",
    "compare_facts",
    "object_name",
    "read_facts",
    "select_model_facts",
]
