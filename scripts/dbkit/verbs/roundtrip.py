"""`dbkit roundtrip`: prove on a throw-away database that each migration can be undone and redone."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dbkit.errors import InputError
from dbkit.roundtrip.where import where
from dbkit.settings import Settings, Target, parse_url


def roundtrip(
    settings: Settings,
    ini: Path,
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
    report: str = "text",
    name: str = "alembic",
    arguments: Sequence[str] = (),
) -> int:
    """Print the outcome; exit code 1 when there is something that nobody has accepted."""
    given = {"--from": start, "--to": to, "--since": since, "--baseline": baseline, "--server": server}
    for option, value in (*given.items(), *(("--only", revision) for revision in only)):
        if value == "":
            raise InputError(f"{option} is empty.", "A variable that is not set would make it prove something else.")
    with where(settings, _server(server) if server else None) as here:
        # after the server was told to start: loading Alembic takes as long
        from dbkit.roundtrip.environment import Access
        from dbkit.roundtrip.planting import ROWS
        from dbkit.roundtrip.proof import Request, prove_at
        from dbkit.roundtrip.report import FORMATS
        from dbkit.roundtrip.select import Scope

        request = Request(
            scope=Scope(after=start, to=to, only=tuple(only), since=since),
            access=Access((*((variable, "{url}") for variable in url_env), *set_env), driver),
            baseline=baseline,
            jobs=jobs,
            rows=ROWS if rows is None else rows,
            seed=seed,
            section=name,
            arguments=tuple(arguments),
        )
        outcome = prove_at(here, settings, ini, request, _progress())
    print(FORMATS[report](outcome))
    return 0 if outcome.passed else 1


def _server(url: str) -> Target:
    target = parse_url(url, "--server")
    if target.password is not None:
        raise InputError(
            "--server has a password in it, which everybody on this machine can read in the list of processes.",
            "Leave it out, and put it into PGPASSWORD, or into ~/.pgpass.",
        )
    return target


def _progress() -> Callable[[str], None]:
    """A line that is replaced, on a terminal; nothing elsewhere."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return lambda _text: None
    terminal = sys.stderr  # while migrations run, what they print goes nowhere

    def show(text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:width]:<{width}}\r", end="", file=terminal, flush=True)

    return show
