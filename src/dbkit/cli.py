"""The command line: the table of verbs, their options, and the types of their arguments."""

import argparse
import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dbkit.redaction import redact
from dbkit.roundtrip import DRIVERS

EPILOG = """\
exit codes: 0 done; 1 failed, or a check found something; 2 bad input or configuration; 3 refused;
4 server unreachable or credentials refused; 5 gave up waiting for a lock;
6 an operator must act: something was left half done; 7 the database is ahead of this code;
130, 143 interrupted
"""


class Option(NamedTuple):
    """The arguments of one `add_argument`."""

    flags: tuple[str, ...]
    keywords: dict[str, Any]

    @property
    def dest(self) -> str:
        """The name of its value: a field of the verb's options."""
        long = next((flag for flag in self.flags if flag.startswith("--")), self.flags[0])
        return str(self.keywords.get("dest") or long.lstrip("-").replace("-", "_"))


def option(*flags: str, **keywords: Any) -> Option:
    """Return an option that is written like a call of `add_argument`."""
    return Option(flags, keywords)


def flag(text: str) -> bool:
    """Convert the value of a Makefile variable, such as that of `empty=1`. Raises ArgumentTypeError."""
    values = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}
    if text not in values:
        raise argparse.ArgumentTypeError(f"write 1 or 0, not {text!r}")
    return values[text]


def matching(pattern: str, wanted: str, convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a converter for `type=` that raises ArgumentTypeError, naming what is `wanted`, without a match."""

    def check(text: str) -> Any:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"write {wanted}, not {text!r}")
        return convert(text)

    return check


process_count = matching("[1-9][0-9]{0,2}", "a number from 1 to 999", int)
major_version = matching("[1-9][0-9]", "a major version of PostgreSQL, such as 15", int)
positive_number = matching("[1-9][0-9]{0,5}", "a number from 1 to 999999", int)
number = matching("[0-9]{1,6}", "a number from 0 to 999999", int)
seconds = matching(r"[0-9]{1,6}(\.[0-9]+)?", "a number of seconds", float)

limit = matching(r"(?=.*[1-9])[0-9]{1,6}(\.[0-9]{1,3})?", "a number of seconds above 0", float)


def variable(text: str) -> str:
    """Check the name of an environment variable. Raises ArgumentTypeError."""
    if not re.fullmatch(r"[A-Za-z_]\w*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a variable")
    return text


def assignment(text: str) -> tuple[str, str]:
    """Split NAME=VALUE. Raises ArgumentTypeError, without the value: it may be a password."""
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*", name):
        shown = f"{name}=…" if equals else name
        raise argparse.ArgumentTypeError(f"write NAME=VALUE, not {shown!r}")
    redact.learn_variables({name: value})
    return name, value


SET_ENV = "a variable for env.py; {host}, {port}, {user}, {password}, {dbname} and {url} in it are the database's"
URL_ENV = "a variable in which env.py finds its URL"
X = "an argument for env.py, as for alembic"
NO_CONNECTION = "with --sql or --answers: the revision of the database (or base), without connecting to it"
POSTGRESQL = "advise for this major version (that of the server)"
TO = "a revision id or its beginning, or relative: +1, -1"
# --empty, --empty=1 and --empty=0
SWITCH: dict[str, Any] = {"nargs": "?", "const": True, "default": False, "type": flag, "metavar": "0|1"}
MESSAGE = option("-m", "--message", metavar="TEXT", required=True, help="what it does, with its ticket number")
STASH = option("--stash", type=flag, metavar="0|1", help="0: do not save the rows that the rollback loses (STASH=0)")
ONLY = option("--only", metavar="REV", nargs="+", default=(), help="these revisions only")


def format_option(*choices: str) -> Option:
    """Return `--format`, with these choices."""
    return option("--format", dest="report", default="text", choices=choices, help="text")


CONFIG = option("-c", "--config", metavar="FILE", help="another project's alembic.ini or pyproject.toml")
# of the verbs that run a project's migrations on scratch databases
SCRATCH = (
    option("--server", metavar="URL", help="create the scratch databases on this server, not on a scratch cluster"),
    option("--url-env", metavar="NAME", type=variable, action="append", default=[], help=URL_ENV),
    option("--set-env", metavar="NAME=VALUE", type=assignment, action="append", default=[], help=SET_ENV),
    option("--driver", default="psycopg", choices=DRIVERS, help="the driver in the URL (psycopg)"),
    option("--jobs", type=process_count, metavar="N", help="the number of processes (that of the processors, up to 4)"),
    option("--rows", type=number, metavar="N", help="the sample rows of each table, at least (5); 0: empty tables"),
    option("--seed", type=number, default=0, metavar="N", help="the seed of random values in the sample rows (0)"),
    option(
        "-n", "--name", metavar="SECTION", default="alembic", help="the section of the settings file, as for alembic"
    ),
    option("-x", dest="arguments", metavar="ARG", action="append", default=[], help=X),
)
PROOF = (
    option("--from", dest="start", metavar="REV", help="only the revisions after this one"),
    option("--to", metavar="REV", help="only the revisions up to this one (heads)"),
    option("--since", metavar="GIT_REF", help="only the revisions whose files this commit does not have"),
    option("--baseline", metavar="REV", help="accept all findings up to this revision"),
    *SCRATCH,
)


@dataclass(frozen=True)
class Verb:
    """A verb of the command line, which runs `dbkit.commands.<module>.<module>(settings, ini, options)`.

    The function returns None or an exit code; `options` is left out for a verb that has none. It is imported when it
    runs: modules that a verb does not need are not loaded.
    """

    help: str
    example: str = ""
    options: tuple[Option, ...] = ()
    any_project: bool = False
    """Whether it takes --config, the settings file of another project."""
    connects: bool = False
    """Whether it connects to the database of another project, which the environment names."""
    no_project: bool = False
    """Whether it needs no project; its function is called without settings and ini."""
    passes_on: bool = False
    """Whether unknown arguments are those of another program, and become the option `arguments`."""


VERBS = {
    "migrate": Verb(
        "bring the database to a revision",
        "dbkit migrate --to +1",
        (option("--to", metavar="REV", default="head", help=f"head (the default), {TO}"),),
    ),
    "revision": Verb(
        "write a migration from the changes in the models",
        'dbkit revision -m "SHOP-12 add orders"',
        (
            MESSAGE,
            option("--empty", **SWITCH, help="an empty one, to write by hand"),
            option("--rev-id", dest="identifier", metavar="ID", help="its id, instead of a random one"),
        ),
    ),
    "merge": Verb("join all heads", 'dbkit merge -m "merge heads"', (MESSAGE,)),
    "rebase-migration": Verb(
        "make your revision follow the one that another branch has added",
        "dbkit rebase-migration",
        (option("--revision", metavar="REV", help="your last revision, where the head file has no conflict"),),
    ),
    "rollback": Verb(
        "undo the last migration, or go back to a revision",
        "dbkit rollback --to base",
        (option("--to", metavar="REV", default="-1", help=f"-1 (the default), base, {TO}"), STASH),
    ),
    "restore": Verb(
        "put back the rows that rollbacks have stashed, after the upgrade",
        "dbkit restore",
        (
            option("--name", metavar="STASH", help="one stash, by the name of its directory in .dbkit/stash"),
            option("--overwrite", **SWITCH, help="also replace newer values"),
        ),
    ),
    "redo": Verb("undo the last migration, apply it again and put back the stashed rows", options=(STASH,)),
    "reset": Verb("drop and rebuild the development database"),
    "seed": Verb("add the example rows of seed.sql"),
    "backfill": Verb(
        "change many rows of a table in batches, one transaction for each",
        "dbkit backfill orders --set \"reference = 'SO-' || id\" --where 'reference IS NULL'",
        (
            option("table", metavar="TABLE", help="the table: orders, or schema.orders"),
            option("--set", dest="assignments", metavar="SQL", required=True, help="the SET clause, as in UPDATE"),
            option("--where", metavar="SQL", help="the WHERE clause, as in UPDATE"),
            option("--key", metavar="COLUMNS", default="", help="a unique key, comma-separated (the primary key)"),
            option("--batch", type=positive_number, metavar="N", default=1000, help="rows of the first batch (1000)"),
            option("--max-lag", type=seconds, metavar="S", default=10.0, help="wait for a slower standby (10; 0: no)"),
            option("--again", **SWITCH, help="start over, also when it is done or was interrupted"),
        ),
    ),
    "status": Verb("show the state of the database and the next command"),
    "check": Verb("check that the models, the migrations and the schema snapshot agree"),
    "preflight": Verb(
        "ask the rows of the database what the pending migrations demand of them, before these are run",
        "dbkit preflight --sql > preflight.sql",
        (
            option("--to", metavar="REV", help=f"the pending revisions up to this one (heads), {TO}"),
            option("--sql", action="store_true", help="print the queries for psql, and ask nothing"),
            option("--from", dest="start", metavar="REV", help=NO_CONNECTION),
            option("--answers", type=Path, metavar="FILE", help="judge the result of these queries"),
            option("--timeout", type=limit, default=30.0, metavar="S", help="the longest time of a query (30)"),
            option("--lock-timeout", type=limit, default=2.0, metavar="S", help="the longest wait for a lock (2)"),
            *SCRATCH,
            format_option("text", "json"),
        ),
        any_project=True,
        connects=True,
    ),
    "drift": Verb("show the differences between the models, the migrations and the database"),
    "sql": Verb(
        "write the SQL that migrate would run",
        "dbkit sql --from base --out -",
        (
            option(
                "--out",
                metavar="FILE",
                default="upgrade.sql",
                help="the file to write (upgrade.sql), - for standard output",
            ),
            option(
                "--from",
                dest="start",
                metavar="REV",
                help="begin at this revision (or base), without connecting to the database",
            ),
            option("--to", metavar="REV", default="head", help="end at this revision (head)"),
        ),
    ),
    "schema": Verb("write the schema snapshot"),
    "roundtrip": Verb(
        "prove on a scratch database that each migration can be undone and applied again",
        "dbkit roundtrip --config path/to/alembic.ini --since origin/main",
        (
            ONLY,
            *PROOF,
            option("--trace", action="store_true", help="also show the locks of each statement, as dbkit trace does"),
            option("--strict", action="store_true", help="a failure that only extreme values cause is a finding, too"),
            format_option("text", "json", "junit", "github"),
        ),
        any_project=True,
    ),
    "lint": Verb(
        "report what each migration would do to a live database, and what to write instead",
        "dbkit lint --since origin/main",
        (
            ONLY,
            *PROOF,
            option("--level", default="warning", choices=("danger", "warning", "note"), help="the lowest level shown"),
            option("--sizes", type=Path, metavar="FILE", help="the sizes of the tables: the result of dbkit sizes"),
            option("--postgresql", dest="version", type=major_version, default=0, metavar="N", help=POSTGRESQL),
            format_option("text", "json", "github", "sarif"),
        ),
        any_project=True,
    ),
    "trace": Verb(
        "show what each statement of a migration locks, rewrites, scans and writes",
        "dbkit trace head",
        (
            option("only", metavar="REV", nargs="*", help="these revisions only (all)"),
            *PROOF,
            format_option("text", "json"),
        ),
        any_project=True,
    ),
    "explain": Verb(
        "explain a finding of dbkit lint; without an id, list them",
        "dbkit explain index-without-concurrently",
        (option("identifier", metavar="ID", nargs="?", help="its id"),),
        no_project=True,
    ),
    "sizes": Verb(
        "print a read-only query for the sizes of a live database's tables, which lint --sizes takes",
        "dbkit sizes > sizes.sql",
        no_project=True,
    ),
    "log": Verb(
        "show the journal: what was applied, when and by which user, newest first",
        "dbkit log -n all",
        (option("-n", dest="count", metavar="N", default="20", help="the number of lines (20), or all"),),
    ),
    "accept": Verb(
        "accept the edited file of an applied revision",
        "dbkit accept c96d09ae7993",
        (option("revision", metavar="REV", help="the revision"),),
    ),
    "resolve": Verb(
        "record that an interrupted migration was undone by hand",
        "dbkit resolve c96d09ae7993",
        (option("revision", metavar="REV", help="the revision"),),
    ),
    "mark": Verb(
        "show or set the environment mark of the database",
        "dbkit mark production",
        (option("environment", metavar="ENVIRONMENT", nargs="?", help="development, test, ci, staging, production"),),
    ),
    "wait": Verb(
        "wait until the database answers",
        "dbkit wait --at-head",
        (option("--at-head", action="store_true", help="and until all migrations are applied"),),
    ),
    "psql": Verb("open psql on the database", "dbkit psql -c 'SELECT 1'", passes_on=True),
    "db-start": Verb("start the embedded server"),
    "db-stop": Verb("stop the embedded server; its data stay"),
}


@dataclass(frozen=True)
class Invocation:
    """One parsed command line."""

    verb: str
    values: dict[str, Any]
    """The verb's options, by the name of their fields."""
    config: str | None
    debug: bool

    def load(self) -> tuple[Callable[..., int | None], tuple[object, ...]]:
        """Import the verb's module. Returns its function, and its options, where it has some, in a tuple."""
        module = module_of(self.verb)
        found = importlib.import_module(f"dbkit.commands.{module}")
        options = (getattr(found, options_class_of(self.verb))(**self.values),) if self.values else ()
        return getattr(found, module), options


def module_of(verb: str) -> str:
    """Return the name of a verb's module in dbkit.commands, and of its function."""
    return verb.replace("-", "_")


def options_class_of(verb: str) -> str:
    """Return the name of the class in a verb's module that has its options as fields."""
    return f"{verb.title().replace('-', '')}Options"


def parse(arguments: Sequence[str] | None) -> Invocation:
    """Parse a command line; as argparse does, exit with 2 for one that is wrong."""
    parser = make_parser()
    namespace, rest = parser.parse_known_args(arguments)
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in vars(namespace).items()
    }
    debug, verb, config = values.pop("debug"), values.pop("verb"), values.pop("config", None)
    if VERBS[verb].passes_on:
        values["arguments"] = tuple(rest)
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return Invocation(verb, values, config, debug)


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all verbs."""
    keywords: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    description = "Alembic migrations on PostgreSQL, through one gate."
    parser = argparse.ArgumentParser("dbkit", description=description, epilog=EPILOG, **keywords)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, verb in VERBS.items():
        example = f"example: {verb.example}" if verb.example else None
        subparser = verbs.add_parser(name, help=verb.help, description=verb.help, epilog=example, **keywords)
        for flags, option_keywords in options_of(verb):
            subparser.add_argument(*flags, **option_keywords)
    return parser


def options_of(verb: Verb) -> tuple[Option, ...]:
    """Return the options of a verb, --config included."""
    return (CONFIG, *verb.options) if verb.any_project else verb.options
