"""The former name of dbkit.roundtrip.prove, which a test suite may import Request from."""

from dbkit.roundtrip.prove import Request

__all__ = ["Request"]
