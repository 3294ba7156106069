"""The package as others install it: from a wheel, and from an sdist, into an environment without this checkout."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.kit import REPOSITORY, copy_checkout

BUILD = "import sys; from flit_core import buildapi; print(getattr(buildapi, f'build_{sys.argv[1]}')(sys.argv[2]))"


def build(kind: str, source: Path, to: Path) -> Path:
    """Build a wheel or an sdist as an installer asks for it."""
    command = [sys.executable, "-c", BUILD, kind, str(to)]
    return to / subprocess.run(command, cwd=source, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A wheel from the tree, and one from the sdist of the tree."""
    directory = tmp_path_factory.mktemp("packages")
    for name in ("tree", "sdist"):
        (directory / name).mkdir()
    tree = copy_checkout(directory / "checkout")
    sdist = build("sdist", tree, directory)
    subprocess.run(["tar", "xzf", sdist.name], cwd=directory, check=True)
    unpacked = directory / sdist.name.removesuffix(".tar.gz")
    return {
        "tree": build("wheel", tree, directory / "tree"),
        "sdist": build("wheel", unpacked, directory / "sdist"),
    }


def test_both_have_every_file_of_the_package(wheels: Mapping[str, Path]) -> None:
    package = REPOSITORY / "src/dbkit"
    files = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    for wheel in wheels.values():
        assert wheel.name.startswith("alembic_dbkit-")
        with zipfile.ZipFile(wheel) as content:
            names = set(content.namelist())
        assert {name for name in names if name.startswith("dbkit/")} == files


@pytest.mark.spread(2)
@pytest.mark.parametrize("source", ["tree", "sdist"])
def test_what_is_about_no_project_needs_none(wheels: Mapping[str, Path], tmp_path: Path, source: str) -> None:
    """Install into a directory that comes before this checkout, and run the command from elsewhere."""
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site)]
    subprocess.run([*command, str(wheels[source])], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    expected = {
        ("explain",): "autocommit-block-shared",
        ("explain", "not-null-by-scan"): "# not-null-by-scan",
        ("sizes",): "-- How big",
    }
    for verb, begins in expected.items():
        shown = subprocess.run(
            [sys.executable, str(site / "bin/dbkit"), *verb],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert shown.stdout.startswith(begins), shown.stderr
