"""The job that checks new migrations in CI: a workflow of GitHub, or a file that .gitlab-ci.yml includes."""

import json
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dbkit.adoption import owned
from dbkit.adoption.change import Change
from dbkit.adoption.installation import (
    NEEDS,
    Installation,
    find_installation,
    path_between,
    shell_command,
    slug_of,
    working_directory,
)
from dbkit.adoption.owned import read_file
from dbkit.adoption.requirement import find_requirement
from dbkit.adoption.site import Site

PART = "CI"
GITHUB_DIRECTORY, GITLAB_DIRECTORY = ".github/workflows", ".gitlab"
GITLAB = ".gitlab-ci.yml"
# of all projects in the repository
ITEM = f"- local: {GITLAB_DIRECTORY}/migrations*.yml"
INCLUDE = ["include:", f"  {ITEM}"]
PYTHON = re.compile(rb'(?:python-version: "|image: "python:)([0-9.]+)"')
LIST = re.compile(rb"^include[ \t]*:[ \t]*(?:#[^\n]*)?\r?\n((?:[ \t]*(?:#[^\n]*)?\r?\n)*)([ ]*)- ", re.M)
"""The include of .gitlab-ci.yml as a plain list: what is before the first item, and its indentation."""
ALL = re.compile(rb"\.gitlab/(?:migrations)?\*+(?:\.yml|/\*)")
LOCAL = "# dbkit came from a directory when this was written: name here where CI gets it from"
# without the tool's own prefix for each command: its environment comes first on PATH
INSTALLED_BY = {
    "uv": ("uv sync --frozen", "uv pip install {}", '"$PWD/.venv/bin"'),
    "poetry": ("poetry install --no-interaction", "poetry run pip install {}", '"$(poetry env info --path)/bin"'),
    "pdm": (
        "pdm sync",
        "pdm run python -m ensurepip && pdm run python -m pip install {}",
        '"$(dirname "$(pdm info --python)")"',
    ),
    "pipenv": ("pipenv sync", "pipenv run pip install {}", '"$(pipenv --venv)/bin"'),
}


@dataclass(frozen=True)
class Service:
    """The differences between the files of the services."""

    template: str
    put_on_path: str
    indent: str
    quote: Callable[[str], str]
    """How the name of a directory is written."""
    formats: tuple[str, str]
    """Those of the reports of `roundtrip` and `lint`."""


GITHUB_ACTIONS = Service("github.yml", 'echo {} >> "$GITHUB_PATH"', " " * 10, json.dumps, ("github", "github"))
GITLAB_CI = Service("gitlab.yml", "export PATH={}:$PATH", " " * 6, shlex.quote, ("junit", "text"))


def plan(site: Site) -> list[Change]:
    """Plan the job of the repository's CI service; nothing where that is none."""
    if site.ci == "github":
        return [_plan_github(site)]
    return _plan_gitlab(site) if site.ci == "gitlab" else []


def plan_undo(site: Site) -> list[Change]:
    """Plan the removal of the jobs of both services; one that was edited stays."""
    changes: list[Change] = []
    for directory in (GITHUB_DIRECTORY, GITLAB_DIRECTORY):
        path = _find_file(site, directory)
        removed = owned.plan_removal(path, PART, read_file(path)) if path and _is_ours(site, path) else []
        if directory == GITLAB_DIRECTORY and removed and not removed[0].left:
            others = [each for each in _list_jobs(site) if each != path]
            removed += [] if others else _plan_undo_include(site.repository / GITLAB)
        changes += removed
    return changes


def _plan_github(site: Site) -> Change:
    path = _find_file(site, GITHUB_DIRECTORY)
    if path is None:
        return _leave_name(site, GITHUB_DIRECTORY)
    return _plan_job(site, path, GITHUB_ACTIONS, {"JOB": path.stem})


def _plan_gitlab(site: Site) -> list[Change]:
    path, main = _find_file(site, GITLAB_DIRECTORY), site.repository / GITLAB
    if path is None:
        return [_leave_name(site, GITLAB_DIRECTORY)]
    content = read_file(main)
    text = (content or b"").decode("utf-8", "replace").replace("\r\n", "\n")
    job = f"dbkit-{path.stem}" if re.search(rf"^[\"']?{path.stem}[\"']?\s*:", text, re.M) else path.stem
    words = {"JOB": job, "STAGE": _choose_stage(text), "RULES": _choose_rules(text)}
    planned = _plan_job(site, path, GITLAB_CI, words)
    return [planned, *([] if planned.left else [_plan_include(site, main, content)])]


def _find_file(site: Site, directory: str) -> Path | None:
    """Return the file of the project's job, or the first of its possible names that is free; None where none is."""
    slug = slug_of(site)
    stems = ["migrations", *([f"migrations-{slug}"] if slug else []), "migrations-dbkit"]
    paths = [site.repository / directory / f"{stem}.yml" for stem in stems]
    return next(
        (path for path in paths if _is_ours(site, path)), next((path for path in paths if not path.exists()), None)
    )


def _is_ours(site: Site, path: Path) -> bool:
    """Whether a file is the job of this project, and not of another one in the repository."""
    content = read_file(path)
    return (
        content is not None
        and owned.is_stamped(content)
        and f"\n# {_describe_project(site)}\n" in (content.decode("utf-8", "replace").replace("\r\n", "\n"))
    )


def _describe_project(site: Site) -> str:
    section = "" if site.section == "alembic" else f" [{site.section}]"
    return f"Project: {path_between(site.repository, site.settings_file)}{section}"


def _list_jobs(site: Site) -> list[Path]:
    """Return the jobs of all projects for GitLab."""
    found = sorted((site.repository / GITLAB_DIRECTORY).glob("migrations*.yml"))
    return [path for path in found if owned.is_stamped(read_file(path) or b"")]


def _leave_name(site: Site, directory: str) -> Change:
    path = site.repository / directory / "migrations.yml"
    content = read_file(path)
    return Change(path, PART, content, content, left="it is not dbkit's; rename it, and run this again")


def _plan_job(site: Site, path: Path, service: Service, words: dict[str, str]) -> Change:
    before = read_file(path)
    body = render(site, service, before, words)
    note = "in it, name where CI gets dbkit from: this one is from a directory" if LOCAL in body else ""
    return replace(owned.plan_file(path, PART, before, body), note=note)


def render(site: Site, service: Service, before: bytes | None, words: dict[str, str]) -> str:
    """Return the file of a service. The version of Python and the release of dbkit stay as in one that is there."""
    installation = find_installation(site)
    python = PYTHON.search(before or b"")
    version = python[1].decode() if python else _choose_python(site)
    requirement, is_local = find_requirement(before)
    is_local = is_local or LOCAL.encode() in (before or b"")
    install = _render_installation(installation, requirement, is_local, service)
    words = {
        **words,
        "PROJECT": _describe_project(site),
        "PYTHON": json.dumps(version),
        "IMAGE": json.dumps(f"python:{version}"),
        "ROOT": service.quote(path_between(site.repository, installation.root)),
        "DIRECTORY": service.quote(path_between(site.repository, working_directory(site))),
        "INSTALL": "\n".join(f"{service.indent}{line}" for line in install),
        "ROUNDTRIP": shell_command(site, "roundtrip", "--format", service.formats[0]),
        "LINT": shell_command(site, "lint", "--format", service.formats[1]),
        "CHECK": shell_command(site, "check"),
    }
    return re.sub(r"@([A-Z]+)@", lambda found: words[found[1]], owned.read_template(service.template))


def _render_installation(installation: Installation, requirement: str, is_local: bool, service: Service) -> list[str]:
    """Return the commands that install the project, dbkit and a server."""
    packages = shlex.join(installation.packages(requirement))
    lines = [LOCAL] if is_local and not installation.has_dbkit else []
    if tool := NEEDS.get(installation.tool):
        lines.append(f"python -m pip install {tool}")
    if installation.tool in INSTALLED_BY:
        sync, install, place = INSTALLED_BY[installation.tool]
        return [*lines, sync, install.format(packages), service.put_on_path.format(place)]
    if installation.tool == "dependencies":
        return [*lines, f'uv pip install --python "$(command -v python)" -r pyproject.toml {packages}']
    if not installation.tool:
        lines.append("# no file with the packages of the project was found: add them here")
    return [*lines, " ".join(["python -m pip install", *installation.pip_arguments, packages])]


def _choose_python(site: Site) -> str:
    """Return the version of Python: that of .python-version, else the one that runs."""
    for directory in {site.directory, site.repository}:
        found = re.match(rb"\s*(3\.\d+)", read_file(directory / ".python-version") or b"")
        if found:
            return found[1].decode()
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def _choose_stage(text: str) -> str:
    """Return the line `stage:`; none where the default, `test`, is a stage of the project."""
    found = re.search(r"^stages:[ \t]*(?:\[([^\]]*)\]|((?:\s*\n[ \t]*(?:-[ \t]*.+|#.*))+))", text, re.M)
    if not found:
        return ""
    listed = re.sub(r"#.*", "", found[1] or re.sub(r"^\s*-", ",", found[2], flags=re.M))
    stages = [name for each in listed.split(",") if (name := each.strip().strip("\"'"))]
    if "test" in stages or not stages:
        return ""
    wanted = next((name for name in stages if re.search("test|check|lint|verif|quality", name)), stages[0])
    return f"  stage: {wanted}\n"


def _choose_rules(text: str) -> str:
    """Return when the job runs: for merge requests where other jobs do, else for branches; never for both."""
    if re.search(r"merge_request_event|^\s*-\s*merge_requests\b|only:\s*\[.*merge_requests", text, re.M):
        return '    - if: $CI_PIPELINE_SOURCE == "merge_request_event"'
    return "    - if: $CI_COMMIT_BRANCH"


def _plan_include(site: Site, path: Path, content: bytes | None) -> Change:
    """Plan the include of the jobs: at the end, or as the first of a plain list."""
    if content is not None and (ITEM.encode() in content or ALL.search(content)):
        return Change(path, PART, content, content)
    if content is None:
        return Change(path, PART, None, owned.append_lines(b"", owned.make_block(INCLUDE)))
    by_hand = f"add to `include`: {ITEM}"
    left = owned.describe_obstacle(path, site, by_hand)
    after = None if left else _add_include(content)
    if after is None:
        return Change(path, PART, content, content, left=left or f"its form is not a plain one; {by_hand}")
    return Change(path, PART, content, after)


def _add_include(content: bytes) -> bytes | None:
    """Return the file with the include; None where its form leaves a doubt about the place."""
    if found := LIST.search(content):
        newline = owned.newline_of(content)
        lines = owned.make_block([ITEM], found[2].decode())
        start = found.end(1)
        return content[:start] + b"".join(line.encode() + newline for line in lines) + content[start:]
    text = content.decode("utf-8", "replace").replace("\r\n", "\n")
    if re.search(r"^[\"']?include[\"']?[ \t]*:|^(?:\.\.\.|\{|\[|\t|%)", text, re.M) or _is_indented(text):
        return None
    return owned.append_lines(content, owned.make_block(INCLUDE), 1)


def _is_indented(text: str) -> bool:
    """Whether no key begins at the left, so that a line there would not belong to the same mapping."""
    return bool(text.strip()) and not re.search(r"^[\w.\"'$&-][^\n]*:(?:\s|$)", text, re.M)


def _plan_undo_include(path: Path) -> list[Change]:
    content = read_file(path)
    block = owned.find_block(content) if content else None
    if content is None or block is None:
        return []
    if not block.is_unedited:
        return [Change(path, PART, content, content, left=owned.EDITED)]
    after = owned.remove_block(content, block, 1 if block.body.startswith(b"include:") else 0)
    # a file that adopt has made has nothing before its block, and an empty one that it found has a blank line
    return [Change(path, PART, content, after if after or block.start else None)]
