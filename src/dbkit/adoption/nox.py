"""The nox sessions that prove, lint and check the migrations: in the project's noxfile.py, or in a new one."""

import ast
import json
import re
from collections.abc import Sequence
from pathlib import Path

from dbkit.adoption import owned
from dbkit.adoption.change import Change
from dbkit.adoption.installation import (
    Installation,
    directories_up,
    find_installation,
    path_between,
    project_options,
    slug_of,
    working_directory,
)
from dbkit.adoption.owned import read_file
from dbkit.adoption.requirement import SERVER, SQUAWK, find_requirement
from dbkit.adoption.site import Site

PART = "nox"
NAME = "noxfile.py"
INSTALL = "install_for_migrations"
SESSIONS = ("migrations_roundtrip", "migrations_lint", "migrations_check")
BLANK_LINES = 2
RUN = re.compile(r'^    session\.run\((.*"([a-z-]+)"), (\*session\.posargs)\)$', re.M)
WIDTH = 79
HEADING = '''\
"""Checks of the migrations in clean environments: `nox` runs all, `nox -l` lists them."""

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_external_run = True
'''
# the tool of a lock file fills the environment of the session
COMMANDS = {
    "uv": (("uv", "sync", "--frozen"), "UV_PROJECT_ENVIRONMENT"),
    "poetry": (("poetry", "install", "--no-interaction"), "VIRTUAL_ENV"),
    "pdm": (("pdm", "sync"), "VIRTUAL_ENV"),
    "pipenv": (("pipenv", "sync"), "VIRTUAL_ENV"),
    "dependencies": (("uv", "pip", "install", "-r", "pyproject.toml"), "VIRTUAL_ENV"),
}


def plan(site: Site) -> list[Change]:
    """Plan the sessions: those whose names an existing noxfile.py does not have, or a new one."""
    installation = find_installation(site)
    path = _find_noxfile(site) or (installation.root if installation.tool else working_directory(site)) / NAME
    before = read_file(path)
    content = HEADING.encode() if before is None else before
    name = _name_of(site, path)
    block = owned.find_block(content, name)
    if block and not block.is_unedited:
        return [Change(path, PART, before, before, left=owned.EDITED)]
    rest = owned.remove_block(content, block, BLANK_LINES) if block else content
    left = owned.describe_obstacle(path, site, f"add the sessions {', '.join(SESSIONS)} by hand") if before else ""
    requirement, is_local = find_requirement(before)
    lines = _render_block(site, installation, path, requirement)
    try:
        # without the blocks of other projects, which may be taken out later
        own = owned.without_blocks(rest)
        lines = _choose_sessions(ast.parse(own, path), lines, _choose_suffix(site, block, has_others=own != rest))
    except (SyntaxError, ValueError) as error:
        left = f"it cannot be parsed ({error}); correct it, and run this again"
    if left or not lines:
        return [Change(path, PART, before, before, left=left)]
    # with the blank lines that formatters want after a function
    marked = owned.make_block([*lines, *[""] * BLANK_LINES], name=name)
    after = owned.replace_block(content, block, marked) if block else owned.append_lines(content, marked, BLANK_LINES)
    notes = ["DBKIT_SPEC=PATH nox … installs a dbkit that comes from a directory"] if is_local else []
    if before is not None and b"options.sessions" not in before:
        notes.insert(0, "`nox` alone runs them, too")
    return [Change(path, PART, before, after, "; ".join(notes))]


def plan_undo(site: Site) -> list[Change]:
    """Plan the removal of the sessions; those that were edited stay."""
    path = _find_noxfile(site)
    before = read_file(path) if path else None
    block = owned.find_block(before, _name_of(site, path)) if path and before is not None else None
    if path is None or before is None or block is None:
        return []
    if not block.is_unedited:
        return [Change(path, PART, before, before, left=owned.EDITED)]
    after = owned.remove_block(before, block, BLANK_LINES)
    return [Change(path, PART, before, None if after.replace(b"\r\n", b"\n") == HEADING.encode() else after)]


def _name_of(site: Site, path: Path) -> str:
    """Return what distinguishes the block of a project from those of others in the same file."""
    directory = path_between(path.parent, site.directory)
    words = [*([] if directory == "." else [directory]), *([] if site.section == "alembic" else [f"[{site.section}]"])]
    return " ".join(words)


def _find_noxfile(site: Site) -> Path | None:
    """Find the nearest noxfile.py, from the settings file up to the top of the repository."""
    return next((path for directory in directories_up(site) if (path := directory / NAME).is_file()), None)


def _render_block(site: Site, installation: Installation, path: Path, requirement: str) -> list[str]:
    """Return the function that installs and the three sessions."""
    text = owned.read_template("nox_sessions.txt")
    text = RUN.sub(lambda found: _render_run(site, found[1].split(", "), found[2], found[3]), text)
    directory = path_between(path.parent, working_directory(site))
    place = ".dbkit/spec" if directory == "." else f"{directory}/.dbkit/spec"
    body = "\n".join(_render_installation(installation, path.parent, requirement))
    if directory != ".":
        body += f"\n    session.chdir({json.dumps(directory)})"
    text = text.replace("@SPEC@", json.dumps(place)).replace("@PROJECT@", body).replace("@INSTALL@", INSTALL)
    return text.splitlines()


def _render_run(site: Site, command: list[str], verb: str, rest: str) -> str:
    """Return the call that runs a verb, with the options that name the project."""
    return _call("    session.run", [*command, *_quote(project_options(site, verb)), rest])


def _quote(words: Sequence[str]) -> list[str]:
    """Return string literals."""
    return [json.dumps(word) for word in words]


def _call(function: str, arguments: Sequence[str]) -> str:
    """Return a call as ruff and black leave it at any width: in one line, or with a line for each argument."""
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= WIDTH:
        return line
    indent = function[: len(function) - len(function.lstrip())]
    return "\n".join([f"{function}(", *(f"{indent}    {argument}," for argument in arguments), f"{indent})"])


def _render_installation(installation: Installation, start: Path, requirement: str) -> list[str]:
    """Return the statements that install the project, then dbkit."""
    root = path_between(start, installation.root)
    indent = "    " if root == "." else "        "
    install = f"{indent}session.install"
    spec = "*([source] if source else [])" if installation.has_dbkit else f"source or {json.dumps(requirement)}"
    packages = [spec, *_quote([SERVER, SQUAWK])]
    lines = [] if root == "." else [f"    with session.chdir({json.dumps(root)}):"]
    if installation.tool == "pip":
        return [*lines, _call(install, [*_quote(installation.pip_arguments), *packages])]
    if installation.tool:
        command, variable = COMMANDS[installation.tool]
        if installation.tool == "dependencies":
            lines.append(_call(install, ['"uv"']))
        lines.append(f'{indent}env = {{"{variable}": session.virtualenv.location}}')
        lines.append(_call(f"{indent}session.run_install", [*_quote(command), "env=env", "external=True"]))
    else:
        lines.append(f"{indent}# no file with the packages of the project was found: add them here")
    return [*lines, _call(install, packages)]


def _choose_suffix(site: Site, block: owned.Block | None, *, has_others: bool) -> str:
    """Return what is added to the names of the sessions where another project has them; as it is in our own block."""
    suffix = f"_{slug_of(site).replace('-', '_')}"
    if block:
        return suffix if f"def {INSTALL}{suffix}(".encode() in block.body else ""
    return suffix if has_others else ""


def _choose_sessions(tree: ast.Module, lines: list[str], suffix: str) -> list[str]:
    """Return the lines without the sessions whose names a noxfile.py has already; none where it has all of them."""
    taken = {name for node in ast.walk(tree) for name in _names_of(node)}
    text = "\n".join(lines)
    if suffix:
        text = re.sub(rf"\b({'|'.join([INSTALL, *SESSIONS])})\b", rf"\1{suffix}", text)
    elif INSTALL in taken:
        text = text.replace(INSTALL, f"{INSTALL}_with_dbkit")
    install, *sessions = text.split("\n\n\n")
    sessions = [part for part in sessions if _session_of(part) not in taken]
    if not sessions:
        return []
    joined = "\n\n\n".join([install, *sessions])
    has_nox = any(
        isinstance(node, ast.Import) and any((each.asname or each.name) == "nox" for each in node.names)
        for node in tree.body
    )
    return ([] if has_nox else ["import nox  # noqa: E402", "", ""]) + joined.split("\n")


def _session_of(part: str) -> str:
    found = re.search(r"^def (\w+)", part, re.M)
    return found[1] if found else ""


def _names_of(node: ast.AST) -> list[str]:
    """Return the names that a node defines; the name of a session may also be an argument of its decorator."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.alias):
        return [node.asname or node.name]
    if isinstance(node, ast.keyword) and node.arg == "name" and isinstance(node.value, ast.Constant):
        return [str(node.value.value)]
    return []
