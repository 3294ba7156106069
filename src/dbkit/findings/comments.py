"""The grammar of `# dbkit:` comments in migration files and in env.py.

    # dbkit: ok dirty, the enum value stays; PostgreSQL cannot remove it
    # dbkit: rerunnable, each statement can run twice

`ok` accepts a verdict of the round trip or a finding of `dbkit lint`, in the whole file. `rerunnable` declares that
running the migration again after a failure does no harm; it begins its line. Both need a reason.
"""

import io
import re
import tokenize
from dataclasses import dataclass

from dbkit.findings.rule_ids import is_rule_id
from dbkit.findings.verdict import Verdict

MARK = "dbkit:"
ACCEPTS = re.compile(rf"#\s*{MARK}\s*ok\b(.*)")
ID_AND_REASON = re.compile(r"\s+([a-z][a-z0-9/-]*(?: [a-z]+)*)\s*,\s*(\S.*)")
RERUNNABLE = re.compile(rf"^#\s*{MARK}\s*rerunnable\s*,\s*\S".encode(), re.MULTILINE)
ACCEPTABLE_VERDICTS = frozenset(Verdict) - {Verdict.PROVEN, Verdict.PROVEN_IF}


@dataclass(frozen=True)
class Acceptance:
    """An `ok` comment: the verdict or rule id that it accepts, and the reason."""

    line: int
    accepts: str = ""
    reason: str = ""
    problem: str = ""
    """Why the comment cannot be read; empty where it can."""


def parse_acceptances(source: bytes) -> list[Acceptance]:
    """Return the `ok` comments of a Python file."""
    if MARK.encode() not in source:
        return []
    tokens = tokenize.tokenize(io.BytesIO(source).readline)
    found = ((token.start[0], ACCEPTS.match(token.string)) for token in tokens if token.type == tokenize.COMMENT)
    return [_parse(line, match[1]) for line, match in found if match]


def _parse(line: int, text: str) -> Acceptance:
    match = ID_AND_REASON.fullmatch(text.rstrip())
    if not match:
        return Acceptance(line, problem="a verdict and a reason are needed: # dbkit: ok dirty, <reason>")
    accepts, reason = match[1], match[2].strip()
    if accepts not in ACCEPTABLE_VERDICTS and not is_rule_id(accepts):
        verdicts = ", ".join(sorted(ACCEPTABLE_VERDICTS))
        return Acceptance(line, problem=f"{accepts!r} is none of {verdicts}, and no id of `dbkit explain`")
    return Acceptance(line, accepts, reason)


def is_declared_rerunnable(source: bytes) -> bool:
    """Return whether a migration file has a `rerunnable` comment with a reason."""
    return bool(RERUNNABLE.search(source))
