"""Transcripts in the documentation: what somebody types in a project, and what is printed."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXPORT = re.compile(r"export (\w+)=(\S+)")
ANY_LINES = "…"
"""A line that takes the place of any number of lines."""
VARIES = {
    r"\d+(\.\d+)? s\b": "N s",
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?( ?UTC|Z)?": "TIME",
    r"PostgreSQL \d+(\.\d+)?": "PostgreSQL N",
    r"index [0-9a-f]{7,}\.\.[0-9a-f]{7,}": "index",
    r"\d{8}T\d{6}\.\d{3}Z": "TIME",
}


def typed(text: str) -> list[str]:
    """Return the commands of a transcript; a backslash at the end of a line goes on with the next one."""
    return re.findall(r"^\$ ((?:.*\\\n)*.*)$", text, re.MULTILINE)


def run(commands: list[str], directory: Path, variables: Mapping[str, str], names: Mapping[str, str]) -> str:
    """Type the commands, each in a shell of its own; `export` is for the later ones, too. Returns the transcript.

    `names` are what the tests name otherwise than people do.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    lines, exported = [], {}
    for command in commands:
        if export := EXPORT.fullmatch(command):
            exported[export[1]] = export[2]
            lines.append(f"$ {command}")
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=directory,
            env={**variables, **exported, "PATH": path, "GIT_PAGER": "cat", "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        lines += [f"$ {command}", *done.stdout.splitlines()]
    text = "".join(f"{line.rstrip()}\n" for line in lines)
    for made, real in names.items():
        text = text.replace(made, real)
    return text


def as_pattern(transcript: str) -> str:
    """Return a pattern for what a transcript promises: times and names that vary are left open."""
    lines = [r"(?:.*\n)*?" if line == ANY_LINES else f"{re.escape(line)}\n" for line in _plain(transcript)]
    return "".join(lines)


def matches(written: str, real: str) -> bool:
    """Whether the transcript of a page is what is really printed."""
    return re.fullmatch(as_pattern(written), "".join(f"{line}\n" for line in _plain(real))) is not None


def _plain(text: str) -> list[str]:
    for pattern, word in VARIES.items():
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text.splitlines()
