"""`dbkit adopt`: put dbkit into a project that uses Alembic already, and take it out again."""

import difflib
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbkit import hints
from dbkit.adoption import env_edit, head_file_edit, make, parts, settings_edit
from dbkit.adoption.change import Change
from dbkit.adoption.requirement import find_requirement, local_source
from dbkit.adoption.site import Site, find_site
from dbkit.adoption.write import write_changes
from dbkit.commands import adopt_proof
from dbkit.errors import InputError
from dbkit.foreign_python import finder
from dbkit.project.config import read_config
from dbkit.supported_versions import require_supported

Plan = Callable[[Site, Sequence[Change]], list[Change]]
"""Plans the edits of a part; it gets those that are planned already."""


@dataclass(frozen=True)
class Part:
    """Something that is added to a project."""

    name: str
    plan: Plan
    plan_undo: Plan
    is_required: bool = False
    """Whether nothing is written where it cannot be planned; otherwise only this part is left out."""


def alone(plan: Callable[[Site], list[Change]]) -> Plan:
    """Return the plan of a part whose files no other part edits."""
    return lambda site, _pending: plan(site)


PARTS = (
    Part(env_edit.PART, alone(env_edit.plan), alone(env_edit.plan_undo), is_required=True),
    Part(settings_edit.PART, settings_edit.plan, settings_edit.plan_undo, is_required=True),
    Part(head_file_edit.PART, head_file_edit.plan, head_file_edit.plan_undo),
    *(Part(name, alone(each.plan), alone(each.plan_undo)) for name, each in parts.PARTS.items()),
)
"""The parts in the order in which they are added."""


@dataclass(frozen=True)
class AdoptOptions:
    """Options of `dbkit adopt`."""

    file: str | None
    """The settings file; None for the one that is found."""
    name: str
    arguments: tuple[str, ...]
    check: bool
    dry_run: bool
    undo: bool
    only_gate: bool
    ci: str | None
    prove: int


def adopt(options: AdoptOptions) -> int:
    """Add dbkit's parts to a project. With `check`, return 1 where one is missing; with `undo`, where one is left."""
    require_supported()
    if options.check and (options.dry_run or options.undo):
        raise InputError("--check goes without --dry-run and --undo.", "Give one of them.")
    site = find_site(options.file, options.name, options.arguments, options.ci)
    hints.for_project(*_options_of(site))
    changes = _plan(site, options)
    if not (options.undo or options.only_gate or options.ci or site.ci):
        left = "no CI service was recognised: --ci github or --ci gitlab adds a job"
        changes.append(Change(site.repository, "CI", None, None, left=left))
    if options.check:
        return _check(changes)
    if options.dry_run:
        _print_parts(changes, undo=options.undo)
        _print_diffs(changes)
        return 0
    if not options.undo:
        _require_installed(changes)
    write_changes(changes, site.repository)
    _print_parts(changes, undo=options.undo)
    if options.undo:
        return 1 if any(_is_left(each, undo=True) for each in changes) else 0
    if options.only_gate:
        return 0
    baseline = read_config(site.settings_file).baseline  # that of an earlier run, or of the project's own, stays
    if baseline:
        print(f"baseline {baseline}: findings in it and in the revisions before it are accepted")
    if options.prove:
        adopt_proof.print_proof(site, options.prove)
    print(hints.render(_next_steps(site, changes)))
    return 0


def _require_installed(changes: Iterable[Change]) -> None:
    """Raise InputError where env.py would import a dbkit that only the environment of a tool has (--python)."""
    if finder.is_installed() and any(each.part == env_edit.PART and _is_changed(each) for each in changes):
        found = find_requirement()
        source = local_source() or ("path/to/dbkit" if found.is_local else found.text)
        install = shlex.join([sys.executable, "-m", "pip", "install", source])
        raise InputError(
            "the project's environment does not have dbkit, so that env.py could not import the gate under `alembic`.",
            f"Add it to what the project installs, then run this again: {install}\n"
            "Without it, --dry-run and --check can be used, and the verbs that need no gate.",
        )


def _plan(site: Site, options: AdoptOptions) -> list[Change]:
    """Plan all edits before the first one is written. Raises InputError where a required part cannot be planned."""
    changes: list[Change] = []
    chosen = PARTS[:1] if options.only_gate else PARTS
    # what was put in last is taken out first
    for part in reversed(chosen) if options.undo else chosen:
        try:
            changes += (part.plan_undo if options.undo else part.plan)(site, changes)
        except InputError as error:
            if part.is_required:
                raise
            reason = "\n".join([error.message.rstrip("."), *(f"  {line}" for line in error.hint.splitlines())])
            changes.append(Change(site.directory, part.name, None, None, left=reason))
        except OSError as error:
            raise InputError(f"cannot read {error.filename}: {error.strerror}.", "Nothing was changed.") from error
    return changes


def _options_of(site: Site) -> list[str]:
    """Return the options that name the project, as they are typed in this directory."""
    options = [] if site.settings_file == Path("alembic.ini").absolute() else ["-c", _shown(site.settings_file)]
    if site.section != "alembic":
        options += ["-n", site.section]
    return options + [each for argument in site.arguments for each in ("-x", argument)]


def _shown(path: Path) -> str:
    return os.path.relpath(path)


def _is_changed(change: Change) -> bool:
    return change.before != change.after


def _print_parts(changes: Sequence[Change], *, undo: bool) -> None:
    if undo and not changes:
        print("No part of dbkit is here: nothing was changed.")
    for each in changes:
        place = f"{_shown(each.path)}: " if each.before is not None or each.after is not None else ""
        if _is_left(each, undo=undo):
            print(f"{'left':<8} {each.part:<10} {place}{each.left or each.note}")
            continue
        if not _is_changed(each):
            word = "kept"
        elif undo:
            word = "removed"
        else:
            word = "added" if each.before is None else "changed"
        print(f"{word:<8} {each.part:<10} {_shown(each.path)}{f'  {each.note}' if each.note else ''}")


def _is_left(change: Change, *, undo: bool) -> bool:
    """Whether a part is left as it is: what cannot be added, or was edited since."""
    return bool(change.left) or (undo and not _is_changed(change))


def _check(changes: Sequence[Change]) -> int:
    """Print the parts that are missing. Returns the exit code."""
    missing = [each for each in changes if _is_changed(each)]
    left = [each for each in changes if each.left]
    _print_parts(left, undo=False)
    for each in missing:
        print(f"missing  {each.part:<10} {_shown(each.path)}")
    if missing:
        print("`dbkit adopt` adds what is missing.")
        return 1
    print(f"{'The other' if left else 'All'} parts of dbkit are there.")
    return 0


def _print_diffs(changes: Iterable[Change]) -> None:
    """Print a unified diff of each change."""
    for each in filter(_is_changed, changes):
        name = _shown(each.path)
        old, new = (
            [] if content is None else content.decode(errors="backslashreplace").splitlines(keepends=True)
            for content in (each.before, each.after)
        )
        names = (
            "/dev/null" if each.before is None else f"a/{name}",
            "/dev/null" if each.after is None else f"b/{name}",
        )
        for line in difflib.unified_diff(old, new, *names):
            print(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n", end="")


def _next_steps(site: Site, changes: Sequence[Change]) -> str:
    """Return what to type next: with make, where the project has its targets, and to review and commit what changed."""
    steps = [_status_command(changes) or "make status"]
    if any(map(_is_changed, changes)) and (site.repository / ".git").exists():
        paths = dict.fromkeys(_shown(each.path) for each in changes if _is_changed(each))
        steps = ["git diff", *steps, shlex.join(["git", "add", *paths]), 'git commit -m "Adopt dbkit"']
    return "\n  ".join(["next:", *steps])


def _status_command(changes: Iterable[Change]) -> str:
    """Return the call of make that shows the status; "" where its targets are not of the working directory."""
    files = {each.path: each.after for each in changes if each.part == make.PART and each.after and not each.left}
    targets = [re.search(rb"^([a-z-]*status):", content, re.MULTILINE) for content in files.values()]
    found = next((each[1].decode() for each in targets if each), "")
    here = [path for path in files if path.parent == Path.cwd()]
    if not (found and here):
        return ""
    makefile = any(path.name in make.MAKEFILES for path in here)
    return f"make {found}" if makefile else f"make -f {here[0].name} {found}"
