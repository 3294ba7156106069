"""The command line: verbs, options, and the one place that turns an error into a line and an exit code."""

import argparse
import gc
import importlib
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbkit import settings, signals
from dbkit.errors import DbkitError, InputError, as_dbkit_error, say
from dbkit.redaction import outputs, redact
from dbkit.roundtrip import DRIVERS

EPILOG = """\
exit codes: 0 done; 1 failed, or a check found something; 2 bad input or configuration; 3 refused;
4 server unreachable or credentials refused; 5 gave up waiting for a lock of others;
6 an operator must act: something was left half done; 7 the database is ahead of this code;
130, 143 interrupted
"""


def option(*flags: str, **keywords: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The arguments of one `add_argument`."""
    return flags, keywords


def yes(text: str) -> bool:
    """What is written after `empty=`. Raises ArgumentTypeError for anything but yes and no."""
    answers = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}
    if text not in answers:
        raise argparse.ArgumentTypeError(f"write 1 or 0, not {text!r}")
    return answers[text]


def written(pattern: str, wanted: str, kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """A check for `type=`: it raises ArgumentTypeError, naming what is `wanted`, for what `pattern` does not match."""

    def check(text: str) -> Any:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"write {wanted}, not {text!r}")
        return kind(text)

    return check


few = written("[1-9][0-9]{0,2}", "a number from 1 to 999", int)
major = written("[1-9][0-9]", "a major version of PostgreSQL, such as 15", int)
many = written("[1-9][0-9]{0,5}", "a number from 1 to 999999", int)
none_or_many = written("[0-9]{1,6}", "a number from 0 to 999999", int)
seconds = written(r"[0-9]{1,6}(\.[0-9]+)?", "a number of seconds", float)


def variable(text: str) -> str:
    """The name of a variable. Raises ArgumentTypeError."""
    if not re.fullmatch(r"[A-Za-z_]\w*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a variable")
    return text


def assignment(text: str) -> tuple[str, str]:
    """A variable's name and value. Raises ArgumentTypeError, which does not show the value: it may be a password."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name):
        shown = f"{name}=…" if equals else name
        raise argparse.ArgumentTypeError(f"write NAME=VALUE, not {shown!r}")
    redact.learn_variables({name: value})
    return name, value


SET_ENV = "a variable for env.py; {host}, {port}, {user}, {password}, {dbname} and {url} in it are the database's"
TO = "a revision id or its beginning, or relative: +1, -1"
MESSAGE = option("-m", "--message", required=True, help="what it does, with its ticket number")

KEEPING = option("--stash", type=yes, metavar="0|1", help="0: keep nothing of what the rollback loses (STASH=0)")


# for the verbs that run a project's migrations on scratch databases
ONLY = option("--only", metavar="REV", nargs="+", default=(), help="take these revisions only")
PROVING = (
    option("--from", dest="start", metavar="REV", help="take what comes after this revision"),
    option("--to", metavar="REV", help="take up to this revision (heads)"),
    option("--since", metavar="GIT_REF", help="take the revisions whose files this commit does not have"),
    option("--baseline", metavar="REV", help="accept what is found up to this revision"),
    option("--server", metavar="URL", help="make the databases on this server, instead of a throw-away one"),
    option(
        "--url-env",
        type=variable,
        metavar="NAME",
        action="append",
        default=[],
        help="a variable that env.py takes its URL from",
    ),
    option("--set-env", metavar="NAME=VALUE", type=assignment, action="append", default=[], help=SET_ENV),
    option("--driver", default="psycopg", choices=DRIVERS, help="what the URL is for (psycopg)"),
    option(
        "--jobs",
        type=few,
        metavar="N",
        help="so many processes (as many as there are processors, up to 4)",
    ),
    option(
        "--rows",
        type=none_or_many,
        metavar="N",
        help="at least so many rows in each table (5); 0: empty tables",
    ),
    option(
        "--seed",
        type=none_or_many,
        default=0,
        metavar="N",
        help="other planted rows, where they are random (0)",
    ),
    option("-n", "--name", default="alembic", help="the section of the settings file, as for alembic"),
    option(
        "-x",
        dest="arguments",
        metavar="ARG",
        action="append",
        default=[],
        help="an argument for env.py, as for alembic",
    ),
)


@dataclass(frozen=True)
class Verb:
    """One verb: `function` ("module:name") is called with the settings, the path of alembic.ini, and the options.

    It returns None or an exit code. Named, not imported: what a verb does not need is not loaded.
    """

    function: str
    help: str
    example: str = ""
    options: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = ()
    any_project: bool = False
    """Whether it works on another project, named by --config."""
    no_project: bool = False
    """Whether it is about no project; its function is called with the options only."""
    passes_on: bool = False
    """Whether what this parser does not know is another program's, and handed on as `arguments`."""


VERBS = {
    "migrate": Verb(
        "dbkit.commands.migrate:migrate",
        "bring the database to a revision",
        "dbkit migrate --to +1",
        (option("--to", default="head", help=f"head (the default), {TO}"),),
    ),
    "revision": Verb(
        "dbkit.commands.revision:revision",
        "write a migration from what changed in the models",
        'dbkit revision -m "SHOP-12 add orders"',
        (
            MESSAGE,
            option("--empty", nargs="?", const=True, default=False, type=yes, help="an empty one, to write by hand"),
            option("--rev-id", dest="identifier", help="its id, instead of a random one"),
        ),
    ),
    "merge": Verb("dbkit.commands.revision:merge", "join all heads", 'dbkit merge -m "merge heads"', (MESSAGE,)),
    "rebase-migration": Verb(
        "dbkit.commands.rebase_migration:rebase",
        "let your revision follow the one that another branch has added",
        "dbkit rebase-migration",
        (option("--revision", metavar="REV", help="the last of yours, where no conflict in HEAD tells it"),),
    ),
    "rollback": Verb(
        "dbkit.commands.rollback:rollback",
        "undo the last migration, or go back to a revision",
        "dbkit rollback --to base",
        (
            option("--to", default="-1", help=f"-1 (the default), base, {TO}"),
            KEEPING,
        ),
    ),
    "restore": Verb(
        "dbkit.commands.restore:restore",
        "put back what rollbacks have lost, after the upgrade",
        "dbkit restore",
        (
            option("--name", metavar="STASH", help="one stash, by the name of its directory in .dbkit/stash"),
            option(
                "--overwrite",
                nargs="?",
                const=True,
                default=False,
                type=yes,
                help="also replace newer values",
            ),
        ),
    ),
    "redo": Verb(
        "dbkit.commands.rollback:redo",
        "undo the last migration, apply it again and put back what that lost",
        options=(KEEPING,),
    ),
    "reset": Verb("dbkit.commands.reset:reset", "drop and rebuild the development database"),
    "seed": Verb("dbkit.commands.seed:seed", "add sample rows"),
    "backfill": Verb(
        "dbkit.commands.backfill:backfill",
        "change many rows of a table in batches, each in a transaction of its own",
        "dbkit backfill orders --set \"reference = 'SO-' || id\" --where 'reference IS NULL'",
        (
            option("table", metavar="TABLE", help="the table: orders, or schema.orders"),
            option("--set", dest="assignments", metavar="SQL", required=True, help="what to set, as in UPDATE … SET"),
            option("--where", metavar="SQL", help="only these rows, as in UPDATE … WHERE"),
            option("--key", metavar="COLUMNS", default="", help="a unique key, comma-separated (the primary key)"),
            option("--batch", type=many, metavar="N", default=1000, help="rows of the first batch (1000)"),
            option("--max-lag", type=seconds, metavar="S", default=10.0, help="wait for a slower standby (10; 0: no)"),
            option(
                "--again", nargs="?", const=True, default=False, type=yes, help="also when it was begun or done already"
            ),
        ),
    ),
    "status": Verb("dbkit.commands.status:status", "show where the database stands and what to type next"),
    "check": Verb("dbkit.commands.check:check", "see whether models, migrations and snapshot agree"),
    "drift": Verb(
        "dbkit.commands.drift:drift",
        "say which of the models, the migrations and the database has moved",
    ),
    "sql": Verb(
        "dbkit.commands.sql:sql",
        "write the SQL that migrate would run",
        "dbkit sql --from base --out -",
        (
            option("--out", default="upgrade.sql", help="the file to write (upgrade.sql), - for standard output"),
            option("--from", dest="start", help="begin at this revision (or base) without asking the database"),
            option("--to", default="head", help="end at this revision (head)"),
        ),
    ),
    "schema": Verb("dbkit.commands.schema:schema", "write the snapshot of the schema"),
    "roundtrip": Verb(
        "dbkit.commands.roundtrip:roundtrip",
        "prove on a throw-away database that each migration can be undone and redone",
        "dbkit roundtrip --config path/to/alembic.ini --since origin/main",
        (
            ONLY,
            *PROVING,
            option("--trace", action="store_true", help="also watch what each statement locks, as for dbkit lint"),
            option("--format", dest="report", default="text", choices=("text", "json", "junit", "github"), help="text"),
        ),
        any_project=True,
    ),
    "lint": Verb(
        "dbkit.commands.lint:lint",
        "say what each migration would do to a live database, and what to write instead",
        "dbkit lint --since origin/main",
        (
            ONLY,
            *PROVING,
            option("--level", default="warning", choices=("danger", "warning", "note"), help="show these and graver"),
            option("--sizes", type=Path, metavar="FILE", help="how big the tables are: the answer of dbkit sizes"),
            option(
                "--postgresql", dest="version", type=major, default=0, metavar="N", help="advice for this major version"
            ),
            option("--format", dest="report", default="text", choices=("text", "json", "github", "sarif"), help="text"),
        ),
        any_project=True,
    ),
    "trace": Verb(
        "dbkit.commands.trace:trace",
        "show what each statement of a migration locks, rewrites, scans and writes",
        "dbkit trace head",
        (
            option("revisions", metavar="REV", nargs="*", help="these revisions (all)"),
            *PROVING,
            option("--format", dest="report", default="text", choices=("text", "json"), help="text"),
        ),
        any_project=True,
    ),
    "explain": Verb(
        "dbkit.commands.explain:explain",
        "explain a finding of dbkit lint; without an id, list them",
        "dbkit explain index-without-concurrently",
        (option("identifier", metavar="ID", nargs="?", help="its id"),),
        no_project=True,
    ),
    "sizes": Verb(
        "dbkit.commands.sizes:sizes",
        "print a read-only query for a live database, whose answer makes the findings of lint concrete",
        "dbkit sizes > sizes.sql",
        no_project=True,
    ),
    "log": Verb(
        "dbkit.commands.journal:log",
        "show what was applied, when and by whom, newest first",
        "dbkit log -n all",
        (option("-n", dest="count", default="20", help="so many lines (20), or all"),),
    ),
    "accept": Verb(
        "dbkit.commands.journal:accept",
        "accept that the file of an applied revision was edited",
        "dbkit accept c96d09ae7993",
        (option("revision", metavar="REV", help="the revision"),),
    ),
    "resolve": Verb(
        "dbkit.commands.journal:resolve",
        "say that what an interrupted migration has done was taken back by hand",
        "dbkit resolve c96d09ae7993",
        (option("revision", metavar="REV", help="the revision"),),
    ),
    "mark": Verb(
        "dbkit.commands.journal:mark",
        "show or record in the database which environment it is",
        "dbkit mark production",
        (option("environment", nargs="?", help="development, test, ci, staging, production"),),
    ),
    "wait": Verb(
        "dbkit.commands.wait:wait",
        "wait until the database answers",
        "dbkit wait --at-head",
        (option("--at-head", action="store_true", help="and until all migrations are applied"),),
    ),
    "psql": Verb(
        "dbkit.commands.psql:psql",
        "open a shell on the database",
        "dbkit psql -c 'SELECT 1'",
        passes_on=True,
    ),
    "db-start": Verb("dbkit.commands.server:start", "start the embedded server"),
    "db-stop": Verb("dbkit.commands.server:stop", "stop the embedded server; its data stay"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    redact.learn_variables(os.environ)
    with outputs.redacted_streams():
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    parser = _parser()
    namespace, rest = parser.parse_known_args(arguments)
    options = vars(namespace)
    debug, verb = options.pop("debug"), VERBS[options.pop("verb")]
    if verb.passes_on:
        options["arguments"] = rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    signals.raise_on_signals()
    for stream in (sys.stdout, sys.stderr):
        # a terminal that cannot show a character gets its escape
        real = getattr(stream, "stream", stream)
        if isinstance(real, io.TextIOWrapper):
            real.reconfigure(errors="backslashreplace")
    try:
        module, _, name = verb.function.partition(":")
        function = getattr(importlib.import_module(module), name)
        if verb.no_project:
            return function(**options) or 0
        given = options.pop("config", None)
        ini = _given_ini(given) if given else _ini()
        # another project's .env is for its own env.py to read
        read = settings.load(ini.parent, warn=True) if not given else settings.load(ini.parent, dotenv=False)
        return function(read, ini, **options) or 0
    except KeyboardInterrupt:
        say("interrupted")
        return signals.exit_code()
    except BrokenPipeError:
        # the reader went away; Python would complain once more when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        if debug or not _is_expected(error):
            raise
        told = as_dbkit_error(error)
        print(told, file=sys.stderr)
        return told.exit_code


def _is_expected(error: Exception) -> bool:
    """Whether it is the surroundings that failed, and not this program."""
    modules = {each.__module__.partition(".")[0] for each in type(error).__mro__}
    return isinstance(error, DbkitError | OSError) or bool(modules & {"psycopg", "sqlalchemy"})


def _parser() -> argparse.ArgumentParser:
    keywords: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    description = "Alembic migrations on PostgreSQL, through one gate."
    parser = argparse.ArgumentParser("dbkit", description=description, epilog=EPILOG, **keywords)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, verb in VERBS.items():
        example = f"example: {verb.example}" if verb.example else None
        subparser = verbs.add_parser(name, help=verb.help, description=verb.help, epilog=example, **keywords)
        if verb.any_project:
            subparser.add_argument(
                "-c", "--config", metavar="FILE", help="another project's alembic.ini or pyproject.toml"
            )
        for flags, option_keywords in verb.options:
            subparser.add_argument(*flags, **option_keywords)
    return parser


def _ini() -> Path:
    """The alembic.ini of the project: this checkout's; where dbkit is installed, the current directory's."""
    checkout = Path(__file__).resolve().parents[2] / "alembic.ini"
    ini = checkout if checkout.exists() else Path("alembic.ini")
    if not ini.is_file():
        raise InputError(f"there is no alembic.ini in {Path.cwd()}.", "Run this in the root of the project.")
    ini = ini.resolve()
    if "%" in str(ini):
        raise InputError(f"Alembic does not work in a directory with % in its name: {ini.parent}", "Rename it.")
    return ini


def _given_ini(name: str) -> Path:
    """Another project's settings file. Paths in it are relative to its directory, unless they exist only from here."""
    ini = Path(name).resolve()
    if not ini.is_file():
        raise InputError(f"there is no {name}.", "Name the project's alembic.ini, or its pyproject.toml.")
    if "%" in str(ini):
        raise InputError(f"Alembic does not work in a directory with % in its name: {ini.parent}", "Rename it.")
    return ini


if __name__ == "__main__":
    # the libraries that a verb imports make many objects, and all stay: looking through them is a tenth of `status`
    gc.set_threshold(10_000, 50, 50)
    code = main()
    # nothing is left to collect; Python would look through everything once more (a sixth of a no-op `migrate`)
    gc.freeze()
    sys.exit(code)
