"""The former name of dbkit.roundtrip.selection, which a test suite may import Scope from."""

from dbkit.roundtrip.selection import Scope

__all__ = ["Scope"]
