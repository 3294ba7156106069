"""What squawk and alembic-guard find in the migrations of dangers.py, for src/dbkit/lint/pages/README.md: `nox -s linters`.

squawk reads SQL, so it is given what `alembic upgrade --sql` writes; alembic-guard reads the files.
"""

import io
import json
import runpy
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from test_advice import IMPORTS, styles

from support.dangers import DANGERS, SAFE, numbered

# squawk's rules of style, and on time limits, say nothing of what a statement does to a table
OF_STYLE = {
    "ban-char-field",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",
    "prefer-text-field",
    "prefer-timestamp-tz",
    "require-lock-timeout",
    "require-statement-timeout",
    "require-timeout-settings",
    "syntax-error",
}
PLAIN = ("one by one", "op calls")
"""The styles that are easiest to read."""


def files(directory: Path) -> Iterator[tuple[str, str, str, Path]]:
    """For each migration in each style: whether it is a danger or safe, its name, its style, its file."""
    for kind, cases in (("dangers", DANGERS), ("safe", SAFE)):
        for name, case in cases.items():
            for style, body in styles(case):
                path = directory / f"{kind} {name} {style}.py"
                path.write_text(
                    f'"""x"""\n{IMPORTS}revision = "a"\ndown_revision = None\n{numbered(body, 1)}\ndef downgrade():\n    pass\n'
                )
                yield kind, name, style, path


def squawk(path: Path) -> bool:
    """Whether it finds something; False also where no SQL can be written without a database."""
    written = io.StringIO()
    options = {"as_sql": True, "output_buffer": written}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    try:
        with Operations.context(context), context.begin_transaction():
            runpy.run_path(str(path))["upgrade"]()
    except (AttributeError, TypeError, CommandError, sa.exc.SQLAlchemyError):
        return False
    sql = path.with_suffix(".sql")
    sql.write_text(written.getvalue())
    command = [Path(sys.executable).with_name("squawk"), "--reporter", "json", "--pg-version", "18.0", sql]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return bool({each["rule_name"] for each in json.loads(result.stdout)} - OF_STYLE)


def guard(path: Path) -> bool:
    """Whether it finds something."""
    command = [Path(sys.executable).with_name("alembic-guard"), "--format", "json", path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(result.stdout)
    return bool(found.get("findings") if isinstance(found, dict) else found)


def main() -> None:
    """Print, for each linter, how many migrations and how many files it tells something of."""
    with tempfile.TemporaryDirectory() as directory:
        made = list(files(Path(directory)))
        for linter in (squawk, guard):
            told = [(kind, name, style) for kind, name, style, path in made if linter(path)]
            plain = {(kind, name) for kind, name, style in told if style in PLAIN}
            print(linter.__name__)
            for kind, cases in (("dangers", DANGERS), ("safe", SAFE)):
                print(f"  {kind}: {sum(each == kind for each, _ in plain)} of {len(cases)} written plainly")
                for style, total in Counter(style for each, _, style, _ in made if each == kind).items():
                    found = sum((each, written) == (kind, style) for each, _, written in told)
                    print(f"    {style}: {found} of {total}")


if __name__ == "__main__":
    main()
