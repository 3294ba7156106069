"""A project whose proofs are kept: one that reads in every way, a process that proves it, and what it answers."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from dbkit.proof_cache.recorder import CLOCK_STEP
from support.running import until

ENV = """\
import os
import pkgutil
from pathlib import Path

from alembic import context
from sqlalchemy import create_engine, pool

import team_settings
import team_tables

HERE = Path(__file__).parent
os.getenv("TEAM_MODE")
if (HERE / "local.toml").exists():
    (HERE / "local.toml").read_text()
try:
    import team_local
except ImportError:
    pass
try:
    (HERE / "not_there.json").open()
except FileNotFoundError:
    pass
[each.name for each in pkgutil.iter_modules([str(HERE / "plugins")])]
sorted((HERE / "sql").glob("*.sql"))
{extra}

with create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection, target_metadata=team_tables.metadata)
    with context.begin_transaction():
        context.run_migrations()
"""
FIRST = '''\
"""make things"""
from alembic import op
revision = "r1"
down_revision = None
def upgrade():
    op.execute("CREATE TABLE things (id int PRIMARY KEY, name text)")
def downgrade():
    op.execute("DROP TABLE things")
'''
SECOND = '''\
"""fill things"""
from pathlib import Path
from alembic import op
revision = "r2"
down_revision = "r1"
def upgrade():
    import team_words
    op.execute(Path(__file__).with_name("words.txt").read_text())
def downgrade():
    pass
'''
MORE = '''\
"""change number {number}"""
from alembic import op
revision = "r{number}"
down_revision = "r{before}"
def upgrade():
    op.execute({up!r})
def downgrade():
    op.execute({down!r})
'''
LAST = 22
FILES = {
    "alembic.ini": "[alembic]\nscript_location = %(here)s/migrations\nprepend_sys_path = .\n",
    "team_settings.py": "NAME = 'team'\n",
    "team_tables.py": "import sqlalchemy as sa\nmetadata = sa.MetaData()\n",
    "team_words.py": "WORDS = 1\n",
    "migrations/plugins/one.py": "",
    "migrations/sql/one.sql": "",
    "migrations/samples/r1.sql": "INSERT INTO things VALUES (77, 'seven')\n",
    "migrations/versions/r1.py": FIRST,
    "migrations/versions/r2.py": SECOND,
    "migrations/versions/words.txt": "UPDATE things SET name = 'x'",
}

RUNNER = """
import io, json, os, sys
from contextlib import redirect_stdout
from pathlib import Path
from dbkit import cli, hints, settings
from dbkit.redaction import redact
from dbkit.roundtrip import walker

walker.LEAST_SECONDS = 0  # chains of tests are short
redact.learn_variables(os.environ)
path, directory = list(sys.path), os.getcwd()
for line in sys.stdin:
    verb, options, variables, only_look = json.loads(line)
    sys.path[:] = path  # Alembic adds to it
    os.chdir(directory)
    for name in [name for name in os.environ if name.startswith(("TEAM_", "PGTZ"))]:
        del os.environ[name]
    os.environ.update(variables)
    invocation = cli.parse([verb, "-c", "alembic.ini", *options])
    function, (chosen,) = invocation.load()
    ini = Path("alembic.ini").resolve()
    own = settings.load(ini.parent, ini=ini, dotenv=False)
    if only_look:
        from dbkit.proof_cache.run_entry import RunCache
        from dbkit.proof_cache.walk_entry import find_walk
        from dbkit.roundtrip.outcome import Outcome
        cache = RunCache.open(own, ini, verb, chosen)
        print(json.dumps([cache.find(Outcome) is not None, find_walk(cache) is not None]), flush=True)
        continue
    out = io.StringIO()
    with redirect_stdout(out):
        code = function(own, ini, chosen)
    print(json.dumps([code, out.getvalue()]), flush=True)
"""


def write_revision(root: Path, number: int, up: str, down: str) -> None:
    """Write one more revision."""
    path = root / f"migrations/versions/r{number}.py"
    path.write_text(MORE.format(number=number, before=number - 1, up=up, down=down))


def make_project(root: Path, extra: str = "", last: int = 2) -> Path:
    """Write the project; `extra` is code of its env.py, `last` the number of revisions. Returns its directory."""
    for name, text in {**FILES, "migrations/env.py": ENV.format(extra=extra)}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for number in range(3, last + 1):
        table = f"t{number}"
        if number % 3:
            write_revision(root, number, f"CREATE TABLE {table} (id int PRIMARY KEY, x text)", f"DROP TABLE {table}")
        else:
            change = f"things ADD COLUMN c{number} int"
            write_revision(root, number, f"ALTER TABLE {change}", f"ALTER TABLE things DROP COLUMN c{number}")
    return root


@dataclass
class Prover:
    """A process that proves a project whenever it is asked to."""

    root: Path
    verb: str = "roundtrip"
    fresh: tuple[int, str] = (0, "")
    """What it said of the proof without the cache."""

    def __enter__(self) -> "Prover":
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("TEAM_", "PG"))}
        # neither options nor code on the command line: all processes have the same path
        runner = self.root.parent / f"{self.root.name}-runner.py"
        runner.write_text(RUNNER)
        self.process = subprocess.Popen(
            [sys.executable, str(runner)],
            cwd=self.root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()

    def ask(self, options: tuple[str, ...], variables: Mapping[str, str], *, only_look: bool) -> Any:
        """Prove, and return the exit code and the output; or `only_look` whether there is a kept outcome.

        A file that has just been written counts as one that changes during the proof.
        """
        files = [*self.root.glob("*"), *(self.root / "migrations").rglob("*")]
        newest = max(path.stat().st_ctime_ns for path in files)
        until(lambda: time.time_ns() > newest + 2 * CLOCK_STEP)
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps([self.verb, options, variables, only_look]), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def prove(self, *options: str, env: Mapping[str, str] = {}) -> tuple[int, str]:
        """Prove the project. Returns the exit code and the output."""
        code, text = self.ask(options, env, only_look=False)
        return code, text

    def is_kept(self, *options: str, env: Mapping[str, str] = {}) -> bool:
        """Whether a proof now would be the outcome of an earlier one."""
        return self.look(*options, env=env)[0]

    def look(self, *options: str, env: Mapping[str, str] = {}) -> tuple[bool, bool]:
        """Return whether a proof now would be that of an earlier one, and whether it would go on from one."""
        is_kept, goes_on = self.ask(options, env, only_look=True)
        return bool(is_kept), bool(goes_on)


def entries(root: Path) -> list[Path]:
    """Return the files of the outcomes that are kept."""
    return sorted(path for path in (root / ".dbkit").glob("proofs*/*-*") if path.is_file())


def restore(root: Path, copy: Path) -> None:
    """Put back the files of a project."""
    for path in root.rglob("*"):
        name = path.relative_to(root)
        if path.is_file() and not {"__pycache__", ".dbkit"} & {*name.parts} and not (copy / name).exists():
            path.unlink()
    shutil.copytree(copy, root, dirs_exist_ok=True)


def without_times(result: tuple[int, str]) -> tuple[int, str]:
    """Return a result without what differs between a kept one and a new one."""
    text = re.sub(r"\d+ verdicts kept; |; the findings in \d+ migrations? kept|\d+\.\d s", "", result[1])
    return result[0], re.sub(r'"(seconds|kept)": [\d.]+', "", text)
