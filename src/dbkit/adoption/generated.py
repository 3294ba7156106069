"""Files that are not to be edited: read-only ones, ones that a program writes, and ones outside of the project."""

import os
import re
from pathlib import Path

from dbkit.adoption.site import Site
from dbkit.errors import InputError

GENERATED = re.compile(
    rb"@generated|\bdo not (?:edit|modify|change)\b|\bdon't edit\b"
    rb"|ansible_managed|managed by (?:ansible|puppet|chef|salt)",
    re.IGNORECASE,
)
HEAD_LINES = 15


def require_edited_by_hand(path: Path, site: Site, hint: str) -> None:
    """Raise InputError for a file that is not to be edited."""
    target = path.resolve()
    place = f"{path}, which is {target}," if target != path.absolute() else f"{path}"
    if not os.access(target, os.W_OK) or not target.stat().st_mode & 0o222:
        raise InputError(f"{place} is read-only.", hint)
    if {"site-packages", "dist-packages"} & set(target.parts):
        raise InputError(f"{place} belongs to an installed package.", hint)
    head = b"\n".join(target.read_bytes().splitlines()[:HEAD_LINES])
    comments = b"\n".join(line for line in head.splitlines() if line.lstrip().startswith((b"#", b";")))
    if found := GENERATED.search(comments):
        raise InputError(f"{place} is written by a program: its comment has {found.group().decode()!r}.", hint)
