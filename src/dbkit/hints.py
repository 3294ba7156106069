"""The commands that messages suggest: those of the kit's Makefile, or, in another project, those of `dbkit` itself.

Messages are written with the kit's own commands. `render` is the one place that rewrites them for a project that has no
such Makefile, whose database is what its env.py connects to.
"""

import re
import shlex

DBKIT_VERBS = {
    "merge": "merge",
    "rebase-migration": "rebase-migration",
    "migrate": "migrate",
    "rollback": "rollback",
    "restore": "restore",
    "redo": "redo",
    "status": "status",
    "check": "check",
    "revision": "revision",
    "schema": "schema",
    "sql": "sql",
    "drift": "drift",
    "log": "log",
    "preflight": "preflight",
    "prove": "prove",
    "roundtrip": "roundtrip",
    "wait": "wait",
    "psql": "psql",
    "lint-migrations": "lint",
}
"""By Make target, the verb that does the same."""
FLAGS = {
    "to": "--to",
    "plan": "--plan",
    "m": "-m",
    "name": "--name",
    "rev": "--revision",
    "empty": "--empty",
    "online": "--online",
    "again": "--again",
}
"""By Make variable, the option of the verb."""
VALUE = r"""(?:"[^"]*"|[^\s`;,)]+)"""
MAKE = re.compile(rf"\bmake (history|{'|'.join(DBKIT_VERBS)}|reset)((?: (?:{'|'.join(FLAGS)})={VALUE})*)(?![\w-])")
DBKIT = re.compile(r"\b(?:python -m )?dbkit (log|mark|accept|resolve|wait|restore|preflight|backfill)\b")
LONG = {"psql": {"-c": "--config", "-n": "--name", "-x": "--x-arg"}, "log": {"-n": "--name"}}
"""By verb, the long options where it has other short ones."""
RESET = re.compile(
    r";? *(?:or, )?[Ww]here it may lose its data[,:] `?make reset`?|, or,\nwhere it may lose its data, `make reset`"
)
PHRASES = (
    ("of .env", "that env.py connects to"),
    ("in .env (see .env.example), or export it", "in the environment"),
    ("are the host and port in .env right", "are the host and port that env.py connects with right"),
    ("the primary in .env", "the primary where env.py gets its URL"),
    ("in .env to", "in the environment to"),
    ("in .env", "in the environment"),
    (
        "Set MIGRATION_DATABASE_URL to the server's own address, or to the session mode of the pooler\n"
        "(Supabase: port 5432); the application may keep DATABASE_URL.",
        "Give env.py the server's own address, or the session mode of the pooler (Supabase: port 5432);\n"
        "the application may keep its own.",
    ),
    (
        "set MIGRATION_DATABASE_URL in the environment to the server's own address",
        "give env.py the server's own address",
    ),
)

_project: tuple[str, ...] | None = None
"""The options that name the project, where it is not the kit's own; None for that."""

_start: tuple[str, ...] = ()
"""The options between `dbkit` and the verb."""


def for_project(*options: str) -> None:
    """Render the commands for another project from now on; these options name it: `-c FILE`, or none."""
    global _project
    _project = options


def for_kit() -> None:
    """Render the commands of the kit's own project from now on."""
    global _project
    _project = None
    start_with()


def start_with(*options: str) -> None:
    """Render the commands of dbkit with these options before the verb from now on."""
    global _start
    _start = options


def render(text: str) -> str:
    """Return a message with commands that can be typed in this project; one that is rendered already, as it is."""
    if _project is None:
        return text
    text = DBKIT.sub(_add_options, RESET.sub("", text))
    text = MAKE.sub(_replace_make, text)
    for kits, others in PHRASES:
        text = text.replace(kits, others)
    return text


def show(text: str) -> None:
    """Print a message with commands that can be typed in this project."""
    print(render(text))


def _add_options(match: re.Match[str]) -> str:
    command = _command(match[1])
    # a message that contains that of an error has been rendered in part
    return match[0] if match.string.startswith(command, match.start()) else command


def _replace_make(match: re.Match[str]) -> str:
    target = match[1]
    if target == "history":
        return shlex.join(["alembic", *(_project or ()), "history"])
    if target == "reset":
        return "dropping and creating the database by hand"
    values = re.findall(rf"(\w+)=({VALUE})", match[2])
    return " ".join([_command(DBKIT_VERBS[target]), *(f"{FLAGS[name]} {value}" for name, value in values)])


def _command(verb: str) -> str:
    options = list(_project or ())
    for number in range(0, len(options), 2):
        options[number] = LONG.get(verb, {}).get(options[number], options[number])
    return shlex.join(["dbkit", *_start, verb, *options])
