"""`dbkit --python`: what the project's interpreter is given, what it finds where, and which interpreters are refused."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from dbkit import foreign_python
from dbkit.foreign_python import finder

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def dbkit(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "dbkit", *arguments]
    environment = {"PATH": "/usr/bin:/bin", **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def write_stub(path: Path, version: str = "3.11", prefix: str = "/project") -> Path:
    """Write an interpreter that answers for its version, and otherwise prints what it was given."""
    major, minor = version.split(".")
    path.write_text(
        f"""#!/bin/sh
if [ "$1" = -I ]; then echo "{major} {minor} {prefix}"; exit; fi
shift 2
printf '%s\\n' "$@" "$PYTHONPATH" "$DBKIT_TOOL_PATH"
exit 7
"""
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("given", ["{}", "={}"])
def test_the_interpreter_takes_the_place_of_the_process(tmp_path: Path, given: str) -> None:
    stub = write_stub(tmp_path / "python a")
    named = [f"--python={stub}"] if given.startswith("=") else ["--python", str(stub)]
    ran = dbkit(*named, "log", "-c", "a b.ini", PYTHONPATH="/theirs")
    *arguments, path, tool = ran.stdout.splitlines()
    assert arguments == [*named, "log", "-c", "a b.ini"]
    assert path == f"{foreign_python.FRONT}:/theirs"
    assert str(Path(finder.__file__).parents[3]) not in path.split(":")
    assert tool
    assert ran.returncode == 7


def test_only_dbkit_is_found_before_the_project() -> None:
    assert {each.name for each in foreign_python.FRONT.iterdir()} - {"__pycache__"} == {"__init__.py", "dbkit"}


def test_a_virtual_environment_may_be_named_by_its_directory(tmp_path: Path) -> None:
    (tmp_path / "venv/bin").mkdir(parents=True)
    write_stub(tmp_path / "venv/bin/python")
    assert dbkit("--python", str(tmp_path / "venv"), "log").returncode == 7


def test_an_option_after_the_verb_is_not_that_one(tmp_path: Path) -> None:
    ran = dbkit("log", "--python", str(write_stub(tmp_path / "python")))
    assert (ran.returncode, "unrecognized arguments: --python" in ran.stderr) == (2, True), ran.stderr


def refused(named: str | Path) -> str:
    ran = dbkit("--python", str(named), "log")
    assert (ran.returncode, ran.stdout) == (2, "")
    return ran.stderr


def test_what_is_no_interpreter_is_one_sentence(tmp_path: Path) -> None:
    hint = "  Name the project's own"
    assert refused(tmp_path / "nothing").startswith(
        f"dbkit: {tmp_path}/nothing cannot be run: No such file or directory.\n{hint}"
    )
    assert refused("/bin/ls").startswith(f"dbkit: /bin/ls is not a Python interpreter.\n{hint}")
    old = write_stub(tmp_path / "python3.9", "3.9")
    assert refused(old) == f"dbkit: {old} is Python 3.9, and dbkit needs 3.10 or newer.\n"
    usage = dbkit("--python")
    assert (usage.returncode, usage.stderr.splitlines()[-1]) == (
        2,
        "dbkit: error: argument --python: expected one argument",
    )


def test_an_environment_without_alembic_is_not_that_of_a_project(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    assert refused(tmp_path / "venv/bin/python") == (
        f"dbkit: {tmp_path}/venv/bin/python has no SQLAlchemy.\n"
        "  Name the interpreter that runs the project's own migrations.\n"
    )


# What the project's interpreter finds


def write_package(site: Path, module: str, distribution: str, version: str) -> None:
    (site / module).mkdir(parents=True)
    (site / module / "__init__.py").touch()
    metadata = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")


class Sites:
    """The packages of a project and of a tool, and an interpreter that has nothing else."""

    def __init__(self, directory: Path) -> None:
        self.project, self.tool = directory / "project", directory / "tool"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory / "venv"], check=True)
        self.python = directory / "venv/bin/python"

    def origin(self, module: str, *first: str, version_of: str = "", suffix: str = EXTENSION_SUFFIXES[0]) -> str:
        """Return where a module is found after others were imported, and the version of a distribution."""
        code = f"import dbkit, importlib.metadata as m; {''.join(f'import {name}; ' for name in first)}"
        code += "from importlib.util import find_spec\n"
        code += f"found = find_spec({module!r})\nprint(found and found.origin)\n"
        code += f"try: print(m.version({version_of!r}))\nexcept (m.PackageNotFoundError, ValueError): print(None)"
        environment = {
            "PYTHONPATH": f"{foreign_python.FRONT}{os.pathsep}{self.project}",
            finder.VARIABLE: str(self.tool),
            finder.SUFFIX_VARIABLE: suffix,
            finder.PROGRAMS_VARIABLE: "/nowhere",
        }
        ran = subprocess.run([self.python, "-c", code], env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        origin, version = ran.stdout.splitlines()
        return f"{Path(origin).parents[1].name} {version}" if origin != "None" else f"None {version}"


@pytest.fixture
def sites(tmp_path: Path) -> Sites:
    return Sites(tmp_path)


def test_the_packages_of_the_project_win(sites: Sites) -> None:
    write_package(sites.tool, "psycopg", "psycopg", "3.3.9")
    assert sites.origin("psycopg", version_of="psycopg") == "tool 3.3.9"
    write_package(sites.project, "psycopg", "psycopg", "3.1.18")
    assert sites.origin("psycopg", version_of="psycopg") == "project 3.1.18"


def test_what_dbkit_does_not_need_is_not_found(sites: Sites) -> None:
    """Many libraries behave in another way where an optional package is installed."""
    write_package(sites.tool, "greenlet", "greenlet", "3.5")
    write_package(sites.tool, "sqlalchemy", "sqlalchemy", "2.1")
    assert sites.origin("greenlet", version_of="greenlet") == "None None"
    assert sites.origin("sqlalchemy", version_of="sqlalchemy") == "None None"


def test_the_compiled_part_of_psycopg_belongs_to_its_psycopg(sites: Sites) -> None:
    write_package(sites.tool, "psycopg", "psycopg", "3.3.9")
    write_package(sites.tool, "psycopg_binary", "psycopg-binary", "3.3.9")
    assert sites.origin("psycopg_binary", "psycopg") == "tool None"
    write_package(sites.project, "psycopg", "psycopg", "3.1.18")
    assert sites.origin("psycopg_binary", "psycopg") == "None None"


@pytest.mark.parametrize(
    ("module", "ours", "theirs", "winner"),
    [
        ("sqlglot", "30.18.0", "30.30.1", "project"),
        ("sqlglot", "30.18.0", "25.1.0", "tool"),
        ("sqlglot", "30.18.0", "31.0.0", "tool"),
        ("typing_extensions", "4.16.0", "4.6.1", "project"),
        ("typing_extensions", "4.16.0", "4.5.0", "tool"),
    ],
)
def test_a_release_that_dbkit_cannot_use_gives_way(
    sites: Sites, module: str, ours: str, theirs: str, winner: str
) -> None:
    name = module.replace("_", "-")
    write_package(sites.tool, module, name, ours)
    write_package(sites.project, module, name, theirs)
    assert sites.origin(module, version_of=name) == f"{winner} {ours if winner == 'tool' else theirs}"


def test_another_dbkit_in_the_project_is_not_taken(sites: Sites) -> None:
    write_package(sites.project, "dbkit", "dbkit", "0.5")
    code = "import dbkit.hints; print(dbkit.__file__)"
    environment = {"PYTHONPATH": f"{foreign_python.FRONT}{os.pathsep}{sites.project}"}
    ran = subprocess.run([sites.python, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout == f"{Path(finder.__file__).parents[1]}/__init__.py\n", ran.stderr


def test_libpq_of_the_tool_is_offered_to_another_python(sites: Sites) -> None:
    """psycopg's Python implementation looks for it by this function."""
    write_package(sites.tool, "psycopg", "psycopg", "3.3.9")
    (sites.tool / "psycopg_binary.libs").mkdir()
    library = sites.tool / "psycopg_binary.libs/libpq-1234.so.5"
    library.touch()
    (sites.tool / "psycopg/__init__.py").write_text(
        "import ctypes.util\nraise SystemExit(ctypes.util.find_library('pq'))\n"
    )
    code = "import ctypes.util; ctypes.util.find_library = lambda name: None\nimport dbkit, psycopg"
    for suffix, found in ((".cpython-39.so", f"{library}\n"), (EXTENSION_SUFFIXES[0], "")):
        environment = {
            "PYTHONPATH": str(foreign_python.FRONT),
            finder.VARIABLE: str(sites.tool),
            finder.SUFFIX_VARIABLE: suffix,
        }
        ran = subprocess.run([sites.python, "-c", code], env=environment, capture_output=True, text=True, check=False)
        assert ran.stderr == found


def test_what_imports_every_module_changes_nothing() -> None:
    code = "import sys, dbkit as first; import dbkit.foreign_python.front.dbkit; "
    code += "raise SystemExit(sys.modules['dbkit'] is not first)"
    subprocess.run([sys.executable, "-c", code], check=True)
