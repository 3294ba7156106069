"""Read revision files without importing them, which is fast and needs no Alembic."""

import configparser
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Alembic loads every other *.py: https://github.com/sqlalchemy/alembic/blob/main/alembic/script/base.py
REVISION_FILE = re.compile(r"(?!\.#|__init__)(.*\.py)$")
ASSIGNMENT = re.compile(r"^(revision|down_revision|depends_on)\b[^=\n]*=[ \t]*([^\n]*?)[ \t]*$", re.MULTILINE)
MENTION = re.compile(r"^(?:revision|down_revision|depends_on)\b", re.MULTILINE)
IDENTIFIER = r"""(?:"[0-9A-Za-z_]+"|'[0-9A-Za-z_]+')"""
TUPLE = re.compile(rf"[(\[][ ]*{IDENTIFIER}(?:,[ ]*{IDENTIFIER})*,?[ ]*[)\]]")


@dataclass(frozen=True)
class RevisionFile:
    """The identifiers that a revision file assigns as literals."""

    path: Path
    revision: str
    down_revisions: tuple[str, ...]


def directory_of(ini: Path) -> Path | None:
    """The directory of the revision files, when it is the single default one; None otherwise."""
    parser = configparser.ConfigParser({"here": str(ini.parent)})
    try:
        parser.read(ini, encoding="utf-8")
        section = parser["alembic"]
        if any(option in section for option in ("version_locations", "recursive_version_locations", "sourceless")):
            return None
        return Path(section["script_location"]) / "versions"
    except (KeyError, configparser.Error, UnicodeDecodeError):
        return None  # it is in pyproject.toml, or Alembic will report the error


def read_revision_file(path: Path) -> RevisionFile | None:
    """Read one file; None when its identifiers are not plain literals, or when it has `depends_on`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    found = {match[1]: match for match in ASSIGNMENT.finditer(text)}
    if "revision" not in found or "down_revision" not in found or len(MENTION.findall(text)) != len(found):
        return None
    if any(_inside_string(text[: match.start()]) for match in found.values()):
        return None
    if "depends_on" in found and found["depends_on"][2] != "None":
        return None
    if not re.fullmatch(IDENTIFIER, found["revision"][2]):
        return None
    parents = found["down_revision"][2]
    if parents == "None":
        down_revisions: tuple[str, ...] = ()
    elif re.fullmatch(IDENTIFIER, parents) or TUPLE.fullmatch(parents):
        down_revisions = tuple(re.findall(r"\w+", parents))
    else:
        return None
    return RevisionFile(path, found["revision"][2][1:-1], down_revisions)


def read_revision_files(directory: Path) -> list[RevisionFile | None]:
    """Read all files that Alembic would load from a directory, sorted by name."""
    try:
        paths = sorted(path for path in directory.iterdir() if REVISION_FILE.match(path.name))
    except FileNotFoundError:
        return []
    return [read_revision_file(path) for path in paths]


def find_heads(files: Iterable[RevisionFile | None]) -> frozenset[str] | None:
    """The revisions without a child; None when only Alembic can find them, or when the history is broken."""
    parents: dict[str, tuple[str, ...]] = {}
    for file in files:
        if file is None or file.revision in parents:
            return None
        parents[file.revision] = file.down_revisions
    found = frozenset(parents) - {parent for revisions in parents.values() for parent in revisions}
    reached: set[str] = set()
    ahead = list(found)
    while ahead:
        revision = ahead.pop()
        if revision not in parents:
            return None
        if revision not in reached:
            reached.add(revision)
            ahead.extend(parents[revision])
    # revisions that no head descends from are a cycle
    return found if len(reached) == len(parents) else None


def _inside_string(before: str) -> bool:
    return before.count('"""') % 2 == 1 or before.count("'''") % 2 == 1
