"""Write docs/commands.md from the table of verbs, and the table of Make targets in README.md from the Makefile.

With --check, write nothing, and exit with 1 where a file is not up to date.
"""

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from dbkit.arguments import Option
from dbkit.cli import EPILOG, VERBS, Database, Verb, options_of

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 110
HELP_COLUMN = 30
BEGIN, END = "<!-- commands: begin -->\n", "<!-- commands: end -->\n"
TARGET = re.compile(r"^([a-z-]+):.*?## (.+)$", re.MULTILINE)
VARIABLE = re.compile(r'\b[A-Za-z]+=(?:"[^"]*"|[^\s,;]+)')
HEADING = """\
# Commands

Every verb of `dbkit`, with its options. This page is written by `scripts/command_reference.py` from what
`dbkit VERB --help` prints; do not edit it.

`dbkit VERB` and `python -m dbkit VERB` are the same. `--debug` before the verb shows the traceback of an error.

`--color auto|always|never` decides whether verdicts, levels and errors have colours. With `auto`, the default, they have them on a
terminal, unless `NO_COLOR` or `CI` is set, or `TERM` is `dumb`. In a pipe, the output is plain text without tables and progress.
"""


OTHER_PROJECTS = """\
## Which verbs work on another project

`--config FILE` names the settings file of a project whose env.py calls `gate.install`
([Projects of others](projects.md)).
"""
ONE_DATABASE = ("rollback", "redo", "preflight")


def main() -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a file would change")
    check = parser.parse_args().check
    readme = ROOT / "README.md"
    texts = {
        ROOT / "docs/commands.md": render_page(),
        readme: replace_table(readme.read_text(encoding="utf-8"), render_targets((ROOT / "Makefile").read_text())),
    }
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if check:
            message = f"{path.relative_to(ROOT)} is not up to date: run `venv/bin/python scripts/command_reference.py`."
            print(message, file=sys.stderr)
        else:
            path.write_text(texts[path], encoding="utf-8")
            print(f"Wrote {path.relative_to(ROOT)}.")
    return 1 if check and stale else 0


def replace_table(text: str, table: str) -> str:
    """Replace the text between the markers. Exits where there are none."""
    before, begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"README.md has no lines {BEGIN.strip()} and {END.strip()}.")
    return f"{before}{begin}{table}{end}{after}"


def render_targets(makefile: str) -> str:
    """Render the table of Make targets, with their variables as code."""
    rows = [(f"`make {name}`", VARIABLE.sub(r"`\g<0>`", text)) for name, text in TARGET.findall(makefile)]
    return render_table("Command", rows)


def render_table(heading: str, rows: list[tuple[str, str]]) -> str:
    """Render a Markdown table of two columns."""
    lines = [f"| {heading} | What it does |", "|---|---|", *(f"| {left} | {right} |" for left, right in rows)]
    return "".join(f"{line}\n" for line in lines)


def render_page() -> str:
    """Render the page with the help of all verbs."""
    rows = [(f"[`{name}`](#dbkit-{name})", verb.help) for name, verb in VERBS.items()]
    sections = [render_verb(name, verb) for name, verb in VERBS.items()]
    others = f"{OTHER_PROJECTS}\n{render_table_of_projects()}"
    return "\n".join([HEADING, f"```text\n{EPILOG}```\n", render_table("Verb", rows), others, *sections])


def render_table_of_projects() -> str:
    """Render the table of which verbs work on another project, and on which of its databases."""
    lines = ["| Verb | With `--config` | On which databases, where there are several |", "|---|---|---|"]
    for name, verb in VERBS.items():
        is_other = verb.any_project or verb.finds_project
        works = "no" if verb.only_here else "yes" if is_other else "needs no project"
        why = f": {verb.only_here}" if verb.only_here else ""
        lines.append(f"| `{name}` | {works}{why} | {describe_databases(name, verb)} |")
    return "".join(f"{line}\n" for line in lines)


def describe_databases(name: str, verb: Verb) -> str:
    """Describe on which databases of a project a verb works."""
    if verb.only_here or verb.no_project or verb.finds_project:
        return ""
    if name in ONE_DATABASE:
        return "the one that there is; of several, none"
    if verb.database is Database.ONE:
        return "the one that `--database` names"
    return "each, with a heading" if verb.database is Database.EACH else "all, as env.py does"


def render_verb(name: str, verb: Verb) -> str:
    """Render the section of a verb. Its layout is not argparse's, which differs between versions of Python."""
    options = [each for each in options_of(verb) if each.keywords["help"] != argparse.SUPPRESS]
    usage = " ".join(["dbkit", name, *map(render_usage, options), *(["..."] if verb.passes_on else [])])
    wrapped = textwrap.wrap(usage, WIDTH, subsequent_indent=" " * len(f"dbkit {name} "), break_on_hyphens=False)
    wrapped = [line.replace("\N{NO-BREAK SPACE}", " ") for line in wrapped]
    lines = [*wrapped, *([""] if options else []), *(line for each in options for line in render_option(each))]
    lines += ["", f"example: {verb.example}"] if verb.example else []
    block = "\n".join(lines)
    return f"## dbkit {name}\n\n{verb.help[0].upper()}{verb.help[1:]}.\n\n```text\n{block}\n```\n"


def render_usage(option: Option) -> str:
    """Render an option as in the line of usage, without a break within it."""
    value = render_value(option).replace(" ", "\N{NO-BREAK SPACE}")
    if not is_named(option):
        return value
    usage = f"{option.flags[0]}\N{NO-BREAK SPACE}{value}" if value else option.flags[0]
    return usage if option.keywords.get("required") else f"[{usage}]"


def render_option(option: Option) -> Iterator[str]:
    """Yield the lines of an option: its flags and its value, and the help beside them."""
    value = render_value(option)
    words = ", ".join(option.flags) if is_named(option) else ""
    left = f"  {' '.join(filter(None, [words, value]))}"
    if len(left) > HELP_COLUMN - 2:
        yield left
        left = ""
    for line in textwrap.wrap(str(option.keywords["help"]), WIDTH - HELP_COLUMN):
        yield f"{left:<{HELP_COLUMN}}{line}"
        left = ""


def is_named(option: Option) -> bool:
    """Whether it is an option, and not a positional argument."""
    return option.flags[0].startswith("-")


def render_value(option: Option) -> str:
    """Render the place of an option's value as argparse does."""
    if option.keywords.get("action") == "store_true":
        return ""
    choices = option.keywords.get("choices")
    name = "{" + ",".join(choices) + "}" if choices else option.keywords["metavar"]
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} [{name} ...]"}.get(
        str(option.keywords.get("nargs")), str(name)
    )


if __name__ == "__main__":
    sys.exit(main())
