"""Installing dbkit beside a project's packages moves none of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.kit import copy_checkout

GENERATIONS = {
    "2023": ("sqlalchemy==2.0.0", "alembic==1.9.0", "psycopg2-binary==2.9.9"),
    "2024": ("sqlalchemy==2.0.25", "alembic==1.13.1", "psycopg2-binary==2.9.9", "python-dotenv==1.0.0"),
    "2025": ("sqlalchemy==2.0.58", "alembic==1.16.5", "psycopg[binary]==3.2.13", "python-dotenv==1.1.1"),
    "2026": ("sqlalchemy==2.1.9", "alembic==1.20.1", "psycopg[binary]==3.3.9", "asyncpg==0.31.0"),
}


@pytest.mark.slow
@pytest.mark.parametrize("pins", GENERATIONS.values(), ids=GENERATIONS)
def test_every_pin_is_kept(tmp_path: Path, pins: tuple[str, ...]) -> None:
    environment, constraints = tmp_path / "venv", tmp_path / "constraints.txt"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [environment / "bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", *pins], check=True)
    constraints.write_text(freeze(pip))
    subprocess.run([*pip, "install", "--constraint", constraints, copy_checkout(tmp_path / "checkout")], check=True)
    assert set(constraints.read_text().splitlines()) <= set(freeze(pip).splitlines())
    subprocess.run([*pip, "check"], check=True)
    for command in (("dbkit", "--help"), ("dbkit", "explain", "not-null-by-scan")):
        subprocess.run([environment / "bin" / command[0], *command[1:]], cwd=tmp_path, check=True, capture_output=True)


def freeze(pip: list[str | Path]) -> str:
    return subprocess.run([*pip, "freeze"], capture_output=True, text=True, check=True).stdout
