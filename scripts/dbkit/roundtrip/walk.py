"""The literal round trip: the whole chain up, down to base, and up again."""

import difflib
import time
from pathlib import Path

from dbkit import dump, project, runner, scratch
from dbkit.connect import connect
from dbkit.errors import WRITE_FIRST, InputError
from dbkit.lock import VERSION_TABLE
from dbkit.roundtrip.outcome import Finding, Outcome
from dbkit.settings import Settings


def walk(settings: Settings, ini: Path) -> Outcome:
    """Run the chain on a throw-away cluster, with empty tables, and compare the schema at base and at head.

    A migration that fails raises CheckFailed, naming it. Raises InputError when there are no revisions to walk over.
    """
    loaded = project.load(ini)
    revisions = len(list(loaded.script.walk_revisions()))
    if not revisions:
        raise InputError("there are no revisions, so nothing was proven.", WRITE_FIRST)
    started = time.monotonic()
    with scratch.cluster(settings) as cluster:
        target = cluster.target()
        on_scratch = scratch.settings_for(settings, target)

        def state() -> str:
            return dump.schema(on_scratch, target, without_table=VERSION_TABLE)

        base = state()
        runner.run(loaded, on_scratch, "upgrade", "heads")
        head = state()
        runner.run(loaded, on_scratch, "downgrade", "base")
        base_again = state()
        runner.run(loaded, on_scratch, "upgrade", "heads")
        head_again = state()
        with connect(target) as connection:
            server_version = connection.info.parameter_status("server_version") or "?"
    findings = [
        *_compare(base, base_again, "after downgrade to base, nothing is left but the version table"),
        *_compare(head, head_again, "after the second upgrade, the schema is that of the first"),
    ]
    return Outcome(revisions, server_version, time.monotonic() - started, tuple(findings))


def _compare(before: str, after: str, claim: str) -> list[Finding]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=1)
    difference = tuple(lines)
    return [Finding(claim, difference)] if difference else []
