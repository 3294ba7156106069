"""No output of a run, and nothing that it writes down, holds a secret: each has a value of its own, which is looked for."""

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import psycopg
import pytest

from dbkit.__main__ import main
from dbkit.cli import VERBS
from dbkit.findings.finding import Level
from dbkit.lint.lint_project import lint_project
from dbkit.postgres.cluster import Cluster
from dbkit.preflight.outcome import PreflightOutcome
from dbkit.preflight.run import list_pending
from dbkit.reports.formats import render_lint, render_preflight, render_roundtrip, render_trace
from dbkit.roundtrip.prove import Request, prove
from dbkit.roundtrip.scratch_server import open_server
from dbkit.settings import Settings, Target
from support import pair as pair_module
from support.pair import Pair, url_of
from support.running import others_slow
from support.servers import HOSTILE_PASSWORD

# Each fails on the server, which repeats it in its error or its context; {c} is the secret, {n} a name of its own
SQL = {
    "literal": "ALTER ROLE r_{n} PASSWORD '{c}'",
    "encrypted": "ALTER USER r_{n} WITH ENCRYPTED PASSWORD '{c}' VALID UNTIL 'infinity'",
    "no space": "ALTER ROLE r_{n} PASSWORD'{c}'",
    "escapes": "ALTER ROLE r_{n} PASSWORD E'a\\'{c}'",
    "unicode": "ALTER ROLE r_{n} PASSWORD U&'{c}'",
    "uescape": "ALTER ROLE r_{n} PASSWORD U&'!0041{c}' UESCAPE '!'",
    "quote within": "ALTER ROLE r_{n} PASSWORD 'it''s {c}'",
    "dollar": "ALTER ROLE r_{n} PASSWORD $${c}$$",
    "tag": "ALTER ROLE r_{n} PASSWORD $pw${c}$pw$",
    "comment": "ALTER ROLE r_{n} PASSWORD /* of SHOP-1 */ '{c}'",
    "nested comment": "ALTER ROLE r_{n} PASSWORD /* a /* b */ c */ '{c}'",
    "line comment": "ALTER ROLE r_{n} PASSWORD -- of SHOP-1\n '{c}'",
    "newline": "ALTER ROLE r_{n} PASSWORD\n'{c}'",
    "continued": "ALTER ROLE r_{n} PASSWORD 'abc'\n'{c}'",
    "do": "DO $do$ BEGIN ALTER ROLE r_{n} PASSWORD $${c}$$; END $do$",
    "do in quotes": "DO 'BEGIN ALTER ROLE r_{n} PASSWORD ''{c}''; END'",
    "do format": "DO $do$ BEGIN EXECUTE format('ALTER ROLE %I PASSWORD %L', 'r_{n}', '{c}'); END $do$",
    "do concat": "DO $do$ BEGIN EXECUTE 'ALTER ROLE r_{n} PASSWORD ' || quote_literal('{c}'); END $do$",
    "do quotes": "DO $do$ BEGIN EXECUTE 'ALTER ROLE r_{n} PASSWORD ''' || '{c}' || ''''; END $do$",
    "user mapping": "CREATE USER MAPPING FOR r_{n} SERVER s_{n} OPTIONS (user 'u', password '{c}')",
    "server": "ALTER SERVER s_{n} OPTIONS (SET host 'h', ADD passwd '{c}')",
    "subscription": "ALTER SUBSCRIPTION s_{n} CONNECTION 'host=h password={c} dbname=d'",
    "spaced": "ALTER SUBSCRIPTION s_{n} CONNECTION 'host=h password = {c} dbname=d'",
    "quoted": "ALTER SUBSCRIPTION s_{n} CONNECTION 'host=h password=''a {c}'' dbname=d'",
    "passwd": "SELECT dblink_{n}('host=h passwd={c}')",
    "url": "SELECT dblink_{n}('postgresql://u:{c}@h/d')",
    "url slash": "SELECT dblink_{n}('postgresql://u:a/{c}@h/d')",
    "url at": "SELECT dblink_{n}('postgresql://u:a@{c}@h/d')",
    "url question mark": "SELECT dblink_{n}('postgresql://u:a?b#{c}@h/d')",
    "url query": "SELECT dblink_{n}('postgresql://h/d?user=u&password={c}')",
    "update": "UPDATE t_{n} SET password = '{c}' WHERE id = 1",
    "crypt": "UPDATE t_{n} SET hash = crypt('{c}', gen_salt('bf'))",
    "pgcrypto": "SELECT missing_{n}(pgp_sym_encrypt('x', '{c}'))",
    "insert": "INSERT INTO t_{n} (name, api_token) VALUES ('bob', '{c}')",
    "insert many": "INSERT INTO t_{n} (name, secret) VALUES ('bob, (x', 'y'), ('eve', '{c}')",
    "set_config": "SELECT missing_{n}(set_config('app.jwt_secret', '{c}', false))",
    "program": "COPY t_{n} FROM PROGRAM 'curl -u user:{c} http://h'",
    "variable": "COPY t_{n} FROM PROGRAM 'PGPASSWORD={c} psql'",
    "json": 'SELECT missing_{n}(\'{{"password": "{c}"}}\'::json)',
}
PYTHON = {
    "raised url": 'raise ValueError("r_{n}: cannot log in: postgresql://u:{c}@h/d")',
    "raised name": 'raise RuntimeError({{"r_{n}": 1, "password": "{c}"}})',
    "bound": 'op.get_bind().execute(sa.text("UPDATE t_{n} SET password = :p"), {{"p": "{c}"}})',
    "key": 'raise RuntimeError("r_{n}: AWS_SECRET_ACCESS_KEY={c}")',
}
REVISION = '''\
"""{name}"""

import sqlalchemy as sa
from alembic import op

revision = "{identifier}"
down_revision = None


def upgrade():
    {code}


def downgrade():
    pass
'''


@dataclass
class Search:
    """The secrets of a run, and every text that it has let out."""

    secrets: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def secret(self, name: str) -> str:
        """A new value that no text can have by chance."""
        return self.secrets.setdefault(name, f"k{secrets.token_hex(5)}_Z7")

    def leaks(self) -> list[tuple[str, str]]:
        """The names of the secrets and of the texts that have them, in any encoding."""
        return [
            (name, where)
            for where, text in self.texts.items()
            for name, value in self.secrets.items()
            if any(form in text for form in forms(value))
        ]

    def require_none(self, *, at_least: tuple[int, int]) -> None:
        counts = (len(self.secrets), len(self.texts))
        assert self.leaks() == [], f"{len(self.leaks())} leaks of {counts[0]} secrets in {counts[1]} outputs"
        assert counts >= at_least


def forms(value: str) -> set[str]:
    """A value as it may be written: raw, in a URL, SQL, a connection string, Python or JSON."""
    doubled = value.replace("'", "''")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return {value, quote(value, safe=""), quote(value), quote_plus(value), doubled, escaped, repr(value)[1:-1]}


def without_memory() -> None:
    """What one run has learnt must not help the next one."""
    if "dbkit.redaction.redact" in sys.modules:
        sys.modules["dbkit.redaction.redact"].forget()


@pytest.fixture(scope="module")
def search() -> Search:
    """The secrets of the migrations of `project`."""
    return Search()


@pytest.fixture(scope="module")
def project(search: Search, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a revision for each way to write a secret, each of which fails."""
    root = tmp_path_factory.mktemp("secrets")
    plain = pair_module.Project(root, Target("x"), gated=False)
    subprocess.run(plain.command("init", "migrations"), cwd=root, check=True, capture_output=True)
    codes = {name: f"op.execute({sql!r})" for name, sql in SQL.items()} | PYTHON
    for number, (name, code) in enumerate(codes.items()):
        filled = code.format(c=search.secret(name), n=f"n{number}")
        text = REVISION.format(name=name, identifier=f"rev{number:04}", code=filled)
        (root / f"migrations/versions/rev{number:04}.py").write_text(text)
    return root / "alembic.ini"


SOME = tuple(f"rev{number:04}" for number in (0, 8, 11, 14, 16, 23, 28, 34, 38, 42))
"""Revisions of `project`, where all would take long."""


def format_names(verb: str) -> Sequence[str]:
    (choices,) = (each.keywords["choices"] for each in VERBS[verb].options if "--format" in each.flags)
    return tuple(choices)


@pytest.mark.slow
def test_no_report_has_a_secret(
    project: Path, search: Search, server: Cluster, local_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    request = Request(server=server.target("postgres"), rows=0, trace=True)
    outcome = prove(local_settings, project, request)
    with open_server(local_settings, request.server) as here:
        advised, _ = lint_project(here, local_settings, project, request, lambda _text: None)
    for name in format_names("roundtrip"):
        without_memory()
        search.texts[name] = render_roundtrip(outcome, name)
    for name in format_names("trace"):
        without_memory()
        search.texts[f"trace {name}"] = render_trace(outcome, name)
    for name in format_names("lint"):
        without_memory()
        search.texts[f"lint {name}"] = render_lint(advised, name, Level.NOTE)
    asked = PreflightOutcome("shop", (), tuple(list_pending(outcome.revisions)))
    for name in format_names("preflight"):
        without_memory()
        search.texts[f"preflight {name}"] = render_preflight(asked, name)
    # all of them were refused, and are told
    assert all(re.search(rf"_n{number}\b", search.texts["text"]) for number in range(len(SQL) + len(PYTHON)))
    for command in (("roundtrip", "--trace"), ("roundtrip", "--format", "json"), ("lint", "--format", "sarif")):
        without_memory()
        place = ("-c", str(project), "--server", url_of(server.target("postgres")), "--rows", "0", "--only", *SOME)
        assert main([command[0], *place, *command[1:]]) == 1
        told = capsys.readouterr()
        assert command[-1] == "--trace" or json.loads(told.out)
        search.texts |= {f"{' '.join(command)}: stdout": told.out, f"{command}: stderr": told.err}
    search.require_none(at_least=(len(SQL) + len(PYTHON), 18))


ENV_PY = """\
import os
from alembic import context
from sqlalchemy import create_engine

{code}
"""
ENVIRONMENTS = {
    "interpolation": 'context.config.set_main_option("sqlalchemy.url", os.environ["TEAM_URL"])',
    "raw characters": 'create_engine("postgresql+psycopg://" + os.environ["TEAM_LOGIN"]).connect()',
    "no such driver": 'create_engine(os.environ["TEAM_URL"].replace("psycopg", "nodriver"))',
    "logged": 'import logging; logging.warning("with %s", os.environ["TEAM_URL"]); raise SystemExit("no " + os.environ["API_TOKEN"])',
    "piece of it": 'raise RuntimeError(os.environ["TEAM_PASSWORD"] + " " + repr(os.environ["TEAM_PASSWORD"]))',
}


@pytest.mark.spread(2)
@pytest.mark.parametrize("name", others_slow(2, list(ENVIRONMENTS)))
def test_what_env_py_raises_has_no_secret(name: str, server: Cluster, tmp_path: Path) -> None:
    search = Search()
    plain = pair_module.Project(tmp_path, Target("x"), gated=False)
    subprocess.run(plain.command("init", "migrations"), cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "migrations/env.py").write_text(ENV_PY.format(code=ENVIRONMENTS[name]))
    (tmp_path / "migrations/versions/a1.py").write_text(REVISION.format(name="a", identifier="a1a1", code="pass"))
    password = f"p:/@%' {search.secret('password')}"
    env = {
        "TEAM_URL": f"postgresql+psycopg://u:{quote(password, safe='')}@127.0.0.1:1/d",
        "TEAM_LOGIN": f"u:raw/{search.secret('login')}@127.0.0.1:1/d",
        "TEAM_PASSWORD": password,
        "API_TOKEN": search.secret("token"),
    }
    for debug in ((), ("--debug",)):
        command = [sys.executable, "-m", "dbkit", *debug, "roundtrip", "-c", "alembic.ini"]
        command += ["--server", url_of(server.target("postgres")), "--jobs", "1"]
        done = subprocess.run(command, cwd=tmp_path, env=os.environ | env, capture_output=True, text=True, check=False)
        assert done.returncode in (1, 2)
        assert "env.py" in done.stderr
        search.texts[" ".join(debug)] = done.stdout + done.stderr
    search.require_none(at_least=(3, 2))


SEEN_MEANWHILE = """\
from pathlib import Path
lines = [path.read_bytes().decode(errors="replace") for path in Path("/proc").glob("[0-9]*/cmdline")]
lines += map(str, op.get_bind().exec_driver_sql("SELECT application_name FROM pg_stat_activity").all())
Path({path!r}).write_text("\\n".join(lines))
op.create_table("users", sa.Column("id", sa.Integer, primary_key=True), sa.Column("password", sa.Text))
op.execute("INSERT INTO users VALUES (1, 'x')")"""
DOES_FAIL = {
    "alembic": ["do", "dollar", "spaced"],
    "--raiseerr": ["do", "insert", "literal"],
}


LEFT = "DROP TABLE IF EXISTS users, alembic_version, dbkit_journal, dbkit_backfill"


@pytest.fixture
def gated(pair: Pair, password_server: Target, tmp_path: Path) -> Iterator[tuple[pair_module.Project, Search]]:
    """A project behind the gate, its login with a password in .env, and the secrets that are known of it."""
    project, search = pair.gated, Search()
    search.secrets["password of the database"] = HOSTILE_PASSWORD
    project.target = password_server
    (project.root / ".env").write_text(
        f"DATABASE_URL={url_of(password_server)}\nAPP_ENV=development\nSTRIPE_API_KEY={search.secret('key in .env')}\n"
    )
    (project.root / ".env").chmod(0o600)
    project.query(LEFT)  # by another test on this server
    pair.add("rev1", None, SEEN_MEANWHILE.format(path=str(tmp_path / "meanwhile")), 'op.drop_table("users")')
    yield project, search
    project.query(LEFT)


def collect(search: Search, project: pair_module.Project, name: str, done: "subprocess.CompletedProcess[str]") -> None:
    search.texts[f"{name}: stdout"], search.texts[f"{name}: stderr"] = done.stdout, done.stderr


def test_no_verb_shows_or_writes_down_a_secret(gated: tuple[pair_module.Project, Search], tmp_path: Path) -> None:
    project, search = gated
    env = {"DATABASE_URL": url_of(project.target), "APP_ENV": "development"}
    changed = f"password = '{search.secret('backfill')}'"
    for arguments in (
        ["migrate"],
        ["status"],
        ["log"],
        ["backfill", "users", "--set", changed],
        ["--debug", "backfill", "users", "--set", f"{changed}, missing = 1"],
        ["rollback", "--to", "base"],
        ["sql", "--out", "upgrade.sql", "--to", "nope"],
    ):
        done = project.dbkit(*arguments, env=env)
        assert ("Traceback" in done.stderr) == ("--debug" in arguments)
        collect(search, project, " ".join(arguments[:2]), done)
    wrong = project.target.password and env["DATABASE_URL"].replace("@127", f"{search.secret('wrong password')}@127")
    collect(search, project, "refused", project.dbkit("--debug", "status", env={"DATABASE_URL": str(wrong)}))
    tables = [project.query("SELECT * FROM dbkit_journal"), project.query("SELECT * FROM dbkit_backfill")]
    assert all(tables)
    search.texts |= {f"table {number}": str(rows) for number, rows in enumerate(tables)}
    search.texts["meanwhile"] = (tmp_path / "meanwhile").read_text()
    assert "dbkit migrate" in search.texts["meanwhile"]
    for path in (project.root / ".dbkit").rglob("*"):
        if path.is_file() and path.suffix != ".rows" and "owner" not in path.name:
            search.texts[str(path)] = path.read_text(errors="replace")
    kept = {
        name: text for name, text in search.texts.items() if "stash" in name and "Z/" in name and ".json" not in name
    }
    for name in kept:
        del search.texts[name]  # the rows that a rollback kept are the database's own
    search.require_none(at_least=(4, 18))


@pytest.mark.slow
@pytest.mark.parametrize(("options", "names"), list(DOES_FAIL.items()))
def test_a_migration_that_fails_behind_the_gate_shows_no_secret(options: str, names: Sequence[str], pair: Pair) -> None:
    project, search = pair.gated, Search()
    loud = ("--raiseerr",) if options == "--raiseerr" else ()
    project.env_py.write_text(f"import logging\nlogging.basicConfig(level='INFO')\n{project.env_py.read_text()}")
    ini = project.root / "alembic.ini"
    ini.write_text(ini.read_text().replace("[logger_root]\nlevel = WARNING", "[logger_root]\nlevel = INFO"))
    for number, name in enumerate(names):
        filled = SQL[name].format(c=search.secret(name), n=f"n{number}")
        pair.add(f"rev{number}", None, f"op.execute({filled!r})")
    for number in range(len(names)):
        done = project.alembic(*loud, "upgrade", f"rev{number}")
        assert done.returncode == 1
        assert f"_n{number}" in done.stderr
        assert ("Traceback" in done.stderr) == bool(loud)
        collect(search, project, names[number], done)
    search.require_none(at_least=(len(names), 2 * len(names)))


@pytest.mark.slow
def test_the_pytest_plugin_shows_no_secret(project: Path, search: Search, server: Cluster) -> None:
    path = project.parent / "test_it.py"
    path.write_text(
        "from dbkit.pytest import migration, pytest_generate_tests\n"
        "from dbkit.roundtrip.prove import Request\nfrom dbkit.database_url import parse_url\n"
        "from dbkit.roundtrip.selection import Scope\n"
        f"server = parse_url({url_of(server.target('postgres'))!r}, 'x')\n"
        f"ROUND_TRIP = Request(scope=Scope(only={SOME!r}), server=server, rows=0)\n"
        "def test_migration(migration):\n    migration.check()\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--showlocals", str(path)]
    done = subprocess.run(command, cwd=project.parent, capture_output=True, text=True, check=False)
    assert f"{len(SOME)} failed" in done.stdout
    search.texts = {"pytest": done.stdout + done.stderr}
    search.require_none(at_least=(len(SQL), 1))


def test_the_servers_log_has_no_statement_that_failed(server: Cluster) -> None:
    secret = Search().secret("x")
    with psycopg.connect(**server.target("postgres").parameters(), autocommit=True) as connection:
        for statement in (SQL["literal"], SQL["do"]):
            with pytest.raises(psycopg.errors.UndefinedObject):
                connection.execute(statement.format(c=secret, n="logged").encode())
    log = server.log.read_text()
    assert 'role "r_logged" does not exist' in log
    assert secret not in log
