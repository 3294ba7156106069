"""migrations.mk beside the settings file, and the line of the project's Makefile that includes it."""

import re
import shlex
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from dbkit.adoption import owned
from dbkit.adoption.change import Change
from dbkit.adoption.installation import directories_up, path_between, project_options, slug_of, working_directory
from dbkit.adoption.owned import read_file
from dbkit.adoption.site import Site

PART = "make"
NAME = "migrations.mk"
# as GNU make looks for them
MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
TARGET = re.compile(r"^([a-z-]+):(?= ##)", re.M)
LISTED = re.compile(r"^(?=help-migrations: DBKIT_)", re.M)
TARGETS = re.compile(r"^DBKIT_TARGETS := (?:.*\\\n)*.*$", re.M)
RECIPE = re.compile(r"(\$\(DBKIT(?:_ALEMBIC)?\)) ([a-z-]+)")
# of another Makefile: the names before a colon that begins no assignment, and those of .PHONY
RULE = re.compile(r"^(?:\.PHONY\s*:(?P<phony>.*)|(?P<names>[^\t#:=][^#:=]*?)\s*:{1,2}(?![:=]).*)$", re.M)
INCLUDE = re.compile(r"^ *[-s]?include\s+([^#\n]*)", re.M)
PLAIN = re.compile(r"[\w./+@,-]+")
DATABASE_VERBS = ("restore", "backfill", "status", "drift", "graph", "diagram", "log", "wait", "psql")


def plan(site: Site) -> list[Change]:
    """Plan migrations.mk, and its line in the Makefile."""
    path = site.directory / NAME
    before = read_file(path)
    if before is not None and not owned.is_stamped(before):
        return [Change(path, PART, before, before, left="it is not dbkit's; rename it, and run this again")]
    makefile = find_makefile(site)
    prefix = _choose_prefix(site, makefile, before)
    if makefile and prefix is None:
        content = read_file(makefile)
        return [Change(makefile, PART, content, content, left="it has targets with all names that dbkit would use")]
    changes = [owned.plan_file(path, PART, before, render(site, prefix or ""))]
    if makefile is None:
        command = f"make -f {shlex.quote(path_between(site.repository, path))} {prefix}migrate"
        note = f"there is no Makefile to include it: `{command}`"
    elif prefix:
        note = f"{makefile.name} has targets with such names, so these begin with {prefix}: `make {prefix}migrate`"
    else:
        note = f"`make {prefix}help-migrations` lists its targets"
    if not changes[0].left:
        changes = [replace(changes[0], note=note)]
    return changes if makefile is None else [*changes, _plan_include(site, makefile)]


def plan_undo(site: Site) -> list[Change]:
    """Plan the removal of migrations.mk and of its line; a file that was edited stays, and its line, too."""
    path = site.directory / NAME
    before = read_file(path)
    removed = owned.plan_removal(path, PART, before)
    makefile = find_makefile(site)
    content = read_file(makefile) if makefile else None
    if not makefile or content is None or any(each.left for each in removed) or (before and not removed):
        return removed
    line = include_line(makefile, path).encode()
    found = re.search(rb"^%s[ \t]*(\r?\n|\Z)" % re.escape(line), content, re.M)
    if not found:
        return removed
    head = content[: found.start()]
    if not found[1]:  # the file had no newline at its end
        head = head[: -2 if head.endswith(b"\r\n") else -1]
    return [*removed, Change(makefile, PART, content, head + content[found.end() :])]


def find_makefile(site: Site) -> Path | None:
    """Find the Makefile that includes the targets: the nearest, from the settings file up to the repository's top."""
    for directory in directories_up(site):
        names = {path.name for path in directory.iterdir()}  # where a file system ignores case, as it is written
        for name in MAKEFILES:
            if name in names and (directory / name).is_file():
                return directory / name
    return None


def include_line(makefile: Path, path: Path) -> str:
    """Return the line. Its hyphen: the Makefile works without the file, too, as in an image without migrations."""
    return f"-include {path_between(makefile.parent, path)}"


def render(site: Site, prefix: str = "") -> str:
    """Return the targets for a project, each with a prefix."""
    text = owned.read_template(NAME).replace("@PREFIX@", prefix)
    place = working_directory(site)
    above = place.relative_to(site.repository).parts if place.is_relative_to(site.repository) else ()
    text = text.replace("@UP@", " ".join(["./", *("../" * number for number in range(1, len(above) + 1))]))
    text = text.replace("@PLACE@", "" if place == site.directory else f"{path_between(site.directory, place)}/")
    text = TARGETS.sub(lambda found: re.sub(r"(?<=[ \t])(?=[a-z])", prefix, found[0]), text)
    text = TARGET.sub(rf"{prefix}\1:", LISTED.sub(prefix, text))
    return RECIPE.sub(lambda found: _add_options(site, found[1], found[2]), text)


def _add_options(site: Site, command: str, verb: str) -> str:
    """Return the begin of a recipe's command, with the options that name the project."""
    if command == "$(DBKIT_ALEMBIC)":
        # without -c it reads pyproject.toml, and an alembic.ini beside that
        options = project_options(site, "alembic")
        return " ".join([command, *_quote(options), verb])
    database = " $(call dbkit-option,database,--database)" if verb in DATABASE_VERBS else ""
    return " ".join([command, verb, *_quote(project_options(site, verb))]) + database


def _quote(options: list[str]) -> list[str]:
    return [shlex.quote(option).replace("$", "$$") for option in options]


def _choose_prefix(site: Site, makefile: Path | None, before: bytes | None) -> str | None:
    """Return the prefix of the targets: the one that they have, or the first with which no name is taken."""
    if before is not None and (found := re.search(rb"^([a-z-]*)help-migrations:", before, re.M)):
        return found[1].decode()
    taken = _read_targets(makefile, site.directory / NAME) if makefile else set()
    names = TARGET.findall(owned.read_template(NAME))
    prefixes = ["", "db-", "dbkit-"]
    if slug := slug_of(site):  # beside another project with dbkit, its name is the clearest prefix
        prefixes.insert(1 if any(each.endswith("help-migrations") for each in taken) else 2, f"{slug}-")
    return next((prefix for prefix in prefixes if not taken & {f"{prefix}{name}" for name in names}), None)


def _read_targets(makefile: Path, ours: Path) -> set[str]:
    """Read the names of all targets, and those of the included files; nothing in them is run."""
    names: set[str] = set()
    seen: set[Path] = {ours.resolve()}
    files = [makefile]
    while files:
        path = files.pop()
        if path.resolve() in seen or not path.is_file():
            continue
        seen.add(path.resolve())
        text = _read_text(path)
        for rule in RULE.finditer(text):
            names.update((rule["phony"] or rule["names"] or "").removesuffix("&").split())
        for include in INCLUDE.findall(text):
            if "$" in include:  # perhaps one of these
                files += [*makefile.parent.glob("*.mk"), *makefile.parent.glob("*/*.mk")]
            else:
                files += [each for word in include.split() for each in _find_included(makefile.parent, word)]
    return names


def _find_included(directory: Path, word: str) -> list[Path]:
    if word.startswith("/"):
        return [Path(word)]
    return list(directory.glob(word))


def _read_text(path: Path) -> str:
    """Return a Makefile with each continued line as one."""
    return (read_file(path) or b"").decode("utf-8", "replace").replace("\r\n", "\n").replace("\\\n", " ")


def _plan_include(site: Site, makefile: Path) -> Change:
    path = site.directory / NAME
    relative = path_between(makefile.parent, path)
    before = read_file(makefile) or b""
    text = _read_text(makefile)
    words = [word.removeprefix("./") for include in INCLUDE.findall(text) for word in re.split(r"[\s(),]+", include)]
    if any(fnmatch(relative, word) for word in words):
        return Change(makefile, PART, before, before)
    line = include_line(makefile, path)
    if not PLAIN.fullmatch(relative):
        return Change(makefile, PART, before, before, left=f"make cannot include {relative!r}; name it with make -f")
    if before.rstrip(b"\r\n").endswith(b"\\") or _count_open_defines(text):
        left = f"its last line is not the end of a statement; add the line `{line}`"
    else:
        left = owned.describe_obstacle(makefile, site, f"add the line `{line}`")
    return Change(makefile, PART, before, before if left else owned.append_lines(before, [line]), left=left)


def _count_open_defines(text: str) -> int:
    begun = re.findall(r"^ *(?:(?:override|export|private) +)*define\b", text, re.M)
    return len(begun) - len(re.findall(r"^ *endef\b", text, re.M))
