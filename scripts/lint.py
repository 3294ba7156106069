"""Run the static checks of the kit, for `make lint` and nox alike: all of them, or those that are named."""

import argparse
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECKS = {
    "style": ["ruff", "check"],
    "format": ["ruff", "format", "--check"],
    "types": ["mypy"],
    "shell": ["shellcheck"],
    "language": ["python", "scripts/check_language.py"],
    "drawing": ["python", "scripts/draw_imports.py", "--check"],
    "commands": ["python", "scripts/command_reference.py", "--check"],
}


def find_shell_scripts() -> list[str]:
    """Return the shell scripts of the project, which are recognised by their first line."""
    files = [path for place in (".", ".ci", "scripts") for path in sorted((ROOT / place).iterdir()) if path.is_file()]
    return [str(path.relative_to(ROOT)) for path in files if path.read_bytes().startswith(b"#!/usr/bin/env bash")]


def run_check(name: str) -> bool:
    """Run one check and return whether it passed."""
    # the tools of this environment, and not of another on PATH
    environment = {**os.environ, "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])}
    command = [*CHECKS[name], *(find_shell_scripts() if name == "shell" else [])]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode == 0


def main() -> int:
    """Run the checks, also after one that has failed, and return 1 where one has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checks", metavar="CHECK", nargs="*", help=", ".join(CHECKS))
    parser.add_argument("--without", metavar="CHECK", help="all but this one")
    options = parser.parse_args()
    names = options.checks or [name for name in CHECKS if name != options.without]
    if unknown := {*names, options.without} - {None, *CHECKS}:
        parser.error(f"there is no check {', '.join(sorted(unknown))}; there are: {', '.join(CHECKS)}")
    passed = [run_check(name) for name in names]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
