"""What a round trip found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Two states that should be equal and are not. `lines` is a unified diff of their dumps."""

    claim: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """The result of one round trip over `revisions` revisions, on a server of `server_version`."""

    revisions: int
    server_version: str
    seconds: float
    findings: tuple[Finding, ...]
