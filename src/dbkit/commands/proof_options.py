"""What the verbs that run a project's migrations on scratch databases are asked in the same way."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dbkit.database_url import parse_url
from dbkit.errors import InputError
from dbkit.roundtrip.scratch_server import ScratchServer, open_server
from dbkit.settings import Settings, Target

if TYPE_CHECKING:
    from dbkit.roundtrip.prove import Request


@contextmanager
def asked(
    settings: Settings,
    *,
    start: str | None = None,
    to: str | None = None,
    only: Sequence[str] = (),
    since: str | None = None,
    baseline: str | None = None,
    server: str | None = None,
    url_env: Sequence[str] = (),
    set_env: Sequence[tuple[str, str]] = (),
    driver: str = "psycopg",
    jobs: int | None = None,
    rows: int | None = None,
    seed: int = 0,
    name: str = "alembic",
    arguments: Sequence[str] = (),
) -> Iterator[tuple[ScratchServer, "Request"]]:
    """A server for the databases, which is gone afterwards, and the request. Raises InputError."""
    given = {"--from": start, "--to": to, "--since": since, "--baseline": baseline, "--server": server}
    for option, value in (*given.items(), *(("--only", revision) for revision in only)):
        if value == "":
            raise InputError(f"{option} is empty.", "A variable that is not set would make it prove something else.")
    with open_server(settings, _server(server) if server else None) as here:
        # after the server was told to start: loading Alembic takes as long
        from dbkit.roundtrip.access import Access
        from dbkit.roundtrip.prove import Request
        from dbkit.roundtrip.sample_rows import ROWS
        from dbkit.roundtrip.selection import Scope

        yield (
            here,
            Request(
                scope=Scope(after=start, to=to, only=tuple(only), since=since),
                access=Access((*((variable, "{url}") for variable in url_env), *set_env), driver),
                baseline=baseline,
                jobs=jobs,
                rows=ROWS if rows is None else rows,
                seed=seed,
                section=name,
                arguments=tuple(arguments),
            ),
        )


def _server(url: str) -> Target:
    target = parse_url(url, "--server")
    if target.password is not None:
        raise InputError(
            "--server has a password in it, which everybody on this machine can read in the list of processes.",
            "Leave it out, and put it into PGPASSWORD, or into ~/.pgpass.",
        )
    return target


def progress() -> Callable[[str], None]:
    """What tells how far it is: a line that is replaced, on a terminal; nothing elsewhere."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return lambda _text: None
    terminal = sys.stderr  # while migrations run, what they print goes nowhere

    def show(text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:width]:<{width}}\r", end="", file=terminal, flush=True)

    return show
