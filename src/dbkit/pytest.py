"""Each revision as a test of its own, in any test suite:

    from dbkit.pytest import migration, pytest_generate_tests

    def test_migration(migration):
        migration.check()

`migration` is a `Migration`, one for each revision. The whole chain is proven once, when the first of them is asked
for, on a throw-away PostgreSQL. Name the settings file with `ALEMBIC_INI = "path"` in the test module; without it, it
is alembic.ini in pytest's root directory. `ROUND_TRIP = Request(…)` there says more (dbkit.roundtrip.prove).
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from dbkit import project, settings
from dbkit.errors import DbkitError, InputError
from dbkit.redaction import redact
from dbkit.reports.roundtrip_text import render_revision
from dbkit.roundtrip.outcome import Outcome, RevisionOutcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.roundtrip.selection import select_revisions

__all__ = ["Migration", "migration", "pytest_generate_tests"]

OUTCOMES = pytest.StashKey[dict[Path, Outcome]]()


@dataclass(frozen=True)
class Migration:
    """One revision, and what its round trip found."""

    outcome: RevisionOutcome

    def check(self) -> None:
        """Fail the test when there is something that nobody has accepted; skip it when that was accepted."""
        __tracebackhide__ = True
        if self.outcome.failed:
            pytest.fail(redact.text(render_revision(self.outcome)), pytrace=False)
        if self.outcome.accepted is not None:
            pytest.skip(redact.text(f"accepted {self.outcome.verdict}: {self.outcome.accepted}"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each revision for the functions that take `migration`."""
    if "migration" not in metafunc.fixturenames:
        return
    ini, request = _asked(metafunc.module, metafunc.config)
    loaded = project.load(ini, request.section, request.arguments)
    revisions = []  # which pytest skips: a project that has none yet is not broken
    if loaded.heads:
        way = select_revisions(loaded, request.scope)
        revisions = [script.revision for script in way.scripts if script.revision in way.proven]
    metafunc.parametrize("migration", revisions, indirect=True)


@pytest.fixture
def migration(request: pytest.FixtureRequest) -> Migration:
    """What the round trip found for the revision that is this test's parameter."""
    ini, asked = _asked(request.module, request.config)
    outcomes = request.config.stash.setdefault(OUTCOMES, {})
    if ini not in outcomes:
        try:
            outcomes[ini] = prove(settings.load(ini.parent, dotenv=False), ini, asked)
        except DbkitError as error:  # the traceback and its variables may have a password in them
            pytest.fail(str(error), pytrace=False)
    found = {each.revision: each for each in outcomes[ini].revisions}
    return Migration(found[request.param])


def _asked(module: object, config: pytest.Config) -> tuple[Path, Request]:
    ini = config.rootpath / getattr(module, "ALEMBIC_INI", "alembic.ini")
    if not ini.is_file():
        raise InputError(f"there is no {ini}.", 'Name it in the test module: ALEMBIC_INI = "path/to/alembic.ini".')
    return ini, getattr(module, "ROUND_TRIP", Request())
