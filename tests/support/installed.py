"""The kit as it is installed beside a project, and verbs run in that project."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbkit.cli import VERBS
from dbkit.settings import Target
from support.kit import REPOSITORY
from support.pair import url_of

# what the verbs are given; one that is not named here is called without arguments
ARGUMENTS: dict[str, list[str]] = {
    "adopt": ["--dry-run"],
    "new": ["new"],
    "rollback": ["--to", "base"],
    "revision": ["-m", "a change"],
    "merge": ["-m", "join"],
    "backfill": ["customers", "--set", "note = 'x'", "--where", "note IS NULL"],
    "sql": ["--from", "base", "--out", "-"],
    "accept": ["a222"],
    "resolve": ["a222"],
    "psql": ["-c", "SELECT 1"],
    "report": ["--output", "markdown"],
}
# runs verbs one after the other, each in a fork of a process that has loaded what they need
RUNNER = """
import json, os, sys, traceback
import dbkit.gate.alembic_command, dbkit.commands.check, dbkit.commands.rollback, dbkit.commands.restore
from dbkit.__main__ import main

for line in sys.stdin:
    pid = os.fork()
    if not pid:
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"../{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        try:
            code = main(json.loads(line))
        except SystemExit as ended:
            code = ended.code
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(json.dumps([code, open("../stdout").read() + open("../stderr").read()]), flush=True)
"""


def arguments_of(name: str, server: Target) -> list[str]:
    """What to give a verb; proofs are made on `server`."""
    return [*ARGUMENTS.get(name, []), *(["--server", url_of(server)] if VERBS[name].is_proof else [])]


@dataclass
class Installed:
    """A process that runs verbs in a project, quickly."""

    process: "subprocess.Popen[str]"

    def run(self, *command: str) -> tuple[int, str]:
        """Run a verb. Returns its exit code, and what it has printed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(command)}\n")
        self.process.stdin.flush()
        code, printed = json.loads(self.process.stdout.readline())
        return code, printed


@contextmanager
def installed(root: Path, database: Target, env: Mapping[str, str] = {}) -> Iterator[Installed]:
    """The kit for the project in `root`, in whose parent it puts its files; `database` is that of DATABASE_URL."""
    site = root.parent / "site/lib"  # no alembic.ini is two levels above
    shutil.copytree(REPOSITORY / "src/dbkit", site / "dbkit", ignore=shutil.ignore_patterns("__pycache__"))
    variables = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(site), "DATABASE_URL": url_of(database)}
    command = [sys.executable, "-c", RUNNER]
    environment = {**variables, "APP_ENV": "development", **env}
    with subprocess.Popen(command, cwd=root, env=environment, stdin=-1, stdout=-1, text=True) as process:
        yield Installed(process)
        process.terminate()
