"""Count what squawk and alembic-guard find in the migrations of dangers.py, for docs/lint.md: `nox -s linters`.

squawk reads the SQL that `alembic upgrade --sql` writes; alembic-guard reads the migration files.
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

from support.dangers import DANGERS, SAFE, numbered, styles
from support.lint_findings import IMPORTS

# squawk's rules of style and on time limits are not about what a statement does to a table
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
"""The styles that are easiest to parse."""


def write_files(directory: Path) -> Iterator[tuple[str, str, str, Path]]:
    """Write each migration in each style. Yields "dangers" or "safe", its name, its style and its file."""
    for kind, cases in (("dangers", DANGERS), ("safe", SAFE)):
        for name, case in cases.items():
            for style, body in styles(case):
                path = directory / f"{kind} {name} {style}.py"
                path.write_text(
                    f'"""x"""\n{IMPORTS}revision = "a"\ndown_revision = None\n{numbered(body, 1)}\ndef downgrade():\n    pass\n'
                )
                yield kind, name, style, path


def squawk(path: Path) -> bool:
    """Return whether squawk finds something; False also where no SQL can be written without a database."""
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
    command = [str(Path(sys.executable).with_name("squawk")), "--reporter", "json", "--pg-version", "18.0", str(sql)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return bool({each["rule_name"] for each in json.loads(result.stdout)} - OF_STYLE)


def guard(path: Path) -> bool:
    """Return whether alembic-guard finds something."""
    command = [str(Path(sys.executable).with_name("alembic-guard")), "--format", "json", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(result.stdout)
    return bool(found.get("findings") if isinstance(found, dict) else found)


def main() -> None:
    """Print, for each linter, in how many migrations and in how many files it finds something."""
    with tempfile.TemporaryDirectory() as directory:
        migrations = list(write_files(Path(directory)))
        for linter in (squawk, guard):
            found_in = [(kind, name, style) for kind, name, style, path in migrations if linter(path)]
            plain = {(kind, name) for kind, name, style in found_in if style in PLAIN}
            print(linter.__name__)
            for kind, cases in (("dangers", DANGERS), ("safe", SAFE)):
                print(f"  {kind}: {sum(each == kind for each, _ in plain)} of {len(cases)} written plainly")
                for style, total in Counter(style for each, _, style, _ in migrations if each == kind).items():
                    found = sum((each, used) == (kind, style) for each, _, used in found_in)
                    print(f"    {style}: {found} of {total}")


if __name__ == "__main__":
    main()
