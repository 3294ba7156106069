"""The command line: the table of verbs, their options, and the types of their arguments."""

import argparse
import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from dbkit.arguments import (
    OUTPUTS,
    Option,
    Parser,
    assignment,
    flag,
    limit,
    major_version,
    number,
    option,
    output,
    positive_number,
    process_count,
    seconds,
    suggest_option,
    variable,
)
from dbkit.roundtrip import DRIVERS
from dbkit.terminal.person import Color

EPILOG = """\
exit codes: 0 done; 1 failed, or a check found something; 2 bad input or configuration; 3 refused;
4 server unreachable or credentials refused; 5 gave up waiting for a lock;
6 an operator must act: something was left half done; 7 the database is ahead of this code;
130, 143 interrupted
"""


SET_ENV = "a variable for env.py; {host}, {port}, {user}, {password}, {dbname} and {url} in it are the database's"
PYTHON = "run with the interpreter of another environment, in which dbkit is not installed"
COLOR = "colours: auto (the default) has them on a terminal, unless NO_COLOR or CI is set"
URL_ENV = "a variable in which env.py finds its URL"
X = "an argument for env.py, as for alembic"
X_LONG = {False: (), True: ("--x-arg",)}
DATABASE = "one of the databases of a project that has several"
DATABASE_NAME = option("--database", dest="database_name", metavar="NAME", help=DATABASE)
NO_CONNECTION = "with --sql or --answers: the revision of the database (or base), without connecting to it"
POSTGRESQL = "advise for this major version (that of the server)"
TO = "a revision id or its beginning, or relative: +1, -1"
# --empty, --empty=1 and --empty=0
SWITCH: dict[str, Any] = {"nargs": "?", "const": True, "default": False, "type": flag, "metavar": "0|1"}
MESSAGE = option("-m", "--message", metavar="TEXT", required=True, help="what it does, with its ticket number")
STASH = option("--stash", type=flag, metavar="0|1", help="0: do not save the rows that the rollback loses (STASH=0)")
GLOBAL = ("--debug", "--python", "--color", "--help")
"""The options before the verb."""
ONLY = option("--only", metavar="REV", nargs="+", default=(), help="these revisions only")


def format_option(*choices: str) -> Option:
    """Return `--format`, with these choices."""
    return option("--format", dest="report", default="text", choices=choices, help="text")


CONFIG = option("-c", "--config", metavar="FILE", help="another project's alembic.ini or pyproject.toml")
SECTION = "the section of the settings file, as for alembic"
# of the verbs that run a project's migrations on scratch databases
SCRATCH = (
    option("--server", metavar="URL", help="create the scratch databases on this server, not on a scratch cluster"),
    option("--url-env", metavar="NAME", type=variable, action="append", default=[], help=URL_ENV),
    option("--set-env", metavar="NAME=VALUE", type=assignment, action="append", default=[], help=SET_ENV),
    option("--driver", default="psycopg", choices=DRIVERS, help="the driver in the URL (psycopg)"),
    option("--jobs", type=process_count, metavar="N", help="the number of processes (that of the processors, up to 4)"),
    option("--rows", type=number, metavar="N", help="the sample rows of each table, at least (5); 0: empty tables"),
    option("--seed", type=number, default=0, metavar="N", help="the seed of random values in the sample rows (0)"),
    option("-n", "--name", metavar="SECTION", default="alembic", help=SECTION),
    option("-x", dest="arguments", metavar="ARG", action="append", default=[], help=X),
)
PROOF = (
    option("--from", dest="start", metavar="REV", help="only the revisions after this one"),
    option("--to", metavar="REV", help="only the revisions up to this one (heads)"),
    option("--since", metavar="GIT_REF", help="only the revisions whose files this commit does not have"),
    option("--baseline", metavar="REV", help="accept all findings up to this revision"),
    *SCRATCH,
)
TRACE = option("--trace", action="store_true", help="also show the locks of each statement, as dbkit trace does")
STRICT = option("--strict", action="store_true", help="a failure that only extreme values cause is a finding, too")
CACHE = (
    option("--no-cache", action="store_true", help="neither use nor keep verdicts of other runs"),
    option("--full", action="store_true", help="keep verdicts, and take the whole chain down and up again"),
)
LIVE = (
    option("--sizes", type=Path, metavar="FILE", help="the sizes of the tables: the result of dbkit sizes"),
    option("--postgresql", dest="version", type=major_version, default=0, metavar="N", help=POSTGRESQL),
)
LINT = (
    option("--level", default="warning", choices=("danger", "warning", "note"), help="the lowest level shown"),
    *LIVE,
)


class Database(Enum):
    """The databases that a verb needs of a project whose env.py connects by itself, where that has several."""

    NONE = "none"
    """None, or it finds them itself."""
    EACH = "each"
    """It runs once for each."""
    ONE = "one"
    """The one that --database names."""


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
    database: Database = Database.NONE
    """The databases that it needs of another project."""
    only_here: str = ""
    """Why it takes no --config."""
    connects: bool = False
    """Whether it connects to the database of another project, which the environment names."""
    is_proof: bool = False
    """Whether it runs the migrations of another project on scratch databases, behind no gate."""
    no_project: bool = False
    """Whether it needs no project; its function is called without settings and ini."""
    waits: bool = True
    """Whether it waits for the server of another project that does not answer yet."""
    finds_project: bool = False
    """Whether it finds the settings file itself; its function is called without settings and ini."""
    passes_on: bool = False
    """Whether unknown arguments are those of another program, and become the option `arguments`."""


ONLY_HERE = {
    "reset": "who creates that database, with which roles and extensions, is not known here; "
    "drop and create it by hand, then migrate it",
    "seed": "seed.sql is a file of the kit's own layout; run that project's file with psql",
    "db-start": "the embedded server belongs to the kit's own project",
    "db-stop": "the embedded server belongs to the kit's own project",
}


VERBS = {
    "migrate": Verb(
        "bring the database to a revision",
        "dbkit migrate --to +1",
        (
            option("--to", metavar="REV", default="head", help=f"head (the default), {TO}"),
            option("--plan", **SWITCH, help="run nothing, and print what would run: its SQL, locks and times"),
            format_option("text", "json"),
        ),
        any_project=True,
    ),
    "revision": Verb(
        "write a migration from the changes in the models",
        'dbkit revision -m "SHOP-12 add orders"',
        (
            MESSAGE,
            option("--empty", **SWITCH, help="an empty one, to write by hand"),
            option(
                "--online",
                dest="is_online",
                **SWITCH,
                help="in stages for a live database: several revisions, none of which locks a table for long",
            ),
            option("--rev-id", dest="identifier", metavar="ID", help="its id, instead of a random one"),
        ),
        any_project=True,
    ),
    "merge": Verb("join all heads", 'dbkit merge -m "merge heads"', (MESSAGE,), any_project=True),
    "rebase-migration": Verb(
        "make your revision follow the one that another branch has added",
        "dbkit rebase-migration",
        (option("--revision", metavar="REV", help="your last revision, where the head file has no conflict"),),
        any_project=True,
    ),
    "rollback": Verb(
        "undo the last migration, or go back to a revision",
        "dbkit rollback --to base",
        (option("--to", metavar="REV", default="-1", help=f"-1 (the default), base, {TO}"), STASH),
        any_project=True,
    ),
    "restore": Verb(
        "put back the rows that rollbacks have stashed, after the upgrade",
        "dbkit restore",
        (
            option("--name", metavar="STASH", help="one stash, by the name of its directory in .dbkit/stash"),
            option("--overwrite", **SWITCH, help="also replace newer values"),
        ),
        any_project=True,
        database=Database.ONE,
    ),
    "redo": Verb(
        "undo the last migration, apply it again and put back the stashed rows", options=(STASH,), any_project=True
    ),
    "reset": Verb("drop and rebuild the development database", only_here=ONLY_HERE["reset"]),
    "seed": Verb("add the example rows of seed.sql", only_here=ONLY_HERE["seed"]),
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
        any_project=True,
        database=Database.ONE,
    ),
    "status": Verb(
        "show the state of the database and the next command", any_project=True, database=Database.EACH, waits=False
    ),
    "graph": Verb(
        "draw the revision history: branches, merges, dependencies, what is applied, when and by which user",
        "dbkit graph --output history.svg",
        (
            option("--format", dest="report", choices=("text", "svg"), help="that of the file's suffix, else text"),
            option("--output", metavar="FILE", help="the file to write, - for standard output (the default)"),
            option("--last", type=positive_number, metavar="N", help="the newest N revisions only"),
            DATABASE_NAME,
        ),
        any_project=True,
    ),
    "diagram": Verb(
        "draw the tables of the migrated schema with their keys and relations, or those that a revision touches",
        "dbkit diagram --revision head --output head.svg",
        (
            option(
                "--format",
                dest="report",
                choices=("svg", "mermaid", "dot"),
                help="that of the file's suffix (.svg, .mmd, .dot), else mermaid",
            ),
            option("--output", metavar="FILE", help="the file to write, - for standard output (the default)"),
            option("--revision", metavar="REV", help="the tables that it touches, and those beside them"),
            DATABASE_NAME,
        ),
        any_project=True,
    ),
    "adopt": Verb(
        "add dbkit to a project that uses Alembic already: the gate in env.py, settings, targets, sessions, a CI job",
        "dbkit adopt --dry-run",
        (
            option("-c", "--config", dest="file", metavar="FILE", help="its alembic.ini or pyproject.toml (found)"),
            option("-n", "--name", metavar="SECTION", default="alembic", help=SECTION),
            option("-x", dest="arguments", metavar="ARG", action="append", default=[], help=X),
            option("--check", action="store_true", help="write nothing, and exit with 1 where a part is missing"),
            option("--dry-run", action="store_true", help="write nothing, and print the differences"),
            option("--undo", action="store_true", help="take out what was added, byte for byte"),
            option("--only-gate", action="store_true", help="the gate in env.py, and nothing else"),
            option("--ci", choices=("github", "gitlab", "none"), help="the CI service (that of the repository)"),
            option("--prove", type=number, default=3, metavar="N", help="prove the last N revisions (3); 0: none"),
        ),
        finds_project=True,
    ),
    "check": Verb("check that the models, the migrations and the schema snapshot agree", any_project=True),
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
        is_proof=True,
    ),
    "drift": Verb(
        "show the differences between the models, the migrations and the database",
        any_project=True,
        database=Database.EACH,
    ),
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
        any_project=True,
    ),
    "schema": Verb("write the schema snapshot", any_project=True),
    "prove": Verb(
        "run roundtrip and lint in one: prove each migration, and report what it would do to a live database",
        "dbkit prove --since origin/main",
        (
            ONLY,
            *PROOF,
            TRACE,
            STRICT,
            *LINT,
            *CACHE,
            format_option("text", "json", "github", "junit", "sarif"),
        ),
        any_project=True,
        is_proof=True,
    ),
    "report": Verb(
        "write the review of each migration: a page, the comment of a pull request, or a job summary",
        "dbkit report --since origin/main --output html --output github-comment=comment.md",
        (
            ONLY,
            *PROOF,
            STRICT,
            *LIVE,
            *CACHE,
            option(
                "--output",
                dest="outputs",
                metavar="FORMAT[=FILE]",
                type=output,
                action="append",
                default=[],
                help=f"{', '.join(OUTPUTS)}; several times for several (html=migrations.html); - for standard output",
            ),
        ),
        any_project=True,
        is_proof=True,
    ),
    "roundtrip": Verb(
        "prove on a scratch database that each migration can be undone and applied again",
        "dbkit roundtrip --config path/to/alembic.ini --since origin/main",
        (
            ONLY,
            *PROOF,
            TRACE,
            STRICT,
            *CACHE,
            format_option("text", "json", "junit", "github"),
        ),
        any_project=True,
        is_proof=True,
    ),
    "lint": Verb(
        "report what each migration would do to a live database, and what to write instead",
        "dbkit lint --since origin/main",
        (
            ONLY,
            *PROOF,
            *LINT,
            *CACHE,
            format_option("text", "json", "github", "sarif"),
        ),
        any_project=True,
        is_proof=True,
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
        is_proof=True,
    ),
    "new": Verb(
        "make a new project with migrations, in a directory that is empty or does not exist",
        "dbkit new path/to/project",
        (
            option("path", metavar="PATH", type=Path, help="the directory; those above it are made, too"),
            option("--ci", default="none", choices=("github", "gitlab", "none"), help="add a job for CI (none)"),
        ),
        no_project=True,
    ),
    "explain": Verb(
        "explain a finding of dbkit lint; without an id, list them",
        "dbkit explain index-without-concurrently",
        (option("identifier", metavar="ID", nargs="?", help="its id"),),
        no_project=True,
    ),
    "sizes": Verb(
        "print a read-only query for the sizes of a live database's tables, which lint --sizes takes; or its result",
        "dbkit sizes > sizes.sql",
        (
            option(
                "result", metavar="FILE", type=Path, nargs="?", help="show the sizes in the saved result of the query"
            ),
        ),
        no_project=True,
    ),
    "log": Verb(
        "show the journal: what was applied, when and by which user, newest first",
        "dbkit log -n all",
        (option("-n", dest="count", metavar="N", default="20", help="the number of lines (20), or all"),),
        any_project=True,
        database=Database.EACH,
    ),
    "accept": Verb(
        "accept the edited file of an applied revision",
        "dbkit accept c96d09ae7993",
        (option("revision", metavar="REV", help="the revision"),),
        any_project=True,
        database=Database.ONE,
    ),
    "resolve": Verb(
        "record that an interrupted migration was undone by hand",
        "dbkit resolve c96d09ae7993",
        (option("revision", metavar="REV", help="the revision"),),
        any_project=True,
        database=Database.ONE,
    ),
    "mark": Verb(
        "show or set the environment mark of the database",
        "dbkit mark production",
        (option("environment", metavar="ENVIRONMENT", nargs="?", help="development, test, ci, staging, production"),),
        any_project=True,
        database=Database.ONE,
    ),
    "wait": Verb(
        "wait until the database answers",
        "dbkit wait --at-head",
        (option("--at-head", action="store_true", help="and until all migrations are applied"),),
        any_project=True,
        database=Database.EACH,
    ),
    "psql": Verb(
        "open psql on the database", "dbkit psql -c 'SELECT 1'", passes_on=True, any_project=True, database=Database.ONE
    ),
    "db-start": Verb("start the embedded server", only_here=ONLY_HERE["db-start"]),
    "db-stop": Verb("stop the embedded server; its data stay", only_here=ONLY_HERE["db-stop"]),
}


@dataclass(frozen=True)
class Invocation:
    """One parsed command line."""

    verb: str
    values: dict[str, Any]
    """The verb's options, by the name of their fields."""
    config: str | None
    debug: bool
    section: str = "alembic"
    """Alembic's --name."""
    arguments: tuple[str, ...] = ()
    """Alembic's -x."""
    database: str | None = None
    """The name of one of the project's databases."""
    color: str = Color.AUTO.value
    """When there are colours."""

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
    given = sys.argv[1:] if arguments is None else arguments
    is_named = bool(given) and given[0] in VERBS and not {"-h", "--help"} & set(given)
    parser = make_parser(given[:1] if is_named else VERBS)
    namespace, rest = parser.parse_known_args(given)
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in vars(namespace).items()
    }
    del values["python"]  # dbkit.foreign_python has read it
    debug, verb, config = values.pop("debug"), values.pop("verb"), values.pop("config", None)
    color = values.pop("color")
    if config and VERBS[verb].only_here:
        parser.error(f"{verb} takes no --config: {VERBS[verb].only_here}")
    own = {each.dest for each in VERBS[verb].options}
    project = {name: values.pop(name) for name in ("section", "x_arguments", "database") if name in values}
    if VERBS[verb].passes_on:
        values["arguments"] = tuple(rest)
    elif rest:
        known = [*GLOBAL, *(each for flags, _ in options_of(VERBS[verb]) for each in flags)]
        parser.error(f"unrecognized arguments: {' '.join(rest)}{suggest_option(rest, known)}")
    section, arguments = (
        (values["name"], values["arguments"])
        if {"name", "arguments"} <= own
        else (project.get("section", "alembic"), project.get("x_arguments", ()))
    )
    return Invocation(verb, values, config, debug, section, tuple(arguments), project.get("database"), color)


def make_parser(names: Iterable[str] = VERBS) -> argparse.ArgumentParser:
    """Make the parser of these verbs; that of all takes a while."""
    keywords: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    description = "Alembic migrations on PostgreSQL, through one gate."
    parser = Parser("dbkit", description=description, epilog=EPILOG, **keywords)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--python", metavar="PATH", help=PYTHON)
    color: dict[str, Any] = {"choices": [each.value for each in Color]}
    parser.add_argument("--color", default=Color.AUTO.value, help=COLOR, **color)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, verb in ((name, VERBS[name]) for name in names):
        example = f"example: {verb.example}" if verb.example else None
        subparser = verbs.add_parser(name, help=verb.help, description=verb.help, epilog=example, **keywords)
        for flags, option_keywords in options_of(verb):
            subparser.add_argument(*flags, **option_keywords)
        if not verb.passes_on:
            subparser.add_argument("--color", default=argparse.SUPPRESS, help=argparse.SUPPRESS, **color)
    return parser


def options_of(verb: Verb) -> tuple[Option, ...]:
    """Return the options of a verb, and those that name another project and its database."""
    if verb.only_here:
        return (option("-c", "--config", metavar="FILE", help=argparse.SUPPRESS), *verb.options)
    if not verb.any_project:
        return verb.options
    taken = {each for flags, _ in verb.options for each in flags}
    # psql has these short options itself
    free = [each for each in ("-c", "-n", "-x") if each not in taken and not verb.passes_on]

    def flags_of(short: str, *long: str) -> tuple[str, ...]:
        return (*(each for each in (short,) if each in free), *(each for each in long if each not in taken))

    named = [option(*flags_of("-c", "--config"), **CONFIG.keywords)]
    if "--url-env" not in taken:
        section = {"dest": "section", "metavar": "SECTION", "default": "alembic", "help": SECTION}
        x = {"dest": "x_arguments", "metavar": "ARG", "action": "append", "default": [], "help": X}
        named += [option(*flags_of("-n", "--name"), **section), option(*flags_of("-x", *X_LONG[verb.passes_on]), **x)]
    if verb.database is not Database.NONE:
        named.append(option("--database", metavar="NAME", help=DATABASE))
    return (*named, *verb.options)
