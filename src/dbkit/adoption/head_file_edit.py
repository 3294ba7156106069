"""The head file of a project, and the hook by which Alembic writes it with each new revision."""

import copy
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from alembic.script import write_hooks

from dbkit import hints
from dbkit.adoption import revisions, settings_edit
from dbkit.adoption.change import Change
from dbkit.adoption.generated import require_edited_by_hand
from dbkit.adoption.owned import read_file
from dbkit.adoption.settings_text import NotEditable, SettingsText
from dbkit.adoption.site import Site
from dbkit.errors import InputError
from dbkit.project import head_file

PART = "head file"
SECTION = "post_write_hooks"
TOML_SECTION = f"tool.alembic.{SECTION}"
COMMENT = "# dbkit adopt: HEAD names the newest revision, so that git reports a conflict where two branches add one"
OPTIONS = "REVISION_SCRIPT_FILENAME"
KINDS = {
    "module": {"type": "module", "module": head_file.MODULES[0], "options": OPTIONS},
    # for releases of Alembic before 1.17
    "console_scripts": {"type": "console_scripts", "entrypoint": head_file.SCRIPT, "options": OPTIONS},
}
"""The keys of the hook, by its type."""


def plan(site: Site, pending: Sequence[Change] = ()) -> list[Change]:
    """Plan the head file and its hook; `pending` are edits of the same settings file. Raises InputError."""
    path = hooks_path(site)
    before = settings_edit.content_of(path, pending)
    found = revisions.read_revisions(site)
    reason = found.problem or found.no_head_file
    kind = "module" if "module" in write_hooks._registry else "console_scripts"
    if kind == "console_scripts" and not entry_points(group="console_scripts", name=head_file.SCRIPT):
        script = head_file.SCRIPT
        reason = f"this release of Alembic runs it by the script {script}, and dbkit is not installed with its scripts"
    if reason:
        return [Change(path, PART, before, before, left=f"no head file: {reason}")]
    try:
        after = add_hook(path, before, kind)
    except NotEditable as problem:
        raise InputError(f"{path}: {problem}.", _by_hand(path, kind)) from None
    if after != before:
        require_edited_by_hand(path, site, _by_hand(path, kind))
    changes = [Change(path, PART, before, after)]
    if found.heads:
        changes.append(_plan_file(site, found, is_hook_new=after != before))
    return changes


def _plan_file(site: Site, found: revisions.Revisions, *, is_hook_new: bool) -> Change:
    """Plan the head file itself. Raises InputError where a file of another program has its name."""
    path = head_file.path_in(site.script_directory)
    content = head_file.render(found.docs)
    former = read_file(path)
    if former is None or _is_same(former, content):
        return Change(path, PART, former, content if former is None else former)
    if not _names_revisions(former, found) and is_hook_new:
        raise InputError(f"{path} is there already, and is not the head file of dbkit.", "Rename it, or remove it.")
    note = "(it is not up to date: `make rebase-migration` writes it)"
    return Change(path, PART, former, former, note=hints.render(note))


def _is_same(former: bytes, content: bytes) -> bool:
    """Whether a file has this content, perhaps with other line ends: git may change them."""
    return former.replace(b"\r\n", b"\n") == content


def _names_revisions(content: bytes, found: revisions.Revisions) -> bool:
    """Whether a file has a revision at the beginning of each line, as the hook writes it."""
    lines = content.decode(errors="replace").splitlines()
    return bool(lines) and all(line.partition(" ")[0] in found.known for line in lines)


def plan_undo(site: Site, pending: Sequence[Change] = ()) -> list[Change]:
    """Plan to remove the hook and the head file; the latter stays where the hook was not put in by `dbkit adopt`."""
    path = hooks_path(site)
    before = settings_edit.content_of(path, pending)
    try:
        after = remove_hook(path, before)
    except NotEditable as problem:
        return [Change(path, PART, before, before, left=str(problem))]
    if after is None:
        return []
    changes = [Change(path, PART, before, after)]
    head = head_file.path_in(site.script_directory)
    content = read_file(head)
    if content is not None and _names_revisions(content, revisions.read_revisions(site)):
        changes.append(Change(head, PART, content, None))
    elif content is not None:
        changes.append(Change(head, PART, content, content, left="it was edited since: remove it by hand"))
    return changes


def hooks_path(site: Site) -> Path:
    """Return the file whose hooks Alembic runs: alembic.ini where it has their section, or else pyproject.toml."""
    from dbkit.project.alembic_features import READS_TOML

    ini = settings_edit.settings_path(site)
    toml = site.settings_file.with_name("pyproject.toml")
    if ini.suffix == ".toml" or not READS_TOML or not toml.is_file():
        return ini
    try:
        has_section = SECTION in SettingsText(ini, ini.read_bytes()).data
        has_tool = "alembic" in SettingsText(toml, toml.read_bytes()).data.get("tool", {})
    except NotEditable:
        return ini
    return toml if has_tool and not has_section else ini


def add_hook(path: Path, content: bytes, kind: str = "module") -> bytes:
    """Return the content with the hook of the head file behind those that are there. Raises NotEditable."""
    text = SettingsText(path, content)
    return _add_to_toml(text, KINDS[kind]) if text.is_toml else _add_to_ini(text, KINDS[kind])


def remove_hook(path: Path, content: bytes) -> bytes | None:
    """Return the content without the hook that `add_hook` has added; None where it has not.

    Raises NotEditable where it was edited since.
    """
    text = SettingsText(path, content)
    for candidate in _candidates(text):
        for kind in KINDS:
            with suppress(NotEditable):
                if add_hook(path, candidate, kind) == content:
                    return candidate
    if (without := _without_section(text)) is not None:
        return without
    if COMMENT in text.texts():
        raise NotEditable("the hook was edited since: remove it by hand")
    return None


def _without_section(text: SettingsText) -> bytes | None:
    """Return the content without the section that `add_hook` has appended, where others follow it by now; else None."""
    lines = text.texts()
    header, first = (f"[[{TOML_SECTION}]]", 'name = "{}"') if text.is_toml else (f"[{SECTION}]", "hooks = {}")
    key = '{1} = "{2}"' if text.is_toml else "{0}.{1} = {2}"
    for at in (number for number, line in enumerate(lines) if line == COMMENT and not lines[number - 1]):
        name = re.sub(r"^.* = \"?|\"$", "", "".join(lines[at + 2 : at + 3]))
        for keys in KINDS.values():
            block = [header, first.format(name), *(key.format(name, *pair) for pair in keys.items())]
            end = at + 1 + len(block)
            if lines[at + 1 : end] != block:
                continue
            result = text.without(range(at - 1, end))
            with suppress(NotEditable, KeyError, ValueError):  # these are the lines of a text
                if text.parse(result) == _data_without_hook(text, {"name": name, **keys}):
                    return result
    return None


def _data_without_hook(text: SettingsText, hook: Mapping[str, str]) -> dict[str, Any]:
    data = copy.deepcopy(text.data)
    if not text.is_toml:
        del data[SECTION]
        return data
    alembic = data["tool"]["alembic"]
    alembic[SECTION].remove(hook)
    if not alembic[SECTION]:
        del alembic[SECTION]
    return data


def _add_to_ini(text: SettingsText, hook: Mapping[str, str]) -> bytes:
    section: dict[str, str] = text.data.get(SECTION, {})
    names = [each for each in re.split(r"[,\s]+", section.get("hooks") or "") if each]
    if any(head_file.is_written_by(section.get(f"{name}.module"), section.get(f"{name}.entrypoint")) for name in names):
        return text.content
    name = _free_name({*names, *(key.partition(".")[0] for key in section)})
    keys = {f"{name}.{key}": value for key, value in hook.items()}
    lines = [f"{key} = {value}" for key, value in keys.items()]
    header = next(iter(text.find_sections(SECTION)), 0)
    end = text.find_value_end(header, "hooks") if header else 0
    expected = copy.deepcopy(text.data)
    former = section.get("hooks")
    expected.setdefault(SECTION, {}).update({"hooks": f"{former}, {name}" if former else name, **keys})
    if end:
        text.lines.append_to(end, f", {name}" if names else f" {name}")
        text.lines.insert_after(end, COMMENT, *lines)
    elif header:
        text.lines.insert_after(header, COMMENT, f"hooks = {name}", *lines)
    else:
        text.append(COMMENT, f"[{SECTION}]", f"hooks = {name}", *lines)
    return text.require(expected)


def _add_to_toml(text: SettingsText, keys: Mapping[str, str]) -> bytes:
    hooks: list[dict[str, Any]] = text.data.get("tool", {}).get("alembic", {}).get(SECTION, [])
    if any(head_file.is_written_by(each.get("module"), each.get("entrypoint")) for each in hooks):
        return text.content
    hook = {"name": _free_name({each.get("name") for each in hooks}), **keys}
    expected = copy.deepcopy(text.data)
    expected["tool"]["alembic"].setdefault(SECTION, []).append(hook)
    pairs = [f'{key} = "{value}"' for key, value in hook.items()]
    place = _find_inline_end(text.content)
    if place:
        table = f"{{ {', '.join(pairs)} }}"
        result = text.content[:place] + (f", {table}" if hooks else table).encode() + text.content[place:]
        with suppress(NotEditable):
            if text.parse(result) == expected:
                return result
    text.append(COMMENT, f"[[{TOML_SECTION}]]", *pairs)
    return text.require(expected)


def _find_inline_end(content: bytes) -> int:
    """Return the place behind the last table of `post_write_hooks = [{…}, …]`; 0 where they are not written so."""
    found = re.search(rb"^[ \t]*[\w. \t\"']*\bpost_write_hooks[\"']?[ \t]*=[ \t]*\[", content, re.MULTILINE)
    if not found:
        return 0
    end, depth = found.end(), 0
    token = re.compile(rb"\"(?:\\.|[^\"\\])*\"|'[^']*'|#[^\r\n]*|[\[\]{}]")
    for each in token.finditer(content, found.end()):
        mark = each.group()
        if mark in (b"{", b"["):
            depth += 1
        elif mark in (b"}", b"]"):
            if not depth:
                return end
            depth -= 1
            end = each.end()
    return 0


def _candidates(text: SettingsText) -> list[bytes]:
    """Return what the content may have been before the hook was added."""
    lines = text.texts()
    found = []
    for at, line in enumerate(lines):
        if line != COMMENT:
            continue
        count = next((number for number in range(1, 7) if lines[at + number : at + number + 1] in ([""], [])), 7)
        for length in {4, 5, 6, count}:
            for first in (at - 1, at):
                found.append(text.without(range(first, at + length)))
    cut = []
    for each in (text.content, *found):
        for end in re.finditer(rb"(?:, | )(?:head|dbkit_head_*)(?=\s*?(?:[\r\n]|$))", each):
            cut.append(each[: end.start()] + each[end.end() :])
        for end in re.finditer(
            rb'(?:, )?\{ name = "[a-z_]+", type = "[a-z_]+", (?:module|entrypoint) = "dbkit[^}]*\}', each
        ):
            cut.append(each[: end.start()] + each[end.end() :])
    return [*found, *cut]


def _free_name(taken: set[Any]) -> str:
    name = "head"
    while name in taken:
        name = "dbkit_head" if name == "head" else f"{name}_"
    return name


def _by_hand(path: Path, kind: str) -> str:
    keys = KINDS[kind]
    if path.suffix == ".toml":
        lines = [f"[[{TOML_SECTION}]]", 'name = "head"', *(f'{key} = "{value}"' for key, value in keys.items())]
    else:
        lines = [f"[{SECTION}]", "hooks = head", *(f"head.{key} = {value}" for key, value in keys.items())]
    return "\n    ".join(["Put its hook in by hand:", *lines])
