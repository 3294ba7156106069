"""One test for each revision, in any test suite:

    from dbkit.pytest import migration, pytest_generate_tests

    def test_migration(migration):
        migration.check()

`migration` is a `Migration`, one for each revision. The whole chain is proven once, for the first test, on a scratch
cluster. `ALEMBIC_INI = "path"` in the test module names the settings file; the default is alembic.ini in pytest's root
directory. `ROUND_TRIP = Request(url_env="APP_DB", rows=3)` in the test module sets the options of `dbkit roundtrip`.

A project that cannot be run fails once: the tests of the other revisions are skipped.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dbkit.errors import DbkitError, InputError
from dbkit.supported_versions import require_supported

try:
    require_supported()
except InputError as old:  # one line for the module that imports this one
    raise pytest.Collector.CollectError(str(old)) from None

from dbkit import project, settings
from dbkit.commands.proof_options import ProofOptions, make_proof_request, parse_server
from dbkit.redaction import redact
from dbkit.reports.text import render_revision
from dbkit.roundtrip import DRIVERS, prove
from dbkit.roundtrip.access import Access
from dbkit.roundtrip.outcome import Outcome, RevisionOutcome
from dbkit.roundtrip.sample_rows import ROWS
from dbkit.roundtrip.selection import Scope, select_revisions
from dbkit.settings import Target

__all__ = ["Migration", "Request", "migration", "pytest_generate_tests"]

OUTCOMES = pytest.StashKey[dict[tuple[Path, prove.Request], Outcome | DbkitError]]()
NOT_RUN = "the project"
"""The id of the test of a project whose revisions cannot be listed."""


@dataclass(frozen=True)
class Request:
    """The options of `dbkit roundtrip`, by the names that they have on the command line."""

    url_env: str | Sequence[str] = ()
    set_env: Mapping[str, str] = field(default_factory=dict)
    driver: str = "psycopg"
    server: str | Target | None = None
    """A URL without a password, or a Target; None for a scratch cluster."""
    jobs: int | None = None
    rows: int = ROWS
    seed: int = 0
    only: str | Sequence[str] = ()
    since: str | None = None
    start: str | None = None
    """`--from`, which is a keyword of Python."""
    to: str | None = None
    baseline: str | None = None
    strict: bool | None = None
    """None: as the settings file has it."""
    name: str = "alembic"
    x: str | Sequence[str] = ()
    scope: Scope | None = None
    """In place of `only`, `since`, `start` and `to`."""
    access: Access | None = None
    """In place of `url_env`, `set_env` and `driver`."""

    def resolve(self) -> prove.Request:
        """Return the request of a proof. Raises InputError for a value that the command line would refuse."""
        _require_values(self)
        redact.learn_variables(self.set_env)
        options = ProofOptions(
            start=self.start,
            to=self.to,
            server=None,
            url_env=_tuple(self.url_env),
            set_env=tuple(self.set_env.items()),
            driver=self.driver,
            jobs=self.jobs,
            rows=self.rows,
            seed=self.seed,
            name=self.name,
            arguments=_tuple(self.x),
            only=_tuple(self.only),
            since=self.since,
            baseline=self.baseline,
        )
        made = make_proof_request(options)
        server = parse_server(self.server) if isinstance(self.server, str) else self.server
        scope, access = self.scope or made.scope, self.access or made.access
        return replace(made, scope=scope, access=access, server=server, strict=self.strict)


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
    try:
        revisions = _list_revisions(metafunc.module, metafunc.config)
    except DbkitError as error:
        metafunc.parametrize("migration", [error], indirect=True, ids=[NOT_RUN])
    else:
        metafunc.parametrize("migration", revisions, indirect=True)


def _list_revisions(module: object, config: pytest.Config) -> list[str]:
    """Return the revisions to prove; none of a project without any, which pytest skips. Raises DbkitError."""
    ini, request = _read_request(module, config)
    loaded = project.load(ini, request.section, request.arguments)
    if not loaded.heads:
        return []
    plan = select_revisions(loaded, request.scope)
    return [script.revision for script in plan.scripts if script.revision in plan.proven]


@pytest.fixture
def migration(request: pytest.FixtureRequest) -> Migration:
    """The outcome of the round trip for the revision that is this test's parameter."""
    if isinstance(request.param, DbkitError):
        pytest.fail(str(request.param), pytrace=False)  # without the traceback, whose variables may hold a password
    key = _read_request(request.module, request.config)
    outcomes = request.config.stash.setdefault(OUTCOMES, {})
    is_first = key not in outcomes
    outcome = outcomes[key] if not is_first else outcomes.setdefault(key, _prove(*key))
    if isinstance(outcome, DbkitError):
        if is_first:
            pytest.fail(str(outcome), pytrace=False)
        pytest.skip(f"the project could not be run: {outcome.message}")
    by_revision = {each.revision: each for each in outcome.revisions}
    return Migration(by_revision[request.param])


def _prove(ini: Path, request: prove.Request) -> Outcome | DbkitError:
    """Prove the project, or return why it cannot be run."""
    try:
        return prove.prove(settings.load(ini.parent, ini=ini, dotenv=False), ini, request)
    except DbkitError as error:
        return error


def _read_request(module: object, config: pytest.Config) -> tuple[Path, prove.Request]:
    ini = config.rootpath / getattr(module, "ALEMBIC_INI", "alembic.ini")
    if not ini.is_file():
        raise InputError(f"there is no {ini}.", 'Name it in the test module: ALEMBIC_INI = "path/to/alembic.ini".')
    request = getattr(module, "ROUND_TRIP", Request())
    if isinstance(request, Request):
        return ini, request.resolve()
    if isinstance(request, prove.Request):
        return ini, request
    raise InputError("ROUND_TRIP is not a Request.", "from dbkit.pytest import Request; ROUND_TRIP = Request(rows=3)")


def _tuple(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _require_values(request: Request) -> None:
    """Raise InputError for a value that the command line would refuse."""
    numbers = {"jobs": request.jobs, "rows": request.rows, "seed": request.seed}
    for name, value in numbers.items():
        least = 1 if name == "jobs" else 0
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise InputError(f"Request({name}={value!r}): write a number, from {least} on.")
    for name in (*_tuple(request.url_env), *request.set_env):
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise InputError(f"Request: {name!r} is not the name of a variable.")
    if request.driver not in DRIVERS:
        known = f"One of {', '.join(DRIVERS)}."
        raise InputError(f"Request(driver={request.driver!r}): there is no such driver.", known)
