"""One test for each revision, in any test suite:

    from dbkit.pytest import migration, pytest_generate_tests

    def test_migration(migration):
        migration.check()

`migration` is a `Migration`, one for each revision. The whole chain is proven once, for the first test, on a scratch
cluster. `ALEMBIC_INI = "path"` in the test module names the settings file; the default is alembic.ini in pytest's root
directory. `ROUND_TRIP = Request(…)` in the test module sets other options (dbkit.roundtrip.prove).
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from dbkit import project, settings
from dbkit.errors import DbkitError, InputError
from dbkit.redaction import redact
from dbkit.reports.text import render_revision
from dbkit.roundtrip.outcome import Outcome, RevisionOutcome
from dbkit.roundtrip.prove import Request, prove
from dbkit.roundtrip.selection import select_revisions

__all__ = ["Migration", "migration", "pytest_generate_tests"]

OUTCOMES = pytest.StashKey[dict[Path, Outcome]]()


@dataclass(frozen=True)
class Migration:
    """One revision, with the outcome of its round trip."""

    outcome: RevisionOutcome

    def check(self) -> None:
        """Fail the test for a finding that is not accepted; skip it for an accepted one."""
        __tracebackhide__ = True
        if self.outcome.failed:
            pytest.fail(redact.text(render_revision(self.outcome)), pytrace=False)
        if self.outcome.accepted is not None:
            pytest.skip(redact.text(f"accepted {self.outcome.verdict}: {self.outcome.accepted}"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize the tests that take `migration` with the revisions of the project."""
    if "migration" not in metafunc.fixturenames:
        return
    ini, request = _read_request(metafunc.module, metafunc.config)
    loaded = project.load(ini, request.section, request.arguments)
    revisions = []  # pytest skips an empty list: a project without revisions is not broken
    if loaded.heads:
        plan = select_revisions(loaded, request.scope)
        revisions = [script.revision for script in plan.scripts if script.revision in plan.proven]
    metafunc.parametrize("migration", revisions, indirect=True)


@pytest.fixture
def migration(request: pytest.FixtureRequest) -> Migration:
    """The outcome of the round trip for the revision that is this test's parameter."""
    ini, proof_request = _read_request(request.module, request.config)
    outcomes = request.config.stash.setdefault(OUTCOMES, {})
    if ini not in outcomes:
        try:
            outcomes[ini] = prove(settings.load(ini.parent, dotenv=False), ini, proof_request)
        except DbkitError as error:  # without the traceback, whose variables may hold a password
            pytest.fail(str(error), pytrace=False)
    by_revision = {each.revision: each for each in outcomes[ini].revisions}
    return Migration(by_revision[request.param])


def _read_request(module: object, config: pytest.Config) -> tuple[Path, Request]:
    ini = config.rootpath / getattr(module, "ALEMBIC_INI", "alembic.ini")
    if not ini.is_file():
        raise InputError(f"there is no {ini}.", 'Name it in the test module: ALEMBIC_INI = "path/to/alembic.ini".')
    return ini, getattr(module, "ROUND_TRIP", Request())
