"""Put `[dbkit]` with its baseline into alembic.ini, or `[tool.dbkit]` into pyproject.toml, and take it out again."""

import copy
import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dbkit.adoption import revisions
from dbkit.adoption.change import Change
from dbkit.adoption.generated import require_edited_by_hand
from dbkit.adoption.settings_text import NotEditable, SettingsText
from dbkit.adoption.site import Site
from dbkit.errors import InputError
from dbkit.project.config import read_config

PART = "settings"
COMMENT = "# dbkit adopt {check}: findings in this revision and in those before it are accepted"
NONE_ACCEPTED = "# dbkit adopt {check}: there were no revisions yet, so no finding is accepted"
MARK = re.compile(r"# dbkit adopt ([0-9a-f]{8}): (?:findings|there were no revisions)")


def plan(site: Site, pending: Sequence[Change] = ()) -> list[Change]:
    """Plan the section of dbkit; `pending` are edits of the same file. Raises InputError where it cannot be edited."""
    path = settings_path(site)
    before = content_of(path, pending)
    read_config(site.settings_file)  # every verb refuses a mistake in it
    found = revisions.read_revisions(site)
    try:
        text = SettingsText(path, before)
        if "baseline" in _section(text):
            return [Change(path, PART, before, before, note=_note_unknown(text, found))]
        if not found.baseline and (found.heads or found.problem):
            return [Change(path, PART, before, before, left=found.no_baseline)]
        after = add_baseline(path, before, found.baseline)
    except NotEditable as reason:
        raise InputError(f"{path}: {reason}.", _by_hand(path, found.baseline)) from None
    require_edited_by_hand(path, site, _by_hand(path, found.baseline))
    return [Change(path, PART, before, after)]


def plan_undo(site: Site, pending: Sequence[Change] = ()) -> list[Change]:
    """Plan to take the section out again."""
    path = settings_path(site)
    content = content_of(path, pending)
    try:
        after = remove_baseline(path, content)
    except NotEditable as reason:
        return [Change(path, PART, content, content, left=str(reason))]
    if after is None:
        return []
    return [Change(path, PART, content, after)]


def settings_path(site: Site) -> Path:
    """Return the file in which dbkit reads its section: of a pyproject.toml and an alembic.ini the latter."""
    beside = site.settings_file.with_name("alembic.ini")
    return beside if site.settings_file.suffix == ".toml" and beside.exists() else site.settings_file


def content_of(path: Path, pending: Sequence[Change]) -> bytes:
    """Return the content of a file with the edits that are planned already."""
    planned = [each.after for each in pending if each.path == path and each.after is not None]
    return planned[-1] if planned else path.read_bytes()


def add_baseline(path: Path, content: bytes, baseline: str) -> bytes:
    """Return the content with a baseline; with the section for it, where that is missing. Raises NotEditable.

    An empty one means that there was no revision yet: a later run does not accept findings of those that came since.
    """
    text = SettingsText(path, content)
    key = _key(text, baseline)
    comment = _comment(baseline)
    expected = copy.deepcopy(text.data)
    if text.is_toml:
        expected.setdefault("tool", {}).setdefault("dbkit", {})["baseline"] = baseline
    else:
        expected.setdefault("dbkit", {})["baseline"] = baseline.replace("%", "%%")
    for header in text.find_sections(_header(text)):
        text.lines.insert_after(header, comment, key)
        with suppress(NotEditable):
            return text.require(expected)
        text = SettingsText(path, content)  # that was the line of a text
    text.append(comment, f"[{_header(text)}]", key)
    return text.require(expected)


def remove_baseline(path: Path, content: bytes) -> bytes | None:
    """Return the content without what `add_baseline` has added; None where there is nothing of that.

    Raises NotEditable where it was edited since.
    """
    text = SettingsText(path, content)
    lines = text.texts()
    at = next((number for number, line in enumerate(lines) if MARK.match(line)), 0)
    if not at:
        return None
    edited = NotEditable("it was edited since: remove it by hand")
    baseline = str(_section(text).get("baseline", "")).replace("%%", "%")
    comment, key, header = _comment(baseline), _key(text, baseline), f"[{_header(text)}]"
    if lines[at : at + 2] == [comment, key] and at - 1 in text.find_sections(_header(text)):
        return text.without([at, at + 1])
    if lines[at : at + 3] == [comment, header, key] and not lines[at - 1] and len(_section(text)) == 1:
        return text.without([at - 1, at, at + 1, at + 2])
    raise edited


def _note_unknown(text: SettingsText, found: revisions.Revisions) -> str:
    """Return a note on a baseline that is no revision of this project: one of several that share a settings file."""
    baseline = str(_section(text)["baseline"])
    if not baseline or not found.newest or any(each.startswith(baseline) for each in (*found.newest, "heads")):
        return ""
    return f"(its baseline {baseline} is no revision of this project)"


def _by_hand(path: Path, baseline: str) -> str:
    header, value = ("[tool.dbkit]", json.dumps(baseline)) if path.suffix == ".toml" else ("[dbkit]", baseline)
    return f"Put it in by hand:\n    {header}\n    baseline = {value}"


def _header(text: SettingsText) -> str:
    return "tool.dbkit" if text.is_toml else "dbkit"


def _section(text: SettingsText) -> dict[str, object]:
    found = (text.data.get("tool", {}) if text.is_toml else text.data).get("dbkit", {})
    return found if isinstance(found, dict) else {}


def _key(text: SettingsText, baseline: str) -> str:
    return f"baseline = {json.dumps(baseline) if text.is_toml else baseline.replace('%', '%%')}".rstrip()


def _comment(baseline: str) -> str:
    return (COMMENT if baseline else NONE_ACCEPTED).format(check=_check(baseline))


def _check(baseline: str) -> str:
    """Return a hash by which an edited value is recognised."""
    return hashlib.sha256(baseline.encode()).hexdigest()[:8]
