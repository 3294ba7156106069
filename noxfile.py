"""Checks in clean environments: `nox` runs the default ones, `nox -l` lists all. In ./venv, `make` runs the same."""

import sysconfig

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
    """Check what takes minutes: the catalog against pg_dump, twenty rounds of eight runners, further cases."""
    install(session)
    session.run("python", "-m", "pytest", "-n", "0", "-m", "slow", *session.posargs)


@nox.session(default=False)
def hostile(session: nox.Session) -> None:
    """Check the core of the tests on servers with other defaults: DateStyle, statement_timeout, bytea_output, …"""
    install(session)
    tests = session.posargs or HOSTILE_TESTS
    session.run("python", "-m", "pytest", *tests, env={"HOSTILE_SETTINGS": "1"})


@nox.session(default=False)
def torture(session: nox.Session) -> None:
    """Check that each migration is applied exactly once while runners, backends and the server are killed at random."""
    install(session)
    session.run("python", "-m", "pytest", "-n", "0", "-s", "-m", "torture", *session.posargs)


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
