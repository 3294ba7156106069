"""The options of the verbs that run a project's migrations on scratch databases, and the request that they make."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbkit.database_url import parse_url
from dbkit.errors import InputError
from dbkit.settings import Settings, Target

if TYPE_CHECKING:
    from dbkit.postgres.cluster import Cluster
    from dbkit.roundtrip.prove import Request
    from dbkit.roundtrip.scratch_server import ScratchServer


@dataclass(frozen=True)
class ScratchOptions:
    """Options for which revisions run on scratch databases, and how, that `dbkit preflight` has, too."""

    start: str | None
    to: str | None
    server: str | None
    url_env: tuple[str, ...]
    set_env: tuple[tuple[str, str], ...]
    driver: str
    jobs: int | None
    rows: int | None
    seed: int
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class ProofOptions(ScratchOptions):
    """Options that `dbkit roundtrip`, `lint` and `trace` share."""

    only: tuple[str, ...]
    since: str | None
    baseline: str | None


@contextmanager
def open_proof(
    settings: Settings, options: ProofOptions, prepare: "Callable[[Cluster], object]" = lambda _cluster: None
) -> Iterator[tuple["ScratchServer", "Request"]]:
    """Start a scratch server and make the request of a proof on it. Raises InputError.

    `prepare` is called before a scratch cluster starts.
    """
    from dbkit.roundtrip.scratch_server import open_server  # it loads psycopg

    _require_given(options)
    with open_server(settings, parse_server(options.server), prepare) as server:
        yield server, make_proof_request(options)  # while the server starts: the import of Alembic takes as long


def make_proof_request(options: ProofOptions) -> "Request":
    """Make the request of a proof. Raises InputError for an empty value."""
    from dbkit.roundtrip.selection import Scope

    _require_given(options)
    scope = Scope(after=options.start, to=options.to, only=options.only, since=options.since)
    return replace(_make_request(options, redirects=False), scope=scope, baseline=options.baseline)


@contextmanager
def open_scratch_server(settings: Settings, options: ScratchOptions) -> Iterator[tuple["ScratchServer", "Request"]]:
    """Start a scratch server and make the request for all revisions on it. Raises InputError."""
    from dbkit.roundtrip.scratch_server import open_server  # it loads psycopg

    _require_given(options)
    with open_server(settings, parse_server(options.server)) as server:
        # while the server starts: the import of Alembic takes as long
        yield server, _make_request(options, redirects=settings.is_foreign)


def _make_request(options: ScratchOptions, *, redirects: bool) -> "Request":
    from dbkit.roundtrip.access import Access
    from dbkit.roundtrip.prove import Request
    from dbkit.roundtrip.sample_rows import ROWS

    variables = (*((variable, "{url}") for variable in options.url_env), *options.set_env)
    return Request(
        access=Access(variables, options.driver, redirects=redirects),
        jobs=options.jobs,
        rows=ROWS if options.rows is None else options.rows,
        seed=options.seed,
        section=options.name,
        arguments=options.arguments,
    )


def _require_given(options: ScratchOptions) -> None:
    """Raise InputError for an option with an empty value."""
    values = [("--from", options.start), ("--to", options.to), ("--server", options.server)]
    if isinstance(options, ProofOptions):
        values += [("--since", options.since), ("--baseline", options.baseline)]
        values += [("--only", revision) for revision in options.only]
    _require_not_empty(values)


def _require_not_empty(values: Iterable[tuple[str, str | None]]) -> None:
    """Raise InputError for an option with an empty value."""
    for option, value in values:
        if value == "":
            raise InputError(f"{option} is empty.", "A variable that is not set would make it prove something else.")


def parse_server(url: str | None) -> Target | None:
    """Return the server that --server names. Raises InputError for a password in it."""
    if url is None:
        return None
    target = parse_url(url, "--server")
    if target.password is not None:
        raise InputError(
            "--server has a password in it, which everybody on this machine can read in the list of processes.",
            "Leave it out, and put it into PGPASSWORD, or into ~/.pgpass.",
        )
    return target
